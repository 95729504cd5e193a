import { concatBytes } from '@miaou/core'
import {
  type CircuitData,
  circuitChunkCost,
  circuitChunkSizeMax,
  circuitChunkSizeSmall,
  circuitWindowSize,
  encodeCircuitData,
} from '@miaou/protocol'
import type { PipeId } from '../ports.ts'
import { CircuitPace } from './circuit-pace.ts'
import type { CircuitsLimits } from './circuits-limits.ts'
import type { RelayLink } from './circuits-link.ts'
import type { ServiceDial } from './circuits-services.ts'

/** A smaller window could hold up a small chunk while less is owed than is worth a credit. */
export const circuitWindowMin: number = 2 * circuitChunkSizeSmall
/** The same of full chunks: below it only small ones are sent. */
const fullChunkWindowMin = 2 * circuitChunkSizeMax

/** `flow-control`: more than the window allows. `too-large`: a message above the bound. */
export type CircuitFault = 'flow-control' | 'too-large'

/**
 * One circuit: a pipe of `Network` whose messages travel in chunks, each direction within a window of un-credited bytes
 * (spec/circuits C10 to C14).
 */
export class CircuitPipe {
  readonly pipe: PipeId
  readonly direction: 'in' | 'out'
  /** As dialled, also of a service; of one that came in: the relay it came through. */
  readonly address: string
  /** Of a way to a service: what became of it so far. */
  readonly service: ServiceDial | undefined
  /** 16 bytes, of one that was dialled. */
  readonly reservation: Uint8Array | undefined
  readonly startedAt: number
  state: 'waiting' | 'asked' | 'open' | 'closing' = 'waiting'
  /** Monotonic ms until it must be open, or flushed; Infinity for neither. */
  endBy: number
  /** The link that carries it, from `asked` on. */
  link: RelayLink | undefined
  /** The relay's number for it. */
  number = 0
  readonly #limits: CircuitsLimits
  #queue: Uint8Array[] = []
  #queueAt = 0
  // Bytes of the first of the queue that are sent.
  #sentOfFirst = 0
  #queuedBytes = 0
  #windowSize = 0
  #window = 0
  #receivable = 0
  #receiveWindow = 0
  #owed = 0
  readonly #pace: CircuitPace
  #parts: Uint8Array[] = []
  #partsSize = 0

  constructor(
    options: Pick<CircuitPipe, 'pipe' | 'direction' | 'address' | 'reservation' | 'startedAt' | 'endBy'> & {
      readonly service?: ServiceDial
    },
    limits: CircuitsLimits,
  ) {
    this.pipe = options.pipe
    this.direction = options.direction
    this.address = options.address
    this.reservation = options.reservation
    this.service = options.service
    this.startedAt = options.startedAt
    this.endBy = options.endBy
    this.#limits = limits
    this.#pace = new CircuitPace(circuitChunkSizeMax / limits.fullChunkMs)
  }

  /** Own bytes under way that nobody has credited yet. */
  get uncreditedBytes(): number {
    return this.#windowSize - this.#window
  }

  get queuedBytes(): number {
    return this.#queuedBytes
  }

  get isDrained(): boolean {
    return this.#queuedBytes === 0
  }

  open(link: RelayLink, number: number, window: number): void {
    this.link = link
    this.number = number
    this.state = 'open'
    this.endBy = Number.POSITIVE_INFINITY
    this.#windowSize = Math.min(window, this.#limits.windowMax)
    this.#window = this.#windowSize
    this.#receiveWindow = window
    this.#receivable = window
  }

  /** Queues a message; false when too much waits already. */
  push(bytes: Uint8Array): boolean {
    if (this.#queuedBytes + bytes.length > this.#limits.queuedBytesMax) return false
    this.#queue.push(bytes)
    this.#queuedBytes += bytes.length
    return true
  }

  /** Encoded chunks of what waits, as many as the window has room for. `now`: monotonic ms. */
  takeChunks(now: number): Uint8Array[] {
    const chunks: Uint8Array[] = []
    const isFast = this.#windowSize >= fullChunkWindowMin && this.#pace.isFast(now)
    const sizeMax = isFast ? circuitChunkSizeMax : circuitChunkSizeSmall
    for (;;) {
      const message = this.#queue[this.#queueAt]
      if (message === undefined) break
      const size = Math.min(message.length - this.#sentOfFirst, sizeMax)
      const cost = circuitChunkCost(size)
      if (cost > this.#window) break
      this.#window -= cost
      this.#queuedBytes -= size
      const end = this.#sentOfFirst + size
      const isLast = end === message.length
      chunks.push(encodeCircuitData({ circuit: this.number, isLast, bytes: message.subarray(this.#sentOfFirst, end) }))
      this.#sentOfFirst = isLast ? 0 : end
      if (isLast) this.#queueAt += 1
    }
    // A shift of a long array moves all of it: what is sent leaves in one step, when it is half.
    if (this.#queueAt > 0 && 2 * this.#queueAt >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#queueAt)
      this.#queueAt = 0
    }
    return chunks
  }

  /** Credit of the other end; false when it is more than was sent. */
  credit(now: number, bytes: number): boolean {
    if (this.#window + bytes > this.#windowSize) return false
    this.#window += bytes
    this.#pace.credited(now, bytes)
    return true
  }

  /** The message that a chunk completes, undefined while more must come. */
  receive({ bytes, isLast }: CircuitData): Uint8Array | CircuitFault | undefined {
    const cost = circuitChunkCost(bytes.length)
    if (cost > this.#receivable) return 'flow-control'
    this.#receivable -= cost
    this.#owed += cost
    this.#partsSize += bytes.length
    if (this.#partsSize > this.#limits.messageSizeMax) return 'too-large'
    if (!isLast) {
      this.#parts.push(bytes)
      return undefined
    }
    const message = this.#parts.length === 0 ? bytes : concatBytes(...this.#parts, bytes)
    this.#parts = []
    this.#partsSize = 0
    return message
  }

  /** Credit to give now: 0 until enough is owed to be worth a message. */
  takeOwed(): number {
    const owed = this.#owed
    // Not a share of a window that is larger than the other end uses: it would wait for ever.
    if (owed < Math.min(this.#receiveWindow, circuitWindowSize) * this.#limits.creditShare) return 0
    this.#owed = 0
    this.#receivable += owed
    return owed
  }

  /** Drops what waits. */
  clear(): void {
    this.#queue = []
    this.#queueAt = 0
    this.#queuedBytes = 0
    this.#parts = []
  }
}
