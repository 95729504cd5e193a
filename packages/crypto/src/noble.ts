import { assert } from '@miaou/core'
import { chacha20poly1305, xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { ed25519, x25519 } from '@noble/curves/ed25519.js'
import { argon2id } from '@noble/hashes/argon2.js'
import { blake3 } from '@noble/hashes/blake3.js'
import { hkdf } from '@noble/hashes/hkdf.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256, sha512 } from '@noble/hashes/sha2.js'
import { concatBytes } from '@noble/hashes/utils.js'
import { ml_kem768_x25519 } from '@noble/post-quantum/hybrid.js'
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import type { Argon2Cost, Crypto, Encapsulation, KeyPair } from './suite.ts'

const { Point } = ed25519
const order = Point.Fn.ORDER

/**
 * The oracle of the tests: the same interface over the noble libraries, which share no code with libsodium. Needs the
 * noble packages that are devDependencies here; no product code imports it.
 *
 * Verification follows libsodium's rule exactly, with noble's points: canonical S, canonical encoding of key and R,
 * neither of small order, and the equation without cofactor. noble's own `verify` multiplies by the cofactor and
 * accepts a small-order R: it would accept signatures made with a key that has a torsion component.
 */
export function createNobleCrypto(): Crypto {
  return {
    name: 'noble',
    ...signatures,
    ...agreements,
    ...encryption,
    ...digests,
  }
}

const signatures: Pick<Crypto, 'ed25519KeyPair' | 'ed25519Sign' | 'ed25519Verify' | 'ed25519IsAdmissible'> = {
  ed25519KeyPair(seed: Uint8Array): KeyPair {
    assert(seed.length === 32, 'an Ed25519 seed has 32 bytes')
    return { publicKey: ed25519.getPublicKey(seed), secretKey: seed.slice() }
  },
  ed25519Sign(message: Uint8Array, secretKey: Uint8Array): Uint8Array {
    assert(secretKey.length === 32, 'an Ed25519 secret key has 32 bytes')
    return ed25519.sign(message, secretKey)
  },
  ed25519Verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
    if (signature.length !== 64 || publicKey.length !== 32) return false
    const commitment = signature.slice(0, 32)
    const key = decodePoint(publicKey)
    const r = decodePoint(commitment)
    const s = littleEndianToNumber(signature.subarray(32))
    if (key === undefined || r === undefined || key.isSmallOrder() || r.isSmallOrder() || s >= order) return false
    const challenge = littleEndianToNumber(sha512(concatBytes(commitment, publicKey, message))) % order
    return Point.BASE.multiplyUnsafe(s).equals(r.add(key.multiplyUnsafe(challenge)))
  },
  ed25519IsAdmissible(publicKey: Uint8Array): boolean {
    const key = decodePoint(publicKey)
    return key !== undefined && !key.isSmallOrder() && key.isTorsionFree()
  },
}

const agreements: Pick<
  Crypto,
  | 'x25519KeyPair'
  | 'x25519'
  | 'mlkem768KeyPair'
  | 'mlkem768Encapsulate'
  | 'mlkem768Decapsulate'
  | 'xwingKeyPair'
  | 'xwingEncapsulate'
  | 'xwingDecapsulate'
> = {
  x25519KeyPair(secretKey: Uint8Array): KeyPair {
    assert(secretKey.length === 32, 'an X25519 secret key has 32 bytes')
    return { publicKey: x25519.getPublicKey(secretKey), secretKey: secretKey.slice() }
  },
  x25519(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
    assert(secretKey.length === 32 && publicKey.length === 32, 'X25519 keys have 32 bytes')
    return attempt(() => x25519.getSharedSecret(secretKey, publicKey))
  },
  mlkem768KeyPair(seed: Uint8Array): KeyPair {
    assert(seed.length === 64, 'an ML-KEM-768 seed has 64 bytes')
    return ml_kem768.keygen(seed)
  },
  mlkem768Encapsulate(publicKey: Uint8Array, seed: Uint8Array): Encapsulation | undefined {
    assert(publicKey.length === 1184 && seed.length === 32, 'ML-KEM-768: 1184-byte public key, 32-byte seed')
    return attempt(() => encapsulation(ml_kem768.encapsulate(publicKey, seed)))
  },
  mlkem768Decapsulate(ciphertext: Uint8Array, secretKey: Uint8Array): Uint8Array {
    assert(ciphertext.length === 1088 && secretKey.length === 2400, 'ML-KEM-768: 1088-byte ciphertext, 2400-byte key')
    return ml_kem768.decapsulate(ciphertext, secretKey)
  },
  xwingKeyPair(seed: Uint8Array): KeyPair {
    assert(seed.length === 32, 'an X-Wing seed has 32 bytes')
    return ml_kem768_x25519.keygen(seed)
  },
  xwingEncapsulate(publicKey: Uint8Array, seed: Uint8Array): Encapsulation | undefined {
    assert(publicKey.length === 1216 && seed.length === 64, 'X-Wing: 1216-byte public key, 64-byte seed')
    return attempt(() => encapsulation(ml_kem768_x25519.encapsulate(publicKey, seed)))
  },
  xwingDecapsulate(ciphertext: Uint8Array, secretKey: Uint8Array): Uint8Array | undefined {
    assert(ciphertext.length === 1120 && secretKey.length === 32, 'X-Wing: 1120-byte ciphertext, 32-byte key')
    return attempt(() => ml_kem768_x25519.decapsulate(ciphertext, secretKey))
  },
}

const encryption: Pick<
  Crypto,
  'chacha20Poly1305Seal' | 'chacha20Poly1305Open' | 'xchacha20Poly1305Seal' | 'xchacha20Poly1305Open'
> = {
  chacha20Poly1305Seal(key, nonce, ad, plaintext, headSize = 0) {
    const sealed = new Uint8Array(headSize + plaintext.length + 16)
    chacha20poly1305(key, nonce, ad).encrypt(plaintext, sealed.subarray(headSize))
    return sealed
  },
  chacha20Poly1305Open(key, nonce, ad, ciphertext) {
    return attempt(() => chacha20poly1305(key, nonce, ad).decrypt(ciphertext))
  },
  xchacha20Poly1305Seal(key, nonce, ad, plaintext) {
    return xchacha20poly1305(key, nonce, ad).encrypt(plaintext)
  },
  xchacha20Poly1305Open(key, nonce, ad, ciphertext) {
    return attempt(() => xchacha20poly1305(key, nonce, ad).decrypt(ciphertext))
  },
}

const digests: Pick<
  Crypto,
  'sha256' | 'sha512' | 'blake3' | 'hmacSha256' | 'hkdfSha256' | 'argon2id' | 'equal' | 'wipe'
> = {
  sha256(data: Uint8Array): Uint8Array {
    return sha256(data)
  },
  sha512(data: Uint8Array): Uint8Array {
    return sha512(data)
  },
  blake3(data: Uint8Array): Uint8Array {
    return blake3(data)
  },
  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array {
    return hmac(sha256, key, data)
  },
  hkdfSha256(secret: Uint8Array, salt: Uint8Array, info: Uint8Array, size: number): Uint8Array {
    return hkdf(sha256, secret, salt, info, size)
  },
  argon2id(passphrase: Uint8Array, salt: Uint8Array, cost: Argon2Cost, size: number): Uint8Array {
    return argon2id(passphrase, salt, { m: cost.memoryKiB, t: cost.passes, p: cost.parallelism, dkLen: size })
  },
  equal(a: Uint8Array, b: Uint8Array): boolean {
    let difference = a.length ^ b.length
    for (let index = 0; index < Math.min(a.length, b.length); index++) {
      difference |= (a[index] as number) ^ (b[index] as number)
    }
    return difference === 0
  },
  wipe(secret: Uint8Array): void {
    secret.fill(0)
  },
}

function encapsulation(result: { cipherText: Uint8Array; sharedSecret: Uint8Array }): Encapsulation {
  return { ciphertext: result.cipherText, sharedSecret: result.sharedSecret }
}

function decodePoint(bytes: Uint8Array): InstanceType<typeof Point> | undefined {
  return attempt(() => Point.fromBytes(bytes))
}

function littleEndianToNumber(bytes: Uint8Array): bigint {
  let value = 0n
  for (let index = bytes.length - 1; index >= 0; index--) value = (value << 8n) | BigInt(bytes[index] as number)
  return value
}

function attempt<T>(operation: () => T): T | undefined {
  try {
    return operation()
  } catch {
    return undefined
  }
}
