import { TokenBucket } from '@miaou/core'
import { ownMachine } from './network-name.ts'

/** One rate for each network (`networkOf`); this machine has none. The network known longest makes room. */
export class NetworkRates {
  readonly #perSecond: number
  readonly #burst: number
  readonly #networksMax: number
  readonly #buckets = new Map<number, TokenBucket>()

  constructor(perSecond: number, burst: number, networksMax: number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#networksMax = networksMax
  }

  /** Networks counted at the moment. */
  get size(): number {
    return this.#buckets.size
  }

  /** Whether one more of `network` is within its rate; takes it if so. `now`: monotonic ms. */
  take(now: number, network: number): boolean {
    return network === ownMachine || this.#bucket(network).take(now)
  }

  #bucket(network: number): TokenBucket {
    const known = this.#buckets.get(network)
    if (known !== undefined) return known
    if (this.#buckets.size >= this.#networksMax) {
      const oldest = this.#buckets.keys().next()
      if (oldest.done !== true) this.#buckets.delete(oldest.value)
    }
    const bucket = new TokenBucket(this.#perSecond, this.#burst)
    this.#buckets.set(network, bucket)
    return bucket
  }
}
