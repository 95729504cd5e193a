import { bytesToText } from '@miaou/core'
import type { IceCandidate, PipeId, PipePath, SessionDescription, TransportError, TransportEvent } from '@miaou/network'
import type { IceServer, WebRtcOptions } from './options.ts'

/** What the peer tells its WebRTC child in control frames; the pipe stands in the frame's header (0 where none). */
export type ChildCall =
  | { readonly call: 'start'; readonly options: WebRtcOptions }
  | { readonly call: 'ice-servers'; readonly servers: readonly IceServer[] }
  | { readonly call: 'offer' }
  | { readonly call: 'accept'; readonly description: SessionDescription }
  | { readonly call: 'answer'; readonly description: SessionDescription }
  | { readonly call: 'candidate'; readonly candidate: IceCandidate }
  | { readonly call: 'close' }
  | { readonly call: 'ping' }
  | { readonly call: 'stop' }

/** What the child tells in control frames. Messages travel in frames of their own. */
export type ChildReport =
  | { readonly report: 'pong' }
  | { readonly report: 'unavailable'; readonly detail: string }
  | { readonly report: 'opened'; readonly direction: 'in' | 'out'; readonly remoteAddress: string }
  | { readonly report: 'description'; readonly description: SessionDescription }
  | { readonly report: 'candidate'; readonly candidate: IceCandidate }
  | { readonly report: 'path'; readonly path: PipePath }
  | { readonly report: 'closed'; readonly error?: TransportError }

/** The report of an event, or undefined for a message. */
export function eventToReport(event: TransportEvent): ChildReport | undefined {
  switch (event.type) {
    case 'opened':
      return { report: 'opened', direction: event.direction, remoteAddress: event.remoteAddress }
    case 'description':
      return { report: 'description', description: event.description }
    case 'candidate':
      return { report: 'candidate', candidate: event.candidate }
    case 'path':
      return { report: 'path', path: event.path }
    case 'closed':
      return { report: 'closed', ...(event.error === undefined ? {} : { error: event.error }) }
    case 'message':
      return undefined
  }
}

/** The call in a control frame. The peer's own process wrote it: only its form is read, not its values. */
export function parseCall(body: Uint8Array): ChildCall | undefined {
  const fields = parseFields(body)
  return fields !== undefined && typeof fields['call'] === 'string' ? (fields as ChildCall) : undefined
}

/**
 * The report in a control frame, or undefined when it is none. The child parses what strangers send, so the peer does
 * not take its word for the shape of anything.
 */
export function parseReport(body: Uint8Array): ChildReport | undefined {
  const fields = parseFields(body)
  switch (fields?.['report']) {
    case 'pong':
      return { report: 'pong' }
    case 'unavailable':
      return { report: 'unavailable', detail: textOf(fields['detail']) }
    case 'opened': {
      const { direction } = fields
      if (direction !== 'in' && direction !== 'out') return undefined
      return { report: 'opened', direction, remoteAddress: textOf(fields['remoteAddress']) }
    }
    case 'description': {
      const description = fieldsOf(fields['description'])
      const type = description?.['type']
      const sdp = description?.['sdp']
      if ((type !== 'offer' && type !== 'answer') || typeof sdp !== 'string') return undefined
      return { report: 'description', description: { type, sdp } }
    }
    case 'candidate': {
      const candidate = fieldsOf(fields['candidate'])?.['candidate']
      if (typeof candidate !== 'string') return undefined
      return { report: 'candidate', candidate: { candidate, sdpMid: '0', sdpMLineIndex: 0 } }
    }
    case 'path': {
      const path = parsePath(fieldsOf(fields['path']))
      return path === undefined ? undefined : { report: 'path', path }
    }
    case 'closed': {
      const error = parseError(fieldsOf(fields['error']))
      return { report: 'closed', ...(error === undefined ? {} : { error }) }
    }
    default:
      return undefined
  }
}

function parsePath(fields: Record<string, unknown> | undefined): PipePath | undefined {
  const kind = (['lan', 'direct', 'relayed'] as const).find((known) => known === fields?.['kind'])
  if (fields === undefined || kind === undefined) return undefined
  const optional = (name: 'via' | 'localCandidate' | 'remoteCandidate') =>
    typeof fields[name] === 'string' ? { [name]: textOf(fields[name]) } : {}
  return { kind, ...optional('via'), ...optional('localCandidate'), ...optional('remoteCandidate') }
}

function parseError(fields: Record<string, unknown> | undefined): TransportError | undefined {
  if (fields === undefined) return undefined
  const numberOf = (name: string) => (typeof fields[name] === 'number' ? fields[name] : 0)
  const detail = textOf(fields['detail'])
  switch (fields['type']) {
    case 'unreachable':
      return { type: 'unreachable', detail }
    case 'unavailable':
      return { type: 'unavailable', detail }
    case 'timeout':
      return { type: 'timeout', afterMs: numberOf('afterMs') }
    case 'too-large':
      return { type: 'too-large', size: numberOf('size'), sizeMax: numberOf('sizeMax') }
    case 'too-many-pipes':
      return { type: 'too-many-pipes', pipesMax: numberOf('pipesMax') }
    default:
      return { type: 'broken', detail }
  }
}

function parseFields(body: Uint8Array): Record<string, unknown> | undefined {
  const text = bytesToText(body)
  if (text === undefined) return undefined
  try {
    return fieldsOf(JSON.parse(text))
  } catch {
    return undefined
  }
}

function fieldsOf(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined
}

// A text for logs and screens: of a bounded length.
function textOf(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, 1024) : ''
}

/** A pipe's number in a frame: hosts count pipes from 1, far below 2^32. */
export function pipeOf(number: number): PipeId {
  return number as PipeId
}
