import { z } from 'zod'
import type { Frozen } from './frozen.ts'
import { accountIdSchema, peerIdSchema, timeSchema } from './ids.ts'
import { linkErrorSchema } from './link-error.ts'
import { overlaySummarySchema } from './overlay.ts'
import {
  mailboxSchema,
  natTypeSchema,
  pathSchema,
  portMappingSchema,
  relaySchema,
  servingSchema,
  whyNotBetterSchema,
} from './reach.ts'

export const transportKindSchema = z.enum(['webrtc', 'websocket', 'circuit', 'memory'])
export type TransportKind = Frozen<z.output<typeof transportKindSchema>>

export const connectionStateSchema = z.enum([
  'idle',
  'dialing',
  'handshaking',
  'connected',
  'upgrading',
  'waiting',
  'closed',
])
export type ConnectionState = Frozen<z.output<typeof connectionStateSchema>>

/** Row D28. */
export const connectionStatsSchema = z.object({
  bytesSent: z.number(),
  bytesReceived: z.number(),
  messagesSent: z.number(),
  messagesReceived: z.number(),
  connectedAt: timeSchema.exactOptional(),
  currentState: connectionStateSchema,
})

/** What is known of the connection with one peer. */
export const connectionViewSchema = z
  .object({
    peerId: peerIdSchema,
    state: connectionStateSchema,
    transport: transportKindSchema.exactOptional(),
    connectionId: z.string().exactOptional(),
    addresses: z.array(z.string()),
    latencyMs: z.number().exactOptional().describe('Smoothed round trip; absent until measured'),
    features: z.array(z.string()),
    stats: connectionStatsSchema,
    error: linkErrorSchema.exactOptional(),
    nextTryAt: z.number().exactOptional().describe("Milliseconds of the peer's own clock, not a date"),
    path: pathSchema.exactOptional().describe('Absent where it is not known'),
    isSuspect: z.boolean().exactOptional().describe('Something is unanswered for too long: other ways are tried'),
    whyNotBetter: whyNotBetterSchema.exactOptional(),
  })
  .meta({ id: 'Connection' })
export type ConnectionView = Frozen<z.output<typeof connectionViewSchema>>

/** A peer on the LAN, of a contact, or linked with us. */
export const peerViewSchema = connectionViewSchema
  .extend({
    account: accountIdSchema.exactOptional(),
    name: z.string().exactOptional(),
    seenBy: z.enum(['mdns', 'contact', 'link']),
    shouldInitiate: z.boolean().describe('This side makes the WebRTC offer: the smaller peer id does'),
  })
  .meta({ id: 'Peer' })
export type PeerView = Frozen<z.output<typeof peerViewSchema>>

export const connectedSchema = connectionViewSchema.extend({ setupMs: z.number() }).meta({ id: 'Connected' })
export type Connected = Frozen<z.output<typeof connectedSchema>>

/** Row I15, with `queuedMessages` from messaging. */
export const networkInfoSchema = z
  .object({
    peerId: peerIdSchema,
    addresses: z.array(z.string()).describe('What others can dial'),
    natType: natTypeSchema,
    connectedPeers: z.number().int(),
    queuedMessages: z.number().int(),
    uptimeMs: z.number(),
    counters: z.record(z.string(), z.number()).describe('Dropped input and failures, by reason'),
    webrtc: z.enum(['wrtc', 'werift']),
    discoverable: z.enum(['everyone', 'contacts', 'off']),
    overlay: overlaySummarySchema,
    relays: z.array(relaySchema).describe('In use or tried, best first'),
    reservations: z.array(z.string()).describe('Own ways through relays, as they stand in invites: circuit:…'),
    mailboxes: z.array(mailboxSchema).describe('Own mailboxes in use or tried, best first'),
    relayOnly: z.boolean().describe('The own network address is shown to no peer'),
    serving: servingSchema.exactOptional(),
    portMapping: portMappingSchema,
    publicUrl: z.string().exactOptional().describe('Where others dial the listener, as configured'),
  })
  .meta({ id: 'NetworkInfo' })
export type NetworkInfo = Frozen<z.output<typeof networkInfoSchema>>

/** Several round trips with one peer. */
export const pingSchema = z
  .object({
    peerId: peerIdSchema,
    latencyMs: z.number().describe('The median'),
    sent: z.number().int(),
    received: z.number().int(),
    minMs: z.number(),
    medianMs: z.number(),
    maxMs: z.number(),
    results: z
      .array(z.object({ latencyMs: z.number().exactOptional() }))
      .describe('In the order sent; without latencyMs: lost'),
    transport: transportKindSchema.exactOptional(),
    path: pathSchema.exactOptional(),
  })
  .meta({ id: 'Ping' })
export type Ping = Frozen<z.output<typeof pingSchema>>
