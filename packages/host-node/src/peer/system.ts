import { randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import type { Clock, Jitter, Random } from '@miaou/core'

/** The operating system's clocks. `mono` counts on while the wall clock jumps. */
export const systemClock: Clock = {
  now: () => ({ mono: performance.now(), wall: Date.now() }),
}

/** The operating system's generator. */
export const systemRandom: Random = {
  bytes: (size) => new Uint8Array(randomBytes(size)),
}

/** Spreads timers; nothing secret depends on it. */
export const systemJitter: Jitter = {
  next: () => Math.random(),
}
