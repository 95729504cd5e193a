import type { Connected } from '@miaou/sdk'
import type { Session } from '../session.ts'
import { pause } from '../terminal/progress.ts'

/** How long a peer that just started listens for one on the network, ms: mDNS answers within a second (RFC 6762). */
const browseMs = 1_500
const stepMs = 50

/** Connects with a peer; a process that has only just started first gives the network time to show it. */
export async function reach({ client, daemon }: Session, peerId: string, timeoutMs?: number): Promise<Connected> {
  for (let waitedMs = 0; daemon === undefined && waitedMs < browseMs; waitedMs += stepMs) {
    const peer = (await client.network.peers()).find((known) => known.peerId === peerId)
    if (peer !== undefined && (peer.addresses.length > 0 || peer.state === 'connected')) break
    await pause(stepMs)
  }
  return client.network.connect(peerId, timeoutMs)
}
