import { equalBytes } from '@miaou/core'
import {
  decodeFrame,
  encodeFrame,
  type Frame,
  frameHeaderSize,
  framePayloadSizeMax,
  frameSizeMin,
  frameTrailerSize,
  frameTypes,
  pipeMessageOverhead,
  pipeMessageSizeMax,
  protocolVersion,
} from '@miaou/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { backends, libsodium } from './backends.ts'

const blake3 = (bytes: Uint8Array) => libsodium.blake3(bytes)
const peerId = new Uint8Array(32).fill(7)
const sample: Frame = {
  type: frameTypes.directMessage,
  sequence: 0x0102_0304_0506,
  peerId,
  timestamp: 1_795_219_200_000,
  payload: Uint8Array.of(9, 8, 7),
}

/** A frame with other bytes at `offset` and a checksum that fits again. */
function patched(offset: number, ...bytes: readonly number[]): Uint8Array {
  const frame = encodeFrame(sample, blake3)
  frame.set(bytes, offset)
  const end = frame.length - frameTrailerSize
  frame.set(blake3(frame.subarray(0, end)), end)
  return frame
}

describe('frames', () => {
  test('[F1] B01 header fields stand at their offsets', () => {
    const bytes = encodeFrame(sample, blake3)
    const view = new DataView(bytes.buffer)
    expect(view.getUint8(0)).toBe(protocolVersion)
    expect(view.getUint8(1)).toBe(0x20)
    expect(view.getBigUint64(2)).toBe(0x0102_0304_0506n)
    expect(bytes.slice(10, 42)).toEqual(peerId)
    expect(view.getBigUint64(42)).toBe(1_795_219_200_000n)
    expect(view.getUint32(50)).toBe(3)
    expect(bytes.slice(54, 57)).toEqual(sample.payload)
    expect(bytes.length).toBe(frameHeaderSize + 3 + frameTrailerSize)
  })

  test('[F2] B02 integers are big-endian', () => {
    expect([...encodeFrame(sample, blake3).slice(2, 10)]).toEqual([0, 0, 1, 2, 3, 4, 5, 6])
  })

  test('[F3] B03 the version is 2, another one is refused with its number', () => {
    expect(encodeFrame(sample, blake3)[0]).toBe(2)
    expect(decodeFrame(patched(0, 3), blake3)).toEqual({
      ok: false,
      error: { type: 'unsupported-version', version: 3 },
    })
  })

  test('[F4] B04 an empty payload makes 86 bytes, one less is too small', () => {
    const bytes = encodeFrame({ ...sample, payload: new Uint8Array(0) }, blake3)
    expect(bytes.length).toBe(frameSizeMin)
    expect(decodeFrame(bytes, blake3).ok).toBe(true)
    const error = { type: 'frame-too-small', size: 85 }
    expect(decodeFrame(bytes.slice(0, 85), blake3)).toEqual({ ok: false, error })
  })

  for (const crypto of backends) {
    test(`[F5] B05 the trailer is BLAKE3 of header and payload (${crypto.name})`, () => {
      const bytes = encodeFrame(sample, (input) => crypto.blake3(input))
      expect(equalBytes(bytes.slice(-32), crypto.blake3(bytes.subarray(0, 57)))).toBe(true)
    })
  }

  test('[F5] B06 B14 every flipped bit is refused', () => {
    const bytes = encodeFrame(sample, blake3)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const altered = bytes.slice()
      altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(decodeFrame(altered, blake3).ok).toBe(false)
    }
  })

  test('B07 the timestamp is Unix time in milliseconds', () => {
    const decoded = decodeFrame(encodeFrame(sample, blake3), blake3)
    expect(decoded.ok && new Date(decoded.value.timestamp).toISOString()).toBe('2026-11-21T00:00:00.000Z')
  })

  test('[F6] B08 B09 B10 B11 B12 the types have their numbers', () => {
    const { handshake, handshakeAck, peerAnnouncement, peerQuery, peerResponse } = frameTypes
    expect([handshake, handshakeAck, peerAnnouncement, peerQuery, peerResponse]).toEqual([1, 2, 0x10, 0x11, 0x12])
    const { directMessage, deliveryReceipt, keepAlive, disconnect, status, typing } = frameTypes
    expect([directMessage, deliveryReceipt, keepAlive, disconnect]).toEqual([0x20, 0x21, 0x30, 0x31])
    expect([status, typing]).toEqual([0x40, 0x41])
  })

  test('[F6] B14 of all 256 types only the known ones are accepted', () => {
    const known = new Set<number>(Object.values(frameTypes))
    for (let value = 0; value < 256; value++) {
      const decoded = decodeFrame(patched(1, value), blake3)
      if (known.has(value)) expect(decoded.ok).toBe(true)
      else expect(decoded).toEqual({ ok: false, error: { type: 'unknown-type', value } })
    }
  })

  test('[F7] a sequence or timestamp of 2^53 is refused, one below is exact', () => {
    const error = { type: 'number-out-of-range' }
    expect(decodeFrame(patched(2, 0, 0x20, 0, 0, 0, 0, 0, 0), blake3)).toEqual({ ok: false, error })
    expect(decodeFrame(patched(42, 0xff), blake3)).toEqual({ ok: false, error })
    const decoded = decodeFrame(patched(2, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), blake3)
    expect(decoded.ok && decoded.value.sequence).toBe(Number.MAX_SAFE_INTEGER)
  })

  test('[F8] B14 truncation at every byte is refused', () => {
    const bytes = encodeFrame(sample, blake3)
    for (let size = 0; size < bytes.length; size++) {
      const decoded = decodeFrame(bytes.slice(0, size), blake3)
      const type = size < frameSizeMin ? 'frame-too-small' : 'incomplete-frame'
      expect(!decoded.ok && decoded.error.type).toBe(type)
    }
  })

  test('[F8] a payload size of 4 GiB is refused as incomplete', () => {
    const error = { type: 'incomplete-frame', size: 89, expected: 0xffff_ffff + 86 }
    expect(decodeFrame(patched(50, 255, 255, 255, 255), blake3)).toEqual({ ok: false, error })
  })

  test('[F8] padding of any size, at any place in memory, is read to its end', () => {
    for (let payloadSize = 0; payloadSize < 4; payloadSize++) {
      const frame = encodeFrame({ ...sample, payload: new Uint8Array(payloadSize) }, blake3)
      for (let offset = 0; offset < 4; offset++) {
        for (let tail = 0; tail < 12; tail++) {
          const bytes = new Uint8Array(offset + frame.length + tail).subarray(offset)
          bytes.set(frame)
          expect(decodeFrame(bytes, blake3, { padded: true }).ok).toBe(true)
          for (let at = frame.length; at < bytes.length; at++) {
            bytes[at] = 1
            expect(decodeFrame(bytes, blake3, { padded: true }).ok).toBe(false)
            bytes[at] = 0
          }
        }
      }
    }
  })

  test('[F8] behind the trailer nothing may stand, in a padded frame zeros only', () => {
    const bytes = encodeFrame(sample, blake3)
    const padded = new Uint8Array(256)
    padded.set(bytes)
    const error = { type: 'trailing-bytes' }
    expect(decodeFrame(padded, blake3)).toEqual({ ok: false, error })
    expect(decodeFrame(padded, blake3, { padded: true }).ok).toBe(true)
    expect(decodeFrame(bytes, blake3, { padded: true }).ok).toBe(true)
    padded[255] = 1
    expect(decodeFrame(padded, blake3, { padded: true })).toEqual({ ok: false, error })
  })

  test('[F8] every byte of the padding counts, wherever the frame lies in memory', () => {
    const frame = encodeFrame(sample, blake3, 120)
    expect(frame.length).toBe(120)
    for (let shift = 0; shift < 4; shift++) {
      const memory = new Uint8Array(shift + frame.length + 1).fill(1)
      const bytes = memory.subarray(shift, shift + frame.length)
      bytes.set(frame)
      expect(decodeFrame(bytes, blake3, { padded: true })).toEqual({ ok: true, value: sample })
      for (let at = frameSizeMin + 3; at < frame.length; at++) {
        bytes[at] = 1
        expect(decodeFrame(bytes, blake3, { padded: true }).ok).toBe(false)
        bytes[at] = 0
      }
    }
  })

  test('a frame written where another was shows nothing of it', () => {
    const memory = new Uint8Array(200).fill(255)
    const into = memory.subarray(3)
    expect(encodeFrame(sample, blake3, 150, into)).toEqual(encodeFrame(sample, blake3, 150))
    expect(encodeFrame(sample, blake3, 0, into).buffer).toBe(memory.buffer)
    expect(encodeFrame(sample, blake3, 198, into)).toEqual(encodeFrame(sample, blake3, 198))
    expect([memory[2], memory[153]]).toEqual([255, 255])
  })

  test('[F9] the largest payload fills a pipe message, one byte more is refused', () => {
    const bytes = encodeFrame({ ...sample, payload: new Uint8Array(framePayloadSizeMax) }, blake3)
    expect(bytes.length + pipeMessageOverhead).toBe(pipeMessageSizeMax)
    expect(decodeFrame(bytes, blake3).ok).toBe(true)
    expect(() => encodeFrame({ ...sample, payload: new Uint8Array(framePayloadSizeMax + 1) }, blake3)).toThrow()
    const error = { type: 'frame-too-large', size: pipeMessageSizeMax + 1 }
    expect(decodeFrame(new Uint8Array(pipeMessageSizeMax + 1), blake3)).toEqual({ ok: false, error })
  })

  test('B13 B15 deserialize(serialize(f)) = f, also beyond the first buffer', () => {
    const frames = fc.record({
      type: fc.constantFrom(...Object.values(frameTypes)),
      sequence: fc.maxSafeNat(),
      peerId: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      timestamp: fc.maxSafeNat(),
      payload: fc.uint8Array({ maxLength: 4000, size: 'max' }),
    })
    fc.assert(
      fc.property(frames, (frame) => {
        expect(decodeFrame(encodeFrame(frame, blake3), blake3)).toEqual({ ok: true, value: frame })
      }),
    )
  })

  test('the decoded frame keeps no hold on the buffer it came in', () => {
    const bytes = encodeFrame(sample, blake3)
    const decoded = decodeFrame(bytes, blake3)
    bytes.fill(0)
    expect(decoded).toEqual({ ok: true, value: sample })
  })
})
