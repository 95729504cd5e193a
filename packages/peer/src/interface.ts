import type { PeerId } from '@miaou/core'
import type {
  CommandError,
  CommandResults,
  FleetingEvent,
  MessagingCommand,
  MessagingInput,
  MessagingOutput,
  StoredEvent,
} from '@miaou/messaging'
import type {
  Advertisement,
  CircuitsInput,
  CircuitsOutput,
  DiscoveredPeer,
  MailboxesInput,
  MailboxesOutput,
  NetworkEvent,
  NetworkInput,
  NetworkOutput,
} from '@miaou/network'
import type { HeardWays, OwnWays } from './contact-ways.ts'
import type { GossipCommand, GossipNews, GossipResult } from './gossip-interface.ts'
import type { OverlayHint, OwnOverlayNode } from './overlay-telling.ts'

/** What the host tells the peer. */
export type PeerInput =
  /** Everything about pipes, and what a person asks of the network. */
  | { readonly type: 'network'; readonly input: NetworkInput }
  /** Relays and the pipes to them; circuits themselves are the peer's own affair. */
  | {
      readonly type: 'circuits'
      readonly input: Extract<CircuitsInput, { readonly type: 'relays' | 'transport' | 'measure' }>
    }
  /** Where own boxes are to be kept, and the pipes to mailboxes that are dialled straight. */
  | {
      readonly type: 'mailboxes'
      readonly input: Extract<MailboxesInput, { readonly type: 'mailboxes' | 'transport' }>
    }
  /** Answers `find-bundle`. `bytes`: undefined where the overlay has none. */
  | { readonly type: 'found-bundle'; readonly id: number; readonly bytes: Uint8Array | undefined }
  | { readonly type: 'command'; readonly id: number; readonly command: MessagingCommand }
  /** The whole list a discovery holds now. */
  | { readonly type: 'discovered'; readonly peers: readonly DiscoveredPeer[] }
  /** The transports listen: what can be advertised from now on. */
  | { readonly type: 'listening'; readonly port: number }
  | { readonly type: 'gossip'; readonly id: number; readonly command: GossipCommand }
  /** What linked contacts are told of the own node of the overlay, whenever it changes; undefined: nothing. */
  | { readonly type: 'overlay-node'; readonly node: OwnOverlayNode | undefined }
  /** How linked contacts are told to reach this device; undefined: nothing. */
  | { readonly type: 'own-ways'; readonly ways: OwnWays | undefined }
  /** A record of a contact's device that was found elsewhere than on its link, verified. */
  | Extract<MessagingInput, { readonly type: 'device-ways' }>
  | { readonly type: 'wake' }

/** What the host does for the peer, in this order, after the batch was committed. */
export type PeerOutput =
  | Extract<
      NetworkOutput,
      { readonly type: 'dial' | 'write' | 'close' | 'offer' | 'accept' | 'answer' | 'add-candidate' | 'pong' }
    >
  /** `write` and `close` of such a pipe are those above. */
  | Extract<CircuitsOutput, { readonly type: 'relay-dial' | 'reservations' | 'ice-servers' | 'measured' }>
  /** `write` and `close` of such a pipe are those above. */
  | Extract<MailboxesOutput, { readonly type: 'mailbox-dial' | 'boxes' }>
  /** The mailboxes of a device gave no prekey bundle: the overlay may. `bundleKey`: of its manifest, 32 bytes. */
  | { readonly type: 'find-bundle'; readonly id: number; readonly bundleKey: Uint8Array }
  /** The own last-resort bundle, sealed, to be stored in the overlay in parts. */
  | Extract<MessagingOutput, { readonly type: 'last-resort' }>
  | {
      readonly type: 'reply'
      readonly id: number
      readonly result:
        | { readonly ok: true; readonly value: CommandResults[keyof CommandResults] }
        | { readonly ok: false; readonly error: CommandError }
    }
  | { readonly type: 'gossip-reply'; readonly id: number; readonly result: GossipResult }
  /** A linked contact told of its own node of the overlay: a claim. */
  | { readonly type: 'overlay-hints'; readonly peerId: PeerId; readonly hints: readonly OverlayHint[] }
  /** A linked contact told how it is reached, and of relays it met. */
  | { readonly type: 'heard-ways'; readonly ways: HeardWays }
  /** Whom to stay linked with, and where the own records are to be found; whenever either changes. */
  | Extract<MessagingOutput, { readonly type: 'wanted' }>
  /** Undefined: be silent on the LAN. */
  | { readonly type: 'advertise'; readonly advertisement: Advertisement | undefined }
  | { readonly type: 'event'; readonly event: PeerEvent }

/** What a person who watches the peer sees happen. */
export type PeerEvent =
  | { readonly type: 'stored'; readonly stored: StoredEvent }
  | { readonly type: 'fleeting'; readonly event: FleetingEvent }
  | { readonly type: 'network'; readonly event: NetworkEvent }
  | GossipNews
  | { readonly type: 'peer-seen'; readonly peerId: PeerId }
  | { readonly type: 'peer-gone'; readonly peerId: PeerId }
