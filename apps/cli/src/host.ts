import * as hostNode from '@miaou/host-node/peer'
import type { PeerHost } from './peer-handle.ts'

/** The peer of this platform. Loading it brings the database and the cryptography: import it when one must run. */
export const host: PeerHost = hostNode
