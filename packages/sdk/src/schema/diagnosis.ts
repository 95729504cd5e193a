import { z } from 'zod'
import type { Frozen } from './frozen.ts'
import { peerIdSchema } from './ids.ts'
import { linkErrorSchema } from './link-error.ts'
import { bandwidthSchema, connectivitySchema, pathSchema } from './reach.ts'

/**
 * What a check can find, with the names of its facts. Codes are part of the API: they are never renamed, only added. The
 * text package has words for each, and advice for those after which somebody can do something.
 */
export const diagnosticCodes = {
  // This machine.
  'store-sound': [],
  'store-damaged': ['detail'],
  'keys-open': ['count'],
  'keys-damaged': ['detail', 'count'],
  'clock-plausible': ['time'],
  'clock-past': ['time'],
  'clock-agrees': ['relay', 'offsetMs'],
  'clock-off': ['relay', 'offsetMs'],
  'listener-answers': ['address'],
  'listener-silent': ['address', 'detail'],
  'listener-none': [],
  'mdns-runs': ['discoverable', 'count'],
  'mdns-failed': ['detail'],
  'webrtc-ready': ['library', 'count'],
  'overlay-joined': ['port', 'count'],
  'overlay-alone': ['port'],
  'overlay-joining': ['port', 'count'],
  'overlay-unjoined': ['port', 'count'],
  'overlay-unavailable': ['detail'],
  'overlay-off': [],
  // The way to others.
  'dns-resolves': ['server', 'address'],
  'dns-failed': ['server', 'detail'],
  'dns-unused': [],
  'stun-answers': ['server', 'address'],
  'stun-failed': ['server', 'detail'],
  'stun-none': [],
  'turn-allocates': ['server'],
  'turn-failed': ['server', 'detail'],
  'turn-none': [],
  'nat-none': [],
  'nat-full-cone': [],
  'nat-restricted-cone': [],
  'nat-port-restricted': [],
  'nat-symmetric': [],
  'nat-blocked': [],
  'nat-unknown': [],
  'nat-unasked': [],
  'mapping-open': ['address', 'protocol'],
  'mapping-searching': [],
  'mapping-none': [],
  'mapping-failed': ['detail'],
  'mapping-off': [],
  'relay-reserved': ['relay'],
  'relay-connecting': ['relay'],
  'relay-refused': ['relay', 'detail'],
  'relay-unreachable': ['relay', 'detail'],
  'relay-none': [],
  'relay-none-only': [],
  'serving-relay': ['relay', 'count', 'circuits'],
  'mailbox-registered': ['mailbox', 'count', 'tokens'],
  'mailbox-connecting': ['mailbox'],
  'mailbox-refused': ['mailbox', 'detail'],
  'mailbox-unreachable': ['mailbox', 'detail'],
  'mailbox-none': [],
  'serving-mailbox': ['mailbox', 'count', 'boxes'],
  'bandwidth-measured': ['relay', 'downMbps', 'upMbps'],
  'bandwidth-failed': ['relay', 'detail'],
  'bandwidth-unmeasured': [],
  // The path to a peer.
  'path-lan': ['name'],
  'path-direct': ['name'],
  'path-turn': ['name', 'via'],
  'path-relay': ['name', 'via'],
  'path-websocket': ['name'],
  'path-unknown': ['name'],
  'path-none': ['name'],
  // Why it is not a better one.
  'why-relay-only': [],
  'why-trying': [],
  'why-own-symmetric': ['count'],
  'why-own-blocked': [],
  'why-both-nats': ['count'],
  'why-failed': ['count', 'detail'],
  'why-suspect': [],
  'why-unreachable': ['detail'],
  'why-no-address': [],
  /** Words of the host, in English. */
  noted: ['detail'],
} as const satisfies Readonly<Record<string, readonly string[]>>

export type DiagnosticCode = keyof typeof diagnosticCodes

export function isDiagnosticCode(code: string): code is DiagnosticCode {
  return Object.hasOwn(diagnosticCodes, code)
}

/** Parts of the diagnosis, from quick to slow: asked for one by one where somebody watches. */
export const diagnosisPartSchema = z
  .enum(['home', 'reach', 'bandwidth', 'paths'])
  .describe('home: this machine; reach: servers, NAT, relays; bandwidth: to a relay; paths: to each peer. Absent: all')
export type DiagnosisPart = Frozen<z.output<typeof diagnosisPartSchema>>

const factsSchema = z.record(z.string(), z.union([z.string(), z.number()]))

/** Row I16: one line of the diagnosis. */
export const diagnosticSchema = z
  .object({
    name: z.enum([
      'store',
      'keys',
      'clock',
      'websocket',
      'mdns',
      'webrtc',
      'stun',
      'turn',
      'dns',
      'overlay',
      'nat',
      'port-mapping',
      'relay',
      'mailbox',
      'serving',
      'bandwidth',
      'path',
    ]),
    state: z.enum(['ok', 'warning', 'failed', 'not-configured']).describe('warning: it works, but worse than it could'),
    ms: z.number().exactOptional().describe('How long it took, or the round trip it measured'),
    code: z.string().describe('What was found: for programs'),
    facts: factsSchema.describe('What the code is about'),
    detail: z.string().describe('What was found, in English'),
    why: z
      .object({
        code: z.string(),
        facts: factsSchema,
        detail: z.string().describe('In English'),
        error: linkErrorSchema.exactOptional().describe('Of the last attempt'),
        advice: z.string().exactOptional().describe('What to do next, in English'),
      })
      .exactOptional()
      .describe('Of a path: why it is not a better one'),
    advice: z.string().exactOptional().describe('What to do next, in English'),
    connectivity: connectivitySchema.exactOptional().describe('With nat'),
    bandwidth: bandwidthSchema.exactOptional().describe('With bandwidth'),
    peerId: peerIdSchema.exactOptional().describe('With path'),
    path: pathSchema.exactOptional().describe('With path'),
  })
  .meta({ id: 'Diagnostic' })
export type Diagnostic = Frozen<z.output<typeof diagnosticSchema>>
