import type { AccountId, Log, PeerId, Result } from '@miaou/core'
import type { CommandError, CommandResults, FleetingEvent, MessagingCommand, StoredEvent } from '@miaou/messaging'
import type { ConnectionView, LinkError, NetworkEvent } from '@miaou/network'

// The shapes that packages/host-node implements.

export interface HostNetworkInfo {
  readonly peerId: PeerId
  readonly addresses: readonly string[]
  readonly natType: 'unknown'
  readonly connectedPeers: number
  readonly uptimeMs: number
  readonly counters: Readonly<Record<string, number>>
  readonly webrtc: 'wrtc' | 'werift' | 'none'
  readonly discoverable: 'everyone' | 'contacts' | 'off'
}

export interface HostPeerView extends ConnectionView {
  readonly account?: AccountId
  readonly name?: string
  readonly seenBy: 'mdns' | 'contact' | 'link'
  readonly shouldInitiate: boolean
}

export interface HostDiagnostic {
  readonly name: 'store' | 'clock' | 'websocket' | 'mdns' | 'webrtc' | 'stun' | 'turn' | 'dns'
  readonly state: 'ok' | 'failed' | 'not-configured'
  readonly ms?: number
  readonly detail: string
}

export type HostPeerEvent =
  | { readonly type: 'stored'; readonly stored: StoredEvent }
  | { readonly type: 'fleeting'; readonly event: FleetingEvent }
  | { readonly type: 'network'; readonly event: NetworkEvent }
  | { readonly type: 'peer-seen'; readonly peerId: PeerId }
  | { readonly type: 'peer-gone'; readonly peerId: PeerId }

export type HostKeyKind = 'signing' | 'agreement' | 'aead'

export interface HostKeyView {
  readonly keyId: string
  readonly kind: HostKeyKind
  readonly publicKey?: Uint8Array
  readonly createdAt: number
}

/** An error of the host: a type and its facts. */
export type HostError = { readonly type: string }

export interface HostKeys {
  list(): Result<readonly HostKeyView[], HostError>
  generate(kind: HostKeyKind, keyId?: string): Result<HostKeyView, HostError>
  sign(keyId: string, message: Uint8Array): Result<Uint8Array, HostError>
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Result<boolean, HostError>
  aeadEncrypt(
    key: string | Uint8Array,
    nonce: Uint8Array,
    ad: Uint8Array,
    plaintext: Uint8Array,
  ): Result<Uint8Array, HostError>
  aeadDecrypt(
    key: string | Uint8Array,
    nonce: Uint8Array,
    ad: Uint8Array,
    ciphertext: Uint8Array,
  ): Result<Uint8Array, HostError>
  exportSecret(keyId: string): Result<Uint8Array, HostError>
  remove(keyId: string): Result<undefined, HostError>
}

/** One running peer. */
export interface PeerHandle {
  readonly account: AccountId
  readonly peerId: PeerId
  readonly home: string
  /** Wall-clock ms. */
  readonly startedAt: number
  command<C extends MessagingCommand>(command: C): Promise<Result<CommandResults[C['type']], CommandError>>
  readonly network: {
    info(): HostNetworkInfo
    peers(): readonly HostPeerView[]
    connect(
      target: PeerId | string,
      timeoutMs: number,
    ): Promise<Result<ConnectionView & { readonly setupMs: number }, LinkError>>
    upgraded(peerId: PeerId, timeoutMs: number): Promise<boolean>
    disconnect(peerId: PeerId): void
    ping(peerId: PeerId, timeoutMs: number): Promise<Result<{ readonly latencyMs: number }, LinkError>>
    diagnostics(): Promise<readonly HostDiagnostic[]>
  }
  readonly keys: HostKeys
  onEvent(listener: (event: HostPeerEvent) => void): () => void
  stop(): Promise<void>
}

export interface HostStartOptions {
  readonly home: string
  /** UTF-8; undefined for a home made without one. */
  readonly passphrase: Uint8Array | undefined
  /** Port to listen on; the next free one when taken, unless `portIsExact`. */
  readonly port?: number
  readonly portIsExact?: boolean
  readonly loopbackOnly?: boolean
  readonly log?: Log
}

/** What the program needs of a host; tests give a small one in memory. */
export interface PeerHost {
  homeState(home: string): 'absent' | 'locked' | 'open'
  createHome(options: {
    readonly home: string
    readonly passphrase: Uint8Array | undefined
    readonly name: string
    readonly language?: 'en' | 'fr'
  }): Promise<
    Result<{ readonly account: AccountId; readonly peerId: PeerId; readonly words: readonly string[] }, HostError>
  >
  startPeer(options: HostStartOptions): Promise<Result<PeerHandle, HostError>>
}
