/** Noise's nonce for ChaCha20-Poly1305 (revision 34 §12.3): 4 zero bytes ‖ `counter` as little-endian u64. */
export function noiseNonce(counter: number): Uint8Array {
  const nonce = new Uint8Array(12)
  const view = new DataView(nonce.buffer)
  view.setUint32(4, counter >>> 0, true)
  view.setUint32(8, Math.floor(counter / 0x1_0000_0000), true)
  return nonce
}
