import { assert } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import {
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
const keyBytes = contactKeySize
const rowBytes = contactSizeV6
const packedSizes = { 4: contactSizeV4, 6: contactSizeV6 } as const

/**
 * Interned contacts: one row for each pair of key and endpoint, in typed arrays. Engines hold 4-byte rows instead of
 * objects; engines of one process may share one table (the simulator does). Rows are reclaimed by mark and sweep, only
 * inside `reserve`, so that a row stays valid between two calls of it even if nobody roots it.
 *
 * About 110 bytes a row, index included; plus the endpoint object of rows that were asked for it.
 */
export class ContactTable {
  readonly contactsMax: number
  readonly #crypto: Pick<Crypto, 'sha256'>
  readonly #k0: number
  readonly #k1: number
  readonly #roots: ContactRoots[] = []
  readonly #scratch = new Uint8Array(rowBytes)
  #packed = new Uint8Array(0)
  #ids = new Uint8Array(0)
  /** First 64 bits of each id, as two columns. */
  #words0 = new Uint32Array(0)
  #words1 = new Uint32Array(0)
  #hashes = new Int32Array(0)
  /** Size of the packed form: 38 or 50; 0 for a free row. */
  #sizes = new Uint8Array(0)
  #prefixes = new Float64Array(0)
  readonly #endpoints = new Map<number, Endpoint>()
  /** Open addressing, linear probing, at most half full: row + 1, or 0. */
  #index = new Uint32Array(2)
  /** Rows from here on were never used. */
  #unused = 0
  /** Swept rows, the lowest last. */
  #free: number[] = []
  #size = 0

  constructor(options: ContactTableOptions) {
    const { contactsMax, crypto, salt = new Uint8Array(8) } = options
    assert(contactsMax >= 1 && contactsMax < 2 ** 31, 'contactsMax is a row count')
    assert(salt.length === 8, 'the salt has 8 bytes')
    this.contactsMax = contactsMax
    this.#crypto = crypto
    this.#k0 = readWord(salt, 0)
    this.#k1 = readWord(salt, 4)
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
    if (rows > this.#sizes.length) this.#grow(rows)
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
      if (this.#hashes[row] === hash && this.#holds(row, packed, offset, size)) return row as ContactRef
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
    const start = ref * rowBytes
    const size = this.#sizeOf(ref)
    for (let i = 0; i < size; i++) target[offset + i] = this.#packed[start + i] as number
    return offset + size
  }

  family(ref: ContactRef): 4 | 6 {
    return this.#sizeOf(ref) === packedSizes[4] ? 4 : 6
  }

  /** 32 bytes, a view into the table: copy it to keep it beyond the next `reserve`. */
  key(ref: ContactRef): Uint8Array {
    return this.#packed.subarray(ref * rowBytes, ref * rowBytes + keyBytes)
  }

  /** Node id: SHA-256 of the key, 32 bytes, a view into the table: copy it to keep it beyond the next `reserve`. */
  id(ref: ContactRef): Uint8Array {
    return this.#ids.subarray(ref * idBytes, ref * idBytes + idBytes)
  }

  /** Bits 255 … 224 of the id, 0 … 2^32 − 1. */
  word0(ref: ContactRef): number {
    return this.#words0[ref] as number
  }

  /** Bits 223 … 192 of the id, 0 … 2^32 − 1. */
  word1(ref: ContactRef): number {
    return this.#words1[ref] as number
  }

  /** Which contact's id is nearer to `target` (32 bytes): negative for `a`, positive for `b`, 0 for equal ids. Exact. */
  compareDistances(target: Uint8Array, a: ContactRef, b: ContactRef): number {
    const ids = this.#ids
    for (let i = 0, atA = a * idBytes, atB = b * idBytes; i < idBytes; i++, atA++, atB++) {
      const byte = target[i] as number
      const difference = ((ids[atA] as number) ^ byte) - ((ids[atB] as number) ^ byte)
      if (difference !== 0) return difference
    }
    return 0
  }

  /** Cached: the same object for the same row. */
  endpoint(ref: ContactRef): Endpoint {
    const cached = this.#endpoints.get(ref)
    if (cached !== undefined) return cached
    const endpoint = unpackEndpoint(this.#packed, ref * rowBytes + keyBytes, this.family(ref))
    assert(endpoint !== undefined, 'a contact has an endpoint that a node can have')
    this.#endpoints.set(ref, endpoint)
    return endpoint
  }

  /** The /24 or /48 the endpoint lies in, as a number; 0 for loopback and private networks, which have no limit. */
  prefix(ref: ContactRef): number {
    return this.#prefixes[ref] as number
  }

  #sizeOf(ref: ContactRef): number {
    const size = this.#sizes[ref] as number
    assert(size > 0, 'a contact ref names a row in use')
    return size
  }

  #holds(row: number, packed: Uint8Array, offset: number, size: number): boolean {
    if (this.#sizes[row] !== size) return false
    const start = row * rowBytes
    for (let i = 0; i < size; i++) if (this.#packed[start + i] !== packed[offset + i]) return false
    return true
  }

  #insert(packed: Uint8Array, offset: number, family: 4 | 6, hash: number): ContactRef {
    assert(this.#size < this.contactsMax, 'rows are reserved before contacts are interned')
    if (this.#free.length === 0 && this.#unused === this.#sizes.length) this.#grow(this.#unused + 1)
    const row = this.#free.pop() ?? this.#unused++
    const size = packedSizes[family]
    for (let i = 0; i < size; i++) this.#packed[row * rowBytes + i] = packed[offset + i] as number
    const id = this.#crypto.sha256(packed.subarray(offset, offset + keyBytes))
    this.#ids.set(id, row * idBytes)
    this.#words0[row] = readWord(id, 0)
    this.#words1[row] = readWord(id, 4)
    this.#hashes[row] = hash
    this.#sizes[row] = size
    this.#prefixes[row] = networkPrefix(packed, offset + keyBytes, family)
    this.#size++
    this.#addToIndex(row)
    return row as ContactRef
  }

  #addToIndex(row: number): void {
    const slotMask = this.#index.length - 1
    let slot = (this.#hashes[row] as number) & slotMask
    while (this.#index[slot] !== 0) slot = (slot + 1) & slotMask
    this.#index[slot] = row + 1
  }

  #grow(rows: number): void {
    const capacity = Math.min(this.contactsMax, Math.max(rows, firstCapacity, Math.ceil(this.#sizes.length * 1.5)))
    this.#packed = resized(this.#packed, new Uint8Array(capacity * rowBytes))
    this.#ids = resized(this.#ids, new Uint8Array(capacity * idBytes))
    this.#words0 = resized(this.#words0, new Uint32Array(capacity))
    this.#words1 = resized(this.#words1, new Uint32Array(capacity))
    this.#hashes = resized(this.#hashes, new Int32Array(capacity))
    this.#sizes = resized(this.#sizes, new Uint8Array(capacity))
    this.#prefixes = resized(this.#prefixes, new Float64Array(capacity))
    const slots = 2 ** Math.ceil(Math.log2(2 * capacity))
    if (slots > this.#index.length) {
      this.#index = new Uint32Array(slots)
      this.#fillIndex()
    }
  }

  #fillIndex(): void {
    for (let row = 0; row < this.#unused; row++) if (this.#sizes[row] !== 0) this.#addToIndex(row)
  }

  #sweep(): void {
    const marked = new Uint8Array(this.#unused)
    const mark = (ref: ContactRef): void => {
      marked[ref] = 1
    }
    for (const roots of this.#roots) roots(mark)
    this.#free = []
    for (let row = this.#unused - 1; row >= 0; row--) {
      if (marked[row] === 1) continue
      this.#sizes[row] = 0
      this.#endpoints.delete(row)
      this.#free.push(row)
    }
    this.#size = this.#unused - this.#free.length
    this.#index.fill(0)
    this.#fillIndex()
  }
}

function resized<T extends Uint8Array | Uint32Array | Int32Array | Float64Array>(from: T, to: T): T {
  to.set(from)
  return to
}
