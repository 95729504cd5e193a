import { z } from 'zod'
import type { ErrorCode } from './error.ts'
import {
  contactReportSchema,
  contactSchema,
  coverTrafficSchema,
  identitySchema,
  inviteSchema,
  jitterMsSchema,
  safetyNumberSchema,
  settingsSchema,
} from './schema/contacts.ts'
import { diagnosisPartSchema, diagnosticSchema } from './schema/diagnosis.ts'
import type { Frozen } from './schema/frozen.ts'
import { gossipInfoSchema, gossipPublishedSchema, topicSchema } from './schema/gossip.ts'
import { messageIdSchema, peerIdSchema, whoSchema } from './schema/ids.ts'
import { hexSchema, keyIdSchema, keyKindSchema, keySchema } from './schema/keys.ts'
import { messageSchema } from './schema/messages.ts'
import { connectedSchema, networkInfoSchema, peerViewSchema, pingSchema } from './schema/network.ts'
import {
  nodeAddressSchema,
  overlayClosestSchema,
  overlayContactSchema,
  overlayFoundSchema,
  overlayInfoSchema,
  overlayJoinedSchema,
  overlayPongSchema,
  overlayPutSchema,
  overlayPutSignedSchema,
  recordKeySchema,
} from './schema/overlay.ts'
import { mailboxAddressSchema, mailboxSchema, relayAddressSchema, relaySchema } from './schema/reach.ts'

export interface Operation<I extends z.ZodObject = z.ZodObject, O extends z.ZodType = z.ZodType> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** `:name` parts are fields of the input; the other fields are the query of GET and DELETE, else the JSON body. */
  readonly path: string
  readonly summary: string
  readonly input: I
  readonly output: O
  /** Codes beyond those every operation may give (`commonErrors`). */
  readonly errors: readonly ErrorCode[]
}

/** What any operation may answer. */
export const commonErrors = [
  'bad-request',
  'unauthorised',
  'forbidden-host',
  'forbidden-origin',
  'request-too-large',
  'rate-limited',
  'disk-full',
  'store-failed',
  'stopped',
  'internal',
] as const satisfies readonly ErrorCode[]

function operation<I extends z.ZodObject, O extends z.ZodType>(
  method: Operation['method'],
  path: string,
  summary: string,
  shape: { readonly input: I; readonly output: O; readonly errors?: readonly ErrorCode[] },
): Operation<I, O> {
  return { method, path, summary, input: shape.input, output: shape.output, errors: shape.errors ?? [] }
}

const nothing = z.object({})
const who = z.object({ who: whoSchema })
const messageId = z.object({ id: messageIdSchema })
const nameSchema = z.string().min(1).max(256)
/** Of a request, and the reason of a report (messaging engine). */
const noteSchema = z.string().max(280)
/** Milliseconds that a call may wait: at most two minutes (guess: longer than any ICE attempt). */
const timeoutSchema = z.number().int().min(1).max(120_000)
/** Round trips in one call (own choice: a few seconds on an ordinary link). */
const pingsMax = 100
/** The messaging engine lists at most 200 at once. */
const limitSchema = z.number().int().min(1).max(200)
const contactErrors = ['unknown-contact', 'ambiguous-contact'] as const
const linkErrors = [
  'unreachable',
  'no-address',
  'handshake-timeout',
  'timeout',
  'wrong-peer',
  'bad-handshake',
  'bad-certificate',
  'unsupported-version',
  'channel-binding-mismatch',
  'bad-frame',
  'undecryptable',
  'silent',
  'broken',
  'refused',
  'self',
] as const satisfies readonly ErrorCode[]
const keyErrors = ['unknown-key', 'wrong-kind', 'bad-size', 'keyring-failed'] as const satisfies readonly ErrorCode[]
/** What every operation of the overlay that asks other nodes may answer. */
const overlayErrors = [
  'overlay-off',
  'overlay-unavailable',
  'no-contacts',
  'too-many-operations',
] as const satisfies readonly ErrorCode[]
/** Of a node behind a router. */
const punchErrors = ['rendezvous-silent', 'unknown-client', 'punch-refused', 'no-way-through'] as const
const putErrors = ['empty-value', 'record-too-large', 'not-stored', ...overlayErrors] as const
const getErrors = ['not-found', 'bad-record', ...overlayErrors] as const
const saltSchema = hexSchema.min(2).max(2_000).describe('Name of the record, in bytes: at most 64')

/** The whole API: the one table that server, client and OpenAPI document are made from. */
export const operations = {
  'identity.get': operation('GET', '/v1/identity', 'Who we are', { input: nothing, output: identitySchema }),
  'identity.rename': operation('PATCH', '/v1/identity', 'Change the name that others see', {
    input: z.object({ name: nameSchema }),
    output: identitySchema,
    errors: ['bad-name'],
  }),
  'contacts.list': operation('GET', '/v1/contacts', 'Contacts, requests and blocked accounts', {
    input: nothing,
    output: z.array(contactSchema),
  }),
  'contacts.add': operation('POST', '/v1/contacts', 'Add a contact by invite, or by the peer id of a linked device', {
    input: z.object({
      invite: z.string().min(1).max(2_000).exactOptional(),
      peerId: peerIdSchema.exactOptional(),
      name: nameSchema.exactOptional(),
      note: noteSchema.exactOptional().describe('With an invite: shown where the other has to accept it first'),
    }),
    output: contactSchema,
    errors: ['not-an-invite', 'damaged-invite', 'newer-invite', 'own-invite', 'unknown-peer', 'bad-name', 'too-many'],
  }),
  'contacts.accept': operation('POST', '/v1/contacts/:who/accept', 'Accept a request', {
    input: who,
    output: contactSchema,
    errors: [...contactErrors, 'wrong-state', 'blocked-contact'],
  }),
  'contacts.block': operation('PUT', '/v1/contacts/:who/block', 'Block an account, or end that', {
    input: who.extend({ blocked: z.boolean() }),
    output: contactSchema,
    errors: contactErrors,
  }),
  'contacts.verify': operation('PUT', '/v1/contacts/:who/verification', 'Say that the safety number was compared', {
    input: who.extend({ verified: z.boolean() }),
    output: contactSchema,
    errors: contactErrors,
  }),
  'contacts.trust': operation('POST', '/v1/contacts/:who/trust', 'Send again, after looking at a key that changed', {
    input: who,
    output: contactSchema,
    errors: [...contactErrors, 'wrong-state'],
  }),
  'contacts.report': operation('POST', '/v1/contacts/:who/report', 'Block, and get what may be shown to others', {
    input: who.extend({ reason: noteSchema.exactOptional() }),
    output: contactReportSchema,
    errors: contactErrors,
  }),
  'contacts.rename': operation('PATCH', '/v1/contacts/:who', 'Give a contact a name of our own', {
    input: who.extend({ name: nameSchema }),
    output: contactSchema,
    errors: [...contactErrors, 'bad-name'],
  }),
  'contacts.remove': operation('DELETE', '/v1/contacts/:who', 'Forget a contact', {
    input: who,
    output: z.object({ removed: z.literal(true) }),
    errors: contactErrors,
  }),
  'contacts.safetyNumber': operation('GET', '/v1/contacts/:who/safety-number', 'The number both sides compare', {
    input: who,
    output: safetyNumberSchema,
    errors: contactErrors,
  }),
  'invites.create': operation('POST', '/v1/invites', 'A link that makes whoever opens it a contact', {
    input: z.object({ uses: z.number().int().min(1).max(1_000).exactOptional() }),
    output: inviteSchema,
    errors: ['too-many'],
  }),
  'messages.send': operation(
    'POST',
    '/v1/messages',
    'Store a message and send it as soon as the contact is reachable',
    {
      input: z.object({
        to: whoSchema,
        text: z.string().max(100_000),
        key: z.string().min(1).max(64).exactOptional().describe('Idempotency key: the same key gives the same message'),
      }),
      output: messageSchema,
      errors: [...contactErrors, 'blocked-contact', 'empty-text', 'text-too-long', 'queue-full', 'key-reused'],
    },
  ),
  'messages.list': operation('GET', '/v1/messages', 'History, newest last', {
    input: z.object({
      with: whoSchema.exactOptional(),
      limit: limitSchema.exactOptional().describe('Default 20'),
      before: z.number().int().exactOptional().describe('Only positions below this one'),
      after: z.number().int().exactOptional().describe('Only positions above this one'),
      unread: z.boolean().exactOptional().describe('Only incoming ones that were not read'),
    }),
    output: z.array(messageSchema),
    errors: contactErrors,
  }),
  'messages.search': operation('GET', '/v1/messages/search', 'Full-text search', {
    input: z.object({
      query: z.string().min(1).max(1_000),
      with: whoSchema.exactOptional(),
      limit: limitSchema.exactOptional(),
    }),
    output: z.array(messageSchema),
    errors: [...contactErrors, 'bad-query'],
  }),
  'messages.read': operation('POST', '/v1/messages/read', 'Mark incoming messages as read', {
    input: z.object({ with: whoSchema, upTo: z.number().int().describe('Position of the last one read') }),
    output: z.object({ count: z.number().int() }),
    errors: contactErrors,
  }),
  'messages.get': operation('GET', '/v1/messages/:id', 'One message', {
    input: messageId,
    output: messageSchema,
    errors: ['unknown-message'],
  }),
  'messages.cancel': operation('POST', '/v1/messages/:id/cancel', 'Stop trying to send', {
    input: messageId,
    output: messageSchema,
    errors: ['unknown-message', 'wrong-state'],
  }),
  'messages.resend': operation('POST', '/v1/messages/:id/resend', 'Try again after an end state', {
    input: messageId,
    output: messageSchema,
    errors: ['unknown-message', 'wrong-state', 'queue-full', 'blocked-contact'],
  }),
  'typing.send': operation('POST', '/v1/typing', 'Tell a contact that we type, or stopped', {
    input: z.object({ to: whoSchema, typing: z.boolean() }),
    output: z.object({ sent: z.boolean() }),
    errors: contactErrors,
  }),
  'settings.get': operation('GET', '/v1/settings', 'Settings', { input: nothing, output: settingsSchema }),
  'settings.set': operation('PATCH', '/v1/settings', 'Change settings', {
    input: z.object({
      readReceipts: z.boolean().exactOptional(),
      typing: z.boolean().exactOptional(),
      presence: z.boolean().exactOptional(),
      discoverable: z.enum(['everyone', 'contacts', 'off']).exactOptional(),
      jitterMs: jitterMsSchema.exactOptional(),
      coverTraffic: coverTrafficSchema.exactOptional(),
    }),
    output: settingsSchema,
  }),
  'network.info': operation('GET', '/v1/network', 'This peer on the network', {
    input: nothing,
    output: networkInfoSchema,
  }),
  'network.peers': operation('GET', '/v1/network/peers', 'Peers seen or linked', {
    input: nothing,
    output: z.array(peerViewSchema),
  }),
  'network.connect': operation('POST', '/v1/network/connect', 'Link with a peer, by peer id or ws:// address', {
    input: z.object({ target: z.string().min(1).max(512), timeoutMs: timeoutSchema.exactOptional() }),
    output: connectedSchema,
    errors: [...linkErrors, 'bad-address', 'unknown-peer'],
  }),
  'network.upgraded': operation('POST', '/v1/network/upgraded', 'Wait until a peer is linked over WebRTC', {
    input: z.object({ peerId: peerIdSchema, timeoutMs: timeoutSchema.exactOptional() }),
    output: z.object({ upgraded: z.boolean() }),
  }),
  'network.disconnect': operation('POST', '/v1/network/disconnect', 'Close the links with a peer', {
    input: z.object({ peerId: peerIdSchema }),
    output: z.object({ disconnected: z.literal(true) }),
  }),
  'network.ping': operation('POST', '/v1/network/ping', 'Measure round trips, one after the other', {
    input: z.object({
      peerId: peerIdSchema,
      count: z.number().int().min(1).max(pingsMax).exactOptional().describe('Default 1'),
      timeoutMs: timeoutSchema.exactOptional().describe('Of each'),
    }),
    output: pingSchema,
    errors: linkErrors,
  }),
  'network.diagnostics': operation(
    'GET',
    '/v1/network/diagnostics',
    'What works and what does not, why, and what to do next',
    {
      input: z.object({ part: diagnosisPartSchema.exactOptional(), peer: peerIdSchema.exactOptional() }),
      output: z.array(diagnosticSchema),
    },
  ),
  'relays.list': operation('GET', '/v1/relays', 'Relays in use or tried, best first', {
    input: nothing,
    output: z.array(relaySchema),
  }),
  'relays.add': operation('POST', '/v1/relays', 'Use a relay from now on', {
    input: z.object({ relay: relayAddressSchema }),
    output: z.array(relaySchema),
    errors: ['bad-relay', 'too-many', 'home-unwritable', 'unavailable'],
  }),
  'relays.remove': operation('DELETE', '/v1/relays', 'Use an added relay no longer', {
    input: z.object({ relay: relayAddressSchema }),
    output: z.array(relaySchema),
    errors: ['bad-relay', 'unknown-relay', 'configured-relay', 'home-unwritable', 'unavailable'],
  }),
  'mailboxes.list': operation('GET', '/v1/mailboxes', 'Own mailboxes in use or tried, best first', {
    input: nothing,
    output: z.array(mailboxSchema),
  }),
  'mailboxes.add': operation('POST', '/v1/mailboxes', 'Have messages kept at a mailbox from now on', {
    input: z.object({ mailbox: mailboxAddressSchema }),
    output: z.array(mailboxSchema),
    errors: ['bad-mailbox', 'too-many', 'home-unwritable', 'unavailable'],
  }),
  'mailboxes.remove': operation('DELETE', '/v1/mailboxes', 'Use an added mailbox no longer', {
    input: z.object({ mailbox: mailboxAddressSchema }),
    output: z.array(mailboxSchema),
    errors: ['bad-mailbox', 'unknown-mailbox', 'configured-mailbox', 'home-unwritable', 'unavailable'],
  }),
  'overlay.info': operation('GET', '/v1/overlay', 'This node of the overlay', {
    input: nothing,
    output: overlayInfoSchema,
  }),
  'overlay.contacts': operation('GET', '/v1/overlay/contacts', 'Nodes in the routing table, closest to us first', {
    input: z.object({ limit: z.number().int().min(1).max(1_000).exactOptional().describe('Default 20') }),
    output: z.array(overlayContactSchema),
  }),
  'overlay.putValue': operation('POST', '/v1/overlay/values', 'Store a value under its SHA-256', {
    input: z.object({ value: hexSchema }),
    output: overlayPutSchema,
    errors: putErrors,
  }),
  'overlay.putSigned': operation(
    'POST',
    '/v1/overlay/records',
    'Publish a record signed by this device, and again while it is up',
    {
      input: z.object({
        salt: saltSchema,
        value: hexSchema.describe('Under the name “signing” (7369676e696e67): an Ed25519 public key'),
      }),
      output: overlayPutSignedSchema,
      errors: ['bad-public-key', 'salt-too-long', 'too-many-own-records', ...putErrors],
    },
  ),
  'overlay.get': operation('GET', '/v1/overlay/records/:key', 'The record stored under a key', {
    input: z.object({ key: recordKeySchema }),
    output: overlayFoundSchema,
    errors: getErrors,
  }),
  'overlay.getSigned': operation('GET', '/v1/overlay/records/of/:peerId', 'The newest record of a device', {
    input: z.object({ peerId: peerIdSchema, salt: saltSchema }),
    output: overlayFoundSchema,
    errors: ['salt-too-long', ...getErrors],
  }),
  'overlay.findNode': operation('POST', '/v1/overlay/find-node', 'The nodes closest to an id or a key', {
    input: z.object({ target: recordKeySchema }),
    output: overlayClosestSchema,
    errors: overlayErrors,
  }),
  'overlay.ping': operation('POST', '/v1/overlay/ping', 'Measure a round trip to a node', {
    input: z.object({ node: nodeAddressSchema }),
    output: overlayPongSchema,
    errors: ['bad-node', 'unresolved', 'node-silent', ...punchErrors, ...overlayErrors],
  }),
  'overlay.bootstrap': operation('POST', '/v1/overlay/bootstrap', 'Join the overlay through these nodes', {
    input: z.object({ nodes: z.array(nodeAddressSchema).min(1).max(32) }),
    output: overlayJoinedSchema,
    errors: ['bad-node', 'unresolved', 'bootstrap-failed', ...overlayErrors],
  }),
  'gossip.publish': operation('POST', '/v1/gossip/messages', 'Tell all who follow a topic; nothing is kept', {
    input: z.object({ topic: topicSchema, payload: hexSchema }),
    output: gossipPublishedSchema,
    errors: ['bad-topic', 'too-large', 'too-fast', 'no-neighbours'],
  }),
  'gossip.info': operation('GET', '/v1/gossip', 'Who takes part in gossip with us, and in which topics', {
    input: nothing,
    output: gossipInfoSchema,
  }),
  'keys.list': operation('GET', '/v1/keys', 'Keys made for own use', {
    input: nothing,
    output: z.array(keySchema),
    errors: ['keyring-failed'],
  }),
  'keys.generate': operation('POST', '/v1/keys', 'Make a key for own use', {
    input: z.object({ kind: keyKindSchema, keyId: keyIdSchema.exactOptional() }),
    output: keySchema,
    errors: ['key-exists', 'bad-key-id', 'too-many-keys', 'keyring-failed'],
  }),
  'keys.remove': operation('DELETE', '/v1/keys/:keyId', 'Delete a key for ever', {
    input: z.object({ keyId: keyIdSchema }),
    output: z.object({ removed: z.literal(true) }),
    errors: ['unknown-key', 'keyring-failed'],
  }),
  'keys.exportSecret': operation('POST', '/v1/keys/:keyId/secret', 'The secret bytes: whoever has them has the key', {
    input: z.object({ keyId: keyIdSchema }),
    output: z.object({ keyId: keyIdSchema, secret: hexSchema }),
    errors: ['unknown-key', 'keyring-failed'],
  }),
  'keys.sign': operation('POST', '/v1/keys/:keyId/sign', 'Ed25519 signature over bytes', {
    input: z.object({ keyId: keyIdSchema, message: hexSchema }),
    output: z.object({ keyId: keyIdSchema, signature: hexSchema }),
    errors: keyErrors,
  }),
  'keys.verify': operation('POST', '/v1/crypto/verify', 'Check an Ed25519 signature', {
    input: z.object({ publicKey: hexSchema, message: hexSchema, signature: hexSchema }),
    output: z.object({ valid: z.boolean() }),
    errors: ['bad-size'],
  }),
  'keys.aeadEncrypt': operation('POST', '/v1/crypto/aead-encrypt', 'ChaCha20-Poly1305 (RFC 8439)', {
    input: z.object({
      key: z.string().min(1).max(64).describe('Key id, or 64 hexadecimal digits'),
      nonce: hexSchema.describe('12 bytes; never twice with one key'),
      ad: hexSchema,
      plaintext: hexSchema,
    }),
    output: z.object({ ciphertext: hexSchema.describe('Ciphertext, then the 16-byte tag') }),
    errors: keyErrors,
  }),
  'keys.aeadDecrypt': operation('POST', '/v1/crypto/aead-decrypt', 'Opens what aead-encrypt sealed', {
    input: z.object({ key: z.string().min(1).max(64), nonce: hexSchema, ad: hexSchema, ciphertext: hexSchema }),
    output: z.object({ plaintext: hexSchema }),
    errors: [...keyErrors, 'wrong-key-or-data'],
  }),
} as const

export type OperationName = keyof typeof operations
export type OperationInput<N extends OperationName> = z.output<(typeof operations)[N]['input']>
export type OperationOutput<N extends OperationName> = Frozen<z.output<(typeof operations)[N]['output']>>
export const operationNames = Object.keys(operations) as readonly OperationName[]
