import { bytesToHex } from '@miaou/core'
import {
  type GossipAnnouncement,
  type GossipMessage,
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
  /** So many messages in a row it had much nearer to the publisher than this neighbour, who pushed them. */
  shorterCount: number
  longerParent: Neighbour | undefined
}

interface Topic {
  readonly name: string
  readonly branches: Map<Neighbour, Branch>
  /** Nothing was pushed yet. */
  isFresh: boolean
  readonly cuts: CutWindow
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
    const branches = this.#topics.get(name)?.branches
    let eager = 0
    for (const { isEager } of branches?.values() ?? []) if (isEager) eager += 1
    return { all: branches?.size ?? 0, eager }
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
      topic = { name, branches: new Map(), isFresh: true, cuts: new CutWindow(this.#state.options.cutMs) }
      this.#topics.set(name, topic)
    }
    if (topic.branches.has(neighbour)) return
    const branch: Branch = {
      neighbour,
      // Before the first message every branch is one of the tree; later a new one would only bring second copies.
      isEager: isEager || topic.isFresh,
      pending: new Map(),
      prunedAt: Number.NEGATIVE_INFINITY,
      shorterCount: 0,
      longerParent: undefined,
    }
    topic.branches.set(neighbour, branch)
    this.#announceRecent(topic, branch)
  }

  remove(neighbour: Neighbour): void {
    for (const [name, topic] of this.#topics) {
      topic.branches.delete(neighbour)
      if (topic.branches.size === 0) this.#topics.delete(name)
    }
    this.missing.remove(neighbour)
    this.cache.forget(neighbour)
  }

  /**
   * Passes a message on. `bytes`: as forwarded. `ttl`: hops it may still make; 0: it is only announced. `from`: who gave
   * it, undefined for an own message. Gives the number of neighbours it was pushed to.
   */
  spread(name: string, bytes: Uint8Array, ttl: number, hops: number, from: Neighbour | undefined): number {
    const shortId = bytes.slice(3, 3 + gossipShortIdSize)
    const key = bytesToHex(shortId)
    const message: CachedMessage = {
      key,
      shortId,
      topic: name,
      bytes,
      hops,
      from,
      at: this.#state.mono,
    }
    this.cache.add(message)
    if (from !== undefined) this.missing.arrived(key, from)
    const topic = this.#topics.get(name)
    if (topic === undefined) return 0
    topic.cuts.add(message.at, message.key)
    if (topic.isFresh) this.#limitFanOut(topic, from)
    let pushed = 0
    for (const branch of topic.branches.values()) {
      if (branch.neighbour === from) {
        branch.isEager = true
        branch.pending.delete(message.key)
      } else if (!branch.isEager) this.#announceLater(branch, message)
      else if (ttl > 0) {
        this.#state.sendBytes(branch.neighbour, bytes)
        pushed += 1
      } else this.#announceNow(topic, branch, message)
    }
    return pushed
  }

  /** A second copy came from a neighbour: it is told to announce instead, and so will we. */
  duplicate(neighbour: Neighbour, name: string | undefined, bytes: Uint8Array): void {
    const topic = name === undefined ? undefined : this.#topics.get(name)
    const branch = topic?.branches.get(neighbour)
    if (topic === undefined || branch === undefined) return
    const key = bytesToHex(bytes.subarray(3, 3 + gossipShortIdSize))
    branch.pending.delete(key)
    if (!topic.cuts.mayCut(this.#state.mono, key)) {
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
    for (const { shortId, hops } of message.announcements) {
      if (!this.#seen.has(shortId)) this.missing.announced(neighbour, message.topic, shortId, message.isPull)
      else if (branch !== undefined) {
        const key = bytesToHex(shortId)
        branch.pending.delete(key)
        this.#shortcut(branch, key, hops)
      }
    }
  }

  grafted(neighbour: Neighbour, message: Extract<GossipMessage, { type: 'graft' }>): void {
    const branch = this.#topics.get(message.topic)?.branches.get(neighbour)
    if (branch !== undefined && message.isEager) branch.isEager = true
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
      const bytes = withGossipHop(cached.bytes, this.#state.options.ttl, Math.min(255, cached.hops + 1))
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
      const branch = this.#topics.get(topic)?.branches.get(neighbour)
      if (branch !== undefined) branch.isEager = true
      this.#state.send(neighbour, { type: 'graft', topic, isEager: true, shortIds })
    }
    if (this.#state.mono >= this.#announceAt) this.#announceAll()
  }

  #limitFanOut(topic: Topic, from: Neighbour | undefined): void {
    topic.isFresh = false
    const { fanOut } = this.#state.options
    if (topic.branches.size <= fanOut) return
    const chosen = new Set(
      chooseFanOut(topic.branches.keys(), fanOut, this.#state.config.jitter, (neighbour) => neighbour === from),
    )
    for (const branch of topic.branches.values()) branch.isEager = chosen.has(branch.neighbour)
  }

  #announceLater(branch: Branch, message: CachedMessage): void {
    const { announceMs, announcementsMax } = this.#state.options
    if (branch.pending.size >= announcementsMax) {
      const [oldest] = branch.pending.keys()
      if (oldest !== undefined) branch.pending.delete(oldest)
      this.#state.count('dropped-pending-announcement')
    }
    branch.pending.set(message.key, { shortId: message.shortId, hops: Math.min(255, message.hops) })
    if (this.#announceAt === Number.POSITIVE_INFINITY) this.#announceAt = this.#state.mono + announceMs
  }

  #announceNow(topic: Topic, branch: Branch, message: CachedMessage): void {
    const announcements = [{ shortId: message.shortId, hops: Math.min(255, message.hops) }]
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

  /** The announcer had it much nearer to the publisher than who pushed it: their branches change places (§3.8). */
  #shortcut(branch: Branch, key: string, hops: number): void {
    const cached = this.cache.get(key)
    const parent = cached?.from
    if (cached === undefined || parent === undefined || parent === branch.neighbour || branch.isEager) return
    const { shortcutHops, shortcutRun } = this.#state.options
    const isShorter = cached.hops >= hops + 1 + shortcutHops
    // One publisher's shortcut is another's detour: only a long run from one side shows that it serves all.
    branch.shorterCount = isShorter && branch.longerParent === parent ? branch.shorterCount + 1 : isShorter ? 1 : 0
    branch.longerParent = parent
    if (branch.shorterCount < shortcutRun) return
    branch.shorterCount = 0
    const parentBranch = this.#topics.get(cached.topic)?.branches.get(parent)
    if (parentBranch === undefined || !parentBranch.isEager) return
    this.#state.count('shortcuts')
    branch.isEager = true
    this.#state.send(branch.neighbour, { type: 'graft', topic: cached.topic, isEager: true, shortIds: [] })
  }
}
