/** What a relay did, by name (spec/relay-service R60): numbers only, nothing of whom. A closed set. */
export type RelayCounterName =
  | 'links-accepted'
  | 'links-refused'
  | 'handshakes-dropped'
  | 'handshakes-failed'
  | 'devices-refused'
  | 'links-displaced'
  | 'links-cut'
  | 'links-useless'
  | 'reservations-made'
  | 'reservations-refused'
  | 'reservations-expired'
  | 'circuits-opened'
  | 'circuits-refused'
  | 'circuits-closed'
  | 'closed-flow-control'
  | 'closed-quota'
  | 'closed-idle'
  | 'closed-busy'
  | 'services-opened'
  | 'services-refused'
  | 'services-unreachable'
  | 'services-closed'
  | 'measurements'
  | 'measurements-refused'
  | 'bad-messages'
  | 'floods'
  | 'stray-messages'
  | 'unknown-pipe'

export class RelayCounters {
  readonly #counts = new Map<RelayCounterName, number>()

  count(name: RelayCounterName): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
  }

  /** Every counter that is not zero. */
  snapshot(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts)
  }
}
