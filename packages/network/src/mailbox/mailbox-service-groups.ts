import { TokenBucket } from '@miaou/core'
import type { MailboxServiceLimits } from './mailbox-service-limits.ts'

/** Those behind one address, as far as limits go. */
export interface MailboxGroup {
  clients: number
  readonly requests: TokenBucket
  readonly registrations: TokenBucket
}

/** The address groups that have clients, and those that had some lately. */
export class MailboxGroups {
  readonly #limits: MailboxServiceLimits
  /** Who left last comes last. */
  readonly #idle = new Map<string, MailboxGroup>()
  readonly #busy = new Map<string, MailboxGroup>()

  constructor(limits: MailboxServiceLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#idle.size + this.#busy.size
  }

  /** The group of a client that has just come; undefined: of this machine, a group by itself. */
  enter(name: string | undefined): MailboxGroup {
    const known = name === undefined ? undefined : (this.#busy.get(name) ?? this.#idle.get(name))
    const group = known ?? this.#newGroup()
    group.clients += 1
    if (name !== undefined) {
      this.#idle.delete(name)
      this.#busy.set(name, group)
    }
    return group
  }

  leave(name: string | undefined, group: MailboxGroup): void {
    group.clients -= 1
    if (name === undefined || group.clients > 0) return
    this.#busy.delete(name)
    // Who comes back has not gained anything by leaving.
    this.#idle.set(name, group)
    for (const [oldest] of this.#idle) {
      if (this.#idle.size <= this.#limits.groupsMax) break
      this.#idle.delete(oldest)
    }
  }

  countOf(name: string | undefined): number {
    return name === undefined ? 0 : (this.#busy.get(name)?.clients ?? 0)
  }

  #newGroup(): MailboxGroup {
    const limits = this.#limits
    return {
      clients: 0,
      requests: new TokenBucket(limits.groupRequestsPerSecond, limits.groupRequestsBurst),
      registrations: new TokenBucket(limits.registrationsPerSecond, limits.registrationsBurst),
    }
  }
}

/** How often one-time bundles of a box are given away. */
export class BundleRates {
  readonly #limits: MailboxServiceLimits
  /** By box; who was asked for last comes last. */
  readonly #rates = new Map<string, TokenBucket>()

  constructor(limits: MailboxServiceLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#rates.size
  }

  take(box: string, now: number): boolean {
    const { bundlesBurst, bundleIntervalMs, bundleRatesMax } = this.#limits
    const rate = this.#rates.get(box) ?? new TokenBucket(1_000 / bundleIntervalMs, bundlesBurst)
    this.#rates.delete(box)
    this.#rates.set(box, rate)
    const [oldest] = this.#rates.keys()
    if (this.#rates.size > bundleRatesMax && oldest !== undefined) this.#rates.delete(oldest)
    return rate.take(now)
  }

  /** Nobody keeps that box, or it gave nothing of the kind. */
  forget(box: string): void {
    this.#rates.delete(box)
  }
}
