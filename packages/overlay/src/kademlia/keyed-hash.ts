/**
 * HalfSipHash-1-3 (Aumasson and Bernstein's SipHash on 32-bit words, with the rounds the Linux kernel takes for its hash
 * tables) of `size` bytes at `offset` under a 64-bit secret: without the secret nobody can prepare keys that collide.
 * Returns an int32. For hash tables only: it is no message authentication code.
 */
export function keyedHash(k0: number, k1: number, bytes: Uint8Array, offset: number, size: number): number {
  let v0 = k0 | 0
  let v1 = k1 | 0
  let v2 = k0 ^ 0x6c796765
  let v3 = k1 ^ 0x74656462
  const wordsEnd = offset + (size & ~3)
  // Four words of data and rounds, then three rounds to finish: the counter says which.
  const steps = (size >> 2) + 1 + 3
  for (let step = 0, at = offset; step < steps; step++, at += 4) {
    let word = 0
    if (at < wordsEnd) word = wholeWord(bytes, at)
    else if (at === wordsEnd) word = partOfWord(bytes, at, size & 3) | (size << 24)
    else if (at === wordsEnd + 4) v2 ^= 0xff
    v3 ^= word
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
    v0 ^= word
  }
  return v1 ^ v3
}

function wholeWord(bytes: Uint8Array, offset: number): number {
  const low = (bytes[offset] as number) | ((bytes[offset + 1] as number) << 8)
  return low | ((bytes[offset + 2] as number) << 16) | ((bytes[offset + 3] as number) << 24)
}

function partOfWord(bytes: Uint8Array, offset: number, size: number): number {
  let word = 0
  for (let i = 0; i < size; i++) word |= (bytes[offset + i] as number) << (8 * i)
  return word
}
