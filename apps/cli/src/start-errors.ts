import { type ErrorCode, isErrorCode, MiaouError } from '@miaou/sdk'
import type { HostError } from './peer-handle.ts'

/** The API's code for what the host says of a home or a start. */
const codes: Readonly<Record<string, ErrorCode>> = {
  'home-absent': 'no-home',
  'in-use': 'home-in-use',
  'no-keyring': 'home-damaged',
  'wrong-key': 'home-damaged',
  full: 'disk-full',
  io: 'home-unwritable',
  unwritable: 'home-unwritable',
  damaged: 'home-damaged',
  corrupted: 'home-damaged',
  incomplete: 'home-damaged',
  newer: 'home-newer',
  'unsupported-version': 'home-newer',
}

interface Place {
  readonly home: string
  readonly profile: string
}

/** One error of the API for an error of the host, with what a person needs to go on. */
export function toStartError(error: HostError, place: Place): MiaouError {
  const facts: Record<string, unknown> = { home: place.home, ...error, type: undefined }
  // The store and the listener wrap the error that matters.
  if ('error' in error && isHostError(error.error)) return toStartError(error.error, place)
  const code = codes[error.type] ?? (isErrorCode(error.type) ? error.type : undefined)
  if (code === undefined) return new MiaouError('start-failed', { detail: describe(error) })
  if (code === 'home-damaged' || code === 'home-unwritable')
    return new MiaouError(code, { detail: describe(error), ...facts })
  if (code === 'home-in-use') return new MiaouError(code, { pid: '?', ...facts, command: secondCommand(place) })
  return new MiaouError(code, facts)
}

/** What to type to be a second person on this machine. */
export function secondCommand({ profile }: Place): string {
  return `npm start -- --profile ${profile === 'bob' ? 'carol' : 'bob'}`
}

function isHostError(value: unknown): value is HostError {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
}

function describe(error: HostError): string {
  return 'detail' in error && typeof error.detail === 'string' ? `${error.type}: ${error.detail}` : error.type
}

/** A peer of this home runs already, in another window. */
export function runningError(pid: number, place: Place): MiaouError {
  return new MiaouError('home-in-use', { home: place.home, pid, command: secondCommand(place) })
}
