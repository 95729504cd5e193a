/** A rate: `burst` units at once, then `perSecond`. Starts full, at the first `take`. Times in monotonic ms. */
export class TokenBucket {
  readonly #perMs: number
  readonly #burst: number
  #tokens: number
  #at = Number.NEGATIVE_INFINITY

  constructor(perSecond: number, burst: number) {
    this.#perMs = perSecond / 1_000
    this.#burst = burst
    this.#tokens = burst
  }

  /** Takes `count` units, or nothing and false where there are not so many. */
  take(now: number, count = 1): boolean {
    // A clock that jumped back gives nothing.
    if (now > this.#at) {
      const elapsedMs = this.#at === Number.NEGATIVE_INFINITY ? 0 : now - this.#at
      this.#tokens = Math.min(this.#burst, this.#tokens + elapsedMs * this.#perMs)
      this.#at = now
    }
    if (this.#tokens < count) return false
    this.#tokens -= count
    return true
  }

  /** Puts one back that was taken and not needed. */
  giveBack(): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + 1)
  }

  /** After a `take` that failed: ms until one unit is there, whole, at least 1. */
  waitMs(): number {
    return Math.max(1, Math.ceil((1 - this.#tokens) / this.#perMs))
  }
}
