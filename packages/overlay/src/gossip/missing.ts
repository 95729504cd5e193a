import { bytesToHex } from '@miaou/core'
import { gossipIdsMax } from '@miaou/protocol'
import type { GossipState } from './gossip-state.ts'
import type { Neighbour } from './neighbour.ts'

// Guess: half of a lag is forgotten after 70 messages.
const lagDecay = 0.99
// Guess: the next lag may be a fifth longer.
const lagMargin = 1.2

/** A message that neighbours have announced and nobody has pushed. */
interface Missing {
  readonly shortId: Uint8Array
  readonly topic: string
  readonly firstAt: number
  /** Not asked yet, in the order of their announcements. */
  readonly announcers: Neighbour[]
  asked: Neighbour | undefined
  askedAt: number
  tries: number
  /** When the next announcer is asked, monotonic ms. */
  dueAt: number
}

/** What is to be asked of whom. */
export interface Ask {
  readonly neighbour: Neighbour
  readonly topic: string
  readonly shortIds: Uint8Array[]
}

/**
 * The announced messages that are waited for, and the time to wait. The wait is learnt: by how much a push may come later
 * than the first announcement, the longest such lag of late.
 */
export class MissingMessages {
  readonly #state: GossipState
  readonly #byKey = new Map<string, Missing>()
  #lagMs: number
  #deadline = Number.POSITIVE_INFINITY
  #wasLate = false

  constructor(state: GossipState) {
    this.#state = state
    this.#lagMs = state.options.graftMs
  }

  get size(): number {
    return this.#byKey.size
  }

  /** How long a push is waited for after an announcement, ms. */
  get waitMs(): number {
    const { graftMinMs, graftMaxMs } = this.#state.options
    return Math.min(graftMaxMs, Math.max(graftMinMs, this.#lagMs * lagMargin))
  }

  deadline(): number {
    return this.#deadline
  }

  /** An announcement of a message not seen. `isPull`: nothing will be pushed. */
  announced(neighbour: Neighbour, topic: string, shortId: Uint8Array, isPull: boolean): void {
    const { missingMax, missingPerNeighbourMax, announcersMax } = this.#state.options
    const key = bytesToHex(shortId)
    const known = this.#byKey.get(key)
    if (neighbour.missingCount >= missingPerNeighbourMax || (known === undefined && this.size >= missingMax)) {
      this.#state.count('dropped-announcement')
      this.#state.penalise(neighbour, 'flooding')
      return
    }
    const now = this.#state.mono
    const dueAt = isPull ? now : now + this.waitMs
    if (known === undefined) {
      const announcers = [neighbour]
      this.#byKey.set(key, { shortId, topic, firstAt: now, announcers, asked: undefined, askedAt: 0, tries: 0, dueAt })
      neighbour.missingCount += 1
      this.#deadline = Math.min(this.#deadline, dueAt)
      return
    }
    if (known.topic !== topic || known.asked === neighbour || known.announcers.includes(neighbour)) return
    if (known.announcers.length >= announcersMax) return
    known.announcers.push(neighbour)
    neighbour.missingCount += 1
    if (isPull && known.asked === undefined) {
      known.dueAt = Math.min(known.dueAt, dueAt)
      this.#deadline = Math.min(this.#deadline, known.dueAt)
    }
  }

  /** The message came from a neighbour. */
  arrived(key: string, from: Neighbour): void {
    // A lag is forgotten slowly: one graft too early costs more than a repair a little later.
    this.#lagMs *= lagDecay
    from.gaveAt = this.#state.mono
    const missing = this.#byKey.get(key)
    if (missing === undefined) return
    this.#delete(key, missing)
    if (missing.tries === 0) this.#lagMs = Math.max(this.#lagMs, this.#state.mono - missing.firstAt)
    else if (missing.asked === from) {
      const sample = this.#state.mono - missing.askedAt
      from.rttMs = from.rttMs === undefined ? sample : from.rttMs + (sample - from.rttMs) / 8
    }
  }

  /** What is due to be asked, gathered by neighbour and topic. */
  due(): readonly Ask[] {
    const now = this.#state.mono
    if (now < this.#deadline || this.#isExcused(now)) return []
    const asks = new Map<Neighbour, Map<string, Ask[]>>()
    const all: Ask[] = []
    let deadline = Number.POSITIVE_INFINITY
    for (const [key, missing] of this.#byKey) {
      if (missing.dueAt <= now) {
        const neighbour = this.#askNext(key, missing)
        if (neighbour === undefined) continue
        gather(asks, all, neighbour, missing)
      }
      deadline = Math.min(deadline, missing.dueAt)
    }
    this.#deadline = deadline
    return all
  }

  remove(neighbour: Neighbour): void {
    for (const [key, missing] of this.#byKey) {
      const at = missing.announcers.indexOf(neighbour)
      if (at >= 0) missing.announcers.splice(at, 1)
      if (missing.asked === neighbour) {
        missing.asked = undefined
        missing.dueAt = this.#state.mono
        this.#deadline = Math.min(this.#deadline, missing.dueAt)
      }
      if (missing.asked === undefined && missing.announcers.length === 0) this.#byKey.delete(key)
    }
    neighbour.missingCount = 0
  }

  /**
   * Who wakes late was held up itself: what it misses may lie unread in its links. They are read before anything is asked
   * for, once a delay.
   */
  #isExcused(now: number): boolean {
    const { stallMs, graftMinMs } = this.#state.options
    const lateMs = now - this.#deadline
    this.#wasLate = lateMs > stallMs && !this.#wasLate
    if (this.#wasLate) this.#deadline = now + Math.min(lateMs, graftMinMs)
    return this.#wasLate
  }

  #askNext(key: string, missing: Missing): Neighbour | undefined {
    const { asked, announcers } = missing
    if (asked !== undefined) {
      missing.asked = undefined
      // Who has given something else meanwhile is slow, not silent.
      if (asked.gaveAt <= missing.askedAt) this.#state.penalise(asked, 'silent')
      // A graft or its answer may have been lost: it may be asked again, after the others.
      announcers.push(asked)
    }
    const next = missing.tries < this.#state.options.graftTriesMax ? announcers.shift() : undefined
    missing.tries += 1
    if (next === undefined) {
      this.#delete(key, missing)
      this.#state.count('missing-given-up')
      return undefined
    }
    const now = this.#state.mono
    missing.asked = next
    missing.askedAt = now
    missing.dueAt = now + this.#retryMs(next)
    return next
  }

  #retryMs(neighbour: Neighbour): number {
    const { graftRetryMs, graftMinMs, graftMaxMs } = this.#state.options
    if (neighbour.rttMs === undefined) return graftRetryMs
    return Math.min(graftMaxMs, Math.max(2 * graftMinMs, 3 * neighbour.rttMs))
  }

  #delete(key: string, missing: Missing): void {
    this.#byKey.delete(key)
    if (missing.asked !== undefined) missing.asked.missingCount -= 1
    for (const announcer of missing.announcers) announcer.missingCount -= 1
  }
}

function gather(asks: Map<Neighbour, Map<string, Ask[]>>, all: Ask[], neighbour: Neighbour, missing: Missing): void {
  let byTopic = asks.get(neighbour)
  if (byTopic === undefined) {
    byTopic = new Map()
    asks.set(neighbour, byTopic)
  }
  const list = byTopic.get(missing.topic) ?? []
  byTopic.set(missing.topic, list)
  let ask = list.at(-1)
  if (ask === undefined || ask.shortIds.length >= gossipIdsMax) {
    ask = { neighbour, topic: missing.topic, shortIds: [] }
    list.push(ask)
    all.push(ask)
  }
  ask.shortIds.push(missing.shortId)
}
