import { ByteReader, ByteWriter, concatBytes } from '@miaou/core'
import type { Crypto } from '../suite.ts'
import { ratchetSuite } from './state.ts'

/** Version byte of a ratchet message. */
export const ratchetMessageVersion = 1
/** Largest ratchet message: an envelope is at most 64 KiB (DECISIONS, "Sizes"). */
export const ratchetMessageBytesMax = 65_536
/** Bytes a message has beyond its plaintext. */
export const ratchetOverheadBytes: number = 4 + 24 + 56 + 24 + 16
/** Largest plaintext of one message. */
export const ratchetPlaintextBytesMax: number = ratchetMessageBytesMax - ratchetOverheadBytes

const nonceBytes = 24
const tagBytes = 16
const headerBytes = 40
// Room for fields that a later version appends to the header. Own choice: a guess at the most a later header needs.
const sealedHeaderBytesMax = 1024

/** What a message says of its place in the session. Nobody but the two sides reads it. */
export interface RatchetHeader {
  readonly ratchetKey: Uint8Array
  /** Length of the sender's previous chain. */
  readonly previousCount: number
  readonly number: number
}

/** A message taken apart, nothing of it authenticated yet. */
export interface RatchetMessageParts {
  /** Version, suite and header size: the associated data of the sealed header. */
  readonly prefix: Uint8Array
  readonly headerNonce: Uint8Array
  readonly sealedHeader: Uint8Array
  /** Everything in front of the body: in the body's associated data. */
  readonly head: Uint8Array
  readonly bodyNonce: Uint8Array
  readonly sealedBody: Uint8Array
}

/**
 * Layout: version u8 ‖ suite u8 ‖ size of the sealed header u16 ‖ header nonce 24 ‖ sealed header ‖ body nonce 24 ‖
 * sealed body. The header is ratchet key 32 ‖ previous count u32 ‖ number u32; what a later version appends to it
 * within the same suite is authenticated and skipped.
 */
export function sealHead(
  crypto: Crypto,
  headerKey: Uint8Array,
  headerNonce: Uint8Array,
  header: RatchetHeader,
): Uint8Array {
  const prefix = Uint8Array.of(ratchetMessageVersion, ratchetSuite, 0, headerBytes + tagBytes)
  const plaintext = new ByteWriter(headerBytes)
    .bytes(header.ratchetKey)
    .u32(header.previousCount)
    .u32(header.number)
    .finish()
  return concatBytes(prefix, headerNonce, crypto.xchacha20Poly1305Seal(headerKey, headerNonce, prefix, plaintext))
}

export type PartsError =
  | { readonly type: 'unsupported'; readonly version: number; readonly suite: number }
  | { readonly type: 'malformed' }

export function splitMessage(message: Uint8Array): RatchetMessageParts | PartsError {
  const reader = new ByteReader(message)
  const version = reader.u8()
  const suite = reader.u8()
  if (reader.failed || message.length > ratchetMessageBytesMax) return { type: 'malformed' }
  if (version !== ratchetMessageVersion || suite !== ratchetSuite) return { type: 'unsupported', version, suite }
  const sealedSize = reader.u16()
  if (sealedSize < headerBytes + tagBytes || sealedSize > sealedHeaderBytesMax) reader.fail()
  const headerNonce = reader.bytes(nonceBytes)
  const sealedHeader = reader.bytes(sealedSize)
  const headSize = reader.offset
  const bodyNonce = reader.bytes(nonceBytes)
  const sealedBody = reader.rest(ratchetMessageBytesMax)
  if (!reader.finished() || sealedBody.length < tagBytes) return { type: 'malformed' }
  return {
    prefix: message.subarray(0, 4),
    headerNonce,
    sealedHeader,
    head: message.subarray(0, headSize),
    bodyNonce,
    sealedBody,
  }
}

/** The header, or undefined when it was not sealed with this key. */
export function openHeader(
  crypto: Crypto,
  headerKey: Uint8Array,
  parts: RatchetMessageParts,
): RatchetHeader | undefined {
  const plaintext = crypto.xchacha20Poly1305Open(headerKey, parts.headerNonce, parts.prefix, parts.sealedHeader)
  if (plaintext === undefined) return undefined
  const reader = new ByteReader(plaintext)
  return { ratchetKey: reader.bytes(32), previousCount: reader.u32(), number: reader.u32() }
}

/** The plaintext, or undefined when key, head, associated data or body do not belong together. */
export function openBody(
  crypto: Crypto,
  messageKey: Uint8Array,
  parts: RatchetMessageParts,
  ad: Uint8Array,
): Uint8Array | undefined {
  // The head says its own size, so head ‖ ad reads in one way only.
  return crypto.xchacha20Poly1305Open(messageKey, parts.bodyNonce, concatBytes(parts.head, ad), parts.sealedBody)
}
