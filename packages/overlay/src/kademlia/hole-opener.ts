import { TokenBucket } from '@miaou/core'
import type { Endpoint } from '@miaou/protocol'
import type { Core } from './core.ts'
import { Rates } from './rates.ts'

/** Row D16: a target sends so many datagrams for one punch at most. 9 bytes each: less than the asker's one. */
export const openersPerPunch = 3

/** Nonces remembered, so that a punch asked for twice opens once. Above what the rates let through in `punchWaitMs`. */
const noncesMax = 64

interface Hole {
  readonly to: Endpoint
  readonly nonce: Uint8Array
  sentCount: number
  nextAt: number
}

/** Sends the tiny datagrams that let an asker in through the own NAT. */
export class HoleOpener {
  readonly #core: Core
  readonly #holes = new Set<Hole>()
  /** The latest ones. */
  readonly #nonces = new Set<string>()
  readonly #byPrefix: Rates
  readonly #all: TokenBucket

  constructor(core: Core) {
    this.#core = core
    const { knocksPerSecond, knocksBurst, knocksPerPrefixPerSecond, knocksPerPrefixBurst, punchRatesMax } = core.config
    this.#all = new TokenBucket(knocksPerSecond, knocksBurst)
    this.#byPrefix = new Rates(knocksPerPrefixPerSecond, knocksPerPrefixBurst, punchRatesMax)
  }

  deadline(): number {
    let earliest = Number.POSITIVE_INFINITY
    for (const { nextAt } of this.#holes) earliest = Math.min(earliest, nextAt)
    return earliest
  }

  /** False where it would be too often, or has been done. `prefix`: of `to`, 0 for a private network. */
  open(to: Endpoint, prefix: number, nonce: Uint8Array): boolean {
    const { mono } = this.#core
    const name = nonce.join()
    if (this.#nonces.has(name)) return false
    if (prefix !== 0 && !this.#byPrefix.take(mono, prefix)) return false
    if (!this.#all.take(mono)) return false
    this.#nonces.add(name)
    const [oldest] = this.#nonces
    if (this.#nonces.size > noncesMax && oldest !== undefined) this.#nonces.delete(oldest)
    const hole: Hole = { to, nonce: nonce.slice(), sentCount: 0, nextAt: mono }
    this.#holes.add(hole)
    this.#send(hole)
    return true
  }

  /** Somebody got through from this host: what is left for it is not sent. */
  heard(host: string): void {
    for (const hole of this.#holes) if (hole.to.host === host) this.#holes.delete(hole)
  }

  wake(): void {
    for (const hole of this.#holes) if (this.#core.mono >= hole.nextAt) this.#send(hole)
  }

  clear(): void {
    this.#holes.clear()
  }

  #send(hole: Hole): void {
    this.#core.sendOpener(hole.to, hole.nonce)
    hole.nextAt = this.#core.mono + this.#core.config.openerIntervalMs * 2 ** hole.sentCount
    hole.sentCount++
    if (hole.sentCount >= openersPerPunch) this.#holes.delete(hole)
  }
}
