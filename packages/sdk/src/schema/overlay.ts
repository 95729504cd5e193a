import { z } from 'zod'
import type { Frozen } from './frozen.ts'
import { peerIdSchema } from './ids.ts'
import { hexSchema } from './keys.ts'

const bytes32Schema = z.string().regex(/^[0-9a-fA-F]{64}$/)

/** SHA-256 of a node's overlay key. */
export const nodeIdSchema = bytes32Schema.describe('A node: 64 hexadecimal digits')

/** SHA-256 of the value, or of the public key and the name under which a record was signed. */
export const recordKeySchema = bytes32Schema.describe('Where a record is stored: 64 hexadecimal digits')

/** What others paste to join through a node. */
export const nodeAddressSchema = z
  .string()
  .min(1)
  .max(512)
  .describe('A node: <overlay key in base64url>@host:port, as overlay.info shows its own')

/** A node behind a NAT, and one through whom it is reached. */
export const clientAddressSchema = z
  .string()
  .min(1)
  .max(512)
  .describe('A node behind a router: <its key>@<key of a server>@host:port, as overlay.info shows its own')

/** What one operation took. */
export const lookupCostSchema = z
  .object({
    requests: z.number().int(),
    timeouts: z.number().int(),
    hops: z.number().int().describe('Depth of the deepest node asked; 1: known before'),
    ms: z.number(),
  })
  .meta({ id: 'LookupCost' })
export type LookupCost = Frozen<z.output<typeof lookupCostSchema>>

export const overlayStateSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('running') }),
  z.object({ type: z.literal('off'), reason: z.enum(['offline', 'disabled']) }),
  z.object({ type: z.literal('unavailable'), detail: z.string().describe('Why no UDP socket could be opened') }),
  z.object({ type: z.literal('stopped') }),
])
export type OverlayState = Frozen<z.output<typeof overlayStateSchema>>

/** Row C19. `alone`: nobody to ask. `failed`: nobody of those asked answered. */
export const bootstrapStateSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('alone') }),
  z.object({ type: z.literal('trying'), asked: z.number().int() }),
  z.object({ type: z.literal('bootstrapped') }),
  z.object({
    type: z.literal('failed'),
    asked: z.number().int(),
    unresolved: z.number().int().describe('Names without an address at present'),
    nextTryInMs: z.number(),
  }),
])
export type BootstrapState = Frozen<z.output<typeof bootstrapStateSchema>>

export const overlayContactSchema = z
  .object({
    nodeId: nodeIdSchema,
    node: nodeAddressSchema,
    endpoint: z.string().describe('IP address and UDP port'),
  })
  .meta({ id: 'OverlayContact' })
export type OverlayContact = Frozen<z.output<typeof overlayContactSchema>>

/** What a peer tells of its overlay beside everything else. */
export const overlaySummarySchema = z
  .object({
    state: z.enum(['running', 'off', 'unavailable', 'stopped']),
    port: z.number().int().exactOptional().describe('UDP port; absent where no socket is open'),
    bootstrap: z.enum(['alone', 'trying', 'bootstrapped', 'failed']),
    contacts: z.number().int(),
  })
  .meta({ id: 'OverlaySummary' })
export type OverlaySummary = Frozen<z.output<typeof overlaySummarySchema>>

export const overlayInfoSchema = z
  .object({
    state: overlayStateSchema,
    nodeId: nodeIdSchema,
    publicKey: hexSchema.describe('X25519, 32 bytes: the node id is its SHA-256'),
    nodes: z.array(nodeAddressSchema).describe('This node as others can name it, one for each of its addresses'),
    clients: z
      .array(clientAddressSchema)
      .exactOptional()
      .describe('Behind a router: this node as others can ping it, one for each server that lets it know'),
    observed: z.string().exactOptional().describe('Own address and port as others see them'),
    mode: z.enum(['server', 'client']).describe('client: asks, and stands in nobody’s table'),
    bootstrap: bootstrapStateSchema,
    contacts: z.number().int().describe('Nodes in the routing table'),
    buckets: z
      .array(z.object({ bucket: z.number().int(), contacts: z.number().int() }))
      .describe('K-buckets that hold a contact; 255 is the farthest, half of all ids'),
    networkSize: z.number().describe('Estimated nodes in the whole overlay'),
    records: z.object({ count: z.number().int(), bytes: z.number().int() }).describe('Kept for everybody'),
    ownRecords: z.number().int().describe('Signed records of our own, published again while the peer is up'),
    sessions: z.number().int().describe('Encrypted sessions with other nodes'),
    counters: z.record(z.string(), z.number()).describe('Dropped input and failures, by reason'),
  })
  .meta({ id: 'OverlayInfo' })
export type OverlayInfo = Frozen<z.output<typeof overlayInfoSchema>>

const putShape = {
  key: recordKeySchema,
  replicas: z.number().int().describe('Nodes that had taken it when this was answered; more follow'),
  size: z.number().int().describe('Bytes of the encoded record, at most 1,000'),
  cost: lookupCostSchema,
}

export const overlayPutSchema = z.object(putShape).meta({ id: 'OverlayPut' })
export type OverlayPut = Frozen<z.output<typeof overlayPutSchema>>

export const overlayPutSignedSchema = z
  .object({
    ...putShape,
    peerId: peerIdSchema.describe('The device that signed'),
    sequence: z.number().int().describe('The higher one replaces the lower'),
    kept: z.boolean().describe('On disk: published again after a restart too'),
  })
  .meta({ id: 'OverlayPutSigned' })
export type OverlayPutSigned = Frozen<z.output<typeof overlayPutSignedSchema>>

/** Checked by the peer: a value is what its key is the hash of, a signed record was signed by its device. */
export const overlayRecordSchema = z
  .discriminatedUnion('type', [
    z.object({ type: z.literal('value'), value: hexSchema }),
    z.object({
      type: z.literal('signed'),
      peerId: peerIdSchema.describe('The device that signed'),
      salt: hexSchema.describe('Name of the record, in bytes: at most 64'),
      sequence: z.number().int(),
      value: hexSchema,
      signature: hexSchema,
    }),
  ])
  .meta({ id: 'OverlayRecord' })
export type OverlayRecord = Frozen<z.output<typeof overlayRecordSchema>>

export const overlayFoundSchema = z
  .object({ record: overlayRecordSchema, size: z.number().int(), cost: lookupCostSchema })
  .meta({ id: 'OverlayFound' })
export type OverlayFound = Frozen<z.output<typeof overlayFoundSchema>>

export const overlayClosestSchema = z
  .object({ contacts: z.array(overlayContactSchema).describe('Closest first'), cost: lookupCostSchema })
  .meta({ id: 'OverlayClosest' })
export type OverlayClosest = Frozen<z.output<typeof overlayClosestSchema>>

export const overlayPongSchema = z
  .object({
    node: nodeAddressSchema,
    ms: z.number(),
    endpoint: z.string().exactOptional().describe('Where a node behind a router was reached'),
    observed: z.string().exactOptional().describe('Own address and port as that node sees them'),
  })
  .meta({ id: 'OverlayPong' })
export type OverlayPong = Frozen<z.output<typeof overlayPongSchema>>

export const overlayJoinedSchema = z
  .object({ contacts: z.number().int().describe('Nodes in the routing table now'), cost: lookupCostSchema })
  .meta({ id: 'OverlayJoined' })
export type OverlayJoined = Frozen<z.output<typeof overlayJoinedSchema>>
