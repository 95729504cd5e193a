import { TokenBucket } from '@miaou/core'
import { circuitChunkCostMin } from '@miaou/protocol'
import type { Link } from '../link.ts'
import type { PipeId } from '../ports.ts'
import type { CircuitEnd } from './relay-service-circuit.ts'
import type { AddressGroup, ClientAddress } from './relay-service-groups.ts'
import type { RelayLimits } from './relay-service-limits.ts'
import { ByteRate } from './relay-service-rate.ts'
import type { Outlet } from './relay-service-scheduler.ts'
import type { ServiceWay } from './relay-service-way.ts'

/** One link with a client, from its opening to its end. */
export class ServedClient implements Outlet {
  readonly pipe: PipeId
  readonly link: Link
  readonly address: ClientAddress
  readonly group: AddressGroup
  /** Circuits by their number on this link. */
  readonly ends: Map<number, CircuitEnd> = new Map()
  /** Ways to services by their number on this link. */
  readonly services: Map<number, ServiceWay> = new Map()
  /** Ends whose credits wait until the link has drained. */
  creditsWaiting: Set<CircuitEnd> | undefined
  readonly messages: TokenBucket
  /** Bytes a second of what it sends; undefined for no limit. */
  readonly rate: ByteRate | undefined
  /** Reservation id of the pseudonym that the link has proved, in hexadecimal; undefined before. */
  name: string | undefined
  isUp = false
  /** Monotonic ms; 0 without a reservation. */
  reservedUntil = 0
  /** Since when it has neither reservation nor circuit nor way to a service, monotonic ms. */
  uselessSince: number
  badMessages = 0
  /** Bytes of filler received since the last `measured`. */
  fillerReceived = 0
  /** Bytes of filler received since `fillerAt`. */
  fillerOfInterval = 0
  fillerAt: number = Number.NEGATIVE_INFINITY
  measuredAt: number = Number.NEGATIVE_INFINITY
  /** What may still come for circuits that the relay has closed: it was under way. */
  #strayLeft = 0
  #unsent = 0
  #lastNumber = 0
  readonly #unsentMax: number

  constructor(pipe: PipeId, link: Link, address: ClientAddress, group: AddressGroup, now: number, limits: RelayLimits) {
    this.pipe = pipe
    this.link = link
    this.address = address
    this.group = group
    this.uselessSince = now
    this.messages = new TokenBucket(limits.messagesPerSecond, limits.messagesBurst)
    this.rate = limits.clientBytesPerSecond === 0 ? undefined : new ByteRate(limits.clientBytesPerSecond)
    this.#unsentMax = limits.unsentMax
  }

  get isLate(): boolean {
    return this.#unsent >= this.#unsentMax
  }

  /** Bytes handed to the pipe since it was drained last. */
  get unsent(): number {
    return this.#unsent
  }

  sent(bytes: number): void {
    this.#unsent += bytes
  }

  drained(): void {
    this.#unsent = 0
  }

  isReserved(now: number): boolean {
    return now < this.reservedUntil
  }

  /** A number for a circuit, never 0 and unique among the open ones. */
  nextNumber(): number {
    do this.#lastNumber = (this.#lastNumber + 1) >>> 0 || 1
    while (this.ends.has(this.#lastNumber) || this.services.has(this.#lastNumber))
    return this.#lastNumber
  }

  /**
   * The relay closed a circuit or a way to a service: what was under way, and the answer to it, are no offence. `window`:
   * what it might still send there; `outstanding`: what it was sent and has not credited.
   */
  forgive({ window, outstanding }: { readonly window: number; readonly outstanding: number }): void {
    this.#strayLeft += Math.max(0, window) + outstanding + 2 * circuitChunkCostMin
  }

  /** Whether it has neither circuit nor way to a service. */
  get isUnused(): boolean {
    return this.ends.size === 0 && this.services.size === 0
  }

  /** Whether something of that cost, for a circuit that is not there, can have been under way. */
  isForgiven(cost: number): boolean {
    if (cost > this.#strayLeft) return false
    this.#strayLeft -= cost
    return true
  }
}
