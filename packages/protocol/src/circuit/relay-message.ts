/**
 * What a peer and a relay say to each other, in `relayControl` frames of a link between a pseudonym and the relay's
 * service key (spec/circuits.md). `request`: u32, chosen by who asks. `circuit`: u32, chosen by the relay, unique on that
 * link while the circuit lives.
 */
export type RelayMessage =
  /** Client: keep a reservation under the id that follows from this link's pseudonym; again before it expires. */
  | { readonly type: 'reserve'; readonly request: number }
  /** Client: give it up. */
  | { readonly type: 'release' }
  | {
      readonly type: 'reserved'
      readonly request: number
      /** Seconds from now. */
      readonly expiresIn: number
      /** The relay's wall clock, ms. */
      readonly timestamp: number
      /** The client's address as the relay sees it (packed endpoint, 6 or 18 bytes; empty where a proxy hides it). */
      readonly observed: Uint8Array
      readonly limits: RelayTerms
      /** STUN and TURN servers on the relay's own host: at most 4. */
      readonly iceServers: readonly RelayIceServer[]
    }
  /** Client: a circuit to who holds that reservation. */
  | { readonly type: 'open'; readonly request: number; readonly reservation: Uint8Array }
  | { readonly type: 'opened'; readonly request: number; readonly circuit: number; readonly window: number }
  /** To who holds the reservation: somebody opened a circuit; it is open at once, `close` refuses it. */
  | { readonly type: 'incoming'; readonly circuit: number; readonly window: number }
  | { readonly type: 'refused'; readonly request: number; readonly reason: RelayRefusal; readonly retryIn: number }
  /** Both directions: nothing more comes on that circuit. */
  | { readonly type: 'close'; readonly circuit: number; readonly reason: CircuitCloseReason }
  /** Both directions, passed on by the relay: so many more bytes may be sent to me on that circuit. */
  | { readonly type: 'credit'; readonly circuit: number; readonly bytes: number }
  /** Client: send me so many bytes of filler (`circuitData` on circuit 0), at most `measureBytesMax`. */
  | { readonly type: 'measure-down'; readonly request: number; readonly bytes: number }
  /** Client, after its filler on circuit 0; the relay answers `measured`. */
  | { readonly type: 'measure-up'; readonly request: number }
  /** `bytes`: filler received since the last `measured`. */
  | { readonly type: 'measured'; readonly request: number; readonly bytes: number }

/** What a relay gives each of those who reserve: told so that a client can say why something is slow. */
export interface RelayTerms {
  readonly circuitsMax: number
  /** Bytes a second, 0 for no limit told. */
  readonly bytesPerSecond: number
  readonly bytesPerDay: number
}

/** `scheme`: of the URL. Its host is the relay's own, so that no relay can send its clients elsewhere. */
export interface RelayIceServer {
  readonly scheme: 'stun' | 'turn' | 'turns'
  readonly port: number
  readonly transport: 'udp' | 'tcp'
  /** Empty for STUN; at most 128 bytes each. */
  readonly username: string
  readonly credential: string
}

export type RelayRefusal =
  /** Nobody holds that reservation now. */
  | 'no-reservation'
  | 'too-many-circuits'
  | 'too-many-reservations'
  /** The bytes of the day are used up. */
  | 'quota'
  | 'busy'
  | 'not-offered'

export type CircuitCloseReason =
  | 'bye'
  /** The other end's link with the relay is gone. */
  | 'peer-gone'
  | 'quota'
  | 'flow-control'
  | 'protocol-error'
  | 'idle'
  | 'shutdown'
  | 'busy'
