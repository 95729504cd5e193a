import type { Now } from '@miaou/core'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { OverlayLoop } from '../src/overlay/overlay-loop.ts'

type Input = { readonly type: 'wake' } | { readonly type: 'number'; readonly value: number }

/** An engine that notes what it is given, and wants to be woken when the test says so. */
class NotingEngine {
  readonly handled: { readonly mono: number; readonly input: Input }[] = []
  wakeAt = Number.POSITIVE_INFINITY

  handle(now: Now, input: Input): readonly string[] {
    this.handled.push({ mono: now.mono, input })
    if (input.type === 'number' && input.value === 13) throw new Error('a bug of ours')
    return [`${input.type} done`]
  }

  deadline(): number {
    return this.wakeAt
  }

  get wakes(): number {
    return this.handled.filter(({ input }) => input.type === 'wake').length
  }
}

let mono = 0
const clock = { now: () => ({ mono, wall: mono }) }

function loopOf(engine: NotingEngine, inputsPerTurnMax?: number) {
  const performed: string[] = []
  const crashes: unknown[] = []
  const loop = new OverlayLoop<Input, string>({
    engine,
    clock,
    perform: (output) => performed.push(output),
    onCrash: (error) => crashes.push(error),
    ...(inputsPerTurnMax === undefined ? {} : { inputsPerTurnMax }),
  })
  return { loop, performed, crashes }
}

beforeEach(() => {
  mono = 0
  vi.useFakeTimers()
})

afterEach(() => {
  vi.useRealTimers()
})

test('what one turn brings is handled in order, with one reading of the clock', () => {
  const engine = new NotingEngine()
  const { loop, performed } = loopOf(engine)
  const readings = vi.spyOn(clock, 'now')
  for (const value of [1, 2, 3]) loop.offer({ type: 'number', value })
  vi.advanceTimersToNextTimer()
  expect(readings).toHaveBeenCalledTimes(1)
  expect(performed).toEqual(['number done', 'number done', 'number done'])
  expect(engine.handled.map(({ input }) => (input.type === 'number' ? input.value : 0))).toEqual([1, 2, 3])
  readings.mockRestore()
})

test('datagrams beyond what one turn may bring are dropped and counted, commands never', () => {
  const engine = new NotingEngine()
  const { loop } = loopOf(engine, 3)
  for (let value = 0; value < 5; value++) loop.offer({ type: 'number', value })
  loop.push({ type: 'number', value: 99 })
  loop.drain()
  expect(engine.handled.map(({ input }) => (input.type === 'number' ? input.value : 0))).toEqual([0, 1, 2, 99])
  expect(loop.droppedCount).toBe(2)
  loop.offer({ type: 'number', value: 7 })
  loop.drain()
  expect(loop.droppedCount).toBe(2)
})

test('a later deadline keeps the timer that is set, an earlier one replaces it', () => {
  const engine = new NotingEngine()
  const { loop } = loopOf(engine)
  const tick = (wakeAt: number) => {
    engine.wakeAt = wakeAt
    loop.push({ type: 'number', value: 1 })
    loop.drain()
  }
  tick(1_000)
  const set = vi.spyOn(globalThis, 'setTimeout')
  for (let i = 1; i < 100; i++) tick(1_000 + i)
  expect(set).not.toHaveBeenCalled()
  tick(500)
  expect(set).toHaveBeenCalledTimes(1)
  set.mockRestore()
  mono = 500
  vi.advanceTimersByTime(499)
  expect(engine.wakes).toBe(0)
  engine.wakeAt = Number.POSITIVE_INFINITY
  vi.advanceTimersByTime(10)
  expect(engine.wakes).toBe(1)
  vi.advanceTimersByTime(10_000)
  expect(engine.wakes).toBe(1)
})

test('after a pause of the process, what has arrived is handled before the timer that is overdue', () => {
  const engine = new NotingEngine()
  const { loop } = loopOf(engine)
  engine.wakeAt = 10
  loop.push({ type: 'number', value: 1 })
  loop.drain()
  engine.wakeAt = Number.POSITIVE_INFINITY
  mono = 5_000
  // Timers run before sockets are read, and what both bring is handled after that.
  vi.advanceTimersToNextTimer()
  vi.advanceTimersToNextTimer()
  loop.offer({ type: 'number', value: 2 })
  loop.drain()
  expect(engine.handled.map(({ input }) => input.type)).toEqual(['number', 'number', 'wake'])
})

test('a bug of ours stops the loop and is told once; a stop forgets what was queued', () => {
  const engine = new NotingEngine()
  const { loop, crashes, performed } = loopOf(engine)
  engine.wakeAt = 5
  for (const value of [1, 13, 2]) loop.push({ type: 'number', value })
  loop.drain()
  expect(crashes).toMatchObject([{ message: 'a bug of ours' }])
  expect(performed).toEqual(['number done'])
  loop.push({ type: 'number', value: 13 })
  vi.advanceTimersByTime(1_000)
  expect(crashes).toHaveLength(1)
  const other = loopOf(new NotingEngine())
  other.loop.push({ type: 'number', value: 1 })
  other.loop.stop()
  vi.advanceTimersByTime(1_000)
  expect(other.performed).toEqual([])
})
