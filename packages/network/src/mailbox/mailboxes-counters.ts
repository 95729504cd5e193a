/** What the client of mailboxes drops, refuses and loses, and which way deposits went (spec/mailbox MB74). A closed set. */
export type MailboxesCounter =
  | 'bad-address'
  | 'bad-control'
  | 'bad-frame'
  | 'wrong-mailbox'
  | 'unasked'
  | 'repeated-envelope'
  | 'swapped-envelope'
  | 'envelope-flood'
  | 'late-acknowledgements'
  | 'registrations-refused'
  | 'supplies-refused'
  | 'supplies-dropped'
  | 'deposits-refused'
  | 'deposits-relayed'
  | 'deposits-straight'
  | 'jobs-unanswered'
  | 'jobs-asked-again'
  | 'jobs-waited-too-long'
  | 'queue-overflow'
  | 'links-failed'
  | 'links-silent'
  | 'links-faulty'

export class MailboxesCounters {
  readonly #counts = new Map<MailboxesCounter, number>()

  count(name: MailboxesCounter, by = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + by)
  }

  /** Every counter that is not zero. */
  snapshot(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts)
  }
}
