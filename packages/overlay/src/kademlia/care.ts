import type { Core } from './core.ts'
import type { ContactRef } from './interface.ts'
import type { ContactCare, Pending, RequestOwner, Requests } from './requests.ts'

/**
 * Who is in the routing table: contacts enter by a round trip, lose their place by silence or lies, and a full bucket's
 * oldest is pinged before a newcomer takes its place (spec/overlay.md, Engine).
 */
export class Care implements ContactCare, RequestOwner {
  readonly #core: Core
  #requests: Requests | undefined
  /** Contacts being pinged for the table's sake. */
  #pinged: Set<ContactRef> | undefined
  /** Contacts of the table whose last request failed, with the monotonic ms of that. */
  #silentSince: Map<ContactRef, number> | undefined

  /** Monotonic ms from when on the next place in a full bucket may be contested. */
  #contestAt = 0

  constructor(core: Core) {
    this.#core = core
  }

  /** The two need each other; called once. */
  attach(requests: Requests): void {
    this.#requests = requests
  }

  /**
   * A datagram of a contact arrived: a request, or any answer. `isPing`: then nobody is pinged for a place in a full
   * bucket, or one ping would make the next, through the whole network.
   */
  heard(from: ContactRef, isServer: boolean, isProven: boolean, isPing: boolean): void {
    const { table, mono } = this.#core
    this.#core.heardAt = mono
    // What an unproven sender says of itself may be a datagram of long ago, sent again by anybody.
    if (!isServer && !isProven) return
    if (table.has(from)) {
      if (!isServer) this.#remove(from)
      else if (isProven) {
        table.touch(from, mono)
        this.#silentSince?.delete(from)
      }
      return
    }
    if (!isServer) {
      table.removeReplacement(from)
      return
    }
    if (isProven) this.#admit(from, isPing)
    else if (!table.isBucketFull(table.bucketOf(from))) this.#ping(from)
    else if (!isPing && this.#questionable(from) !== undefined) {
      this.#contestAt = mono + this.#core.config.contestIntervalMs
      this.#ping(from)
    }
  }

  proved(ref: ContactRef, isServer: boolean, ms: number): void {
    this.heard(ref, isServer, true, false)
    this.#core.table.updateRoundTrip(ref, ms)
  }

  silent(ref: ContactRef, sentAt: number): void {
    const { table, counters, config, heardAt, mono } = this.#core
    if (!table.has(ref)) {
      table.removeReplacement(ref)
      return
    }
    // Nobody at all was heard since: it is rather us who are cut off, and the table is what brings us back.
    if (heardAt < sentAt) {
      counters.add('contacts-kept-in-outage')
      return
    }
    // Requests that were in flight together are one silence, not several.
    if (sentAt < (this.#silentSince?.get(ref) ?? 0)) return
    if (table.fail(ref) < config.failuresMax) {
      // Contacts that moved leave theirs behind.
      if (this.#silentSince === undefined || this.#silentSince.size > 2 * table.size) this.#silentSince = new Map()
      this.#silentSince.set(ref, mono)
      return
    }
    counters.add('contacts-removed')
    this.#remove(ref)
  }

  lied(ref: ContactRef): void {
    this.#core.counters.add('contacts-removed')
    this.#remove(ref)
  }

  answered(pending: Pending): void {
    this.#pinged?.delete(pending.to)
  }

  late(): void {
    // A ping has nobody else to ask.
  }

  failed(pending: Pending): void {
    this.#pinged?.delete(pending.to)
    const { table } = this.#core
    // Still there after one silence: a second ping decides, when somebody waits for the place.
    const isContested = table.has(pending.to) && table.replacements(table.bucketOf(pending.to)).length > 0
    if (isContested && table.failures(pending.to) > 0) this.#ping(pending.to)
  }

  mark(mark: (ref: ContactRef) => void): void {
    this.#core.table.markRoots(mark)
  }

  #admit(ref: ContactRef, isPing: boolean): void {
    const { table, mono, config } = this.#core
    if (table.add(ref, mono) !== 'full') return
    table.offerReplacement(ref)
    const oldest = isPing ? undefined : this.#questionable(ref)
    if (oldest === undefined) return
    this.#contestAt = mono + config.contestIntervalMs
    this.#ping(oldest)
  }

  /** Whom a newcomer's bucket holds without having heard of it for long; once an interval for all buckets. */
  #questionable(newcomer: ContactRef): ContactRef | undefined {
    const { table, mono, config } = this.#core
    if (mono < this.#contestAt) return undefined
    const oldest = table.leastRecentlySeen(table.bucketOf(newcomer))
    const isQuestionable = oldest !== undefined && mono - table.heardMs(oldest) >= config.questionableAfterMs
    return isQuestionable ? oldest : undefined
  }

  #remove(ref: ContactRef): void {
    const { table, mono } = this.#core
    this.#silentSince?.delete(ref)
    table.removeReplacement(ref)
    if (table.has(ref)) table.replace(ref, mono)
  }

  #ping(ref: ContactRef): void {
    const { config, counters } = this.#core
    this.#pinged ??= new Set()
    if (this.#pinged.has(ref)) return
    if (this.#pinged.size >= config.carePingsMax) {
      counters.add('pings-over-limit')
      return
    }
    if (this.#requests?.ping(ref, this) === true) this.#pinged.add(ref)
  }
}
