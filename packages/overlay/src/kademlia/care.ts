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

  constructor(core: Core) {
    this.#core = core
  }

  /** The two need each other; called once. */
  attach(requests: Requests): void {
    this.#requests = requests
  }

  /** A datagram of a contact arrived: a request, or any answer. */
  heard(from: ContactRef, isServer: boolean, isProven: boolean): void {
    const { table, mono } = this.#core
    this.#core.heardAt = mono
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
    if (isProven) this.#admit(from)
    else if (!table.isBucketFull(table.bucketOf(from)) || this.#questionable(from) !== undefined) this.#ping(from)
  }

  proved(ref: ContactRef, isServer: boolean, ms: number): void {
    this.heard(ref, isServer, true)
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
      this.#silentSince ??= new Map()
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

  #admit(ref: ContactRef): void {
    const { table, mono } = this.#core
    if (table.add(ref, mono) !== 'full') return
    table.offerReplacement(ref)
    const oldest = this.#questionable(ref)
    if (oldest !== undefined) this.#ping(oldest)
  }

  /** Whom a newcomer's bucket holds without having heard of it for long. */
  #questionable(newcomer: ContactRef): ContactRef | undefined {
    const { table, mono, config } = this.#core
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
