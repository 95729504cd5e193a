import { createCipheriv, createDecipheriv, diffieHellman, hash } from 'node:crypto'
import { assert } from '@miaou/core'
import { type Crypto, createLibsodiumCrypto, type KeyPair } from '@miaou/crypto'
import { AeadKeys } from './aead-keys.ts'
import { X25519Keys } from './x25519-keys.ts'

export interface NodeCryptoOptions {
  /** Public keys of others whose key objects are kept; ≈ 1 KB each outside the heap. */
  readonly publicKeysMax: number
}

/** Guess: a handshake uses each of two keys twice, within a round trip. */
export const defaultNodeCryptoOptions: NodeCryptoOptions = { publicKeysMax: 64 }

// Own choice, measured in packages/host-node/test/measure-crypto.ts: below it libsodium is faster.
const hashSizeMin = 512
// Own choice, measured there: OpenSSL's start costs 6 µs, after which it is four times as fast as WebAssembly.
const aeadSizeMin = 4_096
const aeadName = 'chacha20-poly1305'
const tagSize = 16

/**
 * libsodium's backend with X25519, and the hash and AEAD of long inputs, on node:crypto, where that is faster by measure
 * (docs/decisions/0021, 0030). Verification, small AEADs, HMAC and HKDF stay on libsodium.
 */
export async function createNodeCrypto(options: Partial<NodeCryptoOptions> = {}): Promise<Crypto> {
  const base = await createLibsodiumCrypto()
  const keys = new X25519Keys(options.publicKeysMax ?? defaultNodeCryptoOptions.publicKeysMax)
  const aeadKeys = new AeadKeys()
  return bindAll(base, {
    x25519KeyPair(secretKey: Uint8Array): KeyPair {
      assert(secretKey.length === 32, 'an X25519 secret key has 32 bytes')
      const copy = secretKey.slice()
      keys.share(secretKey, copy)
      return { publicKey: keys.secret(copy).publicKey.slice(), secretKey: copy }
    },
    x25519(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
      assert(secretKey.length === 32 && publicKey.length === 32, 'X25519 keys have 32 bytes')
      return agree(keys, secretKey, publicKey)
    },
    chacha20Poly1305Seal(key, nonce, ad, plaintext, headSize = 0): Uint8Array {
      if (plaintext.length < aeadSizeMin) return base.chacha20Poly1305Seal(key, nonce, ad, plaintext, headSize)
      return seal(aeadKeys, key, nonce, ad, plaintext, headSize)
    },
    chacha20Poly1305Open(key, nonce, ad, ciphertext): Uint8Array | undefined {
      if (ciphertext.length < aeadSizeMin + tagSize) return base.chacha20Poly1305Open(key, nonce, ad, ciphertext)
      return open(aeadKeys, key, nonce, ad, ciphertext)
    },
    sha256(data: Uint8Array): Uint8Array {
      if (data.length < hashSizeMin) return base.sha256(data)
      const digest = hash('sha256', data, 'buffer')
      return new Uint8Array(digest.buffer, digest.byteOffset, digest.length)
    },
    wipe(secret: Uint8Array): void {
      keys.forget(secret)
      aeadKeys.forget(secret)
      base.wipe(secret)
    },
  })
}

function agree(keys: X25519Keys, secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
  let shared: Uint8Array
  try {
    shared = diffieHellman({ privateKey: keys.secret(secretKey).keyObject, publicKey: keys.public(publicKey) })
  } catch {
    // OpenSSL refuses the points of small order (RFC 7748 §6.1).
    return undefined
  }
  let bits = 0
  for (const byte of shared) bits |= byte
  return bits === 0 ? undefined : new Uint8Array(shared)
}

function seal(
  keys: AeadKeys,
  key: Uint8Array,
  nonce: Uint8Array,
  ad: Uint8Array,
  plaintext: Uint8Array,
  headSize: number,
): Uint8Array {
  assert(key.length === 32 && nonce.length === 12, 'ChaCha20-Poly1305: 32-byte key, 12-byte nonce')
  assert(headSize >= 0 && headSize <= 64, 'ChaCha20-Poly1305: up to 64 bytes of room')
  const cipher = createCipheriv(aeadName, keys.keyObject(key), nonce, { authTagLength: tagSize })
  cipher.setAAD(ad, { plaintextLength: plaintext.length })
  const sealed = new Uint8Array(headSize + plaintext.length + tagSize)
  sealed.set(cipher.update(plaintext), headSize)
  cipher.final()
  sealed.set(cipher.getAuthTag(), headSize + plaintext.length)
  return sealed
}

function open(
  keys: AeadKeys,
  key: Uint8Array,
  nonce: Uint8Array,
  ad: Uint8Array,
  ciphertext: Uint8Array,
): Uint8Array | undefined {
  assert(key.length === 32 && nonce.length === 12, 'ChaCha20-Poly1305: 32-byte key, 12-byte nonce')
  const size = ciphertext.length - tagSize
  const decipher = createDecipheriv(aeadName, keys.keyObject(key), nonce, { authTagLength: tagSize })
  decipher.setAAD(ad, { plaintextLength: size })
  decipher.setAuthTag(ciphertext.subarray(size))
  const plaintext = decipher.update(ciphertext.subarray(0, size))
  try {
    decipher.final()
  } catch {
    plaintext.fill(0)
    return undefined
  }
  // A plain view: `slice` of a Buffer would share memory where that of a Uint8Array copies.
  return new Uint8Array(plaintext.buffer, plaintext.byteOffset, plaintext.length)
}

type Replaced = 'x25519KeyPair' | 'x25519' | 'chacha20Poly1305Seal' | 'chacha20Poly1305Open' | 'sha256' | 'wipe'

/** The methods of `base`, bound to it, with some in their place. */
function bindAll(base: Crypto, replaced: Pick<Crypto, Replaced>): Crypto {
  return {
    name: base.name,
    ed25519KeyPair: (seed) => base.ed25519KeyPair(seed),
    ed25519Sign: (message, secretKey) => base.ed25519Sign(message, secretKey),
    ed25519Verify: (signature, message, publicKey) => base.ed25519Verify(signature, message, publicKey),
    ed25519IsAdmissible: (publicKey) => base.ed25519IsAdmissible(publicKey),
    mlkem768KeyPair: (seed) => base.mlkem768KeyPair(seed),
    mlkem768Encapsulate: (publicKey, seed) => base.mlkem768Encapsulate(publicKey, seed),
    mlkem768Decapsulate: (ciphertext, secretKey) => base.mlkem768Decapsulate(ciphertext, secretKey),
    xwingKeyPair: (seed) => base.xwingKeyPair(seed),
    xwingEncapsulate: (publicKey, seed) => base.xwingEncapsulate(publicKey, seed),
    xwingDecapsulate: (ciphertext, secretKey) => base.xwingDecapsulate(ciphertext, secretKey),
    xchacha20Poly1305Seal: (key, nonce, ad, plaintext) => base.xchacha20Poly1305Seal(key, nonce, ad, plaintext),
    xchacha20Poly1305Open: (key, nonce, ad, ciphertext) => base.xchacha20Poly1305Open(key, nonce, ad, ciphertext),
    sha512: (data) => base.sha512(data),
    blake3: (data) => base.blake3(data),
    hmacSha256: (key, data) => base.hmacSha256(key, data),
    hkdfSha256: (secret, salt, info, size) => base.hkdfSha256(secret, salt, info, size),
    argon2id: (passphrase, salt, cost, size) => base.argon2id(passphrase, salt, cost, size),
    equal: (a, b) => base.equal(a, b),
    ...replaced,
  }
}
