import type { Result } from '@miaou/core'
import { ByteReader, err, ok } from '@miaou/core'
import { type DecodeError, tailSizeMax } from './structure.ts'

/** Whether somebody is writing to us (row B12; spec/messages M10). */
export interface Typing {
  readonly typing: boolean
}

export function encodeTyping(typing: Typing): Uint8Array {
  return Uint8Array.of(typing.typing ? 1 : 0)
}

export function decodeTyping(bytes: Uint8Array): Result<Typing, DecodeError> {
  const reader = new ByteReader(bytes)
  const value = reader.u8()
  if (value > 1) reader.fail()
  reader.rest(tailSizeMax)
  return reader.finished() ? ok({ typing: value === 1 }) : err({ type: 'malformed', what: 'typing' })
}
