/** Everything the secure datagrams drop, refuse or give up, by name (spec D60). A closed set. */
export type DatagramsCounterName =
  | 'malformed'
  | 'bad-address'
  | 'bad-mac'
  | 'bad-handshake'
  | 'not-opening'
  | 'self'
  | 'replayed-initiation'
  | 'repeated-initiation'
  | 'stale-stamp'
  | 'cookie-demanded'
  | 'over-budget'
  | 'cookie-unexpected'
  | 'response-unexpected'
  | 'bad-response'
  | 'unknown-session'
  | 'moved'
  | 'replayed-data'
  | 'undecryptable'
  | 'over-rate'
  | 'hint-sent'
  | 'hint-ignored'
  | 'hint-believed'
  | 'session-evicted'
  | 'session-replaced'
  | 'session-expired'
  | 'session-silent'
  | 'pending-evicted'
  | 'handshake-timeout'
  | 'owed-evicted'
  | 'answer-late'
  | 'answer-too-large'
  | 'queue-full'
  | 'weak-key'
  | 'too-large'
  | 'initiated'
  | 'initiation-repeated'
  | 'request-repeated'
  | 'opener-sent'
  | 'opener-heard'
  | 'responded'
  | 'established'

export class DatagramsCounters {
  readonly #counts = new Map<DatagramsCounterName, number>()

  count(name: DatagramsCounterName): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
  }

  /** Every counter that is not zero. */
  snapshot(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts)
  }
}
