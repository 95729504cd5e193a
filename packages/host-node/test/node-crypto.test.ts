import { existsSync, readFileSync } from 'node:fs'
import { hexToBytes } from '@miaou/core'
import { createLibsodiumCrypto, NoiseHandshake } from '@miaou/crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createNodeCrypto } from '../src/crypto/node-crypto.ts'
import { X25519Keys } from '../src/crypto/x25519-keys.ts'

const libsodium = await createLibsodiumCrypto()
const node = await createNodeCrypto()
const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size })
const vectors = new URL('../../../../shared/vectors/wycheproof_x25519.json', import.meta.url)
const hasVectors = existsSync(vectors)

// RFC 7748 §6.1 and libsodium's list: the points whose agreement is all zero, in every encoding.
const smallOrder = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]

function hex(text: string): Uint8Array {
  const decoded = hexToBytes(text)
  if (decoded === undefined) throw new Error(`not hexadecimal: ${text}`)
  return decoded
}

describe('node:crypto beside libsodium', () => {
  test('[A02] X25519: key pairs and agreements of any scalars and points are the same', () => {
    fc.assert(
      fc.property(bytes(32), bytes(32), (scalar, point) => {
        expect(node.x25519KeyPair(scalar)).toEqual(libsodium.x25519KeyPair(scalar))
        expect(node.x25519(scalar, point)).toEqual(libsodium.x25519(scalar, point))
      }),
    )
  })

  test('an all-zero agreement is refused, whatever the encoding of the point', () => {
    for (const point of smallOrder) {
      for (const top of [0, 0x80]) {
        const key = hex(point)
        key[31] = (key[31] as number) | top
        const scalar = new Uint8Array(32).fill(5)
        expect(node.x25519(scalar, key), point).toBe(undefined)
        expect(libsodium.x25519(scalar, key), point).toBe(undefined)
      }
    }
  })

  test('ChaCha20-Poly1305 on both sides of the size at which it changes hands', () => {
    const [key, nonce, ad] = [new Uint8Array(32).fill(1), new Uint8Array(12).fill(2), Uint8Array.of(2, 0)]
    for (const size of [0, 1, 4_095, 4_096, 4_097, 16_368, 65_520]) {
      const plaintext = new Uint8Array(size).fill(size)
      for (const headSize of [0, 8]) {
        const sealed = node.chacha20Poly1305Seal(key, nonce, ad, plaintext, headSize)
        expect(sealed).toEqual(libsodium.chacha20Poly1305Seal(key, nonce, ad, plaintext, headSize))
        expect(sealed.constructor).toBe(Uint8Array)
        const ciphertext = sealed.subarray(headSize)
        const opened = node.chacha20Poly1305Open(key, nonce, ad, ciphertext)
        expect(opened).toEqual(plaintext)
        expect(opened?.constructor).toBe(Uint8Array)
        for (const at of [0, Math.floor(ciphertext.length / 2), ciphertext.length - 1]) {
          const altered = ciphertext.slice()
          altered[at] = (altered[at] as number) ^ 1
          expect(node.chacha20Poly1305Open(key, nonce, ad, altered)).toBeUndefined()
        }
        expect(node.chacha20Poly1305Open(key, nonce, Uint8Array.of(2, 1), ciphertext)).toBeUndefined()
      }
    }
  })

  test('an AEAD key that was overwritten, or wiped, is not used again', () => {
    const [nonce, ad, plaintext] = [new Uint8Array(12), new Uint8Array(0), new Uint8Array(5_000)]
    const key = new Uint8Array(32).fill(1)
    const first = node.chacha20Poly1305Seal(key, nonce, ad, plaintext)
    key.fill(2)
    expect(node.chacha20Poly1305Open(key, nonce, ad, first)).toBeUndefined()
    expect(node.chacha20Poly1305Seal(key, nonce, ad, plaintext)).toEqual(
      libsodium.chacha20Poly1305Seal(key, nonce, ad, plaintext),
    )
    node.wipe(key)
    expect(node.chacha20Poly1305Seal(key, nonce, ad, plaintext)).toEqual(
      libsodium.chacha20Poly1305Seal(new Uint8Array(32), nonce, ad, plaintext),
    )
  })

  test('SHA-256 on both sides of the size at which it changes hands', () => {
    for (const size of [0, 1, 511, 512, 513, 4_000]) {
      const data = new Uint8Array(size).fill(size)
      expect(node.sha256(data)).toEqual(libsodium.sha256(data))
    }
  })

  test('everything else is libsodium’s: verification of hostile signatures, AEAD, HKDF', () => {
    fc.assert(
      fc.property(bytes(32), fc.uint8Array({ maxLength: 200 }), (seed, body) => {
        const { publicKey } = libsodium.ed25519KeyPair(seed)
        const signature = node.ed25519Sign(body, seed)
        expect(node.ed25519Verify(signature, body, publicKey)).toBe(true)
        const [nonce, ad] = [new Uint8Array(12), body.subarray(0, 5)]
        const sealed = node.chacha20Poly1305Seal(seed, nonce, ad, body)
        expect(sealed).toEqual(libsodium.chacha20Poly1305Seal(seed, nonce, ad, body))
        expect(node.chacha20Poly1305Open(seed, nonce, ad, sealed)).toEqual(body)
        expect(node.hkdfSha256(seed, ad, body, 64)).toEqual(libsodium.hkdfSha256(seed, ad, body, 64))
      }),
      { numRuns: 20 },
    )
    // The identity point as key and R: node:crypto by itself would take it (DECISIONS, one verification rule).
    const identity = hex(`01${'00'.repeat(31)}`)
    const forged = new Uint8Array(64)
    forged.set(identity)
    expect(node.ed25519Verify(forged, new Uint8Array(3), identity)).toBe(false)
  })

  test('a handshake between the two backends', () => {
    const shake = (role: 'initiator' | 'responder', crypto: typeof node) => ({
      crypto,
      pattern: 'IK' as const,
      role,
      prologue: new Uint8Array(0),
      staticKey: crypto.x25519KeyPair(new Uint8Array(32).fill(role.length)),
      ephemeralSecret: new Uint8Array(32).fill(role.length + 9),
    })
    const responderOptions = shake('responder', libsodium)
    const started = NoiseHandshake.startTo(shake('initiator', node), responderOptions.staticKey.publicKey)
    const responder = NoiseHandshake.start(responderOptions)
    if (!started.ok) throw new Error('a good key is refused')
    expect(responder.readMessage(started.value.writeMessage(new Uint8Array(9))).ok).toBe(true)
    expect(started.value.readMessage(responder.writeMessage(new Uint8Array(3))).ok).toBe(true)
    expect(started.value.split().send).toEqual(responder.split().receive)
  })
})

describe.skipIf(!hasVectors)(`Wycheproof${hasVectors ? '' : ' (skipped: ../shared/vectors is missing)'}`, () => {
  test('X25519', () => {
    interface Vectors {
      testGroups: { tests: { public: string; private: string; shared: string; tcId: number }[] }[]
    }
    const { testGroups }: Vectors = JSON.parse(readFileSync(vectors, 'utf8'))
    for (const { tests } of testGroups) {
      for (const { public: point, private: scalar, shared, tcId } of tests) {
        const expected = /^0*$/.test(shared) ? undefined : hex(shared)
        expect(node.x25519(hex(scalar), hex(point)), `case ${tcId}`).toEqual(expected)
      }
    }
  })
})

describe('key objects', () => {
  test('an overwritten or wiped secret is not remembered', () => {
    const secret = new Uint8Array(32).fill(3)
    const point = libsodium.x25519KeyPair(new Uint8Array(32).fill(4)).publicKey
    node.x25519(secret, point)
    secret.fill(6)
    expect(node.x25519(secret, point)).toEqual(libsodium.x25519(new Uint8Array(32).fill(6), point))
    node.wipe(secret)
    expect(secret).toEqual(new Uint8Array(32))
    expect(node.x25519(secret, point)).toEqual(libsodium.x25519(new Uint8Array(32), point))
  })

  test('public keys remembered are bounded', () => {
    const keys = new X25519Keys(2)
    const points = [1, 2, 3].map((fill) => libsodium.x25519KeyPair(new Uint8Array(32).fill(fill)).publicKey)
    const objects = points.map((point) => keys.public(point))
    expect(keys.publicKeys).toBe(2)
    expect(keys.public(points[2] as Uint8Array)).toBe(objects[2])
    expect(keys.public(points[0] as Uint8Array)).not.toBe(objects[0])
  })
})
