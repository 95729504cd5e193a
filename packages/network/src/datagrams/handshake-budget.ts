import { addressScope } from '@miaou/protocol'
import type { DatagramsLimits } from './datagrams-limits.ts'
import { TokenBucket } from './token-bucket.ts'
import { readU32 } from './wire.ts'

/** A packed endpoint (spec/overlay O1) in a buffer: 6 or 18 bytes. */
export interface PackedSource {
  readonly bytes: Uint8Array
  size: 6 | 18
}

/** How many handshakes of others may cost Diffie-Hellman: in all, with a cookie, and of one network (spec D30–D32). */
export class HandshakeBudget {
  readonly #limits: DatagramsLimits
  #open: TokenBucket | undefined
  #withCookie: TokenBucket | undefined
  readonly #prefixes = new Map<number, TokenBucket>()

  constructor(limits: DatagramsLimits) {
    this.#limits = limits
  }

  /** Networks counted at the moment. */
  get prefixes(): number {
    return this.#prefixes.size
  }

  /** Whether a handshake from `source` may be computed now; takes its share if so. */
  take(now: number, source: PackedSource, hasCookie: boolean): boolean {
    const bucket = hasCookie ? this.#cookieBucket(now) : this.#openBucket(now)
    if (!bucket.take(now)) return false
    // Asked second, so that a flood of spoofed networks cannot turn the table over faster than the budget.
    const prefix = this.#prefix(now, source)
    if (prefix === undefined || prefix.take(now)) return true
    bucket.giveBack()
    return false
  }

  #openBucket(now: number): TokenBucket {
    this.#open ??= new TokenBucket(this.#limits.handshakesPerSecond, this.#limits.handshakesBurst, now)
    return this.#open
  }

  #cookieBucket(now: number): TokenBucket {
    const { cookieHandshakesPerSecond, cookieHandshakesBurst } = this.#limits
    this.#withCookie ??= new TokenBucket(cookieHandshakesPerSecond, cookieHandshakesBurst, now)
    return this.#withCookie
  }

  #prefix(now: number, source: PackedSource): TokenBucket | undefined {
    const family = source.size === 6 ? 4 : 6
    if (addressScope(source.bytes, 0, family) === 'loopback') return undefined
    const first = readU32(source.bytes, 0)
    const name = family === 4 ? first >>> 8 : 2 ** 48 + first * 0x1_0000 + (readU32(source.bytes, 4) >>> 16)
    const known = this.#prefixes.get(name)
    if (known !== undefined) return known
    if (this.#prefixes.size >= this.#limits.prefixesMax) {
      const oldest = this.#prefixes.keys().next()
      if (oldest.done !== true) this.#prefixes.delete(oldest.value)
    }
    const bucket = new TokenBucket(this.#limits.prefixHandshakesPerSecond, this.#limits.prefixHandshakesBurst, now)
    this.#prefixes.set(name, bucket)
    return bucket
  }
}
