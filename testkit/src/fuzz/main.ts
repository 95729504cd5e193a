import { parseArgs } from 'node:util'
import { createLibsodiumCrypto } from '@miaou/crypto'
import { countAllocations } from './allocation.ts'
import { cryptoTargets } from './crypto-targets.ts'
import { datagramTargets } from './datagram-targets.ts'
import { type FuzzReport, fuzzTarget } from './engine.ts'
import { gossipTargets } from './gossip-targets.ts'
import { mailboxServiceTarget } from './mailbox-service-target.ts'
import { mailboxesTarget } from './mailboxes-target.ts'
import { overlayNodeTarget } from './overlay-node-target.ts'
import { plantedTargets } from './planted.ts'
import { protocolTargets } from './protocol-targets.ts'
import { recordTargets } from './record-targets.ts'
import { circuitsTarget, relayServiceTarget } from './relay-engine-targets.ts'
import type { FuzzTarget } from './target.ts'

const usage = `node testkit/src/fuzz/main.ts [--cases N] [--seed S] [--target NAME] [--json] [--planted] [--list]
  --cases    inputs over all targets, shared by weight (default 1,000,000)
  --seed     the same seed gives the same inputs (default 1)
  --target   only targets whose name contains NAME
  --planted  decoders with planted faults: fails when one is not found
Exit: 0 nothing found (or every planted fault found), 1 a finding, 2 wrong usage.`

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    target: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
    planted: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

process.exitCode = await main()

async function main(): Promise<number> {
  const cases = Number(values.cases)
  const seed = Number(values.seed)
  if (values.help || !Number.isSafeInteger(cases) || !Number.isSafeInteger(seed) || cases < 1) {
    process.stderr.write(`${usage}\n`)
    return values.help ? 0 : 2
  }
  const crypto = await createLibsodiumCrypto()
  const all = values.planted
    ? plantedTargets(crypto)
    : [
        ...protocolTargets(crypto),
        ...cryptoTargets(crypto),
        ...datagramTargets(crypto),
        overlayNodeTarget(crypto),
        relayServiceTarget(crypto),
        circuitsTarget(crypto),
        mailboxServiceTarget(crypto),
        mailboxesTarget(crypto),
        ...gossipTargets(crypto),
        ...recordTargets(crypto),
      ]
  const targets = all.filter(({ name }) => name.includes(values.target))
  if (targets.length === 0) {
    process.stderr.write(`no target is called ${values.target}\n`)
    return 2
  }
  if (values.list) {
    process.stdout.write(`${targets.map(({ name }) => name).join('\n')}\n`)
    return 0
  }
  return run(targets, cases, seed)
}

function run(targets: readonly FuzzTarget[], cases: number, seed: number): number {
  const allocations = countAllocations()
  const weights = targets.reduce((sum, { weight }) => sum + weight, 0)
  const startedAt = performance.now()
  let done = 0
  let failed = 0
  for (const target of targets) {
    const share = Math.ceil((cases * target.weight) / weights)
    const targetStartedAt = performance.now()
    const report = fuzzTarget(target, { cases: share, seed, allocations, stopAtFinding: values.planted })
    const seconds = (performance.now() - targetStartedAt) / 1000
    done += report.cases
    const isFound = report.findings.length > 0
    if (isFound !== values.planted) failed += 1
    print(report, seconds)
  }
  const seconds = (performance.now() - startedAt) / 1000
  const summary = { cases: done, seed, seconds: round(seconds), casesPerSecond: Math.round(done / seconds), failed }
  process.stdout.write(
    values.json
      ? `${JSON.stringify({ type: 'summary', ...summary })}\n`
      : `${done} cases in ${summary.seconds} s (${summary.casesPerSecond}/s), seed ${seed}: ${describe(failed)}\n`,
  )
  return failed > 0 ? 1 : 0
}

function describe(failed: number): string {
  if (values.planted) return failed > 0 ? `${failed} planted faults NOT found` : 'every planted fault found'
  return failed > 0 ? `findings in ${failed} targets` : 'nothing found'
}

function print(report: FuzzReport, seconds: number): void {
  const casesPerSecond = Math.round(report.cases / seconds)
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ type: 'target', ...report, seconds: round(seconds), casesPerSecond })}\n`)
    return
  }
  const refused = Object.entries(report.refused).map(([type, count]) => `${type} ${count}`)
  process.stdout.write(
    `${report.target}: ${report.cases} cases, ${casesPerSecond}/s, accepted ${report.accepted}, ` +
      `refused ${refused.join(', ') || 'none'}, corpus ${report.corpus}\n`,
  )
  for (const { promise, detail, case: number, input } of report.findings) {
    process.stdout.write(`  ${promise} (case ${number}): ${detail}\n    ${input.slice(0, 2048)}\n`)
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
