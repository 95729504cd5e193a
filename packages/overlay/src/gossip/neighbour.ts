import { TokenBucket } from '@miaou/core'
import type { GossipOptions } from './gossip-options.ts'
import type { NeighbourHint, NeighbourId } from './interface.ts'

/** Why a neighbour loses score (spec/gossip G19). */
export type Fault = 'malformed' | 'invalid' | 'rejected' | 'late' | 'silent' | 'flooding'

/** Points per fault (own choice): the third forged message, or some fifty broken promises in five minutes. */
export const faultPoints: Readonly<Record<Fault, number>> = {
  malformed: 20,
  invalid: 40,
  rejected: 10,
  late: 1,
  silent: 2,
  flooding: 1,
}

/** What the engine knows of one neighbour. */
export class Neighbour {
  readonly id: NeighbourId
  readonly upAt: number
  /** This side asked for the link. */
  readonly isOutgoing: boolean
  hint: NeighbourHint | undefined
  /** It has said hello and was taken into the active view. */
  isActive = false
  /** This node had no other neighbour when it said hello. */
  wasUrgent = false
  /** Its distance to the nearest subscriber by topic. */
  readonly interests: Map<string, number> = new Map()
  readonly messages: TokenBucket
  readonly bytes: TokenBucket
  /** What it has got out of the cache. */
  readonly served: TokenBucket
  /** Messages it has announced and that are still missing. */
  missingCount = 0
  /** When it last gave a message that nobody had given before, monotonic ms. */
  gaveAt: number = Number.NEGATIVE_INFINITY
  /** Smoothed time from a graft to its answer, ms; undefined before the first. */
  rttMs: number | undefined
  /** Hints of the passive view that came from it. */
  hintCount = 0
  shuffleAt: number = Number.NEGATIVE_INFINITY
  isShuffleExpected = false
  #score = 0
  #scoreAt: number
  readonly #halfLifeMs: number

  constructor(
    now: number,
    id: NeighbourId,
    isOutgoing: boolean,
    hint: NeighbourHint | undefined,
    options: GossipOptions,
  ) {
    this.id = id
    this.upAt = now
    this.isOutgoing = isOutgoing
    this.hint = hint
    this.messages = new TokenBucket(options.messagesPerSecond, options.messagesBurst)
    this.bytes = new TokenBucket(options.bytesPerSecond, options.bytesBurst)
    this.served = new TokenBucket(options.bytesPerSecond, options.bytesBurst)
    this.#scoreAt = now
    this.#halfLifeMs = options.scoreHalfLifeMs
  }

  /** 0 at best; halves towards 0 in `scoreHalfLifeMs`. */
  score(now: number): number {
    if (this.#score === 0) return 0
    const elapsed = Math.max(0, now - this.#scoreAt)
    return this.#score * 0.5 ** (elapsed / this.#halfLifeMs)
  }

  penalise(now: number, fault: Fault): void {
    this.#score = this.score(now) - faultPoints[fault]
    this.#scoreAt = now
  }
}
