import { defaultKademliaConfig } from '../kademlia/config.ts'

/** What the exercise sets (rows E02, E03, E05–E08). */
export interface P2PConfig {
  /** Peers a bucket, and nodes asked to hold a value. */
  readonly k: number
  /** Requests of one lookup in flight. */
  readonly alpha: number
  /** A bucket unused for so long is refreshed, ms. */
  readonly refreshInterval: number
  /** Holders at which `store` is done. */
  readonly replicationFactor: number
  /** Hops of a gossip message. */
  readonly gossipTtl: number
}

export const defaultP2PConfig: P2PConfig = {
  k: defaultKademliaConfig.k,
  alpha: defaultKademliaConfig.alpha,
  refreshInterval: defaultKademliaConfig.refreshIntervalMs,
  replicationFactor: defaultKademliaConfig.replicationFactor,
  // Row E07. The gossip engine's own default allows for a longer way round.
  gossipTtl: 6,
}
