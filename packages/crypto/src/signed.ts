import { assert, concatBytes, textToBytes } from '@miaou/core'
import type { Crypto } from './suite.ts'

const labelPrefix = 'Miaou-v0.2.0-'

/**
 * Ed25519 signature (64 bytes) over `"Miaou-v0.2.0-" + label ‖ 0x00 ‖ body`, so that a signature made for one purpose
 * is worth nothing for another. `label`: lower-case letters, digits and hyphens, which keeps the zero byte unambiguous.
 * `secretKey`: the 32-byte seed.
 */
export function signLabelled(crypto: Crypto, label: string, body: Uint8Array, secretKey: Uint8Array): Uint8Array {
  return crypto.ed25519Sign(labelledBytes(label, body), secretKey)
}

/** Whether `signature` is `publicKey`'s over this label and body. False for malformed keys and signatures. */
export function verifyLabelled(
  crypto: Crypto,
  label: string,
  body: Uint8Array,
  signature: Uint8Array,
  publicKey: Uint8Array,
): boolean {
  return crypto.ed25519Verify(signature, labelledBytes(label, body), publicKey)
}

function labelledBytes(label: string, body: Uint8Array): Uint8Array {
  assert(/^[a-z0-9-]+$/.test(label), 'a label has lower-case letters, digits and hyphens')
  return concatBytes(textToBytes(labelPrefix + label), Uint8Array.of(0), body)
}
