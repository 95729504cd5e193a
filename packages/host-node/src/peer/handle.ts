import type { AccountId, PeerId, Result } from '@miaou/core'
import type { CommandError, CommandResults, MessagingCommand, Settings } from '@miaou/messaging'
import type { ConnectionView, LinkError } from '@miaou/network'
import type { PeerEvent } from '@miaou/peer'
import type { OverlayHandle } from '../overlay/handle.ts'
import type { WebRtcLibrary } from './adapters.ts'
import type { GossipHandle } from './gossip-face.ts'
import type { UserKeys } from './user-keys.ts'

/** Row I15. */
export interface NetworkInfo {
  readonly peerId: PeerId
  /** What others can dial. */
  readonly addresses: readonly string[]
  /** Known once NAT detection exists; a peer of this version never claims to know. */
  readonly natType: 'unknown'
  readonly connectedPeers: number
  readonly uptimeMs: number
  /** Dropped input and failures by reason, since the start. */
  readonly counters: Readonly<Record<string, number>>
  readonly webrtc: WebRtcLibrary
  readonly discoverable: Settings['discoverable']
}

/** Rows C17, I14: a peer on the LAN, of a contact, or linked with us. */
export interface PeerView extends ConnectionView {
  readonly account?: AccountId
  readonly name?: string
  readonly seenBy: 'mdns' | 'contact' | 'link'
  /** Whether this side makes the WebRTC offer: the smaller peer id does. */
  readonly shouldInitiate: boolean
}

/** Row I16: one line of the diagnosis. `ms`: how long the check took or measured. */
export interface DiagnosticCheck {
  readonly name: 'store' | 'keys' | 'clock' | 'websocket' | 'mdns' | 'webrtc' | 'stun' | 'turn' | 'dns'
  readonly state: 'ok' | 'failed' | 'not-configured'
  readonly ms?: number
  readonly detail: string
}

/** Whatever is asked of a peer after its end. */
export interface Stopped {
  readonly type: 'stopped'
}

/** One running peer, as apps see it. After `stop` every call gives `stopped` errors or empty answers. */
export interface PeerHandle {
  readonly account: AccountId
  readonly peerId: PeerId
  readonly home: string
  /** Wall-clock ms. */
  readonly startedAt: number
  command<C extends MessagingCommand>(command: C): Promise<Result<CommandResults[C['type']], CommandError | Stopped>>
  readonly network: {
    info(): NetworkInfo
    peers(): readonly PeerView[]
    /** Resolves at the first link with the peer (or with whoever answers at a `ws://` address). */
    connect(
      target: PeerId | string,
      timeoutMs: number,
    ): Promise<Result<ConnectionView & { readonly setupMs: number }, LinkError | Stopped>>
    /** Waits until the peer is linked over WebRTC; false when it is not within the time. */
    upgraded(peerId: PeerId, timeoutMs: number): Promise<boolean>
    disconnect(peerId: PeerId): void
    ping(peerId: PeerId, timeoutMs: number): Promise<Result<{ readonly latencyMs: number }, LinkError | Stopped>>
    diagnostics(): Promise<readonly DiagnosticCheck[]>
  }
  /** A handle that only says why where the peer is no node of the overlay. */
  readonly overlay: OverlayHandle
  readonly gossip: GossipHandle
  readonly keys: UserKeys
  /** `listener` is called in the order of events; the returned function ends it. */
  onEvent(listener: (event: PeerEvent) => void): () => void
  /** Says goodbye to every peer and closes everything; the process can then end by itself. */
  stop(): Promise<void>
}
