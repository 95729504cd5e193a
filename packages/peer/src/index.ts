export type { PeerEvent, PeerInput, PeerOutput } from './interface.ts'
export type { SeenPeer } from './neighbourhood.ts'
export type {
  OverlayNodeCommand,
  OverlayNodeContact,
  OverlayNodeInput,
  OverlayNodeOutput,
  OverlayNodeReply,
} from './overlay-interface.ts'
export type { OverlayNodeInfo, OverlayNodeOptions } from './overlay-node.ts'
export { OverlayNode } from './overlay-node.ts'
export type { PeerOptions } from './peer.ts'
export { advertisedVersion, Peer } from './peer.ts'
