import { hash } from 'node:crypto'
import type { KademliaOptions } from '../../../packages/overlay/src/kademlia/interface.ts'

/** First bytes of a key whose id was ground: the id follows from the rest, see `groundKey`. */
const groundMark = 0x67726e64

/**
 * What the engines need of cryptography, as cheap as it may be without changing what they do: SHA-256 is real (ids,
 * record keys); the authenticator of tokens is a fast mix, since nobody in a simulation forges tokens by computing.
 */
export function createSimCrypto(): KademliaOptions['crypto'] & { groundKey(id: Uint8Array): Uint8Array } {
  const groundIds: Uint8Array[] = []
  return {
    sha256: (data) => {
      if (data.length === 32 && readWord(data, 0) === groundMark) {
        const id = groundIds[readWord(data, 4)]
        if (id !== undefined) return id
      }
      // No Buffer: the `slice` of one shares its memory, and engines copy by `slice`.
      return new Uint8Array(hash('sha256', data, 'buffer'))
    },
    hmacSha256: mix,
    equal: (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]),
    /** A key whose id is what an attacker ground for; the work itself is not done. */
    groundKey: (id) => {
      const key = new Uint8Array(32)
      const view = new DataView(key.buffer)
      view.setUint32(0, groundMark)
      view.setUint32(4, groundIds.length)
      groundIds.push(id)
      return key
    },
  }
}

/** 32 bytes that depend on every byte of key and data: two lanes of FNV-1a (public domain) over words, an own finish. */
function mix(key: Uint8Array, data: Uint8Array): Uint8Array {
  const keyed = absorb(0x811c9dc5, key)
  let a = absorb(keyed, data)
  let b = absorb(keyed ^ 0x9e3779b9, data)
  const result = new Uint8Array(32)
  for (let i = 0; i < 32; i += 4) {
    a = Math.imul(a ^ (b >>> 15), 0x01000193)
    b = Math.imul(b ^ (a >>> 13), 0xc2b2ae35 | 0)
    result[i] = a
    result[i + 1] = a >>> 8
    result[i + 2] = b >>> 16
    result[i + 3] = b >>> 24
  }
  return result
}

function absorb(state: number, bytes: Uint8Array): number {
  let lane = state
  let i = 0
  for (const end = bytes.length - 3; i < end; i += 4) {
    const word =
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24)
    lane = Math.imul(lane ^ word, 0x85ebca6b | 0)
    lane ^= lane >>> 15
  }
  for (; i < bytes.length; i++) lane = Math.imul(lane ^ (bytes[i] as number), 0x01000193)
  return lane
}

function readWord(bytes: Uint8Array, offset: number): number {
  return (
    (((bytes[offset] as number) << 24) |
      ((bytes[offset + 1] as number) << 16) |
      ((bytes[offset + 2] as number) << 8) |
      (bytes[offset + 3] as number)) >>>
    0
  )
}
