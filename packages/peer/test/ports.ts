import type { Jitter, Random } from '@miaou/core'
import { type Crypto, createLibsodiumCrypto } from '@miaou/crypto'

export const crypto: Crypto = await createLibsodiumCrypto()

/** Mulberry32: the same seed gives the same run. */
export class SeededRandom implements Random, Jitter {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000
  }

  bytes(size: number): Uint8Array {
    return Uint8Array.from({ length: size }, () => Math.floor(this.next() * 256))
  }
}
