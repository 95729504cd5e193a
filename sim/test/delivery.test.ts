import { describe, expect, test, vi } from 'vitest'
import { type PlantedFault, plantedFaults } from '../src/delivery/planted.ts'
import { defaultSteps, runBatch, runOne } from '../src/delivery/run.ts'

// Fifty milliseconds a schedule on an idle machine; a busy one may take its time.
vi.setConfig({ testTimeout: 600_000 })

/** Each was found by a run, and what it found is mended. */
const failedOnce: readonly { readonly seed: number; readonly steps: number; readonly what: string }[] = [
  { seed: 519, steps: 100, what: 'texts wait behind a full window whose messages expired on a link' },
]

describe('conversations against random schedules', () => {
  test('[Q18] [Q25] [Q80] 300 schedules: what is accepted arrives once and in order, or its sender is told why not', () => {
    const { stats, findings } = runBatch({ first: 1, count: 300, stride: 1, steps: defaultSteps })
    expect(findings).toEqual([])
    // A run in which nothing happens proves nothing.
    expect(stats.accepted).toBeGreaterThan(300)
    expect(stats.crashes).toBeGreaterThan(300)
    expect(stats.full).toBeGreaterThan(30)
    expect(stats.jumps).toBeGreaterThan(30)
    expect(stats.restores).toBeGreaterThan(10)
    expect(stats.wipes).toBeGreaterThan(30)
  })

  test('the same seed gives the same schedule', () => {
    expect(runOne(7, defaultSteps)).toEqual(runOne(7, defaultSteps))
  })

  test.each(failedOnce)('seed $seed: $what', ({ seed, steps }) => {
    expect(runOne(seed, steps)).not.toHaveProperty('rule')
  })
})

describe('planted faults are found', () => {
  const ruleByFault: Readonly<Record<PlantedFault, RegExp>> = {
    'release-before-commit': /accepted message is gone|not there|went back|notice/,
    'no-rollback': /not there|accepted message is gone|for ever|went back|constraint/,
    'no-dedupe': /shown twice/,
    'receipt-without-store': /not there/,
    'sent-is-delivered': /not there/,
    'held-is-delivered': /not there/,
    'never-unheld': /for ever|does not end|without a reason/,
    'forget-queue': /for ever|does not end/,
    'no-order': /shown after a later one/,
    'silent-drop': /has no state/,
    'unbounded-events': /events has \d+ rows/,
    'unbounded-digests': /seen_messages has \d+ rows/,
    noisy: /notice .* comes again/,
  }
  // Guess: each shows within some hundred schedules.
  const seedsMax = 400
  test.each(plantedFaults)('%s', (fault) => {
    const { findings } = runBatch(
      { first: 1, count: seedsMax, stride: 1, steps: defaultSteps, fault },
      (_, found) => !found,
    )
    expect(findings[0]?.rule).toMatch(ruleByFault[fault])
  })
})
