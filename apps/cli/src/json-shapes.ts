import {
  connectedSchema,
  contactReportSchema,
  contactSchema,
  diagnosticSchema,
  gossipInfoSchema,
  gossipNewsSchema,
  gossipPublishedSchema,
  identitySchema,
  inviteSchema,
  keySchema,
  mailboxSchema,
  messageSchema,
  miaouEventSchema,
  natTypeSchema,
  networkInfoSchema,
  operations,
  overlayContactSchema,
  overlayFoundSchema,
  overlayInfoSchema,
  overlayJoinedSchema,
  overlayPongSchema,
  overlayPutSchema,
  overlayPutSignedSchema,
  overlaySummarySchema,
  pathSchema,
  peerIdSchema,
  peerViewSchema,
  pingSchema,
  relaySchema,
  safetyNumberSchema,
  servingSchema,
  settingsSchema,
  timeSchema,
} from '@miaou/sdk'
import { z } from 'zod'

/** First line of `up` and `net start`: the peer listens and the API answers. */
const readySchema = z.strictObject({
  type: z.literal('ready'),
  ...identitySchema.shape,
  addresses: z.array(z.string()),
  url: z.string(),
  home: z.string(),
  overlay: overlaySummarySchema.strict(),
  natType: natTypeSchema,
  reservations: z.array(z.string()),
  relayOnly: z.boolean(),
  /** The relay that this peer serves, to hand out. */
  relay: z.string().exactOptional(),
  publicUrl: z.string().exactOptional(),
  /** The mailbox that this peer serves, to hand out. */
  mailbox: z.string().exactOptional(),
})

/** One round trip, and what it and those before it are together. */
const pingLineSchema = z.union([
  pingSchema.strict(),
  z.strictObject({
    peerId: peerIdSchema,
    lost: z.literal(true),
    sent: z.number().int(),
    received: z.number().int(),
  }),
])

const connectStepSchema = z.discriminatedUnion('step', [
  z.strictObject({ step: z.literal('search') }),
  z.strictObject({ step: z.literal('mdns') }),
  z.strictObject({ step: z.literal('retry'), attempt: z.number().int(), waitMs: z.number() }),
  z.strictObject({ step: z.literal('addresses'), count: z.number().int(), addresses: z.array(z.string()) }),
  z.strictObject({ step: z.literal('offer'), by: z.enum(['us', 'them']) }),
  z.strictObject({ step: z.literal('answer'), by: z.enum(['us', 'them']) }),
  z.strictObject({ step: z.literal('no-webrtc') }),
  z.strictObject({ step: z.literal('standing') }),
  z.strictObject({
    step: z.literal('connected'),
    peerId: connectedSchema.shape.peerId,
    transport: z.string(),
    setupMs: z.number(),
    path: pathSchema.exactOptional(),
  }),
  z.strictObject({ step: z.literal('ping'), latencyMs: z.number() }),
  z.strictObject({ step: z.literal('message'), message: messageSchema.strict() }),
])

const exportLineSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('identity'), identity: identitySchema.strict() }),
  z.strictObject({ type: z.literal('contact'), contact: contactSchema.strict() }),
  z.strictObject({ type: z.literal('message'), message: messageSchema.strict() }),
])

const runningSchema = z.union([readySchema, miaouEventSchema.strict()])

/** What each command prints with `--json`, one object a line. Part of the interface: fields are only ever added. */
export const jsonShapes: Readonly<Record<string, z.ZodType>> = {
  start: runningSchema,
  up: runningSchema,
  'net start': runningSchema,
  id: identitySchema.strict(),
  recover: identitySchema.strict(),
  rename: identitySchema.strict(),
  invite: inviteSchema.strict(),
  settings: settingsSchema.strict(),
  'contacts list': contactSchema.strict(),
  'contacts add': contactSchema.strict(),
  'contacts accept': contactSchema.strict(),
  'contacts block': contactSchema.strict(),
  'contacts unblock': contactSchema.strict(),
  'contacts rename': contactSchema.strict(),
  'contacts remove': operations['contacts.remove'].output.strict(),
  'contacts requests': contactSchema.strict(),
  'contacts trust': z.strictObject({ safetyNumber: z.string(), trusted: z.boolean() }),
  'contacts report': contactReportSchema.strict(),
  'contacts verify': safetyNumberSchema.strict(),
  send: messageSchema.strict(),
  recv: messageSchema.strict(),
  history: messageSchema.strict(),
  search: messageSchema.strict(),
  export: exportLineSchema,
  'net list-peers': z.union([peerViewSchema.strict(), miaouEventSchema.strict()]),
  'net connect': connectStepSchema,
  'net info': networkInfoSchema.strict(),
  'net ping': pingLineSchema,
  'net diagnostics': diagnosticSchema.strict(),
  'relay list': relaySchema.strict(),
  'relay add': relaySchema.strict(),
  'relay remove': relaySchema.strict(),
  'relay info': servingSchema.strict(),
  'mailbox list': mailboxSchema.strict(),
  'mailbox add': mailboxSchema.strict(),
  'mailbox remove': mailboxSchema.strict(),
  'mailbox info': servingSchema.strict(),
  'dht put': z.union([overlayPutSchema.strict(), overlayPutSignedSchema.strict()]),
  'dht get': overlayFoundSchema.extend({ text: z.string().exactOptional() }).strict(),
  'dht info': overlayInfoSchema.strict(),
  'dht find': overlayContactSchema.strict(),
  'dht ping': overlayPongSchema.strict(),
  'dht bootstrap': overlayJoinedSchema.strict(),
  'gossip publish': gossipPublishedSchema.strict(),
  'gossip follow': gossipNewsSchema.extend({ at: timeSchema, text: z.string().exactOptional() }).strict(),
  'gossip info': gossipInfoSchema.strict(),
  'key generate': keySchema.strict(),
  'key list': keySchema.strict(),
  'key export': z.union([keySchema.strict(), operations['keys.exportSecret'].output.strict()]),
  sign: operations['keys.sign'].output.strict(),
  verify: operations['keys.verify'].output.strict(),
  'aead encrypt': operations['keys.aeadEncrypt'].output.strict(),
  'aead decrypt': z.strictObject({ plaintext: z.string(), text: z.string().exactOptional() }),
}

/** What goes to stderr with `--json` when a command fails. */
export const jsonErrorShape: z.ZodType = z.strictObject({
  error: z.strictObject({ code: z.string(), message: z.string(), hint: z.string() }),
})
