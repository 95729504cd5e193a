import { equalBytes, type Jitter, type PeerId } from '@miaou/core'
import type { WantedPeer } from '@miaou/messaging'

export interface LookupLimits {
  /** Least time between two lookups, ms. */
  readonly betweenMs: number
  /** First wait before the same peer is looked up again, ms; it doubles up to `backoffMaxMs`. */
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
  /** Share of a wait that is drawn by lot: ± half of it. */
  readonly backoffJitter: number
}

/**
 * Guesses. A lookup asks some 20 nodes; a peer that is merely away is looked for twice an hour, and dials us itself when
 * it comes back.
 */
export const defaultLookupLimits: LookupLimits = {
  betweenMs: 2_000,
  backoffMinMs: 15_000,
  backoffMaxMs: 1_800_000,
  backoffJitter: 0.5,
}

interface Search {
  /** Lookups since the peer was reachable last. */
  readonly tries: number
  /** Monotonic ms. */
  readonly nextAt: number
}

/** Whose record is looked up when: those who are wanted, cannot be reached, and told where their records are found. */
export class RecordLookups {
  readonly #jitter: Jitter
  readonly #limits: LookupLimits
  #wanted: readonly WantedPeer[] = []
  readonly #searches = new Map<PeerId, Search>()
  #nextAt = Number.NEGATIVE_INFINITY

  constructor(jitter: Jitter, limits: Partial<LookupLimits> = {}) {
    this.#jitter = jitter
    this.#limits = { ...defaultLookupLimits, ...limits }
  }

  /** The whole list. Who has a new locator key is looked up at once. */
  want(peers: readonly WantedPeer[]): void {
    const before = new Map(this.#wanted.map(({ peerId, locatorKey }) => [peerId, locatorKey]))
    this.#wanted = peers
    const wanted = new Set(peers.map(({ peerId }) => peerId))
    for (const peerId of this.#searches.keys()) if (!wanted.has(peerId)) this.#searches.delete(peerId)
    for (const { peerId, locatorKey } of peers) {
      const known = before.get(peerId)
      const isSame = known !== undefined && locatorKey !== undefined && equalBytes(known, locatorKey)
      if (!isSame) this.#searches.delete(peerId)
    }
  }

  /** The network changed, or the overlay came up: everybody who is missed is looked up anew. */
  forget(): void {
    this.#searches.clear()
  }

  /** Who is to be looked up now, and counts as looked up; undefined for nobody. `mono`: monotonic ms. */
  next(
    mono: number,
    isLost: (peerId: PeerId) => boolean,
  ): (WantedPeer & { readonly locatorKey: Uint8Array }) | undefined {
    const { betweenMs, backoffMinMs, backoffMaxMs, backoffJitter } = this.#limits
    if (mono < this.#nextAt) return undefined
    let chosen: WantedPeer | undefined
    let chosenAt = Number.POSITIVE_INFINITY
    for (const peer of this.#wanted) {
      if (peer.locatorKey === undefined) continue
      if (!isLost(peer.peerId)) {
        this.#searches.delete(peer.peerId)
        continue
      }
      const nextAt = this.#searches.get(peer.peerId)?.nextAt ?? Number.NEGATIVE_INFINITY
      if (nextAt > mono || (chosen !== undefined && nextAt >= chosenAt)) continue
      chosen = peer
      chosenAt = nextAt
    }
    if (chosen?.locatorKey === undefined) return undefined
    const tries = (this.#searches.get(chosen.peerId)?.tries ?? 0) + 1
    const waitMs = Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(20, tries - 1))
    const nextAt = mono + waitMs * (1 + backoffJitter * (this.#jitter.next() - 0.5))
    this.#searches.set(chosen.peerId, { tries, nextAt })
    this.#nextAt = mono + betweenMs
    return { ...chosen, locatorKey: chosen.locatorKey }
  }
}
