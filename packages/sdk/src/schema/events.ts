import { z } from 'zod'
import { contactSchema, settingsSchema } from './contacts.ts'
import type { Frozen } from './frozen.ts'
import { accountIdSchema, peerIdSchema, timeSchema } from './ids.ts'
import { hexSchema } from './keys.ts'
import { closeReasonSchema, linkErrorSchema } from './link-error.ts'
import { messageSchema } from './messages.ts'
import { transportKindSchema } from './network.ts'

/** One quiet line for the person. */
export const noticeSchema = z
  .enum(['session-renewed', 'contact-restored', 'copy-detected', 'account-key-changed', 'session-key-changed'])
  .describe(
    'session-renewed: the session with them was lost on one side and made anew; contact-restored: a device of theirs came back from an older copy; copy-detected: this device itself did, or a copy of its home runs elsewhere; …-key-changed: sending to them stopped until contacts.trust',
  )
export type Notice = Frozen<z.output<typeof noticeSchema>>

/** Durable news: each has a cursor from which a client can resume. */
export const storedNewsSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('message-received'), message: messageSchema }),
  z.object({ type: z.literal('message-state'), message: messageSchema }),
  z.object({ type: z.literal('contact-changed'), contact: contactSchema }),
  z.object({ type: z.literal('contact-removed'), account: accountIdSchema }),
  z.object({ type: z.literal('invite-used'), account: accountIdSchema }),
  z.object({ type: z.literal('settings-changed'), settings: settingsSchema }),
  z.object({ type: z.literal('notice'), notice: noticeSchema, account: accountIdSchema.exactOptional() }),
])
export type StoredNews = Frozen<z.output<typeof storedNewsSchema>>

/** News that are worth nothing later: no cursor, dropped when a client is slow. */
export const fleetingNewsSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('typing'), account: accountIdSchema, typing: z.boolean() }),
  z.object({ type: z.literal('presence'), account: accountIdSchema, presence: z.enum(['online', 'away', 'offline']) }),
])
export type FleetingNews = Frozen<z.output<typeof fleetingNewsSchema>>

export const networkNewsSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('connection-established'),
    connectionId: z.string(),
    peerId: peerIdSchema,
    transport: transportKindSchema,
    setupMs: z.number(),
    latencyMs: z.number().exactOptional(),
  }),
  z.object({
    type: z.literal('connection-closed'),
    connectionId: z.string(),
    peerId: peerIdSchema,
    transport: transportKindSchema,
    reason: closeReasonSchema,
  }),
  z.object({
    type: z.literal('connection-error'),
    connectionId: z.string(),
    peerId: peerIdSchema.exactOptional(),
    address: z.string().exactOptional().describe('Dialled without knowing who answers'),
    error: linkErrorSchema,
  }),
])
export type NetworkNews = Frozen<z.output<typeof networkNewsSchema>>

const lanNewsSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('peer-seen'), peerId: peerIdSchema }),
  z.object({ type: z.literal('peer-gone'), peerId: peerIdSchema }),
])

/** A message of a topic that the stream asked for: kept nowhere, and never sent again. */
export const gossipNewsSchema = z.object({
  type: z.literal('gossip'),
  topic: z.string(),
  messageId: hexSchema.describe('SHA-256 of the message'),
  origin: hexSchema.describe('Ed25519 key of whoever published, verified: a pseudonym, not a device'),
  payload: hexSchema,
})

export const newsSchema = z.union([
  storedNewsSchema,
  fleetingNewsSchema,
  networkNewsSchema,
  lanNewsSchema,
  gossipNewsSchema,
])
export type News = Frozen<z.output<typeof newsSchema>>

/** One event of the stream. With a cursor it is durable: a client that has seen it may resume after that cursor. */
export const miaouEventSchema = z
  .object({ cursor: z.number().int().exactOptional(), at: timeSchema, event: newsSchema })
  .meta({ id: 'Event' })
export type MiaouEvent = Frozen<z.output<typeof miaouEventSchema>>

/**
 * What the server writes on the event socket: `ready` once (with the cursor the stream starts after), `beat` while
 * nothing happens, `event`, and `error` before it ends a stream by itself.
 */
export const eventFrameSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready'), cursor: z.number().int() }),
  z.object({ type: z.literal('beat') }),
  z.object({ type: z.literal('event'), event: miaouEventSchema }),
  z.object({
    type: z.literal('error'),
    error: z.object({
      code: z.string(),
      message: z.string(),
      hint: z.string(),
      facts: z.record(z.string(), z.unknown()).exactOptional(),
    }),
  }),
])
export type EventFrame = Frozen<z.output<typeof eventFrameSchema>>
