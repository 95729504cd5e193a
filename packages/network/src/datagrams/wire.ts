import { textToBytes } from '@miaou/core'

/** First byte of a datagram (spec/datagrams, "Layout"). */
export const datagramType = { initiation: 1, response: 2, cookieReply: 3, data: 4, hint: 5, opener: 6 } as const

/** Below the smallest MTU of IPv6 (1,280) with room for its headers and a tunnel's; also the size of an initiation. */
export const datagramBytesMax = 1_200
/** Both sides must agree on these bytes (Noise revision 34 §6). */
export const datagramsPrologue: Uint8Array = textToBytes('Miaou-v0.2.0-overlay')
/** Before the receiver's static key in the hash that is the key of `mac1`. */
export const macLabel: Uint8Array = textToBytes('Miaou-v0.2.0-overlay-mac1')

/** Of `mac1` and of a cookie. */
export const macSize = 16

/**
 * `type 1 ‖ sender 4 ‖ Noise message 1 ‖ mac1 16 ‖ cookie 16`, always `datagramBytesMax` bytes. `mac1` covers the
 * `macCovers` bytes up to the sealed static key: what follows has Noise's tag.
 */
export const initiation = { sender: 1, noise: 5, macCovers: 85, mac1: 1_168, cookie: 1_184 } as const

/** Plaintext inside an initiation: `stamp 8 ‖ size 2 ‖ payload ‖ zeros`. */
export const opening = { stamp: 0, payloadSize: 8, payload: 10, size: 1_067 } as const
/** Longest payload inside an initiation; a longer one waits for the session. */
export const openingPayloadMax = 1_057

/** `type 1 ‖ receiver 4 ‖ sender 4 ‖ Noise message 2`: ephemeral key 32 ‖ sealed answer. */
export const response = { receiver: 1, sender: 5, noise: 9, sizeMin: 57 } as const
/** Longest answer inside a response. */
export const answerPayloadMax = 1_143

/** `type 1 ‖ receiver 4 ‖ mac1 16 ‖ cookie 16`. */
export const cookieReply = { receiver: 1, mac1: 5, cookie: 21, size: 37 } as const

/** `type 1 ‖ receiver 4 ‖ counter 8 ‖ sealed`. */
export const data = { receiver: 1, counter: 5, sealed: 13, sizeMin: 29 } as const
/** Longest payload of a datagram of a session. */
export const dataPayloadMax = 1_171

/** `type 1 ‖ index 4`. */
export const hint = { index: 1, size: 5 } as const

/** `type 1 ‖ nonce 8`: sealed by nothing, and worth nothing but that its sender was told the nonce. */
export const opener = { nonce: 1, size: 9 } as const

export function readU32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  )
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

/** A u64; above 2^53 it is rounded, and beyond every bound that the callers check. */
export function readU64(bytes: Uint8Array, at: number): number {
  return readU32(bytes, at) * 0x1_0000_0000 + readU32(bytes, at + 4)
}

/** `value`: a safe non-negative integer. */
export function writeU64(bytes: Uint8Array, at: number, value: number): void {
  writeU32(bytes, at, Math.floor(value / 0x1_0000_0000))
  writeU32(bytes, at + 4, value >>> 0)
}
