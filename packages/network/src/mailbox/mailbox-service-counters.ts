/** What a mailbox did, by name (spec/mailbox MB49): numbers only, nothing of whom. A closed set. */
export type MailboxServiceCounterName =
  | 'links-accepted'
  | 'links-refused'
  | 'handshakes-dropped'
  | 'handshakes-failed'
  | 'devices-refused'
  | 'links-displaced'
  | 'links-cut'
  | 'links-useless'
  | 'registered'
  | 'registrations-refused'
  | 'stale-starts'
  | 'released'
  | 'deposits'
  | 'deposits-of-strangers'
  | 'deposits-repeated'
  | 'deposits-refused'
  | 'tokens-spent'
  | 'tokens-unknown'
  | 'boxes-unknown'
  | 'full'
  | 'envelopes-pushed'
  | 'envelopes-acknowledged'
  | 'bundles-given'
  | 'bundles-limited'
  | 'groups-failed'
  | 'busy'
  | 'bad-signatures'
  | 'bad-messages'
  | 'floods'
  | 'unknown-pipe'

export class MailboxServiceCounters {
  readonly #counts = new Map<MailboxServiceCounterName, number>()

  count(name: MailboxServiceCounterName, by = 1): void {
    if (by > 0) this.#counts.set(name, (this.#counts.get(name) ?? 0) + by)
  }

  /** Every counter that is not zero. */
  snapshot(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts)
  }
}
