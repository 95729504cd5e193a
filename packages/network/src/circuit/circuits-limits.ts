import { pipeMessageSizeMax } from '@miaou/protocol'
import { defaultLinkLimits, type LinkLimits } from '../link-limits.ts'

/** What the client of relays may keep, wait for and send. Each is an option; `spec/circuits.md` lists them. */
export interface CircuitsLimits {
  /** Relays at which a reservation is kept at a time. */
  readonly reservationsMax: number
  /** Relays wanted; those behind are ignored. */
  readonly wantedMax: number
  /** Relays known at a time, wanted or named by a circuit address; an idle one makes room. */
  readonly relaysMax: number
  /** URLs tried for one relay. */
  readonly urlsMax: number
  /** Circuits of one relay, and in all, both directions; more are refused. */
  readonly circuitsPerRelayMax: number
  readonly circuitsMax: number
  /** Circuits of others that one relay may announce at once, and a minute; more are refused. */
  readonly incomingBurst: number
  readonly incomingPerMinute: number
  /** Bytes that wait to be sent on one circuit; more break it. */
  readonly queuedBytesMax: number
  /** Most un-credited bytes on one circuit, whatever the relay allows. */
  readonly windowMax: number
  /** Largest message of a circuit, put together from its chunks. */
  readonly messageSizeMax: number
  /** Share of the window that is owed before credit is given. */
  readonly creditShare: number
  /** Full chunks are sent where one passes within this time, small ones elsewhere: what others may have to wait. */
  readonly fullChunkMs: number
  /** From the dial to the open pipe of a relay. */
  readonly openTimeoutMs: number
  /** From the dial of a circuit to its opening. */
  readonly dialTimeoutMs: number
  /** From a request to the relay's answer. */
  readonly answerTimeoutMs: number
  /** From the request for a service to the relay's answer; then another relay is asked. */
  readonly serviceAnswerTimeoutMs: number
  /** From the dial of a service to its opening, through whichever relay. */
  readonly serviceDialTimeoutMs: number
  /** How long a circuit that was closed may still send what waited. */
  readonly closeTimeoutMs: number
  /** A link with a relay that nobody uses is closed after it. */
  readonly idleMs: number
  /** First wait before a relay is dialled again; it doubles with every failure. */
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
  /** Share of a wait that is drawn by lot, in [0, 1]: ± half of it. */
  readonly backoffJitter: number
  /** A link that stood so long clears the failures before it, and is dialled again within `redialSpreadMs`. */
  readonly steadyAfterMs: number
  readonly redialSpreadMs: number
  /** A relay that has not answered for so long no longer keeps the next of the list waiting. */
  readonly patienceMs: number
  /** A reservation is listed for so long after its link was lost. */
  readonly reservationGraceMs: number
  /** Bounds of what a relay says about the life of a reservation, ms. */
  readonly reservationMinMs: number
  readonly reservationMaxMs: number
  /** Longest wait that a refusal can ask for. */
  readonly retryMaxMs: number
  /** The first unanswered frame is older than max(`suspectRttFactor` × round trip, `suspectMs`): the link is suspect. */
  readonly suspectMs: number
  readonly suspectRttFactor: number
  /** So long after that, with a ping unanswered as long, the link is given up. */
  readonly silentGraceMs: number
  /** Each un-credited byte of ours puts both off, at so many bytes a second. */
  readonly slowBytesPerSecond: number
  /** Between two second links that are tried beside a suspect one. */
  readonly challengeMs: number
  /** Faults of a relay on one link (garbage, answers to nothing) before it is given up. */
  readonly faultsMax: number
  /** Filler asked for and sent to measure, bytes, and how long it may take each way. */
  readonly measureBytes: number
  readonly measureTimeoutMs: number
}

export const defaultCircuitsLimits: CircuitsLimits = {
  // Own choice: one may die and another be slow.
  reservationsMax: 3,
  // Own choice: the configuration has 8, contacts and the overlay name others.
  wantedMax: 16,
  // Guess: contacts use few relays, ≈ 20 KB each.
  relaysMax: 32,
  // Own choice: the wanted URL and two that addresses of contacts name.
  urlsMax: 3,
  // Guess: one for each contact that cannot be reached otherwise; 16 MiB of windows.
  circuitsPerRelayMax: 64,
  circuitsMax: 256,
  // Guess: every contact comes back at once after a relay's restart.
  incomingBurst: 64,
  incomingPerMinute: 120,
  // spec/transport: `bufferedMax` of the transports.
  queuedBytesMax: 16_777_216,
  // Own choice: four windows of ours.
  windowMax: 1_048_576,
  // DECISIONS, "Sizes".
  messageSizeMax: pipeMessageSizeMax,
  // Own choice: 32 KiB, so that a saturated link hears something often.
  creditShare: 1 / 8,
  // Guess: a wait for a small frame that nobody notices; full chunks from 1.3 MB/s on.
  fullChunkMs: 50,
  // As `NetworkLimits.openTimeoutMs`.
  openTimeoutMs: 10_000,
  dialTimeoutMs: 10_000,
  // Guess: one round trip, over a bad mobile network.
  answerTimeoutMs: 5_000,
  // Own choice: `relay.serviceDialMs`, and a round trip over a bad mobile network.
  serviceAnswerTimeoutMs: 7_000,
  // Own choice: three relays, of which one is slow.
  serviceDialTimeoutMs: 20_000,
  // Guess: as the transports wait for the last words of a pipe.
  closeTimeoutMs: 2_000,
  // Guess: a contact that answers does so within it.
  idleMs: 30_000,
  // As `NetworkLimits`.
  backoffMinMs: 1_000,
  backoffMaxMs: 300_000,
  backoffJitter: 0.5,
  steadyAfterMs: 10_000,
  // Own choice: a relay that restarts is not dialled by all of its clients in one instant.
  redialSpreadMs: 200,
  // Guess: four round trips of a new link, over a slow network.
  patienceMs: 2_000,
  // Own choice: a link made anew has the same reservation; records need not be published twice for it.
  reservationGraceMs: 10_000,
  // Guesses: renewal costs next to nothing above the one, and the other is a day.
  reservationMinMs: 30_000,
  reservationMaxMs: 86_400_000,
  // Own choice: an hour.
  retryMaxMs: 3_600_000,
  // Issue 2, "Links": max(4 × RTT, 500 ms).
  suspectMs: 500,
  suspectRttFactor: 4,
  // Issue 4: talking again < 2 s after the first unanswered frame; 800 ms are left for another way.
  silentGraceMs: 700,
  // Guess: 512 kbit/s, a bad uplink.
  slowBytesPerSecond: 64_000,
  // Guess: a second link costs its handshake.
  challengeMs: 2_000,
  // Guess: a bug shows itself in fewer.
  faultsMax: 16,
  // Own choice: 2 s at 1 Mbit/s, 20 ms at 100 Mbit/s.
  measureBytes: 262_144,
  measureTimeoutMs: 15_000,
}

/** Links with relays are watched by the client itself, which knows what is under way on them. */
export const defaultRelayLinkLimits: LinkLimits = { ...defaultLinkLimits, probeMs: 3_000 }
