import { assert } from '@miaou/core'

/** What the wrapper exposes of the WebAssembly module below it, as far as we call it. Pointers are numbers. */
export interface SodiumModule {
  /** Replaced when the memory grows: read anew for each call. */
  readonly HEAPU8: Uint8Array
  readonly _malloc: (size: number) => number
  readonly _crypto_auth_hmacsha256: (
    mac: number,
    message: number,
    messageSize: number,
    messageSizeHigh: 0,
    key: number,
  ) => number
  readonly _crypto_aead_chacha20poly1305_ietf_encrypt: (
    ciphertext: number,
    ciphertextSize: 0,
    message: number,
    messageSize: number,
    messageSizeHigh: 0,
    ad: number,
    adSize: number,
    adSizeHigh: 0,
    secretNonce: 0,
    nonce: number,
    key: number,
  ) => number
  readonly _crypto_aead_chacha20poly1305_ietf_decrypt: (
    message: number,
    messageSize: 0,
    secretNonce: 0,
    ciphertext: number,
    ciphertextSize: number,
    ciphertextSizeHigh: 0,
    ad: number,
    adSize: number,
    adSizeHigh: 0,
    nonce: number,
    key: number,
  ) => number
}

/** Room before a ciphertext, for the header of what carries it: what lies before the message in the region. */
export const headSizeMax = 64
const tagSize = 16
const hashSize = 32
// One region: key 32 ‖ nonce 12 (padded to 16) ‖ additional data ‖ message with its tag.
const nonceAt = 32
const adAt = 48
const adSizeMax = 128
const messageAt = adAt + adSizeMax
const messageSizeMax = 4_096

/**
 * libsodium's ChaCha20-Poly1305, HMAC and HKDF on a region of its memory that is taken once. The wrapper takes and frees five pieces a
 * call, which costs more than sealing 200 bytes does (docs/decisions/0021); what is larger than the region stays with it.
 */
export class SodiumHeap {
  readonly #module: SodiumModule
  readonly #at: number

  constructor(module: SodiumModule) {
    this.#module = module
    this.#at = module._malloc(messageAt + messageSizeMax + tagSize)
    assert(this.#at > 0, 'five kilobytes of memory are there')
  }

  /** Whether a message of `size` bytes (without tag) and `adSize` bytes of additional data fit the region. */
  fits(size: number, adSize: number): boolean {
    return size <= messageSizeMax && adSize <= adSizeMax
  }

  /** `key`: 32 bytes, `nonce`: 12, `headSize`: up to `headSizeMax`. The rest fits. */
  seal(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array, headSize: number): Uint8Array {
    const [heap, at] = [this.#module.HEAPU8, this.#at]
    this.#write(heap, key, nonce, ad, plaintext)
    const text = at + messageAt
    const size = plaintext.length
    const status = this.#module._crypto_aead_chacha20poly1305_ietf_encrypt(
      text,
      0,
      text,
      size,
      0,
      at + adAt,
      ad.length,
      0,
      0,
      at + nonceAt,
      at,
    )
    heap.fill(0, at, at + nonceAt)
    assert(status === 0, 'sealing does not fail')
    const sealed = heap.slice(text - headSize, text + size + tagSize)
    return headSize === 0 ? sealed : sealed.fill(0, 0, headSize)
  }

  /** The plaintext, or undefined when the tag does not match. `ciphertext`: 16 bytes or more; the rest fits. */
  open(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined {
    const [heap, at] = [this.#module.HEAPU8, this.#at]
    this.#write(heap, key, nonce, ad, ciphertext)
    const text = at + messageAt
    const status = this.#module._crypto_aead_chacha20poly1305_ietf_decrypt(
      text,
      0,
      0,
      text,
      ciphertext.length,
      0,
      at + adAt,
      ad.length,
      0,
      at + nonceAt,
      at,
    )
    heap.fill(0, at, at + nonceAt)
    return status === 0 ? heap.slice(text, text + ciphertext.length - tagSize) : undefined
  }

  /** HMAC-SHA256 under a key of 32 bytes. `data` fits. */
  hmac(key: Uint8Array, data: Uint8Array): Uint8Array {
    const [heap, at, module] = [this.#module.HEAPU8, this.#at, this.#module]
    const text = at + messageAt
    heap.set(key, at)
    heap.set(data, text)
    module._crypto_auth_hmacsha256(at + adAt, text, data.length, 0, at)
    const mac = heap.slice(at + adAt, at + adAt + hashSize)
    heap.fill(0, at, text + data.length)
    return mac
  }

  /**
   * HKDF-SHA256 (RFC 5869) to 1–96 bytes. `salt`: 32 bytes, or none for zeros. Secret and info fit together.
   */
  hkdf(secret: Uint8Array, salt: Uint8Array, info: Uint8Array, size: number): Uint8Array {
    const [heap, at, module] = [this.#module.HEAPU8, this.#at, this.#module]
    // Extract: the pseudorandom key takes the place of the salt.
    heap.fill(0, at, at + hashSize)
    heap.set(salt, at)
    const text = at + messageAt
    heap.set(secret, text)
    module._crypto_auth_hmacsha256(at, text, secret.length, 0, at)
    // Expand: T(n) = HMAC(T(n - 1) ‖ info ‖ n), the blocks at `adAt`, one after the other.
    const output = at + adAt
    let filled = 0
    for (let block = 1; filled < size; block++) {
      const previous = block === 1 ? 0 : hashSize
      if (previous > 0) heap.copyWithin(text, output + filled - hashSize, output + filled)
      heap.set(info, text + previous)
      heap[text + previous + info.length] = block
      module._crypto_auth_hmacsha256(output + filled, text, previous + info.length + 1, 0, at)
      filled += hashSize
    }
    const derived = heap.slice(output, output + size)
    heap.fill(0, at, text + Math.max(secret.length, hashSize + info.length + 1))
    return derived
  }

  #write(heap: Uint8Array, key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, text: Uint8Array): void {
    const at = this.#at
    heap.set(key, at)
    heap.set(nonce, at + nonceAt)
    if (ad.length > 0) heap.set(ad, at + adAt)
    heap.set(text, at + messageAt)
  }
}
