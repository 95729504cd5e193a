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
    changed: z
      .enum(['account-key', 'session-key'])
      .exactOptional()
      .describe('A key of theirs changed: sending is stopped until contacts.trust'),
    note: z.string().exactOptional().describe('What came with their request'),
    mailboxes: z
      .number()
      .int()
      .exactOptional()
      .describe('Boxes where messages for them can be left while they are away; absent: none is known'),
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

/** Most ms of `jitterMs`, as in the messaging engine. */
const jitterMsMax = 10_000

export const jitterMsSchema = z
  .number()
  .int()
  .min(0)
  .max(jitterMsMax)
  .describe('Most milliseconds by which a message is held back at random before it goes out')
export const coverTrafficSchema = z
  .enum(['off', 'low', 'high'])
  .describe('Messages about nothing, so that real ones stand out less; it costs data')

/** What may be shown to others of an account that was blocked: nothing in it proves who wrote the messages. */
export const contactReportSchema = z
  .object({
    account: accountIdSchema,
    name: z.string(),
    reason: z.string(),
    at: timeSchema,
    note: z.string().exactOptional().describe('What came with their request'),
    messages: z
      .array(z.object({ text: z.string(), sentAt: timeSchema, storedAt: timeSchema }))
      .describe('Their latest to us, oldest first, at most 20'),
  })
  .meta({ id: 'ContactReport' })
export type ContactReport = Frozen<z.output<typeof contactReportSchema>>

export const settingsSchema = z
  .object({
    readReceipts: z.boolean().describe('Tell the sender when a message was read'),
    typing: z.boolean().describe('Tell the other side when we type'),
    presence: z.boolean().describe('Tell contacts when we are there'),
    discoverable: z.enum(['everyone', 'contacts', 'off']).describe('Who sees us on the local network'),
    jitterMs: jitterMsSchema,
    coverTraffic: coverTrafficSchema,
  })
  .meta({ id: 'Settings' })
export type Settings = Frozen<z.output<typeof settingsSchema>>
