import type { Result } from '@miaou/core'
import { ByteReader, err, ok } from '@miaou/core'
import { codeToName, type DecodeError, tailSizeMax } from './structure.ts'

export type DisconnectReason = 'bye' | 'upgraded' | 'duplicate' | 'blocked' | 'protocol-error' | 'busy' | 'shutdown'

/** The last frame of a link, and why it ends (spec/messages M8). */
export interface Disconnect {
  readonly reason: DisconnectReason
}

/** Reason byte of a Disconnect frame. */
export const disconnectReasons = {
  bye: 1,
  upgraded: 2,
  duplicate: 3,
  blocked: 4,
  'protocol-error': 5,
  busy: 6,
  shutdown: 7,
} as const

export function encodeDisconnect(disconnect: Disconnect): Uint8Array {
  return Uint8Array.of(disconnectReasons[disconnect.reason])
}

/** A reason that only a newer peer knows reads as `bye`: the link ends all the same. */
export function decodeDisconnect(bytes: Uint8Array): Result<Disconnect, DecodeError> {
  const reader = new ByteReader(bytes)
  const reason = codeToName(disconnectReasons, reader.u8()) ?? 'bye'
  reader.rest(tailSizeMax)
  return reader.finished() ? ok({ reason }) : err({ type: 'malformed', what: 'disconnect' })
}
