import { textToBytes } from '@miaou/core'
import type { Crypto } from '../suite.ts'

const startLabel = textToBytes('Miaou-v1-ratchet-start')
const rootLabel = textToBytes('Miaou-v1-ratchet-root')
const noSalt = new Uint8Array(0)
// Double Ratchet §7.2 recommends HMAC with two distinct constants as the chain's function.
const messageKeyConstant = Uint8Array.of(1)
const chainKeyConstant = Uint8Array.of(2)

/** The secrets both sides hold before the first ratchet step: the root key and the first header key each way. */
export interface StartKeys {
  readonly rootKey: Uint8Array
  /** Seals the initiator's first chain (`shared_hka` of Double Ratchet §4.4). */
  readonly initiatorHeaderKey: Uint8Array
  /** Seals the responder's first chain (`shared_nhkb`). */
  readonly responderHeaderKey: Uint8Array
}

/** HKDF-SHA-256 of the PQXDH secret. */
export function deriveStartKeys(crypto: Crypto, secret: Uint8Array): StartKeys {
  const keys = crypto.hkdfSha256(secret, noSalt, startLabel, 96)
  return {
    rootKey: keys.slice(0, 32),
    initiatorHeaderKey: keys.slice(32, 64),
    responderHeaderKey: keys.slice(64, 96),
  }
}

export interface RootStep {
  readonly rootKey: Uint8Array
  readonly chainKey: Uint8Array
  readonly nextHeaderKey: Uint8Array
}

/** `KDF_RK_HE` of Double Ratchet §4.3: HKDF-SHA-256 with the root key as salt. Wipes `agreement`. */
export function stepRoot(crypto: Crypto, rootKey: Uint8Array, agreement: Uint8Array): RootStep {
  const keys = crypto.hkdfSha256(agreement, rootKey, rootLabel, 96)
  crypto.wipe(agreement)
  const step = { rootKey: keys.slice(0, 32), chainKey: keys.slice(32, 64), nextHeaderKey: keys.slice(64, 96) }
  crypto.wipe(keys)
  return step
}

/** The one-time key of a chain's next message (Double Ratchet §7.2). */
export function deriveMessageKey(crypto: Crypto, chainKey: Uint8Array): Uint8Array {
  return crypto.hmacSha256(chainKey, messageKeyConstant)
}

/** The chain key after that message; the one before cannot be computed from it. */
export function stepChain(crypto: Crypto, chainKey: Uint8Array): Uint8Array {
  return crypto.hmacSha256(chainKey, chainKeyConstant)
}
