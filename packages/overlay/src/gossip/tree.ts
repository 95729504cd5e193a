import { bytesToHex } from '@miaou/core'
import {
  type GossipAnnouncement,
  type GossipMessage,
  type GossipRoute,
  gossipIdsMax,
  gossipShortIdSize,
  withGossipHop,
} from '@miaou/protocol'
import { CutWindow } from './cut-window.ts'
import { chooseFanOut } from './fan-out.ts'
import type { GossipState } from './gossip-state.ts'
import { type CachedMessage, MessageCache } from './message-cache.ts'
import { MissingMessages } from './missing.ts'
import type { Neighbour } from './neighbour.ts'
import type { SeenSet } from './seen-set.ts'

/** A neighbour that wants a topic. */
interface Branch {
  readonly neighbour: Neighbour
  /** Whether messages are pushed to it, or announced. */
  isEager: boolean
  /** What will be announced to it, by key. */
  readonly pending: Map<string, GossipAnnouncement>
  /** When it was last told to stop pushing. */
  prunedAt: number
}

interface Topic {
  readonly name: string
  readonly branches: Map<Neighbour, Branch>
  /** Nothing was pushed yet. */
  isFresh: boolean
  readonly cuts: CutWindow
  /** When the tree was last made, monotonic ms; messages since then; the key of the one that made it. */
  renewedAt: number
  messagesSince: number
  renewedBy: string
  /** Broken somewhere since then, or made by whoever spoke first. */
  isDoubted: boolean
}

/**
 * The broadcast trees: one a topic, shared by all publishers (Plumtree, Leitão et al. 2007). Messages are pushed on eager
 * branches and announced on lazy ones; a second copy makes a branch lazy, a missing message makes one eager.
 */
export class Tree {
  readonly missing: MissingMessages
  readonly cache: MessageCache
  readonly #state: GossipState
  readonly #seen: SeenSet
  readonly #topics = new Map<string, Topic>()
  #announceAt = Number.POSITIVE_INFINITY
  #announcedAt = Number.NEGATIVE_INFINITY

  constructor(state: GossipState, seen: SeenSet) {
    this.#state = state
    this.#seen = seen
    this.missing = new MissingMessages(state)
    this.cache = new MessageCache(state.options.cacheBytesMax, state.options.cacheMs)
  }

  deadline(): number {
    return Math.min(this.#announceAt, this.missing.deadline())
  }

  /** Branches of a topic: how many in all, and how many eager. */
  branches(name: string): { readonly all: number; readonly eager: number } {
    const topic = this.#topics.get(name)
    return topic === undefined ? { all: 0, eager: 0 } : { all: topic.branches.size, eager: eagerCount(topic) }
  }

  /** A neighbour no longer wants a topic. */
  removeBranch(neighbour: Neighbour, name: string): void {
    const topic = this.#topics.get(name)
    topic?.branches.delete(neighbour)
    if (topic?.branches.size === 0) this.#topics.delete(name)
  }

  /** A neighbour wants a topic. `isEager`: it may have nobody else who pushes to it. */
  addBranch(neighbour: Neighbour, name: string, isEager: boolean): void {
    let topic = this.#topics.get(name)
    if (topic === undefined) {
      topic = {
        name,
        branches: new Map(),
        isFresh: true,
        cuts: new CutWindow(this.#state.options.cutMs),
        renewedAt: Number.NEGATIVE_INFINITY,
        messagesSince: 0,
        renewedBy: '',
        isDoubted: false,
      }
      this.#topics.set(name, topic)
    }
    if (topic.branches.has(neighbour)) return
    const branch: Branch = {
      neighbour,
      // Before the first message every branch is one of the tree; later a new one would only bring second copies.
      isEager: isEager || topic.isFresh,
      pending: new Map(),
      prunedAt: Number.NEGATIVE_INFINITY,
    }
    topic.branches.set(neighbour, branch)
    this.#announceRecent(topic, branch)
  }

  remove(neighbour: Neighbour): void {
    for (const [name, topic] of this.#topics) {
      if (topic.branches.get(neighbour)?.isEager) topic.isDoubted = true
      topic.branches.delete(neighbour)
      if (topic.branches.size === 0) this.#topics.delete(name)
    }
    this.missing.remove(neighbour)
    this.cache.forget(neighbour)
  }

  /** Whether an own message should make the tree anew: it is old, or was found broken (spec/gossip G13). */
  wantsRenewal(name: string): boolean {
    const topic = this.#topics.get(name)
    if (topic === undefined || topic.isFresh) return false
    const { renewMessages, renewMessagesMin, renewMs } = this.#state.options
    const least = topic.isDoubted ? renewMessagesMin : renewMessages
    if (this.#state.mono < topic.renewedAt + renewMs || topic.messagesSince < least) return false
    // Who passes on to many stands in the middle: from there the way to the last node is shorter.
    return 2 * eagerCount(topic) >= topic.branches.size || topic.messagesSince >= 4 * least
  }

  /**
   * Passes a message on. `bytes`: as forwarded along the tree. `route`: how it came. `ttl`: hops it may still make; 0: it
   * is only announced. `from`: who gave it, undefined for an own message. Gives the number of neighbours it was pushed to.
   */
  spread(name: string, bytes: Uint8Array, route: GossipRoute, ttl: number, from: Neighbour | undefined): number {
    const shortId = bytes.slice(3, 3 + gossipShortIdSize)
    const key = bytesToHex(shortId)
    const { hops } = route
    const message: CachedMessage = { key, shortId, topic: name, bytes, hops, from, at: this.#state.mono }
    this.cache.add(message)
    if (from !== undefined) this.missing.arrived(key, from)
    const topic = this.#topics.get(name)
    if (topic === undefined) return 0
    const isRenewed = this.#renew(topic, key, route, from)
    topic.cuts.add(message.at, key)
    if (from !== undefined) this.#arrivedOn(topic, key, from, route)
    let pushed = 0
    for (const branch of topic.branches.values()) {
      if (branch.neighbour === from) branch.pending.delete(key)
      else if (!branch.isEager && !isRenewed) this.#announceLater(branch, message)
      else if (ttl === 0) this.#announceNow(topic, branch, message)
      else {
        this.#state.sendBytes(branch.neighbour, bytes)
        pushed += 1
      }
    }
    return pushed
  }

  /** A second copy came along the tree: its sender is told to announce instead, and so will we. */
  duplicate(neighbour: Neighbour, name: string | undefined, id: Uint8Array, route: GossipRoute): void {
    const topic = name === undefined ? undefined : this.#topics.get(name)
    const branch = topic?.branches.get(neighbour)
    if (topic === undefined || branch === undefined) return
    const key = bytesToHex(id.subarray(0, gossipShortIdSize))
    branch.pending.delete(key)
    // What makes the tree anew goes to everybody: its sender does not take this branch for one of the tree.
    if (route.renews && !branch.isEager) return
    const mayCut = this.#isSettling(topic) ? key === topic.renewedBy : topic.cuts.mayCut(this.#state.mono, key)
    if (!mayCut) {
      this.#state.count('spared-cuts')
      return
    }
    branch.isEager = false
    // Copies that were under way before it heard need no second word.
    if (this.#state.mono < branch.prunedAt + this.#state.options.graftMinMs) return
    branch.prunedAt = this.#state.mono
    this.#state.send(neighbour, { type: 'prune', topic: topic.name })
  }

  announced(neighbour: Neighbour, message: Extract<GossipMessage, { type: 'announce' }>): void {
    const branch = this.#topics.get(message.topic)?.branches.get(neighbour)
    for (const { shortId } of message.announcements) {
      if (!this.#seen.has(shortId)) this.missing.announced(neighbour, message.topic, shortId, message.isPull)
      else branch?.pending.delete(bytesToHex(shortId))
    }
  }

  grafted(neighbour: Neighbour, message: Extract<GossipMessage, { type: 'graft' }>): void {
    const branch = this.#topics.get(message.topic)?.branches.get(neighbour)
    if (branch !== undefined && message.isEager) {
      branch.isEager = true
      // Where the tree was made anew, the old parent stops: what came meanwhile goes the new way at once.
      if (message.shortIds.length === 0) this.#pushPending(branch)
    }
    for (const shortId of message.shortIds) {
      const key = bytesToHex(shortId)
      branch?.pending.delete(key)
      const cached = this.cache.get(key)
      if (cached === undefined || cached.topic !== message.topic) {
        this.#state.count('graft-unknown')
        continue
      }
      if (!neighbour.served.take(this.#state.mono, cached.bytes.length)) {
        this.#state.count('dropped-graft')
        this.#state.penalise(neighbour, 'flooding')
        return
      }
      // What was asked for starts a life of its own: the ttl bounds pushes that nobody asked for.
      const bytes = withGossipHop(cached.bytes, this.#state.options.ttl, cached.hops + 1)
      this.#state.sendBytes(neighbour, bytes)
    }
  }

  pruned(neighbour: Neighbour, name: string): void {
    const branch = this.#topics.get(name)?.branches.get(neighbour)
    if (branch !== undefined) branch.isEager = false
  }

  /** Sends what is due. */
  wake(): void {
    for (const { neighbour, topic, shortIds } of this.missing.due()) {
      const entry = this.#topics.get(topic)
      const branch = entry?.branches.get(neighbour)
      // While a new tree settles, what was under way may have fallen between it and the old one: that breaks nothing.
      const isEager = entry !== undefined && !this.#isSettling(entry)
      if (entry !== undefined && isEager) entry.isDoubted = true
      if (branch !== undefined && isEager) branch.isEager = true
      this.#state.send(neighbour, { type: 'graft', topic, isEager, shortIds })
    }
    if (this.#state.mono >= this.#announceAt) this.#announceAll()
  }

  /** Makes the tree anew where the message asks for it, or where there was none; false where nothing changes. */
  #renew(topic: Topic, key: string, { renews }: GossipRoute, from: Neighbour | undefined): boolean {
    const { fanOut, renewMs, renewMessagesMin } = this.#state.options
    topic.messagesSince += 1
    const isDue = from === undefined || this.#state.mono >= topic.renewedAt + renewMs / 2
    const isRenewed = renews && isDue && topic.messagesSince >= renewMessagesMin / 2
    if (!topic.isFresh && !isRenewed) return false
    topic.renewedAt = this.#state.mono
    topic.messagesSince = 0
    topic.isDoubted = topic.isFresh
    topic.renewedBy = key
    if (topic.isFresh && topic.branches.size > fanOut) {
      const { jitter } = this.#state.config
      const chosen = new Set(chooseFanOut(topic.branches.keys(), fanOut, jitter, (neighbour) => neighbour === from))
      for (const branch of topic.branches.values()) branch.isEager = chosen.has(branch.neighbour)
    }
    topic.isFresh = false
    return isRenewed
  }

  /** Only the message that made the tree shapes it until all have had it. */
  #isSettling(topic: Topic): boolean {
    return this.#state.mono < topic.renewedAt + this.#state.options.settleMs
  }

  /** A first copy came: how the branch stands. */
  #arrivedOn(topic: Topic, key: string, from: Neighbour, { renews }: GossipRoute): void {
    const branch = topic.branches.get(from)
    if (branch === undefined || branch.isEager) return
    if (key !== topic.renewedBy && this.#isSettling(topic)) return
    branch.isEager = true
    // The sender made the tree anew and does not know yet that this branch is one of it.
    if (renews) this.#state.send(from, { type: 'graft', topic: topic.name, isEager: true, shortIds: [] })
  }

  #pushPending({ neighbour, pending }: Branch): void {
    for (const key of pending.keys()) {
      const cached = this.cache.get(key)
      if (cached !== undefined) this.#state.sendBytes(neighbour, cached.bytes)
    }
    pending.clear()
  }

  #announceLater(branch: Branch, message: CachedMessage): void {
    const { announceMs, announceQuietMs, announcementsMax } = this.#state.options
    if (branch.pending.size >= announcementsMax) {
      const [oldest] = branch.pending.keys()
      if (oldest !== undefined) branch.pending.delete(oldest)
      this.#state.count('dropped-pending-announcement')
    }
    branch.pending.set(message.key, { shortId: message.shortId, hops: message.hops })
    if (this.#announceAt !== Number.POSITIVE_INFINITY) return
    const isQuiet = this.#state.mono >= this.#announcedAt + announceMs
    this.#announceAt = this.#state.mono + (isQuiet ? announceQuietMs : announceMs)
  }

  #announceNow(topic: Topic, branch: Branch, message: CachedMessage): void {
    const announcements = [{ shortId: message.shortId, hops: message.hops }]
    this.#state.send(branch.neighbour, { type: 'announce', topic: topic.name, isPull: true, announcements })
  }

  /** A new neighbour may have missed what was said while it had none. */
  #announceRecent(topic: Topic, branch: Branch): void {
    for (const message of this.cache.values()) {
      if (message.topic === topic.name && message.from !== branch.neighbour) this.#announceLater(branch, message)
    }
  }

  #announceAll(): void {
    this.#announceAt = Number.POSITIVE_INFINITY
    this.#announcedAt = this.#state.mono
    for (const topic of this.#topics.values()) {
      for (const { neighbour, pending } of topic.branches.values()) {
        if (pending.size === 0) continue
        const all = [...pending.values()]
        pending.clear()
        for (let at = 0; at < all.length; at += gossipIdsMax) {
          const announcements = all.slice(at, at + gossipIdsMax)
          this.#state.send(neighbour, { type: 'announce', topic: topic.name, isPull: false, announcements })
        }
      }
    }
  }
}

function eagerCount(topic: Topic): number {
  let count = 0
  for (const { isEager } of topic.branches.values()) if (isEager) count += 1
  return count
}
