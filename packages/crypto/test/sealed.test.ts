import type { Random } from '@miaou/core'
import { bytesToHex, concatBytes } from '@miaou/core'
import { describe, expect, test } from 'vitest'
import {
  type Crypto,
  openSealed,
  sealedContentSizeMax,
  sealedHeaderSize,
  sealedKeyId,
  sealedMessageSize,
  sealedMessageSizeMax,
  sealedPaddingSizeMin,
  sealMessage,
} from '../src/index.ts'
import { backends, libsodium, noble } from './backends.ts'
import { seededRandom, unwrap } from './pqxdh.fixture.ts'

const pair = libsodium.xwingKeyPair(new Uint8Array(32).fill(7))
const keyId = 0xfeff_fffe
const secretKeyOf = (id: number) => (id === keyId ? pair.secretKey : undefined)
const overhead = sealedHeaderSize + 16

function seal(content: Uint8Array, crypto: Crypto = libsodium, random?: Random): Uint8Array {
  const drawn = random ?? seededRandom(crypto, `seal ${content.length}`)
  return unwrap(sealMessage({ crypto, random: drawn, publicKey: pair.publicKey, keyId, content }))
}

/** A message whose inside somebody wrote who knows the public key and does not keep to SE4. */
function sealAnything(plaintext: Uint8Array): Uint8Array {
  const encapsulation = libsodium.xwingEncapsulate(pair.publicKey, new Uint8Array(64).fill(3))
  if (encapsulation === undefined) throw new Error('a valid key')
  const { ciphertext, sharedSecret } = encapsulation
  const header = concatBytes(Uint8Array.of(1, 1, 0xfe, 0xff, 0xff, 0xfe), ciphertext)
  const info = new TextEncoder().encode('Miaou-v0.2.0-sealed-message')
  const key = libsodium.hkdfSha256(sharedSecret, new Uint8Array(0), info, 32)
  return concatBytes(header, libsodium.chacha20Poly1305Seal(key, new Uint8Array(12), header, plaintext))
}

describe('sealed messages', () => {
  test('[SE1] what one backend seals, both open; the sender itself cannot', () => {
    const content = Uint8Array.from({ length: 1_000 }, (_, index) => index)
    for (const sealer of backends) {
      const sealed = seal(content, sealer)
      for (const opener of backends) {
        expect(openSealed(opener, secretKeyOf, sealed)).toEqual({ ok: true, value: { keyId, content } })
      }
      expect(sealedKeyId(sealed)).toBe(keyId)
    }
    expect(bytesToHex(seal(content, noble, seededRandom(noble, 'x')))).toBe(
      bytesToHex(seal(content, libsodium, seededRandom(libsodium, 'x'))),
    )
  })

  test('[SE3] sizes are powers of two of (length + 256), and what is left at the top', () => {
    const sizes = new Set<number>()
    for (const size of [0, 1, 255, 256, 257, 768, 769, 32_512, 32_513, sealedContentSizeMax]) {
      const sealed = seal(new Uint8Array(size))
      sizes.add(sealed.length - overhead)
      expect(sealed.length).toBe(sealedMessageSize(size))
      expect(unwrap(openSealed(libsodium, secretKeyOf, sealed)).content).toHaveLength(size)
    }
    expect([...sizes]).toEqual([256, 512, 1_024, 2_048, 32_768, sealedMessageSizeMax - overhead])
    expect(sealedMessageSize(sealedContentSizeMax)).toBe(sealedMessageSizeMax)
    expect(sealedContentSizeMax + sealedPaddingSizeMin + overhead).toBe(sealedMessageSizeMax)
  })

  test('[SE3] a byte more than fits is refused, with both sizes', () => {
    const [size, sizeMax] = [sealedContentSizeMax + 1, sealedContentSizeMax]
    const options = { crypto: libsodium, random: seededRandom(libsodium, 'r'), publicKey: pair.publicKey, keyId }
    expect(sealMessage({ ...options, content: new Uint8Array(size) })).toEqual({
      ok: false,
      error: { type: 'too-large', size, sizeMax },
    })
  })

  test('[SE5] padding is random, at least 252 bytes of it, and two messages of one size have nothing in common', () => {
    const drawn: number[] = []
    const source = seededRandom(libsodium, 'drawn')
    const random = {
      bytes: (size: number): Uint8Array => {
        drawn.push(size)
        return source.bytes(size)
      },
    }
    for (const size of [0, 256, 257, sealedContentSizeMax]) seal(new Uint8Array(size), libsodium, random)
    expect(drawn).toEqual([64, 252, 64, 252, 64, 763, 64, 252])
    const [first, second] = [seal(new Uint8Array(9), libsodium, random), seal(new Uint8Array(9), libsodium, random)]
    expect(first).toHaveLength(second.length)
    const same = first.reduce((count, byte, at) => count + (at >= 6 && byte === second[at] ? 1 : 0), 0)
    // 1,392 bytes of ciphertext: 5 or 6 are equal by chance.
    expect(same).toBeLessThan(30)
  })

  test('[SE1] what is no X-Wing key is refused: its size, coefficients out of range, a point of small order', () => {
    const options = { crypto: libsodium, random: seededRandom(libsodium, 'r'), keyId, content: new Uint8Array(1) }
    const invalid = { ok: false, error: { type: 'invalid-key' } }
    const smallOrder = pair.publicKey.slice().fill(0, 1_184)
    for (const publicKey of [
      new Uint8Array(1_215),
      new Uint8Array(1_217),
      new Uint8Array(1_216).fill(0xff),
      smallOrder,
    ]) {
      for (const crypto of backends) expect(sealMessage({ ...options, crypto, publicKey })).toEqual(invalid)
    }
  })

  test('[SE6] every size that no sealed message has is refused before anything is computed', () => {
    const never = () => expect.unreachable('no key is asked for')
    const possible = [256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, sealedMessageSizeMax - overhead]
    for (const size of possible) {
      for (const other of [size - 1, size + 1]) {
        const bytes = new Uint8Array(overhead + other)
        bytes.set([1, 1])
        expect(openSealed(libsodium, never, bytes)).toEqual({
          ok: false,
          error: { type: 'wrong-size', size: overhead + other },
        })
        expect(sealedKeyId(bytes)).toBeUndefined()
      }
    }
    for (const size of [0, 1, overhead, overhead + 128, 65_536 + overhead, 1_000_000]) {
      expect(openSealed(libsodium, never, new Uint8Array(size))).toMatchObject({ error: { type: 'wrong-size' } })
    }
  })

  test('[SE6] another version, suite or key is told apart', () => {
    const sealed = seal(new Uint8Array(5))
    const errorOf = (bytes: Uint8Array) => openSealed(libsodium, secretKeyOf, bytes)
    expect(errorOf(sealed.with(0, 2))).toEqual({ ok: false, error: { type: 'unsupported', version: 2, suite: 1 } })
    expect(errorOf(sealed.with(1, 9))).toEqual({ ok: false, error: { type: 'unsupported', version: 1, suite: 9 } })
    expect(errorOf(sealed.with(5, 0))).toEqual({ ok: false, error: { type: 'unknown-key', keyId: 0xfeff_ff00 } })
  })

  test('[SE6] a changed bit anywhere is unsealable, with another key too', () => {
    const sealed = seal(new Uint8Array(5))
    const unsealable = { ok: false, error: { type: 'unsealable' } }
    for (let at = 6; at < sealed.length; at += 97) {
      expect(openSealed(libsodium, secretKeyOf, sealed.with(at, (sealed[at] ?? 0) ^ 1))).toEqual(unsealable)
    }
    const last = sealed.length - 1
    expect(openSealed(libsodium, secretKeyOf, sealed.with(last, (sealed[last] ?? 0) ^ 0x80))).toEqual(unsealable)
    const other = libsodium.xwingKeyPair(new Uint8Array(32).fill(8)).secretKey
    expect(openSealed(libsodium, () => other, sealed)).toEqual(unsealable)
    // The key id is part of what is authenticated, though only a hint.
    expect(openSealed(libsodium, () => pair.secretKey, sealed.with(5, 0))).toEqual(unsealable)
  })

  test('[SE4] a length that another size would hide, or that is larger than the message, is unsealable', () => {
    const inside = (length: number, size: number) => {
      const plaintext = new Uint8Array(size)
      new DataView(plaintext.buffer).setUint32(0, length)
      return openSealed(libsodium, secretKeyOf, sealAnything(plaintext))
    }
    expect(inside(256, 512).ok).toBe(true)
    for (const [length, size] of [
      [0, 512],
      [257, 512],
      [508, 512],
      [509, 512],
      [0xffff_ffff, 512],
      [sealedContentSizeMax + 1, sealedMessageSizeMax - overhead],
      [32_512, sealedMessageSizeMax - overhead],
    ] as const) {
      expect(inside(length, size), `${length} in ${size}`).toEqual({ ok: false, error: { type: 'unsealable' } })
    }
  })
})
