import { spawnSync } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { longRuns } from './long/runs.ts'
import { root } from './run/part.ts'

const usage = `node tools/long.ts fuzz|model|sim|soak|lab|bench|connect|delivery [--cases N] [--seed S] [--seeds N] [--schedules N] [--cycles N] [--no-record]
  Runs what is too long for every change and appends its outcome to docs/long-runs.md.
  --cases   fuzz: inputs over all decoders (default 10,000,000)
  --seed    fuzz, sim, delivery: the same seed gives the same inputs (default: another one each time)
  --seeds   model: seeds 1 to N of each simulation (default 1,000)
  --schedules  delivery: how many (default 100,000)
  --cycles  soak: WebRTC pipes opened and closed (default 500)
Exit: 0 passed, 1 failed, 2 wrong usage.`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    cases: { type: 'string', default: '10000000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    seeds: { type: 'string', default: '1000' },
    schedules: { type: 'string', default: '100000' },
    cycles: { type: 'string', default: '500' },
    'no-record': { type: 'boolean', default: false },
  },
})

const [name = ''] = positionals
const run = longRuns[name]
const numbers = {
  cases: Number(values.cases),
  seed: Number(values.seed),
  seeds: Number(values.seeds),
  schedules: Number(values.schedules),
  cycles: Number(values.cycles),
}
if (run === undefined || positionals.length > 1 || !Object.values(numbers).every((n) => Number.isSafeInteger(n))) {
  process.stderr.write(`${usage}\n`)
  process.exit(2)
}

const commit = describeCommit()
const startedAt = performance.now()
const [loadBefore = 0] = loadavg()
const { passed, asked, outcome } = await run(numbers)
const minutes = ((performance.now() - startedAt) / 60_000).toFixed(1)
const [loadAfter = 0] = loadavg()
const row = [
  new Date().toISOString().slice(0, 10),
  name,
  `\`${commit}\``,
  asked,
  minutes,
  `${loadBefore.toFixed(1)} → ${loadAfter.toFixed(1)}`,
  passed ? 'passed' : '**failed**',
  outcome,
]
const line = `| ${row.join(' | ')} |\n`
process.stdout.write(`\n${line}`)
if (!values['no-record']) appendFileSync(join(root, 'docs/long-runs.md'), line)
process.exitCode = passed ? 0 : 1

/** The commit that ran; a `+` says that there were changes beside it. */
function describeCommit(): string {
  const git = (...args: string[]) => spawnSync('git', args, { cwd: root, encoding: 'utf8' }).stdout.trim()
  const isClean = git('status', '--porcelain', '--untracked-files=no', '--', '.', ':!docs/long-runs.md') === ''
  return `${git('rev-parse', '--short', 'HEAD')}${isClean ? '' : '+'}`
}
