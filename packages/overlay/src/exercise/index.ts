/**
 * The names of the exercise (rows E05–E28) as a documented face of the engines: `import { exercise } from
 * '@miaou/overlay'`. Thin: what it decides, the engines decide. Miaou itself uses the engines directly.
 */
export type { P2PConfig } from './config.ts'
export { defaultP2PConfig } from './config.ts'
export type { DhtMessage } from './dht-message.ts'
export type { P2PError } from './errors.ts'
export type { GossipMessage } from './gossip-message.ts'
export { readGossipMessage } from './gossip-message.ts'
export { NodeId } from './node-id.ts'
export type { P2PNetwork, P2PNodeOptions } from './p2p-node.ts'
export { P2PNode } from './p2p-node.ts'
export type { PeerInfo } from './peer-info.ts'
export { KBucket, RoutingTable } from './tables.ts'
