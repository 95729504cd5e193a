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

/** One device of the recipient, and how far the message got there. */
export interface DeliveryView {
  readonly peerId: PeerId
  readonly state: MessageState
  readonly reason?: StateReason
  readonly attempts: number
  /** Wall-clock ms. */
  readonly nextTryAt?: number
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
  readonly unreadCount: number
  readonly addedAt: number
  readonly lastMessageAt?: number
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
}

export const defaultSettings: Settings = {
  readReceipts: true,
  typing: true,
  presence: true,
  discoverable: 'everyone',
}
