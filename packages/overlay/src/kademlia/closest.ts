import type { ContactTable } from './contact-table.ts'
import type { ContactRef } from './interface.ts'

/**
 * Rows of a routing table, two words each: the first 32 bits of the distance to the table's owner, and the contact's
 * ref. In ascending order of the whole distance; `size` rows are in use.
 */
export interface SortedRows {
  readonly rows: Uint32Array
  readonly size: number
}

export interface ClosestQuery {
  /** Node id, 32 bytes. */
  readonly target: Uint8Array
  /** First 32 bits of the distance between the target and the table's owner. */
  readonly word: number
  readonly count: number
  /** Most results of one network prefix other than 0; Infinity for no limit. */
  readonly prefixMax: number
}

/** Rows sorted by insertion at the leaves: own choice, measured in bench/overlay (8 to 16 do the same). */
const leafRows = 10

/** First row of `lo … hi` whose word is at least `word`; `hi` where there is none. */
export function lowerBound(rows: Uint32Array, lo: number, hi: number, word: number): number {
  while (lo < hi) {
    const middle = (lo + hi) >>> 1
    if ((rows[2 * middle] as number) < word) lo = middle + 1
    else hi = middle
  }
  return lo
}

/**
 * The rows nearest to a target, in exact order. Sorted distances are the leaves of a binary trie from left to right, and
 * the distance to a target only swaps the halves of its subtrees: so a walk that starts where the target's own distance
 * would stand, and takes the sibling subtree of each longer common prefix first, meets the rows in order. Rows whose 32
 * bits tie are compared in all 256.
 *
 * One instance serves all tables of a process: it holds nothing between two calls but its scratch space.
 */
class ClosestWalk {
  #contacts: ContactTable | undefined
  #rows: Uint32Array = new Uint32Array(0)
  #query: ClosestQuery = { target: new Uint8Array(0), word: 0, count: 0, prefixMax: 0 }
  #word = 0
  #count = 0
  #out: ContactRef[] = []
  #found = 0
  #distances = new Uint32Array(64)
  #refs = new Uint32Array(64)

  run(contacts: ContactTable, { rows, size }: SortedRows, query: ClosestQuery, out: ContactRef[]): number {
    this.#contacts = contacts
    this.#rows = rows
    this.#query = query
    this.#word = query.word
    this.#count = query.count
    this.#out = out
    this.#found = 0
    let lo = lowerBound(rows, 0, size, query.word)
    let hi = lo
    while (this.#found < query.count && (lo > 0 || hi < size)) {
      const left = lo > 0 ? Math.clz32((rows[2 * lo - 2] as number) ^ query.word) : -1
      const right = hi < size ? Math.clz32((rows[2 * hi] as number) ^ query.word) : -1
      if (left > right) {
        const start = this.#groupStart(lo, left)
        this.#collect(start, lo, left + 1)
        lo = start
      } else {
        const end = this.#groupEnd(hi, size, right)
        this.#collect(hi, end, right + 1)
        hi = end
      }
    }
    out.length = this.#found
    return this.#found
  }

  /**
   * Start of the rows before `end` that share exactly `bits` bits with the target. Found in doubling steps: near the
   * target these groups are small.
   */
  #groupStart(end: number, bits: number): number {
    const rows = this.#rows
    // A 1 of the target is a 0 in these rows; the first of them could have zeros from there on.
    const first = (((this.#word >>> (31 - bits)) ^ 1) << (31 - bits)) >>> 0
    let inside = end - 1
    let step = 1
    while (inside >= step && (rows[2 * (inside - step)] as number) >= first) {
      inside -= step
      step *= 2
    }
    return lowerBound(rows, Math.max(0, inside - step + 1), inside, first)
  }

  /** End of the rows from `start` on that share exactly `bits` bits with the target. */
  #groupEnd(start: number, size: number, bits: number): number {
    const rows = this.#rows
    const isWhole = bits >= 31
    const mixed = isWhole ? (rows[2 * start] as number) : (this.#word ^ (0x80000000 >>> bits)) | (0x7fffffff >>> bits)
    const last = mixed >>> 0
    let inside = start
    let step = 1
    while (inside + step < size && (rows[2 * (inside + step)] as number) <= last) {
      inside += step
      step *= 2
    }
    return lowerBound(rows, inside + 1, Math.min(size, inside + step), last + 1)
  }

  /** Takes over rows `lo … hi`, which agree in their first `bit` bits, in order of distance. */
  #collect(lo: number, hi: number, bit: number): void {
    if (hi - lo <= leafRows || bit >= 32) {
      this.#collectLeaf(lo, hi)
      return
    }
    const mask = 0x80000000 >>> bit
    const prefix = bit === 0 ? 0 : (this.#rows[2 * lo] as number) & ~(0xffffffff >>> bit)
    const middle = lowerBound(this.#rows, lo, hi, (prefix | mask) >>> 0)
    const isHighNearer = (this.#word & mask) !== 0
    if (isHighNearer) this.#collect(middle, hi, bit + 1)
    else this.#collect(lo, middle, bit + 1)
    if (this.#found >= this.#count) return
    if (isHighNearer) this.#collect(lo, middle, bit + 1)
    else this.#collect(middle, hi, bit + 1)
  }

  #collectLeaf(lo: number, hi: number): void {
    if (hi - lo > this.#distances.length) {
      this.#distances = new Uint32Array(2 * (hi - lo))
      this.#refs = new Uint32Array(2 * (hi - lo))
    }
    const rows = this.#rows
    const distances = this.#distances
    const refs = this.#refs
    const word = this.#word
    for (let row = lo, count = 0; row < hi; row++, count++) {
      const distance = ((rows[2 * row] as number) ^ word) >>> 0
      const ref = rows[2 * row + 1] as number
      let at = count
      while (at > 0) {
        const before = distances[at - 1] as number
        if (before < distance || (before === distance && !this.#isNearer(ref, refs[at - 1] as number))) break
        distances[at] = before
        refs[at] = refs[at - 1] as number
        at--
      }
      distances[at] = distance
      refs[at] = ref
    }
    const wanted = this.#query.prefixMax === Infinity ? Math.min(hi - lo, this.#count - this.#found) : hi - lo
    for (let i = 0; i < wanted && this.#found < this.#count; i++) this.#take(refs[i] as ContactRef)
  }

  #take(ref: ContactRef): void {
    if (this.#query.prefixMax !== Infinity && this.#isCrowded(ref)) return
    this.#out[this.#found++] = ref
  }

  #isNearer(a: number, b: number): boolean {
    return (this.#contacts?.compareDistances(this.#query.target, a as ContactRef, b as ContactRef) ?? 0) < 0
  }

  #isCrowded(ref: ContactRef): boolean {
    const prefix = this.#contacts?.prefix(ref) ?? 0
    if (prefix === 0) return false
    let same = 0
    for (let i = 0; i < this.#found; i++) if (this.#contacts?.prefix(this.#out[i] as ContactRef) === prefix) same++
    return same >= this.#query.prefixMax
  }
}

const walk = new ClosestWalk()

/** Fills `out` (its former content goes) with the rows nearest to the target, nearest first; returns how many. */
export function selectClosest(
  contacts: ContactTable,
  sorted: SortedRows,
  query: ClosestQuery,
  out: ContactRef[],
): number {
  return walk.run(contacts, sorted, query, out)
}
