import type { Result } from '@miaou/core'
import { concatBytes, err, ok } from '@miaou/core'
import { type Fragment, fragmentedSizeMax } from './fragment.ts'
import type { FrameType } from './frame.ts'

/** Bounds of what one peer may have in reassembly (DECISIONS "Sizes"). */
export interface ReassemblerOptions {
  /** Payloads begun and not finished. */
  readonly reassembliesMax: number
  /** Bytes held, over all of them. */
  readonly bytesMax: number
  /** Monotonic ms from the first fragment of a payload until it is given up. */
  readonly timeoutMs: number
}

export const defaultReassemblerOptions: ReassemblerOptions = {
  reassembliesMax: 4,
  bytesMax: fragmentedSizeMax,
  timeoutMs: 30_000,
}

/**
 * `too-many-reassemblies`, `too-many-bytes`: the fragment was dropped, with the payload it belongs to.
 * `inconsistent-fragment`: it repeats or contradicts one received before; its payload was dropped.
 */
export type ReassemblyError =
  | { readonly type: 'too-many-reassemblies'; readonly countMax: number }
  | { readonly type: 'too-many-bytes'; readonly bytesMax: number }
  | { readonly type: 'inconsistent-fragment' }

export interface Reassembled {
  readonly type: FrameType
  readonly payload: Uint8Array
}

interface Reassembly {
  readonly type: FrameType
  readonly pieces: (Uint8Array | undefined)[]
  readonly expiresAt: number
  missing: number
  size: number
}

/** Puts the fragments of one link together, in any order, within bounds. No clock: `nowMs` is monotonic. */
export class Reassembler {
  readonly #options: ReassemblerOptions
  readonly #reassemblies = new Map<number, Reassembly>()
  #size = 0
  #expired = 0

  constructor(options: Partial<ReassemblerOptions> = {}) {
    this.#options = { ...defaultReassemblerOptions, ...options }
  }

  /** Bytes held at this moment. */
  get size(): number {
    return this.#size
  }

  /** Payloads begun and not finished. */
  get count(): number {
    return this.#reassemblies.size
  }

  /** Payloads given up because they did not finish in time. */
  get expiredCount(): number {
    return this.#expired
  }

  /** The whole payload once `fragment` (as decoded, so within its own bounds) was the last one missing. */
  add(nowMs: number, fragment: Fragment): Result<Reassembled | undefined, ReassemblyError> {
    this.expire(nowMs)
    const { id, index, count, type, bytes } = fragment
    const known = this.#reassemblies.get(id)
    if (known !== undefined && (known.type !== type || known.pieces.length !== count || known.pieces[index])) {
      this.#drop(id, known)
      return err({ type: 'inconsistent-fragment' })
    }
    const { reassembliesMax, bytesMax, timeoutMs } = this.#options
    if (known === undefined && this.#reassemblies.size >= reassembliesMax) {
      return err({ type: 'too-many-reassemblies', countMax: reassembliesMax })
    }
    if (this.#size + bytes.length > bytesMax) {
      if (known !== undefined) this.#drop(id, known)
      return err({ type: 'too-many-bytes', bytesMax })
    }
    const reassembly = known ?? {
      type,
      pieces: new Array<Uint8Array | undefined>(count).fill(undefined),
      expiresAt: nowMs + timeoutMs,
      missing: count,
      size: 0,
    }
    reassembly.pieces[index] = bytes
    reassembly.missing -= 1
    reassembly.size += bytes.length
    this.#size += bytes.length
    if (known === undefined) this.#reassemblies.set(id, reassembly)
    if (reassembly.missing > 0) return ok(undefined)
    this.#drop(id, reassembly)
    return ok({ type, payload: concatBytes(...reassembly.pieces.filter((piece) => piece !== undefined)) })
  }

  /** Gives up what did not finish in time. */
  expire(nowMs: number): void {
    for (const [id, reassembly] of this.#reassemblies) {
      if (reassembly.expiresAt > nowMs) continue
      this.#drop(id, reassembly)
      this.#expired += 1
    }
  }

  /** Monotonic ms at which `expire` would free something, Infinity for never. */
  deadline(): number {
    let earliest = Number.POSITIVE_INFINITY
    for (const { expiresAt } of this.#reassemblies.values()) earliest = Math.min(earliest, expiresAt)
    return earliest
  }

  #drop(id: number, reassembly: Reassembly): void {
    this.#reassemblies.delete(id)
    this.#size -= reassembly.size
  }
}
