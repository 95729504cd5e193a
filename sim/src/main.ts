import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { getHeapStatistics } from 'node:v8'
import { parseOptions, type SimOptions } from './options.ts'
import { createProgress } from './report/progress.ts'
import { failuresOf, type ScenarioResult } from './report/result.ts'
import { resultToSvg } from './report/svg.ts'
import { resultToCsv, resultToText } from './report/text.ts'
import { scenarios } from './scenarios/index.ts'
import type { Scenario } from './scenarios/scenario.ts'
import { faults, isFault } from './world/faults.ts'
import { runCost } from './world/world.ts'

/** What one run cost this process: the only figures that differ between two runs of a seed. */
interface Performance {
  readonly cpuSeconds: number
  /** Events over the CPU time in which the clock ran, without the building of worlds. */
  readonly eventsPerCpuSecond: number
  /** Largest resident memory of the process so far, MB. */
  readonly rssMb: number
}

/** Bytes of JS heap for each node; measured, with room. */
const heapBytesPerNode = 7_000

const help = `npm run sim -- <scenario> [flags]      one of:
${scenarios.map(({ name, summary, flags }) => `  ${name.padEnd(11)} ${summary}${flags.length === 0 ? '' : `\n              (${flags.join(' ')})`}`).join('\n')}
  all         every scenario, each in its own size with --short; what CI runs

Flags:
  --nodes N      nodes of the network, 32 to 2,000,000        (10,000)
  --seed S       same seed, same trace, on every machine      (1)
  --lookups L    operations measured                          (2,000)
  --paths P      disjoint paths of a lookup, 1 to 8           (the engine's, or the scenario's list)
  --dead SHARE   nodes killed at once                         (the scenario's)
  --evil SHARE   adversaries                                  (the scenario's)
  --loss SHARE   datagrams lost                               (0.01)
  --minutes M    virtual minutes measured                     (the scenario's)
  --short        small sizes
  --plant FAULT  plants a fault that a checker must find: ${faults.join(', ')}
  --json         one JSON object a scenario instead of tables
  --out FOLDER   for CSV and SVG                              (build/sim)

Exit: 0 every goal and checker held, 1 something did not, 2 wrong usage.
`

process.exitCode = main(process.argv.slice(2))

function main(args: readonly string[]): number {
  const parsed = parseOptions(
    args,
    scenarios.map(({ name }) => name),
  )
  if (!parsed.ok) {
    process.stderr.write(`${parsed.error.message}\nnpm run sim -- --help says more.\n`)
    return 2
  }
  if (parsed.value === 'help') {
    process.stdout.write(help)
    return 0
  }
  const options = parsed.value
  if (options.plant !== undefined && !isFault(options.plant)) {
    process.stderr.write(`There is no fault “${options.plant}”. There are: ${faults.join(', ')}.\n`)
    return 2
  }
  const heapWanted = options.nodes * heapBytesPerNode
  if (heapWanted > getHeapStatistics().heap_size_limit) return runWithMoreHeap(heapWanted, args)
  const chosen = scenarios.filter(({ name }) => options.scenario === 'all' || options.scenario === name)
  const failures = chosen.flatMap((scenario) => runOne(scenario, sizesOf(scenario, options, args)))
  for (const failure of failures) process.stderr.write(`FAILED  ${failure}\n`)
  return failures.length === 0 ? 0 : 1
}

/** A scenario's own short sizes, but for what was said on the command line. */
function sizesOf(scenario: Scenario, options: SimOptions, args: readonly string[]): SimOptions {
  if (!options.short) return { ...options, scenario: scenario.name }
  const said = (flag: string) => args.some((arg) => arg === `--${flag}` || arg.startsWith(`--${flag}=`))
  const own = Object.entries(scenario.short).filter(([flag]) => !said(flag))
  return { ...options, ...Object.fromEntries(own), scenario: scenario.name }
}

function runOne(scenario: Scenario, options: SimOptions): string[] {
  const progress = createProgress((text) => {
    if (!options.short) process.stderr.write(text)
  })
  const before = process.cpuUsage()
  const ranBefore = runCost.microseconds
  const result = scenario.run({ options, progress })
  const used = process.cpuUsage(before)
  const cpuSeconds = (used.user + used.system) / 1e6
  const performance = {
    cpuSeconds,
    eventsPerCpuSecond: Math.round((1e6 * result.events) / Math.max(1, runCost.microseconds - ranBefore)),
    rssMb: Math.round(process.resourceUsage().maxRSS / 1024),
  }
  write(result, performance, options)
  return failuresOf(result)
}

function write(result: ScenarioResult, performance: Performance, { json, out }: SimOptions): void {
  if (json) {
    const cases = result.cases.map(({ name, figures }) => ({ name, figures }))
    process.stdout.write(`${JSON.stringify({ type: 'simulation', ...result, cases, performance })}\n`)
  } else {
    const { cpuSeconds, eventsPerCpuSecond, rssMb } = performance
    process.stdout.write(resultToText(result))
    process.stdout.write(
      `${cpuSeconds.toFixed(1)} s of CPU, ${eventsPerCpuSecond.toLocaleString('en')} events a CPU second of running, ${rssMb.toLocaleString('en')} MB at most\n\n`,
    )
  }
  const name = join(out, `${result.scenario}-${result.nodes}-${result.seed}`)
  mkdirSync(out, { recursive: true })
  writeFileSync(`${name}.csv`, resultToCsv(result))
  writeFileSync(`${name}.svg`, resultToSvg(result))
}

/** Node fixes the size of its heap at the start: the same command again, in a process with more. */
function runWithMoreHeap(bytes: number, args: readonly string[]): number {
  const flag = `--max-old-space-size=${Math.ceil(bytes / 2 ** 20) + 1024}`
  if (process.execArgv.some((arg) => arg.startsWith('--max-old-space-size'))) {
    process.stderr.write(
      `This takes about ${Math.ceil(bytes / 2 ** 30)} GiB of heap: run it with ${flag}, or fewer nodes.\n`,
    )
    return 1
  }
  const { status, error } = spawnSync(process.execPath, [flag, ...process.execArgv, import.meta.filename, ...args], {
    stdio: 'inherit',
  })
  if (error !== undefined) process.stderr.write(`${error.message}\n`)
  return status ?? 1
}
