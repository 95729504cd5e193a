import { type GossipInterest, gossipInterestsMax } from '@miaou/protocol'
import type { GossipState } from './gossip-state.ts'
import type { Neighbour } from './neighbour.ts'

/**
 * Which topics this node reads or relays, and what it has told each neighbour (spec/gossip G13–G15). A node that does
 * not read a topic relays it while a neighbour wants it and the nearest subscriber behind that neighbour is less than
 * `relayHopsMax` hops from there. To each neighbour goes the distance that does not lead through itself.
 */
export class Interests {
  readonly #state: GossipState
  readonly #subscribed = new Set<string>()
  readonly #told = new Map<Neighbour, Map<string, number>>()

  constructor(state: GossipState) {
    this.#state = state
  }

  get subscribed(): ReadonlySet<string> {
    return this.#subscribed
  }

  /** Every topic that is read or relayed here. */
  carried(): ReadonlySet<string> {
    const topics = new Set(this.#subscribed)
    for (const { isActive, interests } of this.#state.neighbours.values()) {
      if (!isActive) continue
      for (const topic of interests.keys()) if (this.isCarried(topic)) topics.add(topic)
    }
    return topics
  }

  /** Whether messages of the topic are wanted here. */
  isCarried(topic: string): boolean {
    return this.#distance(topic, undefined) !== undefined
  }

  /** False when there are too many. */
  subscribe(topic: string): boolean {
    if (this.#subscribed.size >= this.#state.options.topicsMax && !this.#subscribed.has(topic)) return false
    this.#subscribed.add(topic)
    this.#tell([topic])
    return true
  }

  unsubscribe(topic: string): void {
    if (this.#subscribed.delete(topic)) this.#tell([topic])
  }

  /** The whole list for one neighbour, remembered as told. */
  listFor(neighbour: Neighbour): readonly GossipInterest[] {
    const told = new Map<string, number>()
    const topics = new Set(this.#subscribed)
    for (const other of this.#state.neighbours.values()) {
      if (other.isActive && other !== neighbour) for (const topic of other.interests.keys()) topics.add(topic)
    }
    for (const topic of topics) {
      const distance = told.size < gossipInterestsMax ? this.#distance(topic, neighbour) : undefined
      if (distance !== undefined) told.set(topic, distance)
    }
    this.#told.set(neighbour, told)
    return [...told].map(([topic, distance]) => ({ topic, distance }))
  }

  /** Takes what a neighbour says; gives the topics that changed with it. */
  hear(neighbour: Neighbour, interests: readonly GossipInterest[], isFull: boolean): readonly string[] {
    const changed = new Set<string>()
    if (isFull) {
      const kept = new Set(interests.map(({ topic }) => topic))
      for (const topic of neighbour.interests.keys()) {
        if (kept.has(topic)) continue
        neighbour.interests.delete(topic)
        changed.add(topic)
      }
    }
    for (const { topic, distance } of interests) {
      if (neighbour.interests.get(topic) === distance) continue
      if (distance === undefined) neighbour.interests.delete(topic)
      else if (
        !neighbour.interests.has(topic) &&
        neighbour.interests.size >= this.#state.options.topicsPerNeighbourMax
      ) {
        this.#state.count('dropped-topics-max')
        continue
      } else neighbour.interests.set(topic, distance)
      changed.add(topic)
    }
    return [...changed]
  }

  /** After the interests of neighbours changed: tells the others what changes for them. */
  spread(topics: readonly string[]): void {
    if (topics.length > 0) this.#tell(topics)
  }

  remove(neighbour: Neighbour): void {
    this.#told.delete(neighbour)
    const topics = [...neighbour.interests.keys()]
    neighbour.interests.clear()
    this.spread(topics)
  }

  #distance(topic: string, except: Neighbour | undefined): number | undefined {
    if (this.#subscribed.has(topic)) return 0
    let nearest = this.#state.options.relayHopsMax
    for (const neighbour of this.#state.neighbours.values()) {
      if (neighbour === except || !neighbour.isActive) continue
      nearest = Math.min(nearest, neighbour.interests.get(topic) ?? nearest)
    }
    return nearest < this.#state.options.relayHopsMax ? nearest + 1 : undefined
  }

  #tell(topics: readonly string[]): void {
    for (const [neighbour, told] of this.#told) {
      const changes: GossipInterest[] = []
      for (const topic of topics) {
        const distance = this.#distance(topic, neighbour)
        if (told.get(topic) === distance) continue
        if (distance === undefined) told.delete(topic)
        else if (told.size >= gossipInterestsMax && !told.has(topic)) continue
        else told.set(topic, distance)
        changes.push({ topic, distance })
      }
      for (let at = 0; at < changes.length; at += gossipInterestsMax) {
        const interests = changes.slice(at, at + gossipInterestsMax)
        this.#state.send(neighbour, { type: 'topics', isFull: false, interests })
      }
    }
  }
}
