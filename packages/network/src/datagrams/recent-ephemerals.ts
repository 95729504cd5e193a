import type { Endpoint } from '@miaou/protocol'
import type { DatagramsLimits } from './datagrams-limits.ts'
import { readU32 } from './wire.ts'

interface Kept {
  readonly endpoint: Endpoint
  readonly bytes: Uint8Array
  readonly until: number
}

/**
 * The ephemeral keys of the initiations that were taken: one that comes again costs no Diffie-Hellman and opens nothing,
 * and while its response is kept, that is sent again (spec D24, D25).
 */
export class RecentEphemerals {
  readonly #limits: DatagramsLimits
  // Two generations: when the younger is full, the older is forgotten.
  #young = new Set<number>()
  #old = new Set<number>()
  readonly #kept = new Map<number, Kept>()

  constructor(limits: DatagramsLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  get responses(): number {
    return this.#kept.size
  }

  has(ephemeral: Uint8Array): boolean {
    const name = nameOf(ephemeral)
    return this.#young.has(name) || this.#old.has(name)
  }

  add(ephemeral: Uint8Array): void {
    this.#young.add(nameOf(ephemeral))
    if (this.#young.size < this.#limits.replaysMax) return
    this.#old = this.#young
    this.#young = new Set()
  }

  /** Keeps the response to an initiation for a while. */
  keep(now: number, ephemeral: Uint8Array, endpoint: Endpoint, bytes: Uint8Array): void {
    this.expire(now)
    if (this.#kept.size >= this.#limits.responsesMax) {
      const oldest = this.#kept.keys().next()
      if (oldest.done !== true) this.#kept.delete(oldest.value)
    }
    this.#kept.set(nameOf(ephemeral), { endpoint, bytes, until: now + this.#limits.responseMs })
  }

  /** The response kept, if the initiation came from the same endpoint as the first time. */
  responseTo(now: number, ephemeral: Uint8Array, from: Endpoint): Uint8Array | undefined {
    const kept = this.#kept.get(nameOf(ephemeral))
    if (kept === undefined || kept.until <= now) return undefined
    return kept.endpoint.port === from.port && kept.endpoint.host === from.host ? kept.bytes : undefined
  }

  expire(now: number): void {
    for (const [name, { until }] of this.#kept) {
      if (until > now) return
      this.#kept.delete(name)
    }
  }

  deadline(): number {
    const first = this.#kept.values().next()
    return first.done === true ? Number.POSITIVE_INFINITY : first.value.until
  }
}

// 52 bits of a random key: who cannot foresee somebody's key cannot make it look like one that was seen.
function nameOf(ephemeral: Uint8Array): number {
  return readU32(ephemeral, 0) * 0x10_0000 + (readU32(ephemeral, 4) >>> 12)
}
