/** What the client of relays drops, refuses and loses, by name (spec/circuits C40). A closed set. */
export type CircuitsCounter =
  | 'bad-address'
  | 'bad-control'
  | 'bad-data'
  | 'bad-frame'
  | 'wrong-relay'
  | 'unasked'
  | 'unknown-circuit'
  | 'unknown-pipe'
  | 'flow-control'
  | 'message-too-large'
  | 'incoming-refused'
  | 'dials-refused'
  | 'services-elsewhere'
  | 'services-failed'
  | 'queue-overflow'
  | 'reservations-refused'
  | 'ice-servers-refused'
  | 'links-failed'
  | 'links-silent'
  | 'links-replaced'
  | 'links-faulty'

export class CircuitsCounters {
  readonly #counts = new Map<CircuitsCounter, number>()

  count(name: CircuitsCounter, by = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + by)
  }

  /** Every counter that is not zero. */
  snapshot(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts)
  }
}
