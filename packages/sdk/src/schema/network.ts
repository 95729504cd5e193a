import { z } from 'zod'
import type { Frozen } from './frozen.ts'
import { accountIdSchema, peerIdSchema, timeSchema } from './ids.ts'
import { overlaySummarySchema } from './overlay.ts'

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

export const closeReasonSchema = z.enum([
  'bye',
  'upgraded',
  'duplicate',
  'blocked',
  'busy',
  'shutdown',
  'protocol-error',
  'silent',
  'pipe-lost',
  'handshake-timeout',
  'too-many-links',
])
export type CloseReason = Frozen<z.output<typeof closeReasonSchema>>

/** Why a handshake or a link failed. */
export const linkErrorSchema = z
  .discriminatedUnion('type', [
    z.object({ type: z.literal('bad-frame'), detail: z.string() }),
    z.object({ type: z.literal('bad-handshake'), detail: z.string() }),
    z.object({ type: z.literal('unsupported-version'), version: z.number() }),
    z.object({ type: z.literal('bad-certificate'), detail: z.string() }),
    z.object({ type: z.literal('wrong-peer'), expected: peerIdSchema, actual: peerIdSchema }),
    z.object({ type: z.literal('channel-binding-mismatch') }),
    z.object({ type: z.literal('self') }),
    z.object({ type: z.literal('handshake-timeout'), afterMs: z.number() }),
    z.object({ type: z.literal('undecryptable'), channel: z.union([z.literal(0), z.literal(1)]) }),
    z.object({ type: z.literal('unreachable'), detail: z.string() }),
    z.object({ type: z.literal('silent'), forMs: z.number() }),
    z.object({ type: z.literal('broken'), detail: z.string() }),
    z.object({ type: z.literal('refused'), reason: closeReasonSchema }),
    z.object({ type: z.literal('no-address') }),
  ])
  .meta({ id: 'LinkError' })
export type LinkFailure = Frozen<z.output<typeof linkErrorSchema>>

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
    natType: z.literal('unknown'),
    connectedPeers: z.number().int(),
    queuedMessages: z.number().int(),
    uptimeMs: z.number(),
    counters: z.record(z.string(), z.number()).describe('Dropped input and failures, by reason'),
    webrtc: z.enum(['wrtc', 'werift']),
    discoverable: z.enum(['everyone', 'contacts', 'off']),
    overlay: overlaySummarySchema,
  })
  .meta({ id: 'NetworkInfo' })
export type NetworkInfo = Frozen<z.output<typeof networkInfoSchema>>

export const pingSchema = z.object({ peerId: peerIdSchema, latencyMs: z.number() }).meta({ id: 'Ping' })
export type Ping = Frozen<z.output<typeof pingSchema>>

/** Row I16: one line of the diagnosis. */
export const diagnosticSchema = z
  .object({
    name: z.enum(['store', 'keys', 'clock', 'websocket', 'mdns', 'webrtc', 'stun', 'turn', 'dns', 'overlay']),
    state: z.enum(['ok', 'failed', 'not-configured']),
    ms: z.number().exactOptional(),
    detail: z.string(),
  })
  .meta({ id: 'Diagnostic' })
export type Diagnostic = Frozen<z.output<typeof diagnosticSchema>>
