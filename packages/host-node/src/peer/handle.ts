import type { AccountId, PeerId, Result } from '@miaou/core'
import type { CommandError, CommandResults, MessagingCommand, Settings } from '@miaou/messaging'
import type { ConnectionView, ConnectivityReport, LinkError, MailboxView, NatType, RelayView } from '@miaou/network'
import type { PeerEvent } from '@miaou/peer'
import type { CircuitAddress, MailboxAddress, RelayAddress } from '@miaou/protocol'
import type { OverlayHandle } from '../overlay/handle.ts'
import type { WebRtcLibrary } from './adapters.ts'
import type { AddRelayError } from './added-relays.ts'
import type { GossipHandle } from './gossip-face.ts'
import type { UserKeys } from './user-keys.ts'

/** Row I15. */
export interface NetworkInfo {
  readonly peerId: PeerId
  /** What others can dial, best first: where it is public, then where the router lets others in, then the listener. */
  readonly addresses: readonly string[]
  /** Row D13; `unknown` until enough servers were asked. */
  readonly natType: NatType
  readonly connectedPeers: number
  readonly uptimeMs: number
  /** Dropped input and failures by reason, since the start. */
  readonly counters: Readonly<Record<string, number>>
  readonly webrtc: WebRtcLibrary
  readonly discoverable: Settings['discoverable']
  /** Relays in use or tried, best first. */
  readonly relays: readonly RelayEntry[]
  /** Own ways through relays, as they stand in invites, best first. */
  readonly reservations: readonly CircuitAddress[]
  /** Mailboxes where messages for this peer are left, in use or tried, best first. */
  readonly mailboxes: readonly MailboxEntry[]
  /** The own network address is shown to no peer. */
  readonly relayOnly: boolean
  /** What this peer does for others; absent where it does nothing. */
  readonly serving?: Serving
  readonly portMapping: PortMapping
  /** Where others dial the listener, as configured. */
  readonly publicUrl?: string
}

/** A relay, and who named it. */
export interface RelayEntry extends RelayView {
  readonly source: RelaySource
}

/** `config`: config.json or the command line; `added`: by command; the others are learnt and come and go by themselves. */
export type RelaySource = 'config' | 'added' | 'invite' | 'contact' | 'overlay'

/** A mailbox of ours, and who named it. */
export interface MailboxEntry extends MailboxView {
  readonly source: MailboxSource
}

/** `config`: config.json or the command line; `added`: by command; `contact`: a contact keeps its box there. */
export type MailboxSource = 'config' | 'added' | 'contact'

/** What a relay of ours does now. */
export interface RelayServing {
  /** To hand out. */
  readonly address: RelayAddress
  readonly reservations: number
  readonly circuits: number
  /** Passed on since midnight UTC. */
  readonly bytesToday: number
  readonly limits: {
    readonly reservationsMax: number
    readonly circuitsMax: number
    /** 0: no limit. */
    readonly bytesPerSecond: number
    readonly bytesPerDay: number
  }
  /** Port of the STUN answerer; absent where it is off or could not be opened. */
  readonly stunPort?: number
  readonly counters: Readonly<Record<string, number>>
}

/** What a mailbox of ours keeps for others now. */
export interface MailboxServing {
  /** To hand out. */
  readonly address: MailboxAddress
  /** Peers that registered. */
  readonly boxes: number
  /** Sealed messages that wait to be fetched. */
  readonly envelopes: number
  /** Their bytes on disk. */
  readonly bytes: number
  readonly limits: {
    readonly boxesMax: number
    readonly bytesMax: number
    readonly bytesPerBoxMax: number
  }
  readonly counters: Readonly<Record<string, number>>
}

export interface Serving {
  readonly relay?: RelayServing
  readonly mailbox?: MailboxServing
}

/** Whether the router lets others in at our asking. */
export interface PortMapping {
  /** `none`: no router here offers it; `off`: none is asked. */
  readonly state: 'off' | 'searching' | 'mapped' | 'none' | 'failed'
  readonly protocol?: 'pcp' | 'nat-pmp' | 'upnp'
  /** `203.0.113.5:9999`. */
  readonly external?: string
  /** Why it failed, for people. */
  readonly error?: string
}

/** Rows C17, I14: a peer on the LAN, of a contact, or linked with us. */
export interface PeerView extends ConnectionView {
  readonly account?: AccountId
  readonly name?: string
  readonly seenBy: 'mdns' | 'contact' | 'link'
  /** Whether this side makes the WebRTC offer: the smaller peer id does. */
  readonly shouldInitiate: boolean
}

/**
 * Row I16: one check of what this machine has. `ms`: how long it took. The words are in `packages/text`, by `code` and
 * `facts` (`diagnosticCodes` of `packages/sdk` has all of them); `detail` is for what has no code.
 */
export interface DiagnosticCheck {
  readonly name: 'store' | 'keys' | 'clock' | 'websocket' | 'mdns' | 'webrtc' | 'stun' | 'turn' | 'dns'
  readonly state: 'ok' | 'warning' | 'failed' | 'not-configured'
  readonly ms?: number
  readonly code?: string
  readonly facts?: Readonly<Record<string, string | number>>
  readonly detail?: string
}

/** A name of the configured servers and relays, and whether it has an address now. */
export interface NameReport {
  readonly name: string
  readonly state: 'ok' | 'failed'
  readonly ms: number
  readonly address?: string
  readonly detail?: string
}

/** Rows D11, I16: what the servers that are configured, or offered by relays in use, say of the way to us. */
export interface Connectivity {
  /** Absent where there is no server to ask. */
  readonly report?: ConnectivityReport
  readonly names: readonly NameReport[]
}

/** The way to a relay. */
export interface RelayMeasurement {
  readonly latencyMs: number
  readonly downBytesPerSecond: number
  readonly upBytesPerSecond: number
}

/** `too-many-mailboxes`: of those kept in the home. `unwritable`: the home, with the system's code. */
export type AddMailboxError =
  | { readonly type: 'too-many-mailboxes'; readonly mailboxesMax: number }
  | { readonly type: 'unwritable'; readonly code: string }

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
    /** What this machine has, without asking anybody else. */
    diagnostics(): Promise<readonly DiagnosticCheck[]>
    /** Asks every server once; takes seconds where one is silent. */
    connectivity(): Promise<Connectivity>
    /** Half a second of filler in both directions, with a relay that is linked. */
    measure(
      relay: RelayAddress,
    ): Promise<Result<RelayMeasurement, Stopped | { readonly type: 'unavailable'; readonly detail: string }>>
    /** Relays in use or tried, best first. */
    relays(): readonly RelayEntry[]
    /** Keeps a relay in the home, best first from now on; at the same relay's old URL it takes that place. */
    addRelay(relay: RelayAddress): Result<undefined, AddRelayError | Stopped>
    /** Whether it was one that had been added. What config.json names stays. */
    removeRelay(relay: RelayAddress): Result<boolean, AddRelayError | Stopped>
    /** Own mailboxes in use or tried, best first. */
    mailboxes(): readonly MailboxEntry[]
    /** Keeps a mailbox in the home, best first from now on; at the same mailbox's old URL it takes that place. */
    addMailbox(mailbox: MailboxAddress): Result<undefined, AddMailboxError | Stopped>
    /** Whether it was one that had been added. What config.json names stays. */
    removeMailbox(mailbox: MailboxAddress): Result<boolean, AddMailboxError | Stopped>
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
