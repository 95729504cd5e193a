import { decodeGossipMessage } from '@miaou/protocol'

/** Row E21, as read from the bytes that travel: these also hold time, sequence, topic and signature (spec/gossip.md). */
export interface GossipMessage {
  /** SHA-256 of origin, time, sequence, topic and payload: 32 bytes. */
  readonly id: Uint8Array
  /** Ed25519 key of the publisher, whose signature the engine has checked of what it delivers. */
  readonly origin: Uint8Array
  /** Hops left. */
  readonly ttl: number
  readonly payload: Uint8Array
}

/** The topic of all messages of the exercise, which has no topics. */
export const exerciseTopic = 'p2p'

/** What a gossip message says; undefined for bytes of another kind. Its signature is not checked here. */
export function readGossipMessage(bytes: Uint8Array): GossipMessage | undefined {
  const decoded = decodeGossipMessage(bytes)
  if (!decoded.ok || decoded.value.type !== 'data') return undefined
  const { id, origin, ttl, payload } = decoded.value
  return { id, origin, ttl, payload }
}
