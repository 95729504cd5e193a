import { assert, textToBytes } from '@miaou/core'
import { writeNoiseNonce } from './noise/nonce.ts'
import type { Crypto } from './suite.ts'

export type ChannelDirection = 'initiator-to-responder' | 'responder-to-initiator'

export interface ChannelCipherOptions {
  readonly crypto: Crypto
  /** 32 bytes, from `deriveChannelKey`: of one channel, one direction, one handshake. */
  readonly key: Uint8Array
}

/** Of the call at hand: written anew for each, kept by none. */
const nonce = new Uint8Array(12)

/**
 * Sealing of one direction of one channel: ChaCha20-Poly1305 (RFC 8439) under Noise's nonce encoding. It keeps no
 * counter: the sender owns it and never seals twice under one sequence, the receiver owns its replay rule.
 */
export class ChannelCipher {
  readonly #crypto: Crypto
  readonly #key: Uint8Array
  #isWiped = false

  constructor(options: ChannelCipherOptions) {
    assert(options.key.length === 32, 'a channel key has 32 bytes')
    this.#crypto = options.crypto
    this.#key = options.key.slice()
  }

  /**
   * `plaintext` sealed, 16 bytes longer, behind `headSize` zeros (0 to 64). `sequence`: 0 … 2^53 - 1, each once. `ad`:
   * authenticated, not sent.
   */
  seal(sequence: number, ad: Uint8Array, plaintext: Uint8Array, headSize = 0): Uint8Array {
    assert(isSequence(sequence), 'a sequence is a safe non-negative integer')
    // The overwritten key is one that everybody knows.
    assert(!this.#isWiped, 'a wiped cipher seals nothing')
    writeNoiseNonce(nonce, sequence)
    return this.#crypto.chacha20Poly1305Seal(this.#key, nonce, ad, plaintext, headSize)
  }

  /** The plaintext, or undefined when key, sequence, `ad` or bytes are not those that were sealed. */
  open(sequence: number, ad: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined {
    if (!isSequence(sequence) || this.#isWiped) return undefined
    writeNoiseNonce(nonce, sequence)
    return this.#crypto.chacha20Poly1305Open(this.#key, nonce, ad, ciphertext)
  }

  /** Overwrites the key: afterwards the cipher opens nothing, and sealing with it is our bug. */
  wipe(): void {
    this.#isWiped = true
    this.#crypto.wipe(this.#key)
  }
}

/**
 * The key of one channel and direction: HKDF-SHA256 of that direction's Noise key, with info
 * `Miaou-v0.2.0-channel/<channel>/<direction>`. `channel` names it uniquely within the link and holds no `/`.
 */
export function deriveChannelKey(
  crypto: Crypto,
  splitKey: Uint8Array,
  channel: string,
  direction: ChannelDirection,
): Uint8Array {
  assert(splitKey.length === 32, 'a Noise key has 32 bytes')
  assert(channel.length > 0 && !channel.includes('/'), 'a channel has a name without a slash')
  const info = textToBytes(`Miaou-v0.2.0-channel/${channel}/${direction}`)
  return crypto.hkdfSha256(splitKey, new Uint8Array(0), info, 32)
}

function isSequence(sequence: number): boolean {
  return Number.isSafeInteger(sequence) && sequence >= 0
}
