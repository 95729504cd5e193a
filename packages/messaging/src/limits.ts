import { deliveryTokenWindow, inviteTokensPerUse } from '@miaou/protocol'

const minuteMs = 60_000
const dayMs = 86_400_000

/** Bounds and times of the engine. What a peer can make grow has its bound here. */
export interface MessagingLimits {
  /** People kept, requests and blocked ones included. */
  readonly contactsMax: number
  /** Unanswered requests; further accounts are told to wait (receipt `request-pending`) and keep their message. */
  readonly requestsMax: number
  /** Accounts that opened a session without having written anything to show; the oldest goes. */
  readonly strangersMax: number
  /** Unused invites. */
  readonly invitesMax: number
  /** Milliseconds of wall clock an unused invite lives. */
  readonly inviteLifetimeMs: number
  /** Messages waiting for a receipt, over all contacts (command error `queue-full`). */
  readonly queuedMax: number
  /** Messages kept with one contact; the oldest go, a tenth at a time. */
  readonly historyMax: number
  /** Events kept for clients that resume. */
  readonly eventsMax: number
  /** Ids of removed messages kept so that a late duplicate is not shown again. */
  readonly tombstonesMax: number
  /** Messages on their way to one device without a receipt. */
  readonly windowCountMax: number
  /** Their text, bytes. */
  readonly windowBytesMax: number
  /** Waits before a direct send is repeated, ms (row G11). */
  readonly directRetriesMs: readonly number[]
  /** First step of the outbox's backoff, ms: step × 2^min(attempts, backoffAttemptsMax) ± backoffSpread (row G16). */
  readonly backoffStepMs: number
  readonly backoffAttemptsMax: number
  readonly backoffSpread: number
  /** Refusals of one message by one device before it is given up (row G13). */
  readonly refusalsMax: number
  /** Age at which a message is given up by its sender, ms (row G13). */
  readonly expiryMs: number
  /** Grace of the recipient beyond that age, ms. */
  readonly clockSkewMs: number
  /** Sessions kept with one device. */
  readonly sessionsMax: number
  /** Messages in a row that do not decrypt before a new session is started. */
  readonly failuresMax: number
  /** Least wait between two new sessions with a device, ms; doubles without success up to `restartWaitMsMax`. */
  readonly restartWaitMs: number
  readonly restartWaitMsMax: number
  /** Sessions a device may start at once, and ms until it may start one more. */
  readonly startsBurst: number
  readonly startRefillMs: number
  /** Prekey bundles a device may ask for at once, and ms until it may ask for one more. */
  readonly bundlesBurst: number
  readonly bundleRefillMs: number
  /** Announcements a device may send at once, and ms until it may send one more. */
  readonly announcementsBurst: number
  readonly announcementRefillMs: number
  /** Hellos a device may say at once, and ms until it may say one more. */
  readonly hellosBurst: number
  readonly helloRefillMs: number
  /** Typing and Status frames a device may send at once, and ms until it may send one more. */
  readonly fleetingBurst: number
  readonly fleetingRefillMs: number
  /** Devices whose rates are remembered. */
  readonly ratesMax: number
  /** Age at which the signed and the last-resort prekey are replaced, ms. */
  readonly prekeyRotationMs: number
  /** Age at which a prekey is deleted, ms: longer than any message with it can be on its way. */
  readonly prekeyLifetimeMs: number
  /** One-time prekeys that are given out and not used yet; without room a bundle carries none. */
  readonly oneTimePrekeysMax: number
  /** One-time prekeys laid in boxes and not used yet; without room boxes get the last-resort bundle alone. */
  readonly boxPrekeysMax: number
  /** One-time bundles that a box is filled up to, and the number below which it is filled up. */
  readonly boxBundlesMax: number
  readonly boxBundlesMin: number
  /** Age at which a sealing key is deleted, ms: what was sealed with it at its last has expired long before. */
  readonly sealingKeyLifetimeMs: number
  /** Hashes of delivery tokens in one box, over all contacts and invites. */
  readonly boxTokensMax: number
  /** Tokens ahead of the highest that a contact has used; fewer where there are many contacts. */
  readonly tokensAhead: number
  /** Tokens of one use of an invite. */
  readonly tokensPerInviteUse: number
  /** Wait after a supply before the box's stock is held against it, ms: it is on its way. */
  readonly supplyWaitMs: number
  /** Unlinked strangers whose first message a mailbox brings, at once, and ms until one more. */
  readonly mailStrangersBurst: number
  readonly mailStrangerRefillMs: number
  /** Texts of one contact that wait for an earlier one, and their bytes. */
  readonly waitingTextsMax: number
  readonly waitingBytesMax: number
  /** Wait before an earlier text is asked for, ms; doubles up to `missingWaitMsMax`. */
  readonly missingWaitMs: number
  readonly missingWaitMsMax: number
  /** Running time after which a text is shown although an earlier one is missing, ms. */
  readonly waitingMsMax: number
  /** Digests of opened messages, by which a repeated one is told from one of a copied sender. */
  readonly seenMessagesMax: number
  /** UTF-8 bytes of a stranger's first text. */
  readonly requestTextSizeMax: number
  /** Wait without a link before messages are left in mailboxes, ms; after a start and after a link that ended. */
  readonly depositAfterStartMs: number
  readonly depositAfterMs: number
  /** Mailboxes that shall hold each message, where the recipient names as many. */
  readonly copiesMin: number
  /** Deposits without an answer: to one device, to all, and their bytes. */
  readonly depositsPerDeviceMax: number
  readonly depositsMax: number
  readonly depositBytesMax: number
  /** Questions for prekey bundles without an answer, to all devices together. */
  readonly bundleFetchesMax: number
  /** Wait for the answer to a deposit or to a question for a bundle, before it counts as none, ms. */
  readonly answerWaitMs: number
  /** Wait in which receipts for one device are gathered before they are left in a mailbox, ms. */
  readonly receiptGatherMs: number
  /** Receipts kept for one device that is not linked; the sender of the others sends again. */
  readonly owedReceiptsMax: number
  /** Age at which a sealing key is asked for again, and at which it is used no more, ms. */
  readonly sealingKeyFreshMs: number
  readonly sealingKeyUsableMs: number
  /** Wait for a receipt of what was taken from a mailbox, before it is left there again, ms. */
  readonly takenWaitMs: number
  /** Ids of sessions that began without one-time prekeys, remembered against replay (PQXDH §4.2). */
  readonly sessionStartsMax: number
  /** Older starts that a device may show at once, and ms until one more is taken up: each costs a session. */
  readonly staleStartsBurst: number
  readonly staleStartRefillMs: number
  /** Times at once that this device is told to be a copy, by contacts and by mailboxes each, and ms until one more. */
  readonly copiesBurst: number
  readonly copyRefillMs: number
  /** By how much a mailbox, which proves nothing, makes the counter of starts leap at most. */
  readonly startLeapMax: number
  /** First wait for an answer to a query, ms; doubles up to `queryWaitMsMax`. */
  readonly queryWaitMs: number
  readonly queryWaitMsMax: number
}

/**
 * From the rows: directRetriesMs (G11), backoff (G16), refusalsMax, expiryMs (G13); from DECISIONS: clockSkewMs,
 * backoffSpread, tokensAhead. Own choices, guesses as to the value: all others; windowCountMax is what one receipt can cover.
 */
export const defaultMessagingLimits: MessagingLimits = {
  contactsMax: 10_000,
  requestsMax: 64,
  strangersMax: 256,
  invitesMax: 256,
  inviteLifetimeMs: 30 * dayMs,
  queuedMax: 100_000,
  historyMax: 1_000_000,
  eventsMax: 10_000,
  tombstonesMax: 10_000,
  windowCountMax: 512,
  windowBytesMax: 1_048_576,
  directRetriesMs: [1000, 2000, 3000],
  backoffStepMs: minuteMs,
  backoffAttemptsMax: 8,
  backoffSpread: 0.2,
  refusalsMax: 10,
  expiryMs: 7 * dayMs,
  clockSkewMs: 5 * minuteMs,
  sessionsMax: 8,
  failuresMax: 2,
  restartWaitMs: 10_000,
  restartWaitMsMax: 10 * minuteMs,
  startsBurst: 8,
  startRefillMs: 15_000,
  bundlesBurst: 8,
  bundleRefillMs: 15_000,
  announcementsBurst: 8,
  announcementRefillMs: 1000,
  hellosBurst: 8,
  helloRefillMs: 10_000,
  fleetingBurst: 16,
  fleetingRefillMs: 250,
  ratesMax: 1024,
  prekeyRotationMs: 7 * dayMs,
  prekeyLifetimeMs: 21 * dayMs,
  oneTimePrekeysMax: 512,
  boxPrekeysMax: 2048,
  boxBundlesMax: 32,
  boxBundlesMin: 16,
  sealingKeyLifetimeMs: 28 * dayMs,
  boxTokensMax: 16_384,
  tokensAhead: deliveryTokenWindow,
  tokensPerInviteUse: inviteTokensPerUse,
  supplyWaitMs: 30_000,
  mailStrangersBurst: 64,
  mailStrangerRefillMs: 1000,
  waitingTextsMax: 1000,
  waitingBytesMax: 4_194_304,
  missingWaitMs: 5000,
  missingWaitMsMax: 10 * minuteMs,
  waitingMsMax: dayMs,
  seenMessagesMax: 10_000,
  requestTextSizeMax: 2048,
  depositAfterStartMs: 5000,
  depositAfterMs: 2000,
  copiesMin: 2,
  depositsPerDeviceMax: 4,
  depositsMax: 64,
  depositBytesMax: 4_194_304,
  bundleFetchesMax: 64,
  answerWaitMs: 5 * minuteMs,
  receiptGatherMs: 1000,
  owedReceiptsMax: 1024,
  sealingKeyFreshMs: 14 * dayMs,
  sealingKeyUsableMs: 27 * dayMs,
  takenWaitMs: 60 * minuteMs,
  sessionStartsMax: 4096,
  staleStartsBurst: 8,
  staleStartRefillMs: minuteMs,
  copiesBurst: 3,
  copyRefillMs: 10 * minuteMs,
  startLeapMax: 65_536,
  queryWaitMs: 2000,
  queryWaitMsMax: minuteMs,
}
