/**
 * A bounded memory of ordered pairs of nodes with the time they were noted: a table in which a new pair overwrites what
 * lay at its place. As in the product's session cache, a pair that was overwritten must be proven again. For pairs
 * without order the smaller node comes first.
 */
export class PairCache {
  readonly #nodes: number
  readonly #mask: number
  /** from × nodes + to, plus one; 0 for an empty place. Exact below 2^53. */
  readonly #pairs: Float64Array
  readonly #times: Float64Array

  /** `capacity`: a power of two. */
  constructor(nodes: number, capacity: number) {
    this.#nodes = nodes
    this.#mask = capacity - 1
    this.#pairs = new Float64Array(capacity)
    this.#times = new Float64Array(capacity)
  }

  note(from: number, to: number, time: number): void {
    const place = this.#place(from, to)
    this.#pairs[place] = from * this.#nodes + to + 1
    this.#times[place] = time
  }

  /** When the pair was noted last, -Infinity for never or forgotten. */
  timeOf(from: number, to: number): number {
    const place = this.#place(from, to)
    return this.#pairs[place] === from * this.#nodes + to + 1
      ? (this.#times[place] as number)
      : Number.NEGATIVE_INFINITY
  }

  #place(from: number, to: number): number {
    let hash = Math.imul(from, 0x9e3779b1) ^ Math.imul(to + 0x7f4a7c15, 0x85ebca6b)
    hash ^= hash >>> 15
    return (hash ^ (hash >>> 7)) & this.#mask
  }
}
