import { mailboxWindow } from '@miaou/protocol'

/** What a mailbox gives, keeps in memory and waits for. Each is an option of the engine; spec/mailbox.md lists them. */
export interface MailboxServiceLimits {
  /** Links, handshakes included. */
  readonly clientsMax: number
  /** Links of one address group: an IPv4 address or an IPv6 /64. Behind one there may be a relay with all its clients. */
  readonly clientsPerGroupMax: number
  /** Links that show the same pseudonym; the oldest makes room. */
  readonly linksPerClientMax: number
  /** Links in their handshake; the oldest makes room. */
  readonly handshakesMax: number
  /** What a link asks: so much at once, then so much a second; a large message counts once more for each `costBytes`. */
  readonly requestsBurst: number
  readonly requestsPerSecond: number
  readonly costBytes: number
  /** The same for all links of an address group together. */
  readonly groupRequestsBurst: number
  readonly groupRequestsPerSecond: number
  /** Registrations of an address group. */
  readonly registrationsBurst: number
  readonly registrationsPerSecond: number
  /** Address groups without a link whose rates are remembered; the one that is gone longest is forgotten. */
  readonly groupsMax: number
  /** One-time bundles of one box: so many at once, then one each `bundleIntervalMs`; beyond it the last resort is given. */
  readonly bundlesBurst: number
  readonly bundleIntervalMs: number
  /** Boxes whose bundle rate is remembered; the one asked for longest ago is forgotten. */
  readonly bundleRatesMax: number
  /** Requests of one link that wait for the disk. */
  readonly askedMax: number
  /** What waits for the disk and is not under way, in all: more is answered `busy`. */
  readonly pendingMax: number
  readonly pendingBytesMax: number
  /** One group: the most operations, and bytes (one operation at least). */
  readonly groupOperationsMax: number
  readonly groupBytesMax: number
  /** Groups under way; behind the first, one begins only with `groupOperationsMin` operations. */
  readonly groupsUnderWayMax: number
  readonly groupOperationsMin: number
  /** Envelopes pushed and not acknowledged, and their bytes (one at least). */
  readonly windowEnvelopes: number
  readonly windowBytes: number
  /** Bytes handed to a pipe that has not said since that it is drained; envelopes wait on the disk then. */
  readonly unsentMax: number
  /** A link that leaves so many bytes unread is cut. */
  readonly unsentCutMax: number
  /** A link that neither keeps a box nor asked anything is closed after this time. */
  readonly uselessMs: number
  /** How often the queue is told to delete what is over. */
  readonly expireMs: number
  /** How often the queue is told that an owner is there who stays. */
  readonly touchMs: number
  /** After a failure of the disk: what must be done is tried again. */
  readonly retryMs: number
  /** So many bad messages and the link is closed; requests beyond the rates likewise. */
  readonly badMessagesMax: number
  readonly floodsMax: number
  /** How often timers are looked at, at most. */
  readonly sweepMs: number
}

export const defaultMailboxServiceLimits: MailboxServiceLimits = {
  // As a relay: what its sockets admit.
  clientsMax: 6_144,
  // As a relay.
  clientsPerGroupMax: 1_024,
  linksPerClientMax: 3,
  handshakesMax: 256,
  // Guesses: a burst of a thousand small messages to one box, then more than a person or a group chat writes.
  requestsBurst: 1_024,
  requestsPerSecond: 512,
  // Own choice: a quarter of the largest message.
  costBytes: 16_384,
  // Guess: a relay with hundreds of senders behind it.
  groupRequestsBurst: 8_192,
  groupRequestsPerSecond: 4_096,
  // Guesses: a relay that restarts brings all its clients at once; a box a second is 16,384 in five hours.
  registrationsBurst: 1_024,
  registrationsPerSecond: 1,
  // Own choice: some 2 MB.
  groupsMax: 8_192,
  // Own choice: who would use up 32 of them needs half an hour, within which the owner brings more.
  bundlesBurst: 8,
  bundleIntervalMs: 60_000,
  // Own choice: as many as there are boxes.
  bundleRatesMax: 16_384,
  // Own choice: four times what a client has under way.
  askedMax: 256,
  // Guesses: some seconds of a slow disk.
  pendingMax: 8_192,
  pendingBytesMax: 33_554_432,
  // Own choices: some 5 ms of a fast disk.
  groupOperationsMax: 256,
  groupBytesMax: 4_194_304,
  // Own choice: the thread of the queue has work while the answer to the last group is under way.
  groupsUnderWayMax: 2,
  groupOperationsMin: 32,
  // The client's own window.
  windowEnvelopes: mailboxWindow.envelopes,
  windowBytes: mailboxWindow.bytes,
  // Own choice: as much as a window.
  unsentMax: 524_288,
  // Own choice: what may be unsent before a window, the window, and as much of answers; half of what the socket keeps.
  unsentCutMax: 2_097_152,
  // Guess: longer than it takes to leave a message, and to come again.
  uselessMs: 60_000,
  // Own choice: a minute more or less of a week.
  expireMs: 60_000,
  // Own choice: a day more or less of thirty.
  touchMs: 86_400_000,
  // Guess.
  retryMs: 5_000,
  // As a relay.
  badMessagesMax: 16,
  // Guess: a client in good faith stops at the first `busy`.
  floodsMax: 256,
  // Own choice: timers here are tenths of seconds and more.
  sweepMs: 100,
}
