import type { Clock, Log } from '@miaou/core'
import type { Peer, PeerInput, PeerOutput } from '@miaou/peer'

/** Inputs handled in one transaction at most: bounds how long one commit can hold up the rest. */
const batchMax = 256
/** setTimeout's largest delay, ms. */
const timeoutMsMax = 2 ** 31 - 1
/** A timer this late means that the machine slept, ms. */
const sleptMs = 20_000

export interface DriveLoopOptions {
  readonly peer: Peer
  readonly clock: Clock
  readonly log: Log
  readonly perform: (output: PeerOutput) => void
  /** The machine slept: the peer has been told, what runs beside it has not. */
  readonly onSlept?: () => void
  /** An invariant of ours broke: the peer must not go on. */
  readonly onCrash: (error: unknown) => void
}

/**
 * The only caller of a peer's engines. Inputs that arrive in one turn of the event loop form one batch and share one
 * commit: under load the batches grow by themselves, at rest a message waits for nobody.
 */
export class DriveLoop {
  readonly #options: DriveLoopOptions
  #inputs: PeerInput[] = []
  #isScheduled = false
  #isStopped = false
  #timer: NodeJS.Timeout | undefined
  #timerAt = Number.POSITIVE_INFINITY
  /** Wall clock minus monotonic clock, ms. */
  #lead: number

  constructor(options: DriveLoopOptions) {
    this.#options = options
    const { mono, wall } = options.clock.now()
    this.#lead = wall - mono
  }

  push(input: PeerInput): void {
    if (this.#isStopped) return
    this.#inputs.push(input)
    this.#schedule()
  }

  /**
   * Handles all that is queued, now: what comes meanwhile waits for the next turn. The queue thus holds no more than
   * one turn of the event loop brings, and a peer that sends faster than we handle is slowed down by its socket.
   */
  drain(): void {
    this.#isScheduled = false
    if (this.#isStopped) return
    const { peer, clock, perform, onCrash } = this.#options
    const queued = this.#inputs
    this.#inputs = []
    try {
      for (let at = 0; at < queued.length && !this.#isStopped; at += batchMax) {
        for (const output of peer.handle(clock.now(), queued.slice(at, at + batchMax))) perform(output)
      }
    } catch (error) {
      this.stop()
      onCrash(error)
      return
    }
    if (this.#inputs.length > 0) this.#schedule()
    if (!this.#isStopped) this.#arm()
  }

  /**
   * To be called now and then: on some systems (Linux) the monotonic clock stands still while the machine sleeps, so that
   * no timer is late; then the wall clock tells.
   */
  checkClocks(): void {
    const { mono, wall } = this.#options.clock.now()
    const sleptForMs = wall - mono - this.#lead
    this.#lead = wall - mono
    if (sleptForMs > sleptMs) this.#slept(sleptForMs)
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => this.drain())
  }

  #arm(): void {
    const deadline = this.#options.peer.deadline()
    if (deadline === this.#timerAt && this.#timer !== undefined) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#timerAt = deadline
    if (deadline === Number.POSITIVE_INFINITY) return
    const delayMs = Math.min(timeoutMsMax, Math.max(0, Math.ceil(deadline - this.#options.clock.now().mono)))
    this.#timer = setTimeout(() => this.#wake(), delayMs)
  }

  #wake(): void {
    this.#timer = undefined
    const lateMs = this.#options.clock.now().mono - this.#timerAt
    this.#timerAt = Number.POSITIVE_INFINITY
    if (lateMs > sleptMs) this.#slept(lateMs)
    this.push({ type: 'wake' })
  }

  #slept(forMs: number): void {
    this.#options.log.write('info', 'slept', { forMs: Math.round(forMs) })
    this.push({ type: 'network', input: { type: 'network-changed' } })
    this.push({ type: 'wake' })
    this.#options.onSlept?.()
  }
}
