import { randomFillSync } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import type { Clock, Jitter, Random } from '@miaou/core'

/** The operating system's clocks. `mono` counts on while the wall clock jumps. */
export const systemClock: Clock = {
  now: () => ({ mono: performance.now(), wall: Date.now() }),
}

/** Bytes drawn at once (own choice: a draw costs ≈ 4 µs whatever its size up to here, and a message needs three). */
const poolSize = 4096
/** Draws above this size go to the generator themselves. */
const pooledSizeMax = 64

/**
 * A generator that draws from `fill` in large pieces and hands them out in small ones. Each byte is given once, as a
 * copy, and wiped from the pool as it is given: what was handed out can no longer be read here.
 */
export function pooledRandom(fill: (target: Uint8Array) => void): Random {
  const pool = new Uint8Array(poolSize)
  let at = poolSize
  return {
    bytes: (size) => {
      if (size > pooledSizeMax) {
        const bytes = new Uint8Array(size)
        fill(bytes)
        return bytes
      }
      if (at + size > poolSize) {
        fill(pool)
        at = 0
      }
      const bytes = pool.slice(at, at + size)
      pool.fill(0, at, at + size)
      at += size
      return bytes
    },
  }
}

/** The operating system's generator. */
export const systemRandom: Random = pooledRandom(randomFillSync)

/** Spreads timers; nothing secret depends on it. */
export const systemJitter: Jitter = {
  next: () => Math.random(),
}
