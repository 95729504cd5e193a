import { sealedBundleSizeMax } from '@miaou/protocol'

/** What a queue keeps for the boxes of a mailbox, and for how long. spec/mailbox.md lists them. */
export interface QueueLimits {
  readonly boxesMax: number
  /** Of all boxes: envelopes, bundles, and `tokenCost` for each token. */
  readonly bytesMax: number
  /** Envelopes of one box, and their bytes. */
  readonly boxEnvelopesMax: number
  readonly boxBytesMax: number
  /** Envelopes of one box that no token paid for, and their bytes. */
  readonly strangersMax: number
  readonly strangersBytesMax: number
  /** Tokens of one box that nobody has used yet. */
  readonly tokensMax: number
  /** Used tokens remembered for one box; those of envelopes taken are forgotten first, the oldest first. */
  readonly spentMax: number
  /** What a token counts for in `bytesMax`, used or not. */
  readonly tokenCost: number
  readonly oneTimeBundlesMax: number
  /** Bytes of one bundle. */
  readonly bundleBytesMax: number
  /** Bundles given away whose digests are remembered for a box, so that none is taken in again. */
  readonly givenMax: number
  readonly envelopeLifeMs: number
  /** A box whose owner did not come for so long is deleted with all that is in it. */
  readonly boxLifeMs: number
  /** How far the clock of the queue goes forward at one `expire`: a wall clock that jumped cannot empty it. */
  readonly clockStepMs: number
  /** Deadlines further ahead than so many lives were set by a clock that was wrong: `expire` sets them to one life. */
  readonly livesAheadMax: number
  /** What one `expire` deletes at most. */
  readonly expireEnvelopesMax: number
  readonly expireBoxesMax: number
}

const dayMs = 86_400_000

export const defaultQueueLimits: QueueLimits = {
  // Guess: four times the links that a small machine holds at once.
  boxesMax: 16_384,
  // Guess: what a small rented machine can spare.
  bytesMax: 4 * 1024 ** 3,
  // Own choice: as many as there are tokens.
  boxEnvelopesMax: 16_384,
  // Own choice: a thousand envelopes of the largest size.
  boxBytesMax: 64 * 1024 ** 2,
  // Guess: a first message with its attachments of keys, from a few people in a week.
  strangersMax: 16,
  strangersBytesMax: 256 * 1024,
  // Own choice: 64 for each of 256 devices of contacts.
  tokensMax: 16_384,
  // Own choice: two lives of a full box.
  spentMax: 32_768,
  // Measured: what a row and its place in the index take.
  tokenCost: 64,
  // Own choice: twice what an owner keeps there.
  oneTimeBundlesMax: 64,
  bundleBytesMax: sealedBundleSizeMax,
  // Own choice: four times the bundles that can wait.
  givenMax: 256,
  // DECISIONS, "Messaging".
  envelopeLifeMs: 7 * dayMs,
  // Own choice: longer than a holiday.
  boxLifeMs: 30 * dayMs,
  // Own choice: six times the interval of `expire`: a service that was off for a week has caught up in 28 hours.
  clockStepMs: 360_000,
  // Own choice: above a jump of some days, which must cost nothing.
  livesAheadMax: 4,
  // Guesses: some 100 ms of work.
  expireEnvelopesMax: 4_096,
  expireBoxesMax: 16,
}

/** What a queue holds now, in all. */
export interface QueueTotals {
  readonly boxes: number
  readonly envelopes: number
  /** Envelopes, bundles and tokens, as `bytesMax` counts them. */
  readonly bytes: number
}

/**
 * The clock by which things are deleted: it never goes back, and forward only by a step at a time. Undefined before the
 * first `expire` of a new queue. Wall-clock ms.
 */
export function nextQueueClock(clock: number | undefined, at: number, { clockStepMs }: QueueLimits): number {
  return clock === undefined ? at : Math.max(clock, Math.min(at, clock + clockStepMs))
}

/** When what is accepted at `at` is over: by whichever of the two clocks says later. */
export function queueDeadline(clock: number | undefined, at: number, lifeMs: number): number {
  return Math.max(clock ?? at, at) + lifeMs
}
