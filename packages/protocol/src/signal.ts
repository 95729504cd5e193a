import type { PeerId, Result } from '@miaou/core'
import { assert, bytesToText, err, ok, parsePeerId, textToBytes } from '@miaou/core'
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

type Check = (value: unknown) => boolean

const text =
  (lengthMax: number): Check =>
  (value) =>
    typeof value === 'string' && value.length <= lengthMax
const count =
  (max: number): Check =>
  (value) =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= max
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value)

const base = {
  connectionId: (value: unknown) => typeof value === 'string' && value.length <= 128 && isConnectionId(value),
  attempt: count(0xffff_ffff),
}

/**
 * The schema of every signalling document, by type: its fields and what each must be; unknown fields are dropped. Written
 * out, because a schema library would be most of what a peer loads; a test holds it against one.
 */
const signalSchema: Readonly<Record<Signal['type'], Readonly<Record<string, Check>>>> = {
  offer: { ...base, sdp: text(sdpLengthMax) },
  answer: { ...base, sdp: text(sdpLengthMax) },
  candidate: {
    ...base,
    candidate: text(candidateLengthMax),
    sdpMid: orNull(text(64)),
    sdpMLineIndex: orNull(count(0xffff)),
  },
  refuse: { ...base, reason: text(64) },
}

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
  const signal = toSignal(parseJson(text))
  return signal === undefined ? malformed : ok(signal)
}

function toSignal(value: unknown): Signal | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const given = new Map<string, unknown>(Object.entries(value))
  const type = given.get('type')
  if (typeof type !== 'string' || !isSignalType(type)) return undefined
  const checks = Object.entries(signalSchema[type])
  if (!checks.every(([field, check]) => check(given.get(field)))) return undefined
  // The schema of this very type accepted each field; TypeScript cannot follow that through the table.
  return Object.fromEntries([['type', type], ...checks.map(([field]) => [field, given.get(field)])]) as Signal
}

function isSignalType(type: string): type is Signal['type'] {
  return Object.hasOwn(signalSchema, type)
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
