/** The rate is taken over at least so long, ms (guess: two credits of 64 KiB at the rate of full chunks). */
const spanMs = 100
/** What was measured longer ago counts no more, ms (guess). */
const staleMs = 500

/**
 * Whether the other end of a circuit takes bytes at a given rate: the credits tell, which pass the slowest of the links
 * on the way. Times in monotonic ms.
 */
export class CircuitPace {
  readonly #fastPerMs: number
  #since = Number.NEGATIVE_INFINITY
  #bytes = 0
  #isFast = false

  /** `fastPerMs`: bytes. */
  constructor(fastPerMs: number) {
    this.#fastPerMs = fastPerMs
  }

  credited(now: number, bytes: number): void {
    this.#bytes += bytes
    const elapsedMs = now - this.#since
    if (elapsedMs < spanMs) return
    // What is fast stays so down to half of it: a rate near the limit would change the sizes all the time.
    const leastPerMs = this.#isFast ? this.#fastPerMs / 2 : this.#fastPerMs
    // The first credit after a rest began somewhere within it: it says nothing.
    this.#isFast = elapsedMs < staleMs && this.#bytes >= elapsedMs * leastPerMs
    this.#since = now
    this.#bytes = 0
  }

  isFast(now: number): boolean {
    return this.#isFast && now - this.#since < staleMs
  }
}
