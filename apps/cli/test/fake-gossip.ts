import { err, ok } from '@miaou/core'
import type { GossipHandle } from '@miaou/host-node'
import type { PeerEvent } from '../src/peer-handle.ts'

/** All who gossip in a test: what one publishes the others hear at once, where they follow the topic. */
export class FakeGossip implements GossipHandle {
  readonly #everybody: Set<FakeGossip>
  readonly #emit: (event: PeerEvent) => void
  /** How many follow a topic here. */
  readonly topics = new Map<string, number>()

  constructor(everybody: Set<FakeGossip>, emit: (event: PeerEvent) => void) {
    this.#everybody = everybody
    this.#emit = emit
    everybody.add(this)
  }

  info: GossipHandle['info'] = () => ({
    publicKey: new Uint8Array(32).fill(11),
    neighbours: [],
    topics: [...this.topics.keys()].map((topic) => ({ topic, isFollowed: true, neighbours: 1 })),
    seenCount: 2,
    counters: { published: 1, 'dropped-late': 0 },
  })

  publish: GossipHandle['publish'] = async (topic, payload) => {
    if (topic.includes(' ')) return err({ type: 'bad-topic', topic })
    if (payload.length > 60_000) return err({ type: 'too-large', size: payload.length, sizeMax: 60_000 })
    const others = [...this.#everybody].filter((other) => other !== this)
    if (others.length === 0) return err({ type: 'no-neighbours' })
    const followers = others.filter((other) => other.topics.has(topic))
    const origin = new Uint8Array(32).fill(11)
    const messageId = '0a'.repeat(32)
    for (const follower of followers) follower.#emit({ type: 'gossip', topic, messageId, origin, payload })
    return ok({ messageId, neighbours: followers.length })
  }

  subscribe: GossipHandle['subscribe'] = async (topic) => {
    if (topic.includes(' ')) return err({ type: 'bad-topic', topic })
    if (!this.topics.has(topic) && this.topics.size >= 3) return err({ type: 'too-many-topics', topicsMax: 3 })
    this.topics.set(topic, (this.topics.get(topic) ?? 0) + 1)
    return ok(undefined)
  }

  unsubscribe: GossipHandle['unsubscribe'] = async (topic) => {
    const count = this.topics.get(topic) ?? 0
    if (count > 1) this.topics.set(topic, count - 1)
    else this.topics.delete(topic)
  }
}
