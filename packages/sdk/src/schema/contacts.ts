import { z } from 'zod'
import type { Frozen } from './frozen.ts'
import { accountIdSchema, peerIdSchema, timeSchema } from './ids.ts'

/** Us. */
export const identitySchema = z
  .object({ account: accountIdSchema, peerId: peerIdSchema, name: z.string() })
  .meta({ id: 'Identity' })
export type Identity = Frozen<z.output<typeof identitySchema>>

/** `contact`: may write. `request`: wrote first and waits for an answer. `blocked`: dropped in silence. */
export const contactStateSchema = z.enum(['contact', 'request', 'blocked'])
export type ContactState = Frozen<z.output<typeof contactStateSchema>>

export const contactSchema = z
  .object({
    account: accountIdSchema,
    name: z.string().describe('Our own name for them, else the one they gave'),
    state: contactStateSchema,
    verified: z.boolean().describe('The safety number was compared by the person'),
    devices: z.array(peerIdSchema),
    forked: z.boolean().describe('Account-signed device lists disagree: sending is stopped'),
    unreadCount: z.number().int(),
    addedAt: timeSchema,
    lastMessageAt: timeSchema.exactOptional(),
  })
  .meta({ id: 'Contact' })
export type Contact = Frozen<z.output<typeof contactSchema>>

export const safetyNumberSchema = z
  .object({ safetyNumber: z.string(), verified: z.boolean() })
  .meta({ id: 'SafetyNumber' })
export type SafetyNumber = Frozen<z.output<typeof safetyNumberSchema>>

export const inviteSchema = z
  .object({ invite: z.string().describe('miaou:invite/…'), uses: z.number().int() })
  .meta({ id: 'Invite' })
export type Invite = Frozen<z.output<typeof inviteSchema>>

export const settingsSchema = z
  .object({
    readReceipts: z.boolean().describe('Tell the sender when a message was read'),
    typing: z.boolean().describe('Tell the other side when we type'),
    presence: z.boolean().describe('Tell contacts when we are there'),
    discoverable: z.enum(['everyone', 'contacts', 'off']).describe('Who sees us on the local network'),
  })
  .meta({ id: 'Settings' })
export type Settings = Frozen<z.output<typeof settingsSchema>>
