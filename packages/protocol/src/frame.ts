import type { Result } from '@miaou/core'
import { assert, ByteReader, equalBytes, err, ok } from '@miaou/core'
import { codeToName } from './structure.ts'

/** Rows B08–B12 and DECISIONS (fragments, overlay, relays). */
export const frameTypes = {
  handshake: 0x01,
  handshakeAck: 0x02,
  peerAnnouncement: 0x10,
  peerQuery: 0x11,
  peerResponse: 0x12,
  signal: 0x13,
  directMessage: 0x20,
  deliveryReceipt: 0x21,
  keepAlive: 0x30,
  disconnect: 0x31,
  fragment: 0x32,
  bundle: 0x33,
  status: 0x40,
  typing: 0x41,
  gossip: 0x50,
  overlayContact: 0x51,
  contactWays: 0x52,
  relayControl: 0x60,
  circuitData: 0x61,
  mailboxControl: 0x62,
} as const

export type FrameTypeName = keyof typeof frameTypes
export type FrameType = (typeof frameTypes)[FrameTypeName]

/** One frame (spec/frames F1). */
export interface Frame {
  readonly type: FrameType
  /** u64 below 2^53. */
  readonly sequence: number
  /** The sender's Ed25519 key, 32 bytes; zeros during the handshake. */
  readonly peerId: Uint8Array
  /** Wall-clock ms since the Unix epoch, u64 below 2^53. */
  readonly timestamp: number
  readonly payload: Uint8Array
}

/** Row B03. */
export const protocolVersion = 0x02
/** Row B01: version 1, type 1, sequence 8, peer id 32, timestamp 8, payload size 4. */
export const frameHeaderSize = 54
/** BLAKE3. */
export const frameTrailerSize = 32
/** Row B04: a frame with an empty payload. */
export const frameSizeMin = 86
/** DECISIONS "Sizes": werift's maximum. */
export const pipeMessageSizeMax = 65_536
/** What a pipe message has beside its frame: sequence u64 and the 16-byte tag of the AEAD. */
export const pipeMessageOverhead = 24
/** Largest payload of a frame that still fits a sealed pipe message: 65,536 − 24 − 86. */
export const framePayloadSizeMax = 65_426
/** Row B13: first allocation of the encoder, bytes. */
export const frameBufferSize = 1024

/**
 * Row B14. `number-out-of-range`: a sequence or timestamp of 2^53 or more. `trailing-bytes`: something behind the
 * trailer (in a padded frame: something that is not zero). `frame-too-large`: more than a pipe message.
 */
export type FrameError =
  | { readonly type: 'frame-too-small'; readonly size: number }
  | { readonly type: 'frame-too-large'; readonly size: number }
  | { readonly type: 'unsupported-version'; readonly version: number }
  | { readonly type: 'incomplete-frame'; readonly size: number; readonly expected: number }
  | { readonly type: 'checksum-mismatch' }
  | { readonly type: 'unknown-type'; readonly value: number }
  | { readonly type: 'number-out-of-range' }
  | { readonly type: 'trailing-bytes' }

type Blake3 = (bytes: Uint8Array) => Uint8Array

/**
 * Bytes of a frame, a view of an array of their own. `blake3`: the crypto suite's, 32 bytes. `sizeMin`: zeros follow a
 * shorter frame up to this size. `into`: used instead of a new array where the frame fits. Asserts the sizes of peer id
 * and payload.
 */
export function encodeFrame(frame: Frame, blake3: Blake3, sizeMin = 0, into?: Uint8Array): Uint8Array {
  const { peerId, payload } = frame
  assert(peerId.length === 32, 'a frame names a 32-byte peer id')
  assert(payload.length <= framePayloadSizeMax, 'a larger payload travels as fragments')
  const checkedSize = frameHeaderSize + payload.length
  const size = checkedSize + frameTrailerSize
  const end = Math.max(size, sizeMin)
  // Row B13's buffer, or at once the larger one that the frame needs: nothing is copied on the way.
  const isGiven = into !== undefined && into.length >= end
  const bytes = isGiven ? into : new Uint8Array(Math.max(frameBufferSize, end))
  if (isGiven) bytes.fill(0, size, end)
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  bytes[0] = protocolVersion
  bytes[1] = frame.type
  writeU64(view, 2, frame.sequence)
  bytes.set(peerId, 10)
  writeU64(view, 42, frame.timestamp)
  view.setUint32(50, payload.length)
  bytes.set(payload, frameHeaderSize)
  bytes.set(blake3(bytes.subarray(0, checkedSize)), checkedSize)
  return bytes.subarray(0, end)
}

/**
 * The frame in `bytes`, at most one pipe message of them (row B15). `padded`: zero bytes may follow the trailer, and
 * nothing else. Never throws; the payload and the peer id are copies.
 */
export function decodeFrame(
  bytes: Uint8Array,
  blake3: Blake3,
  options: { readonly padded?: boolean } = {},
): Result<Frame, FrameError> {
  if (bytes.length < frameSizeMin) return err({ type: 'frame-too-small', size: bytes.length })
  if (bytes.length > pipeMessageSizeMax) return err({ type: 'frame-too-large', size: bytes.length })
  const reader = new ByteReader(bytes)
  const version = reader.u8()
  if (version !== protocolVersion) return err({ type: 'unsupported-version', version })
  const typeCode = reader.u8()
  const sequenceHigh = reader.u32()
  const sequenceLow = reader.u32()
  const peerId = reader.bytes(32)
  const timestampHigh = reader.u32()
  const timestampLow = reader.u32()
  const payloadSize = reader.u32()
  const expected = frameSizeMin + payloadSize
  if (bytes.length < expected) return err({ type: 'incomplete-frame', size: bytes.length, expected })
  const payload = reader.bytes(payloadSize)
  const checksum = blake3(bytes.subarray(0, frameHeaderSize + payloadSize))
  if (!equalBytes(checksum, reader.bytes(frameTrailerSize))) return err({ type: 'checksum-mismatch' })
  const type = codeToFrameType(typeCode)
  if (type === undefined) return err({ type: 'unknown-type', value: typeCode })
  // 2^21 in the upper half is 2^53: beyond it a number is no longer exact.
  if (sequenceHigh >= 0x20_0000 || timestampHigh >= 0x20_0000) return err({ type: 'number-out-of-range' })
  const tail = bytes.subarray(expected)
  if (tail.length > 0 && !(options.padded && isZero(tail))) return err({ type: 'trailing-bytes' })
  return ok({
    type,
    sequence: sequenceHigh * 0x1_0000_0000 + sequenceLow,
    peerId,
    timestamp: timestampHigh * 0x1_0000_0000 + timestampLow,
    payload,
  })
}

/** The frame type of a byte, or undefined when it is none. */
export function codeToFrameType(code: number): FrameType | undefined {
  const name = codeToName(frameTypes, code)
  return name === undefined ? undefined : frameTypes[name]
}

function writeU64(view: DataView, offset: number, value: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, 'a u64 field holds a safe non-negative integer')
  view.setUint32(offset, Math.floor(value / 0x1_0000_0000))
  view.setUint32(offset + 4, value >>> 0)
}

/** By words where they are aligned: padding is most of many a frame. */
function isZero(bytes: Uint8Array): boolean {
  const { buffer, byteOffset, length } = bytes
  const head = Math.min(length, -byteOffset & 3)
  const wordCount = (length - head) >> 2
  if (!isZeroWithin(bytes, 0, head) || !isZeroWithin(bytes, head + 4 * wordCount, length)) return false
  // Fewer bytes than to the next word: no words begin there, not even none of them.
  if (wordCount === 0) return true
  const words = new Uint32Array(buffer, byteOffset + head, wordCount)
  for (let i = 0; i < wordCount; i++) if (words[i] !== 0) return false
  return true
}

function isZeroWithin(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (bytes[i] !== 0) return false
  return true
}
