import { bytesToHex } from '@miaou/core'
import { type GossipMessage, gossipHintSizeMax, gossipHintsMax } from '@miaou/protocol'
import { chooseFanOut } from './fan-out.ts'
import type { GossipState } from './gossip-state.ts'
import type { NeighbourHint } from './interface.ts'
import type { Neighbour } from './neighbour.ts'

interface Candidate {
  readonly hint: NeighbourHint
  /** Who told of it, undefined for one's own former neighbours. */
  readonly source: Neighbour | undefined
}

/**
 * Who is a neighbour and who could become one (HyParView, Leitão et al. 2007): an active view of links, a passive view
 * of hints. Neighbours that dialled us never take the places kept for those we dialled, and no neighbour fills more than
 * a part of the passive view: whoever wants to surround a node must be chosen by it.
 */
export class PartialView {
  readonly #state: GossipState
  readonly #passive = new Map<string, Candidate>()
  /** Hints being dialled, and until when. */
  readonly #dials = new Map<string, number>()
  readonly #ownKey: string | undefined
  #hasJoined = false
  #shuffleAt = Number.POSITIVE_INFINITY
  #promoteAt = Number.NEGATIVE_INFINITY
  #urgentAt = Number.NEGATIVE_INFINITY

  constructor(state: GossipState) {
    this.#state = state
    this.#ownKey = state.config.hint && bytesToHex(state.config.hint)
  }

  get passiveCount(): number {
    return this.#passive.size
  }

  /** Hints of the passive view. */
  passive(): readonly NeighbourHint[] {
    return [...this.#passive.values()].map(({ hint }) => hint)
  }

  get activeCount(): number {
    let count = 0
    for (const { isActive } of this.#state.neighbours.values()) if (isActive) count += 1
    return count
  }

  /** Whether a link with this hint was asked for here; it no longer counts as being dialled. */
  dialled(hint: NeighbourHint | undefined): boolean {
    return hint !== undefined && this.#dials.delete(bytesToHex(hint))
  }

  greet(neighbour: Neighbour, interests: Extract<GossipMessage, { type: 'hello' }>['interests']): void {
    const { hint } = this.#state.config
    const isUrgent = this.activeCount === 0
    neighbour.wasUrgent = isUrgent
    this.#state.send(neighbour, { type: 'hello', isJoining: !this.#hasJoined, isUrgent, hint, interests })
  }

  /** Whether a neighbour that said hello becomes active; another one may have to give way. */
  admits(neighbour: Neighbour, isUrgent: boolean): boolean {
    const { activeMax, outgoingReserved, urgentMs } = this.#state.options
    const active = this.#active()
    const incoming = active.filter(({ isOutgoing }) => !isOutgoing)
    if (neighbour.isOutgoing ? active.length < activeMax : this.#hasRoomForIncoming(active.length, incoming.length)) {
      return true
    }
    // Whoever has no neighbour at all comes first, yet never at the price of one that we chose, and not often.
    if (!isUrgent || outgoingReserved >= activeMax || this.#state.mono < this.#urgentAt + urgentMs) return false
    const worst = this.#worst(incoming)
    if (worst === undefined) return false
    this.#urgentAt = this.#state.mono
    this.#state.doomed.set(worst, 'view-full')
    return true
  }

  #hasRoomForIncoming(active: number, incoming: number): boolean {
    const { activeMax, outgoingReserved } = this.#state.options
    return active < activeMax && incoming < activeMax - outgoingReserved
  }

  /** The neighbour is active now. */
  activated(neighbour: Neighbour, isJoining: boolean): void {
    this.#hasJoined = true
    if (this.#shuffleAt === Number.POSITIVE_INFINITY) this.#scheduleShuffle()
    const { hint } = neighbour
    if (hint === undefined) return
    this.#forget(bytesToHex(hint))
    if (!isJoining) return
    for (const other of this.#active()) {
      if (other === neighbour) continue
      this.#state.send(other, { type: 'forward-join', ttl: this.#state.options.joinWalk, hint })
    }
  }

  /** A newcomer's hint on its random walk. */
  forwardJoin(from: Neighbour, message: Extract<GossipMessage, { type: 'forward-join' }>): void {
    const { joinWalk, joinWalkPassive, activeTarget } = this.#state.options
    const { hint } = message
    if (this.#isKnown(hint)) return
    const ttl = Math.min(message.ttl, joinWalk)
    const others = this.#active().filter((other) => other !== from)
    if (ttl === 0 || others.length === 0) {
      if (this.activeCount + this.#dials.size < activeTarget) this.#dial(hint)
      else this.#remember(hint, from)
      return
    }
    if (ttl === joinWalkPassive) this.#remember(hint, from)
    const next = others[this.#state.below(others.length)] as Neighbour
    this.#state.send(next, { type: 'forward-join', ttl: ttl - 1, hint })
  }

  shuffle(from: Neighbour, message: Extract<GossipMessage, { type: 'shuffle' }>): void {
    if (message.isReply) {
      if (!from.isShuffleExpected) {
        this.#state.count('dropped-shuffle')
        return
      }
      from.isShuffleExpected = false
    } else {
      // Twice as often as we would ask is plenty.
      if (this.#state.mono < from.shuffleAt + this.#state.options.shuffleMs / 2) {
        this.#state.count('dropped-shuffle')
        return
      }
      from.shuffleAt = this.#state.mono
      this.#state.send(from, { type: 'shuffle', isReply: true, hints: this.sample(from) })
    }
    for (const hint of message.hints) this.#remember(hint, from)
  }

  /** A neighbour that parts names others to try. */
  left(from: Neighbour, hints: readonly NeighbourHint[]): void {
    for (const hint of hints) this.#remember(hint, from)
  }

  /** Some hints for a neighbour: own, of active neighbours and of candidates. */
  sample(to: Neighbour): readonly NeighbourHint[] {
    const { jitter, hint: own } = this.#state.config
    const known = [...this.#active().map(({ hint }) => hint), ...this.passive()]
    const room = Math.min(this.#state.options.shuffleHints, gossipHintsMax) - (own === undefined ? 0 : 1)
    const hints = chooseFanOut(known, room, jitter, (hint) => hint === undefined || hint === to.hint)
    const sample = own === undefined ? [] : [own]
    for (const hint of hints) if (hint !== undefined) sample.push(hint)
    return sample
  }

  /** The link with a neighbour is gone. */
  lost(neighbour: Neighbour, mayReturn: boolean): void {
    for (const [key, candidate] of this.#passive) {
      if (candidate.source === neighbour) this.#passive.set(key, { ...candidate, source: undefined })
    }
    if (mayReturn && neighbour.hint !== undefined) this.#remember(neighbour.hint, undefined)
    this.#promoteAt = Math.min(this.#promoteAt, this.#state.mono)
  }

  wake(): void {
    const now = this.#state.mono
    for (const [key, dueAt] of this.#dials) if (dueAt <= now) this.#dials.delete(key)
    for (const neighbour of this.#state.neighbours.values()) {
      if (neighbour.isActive || neighbour.upAt + this.#state.options.greetingMs > now) continue
      this.#state.count('greeting-timeout')
      this.#state.doomed.set(neighbour, 'view-full')
    }
    if (now >= this.#shuffleAt) this.#startShuffle()
    if (now >= this.#promoteAt && this.#wantsMore()) this.#promote()
  }

  deadline(): number {
    let deadline = this.#shuffleAt
    for (const dueAt of this.#dials.values()) deadline = Math.min(deadline, dueAt)
    for (const { isActive, upAt } of this.#state.neighbours.values()) {
      if (!isActive) deadline = Math.min(deadline, upAt + this.#state.options.greetingMs)
    }
    return this.#wantsMore() ? Math.min(deadline, this.#promoteAt) : deadline
  }

  #wantsMore(): boolean {
    const { activeTarget, dialsMax } = this.#state.options
    if (this.#passive.size === 0 || this.#dials.size >= dialsMax) return false
    return this.#state.neighbours.size + this.#dials.size < activeTarget
  }

  #promote(): void {
    this.#promoteAt = this.#state.mono + this.#state.options.promoteMs
    while (this.#wantsMore()) {
      const keys = [...this.#passive.keys()]
      const key = keys[this.#state.below(keys.length)] as string
      const candidate = this.#passive.get(key) as Candidate
      this.#forget(key)
      this.#dial(candidate.hint)
    }
  }

  #dial(hint: NeighbourHint): void {
    const { dialsMax, dialMs } = this.#state.options
    if (this.#dials.size >= dialsMax) return
    this.#forget(bytesToHex(hint))
    this.#dials.set(bytesToHex(hint), this.#state.mono + dialMs)
    this.#state.count('connects')
    this.#state.outputs.push({ type: 'connect', hint })
  }

  #startShuffle(): void {
    this.#scheduleShuffle()
    const active = this.#active()
    const neighbour = active[this.#state.below(active.length)]
    if (neighbour === undefined) return
    neighbour.isShuffleExpected = true
    this.#state.send(neighbour, { type: 'shuffle', isReply: false, hints: this.sample(neighbour) })
  }

  #scheduleShuffle(): void {
    // Spread over time, so that nodes started together do not shuffle together.
    this.#shuffleAt = this.#state.mono + this.#state.options.shuffleMs * (0.75 + this.#state.config.jitter.next() / 2)
  }

  #remember(hint: NeighbourHint, source: Neighbour | undefined): void {
    const { passiveMax, passivePerNeighbourMax } = this.#state.options
    if (hint.length === 0 || hint.length > gossipHintSizeMax || this.#isKnown(hint)) return
    if (source !== undefined && source.hintCount >= passivePerNeighbourMax) {
      this.#forget(this.#randomKey((candidate) => candidate.source === source))
    }
    if (this.#passive.size >= passiveMax) this.#forget(this.#randomKey(() => true))
    this.#passive.set(bytesToHex(hint), { hint, source })
    if (source !== undefined) source.hintCount += 1
  }

  #forget(key: string | undefined): void {
    const candidate = key === undefined ? undefined : this.#passive.get(key)
    if (key === undefined || candidate === undefined) return
    this.#passive.delete(key)
    if (candidate.source !== undefined) candidate.source.hintCount -= 1
  }

  #randomKey(isWanted: (candidate: Candidate) => boolean): string | undefined {
    const keys: string[] = []
    for (const [key, candidate] of this.#passive) if (isWanted(candidate)) keys.push(key)
    return keys[this.#state.below(keys.length)]
  }

  #isKnown(hint: NeighbourHint): boolean {
    const key = bytesToHex(hint)
    if (key === this.#ownKey || this.#passive.has(key) || this.#dials.has(key)) return true
    for (const { hint: other } of this.#state.neighbours.values()) {
      if (other !== undefined && bytesToHex(other) === key) return true
    }
    return false
  }

  #active(): Neighbour[] {
    return [...this.#state.neighbours.values()].filter((neighbour) => neighbour.isActive)
  }

  #worst(neighbours: readonly Neighbour[]): Neighbour | undefined {
    const now = this.#state.mono
    let worst: Neighbour | undefined
    for (const neighbour of neighbours) {
      if (this.#state.doomed.has(neighbour)) continue
      // Of equals the youngest goes: strangers who come in numbers displace each other, not those who stayed.
      if (worst === undefined || neighbour.score(now) <= worst.score(now)) worst = neighbour
    }
    return worst
  }
}
