import { concatBytes, textToBytes } from '@miaou/core'
import type { Crypto } from '../suite.ts'
import { noiseNonce } from './nonce.ts'

const empty = new Uint8Array(0)

/** Noise's SymmetricState with its CipherState inside (revision 34 §5.1, §5.2), for ChaChaPoly and SHA-256. */
export class SymmetricState {
  readonly #crypto: Crypto
  #hash: Uint8Array
  #chainingKey: Uint8Array
  #key: Uint8Array | undefined
  #counter = 0

  constructor(crypto: Crypto, protocolName: string) {
    this.#crypto = crypto
    const name = textToBytes(protocolName)
    // §5.2: a name of at most one hash length is padded with zeros, a longer one hashed.
    if (name.length <= 32) {
      this.#hash = new Uint8Array(32)
      this.#hash.set(name)
    } else {
      this.#hash = crypto.sha256(name)
    }
    this.#chainingKey = this.#hash.slice()
  }

  get hash(): Uint8Array {
    return this.#hash.slice()
  }

  get hasKey(): boolean {
    return this.#key !== undefined
  }

  mixHash(data: Uint8Array): void {
    this.#hash = this.#crypto.sha256(concatBytes(this.#hash, data))
  }

  mixKey(inputKey: Uint8Array): void {
    const output = this.#crypto.hkdfSha256(inputKey, this.#chainingKey, empty, 64)
    this.#crypto.wipe(inputKey)
    this.#crypto.wipe(this.#chainingKey)
    if (this.#key !== undefined) this.#crypto.wipe(this.#key)
    this.#chainingKey = output.slice(0, 32)
    this.#key = output.slice(32)
    this.#counter = 0
    this.#crypto.wipe(output)
  }

  /** Mixes in a pre-shared key (§5.2 MixKeyAndHash, §9). The array is wiped. */
  mixKeyAndHash(inputKey: Uint8Array): void {
    const output = this.#crypto.hkdfSha256(inputKey, this.#chainingKey, empty, 96)
    this.#crypto.wipe(inputKey)
    this.#crypto.wipe(this.#chainingKey)
    if (this.#key !== undefined) this.#crypto.wipe(this.#key)
    this.#chainingKey = output.slice(0, 32)
    this.mixHash(output.slice(32, 64))
    this.#key = output.slice(64)
    this.#counter = 0
    this.#crypto.wipe(output)
  }

  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    const bytes =
      this.#key === undefined
        ? plaintext
        : this.#crypto.chacha20Poly1305Seal(this.#key, noiseNonce(this.#counter++), this.#hash, plaintext)
    this.mixHash(bytes)
    return bytes
  }

  /** Undefined when the tag does not match: the caller gives the handshake up. */
  decryptAndHash(bytes: Uint8Array): Uint8Array | undefined {
    const plaintext =
      this.#key === undefined
        ? bytes.slice()
        : this.#crypto.chacha20Poly1305Open(this.#key, noiseNonce(this.#counter++), this.#hash, bytes)
    if (plaintext !== undefined) this.mixHash(bytes)
    return plaintext
  }

  /** Key of the initiator's direction, then of the responder's; the state is spent afterwards. */
  split(): readonly [Uint8Array, Uint8Array] {
    const output = this.#crypto.hkdfSha256(empty, this.#chainingKey, empty, 64)
    const keys = [output.slice(0, 32), output.slice(32)] as const
    this.#crypto.wipe(output)
    this.wipe()
    return keys
  }

  wipe(): void {
    this.#crypto.wipe(this.#chainingKey)
    if (this.#key !== undefined) this.#crypto.wipe(this.#key)
  }
}
