/** Noise's nonce for ChaCha20-Poly1305 (revision 34 §12.3): 4 zero bytes ‖ `counter` as little-endian u64. */
export function noiseNonce(counter: number): Uint8Array {
  const nonce = new Uint8Array(12)
  writeNoiseNonce(nonce, counter)
  return nonce
}

/** The same, into 12 bytes that the caller keeps; the first 4 are left as they are, zero. */
export function writeNoiseNonce(nonce: Uint8Array, counter: number): void {
  const high = Math.floor(counter / 0x1_0000_0000)
  nonce[4] = counter
  nonce[5] = counter >>> 8
  nonce[6] = counter >>> 16
  nonce[7] = counter >>> 24
  nonce[8] = high
  nonce[9] = high >>> 8
  nonce[10] = high >>> 16
  nonce[11] = high >>> 24
}
