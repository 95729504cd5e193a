/** What the engine drops, refuses and loses, by name (spec/links L90). A closed set: a peer cannot make it grow. */
export type CounterName =
  | 'bad-frame'
  | 'bad-handshake'
  | 'unsupported-version'
  | 'bad-certificate'
  | 'wrong-peer'
  | 'channel-binding-mismatch'
  | 'self'
  | 'handshake-timeout'
  | 'undecryptable'
  | 'unreachable'
  | 'silent'
  | 'broken'
  | 'refused'
  | 'no-address'
  | 'bad-address'
  | 'unlinked-send'
  | 'refused-send'
  | 'refused-ping'
  | 'refused-dial'
  | 'handshakes-dropped'
  | 'links-refused'
  | 'links-displaced'
  | 'links-retired'
  | 'links-cut'
  | 'duplicates-dropped'
  | 'bad-signal'
  | 'offers-dropped'
  | 'offers-refused'
  | 'candidates-dropped'
  | 'candidates-refused'
  | 'candidates-withheld'
  | 'rescues'
  | 'hold-overflow'
  | 'hold-timeout'
  | 'unknown-pipe'

export class Counters {
  readonly #counts = new Map<CounterName, number>()

  count(name: CounterName): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
  }

  /** Every counter that is not zero. */
  snapshot(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts)
  }
}
