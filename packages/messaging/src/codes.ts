import type { ContactState, MessageState, StateReason } from './views.ts'

/** How far a message is with one device, as the column `deliveries.state` holds it: up to 2 it is still on its way. */
export const deliveryCodes: Readonly<Record<MessageState, number>> = {
  queued: 0,
  sent: 1,
  held: 2,
  delivered: 3,
  read: 4,
  refused: 5,
  expired: 6,
  cancelled: 7,
}

const deliveryNames: readonly MessageState[] = [
  'queued',
  'sent',
  'held',
  'delivered',
  'read',
  'refused',
  'expired',
  'cancelled',
]

/** `messages.state`: 0 outgoing (its deliveries say more), 1 unread, 2 read and the sender not told yet, 3 read. */
export const messageCodes: Readonly<Record<'outgoing' | 'unread' | 'readOwed' | 'read', number>> = {
  outgoing: 0,
  unread: 1,
  readOwed: 2,
  read: 3,
}

/** Why a message waits in general (offline, awaiting a receipt, no mailbox, a fork, a changed key) is not stored but derived. */
export type StoredReason = Extract<
  StateReason,
  'request-pending' | 'blocked' | 'unsupported' | 'too-old' | 'expired' | 'refused-too-often'
>

/** `deliveries.reason`. */
export const reasonCodes: Readonly<Record<StoredReason, number>> = {
  'request-pending': 1,
  blocked: 2,
  unsupported: 3,
  'too-old': 4,
  expired: 5,
  'refused-too-often': 6,
}

const reasonNames = new Map<number, StoredReason>(
  Object.entries(reasonCodes).map(([name, code]) => [code, name as StoredReason]),
)

/** `contacts.state`. */
export const contactCodes: Readonly<Record<ContactState | 'stranger', number>> = {
  contact: 0,
  request: 1,
  blocked: 2,
  stranger: 3,
}

const contactNames: readonly (ContactState | 'stranger')[] = ['contact', 'request', 'blocked', 'stranger']

export function codeToDelivery(code: number): MessageState {
  return deliveryNames[code] ?? 'queued'
}

export function codeToReason(code: number): StoredReason | undefined {
  return reasonNames.get(code)
}

export function codeToContact(code: number): ContactState | 'stranger' {
  return contactNames[code] ?? 'blocked'
}

// A message still under way with one device is not at its end because another device refused it.
const advancement: Readonly<Record<MessageState, number>> = {
  cancelled: 0,
  expired: 1,
  refused: 2,
  queued: 3,
  sent: 4,
  held: 5,
  delivered: 6,
  read: 7,
}

/** Whether `a` counts as further than `b` when a message shows its most advanced device. */
export function isFurther(a: MessageState, b: MessageState): boolean {
  return advancement[a] > advancement[b]
}
