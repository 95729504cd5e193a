import { createLibsodiumCrypto } from '@miaou/crypto'
import { describe, expect, test } from 'vitest'
import { countAllocations } from '../src/fuzz/allocation.ts'
import { cryptoTargets } from '../src/fuzz/crypto-targets.ts'
import { datagramTargets } from '../src/fuzz/datagram-targets.ts'
import { fuzzTarget } from '../src/fuzz/engine.ts'
import { mailboxServiceTarget } from '../src/fuzz/mailbox-service-target.ts'
import { mailboxesTarget } from '../src/fuzz/mailboxes-target.ts'
import { overlayNodeTarget } from '../src/fuzz/overlay-node-target.ts'
import { plantedTargets } from '../src/fuzz/planted.ts'
import { protocolTargets } from '../src/fuzz/protocol-targets.ts'
import { circuitsTarget, relayServiceTarget } from '../src/fuzz/relay-engine-targets.ts'

const crypto = await createLibsodiumCrypto()
const targets = [
  ...protocolTargets(crypto),
  ...cryptoTargets(crypto),
  ...datagramTargets(crypto),
  overlayNodeTarget(crypto),
  relayServiceTarget(crypto),
  circuitsTarget(crypto),
  mailboxServiceTarget(crypto),
  mailboxesTarget(crypto),
]
const planted = plantedTargets(crypto)
const allocations = countAllocations()

describe('fuzzing, a short run', () => {
  test.each(targets.map((target) => [target.name, target] as const))('%s keeps its promises', (_, target) => {
    const report = fuzzTarget(target, { cases: Math.ceil(2000 * target.weight), seed: 1, allocations })
    expect(report.findings).toEqual([])
    expect(report.accepted).toBeGreaterThan(0)
  })

  test.each(planted.map((target) => [target.name, target] as const))('%s is found', (_, target) => {
    const report = fuzzTarget(target, { cases: 20_000, seed: 1, allocations, stopAtFinding: true })
    expect(report.findings).toHaveLength(1)
  })

  test('the same seed gives the same report', () => {
    const target = targets.find(({ name }) => name === 'content')
    if (target === undefined) throw new Error('no target called content')
    const run = () => fuzzTarget(target, { cases: 3000, seed: 7, allocations })
    expect(run()).toEqual(run())
  })
})
