// Types only: naming the host here loads none of it.
import type * as hostNode from '@miaou/host-node'

export type { PeerHandle, StartPeerOptions, UserKeyView } from '@miaou/host-node'
export type { PeerEvent } from '@miaou/peer'

export type StartError = hostNode.StartError | hostNode.CreateHomeError

/** What the program needs of a host; tests give a small one in memory. */
export type PeerHost = Pick<typeof hostNode, 'homeState' | 'checkRecoveryWords' | 'createHome' | 'startPeer'>
