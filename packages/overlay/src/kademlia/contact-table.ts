import { assert } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import {
  type AddressScope,
  addressScope,
  contactKeySize,
  contactSizeV4,
  contactSizeV6,
  type Endpoint,
  packAddress,
  unpackEndpoint,
} from '@miaou/protocol'
import { idBytes, readWord } from './distance.ts'
import type { ContactRef } from './interface.ts'
import { keyedHash } from './keyed-hash.ts'
import { networkPrefix } from './network-prefix.ts'

export interface ContactTableOptions {
  readonly crypto: Pick<Crypto, 'sha256'>
  /** Most rows, 1 … 2^31 − 1. Every row that is not rooted is free for reuse once they are used up. */
  readonly contactsMax: number
  /**
   * 8 random bytes, secret, that seed the index: peers choose the keys, and must not be able to prepare keys that
   * collide. Default: zeros, for simulations and tests only. No result but the time taken depends on it.
   */
  readonly salt?: Uint8Array
}

/** Calls `mark` with every row it still needs. */
export type ContactRoots = (mark: (ref: ContactRef) => void) => void

/** Rows of the first allocation: guess, a node's table and a few lookups. */
const firstCapacity = 64
/** A quarter more each time: the table of a node grows to its size once and then stays. */
const growthFactor = 1.25
const keyBytes = contactKeySize
const packedSizes = { 4: contactSizeV4, 6: contactSizeV6 } as const

// One row: prefix 8 ‖ id 32 ‖ packed contact 38 or 50 of 50 ‖ its size 1, 0 for a free row ‖ 1 unused ‖ hash 4.
// What a lookup reads of a candidate, prefix and head of the id, lies in one line of the processor's cache.
const rowBytes = 96
const idAt = 8
const packedAt = 40
const sizeAt = packedAt + contactSizeV6
const rowWords = rowBytes / 4
const hashWord = 23
/** The index is at most so full: with linear probing 1.5 rows are looked at for a known contact, guess. */
const indexLoadMax = 2 / 3

/**
 * Interned contacts: one row for each pair of key and endpoint, in typed arrays. Engines hold 4-byte rows instead of
 * objects; engines of one process may share one table (the simulator does). Rows are reclaimed by mark and sweep, only
 * inside `reserve`, so that a row stays valid between two calls of it even if nobody roots it.
 *
 * About 105 bytes a row, index included; plus the endpoint object of rows that were asked for it.
 */
export class ContactTable {
  readonly contactsMax: number
  readonly #crypto: Pick<Crypto, 'sha256'>
  readonly #k0: number
  readonly #k1: number
  readonly #roots: ContactRoots[] = []
  readonly #scratch = new Uint8Array(contactSizeV6)
  #capacity = 0
  /** The rows; the same memory as what else is read of them. */
  #bytes = new Uint8Array(0)
  #hashes = new Int32Array(0)
  #prefixes = new Float64Array(0)
  #view = new DataView(this.#bytes.buffer)
  readonly #endpoints = new Map<number, Endpoint>()
  /** Open addressing, linear probing: row + 1, or 0. */
  #index = new Uint32Array(2)
  /** Rows from here on were never used. */
  #unused = 0
  /** Swept rows, the lowest last. */
  #free: number[] = []
  #size = 0
  #sweeps = 0

  constructor(options: ContactTableOptions) {
    const { contactsMax, crypto, salt = new Uint8Array(8) } = options
    assert(contactsMax >= 1 && contactsMax < 2 ** 31, 'contactsMax is a row count')
    assert(salt.length === 8, 'the salt has 8 bytes')
    this.contactsMax = contactsMax
    this.#crypto = crypto
    this.#k0 = readWord(salt, 0)
    this.#k1 = readWord(salt, 4)
  }

  /** How often rows were reclaimed: a row that was valid stays so as long as this number does. */
  get sweeps(): number {
    return this.#sweeps
  }

  /** Rows in use, rooted or not. */
  get size(): number {
    return this.#size
  }

  /**
   * Makes room for `count` rows, sweeping what nobody roots if need be. Call it before decoding what a peer sent: refs
   * that are neither rooted nor on the caller's way into a root are invalid afterwards. Our own bug, and asserted, where
   * the roots leave less than `count` rows of `contactsMax`.
   */
  reserve(count: number): void {
    assert(this.tryReserve(count), 'the roots leave room in the contact table')
  }

  /** As `reserve`, for what may be dropped: false, with nothing reserved, where the roots leave less than `count` rows. */
  tryReserve(count: number): boolean {
    if (this.#size + count > this.contactsMax) this.#sweep()
    if (this.#size + count > this.contactsMax) return false
    const rows = this.#unused + Math.max(0, count - this.#free.length)
    if (rows > this.#capacity) this.#grow(rows)
    return true
  }

  /** `roots` is called in every sweep, for as long as the table lives. */
  addRoots(roots: ContactRoots): void {
    this.#roots.push(roots)
  }

  /** Undoes `addRoots`: for an engine that stops while others share the table. */
  removeRoots(roots: ContactRoots): void {
    const at = this.#roots.indexOf(roots)
    if (at >= 0) this.#roots.splice(at, 1)
  }

  /**
   * Row of a packed contact (protocol `PackedContacts`) at `offset`; `family` tells its size (38 or 50 bytes). Undefined
   * when its endpoint is one that no node can have (spec/overlay O3). Hashes the key (SHA-256) only for a pair of key and
   * endpoint that has no row yet, which takes one of the reserved rows.
   */
  intern(packed: Uint8Array, offset: number, family: 4 | 6): ContactRef | undefined {
    const size = packedSizes[family]
    assert(offset + size <= packed.length, 'a packed contact is complete')
    const hash = keyedHash(this.#k0, this.#k1, packed, offset, size)
    const slotMask = this.#index.length - 1
    let slot = hash & slotMask
    for (let entry = this.#index[slot] as number; entry !== 0; entry = this.#index[slot] as number) {
      const row = entry - 1
      if (this.#hashes[row * rowWords + hashWord] === hash && this.#holds(row, packed, offset, size)) {
        return row as ContactRef
      }
      slot = (slot + 1) & slotMask
    }
    if (addressScope(packed, offset + keyBytes, family) === undefined) return undefined
    return this.#insert(packed, offset, family, hash)
  }

  /** Row of a key (32 bytes) at an endpoint that a node can have (asserted): `intern` for who holds no packed form. */
  internKey(key: Uint8Array, endpoint: Endpoint): ContactRef {
    assert(key.length === keyBytes, 'a key has 32 bytes')
    this.#scratch.set(key)
    const size = packAddress(endpoint.host, endpoint.port, this.#scratch, keyBytes)
    assert(size > 0, 'an endpoint is one that a node can have')
    const ref = this.intern(this.#scratch, 0, keyBytes + size === contactSizeV4 ? 4 : 6)
    assert(ref !== undefined, 'packAddress has checked the endpoint')
    return ref
  }

  /** Writes the packed form (38 or 50 bytes) at `offset` of `target` and returns the offset behind it. */
  pack(ref: ContactRef, target: Uint8Array, offset: number): number {
    const size = this.#sizeOf(ref)
    const bytes = this.#bytes
    const start = ref * rowBytes + packedAt
    for (let i = 0; i < size; i++) target[offset + i] = bytes[start + i] as number
    return offset + size
  }

  family(ref: ContactRef): 4 | 6 {
    return this.#sizeOf(ref) === packedSizes[4] ? 4 : 6
  }

  /** 32 bytes, a view into the table: copy it to keep it beyond the next `reserve`. */
  key(ref: ContactRef): Uint8Array {
    const start = ref * rowBytes + packedAt
    return this.#bytes.subarray(start, start + keyBytes)
  }

  /** Node id: SHA-256 of the key, 32 bytes, a view into the table: copy it to keep it beyond the next `reserve`. */
  id(ref: ContactRef): Uint8Array {
    const start = ref * rowBytes + idAt
    return this.#bytes.subarray(start, start + idBytes)
  }

  /** Bits 255 … 224 of the id, 0 … 2^32 − 1. */
  word0(ref: ContactRef): number {
    return this.#view.getUint32(ref * rowBytes + idAt)
  }

  /** Bits 223 … 192 of the id, 0 … 2^32 − 1. */
  word1(ref: ContactRef): number {
    return this.#view.getUint32(ref * rowBytes + idAt + 4)
  }

  /** Which contact's id is nearer to `target` (32 bytes): negative for `a`, positive for `b`, 0 for equal ids. Exact. */
  compareDistances(target: Uint8Array, a: ContactRef, b: ContactRef): number {
    const bytes = this.#bytes
    for (let i = 0, atA = a * rowBytes + idAt, atB = b * rowBytes + idAt; i < idBytes; i++, atA++, atB++) {
      const byte = target[i] as number
      const difference = ((bytes[atA] as number) ^ byte) - ((bytes[atB] as number) ^ byte)
      if (difference !== 0) return difference
    }
    return 0
  }

  /** Cached: the same object for the same row. */
  endpoint(ref: ContactRef): Endpoint {
    const cached = this.#endpoints.get(ref)
    if (cached !== undefined) return cached
    const endpoint = unpackEndpoint(this.#bytes, ref * rowBytes + packedAt + keyBytes, this.family(ref))
    assert(endpoint !== undefined, 'a contact has an endpoint that a node can have')
    this.#endpoints.set(ref, endpoint)
    return endpoint
  }

  /** Who reaches the contact's endpoint. */
  scope(ref: ContactRef): AddressScope {
    const scope = addressScope(this.#bytes, ref * rowBytes + packedAt + keyBytes, this.family(ref))
    assert(scope !== undefined, 'a contact has an endpoint that a node can have')
    return scope
  }

  /** The /24 or /48 the endpoint lies in, as a number; 0 for loopback and private networks, which have no limit. */
  prefix(ref: ContactRef): number {
    return this.#prefixes[ref * (rowBytes / 8)] as number
  }

  #sizeOf(ref: ContactRef): number {
    const size = this.#bytes[ref * rowBytes + sizeAt] as number
    assert(size > 0, 'a contact ref names a row in use')
    return size
  }

  #holds(row: number, packed: Uint8Array, offset: number, size: number): boolean {
    const bytes = this.#bytes
    const start = row * rowBytes + packedAt
    if (bytes[row * rowBytes + sizeAt] !== size) return false
    for (let i = 0; i < size; i++) if (bytes[start + i] !== packed[offset + i]) return false
    return true
  }

  #insert(packed: Uint8Array, offset: number, family: 4 | 6, hash: number): ContactRef {
    assert(this.#size < this.contactsMax, 'rows are reserved before contacts are interned')
    if (this.#free.length === 0 && this.#unused === this.#capacity) this.#grow(this.#unused + 1)
    const row = this.#free.pop() ?? this.#unused++
    const start = row * rowBytes
    const size = packedSizes[family]
    for (let i = 0; i < size; i++) this.#bytes[start + packedAt + i] = packed[offset + i] as number
    this.#bytes[start + sizeAt] = size
    this.#bytes.set(this.#crypto.sha256(packed.subarray(offset, offset + keyBytes)), start + idAt)
    this.#prefixes[start / 8] = networkPrefix(packed, offset + keyBytes, family)
    this.#hashes[row * rowWords + hashWord] = hash
    this.#size++
    this.#addToIndex(row)
    return row as ContactRef
  }

  #addToIndex(row: number): void {
    const slotMask = this.#index.length - 1
    let slot = (this.#hashes[row * rowWords + hashWord] as number) & slotMask
    while (this.#index[slot] !== 0) slot = (slot + 1) & slotMask
    this.#index[slot] = row + 1
  }

  #grow(rows: number): void {
    const capacity = Math.min(this.contactsMax, Math.max(rows, firstCapacity, Math.ceil(this.#capacity * growthFactor)))
    const bytes = new Uint8Array(capacity * rowBytes)
    bytes.set(this.#bytes)
    this.#capacity = capacity
    this.#bytes = bytes
    this.#hashes = new Int32Array(bytes.buffer)
    this.#prefixes = new Float64Array(bytes.buffer)
    this.#view = new DataView(bytes.buffer)
    const slots = 2 ** Math.ceil(Math.log2(capacity / indexLoadMax))
    if (slots > this.#index.length) {
      this.#index = new Uint32Array(slots)
      this.#fillIndex()
    }
  }

  #fillIndex(): void {
    for (let row = 0; row < this.#unused; row++) if (this.#bytes[row * rowBytes + sizeAt] !== 0) this.#addToIndex(row)
  }

  #sweep(): void {
    this.#sweeps++
    const marked = new Uint8Array(this.#unused)
    const mark = (ref: ContactRef): void => {
      marked[ref] = 1
    }
    for (const roots of this.#roots) roots(mark)
    this.#free = []
    for (let row = this.#unused - 1; row >= 0; row--) {
      if (marked[row] === 1) continue
      this.#bytes[row * rowBytes + sizeAt] = 0
      this.#endpoints.delete(row)
      this.#free.push(row)
    }
    this.#size = this.#unused - this.#free.length
    this.#index.fill(0)
    this.#fillIndex()
  }
}
