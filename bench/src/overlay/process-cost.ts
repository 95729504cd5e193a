import { setTimeout as sleep } from 'node:timers/promises'

/** CPU time of this process so far, user and system, µs. */
export function cpuUs(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

/**
 * Resident memory of this process after two full collections, MB (10^6 bytes). Needs `--expose-gc`: without it the figure
 * would hold garbage, and the bench says so by failing.
 */
export async function residentMb(): Promise<number> {
  if (globalThis.gc === undefined) throw new Error('start node with --expose-gc')
  for (let round = 0; round < 2; round++) {
    globalThis.gc()
    // V8 gives pages back after the collection, not during it.
    await sleep(100)
  }
  return process.memoryUsage.rss() / 1e6
}
