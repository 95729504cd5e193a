import { assert } from '@miaou/core'
import type { Endpoint } from '@miaou/protocol'
import { ownMachine } from './network-name.ts'
import { readU32 } from './wire.ts'

/** A finished handshake, as it enters the table. */
export interface NewSession {
  /** X25519 key of the other end, 32 bytes. */
  readonly key: Uint8Array
  readonly endpoint: Endpoint
  /** `networkOf` the endpoint. */
  readonly network: number
  readonly send: Uint8Array
  readonly receive: Uint8Array
  readonly localIndex: number
  readonly remoteIndex: number
  /** What the initiator said, where we are the responder; 0 otherwise. */
  readonly stamp: number
  /** Bytes that may go to the endpoint before it is proven; Infinity once it is. */
  readonly credit: number
}

// Words of one session in `#keys`: send, receive, key of the other end.
const keyWords = 24
const windowBits = 128
const capacityMin = 16
/** A quarter more each time: most of a node's memory is sessions, and a doubled table may be half empty. */
const growthFactor = 1.25

/**
 * The sessions, as rows of typed arrays: ≈ 240 bytes each, so that a thousand warm ones cost a quarter of a megabyte.
 * Found by index and by key through chains inside the arrays; in two orders of use, proven and not.
 */
export class SessionTable {
  readonly #salt: Uint32Array
  readonly #provenMax: number
  readonly #unprovenMax: number
  readonly #networkMax: number
  #capacity = capacityMin
  #free: number[] = []
  #used = 0
  #serial = 0
  #keys = new Uint32Array(capacityMin * keyWords)
  #keyBytes = new Uint8Array(this.#keys.buffer)
  #windows = new Uint32Array(capacityMin * 4)
  #highest = new Float64Array(capacityMin)
  #sent = new Float64Array(capacityMin)
  #madeAt = new Float64Array(capacityMin)
  #usedAt = new Float64Array(capacityMin)
  #hintAt = new Float64Array(capacityMin)
  #stamps = new Float64Array(capacityMin)
  #credit = new Float64Array(capacityMin)
  #ids = new Float64Array(capacityMin)
  #networks = new Float64Array(capacityMin)
  #localIndexes = new Uint32Array(capacityMin)
  #remoteIndexes = new Uint32Array(capacityMin)
  #isProven = new Uint8Array(capacityMin)
  #isDoubted = new Uint8Array(capacityMin)
  // Chains and orders: the slot that follows, -1 for none. Heads by the low bits of index and hashed key.
  #nextByIndex = new Int32Array(capacityMin)
  #nextByKey = new Int32Array(capacityMin)
  /** Heads are a power of two in number, at least as many as rows. */
  #headsMask = capacityMin - 1
  #headsByIndex = new Int32Array(capacityMin).fill(-1)
  #headsByKey = new Int32Array(capacityMin).fill(-1)
  #newer = new Int32Array(capacityMin)
  #older = new Int32Array(capacityMin)
  // Of [unproven, proven]: most and least recently used, and how many.
  readonly #newest = [-1, -1]
  readonly #oldest = [-1, -1]
  readonly #counts = [0, 0]
  /** Proven ones of each network. */
  readonly #provenOf = new Map<number, number>()
  readonly #endpoints: (Endpoint | undefined)[] = []
  readonly #unanswered: (readonly Uint8Array[] | undefined)[] = []

  /** `networkMax`: proven ones of one network. `salt`: 32 random bytes, so that nobody picks keys that share a chain. */
  constructor(provenMax: number, unprovenMax: number, networkMax: number, salt: Uint8Array) {
    assert(provenMax + unprovenMax <= 0xffff, 'a slot fits 16 bits')
    this.#provenMax = provenMax
    this.#unprovenMax = unprovenMax
    this.#networkMax = networkMax
    // Odd factors, or a word could count for less.
    this.#salt = Uint32Array.from({ length: 8 }, (_, word) => readU32(salt, 4 * word) | 1)
    this.#freeFrom(0)
  }

  get size(): number {
    return this.#used
  }

  /** Rows that fit before the arrays grow: what the memory is made of. */
  get capacity(): number {
    return this.#capacity
  }

  /** A new row, unused so far; the least recently used one of its order went if there were too many (its slot in `evicted`). */
  add(now: number, session: NewSession, isProven: boolean): { readonly slot: number; readonly hasEvicted: boolean } {
    const order = isProven ? 1 : 0
    const hasEvicted = this.#makeRoom(order, session.network)
    const slot = this.#takeSlot()
    const base = slot * keyWords * 4
    this.#keyBytes.set(session.send, base)
    this.#keyBytes.set(session.receive, base + 32)
    this.#keyBytes.set(session.key, base + 64)
    this.#windows.fill(0, slot * 4, slot * 4 + 4)
    this.#highest[slot] = -1
    this.#sent[slot] = 0
    this.#madeAt[slot] = now
    this.#usedAt[slot] = now
    this.#hintAt[slot] = Number.NEGATIVE_INFINITY
    this.#stamps[slot] = session.stamp
    this.#credit[slot] = session.credit
    this.#ids[slot] = ++this.#serial * 0x1_0000 + slot
    this.#networks[slot] = session.network
    this.#localIndexes[slot] = session.localIndex
    this.#remoteIndexes[slot] = session.remoteIndex
    this.#isProven[slot] = order
    this.#isDoubted[slot] = 0
    this.#endpoints[slot] = session.endpoint
    this.#unanswered[slot] = undefined
    this.#link(slot)
    this.#enter(slot, order)
    if (isProven) this.#countNetwork(slot, 1)
    return { slot, hasEvicted }
  }

  /** Overwrites the keys of a row and frees it. */
  remove(slot: number): void {
    this.#unlink(slot)
    this.#leave(slot)
    if (this.isProven(slot)) this.#countNetwork(slot, -1)
    this.#keys.fill(0, slot * keyWords, (slot + 1) * keyWords)
    this.#ids[slot] = 0
    this.#endpoints[slot] = undefined
    this.#unanswered[slot] = undefined
    this.#free.push(slot)
    this.#used -= 1
  }

  /** The row of this local index, or -1. */
  withIndex(index: number): number {
    let slot = this.#headsByIndex[index & this.#headsMask] as number
    while (slot >= 0 && this.#localIndexes[slot] !== index) slot = this.#nextByIndex[slot] as number
    return slot
  }

  /** The row that was given this id, or -1. */
  withId(id: number): number {
    const slot = id % 0x1_0000
    return id > 0 && this.#ids[slot] === id ? slot : -1
  }

  /** The row that sends to this index at this endpoint, or -1. */
  withRemoteIndex(index: number, endpoint: Endpoint): number {
    let slot = this.#remoteIndexes.indexOf(index)
    while (slot >= 0) {
      if (this.isAt(slot, endpoint)) return slot
      slot = this.#remoteIndexes.indexOf(index, slot + 1)
    }
    return -1
  }

  /** First row in the chain of this key, newest first; go on with `nextOfKey`. */
  firstOfKey(key: Uint8Array): number {
    return this.#skipToKey(this.#headsByKey[this.#hashOf(key) & this.#headsMask] as number, key)
  }

  nextOfKey(slot: number, key: Uint8Array): number {
    return this.#skipToKey(this.#nextByKey[slot] as number, key)
  }

  isAt(slot: number, endpoint: Endpoint): boolean {
    const own = this.#endpoints[slot]
    return own !== undefined && (own === endpoint || (own.port === endpoint.port && own.host === endpoint.host))
  }

  /** Marks a row as used, for the order of eviction. */
  touch(slot: number, now: number): void {
    this.#usedAt[slot] = now
    if (this.#newest[this.#isProven[slot] as number] === slot) return
    this.#leave(slot)
    this.#enter(slot, this.#isProven[slot] as number)
  }

  /** The other end has shown that it receives at its endpoint. True when another row had to go for it. */
  prove(slot: number): boolean {
    if (this.#isProven[slot] === 1) return false
    const hasEvicted = this.#makeRoom(1, this.networkOf(slot))
    this.#leave(slot)
    this.#isProven[slot] = 1
    this.#credit[slot] = Number.POSITIVE_INFINITY
    this.#enter(slot, 1)
    this.#countNetwork(slot, 1)
    return hasEvicted
  }

  /** Least recently used row of an order, or -1. */
  oldest(isProven: boolean): number {
    return this.#oldest[isProven ? 1 : 0] as number
  }

  copySendKey(slot: number, target: Uint32Array): void {
    this.#copyKey(slot * keyWords, target)
  }

  copyReceiveKey(slot: number, target: Uint32Array): void {
    this.#copyKey(slot * keyWords + 8, target)
  }

  /** The key of the other end, an array of its own. */
  keyOf(slot: number): Uint8Array {
    const at = (slot * keyWords + 16) * 4
    return this.#keyBytes.slice(at, at + 32)
  }

  /** The counter of the next datagram; each once. */
  nextCounter(slot: number): number {
    const counter = this.#sent[slot] as number
    this.#sent[slot] = counter + 1
    return counter
  }

  sent(slot: number): number {
    return this.#sent[slot] as number
  }

  /** Whether `counter` was not seen and is not below the window of 128. */
  isFresh(slot: number, counter: number): boolean {
    const highest = this.#highest[slot] as number
    if (counter > highest) return true
    if (counter <= highest - windowBits) return false
    return (((this.#windows[wordOf(slot, counter)] as number) >>> (counter & 31)) & 1) === 0
  }

  /** Only for a fresh counter whose datagram proved authentic. */
  markSeen(slot: number, counter: number): void {
    const highest = this.#highest[slot] as number
    if (counter > highest) {
      if (counter - highest >= windowBits) this.#windows.fill(0, slot * 4, slot * 4 + 4)
      else for (let skipped = highest + 1; skipped < counter; skipped++) this.#clearSeen(slot, skipped)
      this.#highest[slot] = counter
    }
    const word = wordOf(slot, counter)
    this.#windows[word] = (this.#windows[word] as number) | (1 << (counter & 31))
  }

  #clearSeen(slot: number, counter: number): void {
    const word = wordOf(slot, counter)
    this.#windows[word] = (this.#windows[word] as number) & ~(1 << (counter & 31))
  }

  networkOf(slot: number): number {
    return this.#networks[slot] as number
  }

  endpointOf(slot: number): Endpoint {
    const endpoint = this.#endpoints[slot]
    assert(endpoint !== undefined, 'a row in use has an endpoint')
    return endpoint
  }

  idOf(slot: number): number {
    return this.#ids[slot] as number
  }

  localIndexOf(slot: number): number {
    return this.#localIndexes[slot] as number
  }

  remoteIndexOf(slot: number): number {
    return this.#remoteIndexes[slot] as number
  }

  madeAt(slot: number): number {
    return this.#madeAt[slot] as number
  }

  usedAt(slot: number): number {
    return this.#usedAt[slot] as number
  }

  stampOf(slot: number): number {
    return this.#stamps[slot] as number
  }

  isProven(slot: number): boolean {
    return this.#isProven[slot] === 1
  }

  /** Whether a hint said that the other end has lost this session. */
  isDoubted(slot: number): boolean {
    return this.#isDoubted[slot] === 1
  }

  setDoubted(slot: number, isDoubted: boolean): void {
    this.#isDoubted[slot] = isDoubted ? 1 : 0
  }

  hintAt(slot: number): number {
    return this.#hintAt[slot] as number
  }

  setHintAt(slot: number, now: number): void {
    this.#hintAt[slot] = now
  }

  credit(slot: number): number {
    return this.#credit[slot] as number
  }

  spend(slot: number, size: number): void {
    this.#credit[slot] = (this.#credit[slot] as number) - size
  }

  /** Payloads sent since the last sign of life, oldest first. */
  unanswered(slot: number): readonly Uint8Array[] {
    return this.#unanswered[slot] ?? []
  }

  setUnanswered(slot: number, payloads: readonly Uint8Array[] | undefined): void {
    this.#unanswered[slot] = payloads
  }

  #copyKey(at: number, target: Uint32Array): void {
    for (let word = 0; word < 8; word++) target[word] = this.#keys[at + word] as number
  }

  #hashOf(key: Uint8Array): number {
    let hash = 0
    for (let word = 0; word < 8; word++) {
      hash = (hash + Math.imul(readU32(key, 4 * word), this.#salt[word] as number)) | 0
    }
    return hash ^ (hash >>> 15)
  }

  #skipToKey(from: number, key: Uint8Array): number {
    let slot = from
    while (slot >= 0 && !this.#hasKey(slot, key)) slot = this.#nextByKey[slot] as number
    return slot
  }

  #hasKey(slot: number, key: Uint8Array): boolean {
    const base = (slot * keyWords + 16) * 4
    for (let at = 0; at < 32; at++) if (this.#keyBytes[base + at] !== key[at]) return false
    return true
  }

  #link(slot: number): void {
    const mask = this.#headsMask
    const byIndex = (this.#localIndexes[slot] as number) & mask
    this.#nextByIndex[slot] = this.#headsByIndex[byIndex] as number
    this.#headsByIndex[byIndex] = slot
    const byKey = this.#hashOf(this.#keyView(slot)) & mask
    this.#nextByKey[slot] = this.#headsByKey[byKey] as number
    this.#headsByKey[byKey] = slot
  }

  #unlink(slot: number): void {
    const mask = this.#headsMask
    unchain(this.#headsByIndex, this.#nextByIndex, (this.#localIndexes[slot] as number) & mask, slot)
    unchain(this.#headsByKey, this.#nextByKey, this.#hashOf(this.#keyView(slot)) & mask, slot)
  }

  #keyView(slot: number): Uint8Array {
    const at = (slot * keyWords + 16) * 4
    return this.#keyBytes.subarray(at, at + 32)
  }

  #enter(slot: number, order: number): void {
    const head = this.#newest[order] as number
    this.#older[slot] = head
    this.#newer[slot] = -1
    if (head >= 0) this.#newer[head] = slot
    else this.#oldest[order] = slot
    this.#newest[order] = slot
    this.#counts[order] = (this.#counts[order] as number) + 1
  }

  #countNetwork(slot: number, by: 1 | -1): void {
    const network = this.networkOf(slot)
    const count = (this.#provenOf.get(network) ?? 0) + by
    if (count === 0) this.#provenOf.delete(network)
    else this.#provenOf.set(network, count)
  }

  #leave(slot: number): void {
    const order = this.#isProven[slot] as number
    const [newer, older] = [this.#newer[slot] as number, this.#older[slot] as number]
    if (newer >= 0) this.#older[newer] = older
    else this.#newest[order] = older
    if (older >= 0) this.#newer[older] = newer
    else this.#oldest[order] = newer
    this.#counts[order] = (this.#counts[order] as number) - 1
  }

  /** Of its own network, where that has its share: one sender with many keys or ports displaces only its like. */
  #makeRoom(order: number, network: number): boolean {
    const oldest = this.#oldest[order] as number
    if (order === 1 && network !== ownMachine && (this.#provenOf.get(network) ?? 0) >= this.#networkMax) {
      let slot = oldest
      while (this.#networks[slot] !== network) slot = this.#newer[slot] as number
      this.remove(slot)
      return true
    }
    if ((this.#counts[order] as number) < (order === 1 ? this.#provenMax : this.#unprovenMax)) return false
    this.remove(oldest)
    return true
  }

  #takeSlot(): number {
    if (this.#free.length === 0) this.#grow()
    const slot = this.#free.pop()
    assert(slot !== undefined, 'a grown table has room')
    this.#used += 1
    return slot
  }

  #freeFrom(first: number): void {
    for (let slot = this.#capacity - 1; slot >= first; slot--) this.#free.push(slot)
  }

  #grow(): void {
    const before = this.#capacity
    const capacity = Math.min(this.#provenMax + this.#unprovenMax, Math.ceil(before * growthFactor))
    this.#capacity = capacity
    const grown = <T extends Rows>(rows: T): T => resized(rows, (rows.length / before) * capacity)
    const heads = 2 ** Math.ceil(Math.log2(capacity))
    this.#headsMask = heads - 1
    const keys = grown(this.#keys)
    // The old copy holds secrets.
    this.#keys.fill(0)
    this.#keys = keys
    this.#keyBytes = new Uint8Array(keys.buffer)
    this.#windows = grown(this.#windows)
    this.#highest = grown(this.#highest)
    this.#sent = grown(this.#sent)
    this.#madeAt = grown(this.#madeAt)
    this.#usedAt = grown(this.#usedAt)
    this.#hintAt = grown(this.#hintAt)
    this.#stamps = grown(this.#stamps)
    this.#credit = grown(this.#credit)
    this.#ids = grown(this.#ids)
    this.#networks = grown(this.#networks)
    this.#localIndexes = grown(this.#localIndexes)
    this.#remoteIndexes = grown(this.#remoteIndexes)
    this.#isProven = grown(this.#isProven)
    this.#isDoubted = grown(this.#isDoubted)
    this.#newer = grown(this.#newer)
    this.#older = grown(this.#older)
    this.#nextByIndex = new Int32Array(capacity)
    this.#nextByKey = new Int32Array(capacity)
    this.#headsByIndex = new Int32Array(heads).fill(-1)
    this.#headsByKey = new Int32Array(heads).fill(-1)
    this.#freeFrom(before)
    // All rows were in use, or it would not grow; in the order of their making, so that chains stay newest first.
    const rows = Array.from({ length: before }, (_, slot) => slot)
    rows.sort((a, b) => (this.#ids[a] as number) - (this.#ids[b] as number))
    for (const slot of rows) this.#link(slot)
  }
}

function wordOf(slot: number, counter: number): number {
  return slot * 4 + ((counter % windowBits) >>> 5)
}

function unchain(heads: Int32Array, next: Int32Array, bucket: number, slot: number): void {
  let at = heads[bucket] as number
  if (at === slot) {
    heads[bucket] = next[slot] as number
    return
  }
  while (next[at] !== slot) at = next[at] as number
  next[at] = next[slot] as number
}

type Rows = Uint8Array | Uint32Array | Int32Array | Float64Array

function resized<T extends Rows>(rows: T, length: number): T {
  const copy = new (rows.constructor as new (size: number) => T)(length)
  copy.set(rows)
  return copy
}
