import { TokenBucket } from '@miaou/core'
import type { DatagramsLimits } from './datagrams-limits.ts'
import { networkOf, type PackedSource } from './network-name.ts'
import { NetworkRates } from './network-rates.ts'

/** How many handshakes may be computed: in all, and of each network. */
class Share {
  readonly byNetwork: NetworkRates
  readonly #all: TokenBucket

  constructor(perSecond: number, burst: number, limits: DatagramsLimits) {
    this.#all = new TokenBucket(perSecond, burst)
    const { prefixHandshakesPerSecond, prefixHandshakesBurst, prefixesMax } = limits
    this.byNetwork = new NetworkRates(prefixHandshakesPerSecond, prefixHandshakesBurst, prefixesMax)
  }

  take(now: number, network: number): boolean {
    if (!this.#all.take(now)) return false
    // Asked second, so that a flood of spoofed networks cannot turn the table over faster than the budget.
    if (this.byNetwork.take(now, network)) return true
    this.#all.giveBack()
    return false
  }
}

/**
 * How many handshakes of others may cost Diffie-Hellman, with a cookie and without: in all, and of one network (spec
 * D30–D32). The two are apart everywhere: who spoofs addresses spends nothing of those who have shown theirs.
 */
export class HandshakeBudget {
  readonly #open: Share
  readonly #withCookie: Share

  constructor(limits: DatagramsLimits) {
    this.#open = new Share(limits.handshakesPerSecond, limits.handshakesBurst, limits)
    this.#withCookie = new Share(limits.cookieHandshakesPerSecond, limits.cookieHandshakesBurst, limits)
  }

  /** Networks counted at the moment, with cookie or without, whichever are more. */
  get prefixes(): number {
    return Math.max(this.#open.byNetwork.size, this.#withCookie.byNetwork.size)
  }

  /** Whether a handshake from `source` may be computed now; takes its share if so. */
  take(now: number, source: PackedSource, hasCookie: boolean): boolean {
    return (hasCookie ? this.#withCookie : this.#open).take(now, networkOf(source))
  }
}
