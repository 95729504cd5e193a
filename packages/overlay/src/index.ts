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
  RecordRules,
} from './kademlia/interface.ts'
export { distanceFraction, estimateNetworkSize } from './kademlia/network-size.ts'
export type { AddResult, ClosestOptions, RoutingTableOptions } from './kademlia/routing-table.ts'
export { RoutingTable } from './kademlia/routing-table.ts'
