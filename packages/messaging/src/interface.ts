import type { AccountId, MessageId, PeerId } from '@miaou/core'
import type { BoxStock, BoxSupply, DepositResult, FetchedEnvelope, StartMark, TokenStatus } from '@miaou/network'
import type { BoxAddress, FrameType } from '@miaou/protocol'
import type { ContactReport, ContactView, IdentityView, MessageView, Settings } from './views.ts'

/** What a person (through the API) asks. Every command gets one `reply` with its `id`. */
export type MessagingCommand =
  | { readonly type: 'identity' }
  | { readonly type: 'rename-self'; readonly name: string }
  | { readonly type: 'contacts-list' }
  /** Makes a contact of an invite's account and remembers how to reach it. Idempotent. */
  /** `note`: shown with the request where the other has to accept it first; at most 280 characters. */
  | { readonly type: 'contact-add-invite'; readonly invite: string; readonly name?: string; readonly note?: string }
  /** Makes a contact of the account behind a linked device (found on the LAN). Error `unknown-peer` when not linked. */
  | { readonly type: 'contact-add-peer'; readonly peerId: PeerId; readonly name?: string }
  | { readonly type: 'contact-accept'; readonly account: AccountId }
  | { readonly type: 'contact-block'; readonly account: AccountId; readonly blocked: boolean }
  | { readonly type: 'contact-verify'; readonly account: AccountId; readonly verified: boolean }
  /** The person looked at a changed key (safety number): messages go out again. Error `wrong-state` when none changed. */
  | { readonly type: 'contact-trust'; readonly account: AccountId }
  /** Blocks, and gives what a person may hand to others: nothing of it proves anything. `reason`: at most 280 characters. */
  | { readonly type: 'contact-report'; readonly account: AccountId; readonly reason?: string }
  | { readonly type: 'contact-rename'; readonly account: AccountId; readonly name: string }
  | { readonly type: 'contact-remove'; readonly account: AccountId }
  | { readonly type: 'safety-number'; readonly account: AccountId }
  /** A one-time (or `uses`-time) invite with these ways to reach us. */
  | { readonly type: 'invite-create'; readonly addresses: readonly string[]; readonly uses: number }
  /** `key`: idempotency key, ≤ 64 characters: the same key gives the same message. */
  | { readonly type: 'message-send'; readonly account: AccountId; readonly text: string; readonly key?: string }
  | { readonly type: 'message-cancel'; readonly id: MessageId }
  | { readonly type: 'message-resend'; readonly id: MessageId }
  | { readonly type: 'message-get'; readonly id: MessageId }
  /** Newest last. `before`/`after`: positions. `unread`: incoming ones not read yet. `limit` 1..200, default 20 (G18). */
  | {
      readonly type: 'messages-list'
      readonly account?: AccountId
      readonly limit?: number
      readonly before?: number
      readonly after?: number
      readonly unread?: boolean
    }
  | { readonly type: 'messages-search'; readonly query: string; readonly account?: AccountId; readonly limit?: number }
  | { readonly type: 'messages-read'; readonly account: AccountId; readonly upTo: number }
  | { readonly type: 'typing'; readonly account: AccountId; readonly typing: boolean }
  | { readonly type: 'settings-get' }
  | { readonly type: 'settings-set'; readonly settings: Partial<Settings> }
  /** Stored events after a cursor, oldest first, at most `limit` (≤ 1,000). Error `cursor-expired` when pruned, or ahead of the newest. */
  | { readonly type: 'events-since'; readonly cursor: number; readonly limit: number }
  | { readonly type: 'stats' }

export type CommandError =
  | { readonly type: 'unknown-contact'; readonly account: string }
  | { readonly type: 'unknown-message'; readonly id: string }
  | { readonly type: 'unknown-peer'; readonly peerId: string }
  | { readonly type: 'not-an-invite' }
  | { readonly type: 'damaged-invite' }
  | { readonly type: 'newer-invite' }
  | { readonly type: 'own-invite' }
  | { readonly type: 'blocked-contact'; readonly account: string }
  | { readonly type: 'empty-text' }
  | { readonly type: 'text-too-long'; readonly size: number; readonly sizeMax: number }
  | { readonly type: 'queue-full'; readonly countMax: number }
  | { readonly type: 'bad-name'; readonly sizeMax: number }
  | { readonly type: 'bad-query' }
  | { readonly type: 'wrong-state'; readonly state: string }
  | { readonly type: 'key-reused' }
  | { readonly type: 'cursor-expired'; readonly oldest: number }
  | { readonly type: 'too-many'; readonly what: string; readonly countMax: number }
  | { readonly type: 'disk-full' }
  | { readonly type: 'store-failed'; readonly detail: string }

export interface MessagingStats {
  readonly queued: number
  readonly contacts: number
  readonly messages: number
  /** Dropped input of peers, by reason. */
  readonly dropped: Readonly<Record<string, number>>
}

export interface CommandResults {
  identity: IdentityView
  'rename-self': IdentityView
  'contacts-list': readonly ContactView[]
  'contact-add-invite': ContactView
  'contact-add-peer': ContactView
  'contact-accept': ContactView
  'contact-block': ContactView
  'contact-verify': ContactView
  'contact-trust': ContactView
  'contact-report': ContactReport
  'contact-rename': ContactView
  'contact-remove': { readonly removed: true }
  'safety-number': { readonly safetyNumber: string; readonly verified: boolean }
  'invite-create': { readonly invite: string; readonly uses: number }
  'message-send': MessageView
  'message-cancel': MessageView
  'message-resend': MessageView
  'message-get': MessageView
  'messages-list': readonly MessageView[]
  'messages-search': readonly MessageView[]
  'messages-read': { readonly count: number }
  typing: { readonly sent: boolean }
  'settings-get': Settings
  'settings-set': Settings
  'events-since': { readonly events: readonly StoredEvent[]; readonly newest: number }
  stats: MessagingStats
}

/** Durable news, kept (bounded) so that a client can resume from a cursor. */
export type MessagingEvent =
  | { readonly type: 'message-received'; readonly message: MessageView }
  | { readonly type: 'message-state'; readonly message: MessageView }
  | { readonly type: 'contact-changed'; readonly contact: ContactView }
  | { readonly type: 'contact-removed'; readonly account: AccountId }
  | { readonly type: 'invite-used'; readonly account: AccountId }
  | { readonly type: 'settings-changed'; readonly settings: Settings }
  /** One quiet line for the person. */
  | { readonly type: 'notice'; readonly notice: Notice; readonly account?: AccountId }

/**
 * `session-renewed`: the session with that account was lost on one side and made anew. `contact-restored`: a device of that
 * account came back from an older copy. `copy-detected`: this device itself did, or a copy of its home runs elsewhere; the
 * account is the contact who saw it, absent for a mailbox. `account-key-changed`, `session-key-changed`: sending to that
 * account stopped until the person has looked.
 */
export type Notice =
  | 'session-renewed'
  | 'contact-restored'
  | 'copy-detected'
  | 'account-key-changed'
  | 'session-key-changed'

export interface StoredEvent {
  /** Grows by one an event; never reused. */
  readonly cursor: number
  /** Wall-clock ms. */
  readonly at: number
  readonly event: MessagingEvent
}

/** News that are worth nothing later: no cursor. */
export type FleetingEvent =
  | { readonly type: 'typing'; readonly account: AccountId; readonly typing: boolean }
  | { readonly type: 'presence'; readonly account: AccountId; readonly presence: 'online' | 'away' | 'offline' }

export type MessagingInput =
  /** A link with a device stands: its certificate was verified by the handshake and names the account it claims. */
  | {
      readonly type: 'link-up'
      readonly peerId: PeerId
      readonly accountKey: Uint8Array
      readonly sessionKey: Uint8Array
      readonly certificate: Uint8Array
    }
  | { readonly type: 'link-down'; readonly peerId: PeerId }
  | { readonly type: 'frame'; readonly peerId: PeerId; readonly frameType: FrameType; readonly payload: Uint8Array }
  | { readonly type: 'command'; readonly id: number; readonly command: MessagingCommand }
  /** A device of a contact said in a record that it signed how it is reached. */
  | {
      readonly type: 'device-ways'
      readonly peerId: PeerId
      /** Of its record; 0: it told of no way. */
      readonly sequence: number
      /** Best first; those beyond 12 are not kept. */
      readonly addresses: readonly string[]
      /** 32 bytes, when the device's own link told it. */
      readonly locatorKey?: Uint8Array
      /** Where messages for it can be left, at most 4. */
      readonly mailboxes: readonly BoxAddress[]
      /** 32 bytes: where the overlay has the manifest of its last-resort bundle. */
      readonly bundleKey?: Uint8Array
    }
  /** Own boxes that exist now or may still be written to; the whole list. */
  | {
      readonly type: 'boxes'
      readonly boxes: readonly { readonly address: BoxAddress; readonly stock: BoxStock | undefined }[]
    }
  | { readonly type: 'fetched'; readonly box: Uint8Array; readonly envelopes: readonly FetchedEnvelope[] }
  | { readonly type: 'deposited'; readonly id: number; readonly result: DepositResult }
  | { readonly type: 'checked'; readonly id: number; readonly statuses: readonly TokenStatus[] | undefined }
  /** `bytes`: a sealed bundle, from a mailbox or the overlay, not opened; undefined: none was found. */
  | { readonly type: 'bundle'; readonly id: number; readonly bytes: Uint8Array | undefined }
  /** A mailbox saw a start of this device that is later than this one, or another of its number. */
  | { readonly type: 'stale-start'; readonly seen: number }
  /** Own signed device record, encoded: hellos tell it to those who are not linked. Empty: none. */
  | { readonly type: 'own-record'; readonly record: Uint8Array }
  | { readonly type: 'wake' }

/** A device to stay linked with. */
export interface WantedPeer {
  readonly peerId: PeerId
  /** Best first, at most 16 a device. */
  readonly addresses: readonly string[]
  /** Where its records are found; undefined: it never told. */
  readonly locatorKey: Uint8Array | undefined
  /** Sequence of the record its addresses are from, 0 for none. */
  readonly waysSequence: number
}

export type MessagingOutput =
  /** `fleeting`: goes on the second channel where there is one, and is dropped rather than queued. */
  | {
      readonly type: 'send'
      readonly peerId: PeerId
      readonly frameType: FrameType
      readonly payload: Uint8Array
      readonly fleeting: boolean
    }
  | {
      readonly type: 'reply'
      readonly id: number
      readonly result:
        | { readonly ok: true; readonly value: CommandResults[keyof CommandResults] }
        | { readonly ok: false; readonly error: CommandError }
    }
  | { readonly type: 'event'; readonly stored: StoredEvent }
  | { readonly type: 'fleeting'; readonly event: FleetingEvent }
  /** The devices to stay linked with, and what is known of how to reach each: the whole list, whenever it changes. */
  | {
      readonly type: 'wanted'
      readonly peers: readonly WantedPeer[]
      /** Where the records of this device are found, 32 bytes: contacts are told. Renewed when somebody is blocked. */
      readonly ownLocatorKey: Uint8Array
    }
  /** This start of the device, counted; whenever it changes. */
  | { readonly type: 'start'; readonly mark: StartMark }
  | { readonly type: 'supply'; readonly box: Uint8Array; readonly supply: BoxSupply }
  | { readonly type: 'acknowledge'; readonly box: Uint8Array; readonly ids: readonly number[] }
  /** Leave a sealed message in a box; answered by `deposited`. Ids of these three are numbered together. */
  | {
      readonly type: 'deposit'
      readonly id: number
      readonly to: BoxAddress
      readonly token: Uint8Array | undefined
      readonly bytes: Uint8Array
    }
  | { readonly type: 'check'; readonly id: number; readonly to: BoxAddress; readonly tokens: readonly Uint8Array[] }
  /** A prekey bundle of a device: from its mailboxes, else from the overlay; answered by `bundle`. */
  | {
      readonly type: 'fetch-bundle'
      readonly id: number
      readonly from: readonly BoxAddress[]
      readonly bundleKey: Uint8Array | undefined
    }
  /** The own last-resort bundle, sealed, for the overlay; whenever it changes. */
  | { readonly type: 'last-resort'; readonly bytes: Uint8Array }
  /** Close the links of a device: its account was blocked. */
  | { readonly type: 'unlink'; readonly peerId: PeerId }
  /** What the LAN may see: settings or hint keys changed. `hintKeys`: one per contact that shall recognise us. */
  | {
      readonly type: 'visibility'
      readonly discoverable: Settings['discoverable']
      readonly hintKeys: readonly Uint8Array[]
      /** Keys by which contacts' hints are recognised, and the device they stand for. */
      readonly recognise: readonly { readonly key: Uint8Array; readonly peerId: PeerId }[]
    }
