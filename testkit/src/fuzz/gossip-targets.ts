import { textToBytes } from '@miaou/core'
import { type Crypto, signLabelled } from '@miaou/crypto'
import { Gossip, gossipLabel, type NeighbourId } from '@miaou/overlay'
import {
  decodeGossipMessage,
  encodeGossipBody,
  encodeGossipData,
  encodeGossipMessage,
  type GossipMessage,
} from '@miaou/protocol'
import { sampleBytes, sampleTime } from './samples.ts'
import { defineTarget, type FuzzTarget } from './target.ts'

const topic = 'sample'
const neighbour = 'neighbour' as NeighbourId

/** What gossip neighbours say, to the decoder and to an engine. */
export function gossipTargets(crypto: Crypto): readonly FuzzTarget[] {
  const messages = sampleMessages(crypto)
  const seeds = messages.map(encodeGossipMessage)
  return [
    defineTarget<GossipMessage>({
      name: 'gossip-message',
      seeds,
      decode: decodeGossipMessage,
      encode: encodeGossipMessage,
      sizeMax: 4_096,
      weight: 1,
    }),
    {
      name: 'gossip-engine',
      seeds,
      decode: engineDecoder(crypto),
      sizeMax: 4_096,
      weight: 0.3,
      // Now and then the engine's own tables grow.
      slackBytes: 4 * 1024 * 1024,
    },
  ]
}

/** One engine hears everything; whoever is let go comes back as a new neighbour. */
function engineDecoder(crypto: Crypto): FuzzTarget['decode'] {
  const key = crypto.ed25519KeyPair(sampleBytes(crypto, 'gossip listener', 32))
  const gossip = new Gossip({ crypto, jitter: { next: () => 0.5 }, key, options: { graylistMs: 0 } })
  let mono = 0
  const now = () => ({ mono, wall: sampleTime })
  gossip.handle(now(), { type: 'subscribe', topic })
  const hello = encodeGossipMessage({
    type: 'hello',
    isJoining: false,
    isUrgent: false,
    hint: undefined,
    interests: [{ topic, distance: 0 }],
  })
  return (bytes) => {
    mono += 10
    if (gossip.info().active.length === 0) {
      gossip.handle(now(), { type: 'neighbour-up', neighbour, hint: undefined, isOutgoing: true })
      gossip.handle(now(), { type: 'message', from: neighbour, bytes: hello })
    }
    const before = refusals(gossip)
    gossip.handle(now(), { type: 'message', from: neighbour, bytes })
    return refusals(gossip) === before ? { ok: true, value: undefined } : { ok: false, error: { type: 'blamed' } }
  }
}

function refusals(gossip: Gossip): number {
  const counters = gossip.counters()
  return (counters['fault-malformed'] ?? 0) + (counters['fault-invalid'] ?? 0)
}

function sampleMessages(crypto: Crypto): readonly GossipMessage[] {
  const key = crypto.ed25519KeyPair(sampleBytes(crypto, 'gossip origin', 32))
  const fields = {
    origin: key.publicKey,
    timestamp: sampleTime,
    sequence: 1,
    topic,
    payload: textToBytes('Miaou !'),
  }
  const body = encodeGossipBody(fields)
  const id = crypto.sha256(body)
  const signature = signLabelled(crypto, gossipLabel, id, key.secretKey)
  const data = decodeGossipMessage(encodeGossipData(body, { ttl: 6, hops: 1, id, signature }))
  if (!data.ok) throw new Error('the sample message is refused')
  const shortId = id.slice(0, 16)
  const hint = sampleBytes(crypto, 'gossip hint', 40)
  const interests = [
    { topic, distance: 0 },
    { topic: 'other', distance: undefined },
  ]
  return [
    data.value,
    { type: 'announce', topic, isPull: false, announcements: [{ shortId, hops: 2 }] },
    { type: 'graft', topic, isEager: true, shortIds: [shortId] },
    { type: 'prune', topic },
    { type: 'topics', isFull: true, interests },
    { type: 'hello', isJoining: true, isUrgent: false, hint, interests },
    { type: 'forward-join', ttl: 6, hint },
    { type: 'shuffle', isReply: false, hints: [hint] },
    { type: 'leave', hints: [hint] },
  ]
}
