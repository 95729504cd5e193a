import { assert, type Jitter, type Now, type Random, TokenBucket } from '@miaou/core'
import { type Crypto, type KeyPair, writeNoiseNonce } from '@miaou/crypto'
import { type Endpoint, packAddress, packedEndpointSizeV6 } from '@miaou/protocol'
import { DatagramsCounters } from './datagrams-counters.ts'
import { type DatagramsLimits, defaultDatagramsLimits } from './datagrams-limits.ts'
import { IncomingHandshakes, type Responded } from './incoming-handshakes.ts'
import type { DatagramsInput, DatagramsOutput } from './interface.ts'
import { networkOf, ownMachine } from './network-name.ts'
import { NetworkRates } from './network-rates.ts'
import { type FinishedHandshake, type HandshakeContext, OutgoingHandshakes } from './outgoing-handshakes.ts'
import { type NewSession, SessionTable } from './session-table.ts'
import {
  cookieReply,
  data,
  datagramBytesMax,
  datagramType,
  dataPayloadMax,
  hint,
  opener,
  openingPayloadMax,
  readU32,
  readU64,
  response,
  writeU32,
  writeU64,
} from './wire.ts'

type SendInput = Extract<DatagramsInput, { type: 'send' }>
type AnswerInput = Extract<DatagramsInput, { type: 'answer' }>

export interface SecureDatagramsOptions {
  readonly crypto: Crypto
  readonly random: Random
  /** The node's overlay key (X25519). */
  readonly staticKey: KeyPair
  /** Whether a payload may travel inside a first datagram: checked where it arrives. */
  readonly opens: (payload: Uint8Array) => boolean
  readonly limits?: Partial<DatagramsLimits>
  /** Spreads repetitions; without it they come on the dot. */
  readonly jitter?: Jitter
}

/** What the engine holds at the moment. */
export interface DatagramsHeld {
  readonly sessions: number
  readonly pending: number
  readonly owed: number
  readonly prefixes: number
  readonly responses: number
  readonly ephemerals: number
}

const empty = new Uint8Array(0)
// Of one key at one endpoint: the session in use and the one that it has replaced (WireGuard §6.3).
const sessionsPerPeerMax = 2

/**
 * Sealed datagrams of at most 1,200 bytes between nodes that know each other's key: `spec/datagrams.md`. A session per
 * key and endpoint, made by a Noise IK handshake that carries the first request and its answer.
 *
 * A `message` of an initiation is answered by an `answer` before the next `wake`, which sends what is owed without one:
 * `deadline` is then in the past. No input throws, whatever a peer sent.
 */
export class SecureDatagrams {
  readonly #crypto: Crypto
  readonly #random: Random
  readonly #limits: DatagramsLimits
  readonly #opens: (payload: Uint8Array) => boolean
  readonly #counters = new DatagramsCounters()
  readonly #sessions: SessionTable
  readonly #messages: NetworkRates
  readonly #outgoing: OutgoingHandshakes
  readonly #incoming: IncomingHandshakes
  readonly #hints: TokenBucket
  #sweepAt = Number.POSITIVE_INFINITY
  #owedSince = Number.POSITIVE_INFINITY
  readonly #key = new Uint32Array(8)
  readonly #keyBytes = new Uint8Array(this.#key.buffer)
  readonly #nonce = new Uint8Array(12)
  readonly #source: { readonly bytes: Uint8Array; size: 6 | 18 } = {
    bytes: new Uint8Array(packedEndpointSizeV6),
    size: 6,
  }

  constructor(options: SecureDatagramsOptions) {
    this.#crypto = options.crypto
    this.#random = options.random
    this.#opens = options.opens
    this.#limits = { ...defaultDatagramsLimits, ...options.limits }
    const { crypto, random, staticKey, jitter = { next: () => 0.5 } } = options
    const [limits, counters] = [this.#limits, this.#counters]
    const context: HandshakeContext = { crypto, random, jitter, staticKey, limits, counters }
    const { sessionsMax, unprovenMax, prefixSessionsMax } = limits
    this.#sessions = new SessionTable(sessionsMax, unprovenMax, prefixSessionsMax, random.bytes(32))
    const { prefixMessagesPerSecond, prefixMessagesBurst, prefixesMax } = limits
    this.#hints = new TokenBucket(limits.hintsPerSecond, limits.hintsBurst)
    this.#messages = new NetworkRates(prefixMessagesPerSecond, prefixMessagesBurst, prefixesMax)
    this.#outgoing = new OutgoingHandshakes(context)
    this.#incoming = new IncomingHandshakes(context, options.opens)
  }

  /** Every counter that is not zero. */
  counters(): Readonly<Record<string, number>> {
    return this.#counters.snapshot()
  }

  /** Sessions held, proven or not. */
  get sessionsCount(): number {
    return this.#sessions.size
  }

  held(): DatagramsHeld {
    const { prefixes, responses, ephemerals } = this.#incoming.held
    const [pending, owed] = [this.#outgoing.size, this.#incoming.owed]
    return { sessions: this.#sessions.size, pending, owed, prefixes, responses, ephemerals }
  }

  /** Monotonic ms of the next wake, Infinity for none. An early or repeated wake changes nothing. */
  deadline(): number {
    return Math.min(this.#owedSince, this.#outgoing.deadline(), this.#incoming.deadline(), this.#sweepAt)
  }

  handle(now: Now, input: DatagramsInput): DatagramsOutput[] {
    const outputs: DatagramsOutput[] = []
    switch (input.type) {
      case 'datagram':
        this.#receive(now, input.from, input.bytes, outputs)
        break
      case 'send':
        this.#send(now, input, outputs)
        break
      case 'answer':
        this.#answer(now, input, outputs)
        break
      case 'repeat':
        this.#repeat(now, input.key, input.endpoint, outputs)
        break
      case 'opener':
        this.#open(input.to, input.nonce, outputs)
        break
      case 'wake':
        this.#wake(now, outputs)
    }
    return outputs
  }

  #receive(now: Now, from: Endpoint, bytes: Uint8Array, outputs: DatagramsOutput[]): void {
    if (!isWellSized(bytes)) {
      this.#counters.count('malformed')
      return
    }
    switch (bytes[0]) {
      case datagramType.data:
        this.#receiveData(now.mono, from, bytes, outputs)
        break
      case datagramType.initiation:
        this.#receiveInitiation(now, from, bytes, outputs)
        break
      case datagramType.response:
        this.#receiveResponse(now.mono, from, bytes, outputs)
        break
      case datagramType.cookieReply:
        this.#receiveCookie(from, bytes, outputs)
        break
      case datagramType.opener:
        this.#counters.count('opener-heard')
        outputs.push({ type: 'opener', from, nonce: bytes.slice(opener.nonce) })
        break
      default:
        this.#receiveHint(now, from, bytes, outputs)
    }
  }

  #receiveData(now: number, from: Endpoint, bytes: Uint8Array, outputs: DatagramsOutput[]): void {
    const index = readU32(bytes, data.receiver)
    const slot = this.#sessions.withIndex(index)
    if (slot < 0 || now - this.#sessions.madeAt(slot) > this.#limits.sessionMs + this.#limits.graceMs) {
      // It may be the first datagram of a session whose response is still on its way.
      if (!this.#outgoing.hasIndex(index)) this.#tellUnknown(now, from, index, outputs)
      this.#counters.count('unknown-session')
      return
    }
    if (!this.#sessions.isAt(slot, from)) {
      this.#counters.count('moved')
      this.#tellUnknown(now, from, index, outputs)
      return
    }
    const counter = readU64(bytes, data.counter)
    if (counter >= this.#limits.messagesMax || !this.#sessions.isFresh(slot, counter)) {
      this.#counters.count('replayed-data')
      return
    }
    this.#sessions.copyReceiveKey(slot, this.#key)
    const payload = this.#crypto.chacha20Poly1305Open(
      this.#keyBytes,
      this.#nonceOf(counter),
      empty,
      bytes.subarray(data.sealed),
    )
    if (payload === undefined) {
      this.#counters.count('undecryptable')
      return
    }
    this.#sessions.markSeen(slot, counter)
    this.#alive(now, slot)
    if (payload.length === 0) return
    // Behind the tag: nobody spends the share of a network that only looks like its sender's.
    if (this.#messages.take(now, this.#sessions.networkOf(slot))) this.#deliver(slot, payload, outputs)
    else this.#counters.count('over-rate')
  }

  /** An authentic datagram of the session came from its endpoint. */
  #alive(now: number, slot: number): void {
    this.#sessions.touch(slot, now)
    this.#sessions.setUnanswered(slot, undefined)
    this.#sessions.setDoubted(slot, false)
    if (this.#sessions.isProven(slot)) return
    if (this.#sessions.prove(slot)) this.#counters.count('session-evicted')
    this.#counters.count('established')
    this.#replaceOthers(slot)
  }

  #deliver(slot: number, payload: Uint8Array, outputs: DatagramsOutput[]): void {
    const [session, key] = [this.#sessions.idOf(slot), this.#sessions.keyOf(slot)]
    const endpoint = this.#sessions.endpointOf(slot)
    outputs.push({ type: 'message', session, key, endpoint, isProven: true, payload })
  }

  #tellUnknown(now: number, from: Endpoint, index: number, outputs: DatagramsOutput[]): void {
    if (!this.#hints.take(now)) return
    const bytes = new Uint8Array(hint.size)
    bytes[0] = datagramType.hint
    writeU32(bytes, hint.index, index)
    this.#counters.count('hint-sent')
    outputs.push({ type: 'datagram', to: from, bytes })
  }

  #receiveInitiation(now: Now, from: Endpoint, bytes: Uint8Array, outputs: DatagramsOutput[]): void {
    const size = packAddress(from.host, from.port, this.#source.bytes, 0)
    if (size === 0) {
      this.#counters.count('bad-address')
      return
    }
    this.#source.size = size
    const result = this.#incoming.take(now, from, this.#source, bytes, this.#latestStamp)
    if (result.type === 'dropped') return
    if (result.type === 'reply') {
      outputs.push({ type: 'datagram', to: from, bytes: result.bytes })
      return
    }
    while (this.#incoming.owed > this.#limits.owedMax) this.#answerOldest(now.mono, outputs)
    this.#owedSince = Math.min(this.#owedSince, now.mono)
    const { id: session, key, payload } = result
    if (payload.length > 0) outputs.push({ type: 'message', session, key, endpoint: from, isProven: false, payload })
  }

  readonly #latestStamp = (key: Uint8Array): number => {
    let latest = -1
    for (let slot = this.#sessions.firstOfKey(key); slot >= 0; slot = this.#sessions.nextOfKey(slot, key)) {
      latest = Math.max(latest, this.#sessions.stampOf(slot))
    }
    return latest
  }

  #answerOldest(now: number, outputs: DatagramsOutput[]): void {
    const id = this.#incoming.oldestOwed()
    assert(id !== undefined, 'something is owed')
    this.#respond(now, id, empty, outputs)
  }

  #respond(now: number, id: number, payload: Uint8Array, outputs: DatagramsOutput[]): void {
    const responded = this.#incoming.respond(now, id, payload, this.#freshIndex())
    if (this.#incoming.owed === 0) this.#owedSince = Number.POSITIVE_INFINITY
    if (responded === undefined) {
      this.#counters.count('answer-late')
      return
    }
    outputs.push({ type: 'datagram', to: responded.endpoint, bytes: responded.bytes })
    this.#addUnproven(now, responded)
  }

  #addUnproven(now: number, responded: Responded): void {
    const { key, endpoint, keys, localIndex, remoteIndex, stamp, bytes } = responded
    const credit = datagramBytesMax - bytes.length
    this.#addSession(now, { key, endpoint, ...keys, localIndex, remoteIndex, stamp, credit }, false)
  }

  #addSession(now: number, session: Omit<NewSession, 'network'>, isProven: boolean): number {
    const network = this.#networkOf(session.endpoint)
    const { slot, hasEvicted } = this.#sessions.add(now, { ...session, network }, isProven)
    if (hasEvicted) this.#counters.count('session-evicted')
    this.#crypto.wipe(session.send)
    this.#crypto.wipe(session.receive)
    this.#replaceOthers(slot)
    this.#sweepAt = Math.min(this.#sweepAt, now + this.#limits.idleMs)
    return slot
  }

  /** What is no address has the bounds of this machine: nothing comes from there. */
  #networkOf({ host, port }: Endpoint): number {
    const size = packAddress(host, port, this.#source.bytes, 0)
    if (size === 0) return ownMachine
    this.#source.size = size
    return networkOf(this.#source)
  }

  /** Of one key at one endpoint, the two latest sessions of each kind stay. */
  #replaceOthers(slot: number): void {
    const sessions = this.#sessions
    const key = sessions.keyOf(slot)
    const endpoint = sessions.endpointOf(slot)
    const isProven = sessions.isProven(slot)
    let count = 0
    let oldest = -1
    for (let other = sessions.firstOfKey(key); other >= 0; other = sessions.nextOfKey(other, key)) {
      if (sessions.isProven(other) !== isProven || !sessions.isAt(other, endpoint)) continue
      count += 1
      if (other !== slot) oldest = other
    }
    if (count <= sessionsPerPeerMax || oldest < 0) return
    sessions.remove(oldest)
    this.#counters.count('session-replaced')
  }

  #freshIndex(): number {
    for (;;) {
      const index = readU32(this.#random.bytes(4), 0)
      if (this.#sessions.withIndex(index) < 0 && !this.#outgoing.hasIndex(index)) return index
    }
  }

  #receiveResponse(now: number, from: Endpoint, bytes: Uint8Array, outputs: DatagramsOutput[]): void {
    const finished = this.#outgoing.finish(from, bytes)
    if (finished === undefined) return
    const slot = this.#establish(now, finished)
    this.#counters.count('established')
    if (finished.payload.length > 0) this.#deliver(slot, finished.payload, outputs)
    for (const payload of finished.queue) {
      this.#remember(now, slot, payload)
      this.#seal(now, slot, payload, outputs)
    }
  }

  #establish(now: number, finished: FinishedHandshake): number {
    const { key, endpoint, keys, localIndex, remoteIndex } = finished
    const credit = Number.POSITIVE_INFINITY
    return this.#addSession(now, { key, endpoint, ...keys, localIndex, remoteIndex, stamp: -1, credit }, true)
  }

  #receiveCookie(from: Endpoint, bytes: Uint8Array, outputs: DatagramsOutput[]): void {
    const again = this.#outgoing.takeCookie(from, bytes)
    if (again !== undefined) outputs.push({ type: 'datagram', to: from, bytes: again })
  }

  #receiveHint(now: Now, from: Endpoint, bytes: Uint8Array, outputs: DatagramsOutput[]): void {
    const sessions = this.#sessions
    const slot = sessions.withRemoteIndex(readU32(bytes, hint.index), from)
    // Of an unproven session the sender of its initiation chose the index, and whose address it bears: a hint would make
    // us send initiations to somebody who never wrote to us.
    const payloads = slot < 0 || !sessions.isProven(slot) ? [] : sessions.unanswered(slot)
    const isRecent = slot >= 0 && now.mono - sessions.usedAt(slot) <= this.#limits.unansweredMs
    if (payloads.length === 0 || !isRecent || now.mono - sessions.hintAt(slot) < this.#limits.hintEveryMs) {
      this.#counters.count('hint-ignored')
      return
    }
    this.#counters.count('hint-believed')
    sessions.setHintAt(slot, now.mono)
    sessions.setDoubted(slot, true)
    sessions.setUnanswered(slot, undefined)
    const [key, endpoint] = [sessions.keyOf(slot), sessions.endpointOf(slot)]
    for (const payload of payloads) this.#openWith(now, key, endpoint, payload, this.#mayOpen(payload), outputs)
  }

  #repeat(now: Now, key: Uint8Array, endpoint: Endpoint, outputs: DatagramsOutput[]): void {
    const again = this.#outgoing.again(now, key, endpoint)
    if (again !== undefined) {
      this.#counters.count('initiation-repeated')
      outputs.push({ type: 'datagram', to: endpoint, bytes: again })
      return
    }
    const slot = this.#usableSession(now.mono, key, endpoint, 0)
    const last = slot < 0 ? undefined : this.#sessions.unanswered(slot).at(-1)
    if (last === undefined) return
    this.#counters.count('request-repeated')
    this.#seal(now.mono, slot, last, outputs)
  }

  #open(to: Endpoint, nonce: Uint8Array, outputs: DatagramsOutput[]): void {
    assert(nonce.length === opener.size - opener.nonce, 'a nonce has 8 bytes')
    const bytes = new Uint8Array(opener.size)
    bytes[0] = datagramType.opener
    bytes.set(nonce, opener.nonce)
    this.#counters.count('opener-sent')
    outputs.push({ type: 'datagram', to, bytes })
  }

  #mayOpen(payload: Uint8Array): boolean {
    return payload.length <= openingPayloadMax && this.#opens(payload)
  }

  #send(now: Now, input: SendInput, outputs: DatagramsOutput[]): void {
    const { key, endpoint, payload, token } = input
    assert(key.length === 32, 'an overlay key has 32 bytes')
    if (payload.length > dataPayloadMax) {
      this.#counters.count('too-large')
      outputs.push({ type: 'failed', token, reason: 'too-large' })
      return
    }
    const slot = this.#usableSession(now.mono, key, endpoint, payload.length)
    if (slot >= 0 && this.#isSilent(now.mono, slot)) {
      this.#counters.count('session-silent')
      this.#sessions.setDoubted(slot, true)
      this.#sessions.setUnanswered(slot, undefined)
    } else if (slot >= 0) {
      this.#remember(now.mono, slot, payload)
      this.#seal(now.mono, slot, payload, outputs)
      return
    }
    const opens = input.opens && payload.length <= openingPayloadMax
    const reason = this.#openWith(now, key, endpoint, payload, opens, outputs)
    if (reason === undefined) return
    this.#counters.count(reason)
    outputs.push({ type: 'failed', token, reason })
  }

  /** Latest session to send on, or -1. */
  #usableSession(now: number, key: Uint8Array, endpoint: Endpoint, size: number): number {
    const sessions = this.#sessions
    let slot = sessions.firstOfKey(key)
    while (slot >= 0) {
      if (
        sessions.isAt(slot, endpoint) &&
        !sessions.isDoubted(slot) &&
        sessions.credit(slot) >= size + data.sizeMin &&
        now - sessions.madeAt(slot) < this.#limits.sessionMs &&
        sessions.sent(slot) < this.#limits.messagesMax
      ) {
        return slot
      }
      slot = sessions.nextOfKey(slot, key)
    }
    return -1
  }

  /**
   * Whether what was sent last stayed without a sign of life for so long that the other end may have lost the session and
   * its hint not have arrived: whoever floods it spends its hints. An unproven address gets no handshake for that.
   */
  #isSilent(now: number, slot: number): boolean {
    const sessions = this.#sessions
    if (!sessions.isProven(slot) || sessions.unanswered(slot).length === 0) return false
    return now - sessions.usedAt(slot) > this.#limits.unansweredMs
  }

  /** Inside a handshake, or behind the one under way. */
  #openWith(
    now: Now,
    key: Uint8Array,
    endpoint: Endpoint,
    payload: Uint8Array,
    opens: boolean,
    outputs: DatagramsOutput[],
  ): 'weak-key' | 'queue-full' | undefined {
    const isQueued = this.#outgoing.enqueue(key, endpoint, payload)
    if (isQueued !== undefined) return isQueued ? undefined : 'queue-full'
    const [first, queue] = opens ? [payload, []] : [empty, [payload]]
    const bytes = this.#outgoing.begin(now, key, endpoint, this.#freshIndex(), first, queue)
    if (bytes === undefined) return 'weak-key'
    outputs.push({ type: 'datagram', to: endpoint, bytes })
    return undefined
  }

  /** Keeps a request until a sign of life, for the case that the other end has lost the session. */
  #remember(now: number, slot: number, payload: Uint8Array): void {
    const known = this.#sessions.unanswered(slot)
    const isStale = now - this.#sessions.usedAt(slot) > this.#limits.unansweredMs
    if (known.length === 0 || isStale) this.#sessions.setUnanswered(slot, [payload])
    else this.#sessions.setUnanswered(slot, [...known, payload].slice(-this.#limits.unansweredMax))
  }

  #answer(now: Now, input: AnswerInput, outputs: DatagramsOutput[]): void {
    const { session, payload } = input
    if (session < 0) {
      const fits = this.#incoming.fits(payload)
      if (!fits) this.#counters.count('answer-too-large')
      this.#respond(now.mono, session, fits ? payload : empty, outputs)
      return
    }
    const slot = this.#sessions.withId(session)
    const age = slot < 0 ? Number.POSITIVE_INFINITY : now.mono - this.#sessions.madeAt(slot)
    if (age > this.#limits.sessionMs + this.#limits.graceMs || this.#sessions.sent(slot) >= this.#limits.messagesMax) {
      this.#counters.count('answer-late')
    } else if (payload.length > dataPayloadMax) {
      this.#counters.count('answer-too-large')
    } else {
      this.#seal(now.mono, slot, payload, outputs)
    }
  }

  #seal(now: number, slot: number, payload: Uint8Array, outputs: DatagramsOutput[]): void {
    const sessions = this.#sessions
    const counter = sessions.nextCounter(slot)
    sessions.copySendKey(slot, this.#key)
    const nonce = this.#nonceOf(counter)
    const bytes = this.#crypto.chacha20Poly1305Seal(this.#keyBytes, nonce, empty, payload, data.sealed)
    bytes[0] = datagramType.data
    writeU32(bytes, data.receiver, sessions.remoteIndexOf(slot))
    writeU64(bytes, data.counter, counter)
    sessions.spend(slot, bytes.length)
    sessions.touch(slot, now)
    outputs.push({ type: 'datagram', to: sessions.endpointOf(slot), bytes })
  }

  /** Valid until the next call. */
  #nonceOf(counter: number): Uint8Array {
    writeNoiseNonce(this.#nonce, counter)
    return this.#nonce
  }

  #wake(now: Now, outputs: DatagramsOutput[]): void {
    while (this.#incoming.owed > 0) this.#answerOldest(now.mono, outputs)
    for (const { to, bytes } of this.#outgoing.wake(now)) outputs.push({ type: 'datagram', to, bytes })
    this.#incoming.wake(now.mono)
    if (now.mono >= this.#sweepAt) this.#sweep(now.mono)
  }

  /** Forgets the sessions that were idle too long: the ends of the two orders of use. */
  #sweep(now: number): void {
    this.#sweepAt = Number.POSITIVE_INFINITY
    for (const isProven of [false, true]) {
      let slot = this.#sessions.oldest(isProven)
      // As the deadline was reckoned: the difference may round to a little less than what was added.
      while (slot >= 0 && now >= this.#sessions.usedAt(slot) + this.#limits.idleMs) {
        this.#sessions.remove(slot)
        this.#counters.count('session-expired')
        slot = this.#sessions.oldest(isProven)
      }
      if (slot >= 0) this.#sweepAt = Math.min(this.#sweepAt, this.#sessions.usedAt(slot) + this.#limits.idleMs)
    }
  }
}

/** Whether the type exists and the size is one that it can have. */
function isWellSized(bytes: Uint8Array): boolean {
  const size = bytes.length
  switch (bytes[0]) {
    case datagramType.data:
      return size >= data.sizeMin && size <= datagramBytesMax
    case datagramType.initiation:
      return size === datagramBytesMax
    case datagramType.response:
      return size >= response.sizeMin && size <= datagramBytesMax
    case datagramType.cookieReply:
      return size === cookieReply.size
    case datagramType.hint:
      return size === hint.size
    case datagramType.opener:
      return size === opener.size
    default:
      return false
  }
}
