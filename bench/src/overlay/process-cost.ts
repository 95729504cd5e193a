import { setTimeout as sleep } from 'node:timers/promises'

/** CPU time of this process so far, user and system, µs. */
export function cpuUs(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

/**
 * Resident memory of this process after collections of the kind that V8 makes when memory runs out, MB (10^6 bytes): a
 * usual one leaves V8 the pages of garbage that it may need again, many times what is alive. Needs `--expose-gc`.
 */
export async function residentMb(): Promise<number> {
  if (globalThis.gc === undefined) throw new Error('start node with --expose-gc')
  for (let round = 0; round < 2; round++) {
    globalThis.gc({ type: 'major', execution: 'sync', flavor: 'last-resort' })
    // Pages go back to the system a little later.
    await sleep(100)
  }
  return process.memoryUsage.rss() / 1e6
}
