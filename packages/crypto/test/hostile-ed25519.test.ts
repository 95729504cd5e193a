import { bytesToHex, concatBytes } from '@miaou/core'
import { ed25519 } from '@noble/curves/ed25519.js'
import { describe, expect, test } from 'vitest'
import { backends, libsodium } from './backends.ts'
import { hex } from './published.ts'

const { Point } = ed25519
const order = Point.Fn.ORDER
const body = new Uint8Array([1, 2, 3])

// The eight points of order dividing 8, in canonical form, then the other encodings of those that have one
// (y + p, or x = 0 with the sign bit set): libsodium's own list, ref10 `ge25519_has_small_order`.
const canonicalSmallOrder = [
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000080',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
]
const nonCanonical = [
  '0100000000000000000000000000000000000000000000000000000000000080',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  // y = p + 3 and y = p + 4: points of the curve or not, the encoding alone refuses them.
  'f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'f1ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]
const torsion = Point.fromBytes(hex(canonicalSmallOrder[4] as string))

describe('one verification rule', () => {
  for (const crypto of backends) {
    test(`${crypto.name}: keys of small order and non-canonical keys name nobody and verify nothing`, () => {
      for (const text of [...canonicalSmallOrder, ...nonCanonical]) {
        const key = hex(text)
        expect(crypto.ed25519IsAdmissible(key), text).toBe(false)
        // With a small-order key and R, S = 0 satisfies the equation for one message in eight or for all.
        for (const r of [...canonicalSmallOrder, ...nonCanonical]) {
          const signature = concatBytes(hex(r), new Uint8Array(32))
          expect(crypto.ed25519Verify(signature, body, key), `${text} ${r}`).toBe(false)
        }
      }
    })

    test(`${crypto.name}: a small-order R under an honest key is refused, even where the equation holds`, () => {
      const { secret, key } = keyOf(7n)
      for (const r of canonicalSmallOrder) {
        // S = k·a makes S·B = R + k·A hold for R = the identity, and up to the cofactor for the others.
        const s = mod(challenge(hex(r), key.toBytes(), body) * secret)
        const signature = concatBytes(hex(r), scalarToBytes(s))
        expect(crypto.ed25519Verify(signature, body, key.toBytes()), r).toBe(false)
        // The forgery is a real one: noble's own rule lets it through.
        expect(ed25519.verify(signature, body, key.toBytes()), r).toBe(true)
      }
    })

    test(`${crypto.name}: S above the group order is refused (malleability)`, () => {
      const seed = new Uint8Array(32).fill(3)
      const signature = libsodium.ed25519Sign(body, seed)
      const s = bytesToScalar(signature.subarray(32))
      const malleated = concatBytes(signature.subarray(0, 32), scalarToBytes(s + order))
      const { publicKey } = crypto.ed25519KeyPair(seed)
      expect(crypto.ed25519Verify(signature, body, publicKey)).toBe(true)
      expect(crypto.ed25519Verify(malleated, body, publicKey)).toBe(false)
    })

    test(`${crypto.name}: the equation has no cofactor: torsion added to R or to the key does not cancel`, () => {
      const { secret, key } = keyOf(11n)
      const nonce = 13n
      const shifted = Point.BASE.multiply(nonce).add(torsion).toBytes()
      const s = mod(nonce + challenge(shifted, key.toBytes(), body) * secret)
      expect(crypto.ed25519Verify(concatBytes(shifted, scalarToBytes(s)), body, key.toBytes())).toBe(false)
      const mixedKey = key.add(torsion).toBytes()
      expect(crypto.ed25519IsAdmissible(mixedKey)).toBe(false)
      const verdicts = new Set<boolean>()
      for (let message = 0; message < 32; message++) {
        const text = Uint8Array.of(message)
        const r = Point.BASE.multiply(nonce).toBytes()
        const k = challenge(r, mixedKey, text)
        const signature = concatBytes(r, scalarToBytes(mod(nonce + k * secret)))
        const verified = crypto.ed25519Verify(signature, text, mixedKey)
        // k·torsion vanishes exactly when 8 divides k: then, and only then, both sides are equal.
        expect(verified).toBe(k % 8n === 0n)
        verdicts.add(verified)
      }
      expect(verdicts.size).toBe(2)
    })

    test(`${crypto.name}: wrong sizes and points off the curve are refused without a throw`, () => {
      const seed = new Uint8Array(32).fill(3)
      const { publicKey } = crypto.ed25519KeyPair(seed)
      const signature = crypto.ed25519Sign(body, seed)
      for (let size = 0; size < 64; size++) {
        expect(crypto.ed25519Verify(signature.subarray(0, size), body, publicKey)).toBe(false)
        if (size === 32) continue
        expect(crypto.ed25519Verify(signature, body, new Uint8Array(size))).toBe(false)
        expect(crypto.ed25519IsAdmissible(new Uint8Array(size))).toBe(false)
      }
      const offCurve = hex(`02${'00'.repeat(31)}`)
      expect(crypto.ed25519IsAdmissible(offCurve)).toBe(false)
      expect(crypto.ed25519Verify(signature, body, offCurve)).toBe(false)
    })
  }

  test('the lists above are what they say', () => {
    expect(new Set(canonicalSmallOrder.map((text) => Point.fromBytes(hex(text)).multiplyUnsafe(8n).is0()))).toEqual(
      new Set([true]),
    )
    for (const text of canonicalSmallOrder) expect(bytesToHex(Point.fromBytes(hex(text)).toBytes())).toBe(text)
    for (const text of nonCanonical) expect(() => Point.fromBytes(hex(text))).toThrow()
    expect(torsion.multiplyUnsafe(4n).is0()).toBe(false)
  })
})

function keyOf(secret: bigint): { secret: bigint; key: InstanceType<typeof Point> } {
  return { secret, key: Point.BASE.multiply(secret) }
}

function challenge(r: Uint8Array, key: Uint8Array, message: Uint8Array): bigint {
  return mod(bytesToScalar(libsodium.sha512(concatBytes(r, key, message))))
}

function mod(value: bigint): bigint {
  return value % order
}

function bytesToScalar(bytes: Uint8Array): bigint {
  return BigInt(`0x${bytesToHex(bytes.slice().reverse())}`)
}

function scalarToBytes(value: bigint): Uint8Array {
  return hex(value.toString(16).padStart(64, '0')).reverse()
}
