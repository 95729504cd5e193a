export type { PeerEvent, PeerInput, PeerOutput } from './interface.ts'
export type { SeenPeer } from './neighbourhood.ts'
export type { PeerOptions } from './peer.ts'
export { advertisedVersion, Peer } from './peer.ts'
