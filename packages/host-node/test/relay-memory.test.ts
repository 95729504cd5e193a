import { constants, PerformanceObserver } from 'node:perf_hooks'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { YoungMemory } from '../src/relay/young-memory.ts'

test('[R13] memory of messages is collected once 2.5 MB passed, after the turn of the event loop, and then anew', async () => {
  const collected: string[] = []
  const memory = new YoungMemory(({ type }) => collected.push(type))
  memory.used(2_499_999)
  await nextTurn()
  expect(collected).toEqual([])
  for (let more = 0; more < 100; more++) memory.used(65_536)
  expect(collected).toEqual([])
  await nextTurn()
  expect(collected).toEqual(['minor'])
  memory.used(2_499_999)
  await nextTurn()
  expect(collected).toEqual(['minor'])
  memory.used(1)
  await nextTurn()
  expect(collected).toEqual(['minor', 'minor'])
})

test('[R13] the engine of this platform collects the young', async () => {
  const kinds: unknown[] = []
  const observer = new PerformanceObserver((list) => {
    // The typings do not know what entries of collections have.
    for (const entry of list.getEntries() as readonly { readonly detail?: { readonly kind: number } }[]) {
      kinds.push(entry.detail?.kind)
    }
  })
  observer.observe({ entryTypes: ['gc'] })
  const memory = new YoungMemory()
  for (let turn = 0; turn < 4; turn++) {
    memory.used(2_500_000)
    await nextTurn()
  }
  // Entries are told in a later turn.
  for (let turn = 0; turn < 10 && kinds.length < 4; turn++) await nextTurn()
  observer.disconnect()
  expect(kinds.length).toBeGreaterThanOrEqual(4)
  expect(kinds.filter((kind) => kind === constants.NODE_PERFORMANCE_GC_MINOR).length).toBeGreaterThanOrEqual(4)
  expect(Object.hasOwn(globalThis, 'gc')).toBe(false)
})
