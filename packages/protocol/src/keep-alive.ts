import type { Result } from '@miaou/core'
import { ByteReader, ByteWriter, err, ok } from '@miaou/core'
import { codeToName, type DecodeError, tailSizeMax } from './structure.ts'

/** A question for a sign of life, and its answer with the same nonce (spec/messages M7). */
export interface KeepAlive {
  readonly kind: 'ping' | 'pong'
  /** u32. */
  readonly nonce: number
}

/** Kind byte of a KeepAlive frame. */
export const keepAliveKinds = { ping: 1, pong: 2 } as const

export function encodeKeepAlive(keepAlive: KeepAlive): Uint8Array {
  return new ByteWriter(8).u8(keepAliveKinds[keepAlive.kind]).u32(keepAlive.nonce).finish()
}

export function decodeKeepAlive(bytes: Uint8Array): Result<KeepAlive, DecodeError> {
  const reader = new ByteReader(bytes)
  const kind = codeToName(keepAliveKinds, reader.u8())
  const nonce = reader.u32()
  reader.rest(tailSizeMax)
  return kind !== undefined && reader.finished() ? ok({ kind, nonce }) : err({ type: 'malformed', what: 'keep-alive' })
}
