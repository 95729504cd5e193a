import {
  type CircuitCloseReason,
  circuitChunkCost,
  circuitChunkSizeSmall,
  circuitDataHeaderSize,
  encodeCircuitData,
  fillerCircuit,
} from '@miaou/protocol'
import type { ServedClient } from './relay-service-client.ts'
import type { ByteRate } from './relay-service-rate.ts'
import type { Lane } from './relay-service-scheduler.ts'

/** Two ends and what they share. */
export interface RelayCircuit {
  readonly openedAt: number
  /** Undefined for no limit. */
  readonly rate: ByteRate | undefined
  /** Monotonic ms. */
  usedAt: number
}

/** Who owns the links that lanes lead to. */
export interface LaneOwner {
  /** Sends one encoded chunk on the link of a client. `waited`: what it cost while it waited for an end. */
  sendChunk(client: ServedClient, encoded: Uint8Array, waited: number): void
  /** The last of what waited for an end that is closing was sent. */
  emptied(end: CircuitEnd): void
}

/** One end of a circuit: what its client may send, and the lane of what waits for it. */
export class CircuitEnd implements Lane {
  readonly circuit: RelayCircuit
  readonly client: ServedClient
  /** What the circuit is called on the client's link. */
  readonly number: number
  /** Those of the other client: who sends is counted. Set when the two ends meet. */
  rates: readonly ByteRate[] = []
  other: CircuitEnd | undefined
  /** What the client may still send before a credit. */
  window: number
  /** What the client was sent and has not credited. */
  outstanding = 0
  /** Cost of what waits. */
  queued = 0
  /** Credits that wait until the link has drained. */
  creditWaiting = 0
  hasSent = false
  /** Told once everything that waits is sent: the other client has closed, or is gone. */
  closing: CircuitCloseReason | undefined
  readonly #owner: LaneOwner
  #queue: Uint8Array[] = []
  #head = 0

  constructor(circuit: RelayCircuit, client: ServedClient, windowSize: number, owner: LaneOwner) {
    this.circuit = circuit
    this.client = client
    this.number = client.nextNumber()
    this.window = windowSize
    this.#owner = owner
  }

  get outlet(): ServedClient {
    return this.client
  }

  /** `encoded`: the payload of a `circuitData` frame, the number on this link already in it. */
  push(encoded: Uint8Array): void {
    this.#queue.push(encoded)
    this.queued += costOf(encoded)
  }

  nextCost(): number {
    const next = this.#queue[this.#head]
    return next === undefined ? 0 : costOf(next)
  }

  sendNext(): void {
    const next = this.#queue[this.#head]
    if (next === undefined) return
    this.#head += 1
    if (this.#head === this.#queue.length) {
      this.#queue = []
      this.#head = 0
    }
    const cost = costOf(next)
    this.queued -= cost
    this.outstanding += cost
    this.#owner.sendChunk(this.client, next, cost)
    if (this.queued === 0 && this.closing !== undefined) this.#owner.emptied(this)
  }

  /** Drops what waits. */
  clear(): void {
    this.#queue = []
    this.#head = 0
    this.queued = 0
  }
}

const fillerChunk = encodeCircuitData({
  circuit: fillerCircuit,
  isLast: false,
  bytes: new Uint8Array(circuitChunkSizeSmall),
})

/** Filler that a client asked for to measure its way: it takes turns with circuits and counts like them. */
export class FillerLane implements Lane {
  readonly outlet: ServedClient
  readonly rates: readonly ByteRate[]
  readonly #owner: LaneOwner
  #left: number

  constructor(client: ServedClient, bytes: number, rates: readonly ByteRate[], owner: LaneOwner) {
    this.outlet = client
    this.rates = rates
    this.#left = bytes
    this.#owner = owner
  }

  nextCost(): number {
    return this.#left === 0 ? 0 : circuitChunkCost(Math.min(this.#left, circuitChunkSizeSmall))
  }

  sendNext(): void {
    const size = Math.min(this.#left, circuitChunkSizeSmall)
    this.#left -= size
    if (this.#left > 0) {
      this.#owner.sendChunk(this.outlet, fillerChunk, 0)
      return
    }
    const bytes = new Uint8Array(size)
    this.#owner.sendChunk(this.outlet, encodeCircuitData({ circuit: fillerCircuit, isLast: true, bytes }), 0)
  }
}

function costOf(encoded: Uint8Array): number {
  return circuitChunkCost(encoded.length - circuitDataHeaderSize)
}
