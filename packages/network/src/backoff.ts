import type { Jitter } from '@miaou/core'

/**
 * Wait before the next try, ms: `minMs` after the first failure, doubled by each further one up to `maxMs`, then spread
 * by lot over ± half of `jitterShare`, so that two peers who lost one link do not dial in step.
 */
export function backoff(
  failures: number,
  options: { readonly minMs: number; readonly maxMs: number; readonly jitterShare: number },
  jitter: Jitter,
): number {
  const { minMs, maxMs, jitterShare } = options
  const wait = Math.min(minMs * 2 ** Math.max(0, failures - 1), maxMs)
  return wait * (1 + jitterShare * (jitter.next() - 0.5))
}
