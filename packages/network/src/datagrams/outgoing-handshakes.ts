import { assert, concatBytes, equalBytes, type Jitter, type Now, type Random } from '@miaou/core'
import { type Crypto, type KeyPair, NoiseHandshake, type NoiseKeys } from '@miaou/crypto'
import type { Endpoint } from '@miaou/protocol'
import type { DatagramsCounters } from './datagrams-counters.ts'
import type { DatagramsLimits } from './datagrams-limits.ts'
import {
  cookieReply,
  datagramBytesMax,
  datagramsPrologue,
  datagramType,
  initiation,
  macLabel,
  macSize,
  opening,
  readU32,
  response,
  writeU32,
  writeU64,
} from './wire.ts'

export interface HandshakeContext {
  readonly crypto: Crypto
  readonly random: Random
  readonly jitter: Jitter
  readonly staticKey: KeyPair
  readonly limits: DatagramsLimits
  readonly counters: DatagramsCounters
}

/** One handshake that we began. */
interface Pending {
  readonly name: string
  readonly key: Uint8Array
  readonly endpoint: Endpoint
  readonly index: number
  readonly startedAt: number
  /** What went inside the initiation: goes again when the handshake must be begun anew. */
  readonly opening: Uint8Array
  handshake: NoiseHandshake
  datagram: Uint8Array
  nextAt: number
  repeats: number
  hasCookie: boolean
  isDead: boolean
  readonly queue: Uint8Array[]
}

/** What a response that proved authentic gives. */
export interface FinishedHandshake {
  readonly key: Uint8Array
  readonly endpoint: Endpoint
  readonly keys: NoiseKeys
  readonly localIndex: number
  readonly remoteIndex: number
  readonly payload: Uint8Array
  /** The payload that the initiation carried, and those that wait. */
  readonly opening: Uint8Array
  readonly queue: readonly Uint8Array[]
}

/** The handshakes that we began and that are not answered yet (spec D10–D14). */
export class OutgoingHandshakes {
  readonly #context: HandshakeContext
  readonly #byName = new Map<string, Pending>()
  readonly #byIndex = new Map<number, Pending>()
  #lastStamp = 0

  constructor(context: HandshakeContext) {
    this.#context = context
  }

  get size(): number {
    return this.#byIndex.size
  }

  hasIndex(index: number): boolean {
    return this.#byIndex.has(index)
  }

  /** Monotonic ms of the next repetition or end. */
  deadline(): number {
    let earliest = Number.POSITIVE_INFINITY
    for (const { nextAt } of this.#byIndex.values()) if (nextAt < earliest) earliest = nextAt
    return earliest
  }

  /** Queues for a handshake under way with this key there: undefined when there is none, false when its queue is full. */
  enqueue(key: Uint8Array, endpoint: Endpoint, payload: Uint8Array): boolean | undefined {
    const pending = this.#byName.get(nameOf(key, endpoint))
    if (pending === undefined) return undefined
    if (pending.queue.length >= this.#context.limits.queuedMax) return false
    pending.queue.push(payload)
    return true
  }

  /** The initiation under way with this key there, to be sent once more; undefined when there is none. */
  again(now: Now, key: Uint8Array, endpoint: Endpoint): Uint8Array | undefined {
    const pending = this.#byName.get(nameOf(key, endpoint))
    if (pending?.isDead === true) this.#renew(now.wall, pending)
    return pending?.datagram
  }

  /**
   * Begins a handshake; `first` travels inside its initiation, `queue` waits. Gives the initiation to send, or undefined
   * when the key is of small order. `index`: of the session to be, used by nothing else.
   */
  begin(
    now: Now,
    key: Uint8Array,
    endpoint: Endpoint,
    index: number,
    first: Uint8Array,
    queue: readonly Uint8Array[],
  ): Uint8Array | undefined {
    const made = this.#initiation(now.wall, key, index, first)
    if (made === undefined) return undefined
    const { limits, counters } = this.#context
    if (this.#byIndex.size >= limits.pendingMax) {
      const oldest = this.#byIndex.values().next()
      if (oldest.done !== true) this.#forget(oldest.value)
      counters.count('pending-evicted')
    }
    const name = nameOf(key, endpoint)
    const pending: Pending = {
      name,
      key: key.slice(),
      endpoint,
      index,
      startedAt: now.mono,
      opening: first,
      ...made,
      nextAt: now.mono + this.#wait(0),
      repeats: 0,
      hasCookie: false,
      isDead: false,
      queue: [...queue],
    }
    this.#byName.set(name, pending)
    this.#byIndex.set(index, pending)
    counters.count('initiated')
    return pending.datagram
  }

  /** The same initiation with the cookie of a reply that belongs to it, or undefined. One cookie an initiation. */
  takeCookie(from: Endpoint, bytes: Uint8Array): Uint8Array | undefined {
    const pending = this.#at(readU32(bytes, cookieReply.receiver), from)
    const mac1 = bytes.subarray(cookieReply.mac1, cookieReply.mac1 + macSize)
    if (
      pending === undefined ||
      pending.hasCookie ||
      !equalBytes(mac1, pending.datagram.subarray(initiation.mac1, initiation.cookie))
    ) {
      this.#context.counters.count('cookie-unexpected')
      return undefined
    }
    pending.hasCookie = true
    const again = pending.datagram.slice()
    again.set(bytes.subarray(cookieReply.cookie, cookieReply.size), initiation.cookie)
    pending.datagram = again
    return again
  }

  /** Reads a response. Undefined when it belongs to no handshake of ours or is not authentic. */
  finish(from: Endpoint, bytes: Uint8Array): FinishedHandshake | undefined {
    const index = readU32(bytes, response.receiver)
    const pending = this.#at(index, from)
    if (pending === undefined || pending.isDead) {
      this.#context.counters.count('response-unexpected')
      return undefined
    }
    const read = pending.handshake.readMessage(bytes.subarray(response.noise))
    if (!read.ok) {
      // Whoever altered it was on the path: the repetition starts afresh.
      pending.isDead = true
      this.#context.counters.count('bad-response')
      return undefined
    }
    this.#forget(pending)
    const { key, endpoint, opening: first, queue } = pending
    const remoteIndex = readU32(bytes, response.sender)
    const keys = pending.handshake.split()
    return { key, endpoint, keys, localIndex: index, remoteIndex, payload: read.value, opening: first, queue }
  }

  /** Initiations to send again now; those that were repeated often enough are given up. */
  wake(now: Now): { readonly to: Endpoint; readonly bytes: Uint8Array }[] {
    const again: { to: Endpoint; bytes: Uint8Array }[] = []
    for (const pending of [...this.#byIndex.values()]) {
      if (pending.nextAt > now.mono) continue
      if (pending.repeats >= this.#context.limits.repeatsMax) {
        this.#context.counters.count('handshake-timeout')
        this.#forget(pending)
        continue
      }
      pending.repeats += 1
      pending.nextAt = now.mono + this.#wait(pending.repeats)
      if (pending.isDead) this.#renew(now.wall, pending)
      again.push({ to: pending.endpoint, bytes: pending.datagram })
    }
    return again
  }

  /** Until the next repetition, doubling; ± a quarter, so that those of one lookup do not come in one burst. */
  #wait(repeats: number): number {
    const { limits, jitter } = this.#context
    return limits.repeatMs * 2 ** repeats * (0.75 + 0.5 * jitter.next())
  }

  #renew(wall: number, pending: Pending): void {
    const made = this.#initiation(wall, pending.key, pending.index, pending.opening)
    assert(made !== undefined, 'a key that was agreed with once is not weak')
    Object.assign(pending, made)
    pending.isDead = false
    pending.hasCookie = false
  }

  #at(index: number, from: Endpoint): Pending | undefined {
    const pending = this.#byIndex.get(index)
    if (pending === undefined) return undefined
    return pending.endpoint.port === from.port && pending.endpoint.host === from.host ? pending : undefined
  }

  #forget(pending: Pending): void {
    this.#byIndex.delete(pending.index)
    if (this.#byName.get(pending.name) === pending) this.#byName.delete(pending.name)
  }

  #initiation(
    wall: number,
    key: Uint8Array,
    index: number,
    payload: Uint8Array,
  ): { handshake: NoiseHandshake; datagram: Uint8Array } | undefined {
    const { crypto, random, staticKey } = this.#context
    const ephemeralSecret = random.bytes(32)
    const started = NoiseHandshake.startTo(
      { crypto, pattern: 'IK', role: 'initiator', prologue: datagramsPrologue, staticKey, ephemeralSecret },
      key,
    )
    crypto.wipe(ephemeralSecret)
    if (!started.ok) return undefined
    // Each later than the one before, even where the clock was set back.
    this.#lastStamp = Math.max(this.#lastStamp + 1, Math.floor(wall))
    const plaintext = new Uint8Array(opening.size)
    writeU64(plaintext, opening.stamp, this.#lastStamp)
    plaintext[opening.payloadSize] = payload.length >> 8
    plaintext[opening.payloadSize + 1] = payload.length
    plaintext.set(payload, opening.payload)
    const datagram = new Uint8Array(datagramBytesMax)
    datagram[0] = datagramType.initiation
    writeU32(datagram, initiation.sender, index)
    datagram.set(started.value.writeMessage(plaintext), initiation.noise)
    datagram.set(makeMac1(crypto, makeMacKey(crypto, key), datagram), initiation.mac1)
    return { handshake: started.value, datagram }
  }
}

/** The key of `mac1` towards the holder of `key`. */
export function makeMacKey(crypto: Crypto, key: Uint8Array): Uint8Array {
  return crypto.sha256(concatBytes(macLabel, key))
}

/** 16 bytes: shows that the sender knows the key that it writes to. */
export function makeMac1(crypto: Crypto, macKey: Uint8Array, datagram: Uint8Array): Uint8Array {
  return crypto.hmacSha256(macKey, datagram.subarray(0, initiation.macCovers)).subarray(0, macSize)
}

function nameOf(key: Uint8Array, { host, port }: Endpoint): string {
  return `${String.fromCharCode(...key)}${port} ${host}`
}
