/** How many keys of messages that have not come yet a session keeps, and for how long. */
export interface SkippedLimits {
  /** Most messages that one message may skip, and most keys kept of one chain. */
  readonly perChainMax: number
  /** Most keys kept of one session; the oldest go first. */
  readonly perSessionMax: number
  /** Most chains with kept keys. Each costs one attempt to open the header of a message that fits nowhere else. */
  readonly chainsMax: number
  /** Milliseconds of wall clock that a key is kept. */
  readonly lifetimeMs: number
}

/**
 * perChainMax, perSessionMax: DECISIONS "1:1 sessions". lifetimeMs: 7 days + 5 minutes, the age at which a message is
 * refused (DECISIONS "Age"). chainsMax: a guess at what a lossy week needs; a failed attempt costs ≈ 7 µs on libsodium,
 * so that a forged message costs less than a millisecond.
 */
export const defaultSkippedLimits: SkippedLimits = {
  perChainMax: 1000,
  perSessionMax: 2000,
  chainsMax: 128,
  lifetimeMs: 7 * 86_400_000 + 300_000,
}

/** Names one message of a session for its receiver: the receiving chain's index and the message's number in it. */
export interface SkippedKeyId {
  readonly chain: number
  readonly number: number
}

/** The key of a message that has not come yet. A smaller (chain, number) is older. */
export interface SkippedKey extends SkippedKeyId {
  readonly messageKey: Uint8Array
  /** Opens the headers of this chain; the same for all keys of a chain. */
  readonly headerKey: Uint8Array
  /** Milliseconds since the Unix epoch. */
  readonly expiresAt: number
}

/** The kept keys of one chain. */
export interface SkippedChain {
  readonly chain: number
  readonly headerKey: Uint8Array
  readonly count: number
}

/**
 * Port: the skipped message keys of one session, read by `ratchetDecrypt` and never written by it. The caller writes
 * in the transaction that stores the new state, in this order: inserts `skippedAdded`, deletes `skippedUsed`, then
 * deletes of each chain in `skippedEvicted` the `count` keys of the smallest numbers. What has
 * expired it deletes before a decryption or after these three. As a table: (session, chain, number) is the primary key, beside it header key, message
 * key and expiry; `chains` is a GROUP BY chain, asked for only when a message comes out of order or fits nowhere.
 */
export interface SkippedKeys {
  /** The chains with at least one key, in any order; at most `chainsMax` of them. */
  chains(): readonly SkippedChain[]
  find(chain: number, number: number): SkippedKey | undefined
}

/** `count` keys with the smallest numbers of a chain, to be deleted. */
export interface SkippedEviction {
  readonly chain: number
  readonly count: number
}

/** What has to go, oldest first, once `added` are inserted beside `kept`, so that every bound holds. */
export function planEvictions(
  kept: readonly SkippedChain[],
  added: readonly SkippedKey[],
  limits: SkippedLimits,
): SkippedEviction[] {
  if (added.length === 0) return []
  const countsByChain = new Map(kept.map(({ chain, count }) => [chain, count]))
  for (const { chain } of added) countsByChain.set(chain, (countsByChain.get(chain) ?? 0) + 1)
  const counts = [...countsByChain].sort(([a], [b]) => a - b)
  let surplusChains = counts.length - limits.chainsMax
  let surplusKeys = -limits.perSessionMax
  for (const [, count] of counts) surplusKeys += Math.min(count, limits.perChainMax)
  const evictions: SkippedEviction[] = []
  for (const [chain, count] of counts) {
    const overChain = Math.max(0, count - limits.perChainMax)
    const within = count - overChain
    const overSession = surplusChains > 0 ? within : Math.min(within, Math.max(0, surplusKeys))
    surplusChains -= 1
    surplusKeys -= overSession
    if (overChain + overSession > 0) evictions.push({ chain, count: overChain + overSession })
  }
  return evictions
}
