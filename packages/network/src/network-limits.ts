/** What the connection manager may open, wait for and keep. Each is an option; `spec/links.md` lists them. */
export interface NetworkLimits {
  /** Peers linked at a time; a wanted peer displaces one that is not. */
  readonly linksMax: number
  /** Links with one peer: the one in use and those that it has just replaced. */
  readonly linksPerPeerMax: number
  /** Pipes of others whose handshake is not finished; the oldest makes room. */
  readonly handshakesInMax: number
  /** Addresses kept and tried for one peer. */
  readonly addressesMax: number
  /** Of them, circuits that no other address pushes out, the newest. */
  readonly circuitAddressesMin: number
  /** Between the starts of two dials to one peer, unless the one before failed. */
  readonly staggerMs: number
  /** From a dial to its open pipe. */
  readonly openTimeoutMs: number
  /** Peers dialled at a time; the others wait for their turn. */
  readonly dialsMax: number
  /** First wait before a peer is dialled again; it doubles with every failure. */
  readonly backoffMinMs: number
  readonly backoffMaxMs: number
  /** What a suspect link's probe gets before the peer is dialled: the larger of ms and round trips. */
  readonly rescueAfterMs: number
  readonly rescueRttFactor: number
  /** Longest wait between races beside a link that is suspect again and again; the first is `backoffMinMs`. */
  readonly rescueBackoffMaxMs: number
  /** A relay over which a circuit broke comes last for so long, and waits so long for the others in a race. */
  readonly relayDoubtMs: number
  readonly doubtedDelayMs: number
  /** Share of a wait that is drawn by lot, in [0, 1]: ± half of it. */
  readonly backoffJitter: number
  /** A link that stood so long clears the failures before it. */
  readonly steadyAfterMs: number
  /** WebRTC links being made at a time. */
  readonly upgradesMax: number
  /** From the offer to the WebRTC link. */
  readonly upgradeTimeoutMs: number
  readonly upgradeBackoffMinMs: number
  readonly upgradeBackoffMaxMs: number
  /** Offers of one peer taken at once, and ms until one more is: each costs an ICE agent. */
  readonly offersBurst: number
  readonly offerRefillMs: number
  /** ICE candidates passed on for one attempt. */
  readonly candidatesMax: number
  /** Private addresses and local names that a contact may name in one attempt; addresses of a stranger at all. */
  readonly privateHostsMax: number
  readonly strangerHostsMax: number
  /** How long frames of a new link wait for the end of the old one, from the last frame that came on it. */
  readonly holdMs: number
  readonly holdFramesMax: number
  readonly holdBytesMax: number
  /** How long a replaced link may take to end. */
  readonly retireMs: number
  /** Peers neither wanted nor linked whose last state is remembered. */
  readonly rememberedMax: number
  /** Peers wanted; those behind are ignored. */
  readonly wantedMax: number
}

export const defaultNetworkLimits: NetworkLimits = {
  // Guess: beyond the contacts of nearly everybody; ≈ 20 KB each.
  linksMax: 512,
  linksPerPeerMax: 3,
  // Guess: a handshake takes milliseconds, so 64 at a time are thousands a minute.
  handshakesInMax: 64,
  // The `Discovery` port gives at most 16.
  addressesMax: 16,
  // Own choice: one more than the relays at which a peer keeps reservations.
  circuitAddressesMin: 4,
  // RFC 8305 §5: the recommended Connection Attempt Delay.
  staggerMs: 250,
  // Guess: a TCP connection that took longer would carry no conversation.
  openTimeoutMs: 10_000,
  // Guess: as many sockets as a home router opens without complaint.
  dialsMax: 32,
  // Issue 2, "Connection manager": 1 s, 2 s, 4 s … 5 min.
  backoffMinMs: 1_000,
  backoffMaxMs: 300_000,
  // Own choice: the last word of a conversation has no answer, so most probes find a link that is well.
  rescueAfterMs: 100,
  rescueRttFactor: 2,
  // Guess: a link that is suspect so often works, slowly; its peer is not to be dialled all the time.
  rescueBackoffMaxMs: 60_000,
  // Guesses: a relay that restarts is well again soon; three round trips of 300 ms, an honest relay's handshake.
  relayDoubtMs: 600_000,
  doubtedDelayMs: 1_000,
  backoffJitter: 0.5,
  // Guess: as long as a silent link takes to be noticed.
  steadyAfterMs: 10_000,
  // Guess: one ICE agent and DTLS handshake costs some 10 ms of CPU.
  upgradesMax: 16,
  // FACTS: where UDP is blocked ICE took 5–10 s.
  upgradeTimeoutMs: 20_000,
  // Guess: a link stands meanwhile, so nobody waits.
  upgradeBackoffMinMs: 10_000,
  upgradeBackoffMaxMs: 600_000,
  // Guesses: an honest peer offers again after 10 s, or at once when its network changed.
  offersBurst: 4,
  offerRefillMs: 5_000,
  // Guess: a host with many interfaces and relays gathers some 20.
  candidatesMax: 64,
  // Guess: a laptop with Wi-Fi, a cable, a VPN and containers, each with IPv4 and IPv6.
  privateHostsMax: 8,
  // Guess: one address of each family, one from a STUN server and one of a TURN server.
  strangerHostsMax: 4,
  // Guess: many round trips.
  holdMs: 2_000,
  // Own choice: above what messaging has under way to a device without a receipt (512 messages, 1 MiB of text).
  holdFramesMax: 2_048,
  holdBytesMax: 2_097_152,
  retireMs: 10_000,
  rememberedMax: 256,
  wantedMax: 4_096,
}
