export type { ContactWaysInput, ContactWaysOutput, HeardWays, OwnWays } from './contact-ways.ts'
export { boxesOf, ContactWaysExchange, defaultContactWaysLimits } from './contact-ways.ts'
export type {
  GossipCommand,
  GossipEngine,
  GossipError,
  GossipNews,
  GossipPublished,
  GossipResult,
  GossipView,
} from './gossip-interface.ts'
export { gossipFeature, linkedGossipOptions } from './gossip-interface.ts'
export type { PeerEvent, PeerInput, PeerOutput } from './interface.ts'
export type { SeenPeer } from './neighbourhood.ts'
export type { OverlayHint, OwnOverlayNode } from './overlay-telling.ts'
export { ownClientForWorld, ownContactForWorld } from './overlay-telling.ts'
export type { PeerOptions } from './peer.ts'
export { advertisedVersion, Peer } from './peer.ts'
