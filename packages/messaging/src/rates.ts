interface Bucket {
  tokens: number
  filledAt: number
}

/** A token bucket a peer: what a linked device may ask for, so that it cannot make us work without end. */
export class Rates {
  readonly #burst: number
  readonly #refillMs: number
  readonly #countMax: number
  /** In order of last use. */
  readonly #buckets = new Map<string, Bucket>()

  /** `burst` at once, then one each `refillMs`; the bucket used longest ago is forgotten beyond `countMax`. */
  constructor(burst: number, refillMs: number, countMax: number) {
    this.#burst = burst
    this.#refillMs = refillMs
    this.#countMax = countMax
  }

  /** Whether one more is allowed now. `mono`: monotonic ms. */
  take(peer: string, mono: number): boolean {
    const known = this.#buckets.get(peer)
    this.#buckets.delete(peer)
    const bucket = known ?? { tokens: this.#burst, filledAt: mono }
    const refilled = Math.max(0, (mono - bucket.filledAt) / this.#refillMs)
    bucket.tokens = Math.min(this.#burst, bucket.tokens + refilled)
    bucket.filledAt = mono
    this.#buckets.set(peer, bucket)
    if (this.#buckets.size > this.#countMax) {
      for (const [oldest] of this.#buckets) {
        this.#buckets.delete(oldest)
        break
      }
    }
    if (bucket.tokens < 1) return false
    bucket.tokens -= 1
    return true
  }

  get size(): number {
    return this.#buckets.size
  }
}
