import type { AccountId, MessageId, PeerId } from '@miaou/core'

/** How far a message got. `held` needs a mailbox, `cancelled` its sender. */
export type MessageState = 'queued' | 'sent' | 'held' | 'delivered' | 'read' | 'refused' | 'expired' | 'cancelled'

/** Why a message is where it is; words for people are the text package's matter. */
export type StateReason =
  | 'recipient-offline'
  | 'awaiting-receipt'
  | 'request-pending'
  | 'blocked'
  | 'unsupported'
  | 'too-old'
  | 'expired'
  | 'refused-too-often'
  | 'device-list-fork'
  /** A key of theirs changed: nothing is sent until the person has looked. */
  | 'key-changed'
  /** They are offline and name no mailbox. */
  | 'no-mailbox'
  /** No prekey bundle of theirs could be had. */
  | 'no-prekeys'
  | 'mailboxes-unreachable'
  | 'mailboxes-full'

/** A mailbox that has a message on disk until the recipient fetches it. */
export interface HolderView {
  /** The mailbox's id, base64url. */
  readonly mailbox: string
  /** Wall-clock ms at which it gives up. */
  readonly until: number
}

/** One device of the recipient, and how far the message got there. */
export interface DeliveryView {
  readonly peerId: PeerId
  readonly state: MessageState
  readonly reason?: StateReason
  readonly attempts: number
  /** Wall-clock ms. */
  readonly nextTryAt?: number
  /** While `held`. */
  readonly heldBy?: readonly HolderView[]
}

export interface MessageView {
  readonly id: MessageId
  /** The other account of the conversation. */
  readonly contact: AccountId
  readonly direction: 'in' | 'out'
  readonly text: string
  /** Wall-clock ms as the sender's clock said. */
  readonly sentAt: number
  /** Wall-clock ms at which this device stored it. */
  readonly storedAt: number
  /** Incoming: `delivered` until it is read here, then `read`. Outgoing: the most advanced of its devices. */
  readonly state: MessageState
  readonly reason?: StateReason
  /** Wall-clock ms. */
  readonly nextTryAt?: number
  readonly expiresAt?: number
  /** While `held`: the mailboxes of its most advanced device. */
  readonly heldBy?: readonly HolderView[]
  readonly deliveries: readonly DeliveryView[]
  /** Position in the history of this home: grows with every message stored; the cursor of paging. */
  readonly position: number
}

/** `contact`: may write. `request`: wrote first and waits for an answer. `blocked`: dropped in silence. */
export type ContactState = 'contact' | 'request' | 'blocked'

export interface ContactView {
  readonly account: AccountId
  /** What we call them: our own name for them, else the one they gave. */
  readonly name: string
  readonly state: ContactState
  /** The safety number was compared by the person. */
  readonly verified: boolean
  readonly devices: readonly PeerId[]
  /** Account-signed device lists disagree: sending is stopped. */
  readonly forked: boolean
  /** A key of theirs changed: sending is stopped until the person has looked. */
  readonly changed?: 'account-key' | 'session-key'
  /** What came with their request. */
  readonly note?: string
  /** Boxes where messages for them can be left while they are away; absent: none is known. */
  readonly mailboxes?: number
  readonly unreadCount: number
  readonly addedAt: number
  readonly lastMessageAt?: number
}

/** What a person may show to others of one they block. Messages are deniable: nothing here proves who wrote them. */
export interface ContactReport {
  readonly account: AccountId
  readonly name: string
  readonly reason: string
  /** Wall-clock ms. */
  readonly at: number
  readonly note?: string
  /** Their latest messages to us, oldest first, at most 20. */
  readonly messages: readonly { readonly text: string; readonly sentAt: number; readonly storedAt: number }[]
}

export interface IdentityView {
  readonly account: AccountId
  readonly peerId: PeerId
  readonly name: string
}

export interface Settings {
  /** Send receipts when a message was read. */
  readonly readReceipts: boolean
  readonly typing: boolean
  readonly presence: boolean
  readonly discoverable: 'everyone' | 'contacts' | 'off'
  /** Most ms by which a message is held back at random before it goes out (H05), 0 to 10,000. */
  readonly jitterMs: number
  /** Messages about nothing, so that real ones stand out less; what they cost: spec/sealed. */
  readonly coverTraffic: 'off' | 'low' | 'high'
}

export const defaultSettings: Settings = {
  readReceipts: true,
  typing: true,
  presence: true,
  discoverable: 'everyone',
  jitterMs: 20,
  coverTraffic: 'off',
}
