import { describe, expect, test, vi } from 'vitest'
import { type Fault, type ModelStats, Simulator, Violation } from './model.simulator.ts'

// A hundred milliseconds a seed on an idle machine; a busy one may take its time.
vi.setConfig({ testTimeout: 300_000 })

// MIAOU_MODEL_SEED=n runs that seed alone (a violation names its seed); MIAOU_MODEL_RUNS=n runs seeds 1 to n.
const { MIAOU_MODEL_SEED, MIAOU_MODEL_RUNS } = process.env
const seeds = MIAOU_MODEL_SEED
  ? [Number(MIAOU_MODEL_SEED)]
  : Array.from({ length: Number(MIAOU_MODEL_RUNS ?? 25) }, (_, i) => i + 1)

describe('two engines under a hostile wire, crashes, full disks and clocks that jump', () => {
  test('every accepted message arrives exactly once, and its sender sees it arrive', () => {
    const total: ModelStats = { accepted: 0, crashes: 0, full: 0, lostSessions: 0, duplicates: 0, restarts: 0 }
    for (const seed of seeds) {
      const stats = new Simulator(seed).run()
      for (const name of Object.keys(total) as (keyof ModelStats)[]) total[name] += stats[name]
    }
    // A run in which nothing happens proves nothing.
    expect(total.accepted).toBeGreaterThan(10 * seeds.length)
    expect(total.crashes).toBeGreaterThan(seeds.length)
    expect(total.full).toBeGreaterThan(seeds.length / 4)
    expect(total.lostSessions).toBeGreaterThan(seeds.length / 4)
    expect(total.duplicates).toBeGreaterThan(seeds.length)
  })

  test('the same seed gives the same run', () => {
    expect(new Simulator(5).run()).toEqual(new Simulator(5).run())
  })
})

describe('planted faults are caught', () => {
  const rulesByFault: Record<Fault, RegExp> = {
    'release-before-commit': /its sender does not have|accepted message is gone|not there|went back/,
    'no-rollback': /delivered and is not there|arrived 0 times|went back/,
    'no-dedupe': /a text is shown twice/,
    'receipt-without-store': /delivered and is not there/,
    'forget-queue': /arrived 0 times|shows (queued|sent)/,
    'unbounded-events': /events has \d+ rows/,
    'delivered-when-sent': /delivered and is not there|arrived 0 times/,
  }
  for (const [fault, rule] of Object.entries(rulesByFault) as [Fault, RegExp][]) {
    test(fault, () => {
      expect(() => {
        // Guess: every fault shows within a handful of seeds.
        for (let seed = 1; seed <= 60; seed++) new Simulator(seed, fault).run()
      }).toThrow(rule)
    })
  }

  test('a violation names the seed that shows it again', () => {
    try {
      for (let seed = 1; seed <= 30; seed++) new Simulator(seed, 'no-dedupe').run()
      expect.unreachable('the planted fault was not caught')
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      const seed = Number(/MIAOU_MODEL_SEED=(\d+)/.exec(error.message)?.[1])
      expect(() => new Simulator(seed, 'no-dedupe').run()).toThrow(error.message)
    }
  })
})
