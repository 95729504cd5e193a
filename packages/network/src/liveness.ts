import type { LinkLimits } from './link-limits.ts'

/** Weight of a new sample in the smoothed round trip (RFC 6298 §2). */
const rttGain = 1 / 8

/**
 * Whether the other end is still there: a ping after an idle time, fast probes while something sent stays unanswered,
 * `silent` when the probes do too (spec/links L40–L44). Times in monotonic ms.
 */
export class Liveness {
  readonly #limits: LinkLimits
  #rtt: number | undefined
  #heardAt: number
  #sentAt = Number.NEGATIVE_INFINITY
  // When the oldest unanswered frame was sent; undefined while nothing is unanswered.
  #waitingSince: number | undefined
  #probes = 0
  #nextProbeAt = 0
  // When the first probe went out that is unanswered.
  #probedAt = 0
  #isOff = false

  constructor(limits: LinkLimits, now: number) {
    this.#limits = limits
    this.#heardAt = now
  }

  /** Smoothed round trip in ms, undefined until measured. */
  get rtt(): number | undefined {
    return this.#rtt
  }

  /** Whether a probe is unanswered: what was sent before it waits for longer than it should. */
  get isSuspect(): boolean {
    return !this.#isOff && this.#waitingSince !== undefined && this.#probes > 0
  }

  /** Since when, while it is. */
  get suspectSince(): number {
    return this.#probedAt
  }

  /** For how long the other end has left something unanswered. */
  silentFor(now: number): number {
    return this.#waitingSince === undefined ? 0 : now - this.#waitingSince
  }

  measured(sampleMs: number): void {
    const sample = Math.max(0, sampleMs)
    this.#rtt = this.#rtt === undefined ? sample : this.#rtt + rttGain * (sample - this.#rtt)
  }

  /** Something that the other end can be expected to react to was sent. */
  sent(now: number): void {
    this.#sentAt = now
    if (this.#waitingSince === undefined) this.#wait(now)
  }

  /** Something authentic came. `answeredAt`: when the ping that it answers was sent. */
  heard(now: number, answeredAt?: number): void {
    this.#heardAt = now
    if (this.#waitingSince === undefined) return
    // What comes sooner than a round trip after the last send says nothing about whether that one arrived.
    const coversAll = answeredAt === undefined ? this.#sentAt + (this.#rtt ?? 0) <= now : answeredAt >= this.#sentAt
    if (coversAll) this.#waitingSince = undefined
    else this.#wait(now)
  }

  /** Forgets what was heard: the next wake probes at once (the network changed). */
  doubt(now: number): void {
    if (this.#isOff) return
    this.#waitingSince ??= now
    this.#probes = 0
    this.#nextProbeAt = now
  }

  /** The next probe is due at once, without waiting for its interval. */
  press(now: number): void {
    if (this.isSuspect) this.#nextProbeAt = Math.min(this.#nextProbeAt, now)
  }

  /** The link is ending: no more probes, never silent. */
  stop(): void {
    this.#isOff = true
  }

  deadline(): number {
    if (this.#isOff) return Number.POSITIVE_INFINITY
    return this.#waitingSince === undefined ? this.#heardAt + this.#limits.keepAliveIdleMs : this.#nextProbeAt
  }

  /**
   * What is due. A late wake (a machine that slept) never finds the link silent before three probes had their time.
   * `probe`: 0 for the ping of an idle link, else the number of the probe.
   */
  wake(now: number): { readonly type: 'ping'; readonly probe: number } | { readonly type: 'silent' } | undefined {
    if (now < this.deadline()) return undefined
    if (this.#waitingSince === undefined) return { type: 'ping', probe: 0 }
    const { silentMs, probesMin, probeIntervalMaxMs } = this.#limits
    const silentFrom = this.#waitingSince + Math.max(silentMs, this.#firstProbeAfter() + 2 * probeIntervalMaxMs)
    if (now >= silentFrom && this.#probes >= probesMin) return { type: 'silent' }
    const interval = Math.min(this.#firstProbeAfter() * 2 ** this.#probes, probeIntervalMaxMs)
    if (this.#probes === 0) this.#probedAt = now
    this.#probes += 1
    this.#nextProbeAt = now + interval
    if (this.#probes >= probesMin && now < silentFrom) this.#nextProbeAt = Math.min(this.#nextProbeAt, silentFrom)
    return { type: 'ping', probe: this.#probes }
  }

  #wait(now: number): void {
    this.#waitingSince = now
    this.#probes = 0
    this.#nextProbeAt = now + this.#firstProbeAfter()
  }

  #firstProbeAfter(): number {
    return Math.max(this.#limits.probeRttFactor * (this.#rtt ?? 0), this.#limits.probeMs)
  }
}
