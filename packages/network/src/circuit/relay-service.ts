import { bytesToHex, type Now, peerIdToKey, type Random } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import {
  type AddressScope,
  decodeCircuitData,
  decodeRelayMessage,
  encodeRelayMessage,
  type FrameType,
  fillerCircuit,
  frameTypes,
  type RelayIceServer,
  type RelayMessage,
  type RelayRefusal,
  type RelayTerms,
  relayIceServersMax,
  reservationIdOf,
} from '@miaou/protocol'
import type { CloseReason } from '../interface.ts'
import { Link, type LinkOutput } from '../link.ts'
import type { LinkIdentity } from '../link-handshake.ts'
import { defaultLinkLimits, type LinkLimits } from '../link-limits.ts'
import type { PipeId, TransportEvent } from '../ports.ts'
import type { RelayServiceInput, RelayServiceOutput } from './interface.ts'
import { FillerLane } from './relay-service-circuit.ts'
import { ServedCircuits } from './relay-service-circuits.ts'
import { ServedClient } from './relay-service-client.ts'
import { RelayCounters } from './relay-service-counters.ts'
import { AddressGroups, parseClientAddress } from './relay-service-groups.ts'
import { defaultRelayLimits, type RelayLimits } from './relay-service-limits.ts'
import { ServedWays, type WaysOwner } from './relay-service-ways.ts'

export interface RelayServiceOptions {
  readonly crypto: Crypto
  readonly random: Random
  /** The service key: a pseudonym, so that relaying does not tell who runs it. */
  readonly identity: LinkIdentity
  readonly limits?: Partial<RelayLimits>
  readonly linkLimits?: Partial<LinkLimits>
  /** STUN and TURN servers on the relay's own host that clients are told; the first `relayIceServersMax` count. */
  readonly iceServers?: (now: Now) => readonly RelayIceServer[]
  /** Absent: no ways to services are offered. */
  readonly services?: {
    /** A number for a pipe to a service, unique among all pipes of this engine. */
    readonly nextPipe: () => PipeId
    /** How near services may be at most, whoever asks; default `loopback`: as near as who asks. */
    readonly nearest?: AddressScope
  }
}

/** What a relay shows of itself: numbers, nothing of whom. */
export interface RelayServiceView {
  readonly links: number
  readonly reservations: number
  readonly circuits: number
  /** Ways to services, those that are being dialled included. */
  readonly services: number
  /** Bytes in circuits, as clients sent them, since the start and since the day began. */
  readonly bytesPassed: number
  readonly bytesToday: number
  /** Bytes that wait for slow links. */
  readonly queuedBytes: number
  readonly terms: RelayTerms
}

type Opened = Extract<TransportEvent, { type: 'opened' }>

/**
 * The relay's half of circuits: keeps reservations under pseudonyms and passes bytes between links, fairly and within
 * its limits. It can read none of them, and keeps nothing of who talks to whom beyond the life of a circuit. Without
 * clock and I/O. Rules: spec/relay-service.md.
 */
export class RelayService implements WaysOwner {
  readonly #options: RelayServiceOptions
  readonly #limits: RelayLimits
  readonly #linkLimits: LinkLimits
  readonly #clients = new Map<PipeId, ServedClient>()
  readonly #handshaking = new Set<ServedClient>()
  /** Links by the name of their pseudonym, oldest first. */
  readonly #linksByName = new Map<string, Set<ServedClient>>()
  readonly #reservations = new Map<string, ServedClient>()
  readonly #circuits: ServedCircuits
  readonly #ways: ServedWays
  readonly #groups: AddressGroups
  readonly #counters = new RelayCounters()
  #outputs: RelayServiceOutput[] = []
  /** Of the call at hand. */
  #now: Now = { mono: 0, wall: 0 }
  #sweepAt = Number.POSITIVE_INFINITY
  #sweptAt = Number.NEGATIVE_INFINITY
  #dayEndsAt = Number.NEGATIVE_INFINITY
  #bytesToday = 0
  #bytesPassed = 0
  #isStopping = false

  constructor(options: RelayServiceOptions) {
    this.#options = options
    this.#limits = { ...defaultRelayLimits, ...options.limits }
    this.#linkLimits = { ...defaultLinkLimits, ...options.linkLimits }
    this.#groups = new AddressGroups(this.#limits.groupsMax)
    const shared = { owner: this, limits: this.#limits, counters: this.#counters }
    this.#circuits = new ServedCircuits(this, this.#limits, this.#counters)
    const { nextPipe, nearest = 'loopback' } = options.services ?? {}
    this.#ways = new ServedWays({ ...shared, circuits: this.#circuits, nextPipe, nearest })
  }

  /** Monotonic ms of the call at hand. */
  get mono(): number {
    return this.#now.mono
  }

  /** Every effect is in the returned list. Nothing that a client sends makes it throw. */
  handle(now: Now, input: RelayServiceInput): RelayServiceOutput[] {
    this.#outputs = []
    this.#now = now
    if (now.mono >= this.#dayEndsAt) this.#beginDay()
    switch (input.type) {
      case 'transport':
        this.#heard(input.event)
        break
      case 'drained':
        this.#drained(input.pipe)
        break
      case 'wake':
        break
      case 'stop':
        this.#stop()
        break
    }
    if (now.mono >= this.#sweepAt) this.#sweep()
    this.#ways.sweep()
    this.#circuits.scheduler.run(now.mono)
    return this.#outputs
  }

  /** Monotonic ms of the next wake, Infinity for none. */
  deadline(): number {
    return Math.min(this.#sweepAt, this.#ways.deadline(), this.#circuits.scheduler.deadline())
  }

  counters(): Readonly<Record<string, number>> {
    return this.#counters.snapshot()
  }

  view(): RelayServiceView {
    return {
      links: this.#clients.size,
      reservations: this.#reservations.size,
      circuits: this.#circuits.count,
      services: this.#ways.count,
      bytesPassed: this.#bytesPassed,
      bytesToday: this.#bytesToday,
      queuedBytes: this.#circuits.queuedBytes,
      terms: this.#terms(),
    }
  }

  #heard(event: TransportEvent): void {
    if (this.#ways.owns(event.pipe)) {
      this.#ways.heard(event)
      return
    }
    if (event.type === 'opened') {
      // A service that answers after it was given up.
      if (event.direction === 'out') this.emit({ type: 'close', pipe: event.pipe })
      else this.#admit(event)
      return
    }
    const client = this.#clients.get(event.pipe)
    if (client === undefined) {
      if (event.type === 'message') this.#counters.count('unknown-pipe')
      return
    }
    if (event.type === 'message') this.#take(client, client.link.receive(this.#now, event.channel, event.bytes))
    if (event.type === 'closed') {
      client.link.pipeClosed()
      this.#forget(client)
    }
    this.#watch(client)
  }

  #admit(event: Opened): void {
    const { clientsMax, clientsPerGroupMax, handshakesMax } = this.#limits
    const address = parseClientAddress(event.remoteAddress)
    const isFull = this.#clients.size >= clientsMax || this.#groups.countOf(address.group) >= clientsPerGroupMax
    if (isFull || this.#isStopping) {
      this.#counters.count('links-refused')
      this.#outputs.push({ type: 'close', pipe: event.pipe })
      return
    }
    if (this.#handshaking.size >= handshakesMax) {
      const [oldest] = this.#handshaking
      if (oldest !== undefined) this.#cut(oldest)
      this.#counters.count('handshakes-dropped')
    }
    const { crypto, random, identity } = this.#options
    const link = new Link(
      {
        crypto,
        random,
        identity,
        features: [],
        role: 'responder',
        padded: event.padded,
        expected: undefined,
        binding: event.binding,
        pseudonymsAdmitted: true,
        channels: event.channels,
        limits: this.#linkLimits,
      },
      this.#now,
    )
    const group = this.#groups.enter(address.group)
    const client = new ServedClient(event.pipe, link, address, group, this.#now.mono, this.#limits)
    this.#clients.set(event.pipe, client)
    this.#handshaking.add(client)
    this.#counters.count('links-accepted')
    this.#watch(client)
  }

  /** Carries out what a link says. */
  #take(client: ServedClient, outputs: readonly LinkOutput[]): void {
    for (const output of outputs) {
      // The link may have ended meanwhile, with the rest of its outputs.
      if (!this.#clients.has(client.pipe)) return
      switch (output.type) {
        case 'write':
          client.sent(output.bytes.length)
          this.#outputs.push({ type: 'write', pipe: client.pipe, channel: output.channel, bytes: output.bytes })
          if (client.unsent > this.#limits.unsentCutMax) this.#cut(client)
          break
        case 'proven':
          this.#prove(client)
          break
        case 'up':
          client.isUp = true
          client.uselessSince = this.#now.mono
          this.#handshaking.delete(client)
          break
        case 'frame':
          this.#receive(client, output.frameType, output.payload)
          break
        case 'refused':
          this.#counters.count('bad-messages')
          break
        case 'remote-retired':
          this.#end(client, 'bye')
          break
        case 'ended':
          if (!client.isUp) this.#counters.count('handshakes-failed')
          this.#outputs.push({ type: 'close', pipe: client.pipe })
          this.#forget(client)
          break
        case 'pong':
          break
      }
    }
  }

  /** A client shows a pseudonym; who shows a device by mistake is not let in, so that nobody learns it. */
  #prove(client: ServedClient): void {
    const { peer } = client.link
    if (peer?.certificate.kind !== 'pseudonym') {
      this.#counters.count('devices-refused')
      this.#take(client, client.link.refuse(this.#now, 'protocol-error'))
      return
    }
    const id = reservationIdOf(peerIdToKey(peer.peerId), (bytes) => this.#options.crypto.sha256(bytes))
    const name = bytesToHex(id)
    const links = this.#linksByName.get(name) ?? new Set()
    if (links.size >= this.#limits.linksPerClientMax) {
      const [oldest] = links
      this.#counters.count('links-displaced')
      if (oldest !== undefined) this.#end(oldest, 'bye')
    }
    client.name = name
    // Anew: ending the oldest may have emptied the entry.
    this.#linksByName.set(name, (this.#linksByName.get(name) ?? links).add(client))
    this.#take(client, client.link.accept(this.#now))
    // Its name is all that is kept of a client.
    client.link.forgetPeer()
  }

  #receive(client: ServedClient, frameType: FrameType, payload: Uint8Array): void {
    if (frameType === frameTypes.circuitData) {
      this.#receiveData(client, payload)
      return
    }
    const decoded = frameType === frameTypes.relayControl ? decodeRelayMessage(payload) : undefined
    if (decoded?.ok !== true) {
      this.#bad(client, 'bad-messages')
      return
    }
    const message = decoded.value
    switch (message.type) {
      case 'credit':
        if (this.#ways.receiveCredit(client, message.circuit, message.bytes)) return
        this.#circuits.receiveCredit(client, message.circuit, message.bytes)
        return
      case 'close':
        if (this.#ways.receiveClose(client, message.circuit)) return
        this.#circuits.receiveClose(client, message.circuit, message.reason)
        return
      case 'reserve':
      case 'open':
      case 'open-service':
      case 'measure-down':
      case 'measure-up':
        this.#receiveRequest(client, message)
        return
      case 'release':
        this.#release(client)
        return
      default:
        // What only a relay says.
        this.#bad(client, 'bad-messages')
        return
    }
  }

  #receiveRequest(
    client: ServedClient,
    message: Extract<RelayMessage, { type: 'reserve' | 'open' | 'open-service' | 'measure-down' | 'measure-up' }>,
  ): void {
    if (!client.messages.take(this.#now.mono)) {
      this.refuse(client, message.request, 'busy', 1)
      this.#bad(client, 'floods')
      return
    }
    switch (message.type) {
      case 'reserve':
        this.#reserve(client, message.request)
        return
      case 'open':
        this.#circuits.open(client, message.request, this.#reservations.get(bytesToHex(message.reservation)))
        return
      case 'open-service':
        this.#ways.open(client, message.request, message.url)
        return
      case 'measure-down':
        this.#measureDown(client, message.request, message.bytes)
        return
      case 'measure-up':
        this.say(client, { type: 'measured', request: message.request, bytes: client.fillerReceived })
        client.fillerReceived = 0
    }
  }

  #reserve(client: ServedClient, request: number): void {
    const { reservationsMax, reservationsPerGroupMax, reservationMs } = this.#limits
    const { name } = client
    if (name === undefined) return
    const holder = this.#reservations.get(name)
    // Who took over from a link of its own takes its place, too.
    const isNew = holder === undefined
    const isFull = this.#reservations.size >= reservationsMax || client.group.reservations >= reservationsPerGroupMax
    if (isNew && isFull) {
      this.#counters.count('reservations-refused')
      this.refuse(client, request, 'too-many-reservations', retrySeconds)
      return
    }
    if (holder !== client) {
      if (holder !== undefined) this.#release(holder)
      this.#reservations.set(name, client)
      client.group.reservations += 1
      this.#counters.count('reservations-made')
    }
    client.reservedUntil = this.#now.mono + reservationMs
    this.say(client, {
      type: 'reserved',
      request,
      expiresIn: Math.floor(reservationMs / 1_000),
      timestamp: Math.max(0, Math.trunc(this.#now.wall)),
      observed: client.address.observed,
      limits: this.#terms(),
      iceServers: (this.#options.iceServers?.(this.#now) ?? []).slice(0, relayIceServersMax),
    })
  }

  #release(client: ServedClient): void {
    if (client.name === undefined || this.#reservations.get(client.name) !== client) return
    this.#reservations.delete(client.name)
    client.group.reservations -= 1
    client.reservedUntil = 0
    client.uselessSince = this.#now.mono
  }

  #receiveData(client: ServedClient, encoded: Uint8Array): void {
    const decoded = decodeCircuitData(encoded)
    if (!decoded.ok) {
      this.#bad(client, 'bad-messages')
      return
    }
    const { circuit, bytes } = decoded.value
    if (circuit === fillerCircuit) this.#receiveFiller(client, bytes.length)
    else if (!this.#ways.receiveData(client, decoded.value))
      this.#circuits.receiveData(client, circuit, encoded, bytes.length)
  }

  #receiveFiller(client: ServedClient, size: number): void {
    const { measureBytesMax, measureIntervalMs } = this.#limits
    if (this.#now.mono - client.fillerAt >= measureIntervalMs) {
      client.fillerAt = this.#now.mono
      client.fillerOfInterval = 0
    }
    client.fillerReceived += size
    client.fillerOfInterval += size
    // Twice: two measurements may fall into one interval.
    if (client.fillerOfInterval > 2 * measureBytesMax || !this.spend(client, size)) this.#end(client, 'protocol-error')
  }

  #measureDown(client: ServedClient, request: number, bytes: number): void {
    const { measureBytesMax, measureIntervalMs } = this.#limits
    const waitMs = client.measuredAt + measureIntervalMs - this.#now.mono
    if (bytes === 0 || bytes > measureBytesMax || waitMs > 0 || this.isSpent(client)) {
      this.#counters.count('measurements-refused')
      const reason = waitMs > 0 ? 'busy' : this.isSpent(client) ? 'quota' : 'not-offered'
      this.refuse(client, request, reason, Math.max(1, Math.ceil(waitMs / 1_000)))
      return
    }
    this.#counters.count('measurements')
    client.measuredAt = this.#now.mono
    this.spend(client, bytes)
    this.#circuits.scheduler.add(
      new FillerLane(client, bytes, this.#circuits.ratesOf(client, undefined), this.#circuits),
    )
  }

  stray(client: ServedClient, cost: number): void {
    // It was under way when the relay closed the circuit, or it is garbage.
    if (client.isForgiven(cost)) this.#counters.count('stray-messages')
    else this.#bad(client, 'bad-messages')
  }

  sendData(client: ServedClient, encoded: Uint8Array): void {
    this.#sendFrame(client, frameTypes.circuitData, encoded)
  }

  #bad(client: ServedClient, name: 'bad-messages' | 'floods'): void {
    this.#counters.count(name)
    client.badMessages += 1
    if (client.badMessages >= this.#limits.badMessagesMax) this.#end(client, 'protocol-error')
  }

  spend(client: ServedClient, bytes: number): boolean {
    if (this.isSpent(client)) return false
    client.group.bytesToday += bytes
    this.#bytesToday += bytes
    this.#bytesPassed += bytes
    return true
  }

  isSpent(client: ServedClient): boolean {
    const { groupBytesPerDay, bytesPerDay } = this.#limits
    if (bytesPerDay > 0 && this.#bytesToday >= bytesPerDay) return true
    return groupBytesPerDay > 0 && client.group.bytesToday >= groupBytesPerDay
  }

  #beginDay(): void {
    this.#dayEndsAt = this.#now.mono + this.#limits.dayMs
    this.#bytesToday = 0
    this.#groups.newDay()
  }

  #drained(pipe: PipeId): void {
    const client = this.#clients.get(pipe)
    if (client === undefined) {
      this.#ways.drained(pipe)
      return
    }
    client.drained()
    this.#circuits.drained(client)
    this.#ways.clientDrained(client)
  }

  /** For ways to services. */
  emit(output: RelayServiceOutput): void {
    this.#outputs.push(output)
  }

  /** For circuits and ways, as what follows. */
  say(client: ServedClient, message: RelayMessage): void {
    this.#sendFrame(client, frameTypes.relayControl, encodeRelayMessage(message))
  }

  refuse(client: ServedClient, request: number, reason: RelayRefusal, retryIn?: number): void {
    const untilTomorrow = Math.ceil((this.#dayEndsAt - this.#now.mono) / 1_000)
    this.#answerNo(client, request, reason, retryIn ?? (reason === 'quota' ? untilTomorrow : retrySeconds))
  }

  #answerNo(client: ServedClient, request: number, reason: RelayRefusal, retryIn: number): void {
    this.say(client, { type: 'refused', request, reason, retryIn })
  }

  #sendFrame(client: ServedClient, frameType: FrameType, payload: Uint8Array): void {
    if (!client.link.isUp) return
    this.#take(client, client.link.send(this.#now, frameType, payload, false) ?? [])
    this.#watch(client)
  }

  /** Closes a link with a word. */
  #end(client: ServedClient, reason: CloseReason): void {
    if (this.#clients.has(client.pipe)) this.#take(client, client.link.close(this.#now, reason))
  }

  /** Closes a link without a word: it would not be read. */
  #cut(client: ServedClient): void {
    this.#counters.count('links-cut')
    client.link.pipeClosed()
    this.#outputs.push({ type: 'close', pipe: client.pipe })
    this.#forget(client)
  }

  #forget(client: ServedClient): void {
    if (!this.#clients.delete(client.pipe)) return
    this.#handshaking.delete(client)
    this.#release(client)
    for (const end of [...client.ends.values()]) this.#circuits.leave(end, this.#isStopping ? 'shutdown' : 'peer-gone')
    this.#ways.leave(client)
    this.#circuits.scheduler.forget(client)
    this.#groups.leave(client.address.group, client.group)
    const links = client.name === undefined ? undefined : this.#linksByName.get(client.name)
    links?.delete(client)
    if (links?.size === 0 && client.name !== undefined) this.#linksByName.delete(client.name)
  }

  #stop(): void {
    this.#isStopping = true
    this.#circuits.stop()
    this.#ways.stop()
    for (const client of [...this.#clients.values()]) this.#end(client, 'shutdown')
  }

  #terms(): RelayTerms {
    const { circuitsPerClientMax, circuitBytesPerSecond, groupBytesPerDay } = this.#limits
    return {
      circuitsMax: circuitsPerClientMax,
      bytesPerSecond: circuitBytesPerSecond,
      bytesPerDay: groupBytesPerDay,
    }
  }

  /** A timer of this client may be due earlier than what is looked at next. */
  #watch(client: ServedClient): void {
    const dueAt = Math.min(client.link.deadline(), this.#dueAt(client))
    if (dueAt < this.#sweepAt) this.#sweepAt = Math.max(dueAt, this.#sweptAt + this.#limits.sweepMs)
  }

  /** When the client itself, not its link, has something due. */
  #dueAt(client: ServedClient): number {
    const { uselessMs, sweepMs } = this.#limits
    if (!client.isUp) return Number.POSITIVE_INFINITY
    // Circuits have their own times, which are looked at once a while.
    if (!client.isUnused) return this.#now.mono + 10 * sweepMs
    return client.reservedUntil > 0 ? client.reservedUntil : client.uselessSince + uselessMs
  }

  #sweep(): void {
    const { mono } = this.#now
    const { uselessMs } = this.#limits
    this.#sweptAt = mono
    this.#sweepAt = Number.POSITIVE_INFINITY
    this.#circuits.sweep()
    for (const client of [...this.#clients.values()]) {
      if (client.link.deadline() <= mono) this.#take(client, client.link.wake(this.#now))
      if (!this.#clients.has(client.pipe)) continue
      if (client.reservedUntil > 0 && !client.isReserved(mono)) {
        this.#counters.count('reservations-expired')
        this.#release(client)
      }
      const isUseless = client.isUp && client.reservedUntil === 0 && client.isUnused
      if (isUseless && mono >= client.uselessSince + uselessMs) {
        this.#counters.count('links-useless')
        this.#end(client, 'bye')
      } else {
        this.#watch(client)
      }
    }
  }
}

/** When to ask again for what is full now, seconds (guess). */
const retrySeconds = 60
