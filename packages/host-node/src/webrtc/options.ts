/** A STUN or TURN server, as W3C WebRTC writes it. */
export interface IceServer {
  readonly urls: string | readonly string[]
  readonly username?: string
  readonly credential?: string
}

export interface WebRtcOptions {
  /** STUN and TURN servers; none by default: no host that is not ours is contacted unasked (DECISIONS). */
  readonly iceServers: readonly IceServer[]
  /**
   * `relay`: only through TURN, so that the other end never learns our address (row D05). Without a TURN server no
   * connection is tried then.
   */
  readonly icePolicy: 'all' | 'relay'
  /** Strips every candidate but 127.0.0.1 in both directions, so that nothing leaves the machine. For tests. */
  readonly loopbackOnly: boolean
  /** Subprotocol of both data channels (row D02). */
  readonly subprotocol: string
  /** Time from offer or accept to both channels open (row D19). */
  readonly connectionTimeoutMs: number
  /** Time after which gathering counts as finished (row D19). */
  readonly gatheringTimeoutMs: number
  /** Time in which an orderly close must be acknowledged. Guess. */
  readonly closeTimeoutMs: number
  /** The same while everything stops. Guess: several round trips to anywhere. */
  readonly lastCloseTimeoutMs: number
  /** Largest message, in bytes: what werift can carry (DECISIONS, "Sizes"). */
  readonly messageSizeMax: number
  /** Bytes that may wait for a slow reader before the pipe is given up. */
  readonly bufferedMax: number
  /** Times after opening at which the path is looked at again; the last one repeats. Guess: pairs settle in seconds. */
  readonly pathDelaysMs: readonly number[]
  /** Pipes at once, opening ones included. Guess: each costs ≈ 1 MB and four sockets. */
  readonly pipesMax: number
  /** Candidates of the other end that are tried, those in its description included: a bound on what it can make us probe (RFC 8445 §19.5.1). Guess. */
  readonly candidatesMax: number
}

export const defaultWebRtcOptions: WebRtcOptions = {
  iceServers: [],
  icePolicy: 'all',
  loopbackOnly: false,
  subprotocol: 'miaou-v0.2.0',
  connectionTimeoutMs: 15_000,
  gatheringTimeoutMs: 10_000,
  closeTimeoutMs: 3_000,
  lastCloseTimeoutMs: 1_000,
  messageSizeMax: 65_536,
  bufferedMax: 16 * 1024 * 1024,
  pathDelaysMs: [1_000, 2_000, 5_000, 30_000],
  pipesMax: 256,
  candidatesMax: 32,
}
