import type { Random } from '@miaou/core'
import { assert, concatBytes } from '@miaou/core'
import type { Crypto } from '../suite.ts'
import { deriveMessageKey, stepChain } from './kdf.ts'
import { ratchetPlaintextBytesMax, sealHead } from './message.ts'
import type { RatchetState } from './state.ts'

export interface RatchetEncryptOptions {
  readonly crypto: Crypto
  readonly random: Random
  /** One that can send: `state.sending` is there. */
  readonly state: RatchetState
  /** At most `ratchetPlaintextBytesMax` bytes. */
  readonly plaintext: Uint8Array
  /** What the message is bound to beside the session: both accounts and both devices. Not sent. */
  readonly ad: Uint8Array
}

export interface RatchetEncrypted {
  /** Store it before the message leaves: a crash between the two loses nothing, the other order reuses a key. */
  readonly state: RatchetState
  readonly message: Uint8Array
}

/**
 * Encrypts the next message of the sending chain (Double Ratchet §4.4). The nonces are random although the message
 * key is used once: a copy of the device rolled back to an old state derives the same key again, and must not repeat
 * the (key, nonce) pair with it.
 */
export function ratchetEncrypt(options: RatchetEncryptOptions): RatchetEncrypted {
  const { crypto, random, state, plaintext, ad } = options
  const { sending } = state
  assert(sending !== undefined, 'a responder decrypts before it encrypts')
  assert(sending.number < 0xffff_ffff, 'a sending chain ends before its counter does')
  assert(plaintext.length <= ratchetPlaintextBytesMax, 'a ratchet plaintext is within its bound')
  const head = sealHead(crypto, sending.headerKey, random.bytes(24), {
    ratchetKey: state.ratchetKey.publicKey,
    previousCount: state.previousCount,
    number: sending.number,
  })
  const messageKey = deriveMessageKey(crypto, sending.chainKey)
  const bodyNonce = random.bytes(24)
  const body = crypto.xchacha20Poly1305Seal(messageKey, bodyNonce, concatBytes(head, ad), plaintext)
  crypto.wipe(messageKey)
  return {
    state: {
      ...state,
      sending: { ...sending, chainKey: stepChain(crypto, sending.chainKey), number: sending.number + 1 },
    },
    message: concatBytes(head, bodyNonce, body),
  }
}
