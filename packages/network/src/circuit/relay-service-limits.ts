import { circuitWindowSize, measureBytesMax, pipeMessageSizeMax } from '@miaou/protocol'

/** What a relay gives, keeps and waits for. Each is an option of the engine; spec/relay-service.md lists them. */
export interface RelayLimits {
  /** Links, handshakes included. */
  readonly clientsMax: number
  /** Links of one address group: an IPv4 address or an IPv6 /64. */
  readonly clientsPerGroupMax: number
  /** Links that show the same pseudonym; the oldest makes room. */
  readonly linksPerClientMax: number
  /** Links in their handshake; the oldest makes room. */
  readonly handshakesMax: number
  readonly reservationsMax: number
  readonly reservationsPerGroupMax: number
  /** A reservation that is not asked for again within this time ends. */
  readonly reservationMs: number
  readonly circuitsMax: number
  /** Circuits of one link, those that came in and those that it opened. */
  readonly circuitsPerClientMax: number
  readonly circuitsPerGroupMax: number
  /** Circuits from one address group to one reservation. */
  readonly circuitsPerPairMax: number
  /** Un-credited bytes of a circuit in one direction. */
  readonly windowSize: number
  /** Bytes a second, sent into one circuit by either end; 0: no limit. */
  readonly circuitBytesPerSecond: number
  /** Bytes a second that one link sends into circuits; 0: no limit. */
  readonly clientBytesPerSecond: number
  /** Bytes a second passed on in all; 0: no limit. */
  readonly bytesPerSecond: number
  /** Bytes a day that one address group sends into circuits; 0: no limit. */
  readonly groupBytesPerDay: number
  /** Bytes a day passed on in all; 0: no limit. */
  readonly bytesPerDay: number
  readonly dayMs: number
  /** Address groups whose bytes of the day are remembered; the one that is gone longest is forgotten. */
  readonly groupsMax: number
  /** What a circuit may send at a time, before the next one's turn. */
  readonly quantum: number
  /** Bytes handed to a pipe that has not said since that it is drained; more waits here, where it is shared out. */
  readonly unsentMax: number
  /** A link that leaves so many bytes of answers unread is cut. */
  readonly unsentCutMax: number
  /** Bytes that wait here in all: beyond it a circuit above the average is closed, beyond twice as much any. */
  readonly queuedBytesMax: number
  /** A circuit on which nobody has sent within this time is closed. */
  readonly unusedMs: number
  /** A circuit on which nothing was sent for so long is closed. */
  readonly idleMs: number
  /** A link without reservation and circuit is closed after this time. */
  readonly uselessMs: number
  /** Messages of a client that ask for something: so many at once, then so many a second. */
  readonly messagesBurst: number
  readonly messagesPerSecond: number
  /** Bytes of filler that one measurement may ask for; 0: none is offered. */
  readonly measureBytesMax: number
  /** Time between two measurements of one link. */
  readonly measureIntervalMs: number
  /** Ways to services at a time, those that are being dialled included; 0: none is offered. */
  readonly servicesMax: number
  readonly servicesPerClientMax: number
  readonly servicesPerGroupMax: number
  /** Services being dialled at a time: in all, for one address group, and at one host. */
  readonly serviceDialsMax: number
  readonly serviceDialsPerGroupMax: number
  readonly serviceDialsPerHostMax: number
  /** Dials of services for one address group: so many at once, then so many a minute. */
  readonly serviceDialsBurst: number
  readonly serviceDialsPerMinute: number
  /** The same in all, and a second. */
  readonly serviceDialsTotalBurst: number
  readonly serviceDialsPerSecond: number
  /** A service that has not answered within this time is unreachable. */
  readonly serviceDialMs: number
  /** Largest message to and from a service, put together from its chunks. */
  readonly serviceMessageSizeMax: number
  /** Bytes of a service that wait for its client; more close the way. */
  readonly serviceQueuedBytesMax: number
  /** What a client that is gone has left for a service may take so long to be read. */
  readonly serviceCloseMs: number
  /** So many bad messages and the link is closed. */
  readonly badMessagesMax: number
  /** How often timers are looked at, at most. */
  readonly sweepMs: number
}

export const defaultRelayLimits: RelayLimits = {
  // Own choice: all who may hold a reservation, and half as many who only call.
  clientsMax: 6_144,
  // Guess: behind one address of a carrier's NAT there are hundreds of homes (RFC 6888, RFC 7021).
  clientsPerGroupMax: 1_024,
  // Own choice: a link that died unnoticed, the one that took over, and one more.
  linksPerClientMax: 3,
  // Guess: as many handshakes as one core makes in a tenth of a second.
  handshakesMax: 256,
  // Guess: the friends of a person's friends, and far below what a small machine holds (docs/decisions/0030).
  reservationsMax: 4_096,
  reservationsPerGroupMax: 512,
  // Guess: the link itself is watched in seconds; this ends what a client has forgotten.
  reservationMs: 3_600_000,
  circuitsMax: 4_096,
  // Guess: who is called by everybody he knows at once.
  circuitsPerClientMax: 256,
  circuitsPerGroupMax: 1_024,
  // Guess: a household of callers; a stranger cannot use up the circuits of who is called.
  circuitsPerPairMax: 8,
  windowSize: circuitWindowSize,
  // Own choice: 100 and 200 Mbit/s, above most homes and below what one core passes on.
  circuitBytesPerSecond: 12_500_000,
  clientBytesPerSecond: 25_000_000,
  bytesPerSecond: 0,
  // Guess: what small rented machines include is 1 to 20 TB a month.
  groupBytesPerDay: 20_000_000_000,
  bytesPerDay: 200_000_000_000,
  dayMs: 86_400_000,
  // Own choice: some 2 MB.
  groupsMax: 16_384,
  // Own choice: a small chunk, so that each turn sends one; a full one has saved up for it after four.
  quantum: 16_384,
  // Own choice: two full chunks or eight small ones, so that a turn of the event loop fills a fast socket.
  unsentMax: 131_072,
  unsentCutMax: 1_048_576,
  // Own choice: a machine of 512 MB goes on.
  queuedBytesMax: 134_217_728,
  // Guess: twice the handshake of a link.
  unusedMs: 20_000,
  // Own choice: both ends ping every 30 s.
  idleMs: 180_000,
  // Guess: longer than it takes to call somebody, and to be called back.
  uselessMs: 60_000,
  // Guesses: a client asks for a few circuits at once when it starts.
  messagesBurst: 64,
  messagesPerSecond: 16,
  measureBytesMax,
  // Guess.
  measureIntervalMs: 5_000,
  // Guess: a quarter of the circuits; each is a socket of its own.
  servicesMax: 1_024,
  // Own choice: three boxes, eight deposits at once, and those just being closed.
  servicesPerClientMax: 16,
  // Guess: as behind `clientsPerGroupMax`, where few write at the same time.
  servicesPerGroupMax: 256,
  // Guesses: names are resolved by four threads, and nobody's silent host keeps the others waiting.
  serviceDialsMax: 64,
  serviceDialsPerGroupMax: 16,
  serviceDialsPerHostMax: 16,
  // Guesses: a person who comes back writes to all contacts; who tries out addresses gets four a second.
  serviceDialsBurst: 64,
  serviceDialsPerMinute: 240,
  serviceDialsTotalBurst: 512,
  serviceDialsPerSecond: 128,
  // Guess: three round trips of TCP and TLS, over a slow network.
  serviceDialMs: 5_000,
  // DECISIONS, "Sizes".
  serviceMessageSizeMax: pipeMessageSizeMax,
  // Own choice: twice what a mailbox sends before it is acknowledged (spec/mailbox).
  serviceQueuedBytesMax: 1_048_576,
  // As the sockets' `closeTimeoutMs`.
  serviceCloseMs: 5_000,
  badMessagesMax: 16,
  // Own choice: timers here are tenths of seconds and more.
  sweepMs: 100,
}
