import { assert, concatBytes, textToBytes } from '@miaou/core'
import type { Crypto } from './suite.ts'

// Signal's numeric fingerprint: 5200 rounds make each attempt at a look-alike key dearer by 12 bits.
const rounds = 5200
const groupsPerKey = 6
const label = textToBytes('Miaou-v0.2.0-safety-number')
const version = Uint8Array.of(0, 1)

/**
 * What two people compare to know that nobody sits between them: 60 digits in 12 groups of 5, the same on both sides.
 *
 * Built as Signal's numeric fingerprint (libsignal `fingerprint.rs`) with a label and version of our own: for each
 * 32-byte account key, h₀ = label ‖ 0x00 ‖ version u16 (1) ‖ key and hᵢ = SHA-512(hᵢ₋₁ ‖ key), 5200 times; of the first
 * 30 bytes each 5, as a big-endian number modulo 100,000, are one group. The smaller of the two halves comes first.
 */
export function safetyNumber(crypto: Crypto, accountKeyA: Uint8Array, accountKeyB: Uint8Array): string {
  const halves = [fingerprint(crypto, accountKeyA), fingerprint(crypto, accountKeyB)]
  return halves.sort().join(' ')
}

function fingerprint(crypto: Crypto, key: Uint8Array): string {
  assert(key.length === 32, 'an account key has 32 bytes')
  let hash = concatBytes(label, Uint8Array.of(0), version, key)
  for (let round = 0; round < rounds; round++) hash = crypto.sha512(concatBytes(hash, key))
  const groups: string[] = []
  for (let group = 0; group < groupsPerKey; group++) {
    let value = 0
    for (const byte of hash.subarray(group * 5, group * 5 + 5)) value = value * 256 + byte
    groups.push(String(value % 100_000).padStart(5, '0'))
  }
  return groups.join(' ')
}
