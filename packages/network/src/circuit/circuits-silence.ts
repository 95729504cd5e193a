import type { CircuitsLimits } from './circuits-limits.ts'

/**
 * Whether a relay still answers (spec/circuits C20 to C23). Knows what is under way: a saturated uplink is not a dead
 * relay. Times in monotonic ms.
 */
export class SilenceWatch {
  readonly #limits: CircuitsLimits
  // The oldest frame that nothing has answered, and the newest.
  #waitingSince: number | undefined
  #sentAt = 0
  #pingedAt: number | undefined
  #rttMin = Number.POSITIVE_INFINITY
  #isSuspect = false

  constructor(limits: CircuitsLimits) {
    this.#limits = limits
  }

  get isSuspect(): boolean {
    return this.#isSuspect
  }

  /** A frame was sent. */
  sent(now: number): void {
    this.#sentAt = now
    if (this.#waitingSince === undefined) this.#wait(now)
  }

  /** Something authentic came. */
  heard(now: number): void {
    if (this.#waitingSince === undefined) return
    // What comes sooner than a round trip after the last frame does not answer that one.
    if (this.#sentAt + this.#rttMin <= now) this.#clear()
    else this.#wait(now)
  }

  /** A ping was answered after `latencyMs`: so was everything sent before it. */
  pong(now: number, latencyMs: number): void {
    this.#rttMin = Math.min(this.#rttMin, latencyMs)
    if (now - latencyMs >= this.#sentAt) this.#clear()
  }

  /** A round trip that was measured otherwise. */
  measured(latencyMs: number): void {
    this.#rttMin = Math.min(this.#rttMin, latencyMs)
  }

  /** The network changed: suspect until something comes. The caller pings at once. */
  doubt(now: number): void {
    this.#wait(now)
    this.#isSuspect = true
  }

  /** The caller has pinged. */
  pinged(now: number): void {
    this.#pingedAt ??= now
  }

  deadline(rtt: number, backlogBytes: number): number {
    if (this.#waitingSince === undefined) return Number.POSITIVE_INFINITY
    if (this.#pingedAt === undefined) return this.#isSuspect ? this.#sentAt : this.#pingAt(rtt)
    return this.#isSuspect ? this.#silentAt(rtt, backlogBytes) : this.#suspectAt(rtt, backlogBytes)
  }

  /** What is due: a ping; the link is suspect now; it is given up. */
  wake(now: number, rtt: number, backlogBytes: number): 'ping' | 'suspect' | 'silent' | undefined {
    if (this.#waitingSince === undefined) return undefined
    if (this.#pingedAt === undefined) return this.#isSuspect || now >= this.#pingAt(rtt) ? 'ping' : undefined
    if (this.#isSuspect) return now >= this.#silentAt(rtt, backlogBytes) ? 'silent' : undefined
    if (now < this.#suspectAt(rtt, backlogBytes)) return undefined
    this.#isSuspect = true
    return 'suspect'
  }

  #wait(now: number): void {
    this.#waitingSince = now
    this.#pingedAt = undefined
    this.#isSuspect = false
  }

  #clear(): void {
    this.#waitingSince = undefined
    this.#pingedAt = undefined
    this.#isSuspect = false
  }

  #suspectAfter(rtt: number): number {
    return Math.max(this.#limits.suspectRttFactor * rtt, this.#limits.suspectMs)
  }

  #pingAt(rtt: number): number {
    return (this.#waitingSince ?? 0) + this.#suspectAfter(rtt) / 2
  }

  /** Bytes on their way put it off. After a late wake (a machine that slept) the ping has its time first. */
  #suspectAt(rtt: number, backlogBytes: number): number {
    const after = this.#suspectAfter(rtt)
    const slowMs = (backlogBytes * 1_000) / this.#limits.slowBytesPerSecond
    return Math.max((this.#waitingSince ?? 0) + after + slowMs, (this.#pingedAt ?? 0) + after / 2)
  }

  #silentAt(rtt: number, backlogBytes: number): number {
    const { silentGraceMs, suspectRttFactor, slowBytesPerSecond } = this.#limits
    const slowMs = (backlogBytes * 1_000) / slowBytesPerSecond
    const sinceFirst = (this.#waitingSince ?? 0) + this.#suspectAfter(rtt) + slowMs + silentGraceMs
    return Math.max(sinceFirst, (this.#pingedAt ?? 0) + Math.max(suspectRttFactor * rtt, silentGraceMs))
  }
}
