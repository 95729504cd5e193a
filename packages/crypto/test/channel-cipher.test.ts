import { bytesToHex } from '@miaou/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ChannelCipher, deriveChannelKey } from '../src/index.ts'
import { noiseNonce } from '../src/noise/nonce.ts'
import { backends, libsodium as crypto } from './backends.ts'

const splitKey = new Uint8Array(32).fill(5)
const sequence = fc.oneof(fc.nat(10), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }))
const bytes = fc.uint8Array({ maxLength: 200 })

describe('[A11] channel cipher', () => {
  test('the nonce is 4 zero bytes and the sequence, little-endian', () => {
    expect(bytesToHex(noiseNonce(0))).toBe('000000000000000000000000')
    expect(bytesToHex(noiseNonce(0x0102_0304_0506))).toBe('000000000605040302010000')
    expect(bytesToHex(noiseNonce(Number.MAX_SAFE_INTEGER))).toBe('00000000ffffffffffff1f00')
  })

  test('distinct sequences give distinct nonces', () => {
    fc.assert(
      fc.property(sequence, sequence, (a, b) => {
        expect(bytesToHex(noiseNonce(a)) === bytesToHex(noiseNonce(b))).toBe(a === b)
      }),
    )
  })

  test('what one side seals the other opens, under the same sequence and associated data only', () => {
    fc.assert(
      fc.property(sequence, sequence, bytes, bytes, (at, other, ad, plaintext) => {
        const [ours, theirs] = backends.map((backend) => new ChannelCipher({ crypto: backend, key: splitKey }))
        const sealed = ours?.seal(at, ad, plaintext) ?? new Uint8Array(0)
        expect(sealed).toHaveLength(plaintext.length + 16)
        expect(theirs?.open(at, ad, sealed)).toEqual(plaintext)
        if (other !== at) expect(theirs?.open(other, ad, sealed)).toBeUndefined()
        expect(theirs?.open(at, new Uint8Array([...ad, 1]), sealed)).toBeUndefined()
      }),
    )
  })

  test('wiped, it neither seals nor opens: its key is then one that everybody knows', () => {
    const cipher = new ChannelCipher({ crypto, key: splitKey })
    const sealed = cipher.seal(1, new Uint8Array(0), Uint8Array.of(1))
    const zeroKey = new ChannelCipher({ crypto, key: new Uint8Array(32) })
    const forged = zeroKey.seal(1, new Uint8Array(0), Uint8Array.of(1))
    cipher.wipe()
    expect(() => cipher.seal(2, new Uint8Array(0), Uint8Array.of(1))).toThrow('a wiped cipher')
    expect(cipher.open(1, new Uint8Array(0), sealed)).toBeUndefined()
    expect(cipher.open(1, new Uint8Array(0), forged)).toBeUndefined()
  })

  test('sequences that no sender makes open nothing and seal nothing', () => {
    const cipher = new ChannelCipher({ crypto, key: splitKey })
    for (const bad of [-1, 0.5, Number.NaN, 2 ** 53]) {
      expect(cipher.open(bad, new Uint8Array(0), new Uint8Array(32))).toBeUndefined()
      expect(() => cipher.seal(bad, new Uint8Array(0), new Uint8Array(1))).toThrow('sequence')
    }
  })

  test('[A10] channels and directions have keys of their own', () => {
    const keys = ['miaou-messages', 'miaou-signals', 'pipe'].flatMap((channel) =>
      (['initiator-to-responder', 'responder-to-initiator'] as const).map((direction) =>
        bytesToHex(deriveChannelKey(crypto, splitKey, channel, direction)),
      ),
    )
    expect(new Set(keys).size).toBe(6)
    expect(keys).not.toContain(bytesToHex(splitKey))
    expect(() => deriveChannelKey(crypto, splitKey, 'a/b', 'initiator-to-responder')).toThrow('slash')
  })

  test('a wiped cipher opens nothing', () => {
    const key = splitKey.slice()
    const cipher = new ChannelCipher({ crypto, key })
    const sealed = cipher.seal(0, new Uint8Array(0), Uint8Array.of(1))
    cipher.wipe()
    expect(cipher.open(0, new Uint8Array(0), sealed)).toBeUndefined()
    expect(key).toEqual(splitKey)
  })
})
