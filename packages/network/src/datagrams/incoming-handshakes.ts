import { equalBytes, type Now } from '@miaou/core'
import { NoiseHandshake, type NoiseKeys } from '@miaou/crypto'
import type { Endpoint } from '@miaou/protocol'
import { Cookies } from './cookies.ts'
import { HandshakeBudget } from './handshake-budget.ts'
import type { PackedSource } from './network-name.ts'
import { type HandshakeContext, makeMac1, makeMacKey } from './outgoing-handshakes.ts'
import { RecentEphemerals } from './recent-ephemerals.ts'
import {
  answerPayloadMax,
  cookieReply,
  datagramsPrologue,
  datagramType,
  initiation,
  macSize,
  opening,
  openingPayloadMax,
  readU32,
  readU64,
  response,
  writeU32,
} from './wire.ts'

/** What an initiation leads to. */
export type InitiationResult =
  | { readonly type: 'dropped' }
  | { readonly type: 'reply'; readonly bytes: Uint8Array }
  /** `id`: below zero; names the handshake until it is answered. */
  | { readonly type: 'opened'; readonly id: number; readonly key: Uint8Array; readonly payload: Uint8Array }

/** A response, and the session that it begins. */
export interface Responded {
  readonly endpoint: Endpoint
  readonly bytes: Uint8Array
  readonly key: Uint8Array
  readonly keys: NoiseKeys
  readonly localIndex: number
  readonly remoteIndex: number
  readonly stamp: number
}

interface Owed {
  readonly handshake: NoiseHandshake
  readonly endpoint: Endpoint
  readonly key: Uint8Array
  readonly remoteIndex: number
  readonly stamp: number
  readonly ephemeral: Uint8Array
}

const dropped: InitiationResult = { type: 'dropped' }

/** The handshakes that others begin with us: what is checked before any Diffie-Hellman, and the answers owed (D20–D35). */
export class IncomingHandshakes {
  readonly #context: HandshakeContext
  readonly #opens: (payload: Uint8Array) => boolean
  readonly #macKey: Uint8Array
  readonly #cookies: Cookies
  readonly #budget: HandshakeBudget
  readonly #recent: RecentEphemerals
  readonly #owed = new Map<number, Owed>()
  #serial = 0

  constructor(context: HandshakeContext, opens: (payload: Uint8Array) => boolean) {
    this.#context = context
    this.#opens = opens
    this.#macKey = makeMacKey(context.crypto, context.staticKey.publicKey)
    this.#cookies = new Cookies(context.crypto, context.random, context.limits.cookieMs)
    this.#budget = new HandshakeBudget(context.limits)
    this.#recent = new RecentEphemerals(context.limits)
  }

  /** Handshakes whose answer is owed. */
  get owed(): number {
    return this.#owed.size
  }

  /** The one owed longest. */
  oldestOwed(): number | undefined {
    const { value, done } = this.#owed.keys().next()
    return done === true ? undefined : value
  }

  /** Networks counted and responses kept: for the tests of the bounds. */
  get held(): { readonly prefixes: number; readonly responses: number; readonly ephemerals: number } {
    return { prefixes: this.#budget.prefixes, responses: this.#recent.responses, ephemerals: this.#recent.size }
  }

  /** Monotonic ms at which a kept response is due to go; Infinity for none. */
  deadline(): number {
    return this.#recent.deadline()
  }

  wake(now: number): void {
    this.#recent.expire(now)
  }

  /**
   * Takes an initiation of 1,200 bytes. `stampOf`: the latest stamp of the sessions with a key, -1 for none.
   * The checks stand in the order of their price.
   */
  take(
    now: Now,
    from: Endpoint,
    source: PackedSource,
    bytes: Uint8Array,
    stampOf: (key: Uint8Array) => number,
  ): InitiationResult {
    const { crypto, counters } = this.#context
    const mac1 = bytes.subarray(initiation.mac1, initiation.cookie)
    if (!equalBytes(makeMac1(crypto, this.#macKey, bytes), mac1)) {
      counters.count('bad-mac')
      return dropped
    }
    const ephemeral = bytes.subarray(initiation.noise, initiation.noise + 32)
    if (this.#recent.has(ephemeral)) return this.#again(now.mono, from, ephemeral)
    const hasCookie = this.#hasCookie(now.mono, source, ephemeral, bytes.subarray(initiation.cookie))
    if (!this.#budget.take(now.mono, source, hasCookie)) {
      if (!hasCookie) return this.#demandCookie(now.mono, source, bytes)
      counters.count('over-budget')
      return dropped
    }
    return this.#open(now.mono, from, source, bytes, hasCookie, stampOf)
  }

  /** Answers a handshake that is owed, or undefined when it is not (any more). `index`: of the session to be. */
  respond(now: number, id: number, payload: Uint8Array, index: number): Responded | undefined {
    const owed = this.#owed.get(id)
    if (owed === undefined) return undefined
    this.#owed.delete(id)
    const noise = owed.handshake.writeMessage(payload)
    const bytes = new Uint8Array(response.noise + noise.length)
    bytes[0] = datagramType.response
    writeU32(bytes, response.receiver, owed.remoteIndex)
    writeU32(bytes, response.sender, index)
    bytes.set(noise, response.noise)
    this.#recent.keep(now, owed.ephemeral, owed.endpoint, bytes)
    this.#context.counters.count('responded')
    const { endpoint, key, remoteIndex, stamp } = owed
    return { endpoint, bytes, key, keys: owed.handshake.split(), localIndex: index, remoteIndex, stamp }
  }

  /** Whether an answer of this size fits inside a response. */
  fits(payload: Uint8Array): boolean {
    return payload.length <= answerPayloadMax
  }

  #again(now: number, from: Endpoint, ephemeral: Uint8Array): InitiationResult {
    const kept = this.#recent.responseTo(now, ephemeral, from)
    this.#context.counters.count(kept === undefined ? 'replayed-initiation' : 'repeated-initiation')
    return kept === undefined ? dropped : { type: 'reply', bytes: kept }
  }

  #hasCookie(now: number, source: PackedSource, ephemeral: Uint8Array, cookie: Uint8Array): boolean {
    let isZero = true
    for (let at = 0; at < macSize; at++) if (cookie[at] !== 0) isZero = false
    return !isZero && this.#cookies.isValid(now, source, ephemeral, cookie)
  }

  #demandCookie(now: number, source: PackedSource, bytes: Uint8Array): InitiationResult {
    this.#context.counters.count('cookie-demanded')
    const reply = new Uint8Array(cookieReply.size)
    reply[0] = datagramType.cookieReply
    writeU32(reply, cookieReply.receiver, readU32(bytes, initiation.sender))
    reply.set(bytes.subarray(initiation.mac1, initiation.cookie), cookieReply.mac1)
    const ephemeral = bytes.subarray(initiation.noise, initiation.noise + 32)
    reply.set(this.#cookies.make(now, source, ephemeral), cookieReply.cookie)
    return { type: 'reply', bytes: reply }
  }

  #open(
    now: number,
    from: Endpoint,
    source: PackedSource,
    bytes: Uint8Array,
    hasCookie: boolean,
    stampOf: (key: Uint8Array) => number,
  ): InitiationResult {
    const { crypto, random, staticKey, counters, limits } = this.#context
    const ephemeralSecret = random.bytes(32)
    const handshake = NoiseHandshake.start({
      crypto,
      pattern: 'IK',
      role: 'responder',
      prologue: datagramsPrologue,
      staticKey,
      ephemeralSecret,
    })
    crypto.wipe(ephemeralSecret)
    const read = handshake.readMessage(bytes.subarray(initiation.noise, initiation.mac1))
    const key = handshake.remoteStatic
    const payload = read.ok ? readOpening(read.value) : undefined
    if (!read.ok || key === undefined || payload === undefined) {
      counters.count('bad-handshake')
      return dropped
    }
    if (equalBytes(key, staticKey.publicKey)) {
      counters.count('self')
      return dropped
    }
    const stamp = readU64(read.value, opening.stamp)
    if (stamp <= stampOf(key) && !hasCookie) {
      counters.count('stale-stamp')
      return this.#demandCookie(now, source, bytes)
    }
    if (payload.length > 0 && !this.#opens(payload)) {
      counters.count('not-opening')
      return dropped
    }
    const ephemeral = bytes.slice(initiation.noise, initiation.noise + 32)
    this.#recent.add(ephemeral)
    const id = -++this.#serial
    if (this.#owed.size >= limits.owedMax) counters.count('owed-evicted')
    this.#owed.set(id, {
      handshake,
      endpoint: from,
      key,
      remoteIndex: readU32(bytes, initiation.sender),
      stamp,
      ephemeral,
    })
    return { type: 'opened', id, key, payload }
  }
}

/** The payload inside an opening, an array of its own; undefined when its size or its padding is wrong. */
function readOpening(plaintext: Uint8Array): Uint8Array | undefined {
  if (plaintext.length !== opening.size) return undefined
  const size = ((plaintext[opening.payloadSize] as number) << 8) | (plaintext[opening.payloadSize + 1] as number)
  if (size > openingPayloadMax) return undefined
  return plaintext.slice(opening.payload, opening.payload + size)
}
