import { ok } from '@miaou/core'
import {
  decodeFragment,
  encodeFragment,
  type Fragment,
  fragmentedSizeMax,
  fragmentPayload,
  fragmentSizeMax,
  fragmentsMax,
  frameTypes,
  isFragmentable,
  Reassembler,
} from '@miaou/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

const type = frameTypes.directMessage
const piece = (id: number, index: number, count: number, size = 10): Fragment => ({
  id,
  index,
  count,
  type,
  bytes: new Uint8Array(size).fill(index + 1),
})

function decoded(bytes: Uint8Array): Fragment {
  const fragment = decodeFragment(bytes)
  if (!fragment.ok) throw new Error('a fragment of ours is refused')
  return fragment.value
}

describe('fragments', () => {
  test('[F10] a payload of 1 MiB travels in 22 fragments, in any order', () => {
    const payload = new Uint8Array(fragmentedSizeMax).map((_, index) => index * 31)
    const fragments = fragmentPayload(7, type, payload).map(decoded)
    expect(fragments.length).toBe(fragmentsMax)
    const reassembler = new Reassembler()
    for (const fragment of fragments.slice(1).reverse()) expect(reassembler.add(0, fragment)).toEqual(ok(undefined))
    const whole = reassembler.add(0, fragments[0] as Fragment)
    expect(whole.ok && whole.value?.type).toBe(type)
    expect(whole.ok && Buffer.compare(whole.value?.payload ?? new Uint8Array(0), payload)).toBe(0)
    expect([reassembler.size, reassembler.count]).toEqual([0, 0])
  })

  test('[F10] one byte more than 1 MiB is not fragmented', () => {
    expect(() => fragmentPayload(1, type, new Uint8Array(fragmentedSizeMax + 1))).toThrow()
  })

  test('[F10] a fragment that is not full is refused, unless it is the last', () => {
    expect(decodeFragment(encodeFragment(piece(1, 0, 2, fragmentSizeMax))).ok).toBe(true)
    expect(decodeFragment(encodeFragment(piece(1, 0, 2, fragmentSizeMax - 1))).ok).toBe(false)
    expect(decodeFragment(encodeFragment(piece(1, 1, 2, 1))).ok).toBe(true)
    expect(decodeFragment(encodeFragment(piece(1, 1, 2, 0))).ok).toBe(false)
    expect(decodeFragment(encodeFragment(piece(1, 1, 2, fragmentSizeMax + 1))).ok).toBe(false)
  })

  test('[F10] count 0, an index beyond the count and a total above 1 MiB are refused', () => {
    expect(decodeFragment(encodeFragment(piece(1, 0, 0))).ok).toBe(false)
    expect(decodeFragment(encodeFragment(piece(1, 2, 2))).ok).toBe(false)
    expect(decodeFragment(encodeFragment(piece(1, 22, 23))).ok).toBe(false)
    const rest = fragmentedSizeMax - 21 * fragmentSizeMax
    expect(decodeFragment(encodeFragment(piece(1, 21, 22, rest))).ok).toBe(true)
    expect(decodeFragment(encodeFragment(piece(1, 21, 22, rest + 1))).ok).toBe(false)
  })

  test('[F11] frames of the link itself are never inside fragments', () => {
    const { handshake, handshakeAck, keepAlive, disconnect, fragment } = frameTypes
    for (const inner of [handshake, handshakeAck, keepAlive, disconnect, fragment]) {
      expect(isFragmentable(inner)).toBe(false)
      expect(decodeFragment(encodeFragment({ ...piece(1, 0, 1), type: inner })).ok).toBe(false)
    }
  })

  test('[F10] truncation at every byte of a small fragment is refused', () => {
    const bytes = encodeFragment(piece(1, 0, 1, 1))
    for (let size = 0; size < bytes.length; size++) expect(decodeFragment(bytes.slice(0, size)).ok).toBe(false)
  })

  test('[F12] a fifth payload in the making is refused, the four others finish', () => {
    const reassembler = new Reassembler()
    for (const id of [1, 2, 3, 4]) expect(reassembler.add(0, piece(id, 0, 2))).toEqual(ok(undefined))
    const error = { type: 'too-many-reassemblies', countMax: 4 }
    expect(reassembler.add(0, piece(5, 0, 2))).toEqual({ ok: false, error })
    for (const id of [1, 2, 3, 4]) expect(reassembler.add(0, piece(id, 1, 2)).ok).toBe(true)
    expect(reassembler.count).toBe(0)
  })

  test('[F12] at most 1 MiB is held: at the bound, and one byte beyond', () => {
    const reassembler = new Reassembler({ bytesMax: 100 })
    expect(reassembler.add(0, piece(1, 0, 2, 60))).toEqual(ok(undefined))
    expect(reassembler.add(0, piece(2, 0, 2, 40))).toEqual(ok(undefined))
    const error = { type: 'too-many-bytes', bytesMax: 100 }
    expect(reassembler.add(0, piece(2, 1, 2, 1))).toEqual({ ok: false, error })
    expect([reassembler.size, reassembler.count]).toEqual([60, 1])
  })

  test('[F12] a payload is given up after 30 s, and its memory with it', () => {
    const reassembler = new Reassembler()
    reassembler.add(1000, piece(1, 0, 2))
    reassembler.add(2000, piece(2, 0, 2))
    expect(reassembler.deadline()).toBe(31_000)
    reassembler.expire(30_999)
    expect(reassembler.count).toBe(2)
    reassembler.expire(31_000)
    expect([reassembler.count, reassembler.size, reassembler.expiredCount]).toEqual([1, 10, 1])
    reassembler.expire(32_000)
    expect(reassembler.deadline()).toBe(Number.POSITIVE_INFINITY)
  })

  test('[F12] a fragment that repeats or contradicts another one ends its payload', () => {
    const error = { type: 'inconsistent-fragment' }
    const contradictions = [piece(1, 0, 3), piece(1, 1, 4), { ...piece(1, 1, 3), type: frameTypes.signal }]
    for (const contradiction of contradictions) {
      const reassembler = new Reassembler()
      reassembler.add(0, piece(1, 0, 3))
      expect(reassembler.add(0, contradiction)).toEqual({ ok: false, error })
      expect([reassembler.count, reassembler.size]).toEqual([0, 0])
    }
  })

  test('[F12] whatever comes, the bounds hold', () => {
    const fragments = fc.array(
      fc.record({
        at: fc.nat({ max: 100 }),
        id: fc.nat({ max: 6 }),
        index: fc.nat({ max: 3 }),
        count: fc.integer({ min: 1, max: 4 }),
        size: fc.nat({ max: 80 }),
      }),
    )
    fc.assert(
      fc.property(fragments, (steps) => {
        const reassembler = new Reassembler({ bytesMax: 200, timeoutMs: 50, reassembliesMax: 3 })
        let now = 0
        for (const { at, id, index, count, size } of steps) {
          now += at
          reassembler.add(now, piece(id, index % count, count, size))
          expect(reassembler.size).toBeLessThanOrEqual(200)
          expect(reassembler.count).toBeLessThanOrEqual(3)
          expect(reassembler.deadline()).toBeGreaterThan(now)
        }
      }),
    )
  })
})
