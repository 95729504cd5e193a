import { compareDistances, readWord } from './distance.ts'
import type { ContactRef, KademliaMessage, KademliaReply } from './interface.ts'
import { distanceOf } from './network-sizes.ts'
import { type Path, type PathStatus, settled } from './path.ts'
import type { Pending, RequestOwner } from './requests.ts'
import { distanceHead } from './shortlist.ts'
import { type Reached, Walk, type WalkContext } from './walk.ts'

/**
 * Of k = 20 nodes nearest to a key, one with at most so many expected nearer ones is stored to at once: 20 or more nodes
 * lie nearer than where 11 are expected in 0.9 % of the cases (Poisson).
 */
const likelyShare = 0.55

export interface PutRequest {
  readonly key: Uint8Array
  readonly record: Uint8Array
  /** Minutes since the owner last published it: 0 from the owner. */
  readonly ageMinutes: number
}

/**
 * Walks to the key of a record and stores it on the way: a node that answered, and is certain or likely to stay among the
 * k closest, is asked to store at once. `id`: the command to answer; undefined for the engine's own republishing.
 */
export class PutWalk extends Walk implements RequestOwner {
  readonly #put: PutRequest
  readonly #id: number | undefined
  /** Of nodes that answered and were not yet asked to store. */
  readonly #tokens = new Map<ContactRef, Uint8Array>()
  #asked = 0
  #storing = 0
  #stored = 0
  #isArrived = false
  #isReplied = false

  constructor(context: WalkContext, put: PutRequest, id: number | undefined) {
    super(context, put.key)
    this.#put = put
    this.#id = id
  }

  override mark(mark: (ref: ContactRef) => void): void {
    super.mark(mark)
    for (const ref of this.#tokens.keys()) mark(ref)
  }

  stopped(): void {
    this.#reply({ type: 'failed', error: { type: 'stopped' } })
  }

  answered(pending: Pending, message: KademliaMessage): void {
    this.#storing--
    if (this.isFinished || message.type !== 'store-response') return
    if (message.status === 'stored') this.#stored++
    if (message.status === 'bad-record') this.context.requests.lied(pending.to)
    if (this.#stored >= this.core.config.replicationFactor) this.#replyStored()
    this.#finishIfDone()
  }

  late(): void {
    // All of the closest are asked in any case.
  }

  failed(): void {
    this.#storing--
    this.countTimeout()
    if (!this.isFinished) this.#finishIfDone()
  }

  /**
   * A record that only liars took is lost, whatever they say: a put doubts its end sooner, which one in twenty honest
   * ones pays with a second path. By simulation (`sim churn` with 20 % colluding).
   */
  protected override sparseFrom(): number {
    return 1.5
  }

  protected override coversRegions(): boolean {
    return true
  }

  protected question(path: Path, to: ContactRef): boolean {
    return this.context.requests.findNode(to, path.detour ?? this.target, path)
  }

  protected taken(_path: Path, from: ContactRef, message: KademliaMessage): boolean {
    // A copy: the message is a view into a datagram.
    if (message.type === 'find-node-response') this.#tokens.set(from, message.token.slice())
    return true
  }

  protected override progressed(status: PathStatus): void {
    if (this.#tokens.size === 0) return
    const { k } = this.core.config
    const isSettled = status >= settled
    // Without an estimate of any worth (few contacts) nothing is likely: then storing waits for the walk to settle.
    const likelyDistance = distanceOf(likelyShare * k, this.context.sizes.range().most)
    if (!isSettled && !this.#hasTokenWithin(likelyDistance)) return
    let live = 0
    for (const { ref, distance, hasAnswered } of this.reached(this.closestMax())) {
      if (!this.isWithin(live++, distance)) break
      if (hasAnswered && (isSettled || distance <= likelyDistance)) this.#store(ref)
    }
  }

  /** Whether a node up to this distance (53 bits) waits to be asked to store: most answers bring none. */
  #hasTokenWithin(distance: number): boolean {
    const target0 = readWord(this.target, 0)
    const target1 = readWord(this.target, 4)
    for (const ref of this.#tokens.keys()) {
      if (distanceHead(this.core.contacts, target0, target1, ref) <= distance) return true
    }
    return false
  }

  protected arrived(): void {
    if (!this.#isArrived) {
      this.#isArrived = true
      const reached = this.reached(this.core.config.k)
      this.observeDensity(reached)
      const { key, record, ageMinutes } = this.#put
      if (this.#isNearer(reached[this.core.config.k - 1])) this.context.keep(key, record, ageMinutes)
    }
    this.#finishIfDone()
  }

  /** Whether this node itself is one of the k nearest. */
  #isNearer(last: Reached | undefined): boolean {
    const { self, contacts } = this.core
    return last === undefined || compareDistances(this.target, self, contacts.id(last.ref)) < 0
  }

  #store(to: ContactRef): void {
    const token = this.#tokens.get(to)
    if (token === undefined) return
    this.#tokens.delete(to)
    if (!this.context.requests.store(to, token, this.#put.record, this.#put.ageMinutes, this)) return
    this.countRequest()
    this.#storing++
    this.#asked++
  }

  #finishIfDone(): void {
    if (!this.#isArrived || this.#storing > 0 || this.isFinished) return
    this.finish()
    // A network smaller than the quorum has stored all it can when each of its nodes has.
    if (this.#stored > 0 && this.#stored === this.#asked) this.#replyStored()
    const stored = this.#stored
    const cost = this.cost()
    this.#reply({ type: 'failed', error: { type: 'not-stored', stored, cost } })
    if (this.#id !== undefined) this.core.emit({ type: 'put-finished', id: this.#id, stored, cost })
  }

  #replyStored(): void {
    this.#reply({ type: 'stored', key: this.#put.key, stored: this.#stored, cost: this.cost() })
  }

  #reply(reply: KademliaReply): void {
    if (this.#isReplied) return
    this.#isReplied = true
    if (this.#id !== undefined) this.core.reply(this.#id, reply)
  }
}
