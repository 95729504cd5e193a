// Guess: more addresses than that are no household's; the one seen longest ago is forgotten.
const groupsMax = 4096

/** How many sockets each remote address may open: some at once, then one at a time (a leaky bucket each). */
export class SocketRates {
  readonly #burst: number
  readonly #refillMs: number
  /** When the allowance of a group would be whole again, monotonic ms; in order of last use. */
  readonly #refilledAt = new Map<string, number>()

  constructor(burst: number, perSecond: number) {
    this.#burst = burst
    this.#refillMs = 1000 / perSecond
  }

  /** Whether one more is allowed now; a refused one costs nothing. `mono`: monotonic ms. */
  take(group: string, mono: number): boolean {
    const refilledAt = Math.max(mono, this.#refilledAt.get(group) ?? mono) + this.#refillMs
    if (refilledAt - mono > this.#burst * this.#refillMs) return false
    this.#refilledAt.delete(group)
    this.#refilledAt.set(group, refilledAt)
    if (this.#refilledAt.size > groupsMax) {
      for (const [oldest] of this.#refilledAt) {
        this.#refilledAt.delete(oldest)
        break
      }
    }
    return true
  }

  get size(): number {
    return this.#refilledAt.size
  }
}
