import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { backends, libsodium, noble } from './backends.ts'

const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size })
const message = fc.uint8Array({ maxLength: 300 })
// Noble's curves and KEMs take milliseconds a call.
const slow = { numRuns: 25 }

describe('libsodium and noble agree', () => {
  test('[A01] [A06] Ed25519: keys, signatures, verification of true and altered signatures', () => {
    fc.assert(
      fc.property(bytes(32), message, fc.nat(511), (seed, body, bit) => {
        const [pair, other] = [libsodium.ed25519KeyPair(seed), noble.ed25519KeyPair(seed)]
        expect(pair).toEqual(other)
        const signature = libsodium.ed25519Sign(body, seed)
        expect(noble.ed25519Sign(body, seed)).toEqual(signature)
        const altered = flip(signature, bit)
        for (const crypto of backends) {
          expect(crypto.ed25519Verify(signature, body, pair.publicKey)).toBe(true)
          expect(crypto.ed25519Verify(altered, body, pair.publicKey)).toBe(false)
          expect(crypto.ed25519Verify(signature, body, flip(pair.publicKey, bit % 256))).toBe(false)
          expect(crypto.ed25519IsAdmissible(pair.publicKey)).toBe(true)
        }
      }),
      slow,
    )
  })

  test('Ed25519: any 32 bytes are admitted or refused by both', () => {
    fc.assert(
      fc.property(bytes(32), (key) => {
        expect(libsodium.ed25519IsAdmissible(key)).toBe(noble.ed25519IsAdmissible(key))
      }),
    )
  })

  test('[A02] [A08] X25519: public keys and shared secrets of any scalars and points', () => {
    fc.assert(
      fc.property(bytes(32), bytes(32), (scalar, point) => {
        expect(libsodium.x25519KeyPair(scalar)).toEqual(noble.x25519KeyPair(scalar))
        expect(libsodium.x25519(scalar, point)).toEqual(noble.x25519(scalar, point))
      }),
      slow,
    )
  })

  test('ML-KEM-768: keys, encapsulation, decapsulation of true and altered ciphertexts', () => {
    fc.assert(
      fc.property(bytes(64), bytes(32), fc.nat(1088 * 8 - 1), (seed, coins, bit) => {
        const pair = libsodium.mlkem768KeyPair(seed)
        expect(noble.mlkem768KeyPair(seed)).toEqual(pair)
        const sent = libsodium.mlkem768Encapsulate(pair.publicKey, coins)
        expect(noble.mlkem768Encapsulate(pair.publicKey, coins)).toEqual(sent)
        if (sent === undefined) throw new Error('a good key was refused')
        expect(libsodium.mlkem768Decapsulate(sent.ciphertext, pair.secretKey)).toEqual(sent.sharedSecret)
        const altered = flip(sent.ciphertext, bit)
        const rejected = libsodium.mlkem768Decapsulate(altered, pair.secretKey)
        expect(rejected).not.toEqual(sent.sharedSecret)
        expect(noble.mlkem768Decapsulate(altered, pair.secretKey)).toEqual(rejected)
      }),
      slow,
    )
  })

  test('X-Wing: keys, encapsulation, decapsulation of true and altered ciphertexts', () => {
    fc.assert(
      fc.property(bytes(32), bytes(64), fc.nat(1120 * 8 - 1), (seed, coins, bit) => {
        const pair = libsodium.xwingKeyPair(seed)
        expect(noble.xwingKeyPair(seed)).toEqual(pair)
        const sent = libsodium.xwingEncapsulate(pair.publicKey, coins)
        expect(noble.xwingEncapsulate(pair.publicKey, coins)).toEqual(sent)
        if (sent === undefined) throw new Error('a good key was refused')
        expect(libsodium.xwingDecapsulate(sent.ciphertext, pair.secretKey)).toEqual(sent.sharedSecret)
        const altered = flip(sent.ciphertext, bit)
        expect(libsodium.xwingDecapsulate(altered, pair.secretKey)).toEqual(
          noble.xwingDecapsulate(altered, pair.secretKey),
        )
      }),
      slow,
    )
  })

  test('hostile KEM keys are refused by both', () => {
    for (const crypto of backends) {
      expect(crypto.mlkem768Encapsulate(new Uint8Array(1184).fill(255), new Uint8Array(32))).toBeUndefined()
      expect(crypto.xwingEncapsulate(new Uint8Array(1216).fill(255), new Uint8Array(64))).toBeUndefined()
      const pair = crypto.xwingKeyPair(new Uint8Array(32).fill(1))
      const weakKey = pair.publicKey.slice()
      weakKey.fill(0, 1184)
      expect(crypto.xwingEncapsulate(weakKey, new Uint8Array(64))).toBeUndefined()
      expect(crypto.xwingDecapsulate(new Uint8Array(1120), pair.secretKey)).toBeUndefined()
    }
  })

  test('[A11] both AEADs: sealing, opening, refusal of any altered bit and of what is too short', () => {
    fc.assert(
      fc.property(bytes(32), bytes(24), message, message, fc.nat(), (key, nonce, ad, plaintext, at) => {
        for (const cipher of ['chacha20Poly1305', 'xchacha20Poly1305'] as const) {
          const n = cipher === 'chacha20Poly1305' ? nonce.slice(0, 12) : nonce
          const sealed = libsodium[`${cipher}Seal`](key, n, ad, plaintext)
          expect(noble[`${cipher}Seal`](key, n, ad, plaintext)).toEqual(sealed)
          const altered = flip(sealed, at % (sealed.length * 8))
          for (const crypto of backends) {
            expect(crypto[`${cipher}Open`](key, n, ad, sealed)).toEqual(plaintext)
            expect(crypto[`${cipher}Open`](key, n, ad, altered)).toBeUndefined()
            expect(crypto[`${cipher}Open`](key, n, new Uint8Array([...ad, 0]), sealed)).toBeUndefined()
            expect(crypto[`${cipher}Open`](key, n, ad, sealed.subarray(0, at % 16))).toBeUndefined()
          }
        }
      }),
    )
  })

  test('[A11] ChaCha20-Poly1305 leaves the room before the ciphertext that was asked for, in zeros', () => {
    fc.assert(
      fc.property(
        bytes(32),
        bytes(12),
        message,
        message,
        fc.nat({ max: 64 }),
        (key, nonce, ad, plaintext, headSize) => {
          const expected = [...new Uint8Array(headSize), ...libsodium.chacha20Poly1305Seal(key, nonce, ad, plaintext)]
          for (const crypto of backends) {
            expect([...crypto.chacha20Poly1305Seal(key, nonce, ad, plaintext, headSize)]).toEqual(expected)
          }
        },
      ),
    )
    const large = new Uint8Array(5_000)
    const [key, nonce] = [new Uint8Array(32), new Uint8Array(12)]
    const [one, other] = backends.map((crypto) => crypto.chacha20Poly1305Seal(key, nonce, large, large, 64))
    expect(one).toEqual(other)
    expect(() => libsodium.chacha20Poly1305Seal(key, nonce, large, large, 65)).toThrow('64 bytes of room')
  })

  test('[A10] [A12] hashes, HMAC with keys of any size, HKDF of any size', () => {
    const size = fc.oneof(fc.integer({ min: 1, max: 130 }), fc.constantFrom(255 * 32, 32, 64, 96, 97))
    fc.assert(
      fc.property(message, message, message, size, (a, b, c, outputBytes) => {
        expect(libsodium.sha256(a)).toEqual(noble.sha256(a))
        expect(libsodium.sha512(a)).toEqual(noble.sha512(a))
        expect(libsodium.blake3(a)).toEqual(noble.blake3(a))
        expect(libsodium.hmacSha256(a, b)).toEqual(noble.hmacSha256(a, b))
        expect(libsodium.hkdfSha256(a, b, c, outputBytes)).toEqual(noble.hkdfSha256(a, b, c, outputBytes))
      }),
    )
  })

  test('HMAC keys around the hash and block sizes', () => {
    for (let keyBytes = 0; keyBytes <= 130; keyBytes++) {
      const key = new Uint8Array(keyBytes).fill(keyBytes + 1)
      expect(libsodium.hmacSha256(key, key)).toEqual(noble.hmacSha256(key, key))
    }
  })

  test('HMAC of data around the size that fits the region of memory taken once', () => {
    const key = new Uint8Array(32).fill(7)
    for (const size of [0, 1, 4_095, 4_096, 4_097, 9_000]) {
      const data = new Uint8Array(size).fill(size)
      expect(libsodium.hmacSha256(key, data)).toEqual(noble.hmacSha256(key, data))
    }
  })

  test('BLAKE3 results stay as they were when the hasher is used again', () => {
    const first = libsodium.blake3(Uint8Array.of(1))
    const copy = first.slice()
    libsodium.blake3(Uint8Array.of(2))
    expect(first).toEqual(copy)
  })

  test('Argon2id of small costs', () => {
    for (const [memoryKiB, passes] of [
      [8, 1],
      [64, 3],
    ] as const) {
      const cost = { memoryKiB, passes, parallelism: 1 } as const
      const salt = new Uint8Array(16).fill(2)
      const derived = libsodium.argon2id(Uint8Array.of(1, 2, 3), salt, cost, 32)
      expect(noble.argon2id(Uint8Array.of(1, 2, 3), salt, cost, 32)).toEqual(derived)
    }
  })

  test('comparison and wiping', () => {
    fc.assert(
      fc.property(message, fc.nat(), (a, at) => {
        for (const crypto of backends) {
          expect(crypto.equal(a, a.slice())).toBe(true)
          expect(crypto.equal(a, new Uint8Array([...a, 0]))).toBe(false)
          if (a.length > 0) expect(crypto.equal(a, flip(a, at % (a.length * 8)))).toBe(false)
          const secret = a.slice()
          crypto.wipe(secret)
          expect(secret).toEqual(new Uint8Array(a.length))
        }
      }),
    )
  })

  test('a signing key whose array is overwritten or wiped signs as what it now holds', () => {
    const seed = new Uint8Array(32).fill(1)
    const body = Uint8Array.of(5)
    const before = libsodium.ed25519Sign(body, seed)
    seed.fill(2)
    const after = libsodium.ed25519Sign(body, seed)
    expect(after).not.toEqual(before)
    expect(after).toEqual(noble.ed25519Sign(body, seed))
    libsodium.wipe(seed)
    expect(libsodium.ed25519Sign(body, seed)).toEqual(noble.ed25519Sign(body, seed))
  })
})

function flip(input: Uint8Array, bit: number): Uint8Array {
  const output = input.slice()
  output[bit >> 3] = (output[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return output
}
