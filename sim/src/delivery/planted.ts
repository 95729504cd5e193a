/** Faults that a checker must find: each is what a mistake in the engine or its caller would do. */
export const plantedFaults = [
  /** Outputs leave although their transaction failed. */
  'release-before-commit',
  /** Memory is kept over a failed transaction. */
  'no-rollback',
  /** A text that comes again is stored again. */
  'no-dedupe',
  /** A receipt is given for what was not stored. */
  'receipt-without-store',
  /** What was sent counts as delivered. */
  'sent-is-delivered',
  /** What a mailbox holds counts as delivered. */
  'held-is-delivered',
  /** What mailboxes lost is believed to be there for ever. */
  'never-unheld',
  /** What waits is not looked at again. */
  'forget-queue',
  /** No text names the one that it follows. */
  'no-order',
  /** A message is given up without a word. */
  'silent-drop',
  /** Events pile up. */
  'unbounded-events',
  /** Digests of opened messages pile up. */
  'unbounded-digests',
  /** A notice a message. */
  'noisy',
] as const

export type PlantedFault = (typeof plantedFaults)[number]
