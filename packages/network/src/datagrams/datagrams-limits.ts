/** What the secure datagrams may hold, spend and wait for. Each is an option; `spec/datagrams.md` lists them. */
export interface DatagramsLimits {
  /** Sessions whose other end has proven its address; the least recently used makes room. At most 30,000. */
  readonly sessionsMax: number
  /** Of these, those of one /24 (IPv4) or /48 (IPv6), loopback excepted: its own least recently used makes room. */
  readonly prefixSessionsMax: number
  /** Sessions whose initiator has not proven its address; the least recently used makes room. At most 30,000. */
  readonly unprovenMax: number
  /** Own handshakes under way; the oldest makes room. */
  readonly pendingMax: number
  /** Payloads waiting for one own handshake. */
  readonly queuedMax: number
  /** Handshakes of others whose answer the layer above still owes; the oldest is answered empty. */
  readonly owedMax: number
  /** From an initiation to its repetition. */
  readonly repeatMs: number
  /** Repetitions of one initiation. */
  readonly repeatsMax: number
  /** A session no older than this is sent on; the next payload makes another. */
  readonly sessionMs: number
  /** How much longer a session is received on, and answered on. */
  readonly graceMs: number
  /** Datagrams sent on one session. At most 2^53 - 1. */
  readonly messagesMax: number
  /** A session unused for so long is forgotten. */
  readonly idleMs: number
  /** Ephemeral keys of others remembered against replays: at least so many, at most twice. */
  readonly replaysMax: number
  /** Responses kept for an initiation that comes again, and for how long. */
  readonly responsesMax: number
  readonly responseMs: number
  /** Handshakes a second, and at once, that are answered without a cookie. */
  readonly handshakesPerSecond: number
  readonly handshakesBurst: number
  /** The same for those that bring a valid cookie: spoofers cannot spend it. */
  readonly cookieHandshakesPerSecond: number
  readonly cookieHandshakesBurst: number
  /** Of one /24 (IPv4) or /48 (IPv6), with and without cookie; loopback is excepted. */
  readonly prefixHandshakesPerSecond: number
  readonly prefixHandshakesBurst: number
  /** Payloads of sessions that one /24 or /48 may bring, a second and at once; loopback is excepted. */
  readonly prefixMessagesPerSecond: number
  readonly prefixMessagesBurst: number
  /** Networks whose share is counted; the longest known makes room. */
  readonly prefixesMax: number
  /** A cookie is valid for this long at least, twice at most. */
  readonly cookieMs: number
  /** "No such session" told, a second and at once. */
  readonly hintsPerSecond: number
  readonly hintsBurst: number
  /** Between two hints believed on one session. */
  readonly hintEveryMs: number
  /** Payloads without any sign of life since, sent again after a hint; and how old they may be. */
  readonly unansweredMax: number
  readonly unansweredMs: number
}

export const defaultDatagramsLimits: DatagramsLimits = {
  // Issue 3: a bounded LRU; ≈ 250 bytes each (spec/datagrams "Memory").
  sessionsMax: 1_024,
  // Guess: a quarter, which is more than one prefix has in a routing table (two a bucket).
  prefixSessionsMax: 256,
  // Guess: a session is proven by the next request, mostly within a round trip.
  unprovenMax: 256,
  // Guess: three lookups of eight paths each, with room; ≈ 4 KB each.
  pendingMax: 256,
  // As the engine's operationsMax: after a start all of them may begin with the same cold contact.
  queuedMax: 64,
  // Guess: one batch of the host's sockets.
  owedMax: 64,
  // RFC 6298 §2.1: the first retransmission after a second.
  repeatMs: 1_000,
  repeatsMax: 1,
  sessionMs: 3_600_000,
  // Guess: far above any round trip and queue.
  graceMs: 60_000,
  messagesMax: 2 ** 32,
  // Guess: contacts of a lookup are asked again within minutes or not at all.
  idleMs: 600_000,
  // Guess: two seconds of the whole budget.
  replaysMax: 1_024,
  responsesMax: 64,
  // Above the time of a repetition.
  responseMs: 3_000,
  // Own choice: ≈ 0.25 ms each (docs/decisions/0021), so an eighth of one core.
  handshakesPerSecond: 500,
  handshakesBurst: 500,
  cookieHandshakesPerSecond: 500,
  cookieHandshakesBurst: 500,
  // Guess: a household or an office behind one prefix.
  prefixHandshakesPerSecond: 50,
  prefixHandshakesBurst: 100,
  // Guess: far above what twenty contacts answer a busy node; at ≈ 50 µs an answer, a twentieth of one core.
  prefixMessagesPerSecond: 1_000,
  prefixMessagesBurst: 2_000,
  prefixesMax: 4_096,
  // WireGuard §5.4.7: a secret of two minutes.
  cookieMs: 120_000,
  // Guesses: after a restart each neighbour needs one.
  hintsPerSecond: 100,
  hintsBurst: 200,
  hintEveryMs: 5_000,
  unansweredMax: 4,
  unansweredMs: 5_000,
}
