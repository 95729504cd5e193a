export * as exercise from './exercise/index.ts'
export { chooseFanOut } from './gossip/fan-out.ts'
export { Gossip, gossipLabel } from './gossip/gossip.ts'
export type { GossipConfig, GossipOptions } from './gossip/gossip-options.ts'
export { defaultGossipOptions } from './gossip/gossip-options.ts'
export type {
  GossipInfo,
  GossipInput,
  GossipOutput,
  GossipPublishError,
  GossipPublishResult,
  NeighbourHint,
  NeighbourId,
} from './gossip/interface.ts'
export { SeenSet } from './gossip/seen-set.ts'
export { defaultKademliaConfig } from './kademlia/config.ts'
export type { ContactRoots, ContactTableOptions } from './kademlia/contact-table.ts'
export { ContactTable } from './kademlia/contact-table.ts'
export type {
  ContactRef,
  KademliaCommand,
  KademliaConfig,
  KademliaError,
  KademliaInput,
  KademliaMessage,
  KademliaOptions,
  KademliaOutput,
  KademliaReply,
  LookupCost,
  PunchFailure,
  RecordRules,
} from './kademlia/interface.ts'
export type { KademliaInfo } from './kademlia/kademlia.ts'
export { Kademlia } from './kademlia/kademlia.ts'
export { distanceFraction, estimateNetworkSize } from './kademlia/network-size.ts'
export type { AddResult, ClosestOptions, RoutingTableOptions } from './kademlia/routing-table.ts'
export { RoutingTable } from './kademlia/routing-table.ts'
