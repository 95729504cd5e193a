import type { Jitter } from '@miaou/core'
import type { Crypto, KeyPair } from '@miaou/crypto'
import type { NeighbourHint } from './interface.ts'

/** What a gossip engine needs from outside. */
export interface GossipConfig {
  readonly crypto: Crypto
  /** For choices among neighbours and hints, never for anything secret. */
  readonly jitter: Jitter
  /** Ed25519 pair with which this node publishes. */
  readonly key: KeyPair
  /** How others reach this node; undefined when nobody can. */
  readonly hint?: NeighbourHint
  readonly options?: Partial<GossipOptions>
}

/** Bounds and times of a gossip engine. Times in ms. */
export interface GossipOptions {
  /** Hops a message is pushed without being asked for (row E07). */
  readonly ttl: number
  /** A larger ttl on the wire counts as this. */
  readonly ttlMax: number
  /** Whole data message, bytes. */
  readonly messageSizeMax: number
  /** Older messages are dropped. */
  readonly ageMaxMs: number
  /** By how much clocks may differ. */
  readonly skewMs: number
  /** Ids remembered; the oldest is forgotten first. */
  readonly seenMax: number
  /** Messages kept to answer grafts: bytes in all, and age. */
  readonly cacheBytesMax: number
  readonly cacheMs: number
  /** Announced messages waited for: in all, and for one neighbour. */
  readonly missingMax: number
  readonly missingPerNeighbourMax: number
  /** Neighbours remembered as having one missing message. */
  readonly announcersMax: number
  /** How long announcements are gathered; the first after a pause so long. */
  readonly announceMs: number
  readonly announceQuietMs: number
  /** Announcements that wait for one neighbour in one topic; the oldest is dropped. */
  readonly announcementsMax: number
  /** From an announcement to the graft: at first, and the bounds of what is learnt. */
  readonly graftMs: number
  readonly graftMinMs: number
  readonly graftMaxMs: number
  /** From an unanswered graft to the next announcer, before a round trip is measured. */
  readonly graftRetryMs: number
  /** A wake so much too late tells that this node was held up, and not its neighbours. */
  readonly stallMs: number
  /** Grafts for one message. */
  readonly graftTriesMax: number
  /** Of the messages that came within it, only the one with the lowest id cuts branches. */
  readonly cutMs: number
  /** A tree is made anew after so many messages, after so few when it is doubtful, and no sooner than `renewMs`. */
  readonly renewMessages: number
  readonly renewMessagesMin: number
  readonly renewMs: number
  /** So long only the message that made a tree shapes it. */
  readonly settleMs: number
  /** Neighbours to which a new topic is pushed at first (row E24); the others get announcements. */
  readonly fanOut: number
  /** Neighbours wanted, and at most. */
  readonly activeTarget: number
  readonly activeMax: number
  /** Places that only neighbours dialled by this node may take. */
  readonly outgoingReserved: number
  /** Links that stand and have not said hello. */
  readonly greetingMax: number
  readonly greetingMs: number
  /** Hints of nodes that could become neighbours; from one neighbour. */
  readonly passiveMax: number
  readonly passivePerNeighbourMax: number
  /** Dials under way, how long one may take, and the pause between two rounds. */
  readonly dialsMax: number
  readonly dialMs: number
  readonly promoteMs: number
  /** Between two exchanges of hints. */
  readonly shuffleMs: number
  readonly shuffleHints: number
  /** Steps of the random walk of a newcomer's hint, and the step at which it is also remembered. */
  readonly joinWalk: number
  readonly joinWalkPassive: number
  /** Least pause between two neighbours that give way to an urgent one. */
  readonly urgentMs: number
  /** Topics of this node, and listened to from one neighbour. */
  readonly topicsMax: number
  readonly topicsPerNeighbourMax: number
  /** How far from a subscriber nodes relay a topic that they do not read. */
  readonly relayHopsMax: number
  /** Of one neighbour: a second, and at once. */
  readonly messagesPerSecond: number
  readonly messagesBurst: number
  readonly bytesPerSecond: number
  readonly bytesBurst: number
  /** Own publications: a second, and at once. */
  readonly publishPerSecond: number
  readonly publishBurst: number
  /** A score at or below it ends the neighbourhood for `graylistMs`. */
  readonly graylistScore: number
  readonly graylistMs: number
  readonly graylistMax: number
  /** In which a score halves. */
  readonly scoreHalfLifeMs: number
}

export const defaultGossipOptions: GossipOptions = {
  // docs/decisions/0028. The 6 of row E07 are for flooding to a random subset, which reaches as far in half the hops.
  ttl: 32,
  ttlMax: 64,
  // Issue 3.
  messageSizeMax: 65_536,
  // Guess: the seen set must outlive it; repair takes seconds.
  ageMaxMs: 300_000,
  // DECISIONS "Age" grants 5 min of skew.
  skewMs: 300_000,
  // Own choice: 100 messages a second for ten minutes; 32 bytes each.
  seenMax: 65_536,
  // Own choice: 64 messages of the largest size.
  cacheBytesMax: 4 * 1024 * 1024,
  // Guess: a neighbour that comes back within a minute is helped.
  cacheMs: 60_000,
  missingMax: 4_096,
  // Own choice: four full announcements.
  missingPerNeighbourMax: 512,
  // Guess: with three of four announcers dead the message still comes.
  announcersMax: 8,
  // FACTS: 150 ms between announcement and graft are too few, 500 cure it. Half of them gather announcements.
  announceMs: 250,
  // Own choice: a repair begins 100 ms sooner, and a second message of the same moment still shares the announcement.
  announceQuietMs: 50,
  announcementsMax: 1_024,
  graftMs: 400,
  graftMinMs: 300,
  graftMaxMs: 2_000,
  graftRetryMs: 500,
  // Guess: timers of an idle process are a few ms late.
  stallMs: 50,
  graftTriesMax: 8,
  cutMs: 500,
  // docs/decisions/0028: making a tree anew costs six copies, spread over so many messages.
  renewMessages: 128,
  renewMessagesMin: 24,
  renewMs: 3_000,
  // Guess: by then a flooded message has been everywhere, twice.
  settleMs: 1_000,
  // Own choice: connected with near certainty (4 random links a node), and no more copies than gossipsub's mesh.
  fanOut: 8,
  // HyParView §5: log10(n) + 1 is 7 at a million.
  activeTarget: 6,
  activeMax: 12,
  // Own choice: half the target cannot be taken by those who dial us.
  outgoingReserved: 3,
  greetingMax: 8,
  greetingMs: 10_000,
  // HyParView §5: six times the active view, more because hints are small.
  passiveMax: 64,
  passivePerNeighbourMax: 16,
  dialsMax: 3,
  dialMs: 15_000,
  promoteMs: 1_000,
  // Guess.
  shuffleMs: 30_000,
  shuffleHints: 8,
  // HyParView §5: ARWL 6, PRWL 3.
  joinWalk: 6,
  joinWalkPassive: 3,
  urgentMs: 5_000,
  topicsMax: 64,
  topicsPerNeighbourMax: 128,
  // Guess: subscribers five hops apart find each other.
  relayHopsMax: 2,
  // Guess: five times what one core can verify beside other work.
  messagesPerSecond: 500,
  messagesBurst: 2_000,
  bytesPerSecond: 2 * 1024 * 1024,
  bytesBurst: 8 * 1024 * 1024,
  publishPerSecond: 50,
  publishBurst: 200,
  // Two forged messages (40 each) and anything else.
  graylistScore: -100,
  graylistMs: 600_000,
  graylistMax: 1_024,
  scoreHalfLifeMs: 300_000,
}
