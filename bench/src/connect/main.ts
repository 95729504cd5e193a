/**
 * `npm run bench:connect`: how two people behind routers get to each other, and what a relay costs. Three parts, one after
 * the other: `pairs` (real daemons beside js-libp2p and hyperdht, in turns through pairs of NATs in one network of
 * namespaces), `recovery` (scenarios of the NAT lab), `relay` (bench/src/relay, beside coturn). Prints the goals, then the
 * pairs; leaves everything in build/bench-connect.json. Progress and faults go to standard error. Ends with 1 when
 * something of ours failed, with 2 when it was called wrongly; a goal that is not met is a result, not a failure.
 *
 * `--only pairs,recovery,relay`, `--pairs port-sym,…`, `--long` (all 36 pairs), `--repeats N` (3), `--short` (does everything
 * still run?), `--without-rivals`, `--json` (JSON lines), `--docs` (writes the tables into docs/performance.md).
 */
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { whyNot } from '../../../lab/src/needs.ts'
import type { LabResult } from '../../../lab/src/tests/lab-test.ts'
import type { Figure } from '../figure.ts'
import { ownName } from '../overlay/measurement.ts'
import { contenderKinds } from './contender.ts'
import { installRivals } from './install-rivals.ts'
import { allPairs, type Pair, type PairResult, parsePair, shortPairs } from './pair.ts'
import { runPairs } from './pairs.ts'
import { runRecovery } from './recovery.ts'
import { runRelay } from './relay.ts'
import { describeCommit, machine, type Report, renderReport, rowsOf, writeDocs, writeJson } from './report.ts'

const parts = ['pairs', 'recovery', 'relay'] as const
type Part = (typeof parts)[number]

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', default: parts.join(',') },
    pairs: { type: 'string' },
    long: { type: 'boolean', default: false },
    short: { type: 'boolean', default: false },
    repeats: { type: 'string' },
    'without-rivals': { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: false },
  },
})

function fail(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(2)
}

function toPart(name: string): Part {
  return parts.find((part) => part === name) ?? fail(`There is no part ${name}. The parts are: ${parts.join(', ')}.`)
}

function choosePairs(): readonly Pair[] {
  if (flags.pairs !== undefined) {
    return flags.pairs.split(',').map((name) => parsePair(name) ?? fail(`There is no pair ${name}.`))
  }
  if (flags.long) return allPairs
  // One where there is a direct way at once, one where a hole is punched.
  return flags.short ? shortPairs.filter(({ a, b }) => a === b && (a === 'none' || a === 'port')) : shortPairs
}

const asked = flags.only.split(',').map(toPart)
const pairs = choosePairs()
const repeats = Number(flags.repeats ?? (flags.short ? '1' : '3'))
if (!Number.isInteger(repeats) || repeats < 1) fail(`--repeats takes a whole number from 1 on, not ${flags.repeats}.`)

const startedAt = performance.now()
const loadBefore = loadavg()[0] ?? 0
const results: { pairs: PairResult[]; recovery: LabResult[]; relay: Figure[] } = { pairs: [], recovery: [], relay: [] }
const failed: string[] = []
const missing = asked.some((part) => part !== 'relay') ? whyNot() : undefined
if (missing !== undefined) process.stderr.write(`pairs and recovery: skipped, this machine lacks ${missing}\n`)

if (asked.includes('pairs') && missing === undefined) {
  const withRivals = !flags['without-rivals'] && installRivals()
  const contenders = contenderKinds.filter((kind) => withRivals || kind === 'miaou')
  await runPairs({ pairs, contenders, repeats, onResult: (result) => results.pairs.push(result) })
  if (results.pairs.some(({ peer, outcome }) => peer === ownName && outcome === 'no connection')) failed.push('pairs')
}
if (asked.includes('recovery') && missing === undefined) {
  await runRecovery({ repeats, isShort: flags.short, onResult: (result) => results.recovery.push(result) })
  if (results.recovery.some(({ passed }) => !passed)) failed.push('recovery')
}
if (asked.includes('relay')) {
  if (!(await runRelay(flags.short, (figure) => results.relay.push(figure)))) failed.push('relay')
}

const report: Report = {
  commit: describeCommit(),
  command: ['npm run bench:connect', ...commandWords()].join(' '),
  date: new Date().toISOString().slice(0, 10),
  machine,
  loadBefore,
  loadAfter: loadavg()[0] ?? 0,
  minutes: (performance.now() - startedAt) / 60_000,
  repeats,
  isShort: flags.short,
  ...results,
}
writeJson(report)
if (flags.docs) writeDocs(report)
if (flags.json) {
  const { pairs: turns, recovery, relay, ...about } = report
  for (const line of [...rowsOf(report), ...turns, ...recovery, about])
    process.stdout.write(`${JSON.stringify(line)}\n`)
} else process.stdout.write(`\n${renderReport(report)}\n`)
if (failed.length > 0) process.stderr.write(`Failed: ${failed.join(', ')}\n`)
process.exitCode = failed.length === 0 ? 0 : 1

/** What it was asked, without how it was to tell it. */
function commandWords(): readonly string[] {
  const words = process.argv.slice(2).filter((word) => word !== '--docs' && word !== '--json')
  return words.length === 0 ? [] : ['--', ...words]
}
