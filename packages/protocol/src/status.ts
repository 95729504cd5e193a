import type { Result } from '@miaou/core'
import { ByteReader, err, ok } from '@miaou/core'
import { codeToName, type DecodeError, tailSizeMax } from './structure.ts'

export type Presence = 'online' | 'away' | 'offline'

/** Whether somebody is there (row B12; spec/messages M9). */
export interface Status {
  readonly presence: Presence
}

/** Presence byte of a Status frame. */
export const presences = { online: 1, away: 2, offline: 3 } as const

export function encodeStatus(status: Status): Uint8Array {
  return Uint8Array.of(presences[status.presence])
}

export function decodeStatus(bytes: Uint8Array): Result<Status, DecodeError> {
  const reader = new ByteReader(bytes)
  const presence = codeToName(presences, reader.u8())
  reader.rest(tailSizeMax)
  return presence !== undefined && reader.finished() ? ok({ presence }) : err({ type: 'malformed', what: 'status' })
}
