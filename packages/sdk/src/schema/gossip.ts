import { z } from 'zod'
import type { Frozen } from './frozen.ts'
import { peerIdSchema } from './ids.ts'
import { hexSchema } from './keys.ts'

/** Longer ones are refused with `bad-topic`, which says what a topic may be. */
export const topicSchema = z.string().min(1).max(256).describe('1 to 64 visible ASCII characters')

export const gossipPublishedSchema = z
  .object({
    messageId: hexSchema,
    neighbours: z.number().int().describe('Linked peers it was sent to at once; nobody says who reads it'),
  })
  .meta({ id: 'GossipPublished' })
export type GossipPublished = Frozen<z.output<typeof gossipPublishedSchema>>

export const gossipInfoSchema = z
  .object({
    publicKey: hexSchema.describe('Ed25519: as whom this home publishes, a pseudonym'),
    neighbours: z
      .array(z.object({ peerId: peerIdSchema, score: z.number().describe('0 at best') }))
      .describe('Linked contacts that take part'),
    topics: z.array(
      z.object({
        topic: z.string(),
        isFollowed: z.boolean().describe('By somebody here; else passed on for others'),
        neighbours: z.number().int().describe('Linked contacts that want it'),
      }),
    ),
    seenCount: z.number().int().describe('Messages remembered, so that none comes twice'),
    counters: z.record(z.string(), z.number()).describe('What was sent, received and dropped, by reason'),
  })
  .meta({ id: 'GossipInfo' })
export type GossipInfo = Frozen<z.output<typeof gossipInfoSchema>>
