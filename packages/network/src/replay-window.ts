/**
 * Which sequences of an unordered channel were seen: those of the last `size` below the highest, one by one; older ones
 * count as seen (RFC 6479's idea, without its bit tricks).
 */
export class ReplayWindow {
  readonly #size: number
  // Slot `sequence mod size` holds the sequence last seen there; -1 for none.
  readonly #seen: Float64Array
  #highest = -1

  constructor(size: number) {
    this.#size = size
    this.#seen = new Float64Array(size).fill(-1)
  }

  isFresh(sequence: number): boolean {
    if (sequence > this.#highest) return true
    return sequence > this.#highest - this.#size && this.#seen[sequence % this.#size] !== sequence
  }

  /** Only for a fresh sequence whose message proved authentic. */
  mark(sequence: number): void {
    this.#seen[sequence % this.#size] = sequence
    if (sequence > this.#highest) this.#highest = sequence
  }
}
