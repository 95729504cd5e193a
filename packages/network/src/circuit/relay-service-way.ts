import { concatBytes } from '@miaou/core'
import { circuitChunkCost, circuitChunkCostMin, circuitChunkSizeSmall, encodeCircuitData } from '@miaou/protocol'
import type { PipeId } from '../ports.ts'
import type { ServedClient } from './relay-service-client.ts'
import type { ByteRate } from './relay-service-rate.ts'
import type { Lane, Outlet } from './relay-service-scheduler.ts'

/** Who carries out what the lanes of a way send. */
export interface WayOwner {
  /** Sends one encoded chunk to the client. `released`: what it frees of what waits here. */
  sendChunk(way: ServiceWay, encoded: Uint8Array, released: number): void
  /** Sends one message to the service. `cost`: that of its chunks. */
  sendMessage(way: ServiceWay, message: Uint8Array, cost: number): void
}

/**
 * `dialling`: the service has not answered. `client-gone`: what waits is still sent to the service. `service-gone`: to the
 * client.
 */
type WayState = 'dialling' | 'open' | 'client-gone' | 'service-gone'

/** A WebSocket to a service, joined with a circuit of the client that asked for it. */
export class ServiceWay {
  readonly client: ServedClient
  readonly request: number
  /** What it is called on the client's link. */
  readonly number: number
  readonly pipe: PipeId
  readonly host: string
  readonly up: UpLane
  readonly down: DownLane
  state: WayState = 'dialling'
  /** Monotonic ms: of the dial, then of the opening. */
  since: number
  usedAt: number
  /** Monotonic ms until which the service must have answered, or have read what a client that is gone has left. */
  endBy: number
  hasSent = false
  /** Whether the service ended it without a fault. */
  isOrderly = true
  /** What the client may still send before a credit. */
  window: number
  /** What was handed on for the client and is not credited yet. */
  owed = 0
  readonly #windowSize: number
  #outstanding = 0

  constructor(
    options: Pick<ServiceWay, 'client' | 'request' | 'pipe' | 'host' | 'since' | 'endBy'> & {
      readonly windowSize: number
      /** Bytes handed to the service's pipe that has not said since that it is drained. */
      readonly unsentMax: number
      readonly rates: readonly ByteRate[]
      readonly owner: WayOwner
    },
  ) {
    const { client, rates, owner, windowSize } = options
    this.client = client
    this.request = options.request
    this.number = client.nextNumber()
    this.pipe = options.pipe
    this.host = options.host
    this.since = options.since
    this.usedAt = options.since
    this.endBy = options.endBy
    this.window = windowSize
    this.#windowSize = windowSize
    this.up = new UpLane(this, rates, owner, options.unsentMax)
    this.down = new DownLane(this, rates, owner)
  }

  /** What the client was sent and has not credited. */
  get outstanding(): number {
    return this.#outstanding
  }

  /** What the client may be sent before it credits some of it. */
  get room(): number {
    return this.#windowSize - this.#outstanding
  }

  sent(cost: number): void {
    this.#outstanding += cost
  }

  /** Credit of the client; false when it is less than a chunk costs, or more than it was sent. */
  credit(bytes: number): boolean {
    if (bytes < circuitChunkCostMin || bytes > this.#outstanding) return false
    this.#outstanding -= bytes
    return true
  }
}

/** The pipe of a service, as far as its reading goes. */
class ServiceOutlet implements Outlet {
  readonly #unsentMax: number
  #unsent = 0

  constructor(unsentMax: number) {
    this.#unsentMax = unsentMax
  }

  get isLate(): boolean {
    return this.#unsent >= this.#unsentMax
  }

  sent(bytes: number): void {
    this.#unsent += bytes
  }

  drained(): void {
    this.#unsent = 0
  }
}

/** What waits for the service: chunks of the client, put together to messages. */
class UpLane implements Lane {
  readonly outlet: ServiceOutlet
  readonly rates: readonly ByteRate[]
  /** Cost of what waits, the unfinished message included. */
  queued = 0
  readonly #way: ServiceWay
  readonly #owner: WayOwner
  #messages: { readonly bytes: Uint8Array; readonly cost: number }[] = []
  #parts: Uint8Array[] = []
  #partsSize = 0
  #partsCost = 0

  constructor(way: ServiceWay, rates: readonly ByteRate[], owner: WayOwner, unsentMax: number) {
    this.#way = way
    this.rates = rates
    this.#owner = owner
    this.outlet = new ServiceOutlet(unsentMax)
  }

  /** Bytes of the message that is not finished yet. */
  get partsSize(): number {
    return this.#partsSize
  }

  get isEmpty(): boolean {
    return this.#messages.length === 0
  }

  /** Takes a chunk; true when it ends a message. */
  push(bytes: Uint8Array, isLast: boolean): boolean {
    const cost = circuitChunkCost(bytes.length)
    this.queued += cost
    this.#parts.push(bytes)
    this.#partsSize += bytes.length
    this.#partsCost += cost
    if (!isLast) return false
    const [first = bytes] = this.#parts
    // An array of its own: what goes out is the socket's, the frame it came in may be larger.
    const message = this.#parts.length === 1 ? first : concatBytes(...this.#parts)
    this.#messages.push({ bytes: message, cost: this.#partsCost })
    this.#forgetParts()
    return true
  }

  nextCost(): number {
    return this.#messages[0]?.cost ?? 0
  }

  sendNext(): void {
    const next = this.#messages.shift()
    if (next === undefined) return
    this.queued -= next.cost
    this.outlet.sent(next.bytes.length)
    this.#owner.sendMessage(this.#way, next.bytes, next.cost)
  }

  /** Drops the message that is not finished; returns its cost. */
  dropParts(): number {
    const cost = this.#partsCost
    this.queued -= cost
    this.#forgetParts()
    return cost
  }

  /** Drops what waits; returns its cost. */
  clear(): number {
    const { queued } = this
    this.queued = 0
    this.#messages = []
    this.#forgetParts()
    return queued
  }

  #forgetParts(): void {
    this.#parts = []
    this.#partsSize = 0
    this.#partsCost = 0
  }
}

/** What waits for the client: messages of the service, cut into chunks. */
class DownLane implements Lane {
  readonly outlet: ServedClient
  readonly rates: readonly ByteRate[]
  /** What the messages that wait are counted as. */
  queued = 0
  readonly #way: ServiceWay
  readonly #owner: WayOwner
  #messages: Uint8Array[] = []
  #sentOfFirst = 0

  constructor(way: ServiceWay, rates: readonly ByteRate[], owner: WayOwner) {
    this.outlet = way.client
    this.rates = rates
    this.#way = way
    this.#owner = owner
  }

  get isEmpty(): boolean {
    return this.#messages.length === 0
  }

  push(message: Uint8Array): void {
    this.#messages.push(message)
    this.queued += circuitChunkCost(message.length)
  }

  /** 0 also while the client's window is used up. */
  nextCost(): number {
    const size = this.#nextSize()
    const cost = size === 0 ? 0 : circuitChunkCost(size)
    return cost <= this.#way.room ? cost : 0
  }

  sendNext(): void {
    const message = this.#messages[0]
    if (message === undefined) return
    const size = this.#nextSize()
    const end = this.#sentOfFirst + size
    const isLast = end === message.length
    const bytes = message.subarray(this.#sentOfFirst, end)
    const encoded = encodeCircuitData({ circuit: this.#way.number, isLast, bytes })
    this.#sentOfFirst = isLast ? 0 : end
    if (isLast) this.#messages.shift()
    // A message frees what it is counted as when its last chunk has gone: until then all of it is kept.
    const released = isLast ? circuitChunkCost(message.length) : 0
    this.queued -= released
    this.#way.sent(circuitChunkCost(size))
    this.#owner.sendChunk(this.#way, encoded, released)
  }

  /** Drops what waits; returns what it was counted as. */
  clear(): number {
    const { queued } = this
    this.queued = 0
    this.#messages = []
    this.#sentOfFirst = 0
    return queued
  }

  /** Small chunks only: a relay does not know how fast the client's link is. */
  #nextSize(): number {
    const message = this.#messages[0]
    return message === undefined ? 0 : Math.min(message.length - this.#sentOfFirst, circuitChunkSizeSmall)
  }
}
