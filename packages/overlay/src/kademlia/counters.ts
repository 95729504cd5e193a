/** What the engine drops, refuses or loses, by reason. */
export type KademliaCounter =
  | 'answers-unasked'
  | 'answers-from-another'
  | 'answers-of-wrong-type'
  | 'answers-malformed'
  | 'records-wrong'
  | 'timeouts'
  | 'requests-over-limit'
  | 'requests-not-sent'
  | 'operations-over-limit'
  | 'contacts-removed'
  | 'contacts-kept-in-outage'
  | 'pings-over-limit'
  | 'requests-malformed'
  | 'stores-bad-token'
  | 'stores-bad-record'
  | 'stores-stale'
  | 'stores-full'
  | 'records-evicted'
  | 'records-expired'
  | 'probes-refused'
  | 'rendezvous-refused'
  | 'punches-refused'
  | 'punches-over-rate'
  | 'knocks-refused'
  | 'openers-unasked'
  | 'services-refused'
  | 'services-over-rate'
  | 'walks-too-dense'
  | 'walks-too-long'
  | 'walks-too-sparse'
  | 'walks-repeated'

/** Allocated when something is first counted: a million engines of a simulation count little. */
export class KademliaCounters {
  #counts: Map<KademliaCounter, number> | undefined

  add(counter: KademliaCounter): void {
    this.#counts ??= new Map()
    this.#counts.set(counter, (this.#counts.get(counter) ?? 0) + 1)
  }

  snapshot(): Readonly<Partial<Record<KademliaCounter, number>>> {
    return Object.fromEntries(this.#counts ?? [])
  }
}
