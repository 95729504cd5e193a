import type { Jitter, Random } from '@miaou/core'

/** Numbers in [0, 1) that a seed decides: mulberry32 (Tommy Ettinger, public domain). Nothing secret. */
export function seededNumbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
}

/** Both random ports of a test: the same seed gives the same run. */
export class SeededRandom implements Random, Jitter {
  readonly next: () => number

  constructor(seed: number) {
    this.next = seededNumbers(seed)
  }

  /** A whole number from 0 to `limit` − 1. */
  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  /** True with this probability. */
  chance(share: number): boolean {
    return this.next() < share
  }

  bytes(size: number): Uint8Array {
    return Uint8Array.from({ length: size }, () => this.below(256))
  }
}
