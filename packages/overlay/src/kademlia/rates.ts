import { TokenBucket } from '@miaou/core'

/** One rate for each of a bounded number of keys; the key used longest ago makes room, and starts full again. */
export class Rates {
  readonly #perSecond: number
  readonly #burst: number
  readonly #keysMax: number
  readonly #buckets = new Map<number | string, TokenBucket>()

  constructor(perSecond: number, burst: number, keysMax: number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#keysMax = keysMax
  }

  get size(): number {
    return this.#buckets.size
  }

  /** Whether `key` may once more; `now`: monotonic ms. */
  take(now: number, key: number | string): boolean {
    const bucket = this.#buckets.get(key) ?? new TokenBucket(this.#perSecond, this.#burst)
    this.#buckets.delete(key)
    this.#buckets.set(key, bucket)
    const [oldest] = this.#buckets.keys()
    if (this.#buckets.size > this.#keysMax && oldest !== undefined) this.#buckets.delete(oldest)
    return bucket.take(now)
  }
}
