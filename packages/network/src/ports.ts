import type { Brand, PeerId, Result } from '@miaou/core'

/** A raw pipe of this process, numbered by the host: never reused while the process lives. */
export type PipeId = Brand<number, 'PipeId'>

export type TransportKind = 'webrtc' | 'websocket' | 'circuit' | 'memory'

/** 0 = `miaou-messages`: ordered, reliable. 1 = `miaou-signals`: unordered, may lose (only where `channels` is 2). */
export type ChannelIndex = 0 | 1

/** SHA-256 fingerprints (32 bytes each) of the DTLS certificates at both ends of a WebRTC pipe. */
export interface ChannelBinding {
  readonly local: Uint8Array
  readonly remote: Uint8Array
}

/** SDP of one end, as W3C WebRTC writes it. */
export interface SessionDescription {
  readonly type: 'offer' | 'answer'
  readonly sdp: string
}

/** One ICE candidate as W3C WebRTC writes it; an empty `candidate` marks the end of gathering. */
export interface IceCandidate {
  readonly candidate: string
  readonly sdpMid: string | null
  readonly sdpMLineIndex: number | null
}

export type TransportError =
  | { readonly type: 'unreachable'; readonly detail: string }
  | { readonly type: 'timeout'; readonly afterMs: number }
  | { readonly type: 'bad-address'; readonly address: string }
  | { readonly type: 'address-in-use'; readonly address: string }
  | { readonly type: 'unavailable'; readonly detail: string }
  | { readonly type: 'too-large'; readonly size: number; readonly sizeMax: number }
  | { readonly type: 'too-many-pipes'; readonly pipesMax: number }
  | { readonly type: 'broken'; readonly detail: string }

export type TransportEvent =
  /** `padded`: whether the link pads its messages (plain WebSocket and circuits show their sizes on the wire). */
  | {
      readonly type: 'opened'
      readonly pipe: PipeId
      readonly transport: TransportKind
      readonly direction: 'in' | 'out'
      readonly channels: 1 | 2
      readonly padded: boolean
      readonly remoteAddress: string
      readonly binding?: ChannelBinding
    }
  | { readonly type: 'message'; readonly pipe: PipeId; readonly channel: ChannelIndex; readonly bytes: Uint8Array }
  /** The last event of a pipe, whether it had opened or not. `error` is absent after an orderly close. */
  | { readonly type: 'closed'; readonly pipe: PipeId; readonly error?: TransportError }
  /** What the other end must be told over another link. */
  | { readonly type: 'description'; readonly pipe: PipeId; readonly description: SessionDescription }
  | { readonly type: 'candidate'; readonly pipe: PipeId; readonly candidate: IceCandidate }
  /** How an open pipe goes: once after `opened`, and again when that changes. Transports that cannot tell never say. */
  | { readonly type: 'path'; readonly pipe: PipeId; readonly path: PipePath }

/**
 * How a pipe goes, as far as its transport can tell. `lan`: straight, between own addresses of one network or machine;
 * `direct`: straight through NATs or between public addresses; `relayed`: a TURN server or a relay carries it.
 */
export interface PipePath {
  readonly kind: 'lan' | 'direct' | 'relayed'
  /** Who carries it: the URL of the relay, or of the TURN server where the transport knows it. */
  readonly via?: string
  /** The pair in use, as `<host|srflx|prflx|relay> <udp|tcp> <address>:<port>`; IPv6 in brackets. WebRTC only. */
  readonly localCandidate?: string
  readonly remoteCandidate?: string
}

export interface TransportHost {
  /** Takes every event, in order, never within a call into the transport. */
  readonly emit: (event: TransportEvent) => void
  /** A number for a pipe that the other end opened. */
  readonly nextPipe: () => PipeId
}

/** Port: raw message pipes to addresses. The four calls on a pipe never throw and never block; errors come as events. */
export interface Transport {
  readonly kind: TransportKind
  /** Starts listening where the transport listens; resolves to the addresses others can dial. */
  start(host: TransportHost): Promise<Result<readonly string[], TransportError>>
  /** Opens a pipe to an address in the transport's own form (`ws://192.168.1.7:9999`). */
  dial(pipe: PipeId, address: string): void
  /** `bytes`: at most 64 KiB. Sends on an unknown or closed pipe are dropped. Messages of one tick may be joined. */
  send(pipe: PipeId, channel: ChannelIndex, bytes: Uint8Array): void
  /** Orderly: what was sent before is still flushed, within a bound. */
  close(pipe: PipeId): void
  /** Closes every pipe and frees everything: afterwards the process can end by itself. */
  stop(): Promise<void>
}

/** A transport whose pipes are made by exchanging descriptions over another link. */
export interface SignalledTransport extends Transport {
  /** Emits the offer as `description`. */
  offer(pipe: PipeId): void
  /** Takes the other end's offer and emits the answer. */
  accept(pipe: PipeId, offer: SessionDescription): void
  /** Completes an own offer. */
  answer(pipe: PipeId, answer: SessionDescription): void
  /** A candidate of the other end; those before the remote description are kept until it is set. */
  addCandidate(pipe: PipeId, candidate: IceCandidate): void
}

/** What a peer tells the network it is on. */
export interface Advertisement {
  /** DNS-SD instance name: the peer id's text (discoverable: everyone) or random hexadecimal (contacts). */
  readonly instanceName: string
  readonly peerId?: PeerId
  readonly version: string
  readonly features: readonly string[]
  readonly port: number
  /** Keyed hints, 12 hexadecimal digits each, that only contacts recognise (discoverable: contacts). */
  readonly hints: readonly string[]
}

export interface DiscoveredPeer {
  readonly instanceName: string
  readonly peerId?: PeerId
  readonly version: string
  readonly features: readonly string[]
  readonly hints: readonly string[]
  /** Dialable addresses (`ws://…`), best first; at most 16. */
  readonly addresses: readonly string[]
}

export type DiscoveryError =
  | { readonly type: 'unavailable'; readonly detail: string }
  | { readonly type: 'name-taken'; readonly instanceName: string }

/** Port: how peers learn of each other (rows C01, C05, C06, C12). */
export interface Discovery {
  readonly method: 'mdns' | 'bootstrap' | 'overlay' | 'memory'
  /** Advertises (unless `self` is undefined: discoverable off) and browses at once. */
  start(self: Advertisement | undefined): Promise<Result<undefined, DiscoveryError>>
  /** Replaces what is advertised. */
  advertise(self: Advertisement | undefined): Promise<void>
  /** Drains pending network events into the list; call it before `discoveredPeers`. */
  collectPeers(): void
  /** Everybody seen and not gone, without oneself; at most 1,024. */
  discoveredPeers(): readonly DiscoveredPeer[]
  /** Called when `collectPeers` would find news; never within a call into the discovery. */
  onNews(listener: () => void): void
  /** Says goodbye to the network and frees everything. */
  stop(): Promise<void>
}
