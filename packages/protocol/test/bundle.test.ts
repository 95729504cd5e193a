import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type BundledFrame,
  bundledFrameOverhead,
  bundleSizeMax,
  decodeBundle,
  encodeBundle,
  frameTypes,
  isBundleable,
} from '../src/index.ts'

const inner = fc.record({
  type: fc.constantFrom(frameTypes.directMessage, frameTypes.deliveryReceipt, frameTypes.typing),
  payload: fc.uint8Array({ maxLength: 200 }),
})

describe('[F14] bundle', () => {
  test('round trip, in order', () => {
    fc.assert(
      fc.property(fc.array(inner, { minLength: 2, maxLength: 20 }), (frames) => {
        expect(decodeBundle(encodeBundle(frames))).toEqual({ ok: true, value: frames })
      }),
    )
  })

  test('a truncation at any byte but between frames is refused, and so is one frame alone', () => {
    const frames: BundledFrame[] = [1, 2, 3].map((n) => ({ type: frameTypes.typing, payload: new Uint8Array(n) }))
    const bytes = encodeBundle(frames)
    const [first = 0, second = 0] = frames.map(({ payload }) => payload.length + bundledFrameOverhead)
    for (let size = 0; size < bytes.length; size++) {
      const decoded = decodeBundle(bytes.subarray(0, size))
      if (size === first + second) expect(decoded).toEqual({ ok: true, value: frames.slice(0, 2) })
      else expect(decoded).toEqual({ ok: false, error: { type: 'malformed', what: 'bundle' } })
    }
  })

  test('[F11] frames of the link itself, bundles within bundles and unknown types are refused', () => {
    const bytes = encodeBundle([
      { type: frameTypes.typing, payload: new Uint8Array(1) },
      { type: frameTypes.typing, payload: new Uint8Array(1) },
    ])
    for (const type of [0x01, 0x02, 0x30, 0x31, 0x32, 0x33, 0x7f]) {
      const altered = bytes.slice()
      altered[0] = type
      expect(decodeBundle(altered).ok).toBe(false)
    }
    expect(isBundleable(frameTypes.bundle)).toBe(false)
    expect(isBundleable(frameTypes.directMessage)).toBe(true)
  })

  test('at and above the largest size', () => {
    const payload = new Uint8Array(bundleSizeMax / 2 - bundledFrameOverhead)
    const frames = [
      { type: frameTypes.directMessage, payload },
      { type: frameTypes.directMessage, payload },
    ]
    expect(encodeBundle(frames).length).toBe(bundleSizeMax)
    expect(decodeBundle(encodeBundle(frames)).ok).toBe(true)
    expect(decodeBundle(new Uint8Array(bundleSizeMax + 1)).ok).toBe(false)
    expect(() => encodeBundle([...frames, ...frames])).toThrow()
  })
})
