import type { Result } from '@miaou/core'
import { assert, ByteReader, ByteWriter, err, ok } from '@miaou/core'
import { prekeyBundleSizeMax } from './prekey-bundle.ts'
import { type DecodeError, tailSizeMax } from './structure.ts'

/**
 * A question to the linked device (row B09; spec/messages M11). `requestId`: u32. `unknown`: what only a newer peer
 * asks for; it is answered with an empty response.
 */
export type PeerQuery =
  | { readonly requestId: number; readonly want: 'prekey-bundle' }
  | { readonly requestId: number; readonly want: 'unknown'; readonly tag: number }

/** The answer to the query of that id; without a body: refused, or there is none. */
export interface PeerResponse {
  readonly requestId: number
  /** For `prekey-bundle`: the encoded bundle, not verified. */
  readonly body: Uint8Array | undefined
}

/** Byte of what a PeerQuery asks for. */
export const queryTags = { 'prekey-bundle': 1 } as const
/** Most bytes of a response's body. */
export const responseBodySizeMax: number = prekeyBundleSizeMax

export function encodePeerQuery(query: PeerQuery): Uint8Array {
  const tag = query.want === 'unknown' ? query.tag : queryTags[query.want]
  return new ByteWriter(8).u32(query.requestId).u8(tag).finish()
}

export function decodePeerQuery(bytes: Uint8Array): Result<PeerQuery, DecodeError> {
  const reader = new ByteReader(bytes)
  const requestId = reader.u32()
  const tag = reader.u8()
  reader.rest(tailSizeMax)
  if (!reader.finished()) return err({ type: 'malformed', what: 'peer query' })
  return ok(
    tag === queryTags['prekey-bundle'] ? { requestId, want: 'prekey-bundle' } : { requestId, want: 'unknown', tag },
  )
}

export function encodePeerResponse(response: PeerResponse): Uint8Array {
  const { requestId, body } = response
  assert((body?.length ?? 0) <= responseBodySizeMax, 'a response body is bounded')
  const writer = new ByteWriter(64).u32(requestId).u8(body === undefined ? 0 : 1)
  return (body === undefined ? writer : writer.bytes(body)).finish()
}

export function decodePeerResponse(bytes: Uint8Array): Result<PeerResponse, DecodeError> {
  const reader = new ByteReader(bytes)
  const requestId = reader.u32()
  const hasBody = reader.u8()
  if (hasBody > 1) reader.fail()
  const body = reader.rest(hasBody === 1 ? responseBodySizeMax : 0)
  if (!reader.finished()) return err({ type: 'malformed', what: 'peer response' })
  return ok({ requestId, body: hasBody === 1 ? body : undefined })
}
