import type { PeerId } from '@miaou/core'
import type { FrameType } from '@miaou/protocol'
import type {
  ChannelIndex,
  IceCandidate,
  PipeId,
  PipePath,
  SessionDescription,
  TransportEvent,
  TransportKind,
} from './ports.ts'

/** Life of the connection with one peer, as shown (rows D08, X07). */
export type ConnectionState = 'idle' | 'dialing' | 'handshaking' | 'connected' | 'upgrading' | 'waiting' | 'closed'

export type CloseReason =
  | 'bye'
  | 'upgraded'
  | 'duplicate'
  | 'blocked'
  | 'busy'
  | 'shutdown'
  | 'protocol-error'
  | 'silent'
  | 'pipe-lost'
  | 'handshake-timeout'
  | 'too-many-links'

/** Why a handshake or a link failed (rows B24, D37). */
export type LinkError =
  | { readonly type: 'bad-frame'; readonly detail: string }
  | { readonly type: 'bad-handshake'; readonly detail: string }
  | { readonly type: 'unsupported-version'; readonly version: number }
  | { readonly type: 'bad-certificate'; readonly detail: string }
  /** Somebody else answered at that address. */
  | { readonly type: 'wrong-peer'; readonly expected: PeerId; readonly actual: PeerId }
  | { readonly type: 'channel-binding-mismatch' }
  | { readonly type: 'self' }
  | { readonly type: 'handshake-timeout'; readonly afterMs: number }
  | { readonly type: 'undecryptable'; readonly channel: ChannelIndex }
  | { readonly type: 'unreachable'; readonly detail: string }
  | { readonly type: 'silent'; readonly forMs: number }
  | { readonly type: 'broken'; readonly detail: string }
  | { readonly type: 'refused'; readonly reason: CloseReason }
  | { readonly type: 'no-address' }

/** Row D28. Times in wall-clock ms. */
export interface ConnectionStats {
  readonly bytesSent: number
  readonly bytesReceived: number
  readonly messagesSent: number
  readonly messagesReceived: number
  readonly connectedAt?: number
  readonly currentState: ConnectionState
}

/** Why no better path carries a connection that stands: the last attempt that failed, and when the next one is. */
export interface WhyNotBetter {
  /** Absent before the first attempt failed. */
  readonly error?: LinkError
  /** Attempts in a row that failed. */
  readonly failures: number
  /** Monotonic ms; absent while an attempt is under way, and where the other end begins them. */
  readonly nextTryAt?: number
}

/** Row C17, for one peer the engine knows of. */
export interface ConnectionView {
  readonly peerId: PeerId
  readonly state: ConnectionState
  readonly transport?: TransportKind
  readonly connectionId?: string
  readonly addresses: readonly string[]
  /** Smoothed round trip, ms; absent until measured (shown as 9999 where a number is asked). */
  readonly latencyMs?: number
  readonly features: readonly string[]
  readonly stats: ConnectionStats
  readonly error?: LinkError
  /** Monotonic ms. */
  readonly nextTryAt?: number
  /** How the link goes, where that is known. */
  readonly path?: PipePath
  /** The link is suspect: something is unanswered for too long, or the network changed, and other ways are tried. */
  readonly isSuspect?: boolean
  /** Of a link that is not WebRTC. */
  readonly whyNotBetter?: WhyNotBetter
}

/** Row D27. */
export type NetworkEvent =
  | {
      readonly type: 'connection-established'
      readonly connectionId: string
      readonly peerId: PeerId
      readonly transport: TransportKind
      /** From the dial (or the offer) to the finished handshake, ms. */
      readonly setupMs: number
      readonly latencyMs?: number
    }
  | {
      readonly type: 'connection-closed'
      readonly connectionId: string
      readonly peerId: PeerId
      readonly transport: TransportKind
      readonly reason: CloseReason
    }
  | {
      readonly type: 'connection-error'
      readonly connectionId: string
      readonly peerId?: PeerId
      /** The address of a `connect-address` that failed. */
      readonly address?: string
      readonly error: LinkError
    }

export type NetworkInput =
  | { readonly type: 'transport'; readonly event: TransportEvent }
  /** Stay linked with these peers, redialling with backoff; the whole list. */
  | {
      readonly type: 'wanted'
      readonly peers: readonly { readonly peerId: PeerId; readonly addresses: readonly string[] }[]
    }
  /** Ways to reach a peer, newly learnt (mDNS): tried at once where the peer is wanted and not linked. */
  | { readonly type: 'addresses'; readonly peerId: PeerId; readonly addresses: readonly string[] }
  /** Connect once, now (wanted or not). */
  | { readonly type: 'connect'; readonly peerId: PeerId; readonly addresses: readonly string[] }
  /** Dial an address without knowing who answers. */
  | { readonly type: 'connect-address'; readonly address: string }
  | { readonly type: 'disconnect'; readonly peerId: PeerId; readonly reason: CloseReason }
  /** Measure a round trip: answered by a `pong` output or a link that ends. */
  | { readonly type: 'ping'; readonly peerId: PeerId; readonly id: number }
  | {
      readonly type: 'send'
      readonly peerId: PeerId
      readonly frameType: FrameType
      readonly payload: Uint8Array
      readonly fleeting: boolean
    }
  /** Several frames on the ordered channel, in order: small ones travel together. */
  | {
      readonly type: 'send-all'
      readonly peerId: PeerId
      readonly frames: readonly { readonly frameType: FrameType; readonly payload: Uint8Array }[]
    }
  /** Sleep, wake or a changed network: probe every link and retry at once. */
  | { readonly type: 'network-changed' }
  | { readonly type: 'wake' }
  /** Close everything orderly. */
  | { readonly type: 'stop' }

export type NetworkOutput =
  | { readonly type: 'dial'; readonly pipe: PipeId; readonly transport: TransportKind; readonly address: string }
  | { readonly type: 'write'; readonly pipe: PipeId; readonly channel: ChannelIndex; readonly bytes: Uint8Array }
  | { readonly type: 'close'; readonly pipe: PipeId }
  | { readonly type: 'offer'; readonly pipe: PipeId }
  | { readonly type: 'accept'; readonly pipe: PipeId; readonly offer: SessionDescription }
  | { readonly type: 'answer'; readonly pipe: PipeId; readonly answer: SessionDescription }
  | { readonly type: 'add-candidate'; readonly pipe: PipeId; readonly candidate: IceCandidate }
  /** The first link with a device stands. A pseudonym (where admitted) has empty account and session keys. */
  | {
      readonly type: 'link-up'
      readonly peerId: PeerId
      readonly accountKey: Uint8Array
      readonly sessionKey: Uint8Array
      readonly certificate: Uint8Array
      readonly features: readonly string[]
    }
  /** The last link with a device is gone. */
  | { readonly type: 'link-down'; readonly peerId: PeerId; readonly reason: CloseReason }
  /** A frame for the layers above, in order per channel; link-internal types never show here. */
  | { readonly type: 'frame'; readonly peerId: PeerId; readonly frameType: FrameType; readonly payload: Uint8Array }
  | { readonly type: 'pong'; readonly id: number; readonly peerId: PeerId; readonly latencyMs: number }
  | { readonly type: 'event'; readonly event: NetworkEvent }
