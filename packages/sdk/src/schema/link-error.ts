import { z } from 'zod'
import type { Frozen } from './frozen.ts'
import { peerIdSchema } from './ids.ts'

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
