import { bytesToHex, hexToBytes } from '@miaou/core'
import type { ErrorCode, OperationInput, OperationName, OperationOutput } from '@miaou/sdk'
import { MiaouError } from '@miaou/sdk/client'
import type { PeerHandle } from '../peer-handle.ts'

type GossipOperationName = Extract<OperationName, `gossip.${string}`>

type GossipHandlers = {
  readonly [N in GossipOperationName]: (peer: PeerHandle, input: OperationInput<N>) => Promise<OperationOutput<N>>
}

type GossipFailure = Extract<Awaited<ReturnType<PeerHandle['gossip']['publish']>>, { readonly ok: false }>['error']

/** What each operation of gossip does with a running peer. Following is no operation: it lasts as long as a stream. */
export const gossipHandlers: GossipHandlers = {
  'gossip.publish': async (peer, { topic, payload }) => {
    // The schema let only hexadecimal through.
    const published = await peer.gossip.publish(topic, hexToBytes(payload) ?? new Uint8Array(0))
    if (!published.ok) throw toGossipError(published.error)
    return published.value
  },
  'gossip.info': async (peer) => {
    const { publicKey, ...view } = peer.gossip.info()
    return { publicKey: bytesToHex(publicKey), ...view }
  },
}

const codes: Readonly<Record<Exclude<GossipFailure['type'], 'too-many-topics'>, ErrorCode>> = {
  'bad-topic': 'bad-topic',
  'too-large': 'too-large',
  'too-fast': 'too-fast',
  'no-neighbours': 'no-neighbours',
  stopped: 'stopped',
}

export function toGossipError(error: GossipFailure): MiaouError {
  if (error.type === 'too-many-topics') return new MiaouError('too-many', { what: 'topics', countMax: error.topicsMax })
  const { type, ...facts } = error
  return new MiaouError(codes[type], facts)
}
