import { defaultLinkLimits, type LinkLimits } from '../link-limits.ts'

/** What the client of mailboxes may keep, wait for and send. Each is an option; `spec/mailbox.md` lists them. */
export interface MailboxesLimits {
  /** Mailboxes at which a box is wanted at a time; those kept before come on top. */
  readonly boxesMax: number
  /** Mailboxes of the list that are looked at; those behind are ignored. */
  readonly wantedMax: number
  /** A mailbox that never kept a box of ours, or one that did, no longer keeps the next of the list waiting after it. */
  readonly patienceMs: number
  readonly keptPatienceMs: number
  /** From the dial to the open pipe, straight and through a relay, and from a request to its answer. */
  readonly openTimeoutMs: number
  readonly relayedOpenTimeoutMs: number
  readonly answerTimeoutMs: number
  /** First wait before an own mailbox is dialled again; it doubles with every failure. */
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
  /** Share of a wait that is drawn by lot, in [0, 1]: ± half of it. */
  readonly backoffJitter: number
  /** Longest wait where only the relay to go through is missing. */
  readonly relayWaitMaxMs: number
  /** A registration that stood so long clears the failures before it, and is made again within `redialSpreadMs`. */
  readonly steadyAfterMs: number
  readonly redialSpreadMs: number
  /** After a change of the network a link has max(4 × round trip, this) to answer. */
  readonly doubtMs: number
  /** Envelopes handed on and not acknowledged, and their bytes (one envelope at least), that a mailbox may have. */
  readonly envelopesMax: number
  readonly envelopeBytesMax: number
  /** Acknowledgements are gathered for so long, or until half of the window waits for them. */
  readonly acknowledgeMs: number
  /** Between two questions for the stock of a box; and after envelopes or acknowledgements have changed it. */
  readonly stockMs: number
  readonly stockSoonMs: number
  /** Supply messages that a mailbox has not answered yet. */
  readonly suppliesMax: number
  /** Faults of a mailbox on one link (garbage, answers to nothing) before it is given up. */
  readonly faultsMax: number
  /** Links for deposits at a time; more boxes wait. */
  readonly depositLinksMax: number
  /** A deposit link that nobody uses is closed after it. */
  readonly idleMs: number
  /** Requests, and their bytes (one request at least), under way on one deposit link. */
  readonly askedMax: number
  readonly askedBytesMax: number
  /** Bytes of all jobs that are not answered; each counts `jobSizeMin` at least. More are refused as `busy`. */
  readonly queuedBytesMax: number
  readonly jobSizeMin: number
  /** A job that was not sent within it is refused as `busy`. */
  readonly queueTimeoutMs: number
  /** A mailbox that answered `busy` is sent nothing more for so long. */
  readonly busyPauseMs: number
  /** Times that one job is sent: a lost link may have lost the answer only. */
  readonly attemptsMax: number
  /** Boxes that one `fetch-bundle` tries. */
  readonly bundleBoxesMax: number
  /** Longest time for which a mailbox is believed to keep something. */
  readonly holdMaxMs: number
}

export const defaultMailboxesLimits: MailboxesLimits = {
  // Issue 5: senders write to at least two; one may die.
  boxesMax: 3,
  // Own choice: 8 each of the configuration, of those a person added, and of those kept before.
  wantedMax: 24,
  // Guesses: a restart takes seconds; another box has to be told to every contact.
  patienceMs: 60_000,
  keptPatienceMs: 3_600_000,
  // As `NetworkLimits.openTimeoutMs`.
  openTimeoutMs: 10_000,
  // As `CircuitsLimits.serviceDialTimeoutMs`: a relay or two are asked, and dial.
  relayedOpenTimeoutMs: 20_000,
  // Guess: a group on a slow disk, a large deposit over a slow uplink and two hops.
  answerTimeoutMs: 20_000,
  // As `NetworkLimits`.
  backoffMinMs: 1_000,
  backoffMaxMs: 300_000,
  backoffJitter: 0.5,
  // Own choice: such a try costs no packet.
  relayWaitMaxMs: 5_000,
  // As `CircuitsLimits`.
  steadyAfterMs: 10_000,
  redialSpreadMs: 200,
  // Guess: four round trips over a slow network.
  doubtMs: 2_000,
  // The window of the service (spec/mailbox).
  envelopesMax: 256,
  envelopeBytesMax: 524_288,
  // Own choice: one signature for what a group of the store holds; no person waits for it.
  acknowledgeMs: 50,
  // Guess: bundles that others took are missed after it at the latest.
  stockMs: 600_000,
  // Own choice: one question for a burst; tokens of contacts last longer.
  stockSoonMs: 1_000,
  // Own choice: a whole supply (16 messages of tokens, 32 of bundles) in a few round trips.
  suppliesMax: 16,
  // As `CircuitsLimits`: a bug shows itself in fewer.
  faultsMax: 16,
  // Own choice: ≈ 100 KB each.
  depositLinksMax: 8,
  // Own choice: a burst of messages uses one link, and two bursts cannot be told to be of one sender.
  idleMs: 3_000,
  // Own choices: as the window of envelopes, 64 × a small message.
  askedMax: 64,
  askedBytesMax: 524_288,
  // Own choice: 128 of the largest deposits.
  queuedBytesMax: 8_388_608,
  // Guess: what a job costs beside its bytes.
  jobSizeMin: 256,
  // Guess: three times a mailbox that does not answer; who asked tries again by its own plan.
  queueTimeoutMs: 60_000,
  // Guess: the service gives some hundred requests a second.
  busyPauseMs: 1_000,
  // Own choice.
  attemptsMax: 2,
  // Own choice: more boxes than anybody keeps.
  bundleBoxesMax: 8,
  // Issue 5: up to 7 days.
  holdMaxMs: 604_800_000,
}

/** Links with mailboxes carry little: what is unanswered is asked about a little later than between devices. */
export const defaultMailboxLinkLimits: LinkLimits = { ...defaultLinkLimits, probeMs: 3_000 }
