/** Public and secret half of one asymmetric key. */
export interface KeyPair {
  readonly publicKey: Uint8Array
  /** Ed25519 and X-Wing: the 32-byte seed. X25519: the 32-byte scalar. ML-KEM-768: FIPS 203's 2400-byte expanded key. */
  readonly secretKey: Uint8Array
}

export interface Encapsulation {
  readonly ciphertext: Uint8Array
  /** 32 bytes. */
  readonly sharedSecret: Uint8Array
}

/** Cost of Argon2id (RFC 9106). `memoryKiB` ≥ 8. */
export interface Argon2Cost {
  readonly memoryKiB: number
  readonly passes: number
  /** libsodium fixes it to 1. */
  readonly parallelism: 1
}

/**
 * The primitives Miaou is built on, synchronous once loaded. Two backends implement it: libsodium (the product) and
 * noble (the oracle of the tests). Nothing here draws randomness: seeds and nonces come from the `Random` port.
 * Sizes are asserted: a wrong size is our bug, since decoders fix the sizes of what peers send.
 */
export interface Crypto {
  readonly name: 'libsodium' | 'noble'

  /** `seed`: 32 bytes; the secret key is the seed. */
  ed25519KeyPair(seed: Uint8Array): KeyPair
  /** 64-byte signature. `secretKey`: the 32-byte seed. Callers sign domain-labelled bytes only. */
  ed25519Sign(message: Uint8Array, secretKey: Uint8Array): Uint8Array
  /** The one verification rule of Miaou (libsodium's): false for any malformed, small-order or non-canonical input. */
  ed25519Verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean
  /** Whether a public key may name an account or device: canonical, on the curve, in the main subgroup. */
  ed25519IsAdmissible(publicKey: Uint8Array): boolean

  /** `secretKey`: 32 bytes. */
  x25519KeyPair(secretKey: Uint8Array): KeyPair
  /** 32-byte shared secret, or undefined when it is all zero (RFC 7748 §6.1). */
  x25519(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined

  /** FIPS 203: 1184-byte public key, 1088-byte ciphertext. `seed`: 64 bytes (d ‖ z). */
  mlkem768KeyPair(seed: Uint8Array): KeyPair
  /** `seed`: 32 bytes. Undefined when the public key fails FIPS 203's modulus check. */
  mlkem768Encapsulate(publicKey: Uint8Array, seed: Uint8Array): Encapsulation | undefined
  /** Always 32 bytes: a wrong ciphertext yields an unrelated secret (implicit rejection). */
  mlkem768Decapsulate(ciphertext: Uint8Array, secretKey: Uint8Array): Uint8Array

  /** X-Wing (draft-connolly-cfrg-xwing-kem): 1216-byte public key, 1120-byte ciphertext. `seed`: 32 bytes. */
  xwingKeyPair(seed: Uint8Array): KeyPair
  /** `seed`: 64 bytes. Undefined when either half of the public key is invalid. */
  xwingEncapsulate(publicKey: Uint8Array, seed: Uint8Array): Encapsulation | undefined
  /** Undefined when the X25519 half of the ciphertext is of small order. */
  xwingDecapsulate(ciphertext: Uint8Array, secretKey: Uint8Array): Uint8Array | undefined

  /**
   * RFC 8439: 32-byte key, 12-byte nonce; ciphertext ‖ 16-byte tag. `headSize`: zeros before it, 0 (the default) to 64, for
   * the header of the datagram that it goes into, which then needs no copy.
   */
  chacha20Poly1305Seal(
    key: Uint8Array,
    nonce: Uint8Array,
    ad: Uint8Array,
    plaintext: Uint8Array,
    headSize?: number,
  ): Uint8Array
  chacha20Poly1305Open(
    key: Uint8Array,
    nonce: Uint8Array,
    ad: Uint8Array,
    ciphertext: Uint8Array,
  ): Uint8Array | undefined
  /** draft-irtf-cfrg-xchacha: 32-byte key, 24-byte nonce; ciphertext ‖ 16-byte tag. */
  xchacha20Poly1305Seal(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array
  xchacha20Poly1305Open(
    key: Uint8Array,
    nonce: Uint8Array,
    ad: Uint8Array,
    ciphertext: Uint8Array,
  ): Uint8Array | undefined

  sha256(data: Uint8Array): Uint8Array
  sha512(data: Uint8Array): Uint8Array
  /** 32 bytes. */
  blake3(data: Uint8Array): Uint8Array
  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array
  /** RFC 5869, extract then expand. An empty `salt` stands for 32 zero bytes. */
  hkdfSha256(secret: Uint8Array, salt: Uint8Array, info: Uint8Array, size: number): Uint8Array
  /** `salt`: 16 bytes. */
  argon2id(passphrase: Uint8Array, salt: Uint8Array, cost: Argon2Cost, size: number): Uint8Array

  /** Constant-time comparison of secrets of equal public length. */
  equal(a: Uint8Array, b: Uint8Array): boolean
  /** Overwrites a secret that is no longer needed (best effort: the engine may have copied it). */
  wipe(secret: Uint8Array): void
}
