import { z } from 'zod'
import type { Frozen } from './frozen.ts'
import { linkErrorSchema } from './link-error.ts'

/** How a link goes. */
export const pathSchema = z
  .object({
    kind: z
      .enum(['lan', 'direct', 'relayed'])
      .describe(
        'lan: straight, within one network or machine; direct: straight between two networks; relayed: carried by others',
      ),
    via: z.string().exactOptional().describe('Who carries it: URL of the relay or the TURN server'),
    localCandidate: z.string().exactOptional().describe('WebRTC: <host|srflx|prflx|relay> <udp|tcp> <address>:<port>'),
    remoteCandidate: z.string().exactOptional(),
  })
  .meta({ id: 'Path' })
export type Path = Frozen<z.output<typeof pathSchema>>

/** Why no better path carries a link that stands. */
export const whyNotBetterSchema = z
  .object({
    error: linkErrorSchema.exactOptional().describe('Of the last attempt; absent before one failed'),
    failures: z.number().int().describe('Attempts in a row that failed'),
    nextTryAt: z.number().exactOptional().describe("Milliseconds of the peer's own clock, not a date"),
  })
  .meta({ id: 'WhyNotBetter' })
export type WhyNotBetter = Frozen<z.output<typeof whyNotBetterSchema>>

/** Row D13. */
export const natTypeSchema = z
  .enum(['none', 'full-cone', 'restricted-cone', 'port-restricted', 'symmetric', 'blocked', 'unknown'])
  .describe('unknown: too few servers answered to tell; blocked: no UDP server answers at all')
export type NatType = Frozen<z.output<typeof natTypeSchema>>

/** What a relay gives each of those who use it; 0 for no limit told. */
export const relayTermsSchema = z.object({
  circuitsMax: z.number().int(),
  bytesPerSecond: z.number(),
  bytesPerDay: z.number(),
})

/** `<22 characters>@wss://relay.example.org`, as its owner hands it out. */
export const relayAddressSchema = z
  .string()
  .min(1)
  .max(256)
  .describe('A relay: <22 characters>@wss://relay.example.org, as miaou relay info shows it there')

/** A relay that carries us, or is tried. */
export const relaySchema = z
  .object({
    relay: relayAddressSchema,
    source: z
      .enum(['config', 'added', 'invite', 'contact', 'overlay'])
      .describe('Who named it: config.json or the command line, relays.add, or it was learnt'),
    state: z.enum(['connecting', 'connected', 'reserved', 'refused', 'unreachable']),
    address: z.string().exactOptional().describe('Our own way through it, while reserved: circuit:…'),
    latencyMs: z.number().exactOptional(),
    terms: relayTermsSchema.exactOptional(),
    clockOffsetMs: z.number().exactOptional().describe("The relay's clock minus ours"),
    observed: z.string().exactOptional().describe('Where the relay sees us from'),
    error: z.string().exactOptional().describe('Why it is not reserved'),
    nextTryAt: z.number().exactOptional().describe("Milliseconds of the peer's own clock, not a date"),
    circuits: z.number().int(),
  })
  .meta({ id: 'Relay' })
export type Relay = Frozen<z.output<typeof relaySchema>>

/** `<22 characters>@wss://mail.example.org`, as its owner hands it out. */
export const mailboxAddressSchema = z
  .string()
  .min(1)
  .max(256)
  .describe('A mailbox: <22 characters>@wss://mail.example.org, as miaou mailbox info shows it there')

/** A mailbox where messages for us are left while we are away, or one that is tried. */
export const mailboxSchema = z
  .object({
    mailbox: mailboxAddressSchema,
    source: z
      .enum(['config', 'added', 'contact'])
      .describe('Who named it: config.json or the command line, mailboxes.add, or a contact keeps a box there'),
    state: z.enum(['connecting', 'connected', 'registered', 'refused', 'unreachable']),
    box: z.string().exactOptional().describe('Our box there: 22 characters that tell nothing of who we are'),
    stock: z
      .object({
        tokens: z.number().int().describe('Delivery tokens that contacts may still spend'),
        oneTimeBundles: z.number().int().describe('Prekey bundles for first messages, each given once'),
        hasLastResort: z.boolean().describe('Whether first messages are possible when those are used up'),
        waiting: z.number().int().describe('Sealed messages that wait to be fetched'),
      })
      .exactOptional()
      .describe('What it has for us; absent until registered'),
    latencyMs: z.number().exactOptional(),
    error: z.string().exactOptional().describe('Why it is not registered'),
    nextTryAt: z.number().exactOptional().describe("Milliseconds of the peer's own clock, not a date"),
    throughRelay: z.boolean().describe('The mailbox sees the address of a relay, not ours'),
  })
  .meta({ id: 'Mailbox' })
export type Mailbox = Frozen<z.output<typeof mailboxSchema>>

/** What this peer does for others. */
export const servingSchema = z
  .object({
    relay: z
      .object({
        address: relayAddressSchema.describe('To hand out'),
        reservations: z.number().int(),
        circuits: z.number().int(),
        bytesToday: z.number().describe('Passed on since midnight UTC'),
        limits: z.object({
          reservationsMax: z.number().int(),
          circuitsMax: z.number().int(),
          bytesPerSecond: z.number().describe('0: no limit'),
          bytesPerDay: z.number().describe('0: no limit'),
        }),
        stunPort: z.number().int().exactOptional().describe('UDP port that answers STUN'),
        counters: z.record(z.string(), z.number()),
      })
      .exactOptional(),
    mailbox: z
      .object({
        address: mailboxAddressSchema.describe('To hand out'),
        boxes: z.number().int().describe('Peers that registered'),
        envelopes: z.number().int().describe('Sealed messages that wait to be fetched'),
        bytes: z.number().describe('Their bytes on disk'),
        limits: z.object({ boxesMax: z.number().int(), bytesMax: z.number(), bytesPerBoxMax: z.number() }),
        counters: z.record(z.string(), z.number()),
      })
      .exactOptional(),
  })
  .meta({ id: 'Serving' })
export type Serving = Frozen<z.output<typeof servingSchema>>

export const portMappingSchema = z
  .object({
    state: z.enum(['off', 'searching', 'mapped', 'none', 'failed']).describe('none: no router here offers it'),
    protocol: z.enum(['pcp', 'nat-pmp', 'upnp']).exactOptional(),
    external: z.string().exactOptional().describe('Where the router lets others in'),
    error: z.string().exactOptional(),
  })
  .meta({ id: 'PortMapping' })
export type PortMapping = Frozen<z.output<typeof portMappingSchema>>

const natBehaviourSchema = z.enum([
  'none',
  'endpoint-independent',
  'address-dependent',
  'address-and-port-dependent',
  'unknown',
])

/** Row D11, with the candidates of row D14. */
export const connectivitySchema = z
  .object({
    natType: natTypeSchema,
    mapping: natBehaviourSchema.describe('RFC 5780 §4.3'),
    filtering: natBehaviourSchema.describe('RFC 5780 §4.4'),
    candidates: z
      .array(
        z.object({
          type: z.enum(['host', 'server-reflexive', 'relayed']),
          address: z.string(),
          priority: z.number().describe('RFC 8445 §5.1.2.1'),
          foundation: z.string().describe('RFC 8445 §5.1.1.3'),
          relatedAddress: z.string().exactOptional(),
        }),
      )
      .describe('Highest priority first'),
    optimalTransport: z.enum(['direct', 'hole-punching', 'relay']),
    servers: z.array(
      z.object({
        url: z.string(),
        state: z.enum(['ok', 'failed']),
        ms: z.number().exactOptional(),
        mapped: z.string().exactOptional().describe('Where the server sees us from'),
        detail: z.string().exactOptional(),
      }),
    ),
  })
  .meta({ id: 'Connectivity' })
export type Connectivity = Frozen<z.output<typeof connectivitySchema>>

/** Row I16. */
export const bandwidthSchema = z
  .object({ relay: relayAddressSchema, latencyMs: z.number(), downMbps: z.number(), upMbps: z.number() })
  .meta({ id: 'Bandwidth' })
export type Bandwidth = Frozen<z.output<typeof bandwidthSchema>>
