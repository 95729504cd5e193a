import type { ContactTable } from './contact-table.ts'
import { readWord } from './distance.ts'
import type { ContactRef } from './interface.ts'

/** What a walk knows of a candidate. `slow`: late, but not given up. `taken`: another path of the walk asked it. */
export const fresh = 0
export const asked = 1
export const slow = 2
export const answered = 3
export const failed = 4
export const taken = 5
export type CandidateState = 0 | 1 | 2 | 3 | 4 | 5

/** Two endpoints that claim one key: the claim of a liar must not hide the true one. */
const endpointsPerKeyMax = 2

/** The distance of a contact from a target as a number below 2^53: its highest 53 bits. */
export function distanceHead(contacts: ContactTable, target0: number, target1: number, ref: ContactRef): number {
  const high = (contacts.word0(ref) ^ target0) >>> 0
  const low = (contacts.word1(ref) ^ target1) >>> 0
  return high * 2 ** 21 + (low >>> 11)
}

/** The candidates of one path, nearest to the target first, in typed arrays. Bounded: the farthest one falls out. */
export class Shortlist {
  readonly target: Uint8Array
  readonly #contacts: ContactTable
  readonly #target0: number
  readonly #target1: number
  readonly #perPrefixMax: number
  #capacity: number
  #refs: Int32Array
  #distances: Float64Array
  #states: Uint8Array
  #depths: Uint8Array
  #size = 0
  #failedCount = 0
  /** Those that failed and gave their room to others: not to be asked again. */
  #forgotten: Set<ContactRef> | undefined

  constructor(contacts: ContactTable, target: Uint8Array, capacity: number, perPrefixMax: number) {
    this.target = target
    this.#contacts = contacts
    this.#target0 = readWord(target, 0)
    this.#target1 = readWord(target, 4)
    this.#perPrefixMax = perPrefixMax
    this.#capacity = capacity
    this.#refs = new Int32Array(capacity)
    this.#distances = new Float64Array(capacity)
    this.#states = new Uint8Array(capacity)
    this.#depths = new Uint8Array(capacity)
  }

  get size(): number {
    return this.#size
  }

  ref(at: number): ContactRef {
    return this.#refs[at] as number as ContactRef
  }

  /** Highest 53 bits of the distance. */
  distance(at: number): number {
    return this.#distances[at] as number
  }

  state(at: number): CandidateState {
    return this.#states[at] as CandidateState
  }

  /** How many answers led to this candidate: 1 for the own table. */
  depth(at: number): number {
    return this.#depths[at] as number
  }

  setState(at: number, state: CandidateState): void {
    if (state === failed && this.#states[at] !== failed) this.#failedCount++
    this.#states[at] = state
  }

  indexOf(ref: ContactRef): number {
    const refs = this.#refs
    for (let i = 0; i < this.#size; i++) if (refs[i] === ref) return i
    return -1
  }

  distanceOf(ref: ContactRef): number {
    return distanceHead(this.#contacts, this.#target0, this.#target1, ref)
  }

  /** Takes a candidate in, unless it is known, too far, or its prefix or key has its share. Returns whether it came in. */
  insert(ref: ContactRef, depth: number): boolean {
    const distance = this.distanceOf(ref)
    const size = this.#size
    const isFull = size === this.#capacity
    if (isFull && this.#failedCount === 0 && distance > (this.#distances[size - 1] as number)) return false
    if (this.#forgotten?.has(ref) === true) return false
    let at = size
    let sameKey = 0
    while (at > 0) {
      const other = this.#distances[at - 1] as number
      if (other < distance) break
      if (other === distance) {
        if (this.#refs[at - 1] === ref) return false
        const order = this.#contacts.compareDistances(this.target, this.ref(at - 1), ref)
        if (order < 0) break
        if (order === 0) sameKey++
      }
      at--
    }
    if (sameKey >= endpointsPerKeyMax) return false
    at += sameKey
    if (!this.#makeRoomForPrefix(ref, at)) return false
    if (this.#size === this.#capacity) {
      const dropped = this.#dropFor(at)
      if (dropped < 0) return false
      if (dropped < at) at--
    }
    this.#shift(at, at + 1)
    this.#refs[at] = ref
    this.#distances[at] = distance
    this.#states[at] = fresh
    this.#depths[at] = Math.min(depth, 255)
    this.#size++
    return true
  }

  /** Lets more candidates in: where a whole region is to be covered. */
  grow(capacity: number): void {
    if (capacity <= this.#capacity) return
    this.#capacity = capacity
    this.#refs = copied(this.#refs, new Int32Array(capacity))
    this.#distances = copied(this.#distances, new Float64Array(capacity))
    this.#states = copied(this.#states, new Uint8Array(capacity))
    this.#depths = copied(this.#depths, new Uint8Array(capacity))
  }

  mark(mark: (ref: ContactRef) => void): void {
    for (let i = 0; i < this.#size; i++) mark(this.ref(i))
    for (const ref of this.#forgotten ?? []) mark(ref)
  }

  /** At most so many candidates of one prefix: a farther one that was not asked gives way to a nearer one. */
  #makeRoomForPrefix(ref: ContactRef, at: number): boolean {
    const prefix = this.#contacts.prefix(ref)
    if (prefix === 0) return true
    let count = 0
    for (let i = 0; i < this.#size; i++) {
      if (this.#states[i] === failed || this.#contacts.prefix(this.ref(i)) !== prefix) continue
      if (++count < this.#perPrefixMax) continue
      if (i < at || this.#states[i] !== fresh) return false
      this.#shift(i + 1, i)
      this.#size--
      return true
    }
    return true
  }

  /**
   * Makes room for a candidate that would stand at `at`, and returns whose; −1 where all others are worth more. The
   * farthest that failed goes first, then the farthest that was not asked: who has answered is pushed out by nobody who
   * is only told of, or a liar's inventions would hide all that is there.
   */
  #dropFor(at: number): number {
    let last = this.#lastOf(failed)
    if (last >= 0) {
      this.#failedCount--
      this.#forgotten ??= new Set()
      this.#forgotten.add(this.ref(last))
    } else {
      last = this.#lastOf(fresh)
      if (last < 0) last = this.#size - 1
      if (last < at) return -1
    }
    this.#shift(last + 1, last)
    this.#size--
    return last
  }

  /** The farthest in a state, −1 for none. */
  #lastOf(state: CandidateState): number {
    if (state === failed && this.#failedCount === 0) return -1
    let last = this.#size - 1
    while (last >= 0 && this.#states[last] !== state) last--
    return last
  }

  #shift(from: number, to: number): void {
    this.#refs.copyWithin(to, from, this.#size)
    this.#distances.copyWithin(to, from, this.#size)
    this.#states.copyWithin(to, from, this.#size)
    this.#depths.copyWithin(to, from, this.#size)
  }
}

function copied<T extends Int32Array | Float64Array | Uint8Array>(from: T, to: T): T {
  to.set(from)
  return to
}
