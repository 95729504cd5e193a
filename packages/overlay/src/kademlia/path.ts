import type { ContactRef, KademliaMessage } from './interface.ts'
import type { Pending, RequestOwner } from './requests.ts'
import { answered, asked, failed, fresh, Shortlist, slow, taken } from './shortlist.ts'
import type { Walk } from './walk.ts'

/** How far a path is. `settled`: nothing is left to ask among its closest, but late answers may still come. */
export const walking = 0
export const settled = 1
export const done = 2
export type PathStatus = 0 | 1 | 2

/** Candidates, in multiples of k: five liars may each name 20 inventions before anybody honest is pushed out. Own choice. */
const spareFactor = 6

/** One of a walk's disjoint paths: a shortlist, and the requests in flight along it. */
export class Path implements RequestOwner {
  readonly list: Shortlist
  /** Those whom other paths asked led nowhere: this one does not arrive where they are. */
  isOtherWay = false
  /** Asked instead of the walk's own question: a path to elsewhere, whose nodes the walk learns of. */
  readonly detour: Uint8Array | undefined
  readonly #walk: Walk
  /** Requests that may be in flight. */
  #limit: number
  #inFlight = 0
  /** Requests that may still be made. */
  #budget: number
  /** Nodes asked twice, where there are any. */
  #askedTwice: Set<ContactRef> | undefined

  constructor(walk: Walk, limit: number, detour?: Uint8Array) {
    const { contacts, config } = walk.core
    this.#walk = walk
    this.#limit = limit
    this.#budget = config.pathRequestsMax
    this.detour = detour
    this.list = new Shortlist(contacts, detour ?? walk.target, spareFactor * config.k, config.contactsPerPrefixMax)
  }

  get isBusy(): boolean {
    return this.#inFlight > 0
  }

  /** Asks as many of the closest as may be asked at a time. */
  step(): void {
    while (this.#inFlight < this.#limit && this.#budget > 0) {
      const at = this.#next()
      if (at < 0) return
      const to = this.list.ref(at)
      if (this.detour === undefined && !this.#walk.claim(to)) this.list.setState(at, this.isOtherWay ? failed : taken)
      else if (this.#walk.ask(this, to)) this.#isAsked(at)
      else if (this.#walk.isBusy()) {
        // Goes on with the next answer.
        this.#walk.release(to)
        return
      } else this.list.setState(at, failed)
    }
  }

  status(): PathStatus {
    let status: PathStatus = done
    for (let at = 0, live = 0; at < this.list.size && this.#isWithin(live, at); at++) {
      const state = this.list.state(at)
      if (state === asked || (state === fresh && this.#budget > 0)) return walking
      if (state === slow) status = settled
      if (state !== failed) live++
    }
    return status
  }

  /** Asks all the rest of the closest at once. */
  burst(): void {
    this.#limit = Math.max(this.#limit, this.#walk.core.config.k)
  }

  answered(pending: Pending, message: KademliaMessage): void {
    if (!pending.isSlow) this.#inFlight--
    if (this.#walk.isFinished) return
    const at = this.list.indexOf(pending.to)
    const depth = at < 0 ? 1 : this.list.depth(at)
    const best = this.#best()
    const bestDistance = best < 0 ? Number.POSITIVE_INFINITY : this.list.distance(best)
    if (at >= 0) this.list.setState(at, answered)
    const isRight = this.#walk.take(this, pending.to, depth, message)
    if (this.#walk.isFinished) return
    if (!isRight) {
      const now = this.list.indexOf(pending.to)
      if (now >= 0) this.list.setState(now, failed)
    } else if (this.#isNothingNearer(bestDistance)) this.burst()
    this.#walk.advance()
  }

  late(pending: Pending): void {
    this.#inFlight--
    if (this.#walk.isFinished) return
    const at = this.list.indexOf(pending.to)
    if (at >= 0) this.list.setState(at, slow)
    this.#walk.advance()
  }

  failed(pending: Pending): void {
    if (!pending.isSlow) this.#inFlight--
    if (this.#walk.isFinished) return
    const at = this.list.indexOf(pending.to)
    if (at >= 0 && this.#asksAgain(pending, at)) {
      this.#walk.countTimeout()
      this.#isAsked(at)
    } else {
      if (at >= 0) this.list.setState(at, failed)
      this.#walk.lost(pending.to)
    }
    this.#walk.advance()
  }

  /** So many candidates of a region may come in beside the spare ones. */
  grow(count: number): void {
    this.list.grow(spareFactor * this.#walk.core.config.k + count)
    this.#budget += count
  }

  /** A node that this path left to another one has failed there. */
  lost(ref: ContactRef): void {
    const at = this.list.indexOf(ref)
    if (at >= 0 && this.list.state(at) === taken) this.list.setState(at, failed)
  }

  #isAsked(at: number): void {
    this.list.setState(at, asked)
    this.#inFlight++
    this.#budget--
    if (this.#budget === 0) this.#walk.core.counters.add('walks-too-long')
  }

  /** One of the very nearest that was silent, where the walk is after those: the datagram may have been lost. */
  #asksAgain({ to, hardAt }: Pending, at: number): boolean {
    const { config, mono } = this.#walk.core
    if (!this.#walk.asksTwice() || mono < hardAt || this.#askedTwice?.has(to) === true) return false
    let nearer = 0
    for (let i = 0; i < at; i++) if (this.list.state(i) !== failed) nearer++
    if (nearer >= config.replicationFactor) return false
    this.#askedTwice ??= new Set()
    this.#askedTwice.add(to)
    return this.#walk.ask(this, to)
  }

  /** A detour needs to know the neighbourhood, not to ask all of it. */
  #isWithin(live: number, at: number): boolean {
    if (this.detour !== undefined) return live < this.#walk.core.config.k
    return this.#walk.isWithin(live, this.list.distance(at))
  }

  #next(): number {
    for (let at = 0, live = 0; at < this.list.size && this.#isWithin(live, at); at++) {
      const state = this.list.state(at)
      if (state === fresh) return at
      if (state !== failed) live++
    }
    return -1
  }

  /** The nearest that has not failed; −1 for none. */
  #best(): number {
    for (let at = 0; at < this.list.size; at++) if (this.list.state(at) !== failed) return at
    return -1
  }

  /** An answer brought nothing nearer than the best, and the best has answered: the walk has arrived. */
  #isNothingNearer(bestDistance: number): boolean {
    const best = this.#best()
    return best >= 0 && this.list.state(best) === answered && this.list.distance(best) >= bestDistance
  }
}
