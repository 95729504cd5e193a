import { assert, concatBytes } from '@miaou/core'
import { hkdf } from '@noble/hashes/hkdf.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js'
import { createBLAKE3, type IHasher } from 'hash-wasm'
import sodium from 'libsodium-wrappers-sumo'
import { headSizeMax, SodiumHeap, type SodiumModule } from './sodium-heap.ts'
import type { Argon2Cost, Crypto, Encapsulation, KeyPair } from './suite.ts'

const tagSize = 16
const hashSize = 32
// RFC 2104: a shorter key is padded with zeros up to the block, a longer one is replaced by its hash.
const hmacBlockSize = 64

/**
 * The product's backend: libsodium for curves, KEMs, AEADs, Argon2id, SHA-2 and HMAC, hash-wasm for BLAKE3, in Node
 * and in browsers alike. Resolves once both WebAssembly modules are compiled; every call afterwards is synchronous.
 *
 * libsodium's SHA-256 and HMAC are about twice as fast as noble's for inputs of 100–300 bytes and hash-wasm's BLAKE3
 * ten times (`node packages/crypto/test/measure.ts`), so they carry the link and the ratchet.
 */
export async function createLibsodiumCrypto(): Promise<Crypto> {
  const [hasher] = await Promise.all([createBLAKE3(), sodium.ready])
  // The wrapper's types leave out the module that it wraps.
  const { libsodium } = sodium as typeof sodium & { readonly libsodium: SodiumModule }
  return new LibsodiumCrypto(hasher, new SodiumHeap(libsodium))
}

class LibsodiumCrypto implements Crypto {
  readonly name = 'libsodium'
  readonly #blake3: IHasher
  readonly #heap: SodiumHeap
  // libsodium signs with seed ‖ public key. Deriving the second half costs as much as the signature itself.
  readonly #signingKeys = new WeakMap<Uint8Array, Uint8Array>()

  constructor(blake3: IHasher, heap: SodiumHeap) {
    this.#blake3 = blake3
    this.#heap = heap
  }

  ed25519KeyPair(seed: Uint8Array): KeyPair {
    assert(seed.length === 32, 'an Ed25519 seed has 32 bytes')
    const { publicKey } = sodium.crypto_sign_seed_keypair(seed)
    return { publicKey, secretKey: seed.slice() }
  }

  ed25519Sign(message: Uint8Array, secretKey: Uint8Array): Uint8Array {
    assert(secretKey.length === 32, 'an Ed25519 secret key has 32 bytes')
    return sodium.crypto_sign_detached(message, this.#signingKey(secretKey))
  }

  #signingKey(seed: Uint8Array): Uint8Array {
    const known = this.#signingKeys.get(seed)
    // The caller may have overwritten the array since: the copy counts only while it holds the same seed.
    if (known !== undefined && sodium.memcmp(known.subarray(0, 32), seed)) return known
    const { privateKey } = sodium.crypto_sign_seed_keypair(seed)
    this.#signingKeys.set(seed, privateKey)
    return privateKey
  }

  ed25519Verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
    if (signature.length !== 64 || publicKey.length !== 32) return false
    return sodium.crypto_sign_verify_detached(signature, message, publicKey)
  }

  ed25519IsAdmissible(publicKey: Uint8Array): boolean {
    return publicKey.length === 32 && sodium.crypto_core_ed25519_is_valid_point(publicKey)
  }

  x25519KeyPair(secretKey: Uint8Array): KeyPair {
    assert(secretKey.length === 32, 'an X25519 secret key has 32 bytes')
    return { publicKey: sodium.crypto_scalarmult_base(secretKey), secretKey: secretKey.slice() }
  }

  x25519(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
    assert(secretKey.length === 32 && publicKey.length === 32, 'X25519 keys have 32 bytes')
    return attempt(() => sodium.crypto_scalarmult(secretKey, publicKey))
  }

  mlkem768KeyPair(seed: Uint8Array): KeyPair {
    assert(seed.length === 64, 'an ML-KEM-768 seed has 64 bytes')
    const { publicKey, privateKey } = sodium.crypto_kem_mlkem768_seed_keypair(seed)
    return { publicKey, secretKey: privateKey }
  }

  mlkem768Encapsulate(publicKey: Uint8Array, seed: Uint8Array): Encapsulation | undefined {
    assert(publicKey.length === 1184 && seed.length === 32, 'ML-KEM-768: 1184-byte public key, 32-byte seed')
    return attempt(() => sodium.crypto_kem_mlkem768_enc_deterministic(publicKey, seed))
  }

  mlkem768Decapsulate(ciphertext: Uint8Array, secretKey: Uint8Array): Uint8Array {
    assert(ciphertext.length === 1088 && secretKey.length === 2400, 'ML-KEM-768: 1088-byte ciphertext, 2400-byte key')
    return sodium.crypto_kem_mlkem768_dec(ciphertext, secretKey)
  }

  xwingKeyPair(seed: Uint8Array): KeyPair {
    assert(seed.length === 32, 'an X-Wing seed has 32 bytes')
    const { publicKey, privateKey } = sodium.crypto_kem_xwing_seed_keypair(seed)
    return { publicKey, secretKey: privateKey }
  }

  xwingEncapsulate(publicKey: Uint8Array, seed: Uint8Array): Encapsulation | undefined {
    assert(publicKey.length === 1216 && seed.length === 64, 'X-Wing: 1216-byte public key, 64-byte seed')
    return attempt(() => sodium.crypto_kem_xwing_enc_deterministic(publicKey, seed))
  }

  xwingDecapsulate(ciphertext: Uint8Array, secretKey: Uint8Array): Uint8Array | undefined {
    assert(ciphertext.length === 1120 && secretKey.length === 32, 'X-Wing: 1120-byte ciphertext, 32-byte key')
    return attempt(() => sodium.crypto_kem_xwing_dec(ciphertext, secretKey))
  }

  chacha20Poly1305Seal(
    key: Uint8Array,
    nonce: Uint8Array,
    ad: Uint8Array,
    plaintext: Uint8Array,
    headSize = 0,
  ): Uint8Array {
    assert(key.length === 32 && nonce.length === 12, 'ChaCha20-Poly1305: 32-byte key, 12-byte nonce')
    assert(headSize >= 0 && headSize <= headSizeMax, 'ChaCha20-Poly1305: up to 64 bytes of room')
    if (this.#heap.fits(plaintext.length, ad.length)) return this.#heap.seal(key, nonce, ad, plaintext, headSize)
    const sealed = sodium.crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, ad, null, nonce, key)
    return headSize === 0 ? sealed : concatBytes(new Uint8Array(headSize), sealed)
  }

  chacha20Poly1305Open(
    key: Uint8Array,
    nonce: Uint8Array,
    ad: Uint8Array,
    ciphertext: Uint8Array,
  ): Uint8Array | undefined {
    assert(key.length === 32 && nonce.length === 12, 'ChaCha20-Poly1305: 32-byte key, 12-byte nonce')
    if (ciphertext.length < tagSize) return undefined
    if (this.#heap.fits(ciphertext.length - tagSize, ad.length)) return this.#heap.open(key, nonce, ad, ciphertext)
    return attempt(() => sodium.crypto_aead_chacha20poly1305_ietf_decrypt(null, ciphertext, ad, nonce, key))
  }

  xchacha20Poly1305Seal(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
    assert(key.length === 32 && nonce.length === 24, 'XChaCha20-Poly1305: 32-byte key, 24-byte nonce')
    return sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, ad, null, nonce, key)
  }

  xchacha20Poly1305Open(
    key: Uint8Array,
    nonce: Uint8Array,
    ad: Uint8Array,
    ciphertext: Uint8Array,
  ): Uint8Array | undefined {
    assert(key.length === 32 && nonce.length === 24, 'XChaCha20-Poly1305: 32-byte key, 24-byte nonce')
    if (ciphertext.length < tagSize) return undefined
    return attempt(() => sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(null, ciphertext, ad, nonce, key))
  }

  sha256(data: Uint8Array): Uint8Array {
    return sodium.crypto_hash_sha256(data)
  }

  sha512(data: Uint8Array): Uint8Array {
    return sodium.crypto_hash_sha512(data)
  }

  blake3(data: Uint8Array): Uint8Array {
    return this.#blake3.init().update(data).digest('binary')
  }

  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array {
    if (key.length === 32) {
      if (this.#heap.fits(data.length, 0)) return this.#heap.hmac(key, data)
      return sodium.crypto_auth_hmacsha256(data, key)
    }
    // libsodium's one-shot HMAC takes 32-byte keys only; the keys between 33 and 64 bytes, which nothing of ours uses,
    // go to noble.
    if (key.length > 32 && key.length <= hmacBlockSize) return hmac(nobleSha256, key, data)
    if (key.length > hmacBlockSize) return sodium.crypto_auth_hmacsha256(data, sodium.crypto_hash_sha256(key))
    const padded = new Uint8Array(32)
    padded.set(key)
    return sodium.crypto_auth_hmacsha256(data, padded)
  }

  hkdfSha256(secret: Uint8Array, salt: Uint8Array, info: Uint8Array, size: number): Uint8Array {
    assert(size > 0 && size <= 255 * hashSize, 'HKDF-SHA256 gives 1 to 8160 bytes')
    // One to three blocks are what the link and the ratchet ask for: these run on libsodium's HMAC, longer ones on noble.
    if (size > 3 * hashSize) return hkdf(nobleSha256, secret, salt, info, size)
    if ((salt.length === 0 || salt.length === hashSize) && this.#heap.fits(secret.length + hashSize + info.length, 0)) {
      return this.#heap.hkdf(secret, salt, info, size)
    }
    const key = this.hmacSha256(salt, secret)
    let block = sodium.crypto_auth_hmacsha256(concatBytes(info, Uint8Array.of(1)), key)
    if (size <= hashSize) return size === hashSize ? block : block.slice(0, size)
    const output = new Uint8Array(size)
    output.set(block)
    for (let index = 2; (index - 1) * hashSize < size; index++) {
      block = sodium.crypto_auth_hmacsha256(concatBytes(block, info, Uint8Array.of(index)), key)
      const offset = (index - 1) * hashSize
      output.set(block.subarray(0, Math.min(hashSize, size - offset)), offset)
    }
    return output
  }

  argon2id(passphrase: Uint8Array, salt: Uint8Array, cost: Argon2Cost, size: number): Uint8Array {
    assert(salt.length === 16 && size >= 16, 'Argon2id: 16-byte salt, at least 16 bytes of output')
    const memoryBytes = cost.memoryKiB * 1024
    const algorithm = sodium.crypto_pwhash_ALG_ARGON2ID13
    return sodium.crypto_pwhash(size, passphrase, salt, cost.passes, memoryBytes, algorithm)
  }

  equal(a: Uint8Array, b: Uint8Array): boolean {
    return a.length === b.length && sodium.memcmp(a, b)
  }

  wipe(secret: Uint8Array): void {
    this.#signingKeys.get(secret)?.fill(0)
    this.#signingKeys.delete(secret)
    secret.fill(0)
  }
}

// The wrapper throws where C returns -1: sizes were asserted before, so that what is left is a peer's bad input.
function attempt<T>(operation: () => T): T | undefined {
  try {
    return operation()
  } catch {
    return undefined
  }
}
