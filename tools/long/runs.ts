import { spawn } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectEnv, root } from '../run/part.ts'
import { readReport, reportToTotals } from '../run/totals.ts'

/** What one long run found: a row of docs/long-runs.md. */
export interface LongResult {
  readonly passed: boolean
  /** What was asked for, so that the run can be repeated. */
  readonly asked: string
  readonly outcome: string
}

export interface LongOptions {
  readonly cases: number
  readonly seed: number
  readonly seeds: number
  readonly schedules: number
  readonly cycles: number
}

/** The runs too long for every change, by the name of their npm script. */
export const longRuns: Readonly<Record<string, (options: LongOptions) => Promise<LongResult>>> = {
  fuzz,
  model,
  sim,
  soak,
  lab,
  bench,
  connect,
  delivery,
}

/** Lines of JSON that a program prints; what it says beside them is shown as it comes. */
async function jsonLines(args: readonly string[]): Promise<{ code: number | null; lines: Record<string, unknown>[] }> {
  const child = spawn('node', args, { cwd: root, env: projectEnv(), stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    process.stdout.write(chunk)
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  const lines = text.split('\n').filter((line) => line.startsWith('{'))
  return { code, lines: lines.map((line) => JSON.parse(line) as Record<string, unknown>) }
}

async function fuzz({ cases, seed }: LongOptions): Promise<LongResult> {
  const args = ['testkit/src/fuzz/main.ts', '--cases', `${cases}`, '--seed', `${seed}`, '--json']
  const { code, lines } = await jsonLines(args)
  const targets = lines.filter(({ type }) => type === 'target')
  const summary = lines.find(({ type }) => type === 'summary')
  const done = Number(summary?.['cases'] ?? 0)
  const failed = Number(summary?.['failed'] ?? targets.length)
  return {
    passed: code === 0 && summary !== undefined,
    asked: `\`--cases ${cases} --seed ${seed}\``,
    outcome: `${done.toLocaleString('en')} cases over ${targets.length} decoders, findings in ${failed}`,
  }
}

/** Test files that take their number of seeds from MIAOU_MODEL_RUNS. */
const models = [
  'packages/crypto/test/ratchet-model.test.ts',
  'packages/messaging/test/model.test.ts',
  'packages/network/test/network-simulation.test.ts',
]

async function model({ seeds }: LongOptions): Promise<LongResult> {
  const report = join(root, 'build', 'long-model.json')
  mkdirSync(join(root, 'build'), { recursive: true })
  rmSync(report, { force: true })
  // Guess: ten times what a seed of the slowest model takes on a busy machine.
  const timeoutMs = Math.max(30_000, seeds * 10_000)
  const flags = [`--testTimeout=${timeoutMs}`, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const child = spawn('vitest', ['run', ...models, ...flags], {
    cwd: root,
    env: projectEnv({ MIAOU_MODEL_RUNS: String(seeds) }),
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  const { passed, failed } = reportToTotals(readReport(report), code === 0)
  return {
    passed: code === 0,
    asked: `\`--seeds ${seeds}\``,
    outcome: `seeds 1 to ${seeds} of sessions, messaging and network; ${passed} tests passed, ${failed} failed`,
  }
}

/** The simulator's scenarios at full size: minutes each; the one of a million nodes takes 5 GB. */
const simulations: readonly (readonly string[])[] = [
  ['lookup', '--nodes', '100000', '--lookups', '10000', '--dead', '0.2'],
  ['lookup', '--nodes', '1000000', '--lookups', '2000', '--loss', '0'],
  ['join', '--nodes', '20000', '--lookups', '1000'],
  ['churn', '--nodes', '100000', '--lookups', '5000', '--minutes', '10', '--paths', '8'],
  ['colluding', '--nodes', '20000', '--lookups', '5000'],
  ['sybil', '--nodes', '10000', '--lookups', '400'],
  ['durability', '--nodes', '20000', '--lookups', '5000'],
  ['partition', '--nodes', '10000', '--lookups', '2000'],
  ['eclipse', '--nodes', '10000', '--lookups', '1000'],
  ['flood', '--nodes', '10000', '--lookups', '2000'],
  ['gossip', '--nodes', '1000', '--lookups', '100'],
]

async function sim({ seed }: LongOptions): Promise<LongResult> {
  const failed: string[] = []
  const rates: number[] = []
  for (const flags of simulations) {
    const { code, lines } = await jsonLines(['sim/src/main.ts', ...flags, '--seed', `${seed}`, '--json'])
    const { performance } = (lines.at(-1) ?? {}) as { performance?: { eventsPerCpuSecond: number } }
    if (performance !== undefined) rates.push(performance.eventsPerCpuSecond)
    if (code !== 0) failed.push(flags.slice(0, 3).join(' '))
  }
  return {
    passed: failed.length === 0,
    asked: `\`--seed ${seed}\``,
    outcome:
      `${simulations.length} scenarios, ${Math.min(...rates).toLocaleString('en')} to ${Math.max(...rates).toLocaleString('en')} events a CPU second` +
      (failed.length > 0 ? `; missed a goal: ${failed.join(', ')}` : ''),
  }
}

async function lab(): Promise<LongResult> {
  const { code, lines } = await jsonLines(['lab/src/main.ts', '--long', '--json'])
  const failed = lines.flatMap(({ name, passed }) => (passed === true ? [] : [String(name)]))
  return {
    // A machine that cannot make namespaces passes over, and that shows nothing.
    passed: code === 0 && lines.length > 0,
    asked: '`--long`',
    outcome: `${lines.length} tests of the NAT lab${failed.length > 0 ? `, failed: ${failed.join(', ')}` : ''}`,
  }
}

/**
 * Growth of resident memory that still counts as flat, KiB a process. Guess: a leak of libwebrtc's connections is
 * 700 KiB a cycle, and two collectors at rest differ by a few MiB.
 */
const growthMaxKib = 16 * 1024

async function soak({ cycles }: LongOptions): Promise<LongResult> {
  const { code, lines } = await jsonLines(['packages/host-node/test/webrtc-soak.ts', '--cycles', `${cycles}`])
  const { parentGrowthKib = Number.NaN, childrenGrowthKib = Number.NaN } = lines.at(-1) ?? {}
  const isFlat = Number(parentGrowthKib) <= growthMaxKib && Number(childrenGrowthKib) <= 2 * growthMaxKib
  return {
    passed: code === 0 && isFlat,
    asked: `\`--cycles ${cycles}\``,
    outcome: `memory grew by ${parentGrowthKib} KiB in the peer's process, ${childrenGrowthKib} KiB in both children`,
  }
}

async function bench(): Promise<LongResult> {
  const { code, lines } = await jsonLines(['bench/src/main.ts'])
  mkdirSync(join(root, 'build'), { recursive: true })
  writeFileSync(join(root, 'build', 'bench.jsonl'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  const withGoal = lines.filter(({ met }) => met !== undefined)
  const missed = withGoal.filter(({ met }) => met === false).map(({ name, value, unit }) => `${name} ${value} ${unit}`)
  return {
    // A goal missed on a busy machine is a figure, not a failure of the run.
    passed: code === 0,
    asked: 'all benches',
    outcome:
      `${lines.length} figures, ${withGoal.length - missed.length} of ${withGoal.length} goals met` +
      (missed.length > 0 ? `; missed: ${missed.join(', ')}` : ''),
  }
}

/** All 36 pairs of NATs beside the rivals, the recoveries, the relay: once, for the medians are over the pairs. */
async function connect(): Promise<LongResult> {
  const { code, lines } = await jsonLines(['bench/src/connect/main.ts', '--long', '--repeats', '1', '--json'])
  const rows = lines.filter(({ label }) => label !== undefined)
  const withGoal = rows.filter(({ isMet }) => isMet !== undefined)
  const missed = withGoal.filter(({ isMet }) => isMet === false).map(({ label }) => label)
  return {
    // A goal missed on a busy machine is a figure, not a failure of the run.
    passed: code === 0,
    asked: 'all 36 pairs, recovery, relay',
    outcome:
      `${rows.length} figures in \`build/bench-connect.json\`, ${withGoal.length - missed.length} of ${withGoal.length} goals met` +
      (missed.length > 0 ? `; missed: ${missed.join(', ')}` : ''),
  }
}

/** What is accepted arrives, whatever happens on the way: random schedules, other ones with another seed. */
async function delivery({ schedules, seed }: LongOptions): Promise<LongResult> {
  const flags = ['--schedules', `${schedules}`, '--seed', `${seed}`]
  const { code, lines } = await jsonLines(['sim/src/delivery/main.ts', ...flags, '--json'])
  const summary = lines.find(({ type }) => type === 'delivery')
  const found = lines.flatMap(({ type, rule }) => (type === 'finding' ? [String(rule).split('\n')[0]] : []))
  const rate = Number(summary?.['rate'] ?? 0).toFixed(1)
  return {
    passed: code === 0 && summary !== undefined,
    asked: `\`${flags.join(' ')}\``,
    outcome:
      `${Number(summary?.['schedules'] ?? 0).toLocaleString('en')} schedules, ${rate} a second, ${Number(summary?.['findings'] ?? 0)} findings` +
      (found.length > 0 ? `: ${found.join('; ')}` : ''),
  }
}
