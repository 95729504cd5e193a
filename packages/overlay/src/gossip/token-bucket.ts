/** Lets `perSecond` units pass a second and `burst` at once. Times in monotonic ms. */
export class TokenBucket {
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #at = Number.NEGATIVE_INFINITY

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
  }

  /** Takes `count` units, or nothing and false when there are not so many. */
  take(now: number, count = 1): boolean {
    // A clock that jumped back gives nothing.
    if (now > this.#at) {
      const elapsed = this.#at === Number.NEGATIVE_INFINITY ? 0 : now - this.#at
      this.#tokens = Math.min(this.#burst, this.#tokens + (elapsed * this.#perSecond) / 1000)
      this.#at = now
    }
    if (this.#tokens < count) return false
    this.#tokens -= count
    return true
  }

  /** Until one unit is there, whole ms, ≥ 1. */
  waitMs(): number {
    return Math.max(1, Math.ceil(((1 - this.#tokens) * 1000) / this.#perSecond))
  }
}
