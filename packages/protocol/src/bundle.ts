import type { Result } from '@miaou/core'
import { assert, ByteReader, ByteWriter, err, ok } from '@miaou/core'
import { isFragmentable } from './fragment.ts'
import { codeToFrameType, type FrameType } from './frame.ts'
import type { DecodeError } from './structure.ts'

/** A frame inside a bundle: its header is the bundle's (spec/frames F14). */
export interface BundledFrame {
  readonly type: FrameType
  /** At most `bundleSizeMax` − 3 bytes. */
  readonly payload: Uint8Array
}

/** Keeps the padded pipe message of a bundle within the 16 KiB bucket: 16,384 − 24 (seal) − 86 (frame). */
export const bundleSizeMax = 16_274
/** Type u8 and size u16 in front of each payload. */
export const bundledFrameOverhead = 3

/** Whether frames of a type may travel in a bundle: those that may be fragmented. */
export function isBundleable(type: FrameType): boolean {
  return isFragmentable(type)
}

/** Payload of a bundle of 2 or more frames, `bundleSizeMax` bytes at most with their overhead. */
export function encodeBundle(frames: readonly BundledFrame[]): Uint8Array {
  assert(frames.length >= 2, 'a bundle holds two frames or more')
  const writer = new ByteWriter(bundleSizeMax)
  for (const { type, payload } of frames) {
    assert(isBundleable(type), 'frames of the link itself are not bundled')
    writer.u8(type).bytes16(payload)
  }
  assert(writer.size <= bundleSizeMax, 'a bundle fits its bucket')
  return writer.finish()
}

/** The frames of a bundle, in order. All or none: a malformed one among them refuses the bundle. */
export function decodeBundle(bytes: Uint8Array): Result<readonly BundledFrame[], DecodeError> {
  const malformed = err({ type: 'malformed', what: 'bundle' })
  if (bytes.length > bundleSizeMax) return malformed
  const reader = new ByteReader(bytes)
  const frames: BundledFrame[] = []
  while (!reader.failed && reader.remaining > 0) {
    const type = codeToFrameType(reader.u8())
    const payload = reader.bytes16(bundleSizeMax)
    if (type === undefined || !isBundleable(type)) return malformed
    frames.push({ type, payload })
  }
  return reader.failed || frames.length < 2 ? malformed : ok(frames)
}
