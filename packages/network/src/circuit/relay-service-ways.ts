import { TokenBucket } from '@miaou/core'
import {
  type AddressScope,
  type CircuitCloseReason,
  type CircuitData,
  circuitChunkCost,
  circuitChunkCostMin,
  isRelayUrl,
  isWayWithin,
  type RelayRefusal,
} from '@miaou/protocol'
import type { PipeId, TransportEvent } from '../ports.ts'
import type { RelayServiceOutput } from './interface.ts'
import { type CircuitsOwner, closedNames, type ServedCircuits } from './relay-service-circuits.ts'
import type { ServedClient } from './relay-service-client.ts'
import type { RelayCounters } from './relay-service-counters.ts'
import type { RelayLimits } from './relay-service-limits.ts'
import { ByteRate } from './relay-service-rate.ts'
import { ServiceWay, type WayOwner } from './relay-service-way.ts'

/** What ways to services need of the relay that holds the links. */
export interface WaysOwner extends CircuitsOwner {
  emit(output: RelayServiceOutput): void
}

export interface WaysOptions {
  readonly owner: WaysOwner
  /** Whose turns and whose bytes that wait they share. */
  readonly circuits: ServedCircuits
  readonly limits: RelayLimits
  readonly counters: RelayCounters
  /** A number for a pipe that is dialled; undefined: no service is offered. */
  readonly nextPipe: (() => PipeId) | undefined
  /** How near services may be at most, whoever asks. */
  readonly nearest: AddressScope
}

type Message = Extract<TransportEvent, { type: 'message' }>

/** Ways from clients to services: who may have one and where to, what passes, and how each ends. */
export class ServedWays implements WayOwner {
  readonly #options: WaysOptions
  readonly #ways = new Map<PipeId, ServiceWay>()
  /** How many are being dialled, by host. */
  readonly #dialsByHost = new Map<string, number>()
  readonly #dialRate: TokenBucket
  #dials = 0
  #lookAt = 0

  constructor(options: WaysOptions) {
    this.#options = options
    const { serviceDialsPerSecond, serviceDialsTotalBurst } = options.limits
    this.#dialRate = new TokenBucket(serviceDialsPerSecond, serviceDialsTotalBurst)
  }

  get count(): number {
    return this.#ways.size
  }

  owns(pipe: PipeId): boolean {
    return this.#ways.has(pipe)
  }

  /** A client asks for the service at a URL. */
  open(client: ServedClient, request: number, url: string): void {
    const { owner, limits, circuits, counters, nextPipe } = this.#options
    const place = readPlace(url)
    const nearest = farther(client.address.scope, this.#options.nearest)
    const refusal = this.#whyNot(client, url, place, nearest)
    if (refusal !== undefined || place === undefined || nextPipe === undefined) {
      counters.count('services-refused')
      owner.refuse(client, request, refusal ?? 'not-offered')
      return
    }
    const { mono } = owner
    const { windowSize, unsentMax, circuitBytesPerSecond, serviceDialMs } = limits
    const rate = circuitBytesPerSecond === 0 ? undefined : new ByteRate(circuitBytesPerSecond)
    // What comes down counts against the client's rate, too: it asked for it.
    const rates = circuits.ratesOf(client, rate)
    const times = { since: mono, endBy: mono + serviceDialMs }
    const { host } = place
    const way = new ServiceWay({
      client,
      request,
      pipe: nextPipe(),
      host,
      ...times,
      windowSize,
      unsentMax,
      rates,
      owner: this,
    })
    if (this.#ways.size === 0) this.#lookAgain()
    this.#ways.set(way.pipe, way)
    client.services.set(way.number, way)
    client.group.services += 1
    client.group.serviceDials += 1
    this.#dials += 1
    this.#dialsByHost.set(host, (this.#dialsByHost.get(host) ?? 0) + 1)
    owner.emit({ type: 'service-dial', pipe: way.pipe, url, nearest })
  }

  #whyNot(
    client: ServedClient,
    url: string,
    place: Place | undefined,
    nearest: AddressScope,
  ): RelayRefusal | undefined {
    const { owner, limits, nextPipe } = this.#options
    const { group } = client
    if (limits.servicesMax === 0 || nextPipe === undefined) return 'not-offered'
    if (place === undefined || !isWayWithin(url, nearest)) return 'not-allowed'
    if (owner.isSpent(client)) return 'quota'
    const isOwnFull = client.services.size >= limits.servicesPerClientMax
    if (isOwnFull || group.services >= limits.servicesPerGroupMax) return 'too-many-circuits'
    if (this.#ways.size >= limits.servicesMax || this.#dials >= limits.serviceDialsMax) return 'busy'
    if (group.serviceDials >= limits.serviceDialsPerGroupMax) return 'busy'
    if ((this.#dialsByHost.get(place.host) ?? 0) >= limits.serviceDialsPerHostMax) return 'busy'
    group.serviceDialRate ??= new TokenBucket(limits.serviceDialsPerMinute / 60, limits.serviceDialsBurst)
    if (!group.serviceDialRate.take(owner.mono)) return 'busy'
    return this.#dialRate.take(owner.mono) ? undefined : 'busy'
  }

  /** An event of a pipe that was dialled for a client. */
  heard(event: TransportEvent): void {
    const way = this.#ways.get(event.pipe)
    if (way === undefined) return
    if (event.type === 'opened') this.#opened(way)
    else if (event.type === 'message') this.#takeMessage(way, event)
    else if (event.type === 'closed') this.#serviceGone(way, event.error === undefined)
  }

  #opened(way: ServiceWay): void {
    if (way.state !== 'dialling') return
    const { owner, limits, counters } = this.#options
    this.#dialled(way)
    way.state = 'open'
    way.endBy = Number.POSITIVE_INFINITY
    way.since = owner.mono
    way.usedAt = owner.mono
    counters.count('services-opened')
    owner.say(way.client, {
      type: 'opened',
      request: way.request,
      circuit: way.number,
      window: limits.windowSize,
    })
  }

  #takeMessage(way: ServiceWay, { bytes }: Message): void {
    const { owner, limits, circuits, counters } = this.#options
    // The last words of a service whose client is gone.
    if (way.state !== 'open') return
    if (bytes.length === 0) {
      counters.count('stray-messages')
      return
    }
    const cost = circuitChunkCost(bytes.length)
    if (bytes.length > limits.serviceMessageSizeMax) this.#abort(way, 'protocol-error')
    else if (!owner.spend(way.client, bytes.length)) this.#abort(way, 'quota')
    else if (way.down.queued + cost > limits.serviceQueuedBytesMax) this.#abort(way, 'busy')
    else if (circuits.isOverfull(way.down.queued, cost, this.#ways.size)) this.#abort(way, 'busy')
    else {
      this.#used(way)
      way.down.push(bytes)
      circuits.hold(cost)
      if (way.down.nextCost() > 0) circuits.scheduler.add(way.down)
    }
  }

  /** A chunk of the client; false where that number is none of a way that is open. */
  receiveData(client: ServedClient, { circuit, isLast, bytes }: CircuitData): boolean {
    const way = client.services.get(circuit)
    if (way === undefined || way.state === 'dialling') return false
    const { owner, limits, circuits, counters } = this.#options
    const cost = circuitChunkCost(bytes.length)
    way.window -= cost
    if (way.window < 0) this.#abort(way, 'flow-control')
    else if (way.state === 'service-gone') counters.count('stray-messages')
    else if (!owner.spend(client, bytes.length)) this.#abort(way, 'quota')
    else if (way.up.partsSize + bytes.length > limits.serviceMessageSizeMax) this.#abort(way, 'protocol-error')
    else if (circuits.isOverfull(way.up.queued, cost, this.#ways.size)) this.#abort(way, 'busy')
    else {
      this.#used(way)
      circuits.hold(cost)
      if (way.up.push(bytes, isLast)) circuits.scheduler.add(way.up)
    }
    return true
  }

  /** False where that number is none of a way that is open. */
  receiveCredit(client: ServedClient, number: number, bytes: number): boolean {
    const way = client.services.get(number)
    if (way === undefined || way.state === 'dialling') return false
    if (!way.credit(bytes)) this.#abort(way, 'flow-control')
    else if (way.down.nextCost() > 0) this.#options.circuits.scheduler.add(way.down)
    return true
  }

  /** The client closes; false where that number is none of a way that is open. */
  receiveClose(client: ServedClient, number: number): boolean {
    const way = client.services.get(number)
    if (way === undefined || way.state === 'dialling') return false
    this.#clientGone(way)
    return true
  }

  /** The link of a client is gone. */
  leave(client: ServedClient): void {
    for (const way of [...client.services.values()]) this.#clientGone(way)
  }

  /** What the client left is still sent, within a bound; what is for it is dropped. */
  #clientGone(way: ServiceWay): void {
    const { circuits, limits, owner } = this.#options
    if (way.state !== 'open' || way.up.isEmpty) {
      this.#hangUp(way)
      return
    }
    way.state = 'client-gone'
    way.endBy = owner.mono + limits.serviceCloseMs
    circuits.scheduler.remove(way.down)
    circuits.release(way.down.clear() + way.up.dropParts())
    this.#forgetNumber(way)
  }

  /** The client gets what waits for it, then the end. */
  #serviceGone(way: ServiceWay, isOrderly: boolean): void {
    const { circuits, owner, counters } = this.#options
    if (way.state === 'dialling') {
      counters.count('services-unreachable')
      this.#remove(way)
      owner.refuse(way.client, way.request, 'unreachable')
    } else if (way.state === 'open') {
      way.state = 'service-gone'
      way.isOrderly = isOrderly
      circuits.scheduler.remove(way.up)
      circuits.release(way.up.clear())
      if (way.down.isEmpty) this.#finish(way)
    } else {
      this.#remove(way)
    }
  }

  /** The client has all that the service said. */
  #finish(way: ServiceWay): void {
    this.#tellEnd(way, way.isOrderly ? 'bye' : 'peer-gone')
    this.#remove(way)
  }

  /** Ends it at both ends at once; what waits is dropped. */
  #abort(way: ServiceWay, reason: CircuitCloseReason): void {
    const { counters, owner } = this.#options
    const name = closedNames[reason]
    if (name !== undefined) counters.count(name)
    if (way.state === 'dialling') owner.refuse(way.client, way.request, 'busy')
    else if (way.state !== 'client-gone') this.#tellEnd(way, reason)
    this.#hangUp(way)
  }

  #tellEnd(way: ServiceWay, reason: CircuitCloseReason): void {
    // The number first: telling can end the link, and with it all that it still has.
    this.#forgetNumber(way)
    way.client.forgive(way)
    this.#options.owner.say(way.client, { type: 'close', circuit: way.number, reason })
  }

  #hangUp(way: ServiceWay): void {
    if (way.state !== 'service-gone' && this.#ways.has(way.pipe)) {
      this.#options.owner.emit({ type: 'close', pipe: way.pipe })
    }
    this.#remove(way)
  }

  #remove(way: ServiceWay): void {
    const { circuits, counters } = this.#options
    if (!this.#ways.delete(way.pipe)) return
    if (way.state === 'dialling') this.#dialled(way)
    else counters.count('services-closed')
    this.#forgetNumber(way)
    way.client.group.services -= 1
    circuits.scheduler.remove(way.up)
    circuits.scheduler.remove(way.down)
    circuits.scheduler.forget(way.up.outlet)
    circuits.release(way.up.clear() + way.down.clear())
  }

  #forgetNumber({ client, number }: ServiceWay): void {
    if (client.services.delete(number) && client.isUnused) client.uselessSince = this.#options.owner.mono
  }

  /** It is not being dialled any more. */
  #dialled({ client, host }: ServiceWay): void {
    this.#dials -= 1
    client.group.serviceDials -= 1
    const dials = this.#dialsByHost.get(host) ?? 0
    if (dials > 1) this.#dialsByHost.set(host, dials - 1)
    else this.#dialsByHost.delete(host)
  }

  #used(way: ServiceWay): void {
    way.hasSent = true
    way.usedAt = this.#options.owner.mono
  }

  /** The pipe of a service takes more. */
  drained(pipe: PipeId): void {
    const outlet = this.#ways.get(pipe)?.up.outlet
    if (outlet === undefined) return
    outlet.drained()
    this.#options.circuits.scheduler.drained(outlet)
  }

  /** The link of a client takes more: credits have waited for that. */
  clientDrained(client: ServedClient): void {
    for (const way of client.services.values()) this.#passCredit(way)
  }

  /** Once an eighth of the window is owed (spec/circuits C12). */
  #passCredit(way: ServiceWay): void {
    const { owner, limits } = this.#options
    if (way.state !== 'open' || way.client.isLate) return
    if (way.owed < Math.max(circuitChunkCostMin, limits.windowSize / 8)) return
    const bytes = way.owed
    way.owed = 0
    way.window += bytes
    owner.say(way.client, { type: 'credit', circuit: way.number, bytes })
  }

  /** Monotonic ms of the next `sweep`, Infinity for none. */
  deadline(): number {
    return this.#ways.size === 0 ? Number.POSITIVE_INFINITY : this.#lookAt
  }

  /** Gives up what takes too long, and closes those on which nobody speaks. */
  sweep(): void {
    const { owner, limits } = this.#options
    if (owner.mono < this.deadline()) return
    this.#lookAgain()
    for (const way of [...this.#ways.values()]) {
      const isOver = owner.mono >= way.endBy
      const isUnused = !way.hasSent && owner.mono >= way.since + limits.unusedMs
      if (way.state === 'dialling') {
        if (!isOver) continue
        owner.emit({ type: 'close', pipe: way.pipe })
        this.#serviceGone(way, false)
      } else if (way.state === 'client-gone') {
        if (isOver) this.#hangUp(way)
      } else if (isUnused || owner.mono >= way.usedAt + limits.idleMs) {
        this.#abort(way, 'idle')
      }
    }
  }

  #lookAgain(): void {
    // Own choice: seconds are told here by tenths of them, times ten.
    this.#lookAt = this.#options.owner.mono + 10 * this.#options.limits.sweepMs
  }

  stop(): void {
    for (const way of [...this.#ways.values()]) this.#abort(way, 'shutdown')
  }

  /** For the lanes only. */
  sendChunk(way: ServiceWay, encoded: Uint8Array, released: number): void {
    const { owner, circuits } = this.#options
    circuits.release(released)
    owner.sendData(way.client, encoded)
    if (way.state === 'service-gone' && way.down.isEmpty && this.#ways.has(way.pipe)) this.#finish(way)
  }

  /** For the lanes only. */
  sendMessage(way: ServiceWay, message: Uint8Array, cost: number): void {
    const { owner, circuits } = this.#options
    circuits.release(cost)
    owner.emit({ type: 'write', pipe: way.pipe, channel: 0, bytes: message })
    way.owed += cost
    if (way.state === 'open') this.#passCredit(way)
    else if (way.state === 'client-gone' && way.up.isEmpty) this.#hangUp(way)
  }
}

interface Place {
  readonly host: string
}

const ranks: Readonly<Record<AddressScope, number>> = { loopback: 0, private: 1, public: 2 }

function farther(a: AddressScope, b: AddressScope): AddressScope {
  return ranks[a] >= ranks[b] ? a : b
}

/**
 * Where a URL leads, undefined where no service is dialled: what is no URL, and ports of other services, which could take
 * what a client writes for their own language (own choice: those that systems keep for them, RFC 6335, but those of HTTP).
 */
function readPlace(url: string): Place | undefined {
  const match = isRelayUrl(url) ? /^wss?:\/\/(\[[^\][/]+\]|[^:/[\]]+)(?::(\d{1,5}))?(?:\/|$)/.exec(url) : null
  const port = match?.[2] === undefined ? 443 : Number(match[2])
  if (match === null || port > 65_535 || (port < 1_024 && port !== 80 && port !== 443)) return undefined
  return { host: (match[1] ?? '').toLowerCase() }
}
