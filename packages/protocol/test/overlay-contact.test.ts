import { concatBytes } from '@miaou/core'
import {
  contactSizeV4,
  contactSizeV6,
  decodeFrame,
  decodeOverlayContact,
  encodeFrame,
  encodeOverlayContact,
  frameTypes,
  isBundleable,
  isFragmentable,
  tailSizeMax,
} from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { createOverlaySamples, sampleContacts } from '../../../testkit/src/fuzz/overlay-samples.ts'
import { libsodium } from './backends.ts'

const { ownContacts } = createOverlaySamples(libsodium)
const malformed = { ok: false, error: { type: 'malformed', what: 'overlay contact' } }
const none = new Uint8Array(0)
const [first = { v4: none, v6: none }, both = first] = ownContacts
const blake3 = (bytes: Uint8Array) => libsodium.blake3(bytes)

describe('overlayContact frames', () => {
  test('[F6] gossip and overlayContact have their numbers, and travel in bundles and fragments', () => {
    expect([frameTypes.gossip, frameTypes.overlayContact]).toEqual([0x50, 0x51])
    for (const type of [frameTypes.gossip, frameTypes.overlayContact]) {
      const frame = { type, sequence: 1, peerId: new Uint8Array(32), timestamp: 1, payload: encodeOverlayContact(both) }
      expect(decodeFrame(encodeFrame(frame, blake3), blake3)).toEqual({ ok: true, value: frame })
      expect([isBundleable(type), isFragmentable(type)]).toEqual([true, true])
    }
  })

  test('[O12] one or two contacts of one key come back', () => {
    const twoV4 = { v4: concatBytes(first.v4, first.v4.with(35, 9)), v6: none }
    for (const contacts of [...ownContacts, { v4: none, v6: both.v6 }, twoV4]) {
      expect(decodeOverlayContact(encodeOverlayContact(contacts))).toEqual({ ok: true, value: contacts })
    }
  })

  test('[O12] none, three, or two keys are refused on both sides', () => {
    const nobody = { v4: none, v6: none }
    const three = { v4: concatBytes(first.v4, first.v4), v6: both.v6 }
    const twoKeys = sampleContacts(libsodium, 1, 1)
    const half = { v4: first.v4.slice(1), v6: none }
    for (const contacts of [nobody, three, twoKeys, half]) expect(() => encodeOverlayContact(contacts)).toThrow()
    expect(decodeOverlayContact(Uint8Array.of(0, 0))).toEqual(malformed)
    expect(decodeOverlayContact(concatBytes(Uint8Array.of(2, 1), three.v4, three.v6))).toEqual(malformed)
    expect(decodeOverlayContact(concatBytes(Uint8Array.of(1, 1), twoKeys.v4, twoKeys.v6))).toEqual(malformed)
  })

  test('[O12] an address that no node can have is refused', () => {
    const bytes = encodeOverlayContact(both)
    expect(decodeOverlayContact(bytes.with(2 + 32, 0))).toEqual(malformed)
    expect(decodeOverlayContact(bytes.with(2 + contactSizeV4 + 32, 0xff))).toEqual(malformed)
    expect(() => encodeOverlayContact({ v4: first.v4.with(36, 0).with(37, 0), v6: none })).toThrow()
  })

  test('[O12] truncation at every byte is refused; 64 bytes behind are skipped, 65 are not', () => {
    const bytes = encodeOverlayContact(both)
    expect(bytes.length).toBe(2 + contactSizeV4 + contactSizeV6)
    for (let size = 0; size < bytes.length; size++) {
      expect(decodeOverlayContact(bytes.subarray(0, size))).toEqual(malformed)
    }
    const longer = (size: number) => concatBytes(bytes, new Uint8Array(size))
    expect(decodeOverlayContact(longer(tailSizeMax))).toEqual({ ok: true, value: both })
    expect(decodeOverlayContact(longer(tailSizeMax + 1))).toEqual(malformed)
  })
})
