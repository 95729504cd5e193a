/** Bytes of a node id and of a distance. */
export const idBytes = 32

/** XOR of two ids (Kademlia §2.1): a new array of 32 bytes, big-endian. */
export function xorDistance(a: Uint8Array, b: Uint8Array): Uint8Array {
  const distance = new Uint8Array(idBytes)
  for (let i = 0; i < idBytes; i++) distance[i] = (a[i] as number) ^ (b[i] as number)
  return distance
}

/** Which of `a` and `b` is nearer to `target`: negative for `a`, positive for `b`, 0 for equal ids. Exact: 256 bits. */
export function compareDistances(target: Uint8Array, a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < idBytes; i++) {
    const byte = target[i] as number
    const difference = ((a[i] as number) ^ byte) - ((b[i] as number) ^ byte)
    if (difference !== 0) return difference
  }
  return 0
}

/** floor(log2(distance)), 0 … 255: bucket i holds the distances 2^i … 2^(i+1) − 1. 0 for equal ids too (row E10). */
export function bucketIndex(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < idBytes; i++) {
    const difference = (a[i] as number) ^ (b[i] as number)
    if (difference !== 0) return 8 * (idBytes - 1 - i) + 31 - Math.clz32(difference)
  }
  return 0
}

/** The 32-bit word at `offset`, big-endian, 0 … 2^32 − 1. */
export function readWord(bytes: Uint8Array, offset: number): number {
  const high = ((bytes[offset] as number) << 24) | ((bytes[offset + 1] as number) << 16)
  return (high | ((bytes[offset + 2] as number) << 8) | (bytes[offset + 3] as number)) >>> 0
}
