import { bytesToHex, equalBytes, type Now, TokenBucket } from '@miaou/core'
import { signLabelled, verifyLabelled } from '@miaou/crypto'
import {
  decodeGossipMessage,
  encodeGossipBody,
  encodeGossipData,
  type GossipData,
  type GossipMessage,
  gossipBody,
  gossipDataOverhead,
  gossipMessageSizeMax,
  isGossipTopic,
  peekGossipId,
  peekGossipRoute,
  peekGossipTopic,
  withGossipHop,
} from '@miaou/protocol'
import type { GossipConfig } from './gossip-options.ts'
import { GossipState } from './gossip-state.ts'
import { Interests } from './interests.ts'
import type { GossipInfo, GossipInput, GossipOutput, GossipPublishResult, NeighbourId } from './interface.ts'
import { Neighbour } from './neighbour.ts'
import { PartialView } from './partial-view.ts'
import { SeenSet } from './seen-set.ts'
import { Tree } from './tree.ts'

type Input<Type extends GossipInput['type']> = Extract<GossipInput, { type: Type }>

/** Signatures of gossip messages are made under this label. */
export const gossipLabel = 'gossip'

/**
 * Broadcast among neighbours: publish and subscribe by topic. An engine without clock and I/O: every effect is in the
 * returned list. Rules: spec/gossip.md.
 */
export class Gossip {
  readonly #state: GossipState
  readonly #view: PartialView
  readonly #interests: Interests
  readonly #tree: Tree
  readonly #seen: SeenSet
  readonly #publishing: TokenBucket
  /** Refused until, monotonic ms. */
  readonly #graylist = new Map<NeighbourId, number>()
  #sequence = 0

  constructor(config: GossipConfig) {
    this.#state = new GossipState(config)
    const { seenMax, ageMaxMs, skewMs, publishPerSecond, publishBurst } = this.#state.options
    // As long as a message may be young enough for some clock, its id is remembered.
    this.#seen = new SeenSet(seenMax, ageMaxMs + 2 * skewMs)
    this.#view = new PartialView(this.#state)
    this.#interests = new Interests(this.#state)
    this.#tree = new Tree(this.#state, this.#seen)
    this.#publishing = new TokenBucket(publishPerSecond, publishBurst)
  }

  /** Takes one input. `now`: both clocks of the host. */
  handle(now: Now, input: GossipInput): GossipOutput[] {
    const state = this.#state
    state.now = now
    state.outputs = []
    this.#take(input)
    this.#view.wake()
    this.#tree.wake()
    this.#part()
    return state.outputs
  }

  /** Monotonic ms of the next wake, Infinity for none. An early or repeated wake changes nothing. */
  deadline(): number {
    return Math.min(this.#tree.deadline(), this.#view.deadline())
  }

  /** What was sent, delivered, dropped and blamed, by reason. */
  counters(): Readonly<Record<string, number>> {
    return this.#state.counters()
  }

  info(): GossipInfo {
    const neighbours = [...this.#state.neighbours.values()]
    const active = neighbours.filter(({ isActive }) => isActive)
    return {
      active: active.map((neighbour) => ({
        neighbour: neighbour.id,
        isOutgoing: neighbour.isOutgoing,
        score: neighbour.score(this.#state.mono),
        rttMs: neighbour.rttMs,
      })),
      greetingCount: neighbours.length - active.length,
      passiveCount: this.#view.passiveCount,
      graylistedCount: this.#graylist.size,
      seenCount: this.#seen.size,
      missingCount: this.#tree.missing.size,
      cachedCount: this.#tree.cache.size,
      cachedBytes: this.#tree.cache.bytes,
      graftWaitMs: this.#tree.missing.waitMs,
      topics: [...this.#interests.carried()].map((topic) => {
        const { all, eager } = this.#tree.branches(topic)
        return { topic, isSubscribed: this.#interests.subscribed.has(topic), neighbours: all, eager }
      }),
    }
  }

  #take(input: GossipInput): void {
    switch (input.type) {
      case 'neighbour-up':
        this.#up(input)
        return
      case 'neighbour-down':
        this.#down(input.neighbour)
        return
      case 'message':
        this.#message(input)
        return
      case 'subscribe':
        if (!isGossipTopic(input.topic)) this.#state.count('bad-topic')
        else if (!this.#interests.subscribe(input.topic)) this.#state.count('dropped-topics-max')
        return
      case 'unsubscribe':
        this.#interests.unsubscribe(input.topic)
        return
      case 'publish':
        this.#state.outputs.push({ type: 'reply', id: input.id, result: this.#publish(input) })
        return
      case 'judge':
        this.#judge(input)
        return
      case 'wake':
        return
    }
  }

  #up({ neighbour: id, hint, isOutgoing }: Input<'neighbour-up'>): void {
    const state = this.#state
    const wasDialled = this.#view.dialled(hint)
    const known = state.neighbours.get(id)
    if (known !== undefined) {
      known.hint = hint ?? known.hint
      return
    }
    const until = this.#graylist.get(id)
    if (until !== undefined && until > state.mono) {
      state.count('refused-graylisted')
      state.outputs.push({ type: 'disconnect', neighbour: id, reason: 'graylisted' })
      return
    }
    this.#graylist.delete(id)
    if (state.neighbours.size >= state.options.activeMax + state.options.greetingMax) {
      state.count('refused-view-full')
      state.outputs.push({ type: 'disconnect', neighbour: id, reason: 'view-full' })
      return
    }
    const neighbour = new Neighbour(state.mono, id, isOutgoing ?? wasDialled, hint, state.options)
    state.neighbours.set(id, neighbour)
    this.#view.greet(neighbour, this.#interests.listFor(neighbour))
  }

  #down(id: NeighbourId): void {
    const neighbour = this.#state.neighbours.get(id)
    if (neighbour !== undefined) this.#forget(neighbour, true)
  }

  #message({ from, bytes }: Input<'message'>): void {
    const state = this.#state
    const neighbour = state.neighbours.get(from)
    if (neighbour === undefined) {
      state.count('dropped-stranger')
      return
    }
    if (!neighbour.messages.take(state.mono) || !neighbour.bytes.take(state.mono, bytes.length)) {
      state.count('dropped-rate')
      state.penalise(neighbour, 'flooding')
      return
    }
    const id = peekGossipId(bytes)
    if (id !== undefined && neighbour.isActive && this.#seen.has(id)) {
      state.count('duplicates')
      this.#tree.duplicate(neighbour, peekGossipTopic(bytes), id, peekGossipRoute(bytes))
      return
    }
    const decoded = bytes.length > state.options.messageSizeMax ? undefined : decodeGossipMessage(bytes)
    if (decoded === undefined || !decoded.ok) {
      state.count('dropped-malformed')
      state.penalise(neighbour, 'malformed')
      return
    }
    if (decoded.value.type === 'hello') this.#hello(neighbour, decoded.value)
    else if (!neighbour.isActive) state.count('dropped-before-hello')
    else this.#heard(neighbour, decoded.value, bytes)
  }

  #hello(neighbour: Neighbour, message: Extract<GossipMessage, { type: 'hello' }>): void {
    const state = this.#state
    if (neighbour.isActive) {
      state.count('dropped-hello')
      return
    }
    neighbour.hint ??= message.hint
    if (!this.#view.admits(neighbour, message.isUrgent)) {
      state.count('refused-view-full')
      state.doomed.set(neighbour, 'view-full')
      return
    }
    neighbour.isActive = true
    // Who had no neighbour when the link came up has nobody else to push to it.
    this.#setInterests(neighbour, message.interests, true, message.isUrgent || neighbour.wasUrgent)
    this.#view.activated(neighbour, message.isJoining)
  }

  #heard(neighbour: Neighbour, message: Exclude<GossipMessage, { type: 'hello' }>, bytes: Uint8Array): void {
    switch (message.type) {
      case 'data':
        this.#data(neighbour, message, bytes)
        return
      case 'announce':
        if (this.#interests.isCarried(message.topic)) this.#tree.announced(neighbour, message)
        else this.#state.count('dropped-unwanted')
        return
      case 'graft':
        this.#tree.grafted(neighbour, message)
        return
      case 'prune':
        this.#tree.pruned(neighbour, message.topic)
        return
      case 'topics':
        this.#setInterests(neighbour, message.interests, message.isFull, true)
        return
      case 'forward-join':
        this.#view.forwardJoin(neighbour, message)
        return
      case 'shuffle':
        this.#view.shuffle(neighbour, message)
        return
      case 'leave':
        this.#view.left(neighbour, message.hints)
        this.#forget(neighbour, false)
        return
    }
  }

  #setInterests(
    neighbour: Neighbour,
    interests: Extract<GossipMessage, { type: 'topics' }>['interests'],
    isFull: boolean,
    isEager: boolean,
  ): void {
    const changed = this.#interests.hear(neighbour, interests, isFull)
    for (const topic of changed) {
      if (neighbour.interests.has(topic)) this.#tree.addBranch(neighbour, topic, isEager)
      else this.#tree.removeBranch(neighbour, topic)
    }
    this.#interests.spread(changed)
  }

  /** Cheap questions first; the signature last, and only of a message whose content has the id it claims. */
  #data(neighbour: Neighbour, message: GossipData, bytes: Uint8Array): void {
    const state = this.#state
    const { ttlMax } = state.options
    const refused = this.#refusal(message)
    if (refused !== undefined) {
      state.count(refused)
      if (refused === 'dropped-late' || refused === 'dropped-future') state.penalise(neighbour, 'late')
      return
    }
    const { crypto } = state.config
    const id = crypto.sha256(gossipBody(bytes))
    const isWhole = equalBytes(id, message.id)
    if (!isWhole || !verifyLabelled(crypto, gossipLabel, id, message.signature, message.origin)) {
      state.count(isWhole ? 'dropped-signature' : 'dropped-id')
      state.penalise(neighbour, 'invalid')
      return
    }
    this.#seen.add(state.mono, id)
    const ttl = Math.min(message.ttl, ttlMax) - 1
    this.#tree.spread(
      message.topic,
      withGossipHop(bytes, ttl, message.hops + 1, message.renews),
      message,
      ttl,
      neighbour,
    )
    state.count('received')
    if (!this.#interests.subscribed.has(message.topic)) return
    state.count('delivered')
    const { topic, origin, payload } = message
    state.outputs.push({ type: 'deliver', messageId: bytesToHex(id), topic, origin, payload, from: neighbour.id })
  }

  /** Why a message is dropped before its signature is looked at. */
  #refusal({ ttl, topic, timestamp }: GossipData): string | undefined {
    const { ageMaxMs, skewMs } = this.#state.options
    const { wall } = this.#state.now
    if (ttl === 0) return 'dropped-ttl'
    if (!this.#interests.isCarried(topic)) return 'dropped-unwanted'
    if (timestamp > wall + skewMs) return 'dropped-future'
    return timestamp < wall - ageMaxMs - skewMs ? 'dropped-late' : undefined
  }

  #publish({ topic, payload }: Input<'publish'>): GossipPublishResult {
    const { config, options, now } = this.#state
    if (!isGossipTopic(topic)) return { ok: false, error: { type: 'bad-topic', topic } }
    const sizeMax = Math.min(options.messageSizeMax, gossipMessageSizeMax) - gossipDataOverhead - topic.length
    if (payload.length > sizeMax) return { ok: false, error: { type: 'too-large', size: payload.length, sizeMax } }
    if (!this.#publishing.take(now.mono)) {
      return { ok: false, error: { type: 'too-fast', retryAfterMs: this.#publishing.waitMs() } }
    }
    this.#sequence = (this.#sequence + 1) >>> 0
    const { key, crypto } = config
    const timestamp = Math.max(0, Math.floor(now.wall))
    const body = encodeGossipBody({ origin: key.publicKey, timestamp, sequence: this.#sequence, topic, payload })
    const id = crypto.sha256(body)
    const signature = signLabelled(crypto, gossipLabel, id, key.secretKey)
    const route = { hops: 0, renews: this.#tree.wantsRenewal(topic) }
    const bytes = encodeGossipData(body, { ...route, ttl: options.ttl, hops: 1, id, signature })
    this.#seen.add(now.mono, id)
    this.#state.count('published')
    const neighbours = this.#tree.spread(topic, bytes, route, options.ttl, undefined)
    return { ok: true, messageId: bytesToHex(id), neighbours }
  }

  #judge({ messageId, verdict }: Input<'judge'>): void {
    if (verdict === 'accept') return
    const key = messageId.slice(0, 32)
    const cached = this.#tree.cache.get(key)
    if (cached === undefined) return
    if (cached.from !== undefined) this.#state.penalise(cached.from, 'rejected')
    this.#tree.cache.delete(key)
  }

  /** Ends the neighbourhoods that this step has doomed. */
  #part(): void {
    const state = this.#state
    for (const [neighbour, reason] of state.doomed) {
      if (!state.neighbours.has(neighbour.id)) continue
      if (reason === 'graylisted') this.#refuse(neighbour.id)
      else state.send(neighbour, { type: 'leave', hints: this.#view.sample(neighbour) })
      state.count(`disconnected-${reason}`)
      state.outputs.push({ type: 'disconnect', neighbour: neighbour.id, reason })
      this.#forget(neighbour, false)
    }
    state.doomed.clear()
  }

  #refuse(id: NeighbourId): void {
    const { graylistMs, graylistMax } = this.#state.options
    if (this.#graylist.size >= graylistMax) {
      const [oldest] = this.#graylist.keys()
      if (oldest !== undefined) this.#graylist.delete(oldest)
    }
    this.#graylist.set(id, this.#state.mono + graylistMs)
  }

  #forget(neighbour: Neighbour, mayReturn: boolean): void {
    this.#state.neighbours.delete(neighbour.id)
    this.#tree.remove(neighbour)
    this.#interests.remove(neighbour)
    this.#view.lost(neighbour, mayReturn && neighbour.isActive)
  }
}
