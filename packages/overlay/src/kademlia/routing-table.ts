import { assert } from '@miaou/core'
import { lowerBound, selectClosest } from './closest.ts'
import { ContactMeasures } from './contact-measures.ts'
import type { ContactTable } from './contact-table.ts'
import { bucketIndex, compareDistances, idBytes, readWord } from './distance.ts'
import type { ContactRef } from './interface.ts'
import { distanceFraction, estimateNetworkSize } from './network-size.ts'
import { ReplacementCache } from './replacement-cache.ts'

export interface RoutingTableOptions {
  /** Own node id, 32 bytes. Kept, not copied. */
  readonly self: Uint8Array
  readonly contacts: ContactTable
  /** Contacts a bucket, 1 … 5,000. Default 20 (Kademlia §2.1; row E02). */
  readonly k?: number
  /** Contacts of one network prefix (`ContactTable.prefix`, but 0) a bucket. Default 2 (spec/overlay; libp2p's filter has 3). */
  readonly prefixMax?: number
  /** Replacements a bucket. Default 8 (mainline DHT's). */
  readonly replacementsMax?: number
  /** Monotonic ms: from when on a bucket that nobody used counts as unused. Default 0. */
  readonly now?: number
}

/**
 * `moved`: the same id was known at another endpoint, which the new one has replaced. `full`: the bucket holds k others
 * (rows E13–E15). `prefix-full`: it holds `prefixMax` of the same network. `self`: the own id never enters (row E14).
 */
export type AddResult = 'added' | 'known' | 'moved' | 'full' | 'prefix-full' | 'self'

export interface ClosestOptions {
  /** Most results of one network prefix other than 0. Default: no limit. */
  readonly prefixMax?: number
}

const bucketCount = 256
const wordBuckets = 32
/** Buckets whose contacts share the first 32 bits with the owner: nobody meets them but by grinding ids. */
const deepBuckets = bucketCount - wordBuckets
/** Most contacts in all, whatever k: rows are numbered in 16 bits. 256 buckets of 20 are 5,120. */
const sizeMax = 0xffff
const firstCapacity = 16

/**
 * Kademlia's 256 buckets (row E04: bucket i holds distances 2^i … 2^(i+1) − 1) as one sorted array: in ascending order of
 * their distance to the owner, buckets are contiguous ranges of rows, and the nearest contacts of any target come out
 * subtree by subtree (`closest.ts`). A row is 8 bytes; what is measured of a contact is 12 more, allocated with the first
 * measurement. `add` never evicts: the engine pings `leastRecentlySeen` and asks for `replace` when nobody answers.
 *
 * Refs given to methods that look one up (`touch`, `heardMs`, …) may be any: unknown ones are ignored and read as zero.
 */
export class RoutingTable {
  readonly self: Uint8Array
  readonly k: number
  readonly #contacts: ContactTable
  readonly #prefixMax: number
  readonly #replacementsMax: number
  readonly #selfWord: number
  /** When the table began, and its contacts were heard as long as nothing is measured. */
  #since: number
  #rows: Uint32Array
  #size = 0
  #measures: ContactMeasures | undefined
  #replacements: ReplacementCache | undefined
  /** Monotonic ms of the last use of bucket 255 − index; undefined or missing: `#since`. */
  #usedAt: (number | undefined)[] | undefined

  constructor(options: RoutingTableOptions) {
    const { self, contacts, k = 20, prefixMax = 2, replacementsMax = 8, now = 0 } = options
    assert(self.length === idBytes, 'a node id has 32 bytes')
    assert(k >= 1 && k <= 5000, 'k is 1 to 5,000')
    assert(prefixMax >= 1, 'prefixMax is 1 or more')
    this.self = self
    this.k = k
    this.#contacts = contacts
    this.#prefixMax = prefixMax
    this.#replacementsMax = replacementsMax
    this.#selfWord = readWord(self, 0)
    this.#since = now
    this.#rows = new Uint32Array(0)
  }

  /** Contacts in all buckets; replacements do not count. */
  get size(): number {
    return this.#size
  }

  /** Bytes of the table's buffers, without the JS objects around them (some 400 more). */
  get bytes(): number {
    return this.#rows.byteLength + (this.#measures?.bytes ?? 0)
  }

  /** Puts a contact heard `now` (monotonic ms) into its bucket, or notes that a known one was heard. Never evicts. */
  add(ref: ContactRef, now: number): AddResult {
    const at = this.#locate(ref)
    if (at >= 0) return this.#addKnown(at, ref, now)
    const row = ~at
    const bucket = this.bucketOf(ref)
    if (bucket === 0 && compareDistances(this.self, this.self, this.#contacts.id(ref)) === 0) return 'self'
    const start = this.#bucketStart(bucket)
    const end = this.#bucketEnd(bucket)
    if (this.#isCrowded(start, end, ref)) return 'prefix-full'
    if (end - start >= this.k || this.#size === sizeMax) return 'full'
    this.#insert(row, ref, now)
    return 'added'
  }

  /**
   * Fills an empty table with contacts heard `now`, as an old network's would be: what `add` does one by one, in one go
   * and with no byte to spare. The caller answers for bucket sizes and prefixes: at most k a bucket is asserted; ids are
   * distinct. Fast where `refs` come in ascending order of their distance to the owner.
   */
  fill(refs: ArrayLike<ContactRef>, now: number): void {
    assert(this.#size === 0 && refs.length <= sizeMax, 'an empty table is filled')
    const order = new Float64Array(refs.length)
    let isSorted = true
    for (let i = 0; i < refs.length; i++) {
      order[i] = this.#wordOf(refs[i] as ContactRef) * 0x10000 + i
      if (i > 0 && (order[i] as number) < (order[i - 1] as number)) isSorted = false
    }
    if (!isSorted) order.sort()
    this.#since = now
    this.#rows = new Uint32Array(2 * refs.length)
    this.#measures = undefined
    for (let i = 0; i < refs.length; i++) this.#append(refs[(order[i] as number) & 0xffff] as ContactRef)
  }

  /** False when it was not in a bucket. The bucket's replacements stay: see `replace`. */
  remove(ref: ContactRef): boolean {
    const row = this.#find(ref)
    if (row < 0) return false
    this.#rows.copyWithin(2 * row, 2 * row + 2, 2 * this.#size)
    this.#measures?.removeRow(row)
    this.#size--
    return true
  }

  /** Whether this very ref (key and endpoint) is in a bucket. */
  has(ref: ContactRef): boolean {
    return this.#find(ref) >= 0
  }

  /** The contact with this id (32 bytes), at whatever endpoint. */
  get(id: Uint8Array): ContactRef | undefined {
    const word = (readWord(id, 0) ^ this.#selfWord) >>> 0
    for (let row = lowerBound(this.#rows, 0, this.#size, word); row < this.#size; row++) {
      if (this.#rows[2 * row] !== word) return undefined
      const ref = this.#refAt(row)
      if (compareDistances(id, id, this.#contacts.id(ref)) === 0) return ref
    }
    return undefined
  }

  /** 0 … 255: floor(log2(distance to the owner)) (row E10). Of any contact, in the table or not. */
  bucketOf(ref: ContactRef): number {
    const word = this.#wordOf(ref)
    return word === 0 ? bucketIndex(this.self, this.#contacts.id(ref)) : bucketCount - 1 - Math.clz32(word)
  }

  bucketSize(bucket: number): number {
    return this.#bucketEnd(bucket) - this.#bucketStart(bucket)
  }

  isBucketFull(bucket: number): boolean {
    return this.bucketSize(bucket) >= this.k
  }

  /** Contacts of one bucket, in ascending order of their distance to the owner. */
  bucket(bucket: number): ContactRef[] {
    const refs: ContactRef[] = []
    for (let row = this.#bucketStart(bucket), end = this.#bucketEnd(bucket); row < end; row++)
      refs.push(this.#refAt(row))
    return refs
  }

  /** All contacts, in ascending order of their distance to the owner. */
  all(): ContactRef[] {
    return Array.from({ length: this.#size }, (_, row) => this.#refAt(row))
  }

  /**
   * Fills `out` (its former content goes) with the `count` contacts nearest to `target` (32 bytes), nearest first, and
   * returns how many there are. Exact in all 256 bits; with `prefixMax`, the nearest that the limit leaves.
   */
  closest(target: Uint8Array, count: number, out: ContactRef[], options: ClosestOptions = noLimit): number {
    const word = (readWord(target, 0) ^ this.#selfWord) >>> 0
    const query = { target, word, count, prefixMax: options.prefixMax ?? Infinity }
    return selectClosest(this.#contacts, { rows: this.#rows, size: this.#size }, query, out)
  }

  /** The contact of a bucket heard the longest ago: whom to ping before anybody replaces it (Kademlia §2.2). */
  leastRecentlySeen(bucket: number): ContactRef | undefined {
    let oldest: ContactRef | undefined
    let oldestMs = Infinity
    for (let row = this.#bucketStart(bucket), end = this.#bucketEnd(bucket); row < end; row++) {
      const heardMs = this.#measures?.heardMs(row) ?? this.#since
      if (heardMs >= oldestMs) continue
      oldest = this.#refAt(row)
      oldestMs = heardMs
    }
    return oldest
  }

  /** A lookup went through the bucket at `now` (monotonic ms): it needs no refresh for an interval. */
  markBucketUsed(bucket: number, now: number): void {
    this.#usedAt ??= []
    while (this.#usedAt.length < bucketCount - bucket) this.#usedAt.push(undefined)
    this.#usedAt[bucketCount - 1 - bucket] = now
  }

  /** Monotonic ms of a bucket's last use; when the table began where there was none. */
  bucketUsedAt(bucket: number): number {
    return this.#usedAt?.[bucketCount - 1 - bucket] ?? this.#since
  }

  /**
   * Buckets that no lookup went through for `intervalMs` (row E05), the farthest first. Those nearer than the nearest
   * contact are left out: nobody is expected there (Kademlia §2.3). None for an empty table, which has to bootstrap.
   */
  bucketsNeedingRefresh(now: number, intervalMs: number): number[] {
    const buckets: number[] = []
    if (this.#size === 0) return buckets
    const nearest = this.bucketOf(this.#refAt(0))
    for (let bucket = bucketCount - 1; bucket >= nearest; bucket--) {
      if (now - this.bucketUsedAt(bucket) >= intervalMs) buckets.push(bucket)
    }
    return buckets
  }

  /** A contact was heard at `now` (monotonic ms): its failures are forgotten. */
  touch(ref: ContactRef, now: number): void {
    const row = this.#find(ref)
    if (row < 0) return
    const measures = this.#measured()
    measures.heard(row, now)
    measures.setFailures(row, 0)
  }

  /** Monotonic ms, rounded down to 16 ms. 0 for unknown contacts. */
  heardMs(ref: ContactRef): number {
    const row = this.#find(ref)
    return row < 0 ? 0 : (this.#measures?.heardMs(row) ?? this.#since)
  }

  /** A request to the contact was answered after `ms`: RFC 6298's smoothing, kept in 1/16 ms up to 4,095 ms. */
  updateRoundTrip(ref: ContactRef, ms: number): void {
    const row = this.#find(ref)
    if (row >= 0) this.#measured().measured(row, ms)
  }

  /** Smoothed round trip in ms; undefined before the first measurement and for unknown contacts. */
  roundTripMs(ref: ContactRef): number | undefined {
    const row = this.#find(ref)
    return row < 0 ? undefined : this.#measures?.roundTripMs(row)
  }

  /** Mean deviation of the round trip in ms; 0 before the first measurement. RFC 6298's timeout: smoothed + 4 × this. */
  deviationMs(ref: ContactRef): number {
    const row = this.#find(ref)
    return row < 0 ? 0 : (this.#measures?.deviationMs(row) ?? 0)
  }

  /** Notes one more request without an answer; returns how many there were in a row (saturates at 255). */
  fail(ref: ContactRef): number {
    const row = this.#find(ref)
    if (row < 0) return 0
    const measures = this.#measured()
    const failures = Math.min(255, measures.failures(row) + 1)
    measures.setFailures(row, failures)
    return failures
  }

  /** Requests without an answer since the contact was last heard. */
  failures(ref: ContactRef): number {
    const row = this.#find(ref)
    return row < 0 ? 0 : (this.#measures?.failures(row) ?? 0)
  }

  /** 8 bits of the engine's own. 0 for new and unknown contacts. */
  flags(ref: ContactRef): number {
    const row = this.#find(ref)
    return row < 0 ? 0 : (this.#measures?.flags(row) ?? 0)
  }

  setFlags(ref: ContactRef, flags: number): void {
    const row = this.#find(ref)
    if (row >= 0) this.#measured().setFlags(row, flags)
  }

  /** Remembers a contact that found its bucket full, as the bucket's most recent replacement. */
  offerReplacement(ref: ContactRef): void {
    this.#replacements ??= new ReplacementCache(this.#replacementsMax)
    const bucket = this.bucketOf(ref)
    if (this.#contacts.prefix(ref) !== 0) this.#makeRoomForReplacement(bucket, ref)
    this.#replacements.offer(bucket, ref)
  }

  /** Most recent first. */
  replacements(bucket: number): readonly ContactRef[] {
    return this.#replacements?.list(bucket) ?? []
  }

  removeReplacement(ref: ContactRef): boolean {
    return this.#replacements?.remove(this.bucketOf(ref), ref) ?? false
  }

  /**
   * A contact did not answer: removes it and puts the most recent replacement that its bucket admits in its place, as
   * heard at `now` (monotonic ms). Returns that, or undefined where there is none.
   */
  replace(dead: ContactRef, now: number): ContactRef | undefined {
    const bucket = this.bucketOf(dead)
    this.remove(dead)
    for (const ref of this.replacements(bucket).slice()) {
      const result = this.add(ref, now)
      if (result === 'full' || result === 'prefix-full') continue
      this.#replacements?.remove(bucket, ref)
      if (result === 'added') return ref
    }
    return undefined
  }

  /**
   * Nodes of the whole network, the own one included, from how densely they lie round the owner (`network-size.ts`:
   * 24 % of relative standard error at k = 20). The k nearest are known in full where buckets were refreshed; nodes that
   * crowd round the owner on purpose raise the estimate. With fewer than k contacts: these and the owner.
   */
  estimateNetworkSize(): number {
    if (this.#size < this.k || this.k < 3) return this.#size + 1
    const distance = distanceFraction(this.#contacts, this.self, this.#refAt(this.k - 1))
    return 1 + estimateNetworkSize(distance, this.k)
  }

  /** For `ContactTable.addRoots`: marks contacts and replacements. */
  markRoots(mark: (ref: ContactRef) => void): void {
    for (let row = 0; row < this.#size; row++) mark(this.#refAt(row))
    this.#replacements?.mark(mark)
  }

  /** At most `prefixMax` replacements of one network a bucket: the oldest gives way. */
  #makeRoomForReplacement(bucket: number, ref: ContactRef): void {
    const prefix = this.#contacts.prefix(ref)
    const others = this.replacements(bucket).filter((other) => other !== ref && this.#contacts.prefix(other) === prefix)
    const oldest = others.at(-1)
    if (oldest !== undefined && others.length >= this.#prefixMax) this.#replacements?.remove(bucket, oldest)
  }

  #addKnown(row: number, ref: ContactRef, now: number): AddResult {
    const known = this.#refAt(row)
    if (known !== ref) {
      const bucket = this.bucketOf(ref)
      const isSameNetwork = this.#contacts.prefix(known) === this.#contacts.prefix(ref)
      if (!isSameNetwork && this.#isCrowded(this.#bucketStart(bucket), this.#bucketEnd(bucket), ref))
        return 'prefix-full'
      this.#rows[2 * row + 1] = ref
    }
    this.touch(ref, now)
    return known === ref ? 'known' : 'moved'
  }

  #insert(row: number, ref: ContactRef, now: number): void {
    if (2 * this.#size === this.#rows.length) this.#grow()
    this.#rows.copyWithin(2 * row + 2, 2 * row, 2 * this.#size)
    this.#rows[2 * row] = this.#wordOf(ref)
    this.#rows[2 * row + 1] = ref
    this.#measured().insertRow(row, now)
    this.#size++
  }

  /** A quarter more: a table grows to its size once and then stays, and most of a process is tables. */
  #grow(): void {
    const capacity = Math.min(sizeMax, Math.max(firstCapacity, Math.ceil(this.#size * 1.25)))
    const rows = new Uint32Array(2 * capacity)
    rows.set(this.#rows)
    this.#rows = rows
    this.#measures?.resize(capacity)
  }

  #measured(): ContactMeasures {
    this.#measures ??= new ContactMeasures(this.#rows.length / 2, this.#size, this.#since)
    return this.#measures
  }

  /** The last row but for rows whose 32 bits tie with the one before: those are put in order. */
  #append(ref: ContactRef): void {
    const at = this.#locate(ref)
    assert(at < 0, 'the ids of a filled table are distinct')
    const row = ~at
    this.#rows.copyWithin(2 * row + 2, 2 * row, 2 * this.#size)
    this.#rows[2 * row] = this.#wordOf(ref)
    this.#rows[2 * row + 1] = ref
    this.#size++
    const first = this.#size - 1 - this.k
    assert(first < 0 || this.bucketOf(this.#refAt(first)) !== this.bucketOf(ref), 'a bucket is filled with k at most')
  }

  #wordOf(ref: ContactRef): number {
    return (this.#contacts.word0(ref) ^ this.#selfWord) >>> 0
  }

  #refAt(row: number): ContactRef {
    return this.#rows[2 * row + 1] as ContactRef
  }

  /** Row of the contact with the same id, or the complement (`~`) of the row where it would stand. */
  #locate(ref: ContactRef): number {
    const word = this.#wordOf(ref)
    let row = lowerBound(this.#rows, 0, this.#size, word)
    for (; row < this.#size && this.#rows[2 * row] === word; row++) {
      const other = this.#refAt(row)
      const order = other === ref ? 0 : this.#contacts.compareDistances(this.self, other, ref)
      if (order === 0) return row
      if (order > 0) break
    }
    return ~row
  }

  /** Row of this very ref, or negative. */
  #find(ref: ContactRef): number {
    const row = this.#locate(ref)
    return row >= 0 && this.#refAt(row) === ref ? row : -1
  }

  /** First row of a bucket, or where it would begin. */
  #bucketStart(bucket: number): number {
    if (bucket >= deepBuckets) return lowerBound(this.#rows, 0, this.#size, 2 ** (bucket - deepBuckets))
    let row = 0
    while (row < this.#size && this.#rows[2 * row] === 0 && this.bucketOf(this.#refAt(row)) < bucket) row++
    return row
  }

  #bucketEnd(bucket: number): number {
    return bucket === bucketCount - 1 ? this.#size : this.#bucketStart(bucket + 1)
  }

  #isCrowded(start: number, end: number, ref: ContactRef): boolean {
    const prefix = this.#contacts.prefix(ref)
    if (prefix === 0 || this.#prefixMax > end - start) return false
    let same = 0
    for (let row = start; row < end && same < this.#prefixMax; row++) {
      if (this.#contacts.prefix(this.#refAt(row)) === prefix) same++
    }
    return same >= this.#prefixMax
  }
}

const noLimit: ClosestOptions = {}
