/** Where in the key space nodes lie, by the top 64 bits of their ids, and who is nearest to what. */
export class IdIndex {
  /** Top and next 32 bits of the ids by node. */
  readonly #high: Uint32Array
  readonly #low: Uint32Array
  /** Nodes of this index in the order of their ids. */
  readonly #sorted: Uint32Array

  /** `nodes`: who is in the index; high and low are by node number. */
  constructor(high: Uint32Array, low: Uint32Array, nodes: Uint32Array) {
    this.#high = high
    this.#low = low
    this.#sorted = sortById(high, low, nodes)
  }

  get size(): number {
    return this.#sorted.length
  }

  /** Node at a place of the order of ids. */
  at(place: number): number {
    return this.#sorted[place] as number
  }

  /** First place in [start, end) whose id has this bit set; bit 0 is the most significant of 64. */
  split(start: number, end: number, bit: number): number {
    const words = bit < 32 ? this.#high : this.#low
    const mask = 0x80000000 >>> (bit & 31)
    let from = start
    let to = end
    while (from < to) {
      const middle = (from + to) >> 1
      if (((words[this.#sorted[middle] as number] as number) & mask) !== 0) to = middle
      else from = middle + 1
    }
    return from
  }

  /** The `count` nearest to a point, nearest first, of those that `isWanted`. */
  closest(high: number, low: number, count: number, isWanted: (node: number) => boolean = () => true): number[] {
    const found: number[] = []
    this.#walk(high, low, 0, this.#sorted.length, 0, (node) => {
      if (isWanted(node)) found.push(node)
      return found.length >= count
    })
    return found
  }

  /** Visits nodes from near to far until told to stop: at each bit the target's side comes first. */
  #walk(high: number, low: number, start: number, end: number, bit: number, visit: (node: number) => boolean): boolean {
    if (start === end) return false
    if (end - start === 1 || bit === 64) {
      for (let i = start; i < end; i++) if (visit(this.#sorted[i] as number)) return true
      return false
    }
    const middle = this.split(start, end, bit)
    const isRight = ((bit < 32 ? high : low) & (0x80000000 >>> (bit & 31))) !== 0
    if (isRight) {
      return this.#walk(high, low, middle, end, bit + 1, visit) || this.#walk(high, low, start, middle, bit + 1, visit)
    }
    return this.#walk(high, low, start, middle, bit + 1, visit) || this.#walk(high, low, middle, end, bit + 1, visit)
  }
}

/** Sorts by the high word and, where it is equal, by the low one. */
function sortById(high: Uint32Array, low: Uint32Array, nodes: Uint32Array): Uint32Array {
  // High word and node number in one exact float (32 + 21 bits): typed arrays sort numbers without a callback.
  const nodeBits = 2 ** 21
  const keys = Float64Array.from(nodes, (node) => (high[node] as number) * nodeBits + node).sort()
  const sorted = Uint32Array.from(keys, (key) => key % nodeBits)
  for (let i = 1; i < sorted.length; i++) {
    const node = sorted[i] as number
    let at = i
    while (at > 0) {
      const before = sorted[at - 1] as number
      if (high[before] !== high[node] || (low[before] as number) <= (low[node] as number)) break
      sorted[at] = before
      at--
    }
    sorted[at] = node
  }
  return sorted
}
