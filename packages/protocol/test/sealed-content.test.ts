import { bytesToHex, concatBytes } from '@miaou/core'
import { openSealed, sealedContentSizeMax, sealMessage } from '@miaou/crypto'
import {
  decodeSealedContent,
  encodeEnvelope,
  encodeSealedContent,
  initialEnvelopeOverheadMax,
  type SealedContent,
  sealedAnnouncementSizeMax,
  sealedContentOverhead,
  sealedContentSize,
  sealedEnvelopeOverhead,
  sealedEnvelopesMax,
  textSizeMax,
} from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { createMailboxSamples } from '../../../testkit/src/fuzz/mailbox-samples.ts'
import { SeededRandom } from '../../../testkit/src/seeded.ts'
import { libsodium } from './backends.ts'

const [plain, full] = createMailboxSamples(libsodium).contents as [SealedContent, SealedContent]
const malformed = { ok: false, error: { type: 'malformed', what: 'sealed content' } }
const countAt = 2 + 32 + 32 + 2

describe('[SE8] sealed contents', () => {
  test('come back, and their size is known before', () => {
    for (const content of [plain, full]) {
      const bytes = encodeSealedContent(content)
      expect(decodeSealedContent(bytes)).toEqual({ ok: true, value: content })
      const sizes = content.envelopes.map(({ length }) => length)
      expect(sealedContentSize(content.announcement.length, sizes)).toBe(bytes.length)
      for (let size = 0; size < bytes.length; size++) expect(decodeSealedContent(bytes.slice(0, size)).ok).toBe(false)
    }
  })

  test('have 1 to 64 envelopes, none of them empty', () => {
    const withEnvelopes = (count: number) => ({
      ...plain,
      envelopes: Array.from({ length: count }, (_, index) => Uint8Array.of(index)),
    })
    const most = withEnvelopes(sealedEnvelopesMax)
    expect(decodeSealedContent(encodeSealedContent(most))).toEqual({ ok: true, value: most })
    expect(() => encodeSealedContent(withEnvelopes(sealedEnvelopesMax + 1))).toThrow()
    expect(() => encodeSealedContent(withEnvelopes(0))).toThrow()
    const bytes = encodeSealedContent(most)
    const more = concatBytes(bytes.slice(0, -2), Uint8Array.of(0, 0, 0, 1, 9), bytes.slice(-2))
    expect(decodeSealedContent(more.with(countAt + 1, 65))).toEqual(malformed)
    expect(decodeSealedContent(bytes.with(countAt + 1, 0))).toEqual(malformed)
    const empty = encodeSealedContent({ ...plain, envelopes: [new Uint8Array(0)] })
    expect(decodeSealedContent(empty)).toEqual(malformed)
  })

  test('have an announcement of at most 16,384 bytes', () => {
    const announced = (size: number) => ({ ...plain, announcement: new Uint8Array(size) })
    const largest = encodeSealedContent(announced(sealedAnnouncementSizeMax))
    expect(decodeSealedContent(largest).ok).toBe(true)
    expect(() => encodeSealedContent(announced(sealedAnnouncementSizeMax + 1))).toThrow()
    const at = countAt - 2
    const larger = concatBytes(largest.slice(0, at), Uint8Array.of(0x40, 0x01, 0), largest.slice(at + 2))
    expect(decodeSealedContent(larger)).toEqual(malformed)
  })

  test('at the largest they fit a sealed message, and a byte more does not', () => {
    const size = sealedContentSizeMax - sealedContentOverhead - sealedEnvelopeOverhead
    const largest = { ...plain, envelopes: [new Uint8Array(size)] }
    expect(() => encodeSealedContent({ ...plain, envelopes: [new Uint8Array(size + 1)] })).toThrow()
    const content = encodeSealedContent(largest)
    expect(content).toHaveLength(sealedContentSizeMax)
    expect(decodeSealedContent(concatBytes(content, new Uint8Array(1)))).toEqual(malformed)
    const { publicKey, secretKey } = libsodium.xwingKeyPair(new Uint8Array(32).fill(1))
    const random = new SeededRandom(3)
    const sealed = sealMessage({ crypto: libsodium, random, publicKey, keyId: 1, content })
    expect(sealed.ok && openSealed(libsodium, () => secretKey, sealed.value)).toEqual({
      ok: true,
      value: { keyId: 1, content },
    })
  })

  test('show a mailbox nothing of who wrote, to whom, or what: two of one size differ in all but their key id', () => {
    const { publicKey, secretKey } = libsodium.xwingKeyPair(new Uint8Array(32).fill(1))
    const random = new SeededRandom(4)
    const content = encodeSealedContent(full)
    const seal = () => {
      const sealed = sealMessage({ crypto: libsodium, random, publicKey, keyId: 7, content })
      if (!sealed.ok) throw new Error('our own key')
      return sealed.value
    }
    const [one, other] = [seal(), seal()]
    const text = bytesToHex(one)
    const secrets = [full.accountKey, full.deviceKey, publicKey, secretKey, full.announcement, ...full.envelopes]
    for (const secret of secrets) {
      // Any 12 bytes of it would be a mark.
      for (let at = 0; at + 12 <= secret.length; at += 12) {
        expect(text).not.toContain(bytesToHex(secret.slice(at, at + 12)))
      }
    }
    expect(one.slice(0, 6)).toEqual(other.slice(0, 6))
    for (let at = 6; at + 12 <= one.length; at += 12) {
      expect(text).not.toContain(bytesToHex(other.slice(at, at + 12)))
    }
  })

  test('hold the largest text with everything that a first message has', () => {
    // Head and end of a content (31 bytes), flags and size of its text, overhead of the ratchet.
    const message = new Uint8Array(31 + 3 + textSizeMax + 124)
    const envelope = encodeEnvelope({ kind: 'ratchet', sessionId: new Uint8Array(16), message })
    const sizes = [envelope.length + initialEnvelopeOverheadMax]
    expect(sealedContentSize(sealedAnnouncementSizeMax, sizes)).toBeLessThanOrEqual(sealedContentSizeMax)
  })
})
