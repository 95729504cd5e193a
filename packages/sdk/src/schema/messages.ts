import { z } from 'zod'
import type { Frozen } from './frozen.ts'
import { accountIdSchema, messageIdSchema, peerIdSchema, timeSchema } from './ids.ts'

/** How far a message got. */
export const messageStateSchema = z.enum([
  'queued',
  'sent',
  'held',
  'delivered',
  'read',
  'refused',
  'expired',
  'cancelled',
])
export type MessageState = Frozen<z.output<typeof messageStateSchema>>

/** Why a message is where it is. */
export const stateReasonSchema = z.enum([
  'recipient-offline',
  'awaiting-receipt',
  'request-pending',
  'blocked',
  'unsupported',
  'too-old',
  'expired',
  'refused-too-often',
  'device-list-fork',
  'key-changed',
  'no-mailbox',
  'no-prekeys',
  'mailboxes-unreachable',
  'mailboxes-full',
])
export type StateReason = Frozen<z.output<typeof stateReasonSchema>>

/** A mailbox that has a message on disk until the recipient fetches it. */
export const holderSchema = z
  .object({
    mailbox: z.string().describe("The mailbox's id: 22 characters"),
    until: timeSchema.describe('It gives up then'),
  })
  .meta({ id: 'Holder' })
export type Holder = Frozen<z.output<typeof holderSchema>>

/** One device of the recipient, and how far the message got there. */
export const deliverySchema = z
  .object({
    peerId: peerIdSchema,
    state: messageStateSchema,
    reason: stateReasonSchema.exactOptional(),
    attempts: z.number().int(),
    nextTryAt: timeSchema.exactOptional(),
    heldBy: z.array(holderSchema).exactOptional().describe('While held'),
  })
  .meta({ id: 'Delivery' })
export type Delivery = Frozen<z.output<typeof deliverySchema>>

export const messageSchema = z
  .object({
    id: messageIdSchema,
    contact: accountIdSchema.describe('The other account of the conversation'),
    direction: z.enum(['in', 'out']),
    text: z.string(),
    sentAt: timeSchema.describe("When the sender's clock says it was sent"),
    storedAt: timeSchema.describe('When this device stored it'),
    state: messageStateSchema.describe('Outgoing: the most advanced of its devices'),
    reason: stateReasonSchema.exactOptional(),
    nextTryAt: timeSchema.exactOptional(),
    expiresAt: timeSchema.exactOptional(),
    heldBy: z.array(holderSchema).exactOptional().describe('While held: the mailboxes of its most advanced device'),
    deliveries: z.array(deliverySchema),
    position: z.number().int().describe('Place in the history of this home: the cursor of paging'),
  })
  .meta({ id: 'Message' })
export type Message = Frozen<z.output<typeof messageSchema>>
