import type { ByteRate } from './relay-service-rate.ts'

/** Where lanes lead: one link. */
export interface Outlet {
  /** Whether so much is under way that more had better wait here. */
  readonly isLate: boolean
}

/** One direction of a circuit. */
export interface Lane {
  readonly outlet: Outlet
  /** Those that what is sent counts against. */
  readonly rates: readonly ByteRate[]
  /** What the next chunk costs, 0 when there is none. */
  nextCost(): number
  /** Sends the next chunk. */
  sendNext(): void
}

interface Turn {
  readonly lane: Lane
  deficit: number
  /** Monotonic ms, while its rates are used up. */
  readyAt: number
}

/**
 * Deficit round robin (Shreedhar and Varghese 1995) over all circuits of a relay: whatever is scarce, a slow link, a
 * rate or the processor, those who want it get equal bytes of it. A lane whose link is late, or whose rate is used up,
 * steps aside and comes back at the end of the queue.
 */
export class RelayScheduler {
  readonly #quantum: number
  readonly #turns = new Map<Lane, Turn>()
  #ready: Turn[] = []
  readonly #late = new Map<Outlet, Turn[]>()
  #paced: Turn[] = []
  #readyAt = Number.POSITIVE_INFINITY

  /** `quantum`: at least the cost of the largest chunk. */
  constructor(quantum: number) {
    this.#quantum = quantum
  }

  /** Lanes that want to send. */
  get size(): number {
    return this.#turns.size
  }

  /** The lane has something to send; told again it changes nothing. */
  add(lane: Lane): void {
    if (this.#turns.has(lane)) return
    const turn: Turn = { lane, deficit: 0, readyAt: 0 }
    this.#turns.set(lane, turn)
    this.#ready.push(turn)
  }

  /** What the lane had is dropped. */
  remove(lane: Lane): void {
    // Its turn is passed over when it is met.
    this.#turns.delete(lane)
  }

  /** The link takes more. */
  drained(outlet: Outlet): void {
    const turns = this.#late.get(outlet)
    if (turns === undefined) return
    this.#late.delete(outlet)
    for (const turn of turns) this.#resume(turn)
  }

  /** The link is gone. */
  forget(outlet: Outlet): void {
    for (const { lane } of this.#late.get(outlet) ?? []) this.#turns.delete(lane)
    this.#late.delete(outlet)
  }

  /** Monotonic ms at which a rate allows more, Infinity for none. */
  deadline(): number {
    return this.#readyAt
  }

  /** Sends what can be sent now. */
  run(now: number): void {
    if (now >= this.#readyAt) this.#wakePaced(now)
    for (let at = 0; at < this.#ready.length; at++) {
      const turn = this.#ready[at] as Turn
      if (this.#turns.get(turn.lane) === turn) this.#visit(now, turn)
      // The front of the array is spent: cut it off before it outgrows what waits.
      if (at >= 1_024) {
        this.#ready = this.#ready.slice(at + 1)
        at = -1
      }
    }
    if (this.#ready.length > 0) this.#ready = []
  }

  #visit(now: number, turn: Turn): void {
    const { lane } = turn
    let cost = lane.nextCost()
    if (turn.deficit < cost) turn.deficit += this.#quantum
    while (cost > 0 && cost <= turn.deficit) {
      if (lane.outlet.isLate) {
        this.#wait(turn)
        return
      }
      const waitMs = waitOf(lane, now)
      if (waitMs > 0) {
        this.#pace(turn, now + waitMs)
        return
      }
      for (const rate of lane.rates) rate.spend(cost)
      turn.deficit -= cost
      lane.sendNext()
      // Sending can end the link, and the lane with it.
      if (this.#turns.get(lane) !== turn) return
      cost = lane.nextCost()
    }
    if (cost === 0) this.#turns.delete(lane)
    else this.#ready.push(turn)
  }

  #wait(turn: Turn): void {
    const { outlet } = turn.lane
    const turns = this.#late.get(outlet)
    if (turns === undefined) this.#late.set(outlet, [turn])
    else turns.push(turn)
  }

  #pace(turn: Turn, readyAt: number): void {
    turn.readyAt = readyAt
    this.#paced.push(turn)
    this.#readyAt = Math.min(this.#readyAt, readyAt)
  }

  #wakePaced(now: number): void {
    const paced = this.#paced
    this.#paced = []
    this.#readyAt = Number.POSITIVE_INFINITY
    for (const turn of paced) {
      if (this.#turns.get(turn.lane) !== turn) continue
      if (turn.readyAt <= now) this.#resume(turn)
      else this.#pace(turn, turn.readyAt)
    }
  }

  #resume(turn: Turn): void {
    if (this.#turns.get(turn.lane) === turn) this.#ready.push(turn)
  }
}

function waitOf(lane: Lane, now: number): number {
  let waitMs = 0
  for (const rate of lane.rates) waitMs = Math.max(waitMs, rate.waitMs(now))
  return waitMs
}
