import type { Result } from '@miaou/core'
import { assert, ByteReader, ByteWriter, err, ok } from '@miaou/core'
import { codeToFrameType, type FrameType, frameTypes } from './frame.ts'
import type { DecodeError } from './structure.ts'

/** One piece of a payload that is too large for a frame (spec/frames F10). */
export interface Fragment {
  /** u32, chosen by the sender: names the payload within the link. */
  readonly id: number
  /** u16, below `count`. */
  readonly index: number
  /** u16, 1 to 22. */
  readonly count: number
  /** Type of the frame that the whole payload would have been. */
  readonly type: FrameType
  /** 48 KiB; the last one 1 byte to 48 KiB. */
  readonly bytes: Uint8Array
}

/** DECISIONS "Sizes". */
export const fragmentSizeMax = 49_152
/** Largest payload that travels as fragments: what a peer may have in reassembly. */
export const fragmentedSizeMax = 1_048_576
/** ⌈1 MiB / 48 KiB⌉. */
export const fragmentsMax = 22

// Frames of the link itself are small, and a handshake in fragments would spend memory on strangers.
const wholeTypes: ReadonlySet<number> = new Set([
  frameTypes.handshake,
  frameTypes.handshakeAck,
  frameTypes.keepAlive,
  frameTypes.disconnect,
  frameTypes.fragment,
  frameTypes.bundle,
])

/** Whether payloads of a frame type may be cut into fragments. */
export function isFragmentable(type: FrameType): boolean {
  return !wholeTypes.has(type)
}

export function encodeFragment(fragment: Fragment): Uint8Array {
  return new ByteWriter(fragment.bytes.length + 9)
    .u32(fragment.id)
    .u16(fragment.index)
    .u16(fragment.count)
    .u8(fragment.type)
    .bytes(fragment.bytes)
    .finish()
}

export function decodeFragment(bytes: Uint8Array): Result<Fragment, DecodeError> {
  const reader = new ByteReader(bytes)
  const id = reader.u32()
  const index = reader.u16()
  const count = reader.u16()
  const type = codeToFrameType(reader.u8())
  const piece = reader.rest(fragmentSizeMax)
  const isLast = index === count - 1
  const sizeIsRight = isLast ? piece.length > 0 : piece.length === fragmentSizeMax
  const totalMax = (count - 1) * fragmentSizeMax + (isLast ? piece.length : 1)
  if (type === undefined || !isFragmentable(type) || count > fragmentsMax || index >= count) reader.fail()
  if (!sizeIsRight || totalMax > fragmentedSizeMax) reader.fail()
  if (type === undefined || !reader.finished()) return err({ type: 'malformed', what: 'fragment' })
  return ok({ id, index, count, type, bytes: piece })
}

/** Encoded fragments of a payload of 1 byte to 1 MiB, in order. `id`: u32, not in use on this link. */
export function fragmentPayload(id: number, type: FrameType, payload: Uint8Array): Uint8Array[] {
  assert(payload.length > 0 && payload.length <= fragmentedSizeMax, 'a fragmented payload has 1 byte to 1 MiB')
  assert(isFragmentable(type), 'frames of the link itself are not fragmented')
  const count = Math.ceil(payload.length / fragmentSizeMax)
  const fragments: Uint8Array[] = []
  for (let index = 0; index < count; index++) {
    const bytes = payload.subarray(index * fragmentSizeMax, (index + 1) * fragmentSizeMax)
    fragments.push(encodeFragment({ id, index, count, type, bytes }))
  }
  return fragments
}
