/**
 * Row E08 and the engine's own bounds. `defaultKademliaConfig` names the source of each default; times in ms, sizes in
 * bytes. "Own choice" is explained in spec/overlay.md, a "guess" is not measured.
 */
export interface KademliaConfig {
  /** Contacts a bucket, and nodes that hold a record. */
  readonly k: number
  /** Requests in flight on one path of a walk before its burst. */
  readonly alpha: number
  /** A bucket in which nothing was looked up for so long is walked to. */
  readonly refreshIntervalMs: number
  /** Acknowledgements at which a put is answered; holders whose answers end a get of a signed record. */
  readonly replicationFactor: number
  /** Disjoint paths of a lookup: 1–8. */
  readonly paths: number
  /** `auto`: a server where strangers of `serverPrefixesMin` prefixes came; in a small network also at an own address. */
  readonly mode: 'auto' | 'server' | 'client'

  /** Contacts of one /24 or /48 in a bucket and among the closest of a walk. */
  readonly contactsPerPrefixMax: number
  readonly replacementsMax: number
  /** Requests in a row that a contact may leave unanswered, while others answer, before it loses its place. */
  readonly failuresMax: number
  /** The least recently heard contact of a full bucket is pinged for a newcomer when silent for so long. */
  readonly questionableAfterMs: number
  /** Two such pings are so far apart. */
  readonly contestIntervalMs: number
  /** Pings of unproven senders, of newcomers and of silent contacts in flight. */
  readonly carePingsMax: number

  /** No answer for so long: the next contact is asked too. Without a measurement of any contact. */
  readonly softTimeoutMs: number
  readonly softTimeoutMinMs: number
  /** No answer for so long: the request has failed. For a contact that was never measured. */
  readonly hardTimeoutMs: number
  readonly hardTimeoutMinMs: number
  readonly hardTimeoutMaxMs: number
  readonly requestsMax: number

  readonly operationsMax: number
  /** Walks of the engine's own (refresh, republishing) at a time, beside `operationsMax`. */
  readonly backgroundWalksMax: number
  readonly bootstrapContactsMax: number
  /** Most nodes of a region that a walk covers where ids are denser than plausible. */
  readonly regionMax: number
  /** Requests along one path of a walk; as many more as `regionMax` where a region is covered. */
  readonly pathRequestsMax: number
  /** Contacts of one answer that are looked at. */
  readonly contactsPerAnswerMax: number
  /** Contacts that `contacts()` hands out to be kept over a restart. */
  readonly savedContactsMax: number

  readonly recordsMax: number
  readonly recordBytesMax: number
  /** Records stored on behalf of one key, and of one /24 or /48. */
  readonly recordsPerSenderMax: number
  readonly recordsPerPrefixMax: number
  readonly publishedMax: number
  readonly expiryMs: number
  readonly republishIntervalMs: number
  /** A token is good for one to two of these. */
  readonly tokenIntervalMs: number

  /** Client in mode `auto`: so often somebody is asked whether strangers reach us. Doubles up to 8 times this. */
  readonly reachIntervalMs: number
  /** So long a stranger's ping is waited for. */
  readonly reachWaitMs: number
  readonly reachFailuresMax: number
  /** Two probes for others are so far apart; four times this where the same prefix asks or is meant. */
  readonly probeIntervalMs: number
  /** An address counts as never contacted when nothing was sent to it for so long. */
  readonly strangerAfterMs: number
  readonly contactedHostsMax: number
  /** Strangers of so many /24 or /48 make a server: 1–16. With no more prefixes than this known, an own address does. */
  readonly serverPrefixesMin: number
  /** For so long a stranger's coming counts. */
  readonly strangersWindowMs: number

  /** Servers that a node behind a NAT has pass punches on to it; 0: it refuses to be reached so. */
  readonly rendezvousMax: number
  /** Between two signs of life on a session with a rendezvous. */
  readonly rendezvousRefreshMs: number
  /** Until a node looks (again) for rendezvous that has none. */
  readonly rendezvousWaitMs: number
  /** Nodes that a server is the rendezvous of, in all and of one /24 or /48. */
  readonly rendezvousClientsMax: number
  readonly rendezvousClientsPerPrefixMax: number
  /** A client not heard of for so long is no more. */
  readonly rendezvousExpiryMs: number
  /** Punches that a rendezvous passes on: in all, of one asker's /24 or /48, to one target. */
  readonly punchesPerSecond: number
  readonly punchesBurst: number
  readonly punchesPerPrefixPerSecond: number
  readonly punchesPerPrefixBurst: number
  readonly punchesPerTargetPerSecond: number
  readonly punchesPerTargetBurst: number
  /** Knocks that a target obeys: in all, and for askers of one /24 or /48. */
  readonly knocksPerSecond: number
  readonly knocksBurst: number
  readonly knocksPerPrefixPerSecond: number
  readonly knocksPerPrefixBurst: number
  /** Prefixes and targets whose rates are remembered. */
  readonly punchRatesMax: number
  /** From one opener, or first datagram of an asker, to the next; doubles. */
  readonly openerIntervalMs: number
  /** So long an answer is waited for from an address that is being punched through to. */
  readonly punchWaitMs: number

  /** Service records of others that one is chosen from for an answer. */
  readonly servicesKnownMax: number
  /** Questions for service records that are answered: of one address (IPv6: of one /48), and in all. */
  readonly servicesPerAddressPerMinute: number
  readonly servicesPerAddressBurst: number
  readonly servicesPerSecond: number
  readonly servicesBurst: number
  /** Addresses whose rates are remembered. */
  readonly servicesRatesMax: number
}

const minute = 60_000
const hour = 60 * minute

export const defaultKademliaConfig: KademliaConfig = {
  k: 20, // E02
  alpha: 3, // E03
  refreshIntervalMs: hour, // E05
  replicationFactor: 3, // E06
  paths: 1, // own choice: 1 finds all honest records; a walk that ends implausibly gets more (spec/overlay)
  mode: 'auto', // own choice

  contactsPerPrefixMax: 2, // issue 3, against chosen ids
  replacementsMax: 8, // guess; Kademlia §4.1 gives none, mainline nodes keep 8
  failuresMax: 2, // own choice: one datagram may get lost
  questionableAfterMs: 15 * minute, // BEP 5
  contestIntervalMs: 10_000, // guess: bounds what full buckets cost in a busy network
  carePingsMax: 16, // guess

  softTimeoutMs: 400, // guess: a round trip round the earth and a handshake
  softTimeoutMinMs: 2, // guess: timers of hosts are not finer than 1 ms
  hardTimeoutMs: 1_000, // RFC 6298 §2.1
  hardTimeoutMinMs: 250, // own choice between Linux's 200 ms and toysim's 250 ms
  hardTimeoutMaxMs: 3_000, // guess; RFC 6298 §2.5 wants at least 60 s for streams, a walk has other nodes to ask
  requestsMax: 1_024, // guess: about 100 bytes each

  operationsMax: 64, // guess
  backgroundWalksMax: 3, // own choice: as many as alpha
  bootstrapContactsMax: 32, // guess
  regionMax: 160, // own choice: 20 honest nodes and 100 of 50 prefixes, and some more
  pathRequestsMax: 160, // own choice: 8 k; a path takes 25, with half of all nodes dead 60
  contactsPerAnswerMax: 20, // E02: k fit one datagram
  savedContactsMax: 200, // issue 3

  recordsMax: 16_384, // guess: 16 MiB of the largest
  recordBytesMax: 16 * 1024 * 1024, // guess
  recordsPerSenderMax: 1_024, // own choice: a sixteenth
  recordsPerPrefixMax: 2_048, // own choice: an eighth
  publishedMax: 1_024, // guess
  expiryMs: 24 * hour, // DECISIONS "Overlay"
  republishIntervalMs: hour, // DECISIONS "Overlay"
  tokenIntervalMs: 5 * minute, // BEP 5: tokens up to ten minutes old are accepted

  reachIntervalMs: 5 * minute, // guess
  reachWaitMs: 10_000, // guess: two handshakes
  reachFailuresMax: 3, // guess
  probeIntervalMs: 5_000, // guess: bounds what others can make us send to somebody
  strangerAfterMs: hour, // own choice: NATs that let an address in as long as their mapping lives (RFC 4787 REQ-5, REQ-6)
  contactedHostsMax: 2_048, // guess
  serverPrefixesMin: 3, // issue 4
  strangersWindowMs: hour, // own choice: as strangerAfterMs, and above the longest time between two checks

  rendezvousMax: 3, // own choice: two may vanish at once
  rendezvousRefreshMs: 20_000, // own choice: below the 30 s after which the shortest-lived NATs forget
  rendezvousWaitMs: 5_000, // guess
  rendezvousClientsMax: 1_024, // guess: as many as there are sessions
  rendezvousClientsPerPrefixMax: 64, // guess: households behind one carrier's NAT
  rendezvousExpiryMs: 70_000, // own choice: three refreshes and a lost datagram
  punchesPerSecond: 20, // guess
  punchesBurst: 100, // guess
  punchesPerPrefixPerSecond: 1, // guess: people who meet do so seldom
  punchesPerPrefixBurst: 10, // guess
  punchesPerTargetPerSecond: 1, // guess
  punchesPerTargetBurst: 10, // guess
  knocksPerSecond: 2, // guess: what three servers let through, 54 bytes a second
  knocksBurst: 20, // guess
  knocksPerPrefixPerSecond: 1, // guess
  knocksPerPrefixBurst: 5, // guess
  punchRatesMax: 1_024, // guess
  openerIntervalMs: 250, // own choice: a round trip round the earth
  punchWaitMs: 3_000, // own choice: three openers, and the repetitions of a handshake

  servicesKnownMax: 64, // own choice: as many as a home remembers
  servicesPerAddressPerMinute: 4, // guess: who asks at random places comes back after hours
  servicesPerAddressBurst: 4, // guess
  servicesPerSecond: 10, // guess: 12 KB/s of the largest answers
  servicesBurst: 50, // guess
  servicesRatesMax: 1_024, // guess
}
