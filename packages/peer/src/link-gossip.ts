import type { Now, PeerId } from '@miaou/core'
import type { GossipInput, GossipOutput, NeighbourId } from '@miaou/overlay'
import { gossipKinds, isGossipTopic } from '@miaou/protocol'
import type { GossipCommand, GossipEngine, GossipNews, GossipResult, GossipView } from './gossip-interface.ts'

export type LinkGossipOutput =
  | { readonly type: 'send'; readonly to: PeerId; readonly bytes: Uint8Array }
  | { readonly type: 'reply'; readonly id: number; readonly result: GossipResult }
  | { readonly type: 'news'; readonly news: GossipNews }

export interface LinkGossipLimits {
  /** Topics followed at a time, as the engine's. */
  readonly topicsMax: number
  /** Greetings by which a neighbour that was parted with comes back: so many at once, then one in `returnMs`. */
  readonly returnsBurst: number
  /** Milliseconds. */
  readonly returnMs: number
  /** What one link is given: messages of the person share it, and must not wait long behind gossip. */
  readonly bytesPerSecond: number
  readonly bytesBurst: number
}

/** Guesses: a greeting costs its receiver two messages, and times out after 10 s; a home's uplink has a few Mbit/s. */
export const defaultLinkGossipLimits: LinkGossipLimits = {
  topicsMax: 64,
  returnsBurst: 4,
  returnMs: 10_000,
  bytesPerSecond: 262_144,
  bytesBurst: 1_048_576,
}

interface Joined {
  /** Monotonic ms at which the allowance of returns is whole again. */
  wholeAt: number
  /** Monotonic ms at which the allowance of bytes to it is whole again. */
  bytesWholeAt: number
  /** The engine had no room for it. */
  isTurnedAway: boolean
}

/**
 * Gossip over the links with contacts (spec/gossip, In the product). Links are given: nothing is dialled for gossip, and
 * a neighbour that gossip parts with keeps its link.
 */
export class LinkGossip {
  readonly #engine: GossipEngine
  readonly #limits: LinkGossipLimits
  readonly #joined = new Map<PeerId, Joined>()
  /** How many follow a topic here. */
  readonly #followers = new Map<string, number>()
  #droppedCount = 0

  constructor(engine: GossipEngine, limits: Partial<LinkGossipLimits> = {}) {
    this.#engine = engine
    this.#limits = { ...defaultLinkGossipLimits, ...limits }
  }

  /** A contact that takes part in gossip is linked. */
  join(now: Now, peerId: PeerId): LinkGossipOutput[] {
    if (this.#joined.has(peerId)) return []
    this.#joined.set(peerId, { wholeAt: now.mono, bytesWholeAt: now.mono, isTurnedAway: false })
    return this.#up(now, peerId)
  }

  /** Its link is gone, or it is no contact any more: one that found no room may have its place. */
  part(now: Now, peerId: PeerId): LinkGossipOutput[] {
    if (!this.#joined.delete(peerId)) return []
    const outputs = this.#drive(now, { type: 'neighbour-down', neighbour: toNeighbour(peerId) })
    for (const [waiting, joined] of this.#joined) {
      if (!joined.isTurnedAway) continue
      joined.isTurnedAway = false
      return [...outputs, ...this.#up(now, waiting)]
    }
    return outputs
  }

  hear(now: Now, peerId: PeerId, bytes: Uint8Array): LinkGossipOutput[] {
    const outputs: LinkGossipOutput[] = []
    // Either end may have parted since, the other not having accepted us yet, or for want of room.
    if (isHello(bytes) && this.#mayReturn(now, peerId)) outputs.push(...this.#up(now, peerId))
    outputs.push(...this.#drive(now, { type: 'message', from: toNeighbour(peerId), bytes }))
    return outputs
  }

  command(now: Now, id: number, command: GossipCommand): LinkGossipOutput[] {
    switch (command.type) {
      case 'publish':
        if (this.#engine.info().active.length === 0) return [failure(id, { type: 'no-neighbours' })]
        return this.#drive(now, { ...command, id })
      case 'subscribe':
        return this.#subscribe(now, id, command.topic)
      case 'unsubscribe':
        return this.#unsubscribe(now, id, command.topic)
    }
  }

  wake(now: Now): LinkGossipOutput[] {
    return this.#drive(now, { type: 'wake' })
  }

  /** Monotonic ms of the next wake, Infinity for none. */
  deadline(): number {
    return this.#engine.deadline()
  }

  counters(): Readonly<Record<string, number>> {
    const counters = this.#engine.counters()
    return this.#droppedCount === 0 ? counters : { ...counters, 'dropped-busy-link': this.#droppedCount }
  }

  view(): GossipView {
    const { active, topics, seenCount } = this.#engine.info()
    return {
      neighbours: active.map(({ neighbour, score }) => ({ peerId: toPeer(neighbour), score })),
      topics: topics.map(({ topic, isSubscribed, neighbours }) => ({ topic, isFollowed: isSubscribed, neighbours })),
      seenCount,
      counters: this.counters(),
    }
  }

  #up(now: Now, peerId: PeerId): LinkGossipOutput[] {
    return this.#drive(now, { type: 'neighbour-up', neighbour: toNeighbour(peerId), hint: undefined })
  }

  #mayReturn(now: Now, peerId: PeerId): boolean {
    const joined = this.#joined.get(peerId)
    if (joined === undefined) return false
    const { returnsBurst, returnMs } = this.#limits
    if (joined.wholeAt > now.mono + (returnsBurst - 1) * returnMs) return false
    joined.wholeAt = Math.max(joined.wholeAt, now.mono) + returnMs
    return true
  }

  /** Messages of topics above the rate are dropped; what gossip itself needs is small and always goes. */
  #maySend(now: Now, { to, bytes }: GossipOutput & { readonly type: 'send' }): boolean {
    const joined = this.#joined.get(toPeer(to))
    if (bytes[0] !== gossipKinds.data || joined === undefined) return true
    const { bytesPerSecond, bytesBurst } = this.#limits
    const wholeAt = Math.max(joined.bytesWholeAt, now.mono) + (bytes.length * 1_000) / bytesPerSecond
    if (wholeAt > now.mono + (bytesBurst * 1_000) / bytesPerSecond) {
      this.#droppedCount += 1
      return false
    }
    joined.bytesWholeAt = wholeAt
    return true
  }

  #subscribe(now: Now, id: number, topic: string): LinkGossipOutput[] {
    const count = this.#followers.get(topic) ?? 0
    const { topicsMax } = this.#limits
    if (!isGossipTopic(topic)) return [failure(id, { type: 'bad-topic', topic })]
    if (count === 0 && this.#followers.size >= topicsMax) return [failure(id, { type: 'too-many-topics', topicsMax })]
    this.#followers.set(topic, count + 1)
    return [done(id), ...(count === 0 ? this.#drive(now, { type: 'subscribe', topic }) : [])]
  }

  #unsubscribe(now: Now, id: number, topic: string): LinkGossipOutput[] {
    const count = this.#followers.get(topic) ?? 0
    if (count > 1) this.#followers.set(topic, count - 1)
    if (count !== 1) return [done(id)]
    this.#followers.delete(topic)
    return [done(id), ...this.#drive(now, { type: 'unsubscribe', topic })]
  }

  #drive(now: Now, input: GossipInput): LinkGossipOutput[] {
    return this.#engine.handle(now, input).flatMap((output) => this.#translate(now, output))
  }

  #translate(now: Now, output: GossipOutput): LinkGossipOutput[] {
    switch (output.type) {
      case 'send':
        return this.#maySend(now, output) ? [{ type: 'send', to: toPeer(output.to), bytes: output.bytes }] : []
      case 'deliver': {
        const { topic, messageId, origin, payload } = output
        return [{ type: 'news', news: { type: 'gossip', topic, messageId, origin, payload } }]
      }
      case 'reply': {
        const { id, result } = output
        if (!result.ok) return [failure(id, result.error)]
        const { messageId, neighbours } = result
        return [{ type: 'reply', id, result: { ok: true, value: { messageId, neighbours } } }]
      }
      case 'disconnect': {
        const joined = this.#joined.get(toPeer(output.neighbour))
        if (joined !== undefined) joined.isTurnedAway = output.reason === 'view-full'
        return []
      }
      case 'connect':
        // Nobody who takes part in this way gives hints, and what somebody makes up is not dialled.
        return []
    }
  }
}

function isHello(bytes: Uint8Array): boolean {
  return bytes[0] === gossipKinds.hello
}

function done(id: number): LinkGossipOutput {
  return { type: 'reply', id, result: { ok: true, value: undefined } }
}

function failure(id: number, error: (GossipResult & { readonly ok: false })['error']): LinkGossipOutput {
  return { type: 'reply', id, result: { ok: false, error } }
}

/** To the engine a neighbour is any text. */
function toNeighbour(peerId: PeerId): NeighbourId {
  return peerId as string as NeighbourId
}

function toPeer(neighbour: NeighbourId): PeerId {
  return neighbour as string as PeerId
}
