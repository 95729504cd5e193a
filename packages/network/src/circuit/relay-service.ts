import { bytesToHex, type Now, peerIdToKey, type Random } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import {
  type CircuitCloseReason,
  circuitChunkCost,
  circuitChunkCostMin,
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
  writeCircuit,
} from '@miaou/protocol'
import type { CloseReason } from '../interface.ts'
import { Link, type LinkOutput } from '../link.ts'
import type { LinkIdentity } from '../link-handshake.ts'
import { defaultLinkLimits, type LinkLimits } from '../link-limits.ts'
import type { PipeId, TransportEvent } from '../ports.ts'
import type { RelayServiceInput, RelayServiceOutput } from './interface.ts'
import { CircuitEnd, FillerLane, type LaneOwner, type RelayCircuit } from './relay-service-circuit.ts'
import { ServedClient } from './relay-service-client.ts'
import { RelayCounters } from './relay-service-counters.ts'
import { AddressGroups, parseClientAddress } from './relay-service-groups.ts'
import { defaultRelayLimits, type RelayLimits } from './relay-service-limits.ts'
import { ByteRate } from './relay-service-rate.ts'
import { RelayScheduler } from './relay-service-scheduler.ts'

export interface RelayServiceOptions {
  readonly crypto: Crypto
  readonly random: Random
  /** The service key: a pseudonym, so that relaying does not tell who runs it. */
  readonly identity: LinkIdentity
  readonly limits?: Partial<RelayLimits>
  readonly linkLimits?: Partial<LinkLimits>
  /** STUN and TURN servers on the relay's own host that clients are told; the first `relayIceServersMax` count. */
  readonly iceServers?: (now: Now) => readonly RelayIceServer[]
}

/** What a relay shows of itself: numbers, nothing of whom. */
export interface RelayServiceView {
  readonly links: number
  readonly reservations: number
  readonly circuits: number
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
export class RelayService implements LaneOwner {
  readonly #options: RelayServiceOptions
  readonly #limits: RelayLimits
  readonly #linkLimits: LinkLimits
  readonly #clients = new Map<PipeId, ServedClient>()
  readonly #handshaking = new Set<ServedClient>()
  /** Links by the name of their pseudonym, oldest first. */
  readonly #linksByName = new Map<string, Set<ServedClient>>()
  readonly #reservations = new Map<string, ServedClient>()
  readonly #circuits = new Map<RelayCircuit, readonly CircuitEnd[]>()
  readonly #groups: AddressGroups
  readonly #scheduler: RelayScheduler
  readonly #counters = new RelayCounters()
  readonly #rate: ByteRate | undefined
  #outputs: RelayServiceOutput[] = []
  /** Of the call at hand. */
  #now: Now = { mono: 0, wall: 0 }
  #sweepAt = Number.POSITIVE_INFINITY
  #sweptAt = Number.NEGATIVE_INFINITY
  #dayEndsAt = Number.NEGATIVE_INFINITY
  #bytesToday = 0
  #bytesPassed = 0
  #queuedBytes = 0
  #isStopping = false

  constructor(options: RelayServiceOptions) {
    this.#options = options
    this.#limits = { ...defaultRelayLimits, ...options.limits }
    this.#linkLimits = { ...defaultLinkLimits, ...options.linkLimits }
    const { groupsMax, quantum, bytesPerSecond } = this.#limits
    this.#groups = new AddressGroups(groupsMax)
    this.#scheduler = new RelayScheduler(quantum)
    this.#rate = bytesPerSecond === 0 ? undefined : new ByteRate(bytesPerSecond)
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
    this.#scheduler.run(now.mono)
    return this.#outputs
  }

  /** Monotonic ms of the next wake, Infinity for none. */
  deadline(): number {
    return Math.min(this.#sweepAt, this.#scheduler.deadline())
  }

  counters(): Readonly<Record<string, number>> {
    return this.#counters.snapshot()
  }

  view(): RelayServiceView {
    return {
      links: this.#clients.size,
      reservations: this.#reservations.size,
      circuits: this.#circuits.size,
      bytesPassed: this.#bytesPassed,
      bytesToday: this.#bytesToday,
      queuedBytes: this.#queuedBytes,
      terms: this.#terms(),
    }
  }

  /** Of lanes; not to be called by others. */
  sendChunk(client: ServedClient, encoded: Uint8Array): void {
    if (encoded[3] !== fillerCircuit || encoded[2] !== 0 || encoded[1] !== 0 || encoded[0] !== 0) {
      this.#queuedBytes -= circuitChunkCost(encoded.length - 5)
    }
    this.#sendFrame(client, frameTypes.circuitData, encoded)
  }

  /** Of lanes; not to be called by others. */
  emptied(end: CircuitEnd): void {
    this.#endCircuitAt(end, end.closing ?? 'bye')
  }

  #heard(event: TransportEvent): void {
    if (event.type === 'opened') {
      this.#admit(event)
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
        this.#receiveCredit(client, message.circuit, message.bytes)
        return
      case 'close':
        this.#receiveClose(client, message.circuit, message.reason)
        return
      case 'reserve':
      case 'open':
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
    message: Extract<RelayMessage, { type: 'reserve' | 'open' | 'measure-down' | 'measure-up' }>,
  ): void {
    if (!client.messages.take(this.#now.mono)) {
      this.#refuse(client, message.request, 'busy', 1)
      this.#bad(client, 'floods')
      return
    }
    switch (message.type) {
      case 'reserve':
        this.#reserve(client, message.request)
        return
      case 'open':
        this.#open(client, message.request, bytesToHex(message.reservation))
        return
      case 'measure-down':
        this.#measureDown(client, message.request, message.bytes)
        return
      case 'measure-up':
        this.#say(client, { type: 'measured', request: message.request, bytes: client.fillerReceived })
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
      this.#refuse(client, request, 'too-many-reservations', retrySeconds)
      return
    }
    if (holder !== client) {
      if (holder !== undefined) this.#release(holder)
      this.#reservations.set(name, client)
      client.group.reservations += 1
      this.#counters.count('reservations-made')
    }
    client.reservedUntil = this.#now.mono + reservationMs
    this.#say(client, {
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

  #open(client: ServedClient, request: number, reservation: string): void {
    const holder = this.#reservations.get(reservation)
    const refusal = this.#whyNotOpen(client, holder)
    if (refusal !== undefined || holder === undefined) {
      this.#counters.count('circuits-refused')
      const retryIn = refusal === 'quota' ? Math.ceil((this.#dayEndsAt - this.#now.mono) / 1_000) : retrySeconds
      this.#refuse(client, request, refusal ?? 'no-reservation', retryIn)
      return
    }
    const { windowSize, circuitBytesPerSecond } = this.#limits
    const { mono } = this.#now
    const rate = circuitBytesPerSecond === 0 ? undefined : new ByteRate(circuitBytesPerSecond)
    const circuit: RelayCircuit = { openedAt: mono, rate, usedAt: mono }
    const end = new CircuitEnd(circuit, client, windowSize, this)
    client.ends.set(end.number, end)
    const other = new CircuitEnd(circuit, holder, windowSize, this)
    holder.ends.set(other.number, other)
    end.other = other
    other.other = end
    end.rates = this.#ratesOf(holder, rate)
    other.rates = this.#ratesOf(client, rate)
    client.group.circuits += 1
    holder.group.circuits += 1
    this.#circuits.set(circuit, [end, other])
    this.#counters.count('circuits-opened')
    this.#say(client, { type: 'opened', request, circuit: end.number, window: windowSize })
    this.#say(holder, { type: 'incoming', circuit: other.number, window: windowSize })
  }

  #whyNotOpen(client: ServedClient, holder: ServedClient | undefined): RelayRefusal | undefined {
    const { circuitsMax, circuitsPerClientMax, circuitsPerGroupMax, circuitsPerPairMax } = this.#limits
    // A peer that calls itself has lost its way.
    if (holder === undefined || holder === client || !holder.isReserved(this.#now.mono)) return 'no-reservation'
    if (this.#isSpent(client) || this.#isSpent(holder)) return 'quota'
    if (client.ends.size >= circuitsPerClientMax || client.group.circuits >= circuitsPerGroupMax) {
      return 'too-many-circuits'
    }
    let fromGroup = 0
    for (const end of holder.ends.values()) if (end.other?.client.group === client.group) fromGroup += 1
    if (fromGroup >= circuitsPerPairMax) return 'too-many-circuits'
    if (holder.ends.size >= circuitsPerClientMax || holder.group.circuits >= circuitsPerGroupMax) return 'busy'
    return this.#circuits.size >= circuitsMax ? 'busy' : undefined
  }

  #ratesOf(sender: ServedClient, circuit: ByteRate | undefined): readonly ByteRate[] {
    return [circuit, sender.rate, this.#rate].filter((rate) => rate !== undefined)
  }

  #receiveData(client: ServedClient, encoded: Uint8Array): void {
    const decoded = decodeCircuitData(encoded)
    if (!decoded.ok) {
      this.#bad(client, 'bad-messages')
      return
    }
    const { circuit: number, bytes } = decoded.value
    if (number === fillerCircuit) {
      this.#receiveFiller(client, bytes.length)
      return
    }
    const cost = circuitChunkCost(bytes.length)
    const end = client.ends.get(number)
    const other = end?.other
    if (end === undefined || other === undefined || end.closing !== undefined) {
      this.#stray(client, cost)
      return
    }
    end.window -= cost
    if (end.window < 0) {
      this.#abort(end, 'flow-control')
      return
    }
    if (!this.#spend(client, bytes.length)) {
      this.#abort(end, 'quota')
      return
    }
    if (this.#isOverfull(other, cost)) {
      this.#abort(end, 'busy')
      return
    }
    end.hasSent = true
    end.circuit.usedAt = this.#now.mono
    // The payload is an array of this frame's own: it goes on as it is, under the other link's number.
    writeCircuit(encoded, other.number)
    other.push(encoded)
    this.#queuedBytes += cost
    this.#scheduler.add(other)
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
    if (client.fillerOfInterval > 2 * measureBytesMax || !this.#spend(client, size)) this.#end(client, 'protocol-error')
  }

  #receiveCredit(client: ServedClient, number: number, bytes: number): void {
    const end = client.ends.get(number)
    const other = end?.other
    if (end === undefined || other === undefined) {
      this.#stray(client, circuitChunkCostMin)
      return
    }
    if (bytes < circuitChunkCostMin || bytes > end.outstanding) {
      this.#abort(end, 'flow-control')
      return
    }
    end.outstanding -= bytes
    // The other client is gone or has closed: nobody is left to send more.
    if (end.closing !== undefined) return
    other.window += bytes
    other.creditWaiting += bytes
    if (other.client.isLate) other.client.creditsWaiting.add(other)
    else this.#passCredit(other)
  }

  #passCredit(end: CircuitEnd): void {
    const bytes = end.creditWaiting
    end.creditWaiting = 0
    if (bytes > 0) this.#say(end.client, { type: 'credit', circuit: end.number, bytes })
  }

  #receiveClose(client: ServedClient, number: number, reason: CircuitCloseReason): void {
    const end = client.ends.get(number)
    if (end === undefined) {
      this.#stray(client, circuitChunkCostMin)
      return
    }
    this.#leave(end, passedOn(reason))
  }

  #measureDown(client: ServedClient, request: number, bytes: number): void {
    const { measureBytesMax, measureIntervalMs } = this.#limits
    const waitMs = client.measuredAt + measureIntervalMs - this.#now.mono
    if (bytes === 0 || bytes > measureBytesMax || waitMs > 0 || this.#isSpent(client)) {
      this.#counters.count('measurements-refused')
      const reason = waitMs > 0 ? 'busy' : this.#isSpent(client) ? 'quota' : 'not-offered'
      this.#refuse(client, request, reason, Math.max(1, Math.ceil(waitMs / 1_000)))
      return
    }
    this.#counters.count('measurements')
    client.measuredAt = this.#now.mono
    this.#spend(client, bytes)
    this.#scheduler.add(new FillerLane(client, bytes, this.#ratesOf(client, undefined), this))
  }

  /** Something for a circuit that is not there: it was under way when the relay closed it, or it is garbage. */
  #stray(client: ServedClient, cost: number): void {
    if (client.isForgiven(cost)) this.#counters.count('stray-messages')
    else this.#bad(client, 'bad-messages')
  }

  #bad(client: ServedClient, name: 'bad-messages' | 'floods'): void {
    this.#counters.count(name)
    client.badMessages += 1
    if (client.badMessages >= this.#limits.badMessagesMax) this.#end(client, 'protocol-error')
  }

  /** Counts what a client sends; false where the bytes of the day are used up. */
  #spend(client: ServedClient, bytes: number): boolean {
    if (this.#isSpent(client)) return false
    client.group.bytesToday += bytes
    this.#bytesToday += bytes
    this.#bytesPassed += bytes
    return true
  }

  #isSpent(client: ServedClient): boolean {
    const { groupBytesPerDay, bytesPerDay } = this.#limits
    if (bytesPerDay > 0 && this.#bytesToday >= bytesPerDay) return true
    return groupBytesPerDay > 0 && client.group.bytesToday >= groupBytesPerDay
  }

  #isOverfull(other: CircuitEnd, cost: number): boolean {
    const { queuedBytesMax } = this.#limits
    const total = this.#queuedBytes + cost
    if (total <= queuedBytesMax) return false
    return total > 2 * queuedBytesMax || other.queued > total / this.#circuits.size
  }

  #beginDay(): void {
    this.#dayEndsAt = this.#now.mono + this.#limits.dayMs
    this.#bytesToday = 0
    this.#groups.newDay()
  }

  /** The client of `end` says or hears no more of the circuit; the other one gets what waits, then the reason. */
  #leave(end: CircuitEnd, reason: CircuitCloseReason): void {
    const { other } = end
    this.#removeEnd(end)
    if (other === undefined || other.closing !== undefined || !other.client.ends.has(other.number)) return
    other.closing = reason
    if (other.nextCost() === 0) this.#endCircuitAt(other, reason)
  }

  /** Ends the circuit at both ends at once; what waits is dropped. */
  #abort(end: CircuitEnd, reason: CircuitCloseReason): void {
    const name = closedNames[reason]
    if (name !== undefined) this.#counters.count(name)
    for (const each of [end, end.other]) if (each !== undefined) this.#endCircuitAt(each, reason)
  }

  #endCircuitAt(end: CircuitEnd, reason: CircuitCloseReason): void {
    if (end.client.ends.get(end.number) !== end) return
    end.client.forgive(end)
    this.#removeEnd(end)
    this.#say(end.client, { type: 'close', circuit: end.number, reason })
  }

  #removeEnd(end: CircuitEnd): void {
    const { client, circuit } = end
    if (client.ends.get(end.number) !== end) return
    client.ends.delete(end.number)
    client.creditsWaiting.delete(end)
    client.group.circuits -= 1
    if (client.ends.size === 0) client.uselessSince = this.#now.mono
    this.#scheduler.remove(end)
    this.#queuedBytes -= end.queued
    end.clear()
    const isOtherGone = end.other?.client.ends.get(end.other.number) !== end.other
    if (isOtherGone && this.#circuits.delete(circuit)) this.#counters.count('circuits-closed')
  }

  #drained(pipe: PipeId): void {
    const client = this.#clients.get(pipe)
    if (client === undefined) return
    client.drained()
    const waiting = [...client.creditsWaiting]
    client.creditsWaiting.clear()
    for (const end of waiting) this.#passCredit(end)
    this.#scheduler.drained(client)
  }

  #say(client: ServedClient, message: RelayMessage): void {
    this.#sendFrame(client, frameTypes.relayControl, encodeRelayMessage(message))
  }

  #refuse(client: ServedClient, request: number, reason: RelayRefusal, retryIn: number): void {
    this.#say(client, { type: 'refused', request, reason, retryIn })
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
    for (const end of [...client.ends.values()]) this.#leave(end, this.#isStopping ? 'shutdown' : 'peer-gone')
    this.#scheduler.forget(client)
    this.#groups.leave(client.address.group, client.group)
    const links = client.name === undefined ? undefined : this.#linksByName.get(client.name)
    links?.delete(client)
    if (links?.size === 0 && client.name !== undefined) this.#linksByName.delete(client.name)
  }

  #stop(): void {
    this.#isStopping = true
    for (const [end] of [...this.#circuits.values()]) if (end !== undefined) this.#abort(end, 'shutdown')
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
    if (client.reservedUntil > 0) return client.reservedUntil
    // Circuits are looked at whenever something else is due, and once a while.
    return client.ends.size > 0 ? this.#now.mono + 10 * sweepMs : client.uselessSince + uselessMs
  }

  #sweep(): void {
    const { mono } = this.#now
    const { answerMs, idleMs, uselessMs } = this.#limits
    this.#sweptAt = mono
    this.#sweepAt = Number.POSITIVE_INFINITY
    for (const [circuit, ends] of [...this.#circuits]) {
      const isAnswered = ends.every(({ hasSent }) => hasSent)
      const isIdle = mono >= circuit.usedAt + idleMs || (!isAnswered && mono >= circuit.openedAt + answerMs)
      if (isIdle) for (const end of ends) this.#abortOnce(circuit, end)
    }
    for (const client of [...this.#clients.values()]) {
      if (client.link.deadline() <= mono) this.#take(client, client.link.wake(this.#now))
      if (!this.#clients.has(client.pipe)) continue
      if (client.reservedUntil > 0 && !client.isReserved(mono)) {
        this.#counters.count('reservations-expired')
        this.#release(client)
      }
      const isUseless = client.isUp && client.reservedUntil === 0 && client.ends.size === 0
      if (isUseless && mono >= client.uselessSince + uselessMs) {
        this.#counters.count('links-useless')
        this.#end(client, 'bye')
      } else {
        this.#watch(client)
      }
    }
  }

  #abortOnce(circuit: RelayCircuit, end: CircuitEnd): void {
    if (this.#circuits.has(circuit)) this.#abort(end, 'idle')
  }
}

/** When to ask again for what is full now, seconds (guess). */
const retrySeconds = 60

const closedNames: Partial<
  Record<CircuitCloseReason, 'closed-flow-control' | 'closed-quota' | 'closed-idle' | 'closed-busy'>
> = { 'flow-control': 'closed-flow-control', quota: 'closed-quota', idle: 'closed-idle', busy: 'closed-busy' }

/** What a client gives as its reason must not sound like a word of the relay's. */
function passedOn(reason: CircuitCloseReason): CircuitCloseReason {
  return reason === 'busy' || reason === 'protocol-error' || reason === 'flow-control' ? reason : 'bye'
}
