/** What one link may wait for, keep and send. Each is an option of the engine; `spec/links.md` lists them. */
export interface LinkLimits {
  /** From the opened pipe to the finished handshake. */
  readonly handshakeTimeoutMs: number
  /** A handshake message above it is refused unread. */
  readonly handshakeBytesMax: number
  /** Nothing heard for so long: a ping. */
  readonly keepAliveIdleMs: number
  /** Something sent and nothing heard for max(`probeRttFactor` × round trip, `probeMs`): a ping at once. */
  readonly probeMs: number
  readonly probeRttFactor: number
  /** The interval between probes doubles up to this. */
  readonly probeIntervalMaxMs: number
  /** So long after the first unanswered frame, and after `probesMin` unanswered probes, the link is `silent`. */
  readonly silentMs: number
  readonly probesMin: number
  /** So many refused pipe messages and the link closes with `protocol-error`. */
  readonly badMessagesMax: number
  /** A link that has sent so many messages on one channel closes and is dialled anew. */
  readonly sequenceMax: number
  /** Of the unordered channel. */
  readonly replayWindow: number
  /** Fragments sent and not yet answered: what a small frame may have to wait behind. */
  readonly fragmentsInFlightMax: number
  /** Payloads above a fragment's size that wait for their turn; more are refused. */
  readonly bulkBytesMax: number
  /** Unanswered pings remembered; the oldest is forgotten. */
  readonly pingsMax: number
}

export const defaultLinkLimits: LinkLimits = {
  // Guess: a handshake is two round trips and 2 ms of computing; 10 s pass over a bad mobile network.
  handshakeTimeoutMs: 10_000,
  // The padding bucket above the largest handshake message of the protocol (8 KiB).
  handshakeBytesMax: 16_384,
  // Issue 2, "Links": keep-alive 30 s when idle.
  keepAliveIdleMs: 30_000,
  // Issue 2, "Links": fast probing of unanswered frames, max(4 × RTT, 500 ms).
  probeMs: 500,
  probeRttFactor: 4,
  // Guess: four probes fall into the 10 s.
  probeIntervalMaxMs: 3_000,
  // Guess: long enough for a Wi-Fi roaming, short enough that a person still waits.
  silentMs: 10_000,
  probesMin: 3,
  // Guess: a bit error behind TCP or DTLS is rare; 64 mean a broken or hostile pipe.
  badMessagesMax: 64,
  // Own choice: 2^48 messages last 2,900 years at 3,000/s and are far from 2^53, where numbers stop counting.
  sequenceMax: 2 ** 48,
  // DECISIONS, "Frames".
  replayWindow: 1_024,
  // Guess: 192 KiB in flight, 4 MiB/s at a round trip of 50 ms, and 25 ms of waiting for a small frame at 60 Mbit/s.
  fragmentsInFlightMax: 4,
  // Guess: eight messages of the largest size.
  bulkBytesMax: 8 * 1024 * 1024,
  pingsMax: 64,
}

/**
 * DECISIONS, "Frames": sizes to which the messages of a pipe that shows its sizes are padded. 49,408 (own choice) holds
 * a fragment of 48 KiB, of which files consist: in the bucket of 64 KiB a quarter of what travels would be zeros.
 */
export const paddingBuckets: readonly number[] = [256, 1_024, 4_096, 16_384, 49_408, 65_536]

/**
 * The smallest bucket that holds `size` bytes and the `reserved` ones that come around them, less these; `size` itself
 * above the largest.
 */
export function bucketSize(size: number, reserved = 0): number {
  const bucket = paddingBuckets.find((bucket) => bucket >= size + reserved)
  return bucket === undefined ? size : bucket - reserved
}
