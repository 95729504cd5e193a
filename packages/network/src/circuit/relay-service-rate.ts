/** A pause shorter than this is not worth a timer, ms (own choice). */
const pauseMsMin = 5
/** What may be sent at once after a rest, in seconds of the rate (own choice: what hides the pauses). */
const burstSeconds = 0.1

/** Bytes a second, as a debt: who has any left may send a whole chunk and then waits until it is paid. */
export class ByteRate {
  readonly #perMs: number
  readonly #burst: number
  #left: number
  #at = Number.NEGATIVE_INFINITY

  /** `perSecond`: above 0. */
  constructor(perSecond: number) {
    this.#perMs = perSecond / 1_000
    this.#burst = perSecond * burstSeconds
    this.#left = this.#burst
  }

  /** Monotonic ms from `now` until something may be sent; 0 for now. */
  waitMs(now: number): number {
    if (now > this.#at) {
      const elapsedMs = this.#at === Number.NEGATIVE_INFINITY ? 0 : now - this.#at
      this.#left = Math.min(this.#burst, this.#left + elapsedMs * this.#perMs)
      this.#at = now
    }
    return this.#left > 0 ? 0 : Math.max(pauseMsMin, -this.#left / this.#perMs)
  }

  spend(bytes: number): void {
    this.#left -= bytes
  }
}
