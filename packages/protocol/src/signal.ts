import type { PeerId, Result } from '@miaou/core'
import { assert, bytesToText, err, ok, parsePeerId, textToBytes } from '@miaou/core'
import { z } from 'zod'
import type { DecodeError } from './structure.ts'

/** Which attempt of which connection a signalling document belongs to. */
interface SignalBase {
  /** `conn_<offerer>_<answerer>` (row D24). */
  readonly connectionId: string
  /** 0, 1, 2, …: a new offer for the same connection counts up. */
  readonly attempt: number
}

/** A signalling document: JSON in a Signal frame (row B16; spec/signals S1). */
export type Signal =
  | (SignalBase & { readonly type: 'offer' | 'answer'; readonly sdp: string })
  | (SignalBase & {
      readonly type: 'candidate'
      readonly candidate: string
      readonly sdpMid: string | null
      readonly sdpMLineIndex: number | null
    })
  | (SignalBase & { readonly type: 'refuse'; readonly reason: string })

/** Most bytes of a document: that of a fragment, so that it fits one frame. */
export const signalSizeMax = 49_152
/** Most characters of an SDP (Chromium writes about 1,000 for a data channel) and of a candidate line (own choices). */
export const sdpLengthMax = 32_768
export const candidateLengthMax = 2048
/** Nesting of a document: its fields are plain, anything deeper comes from a newer peer or a hostile one. */
export const signalDepthMax = 4

const base = {
  connectionId: z.string().max(128).refine(isConnectionId),
  attempt: z.number().int().min(0).max(0xffff_ffff),
}

/** The JSON schema of every signalling document; unknown fields are dropped. */
export const signalSchema: z.ZodType<Signal> = z.discriminatedUnion('type', [
  z.object({ type: z.literal('offer'), ...base, sdp: z.string().max(sdpLengthMax) }),
  z.object({ type: z.literal('answer'), ...base, sdp: z.string().max(sdpLengthMax) }),
  z.object({
    type: z.literal('candidate'),
    ...base,
    candidate: z.string().max(candidateLengthMax),
    sdpMid: z.string().max(64).nullable(),
    sdpMLineIndex: z.number().int().min(0).max(0xffff).nullable(),
  }),
  z.object({ type: z.literal('refuse'), ...base, reason: z.string().max(64) }),
])

export function encodeSignal(signal: Signal): Uint8Array {
  const bytes = textToBytes(JSON.stringify(signal))
  assert(bytes.length <= signalSizeMax, 'a signalling document is bounded')
  return bytes
}

/** The document in `bytes` when it fits the schema. Never throws. */
export function decodeSignal(bytes: Uint8Array): Result<Signal, DecodeError> {
  const malformed = err({ type: 'malformed', what: 'signal' } as const)
  if (bytes.length > signalSizeMax) return malformed
  const text = bytesToText(bytes)
  if (text === undefined || jsonDepth(text) > signalDepthMax) return malformed
  const parsed = signalSchema.safeParse(parseJson(text))
  return parsed.success ? ok(parsed.data) : malformed
}

/** Row D24: both ends compute the same id, the offerer first. */
export function connectionId(offerer: PeerId, answerer: PeerId): string {
  return `conn_${offerer}_${answerer}`
}

/** The two peers of a connection id, or undefined when it is none. */
export function parseConnectionId(text: string): { readonly offerer: PeerId; readonly answerer: PeerId } | undefined {
  const [prefix, offererText, answererText, ...rest] = text.split('_')
  if (prefix !== 'conn' || rest.length > 0) return undefined
  const offerer = parsePeerId(offererText ?? '')
  const answerer = parsePeerId(answererText ?? '')
  return offerer && answerer && offerer !== answerer ? { offerer, answerer } : undefined
}

function isConnectionId(text: string): boolean {
  return parseConnectionId(text) !== undefined
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Deepest nesting of brackets outside strings: parsers and validators recurse, so it is bounded before they run. */
function jsonDepth(text: string): number {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at]
    if (inString) {
      if (character === '\\') at += 1
      else if (character === '"') inString = false
    } else if (character === '"') inString = true
    else if (character === '{' || character === '[') deepest = Math.max(deepest, ++depth)
    else if (character === '}' || character === ']') depth -= 1
  }
  return deepest
}
