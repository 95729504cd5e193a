import { createLibsodiumCrypto } from '@miaou/crypto'
import { describe, expect, test } from 'vitest'
import type { Fault } from './ratchet-model.device.ts'
import { type RunStats, Simulator, Violation } from './ratchet-model.simulator.ts'

// MIAOU_MODEL_SEED=n runs that seed alone (a violation names its seed); MIAOU_MODEL_RUNS=n runs seeds 1 to n.
const { MIAOU_MODEL_SEED, MIAOU_MODEL_RUNS } = process.env
const seeds = MIAOU_MODEL_SEED
  ? [Number(MIAOU_MODEL_SEED)]
  : Array.from({ length: Number(MIAOU_MODEL_RUNS ?? 60) }, (_, i) => i + 1)
const crypto = await createLibsodiumCrypto()

describe('sessions under a hostile network and crashes', () => {
  test('every text arrives once, no key is used twice, both sides settle on one session', () => {
    const total: RunStats = { texts: 0, crashes: 0, refused: 0, sessions: 0, lateKeys: 0 }
    for (const seed of seeds) {
      const stats = new Simulator(crypto, seed).run()
      for (const name of Object.keys(total) as (keyof RunStats)[]) total[name] += stats[name]
    }
    // A run without crashes, refusals, rival sessions and messages out of order would prove nothing.
    expect(total.texts).toBeGreaterThan(20 * seeds.length)
    expect(total.crashes).toBeGreaterThan(seeds.length)
    expect(total.refused).toBeGreaterThan(seeds.length)
    expect(total.sessions).toBeGreaterThan(2 * seeds.length)
    expect(total.lateKeys).toBeGreaterThan(seeds.length)
  })

  test('the same seed gives the same run', () => {
    expect(new Simulator(crypto, 5).run()).toEqual(new Simulator(crypto, 5).run())
  })
})

describe('planted faults are caught', () => {
  const rulesByFault: Record<Fault, RegExp> = {
    'send-before-persist': /one message key went out with two messages|still leads to the key of a message sent/,
    'plaintext-and-keys-in-two-transactions': /a genuine packet was refused \(.*duplicate/,
    'advance-on-failure': /a genuine packet was refused/,
    'no-session-dedupe': /a packet was accepted twice|a genuine packet was refused/,
    'no-message-dedupe': /a text was shown twice/,
    'keep-used-keys': /the key of an accepted message is still kept/,
    'nonce-from-state': /a \(key, nonce\) pair was used twice/,
    'prefer-own-session': /the two sides do not send in one session/,
  }
  for (const [fault, rule] of Object.entries(rulesByFault) as [Fault, RegExp][]) {
    test(fault, () => {
      expect(() => {
        // Guess: every fault below shows within a handful of seeds.
        for (let seed = 1; seed <= 40; seed++) new Simulator(crypto, seed, fault).run()
      }).toThrow(rule)
    })
  }

  test('a violation names the seed that shows it again', () => {
    try {
      for (let seed = 1; seed <= 40; seed++) new Simulator(crypto, seed, 'no-message-dedupe').run()
      expect.unreachable('the planted fault was not caught')
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      const seed = Number(/MIAOU_MODEL_SEED=(\d+)/.exec(error.message)?.[1])
      expect(() => new Simulator(crypto, seed, 'no-message-dedupe').run()).toThrow(error.message)
    }
  })
})
