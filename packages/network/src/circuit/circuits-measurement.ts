import type { Now } from '@miaou/core'
import type { RelayLink } from './circuits-link.ts'
import type { CircuitsState } from './circuits-state.ts'
import type { CircuitsOutput } from './interface.ts'

type Result = Extract<CircuitsOutput, { type: 'measured' }>['result']

/** Round trip, then bytes down, then bytes up, on a link that stands (spec/circuits C33). One at a time for a relay. */
export class RelayMeasurement {
  readonly link: RelayLink
  readonly #id: number
  readonly #state: CircuitsState
  #phase: 'ping' | 'down' | 'up' | 'done' = 'ping'
  #startedAt: number
  #latencyMs = 0
  #downBytes = 0
  #downBytesPerSecond = 0

  constructor(now: Now, state: CircuitsState, link: RelayLink, id: number) {
    this.#state = state
    this.link = link
    this.#id = id
    this.#startedAt = now.mono
    link.ping(now)
  }

  get isDone(): boolean {
    return this.#phase === 'done'
  }

  deadline(): number {
    return this.isDone ? Number.POSITIVE_INFINITY : this.#startedAt + this.#state.settings.limits.measureTimeoutMs
  }

  wake(now: Now): void {
    if (now.mono >= this.deadline()) this.fail('it took too long')
  }

  pong(now: Now, latencyMs: number): void {
    if (this.#phase !== 'ping') return
    this.#latencyMs = latencyMs
    this.#phase = 'down'
    this.#startedAt = now.mono
    const bytes = this.#state.settings.limits.measureBytes
    const request = { type: 'measure', phase: 'down', sentAt: now.mono } as const
    this.link.ask(now, request, (request) => ({ type: 'measure-down', request, bytes }))
  }

  filler(now: Now, size: number): void {
    if (this.#phase !== 'down') return
    this.#downBytes += size
    if (this.#downBytes >= this.#state.settings.limits.measureBytes) this.#measureUp(now)
  }

  /** The relay has sent (at most what was asked), or received, everything. */
  measured(now: Now, phase: 'down' | 'up', bytes: number): void {
    if (phase !== this.#phase) return
    if (phase === 'down') {
      if (this.#downBytes === 0) this.fail('the relay sends nothing to measure with')
      else this.#measureUp(now)
      return
    }
    // A relay cannot have received more than was sent.
    const upBytesPerSecond = this.#perSecond(now, Math.min(bytes, this.#state.settings.limits.measureBytes))
    const [latencyMs, downBytesPerSecond] = [this.#latencyMs, this.#downBytesPerSecond]
    this.#finish({ ok: true, latencyMs, downBytesPerSecond, upBytesPerSecond })
  }

  #measureUp(now: Now): void {
    this.#downBytesPerSecond = this.#perSecond(now, this.#downBytes)
    this.#phase = 'up'
    this.#startedAt = now.mono
    this.link.dropMeasures()
    this.link.sendFiller(now, this.#state.settings.limits.measureBytes)
    if (!this.link.isUp) return
    const request = { type: 'measure', phase: 'up', sentAt: now.mono } as const
    this.link.ask(now, request, (request) => ({ type: 'measure-up', request }))
  }

  fail(detail: string): void {
    if (!this.isDone) this.#finish({ ok: false, detail })
  }

  #finish(result: Result): void {
    this.#phase = 'done'
    this.link.dropMeasures()
    this.#state.emit({ type: 'measured', id: this.#id, result })
  }

  /** Since the phase began, less the round trip that is no transfer. */
  #perSecond(now: Now, bytes: number): number {
    return Math.round((bytes * 1_000) / Math.max(1, now.mono - this.#startedAt - this.#latencyMs))
  }
}
