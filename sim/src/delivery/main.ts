import { fork } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type PlantedFault, plantedFaults } from './planted.ts'
import { addStats, defaultSteps, emptyStats, type Finding, runOne } from './run.ts'
import type { WorkerMessage } from './worker.ts'

const help = `npm run sim:delivery -- [flags]
  Whole conversations over links and mailboxes against random schedules: what is accepted arrives once and in order, or
  its sender is told why not.

  --schedules N  how many                                     (1,000)
  --seed S       seed of the first; the others follow         (1)
  --steps K      things that happen in each, before the calm  (${defaultSteps})
  --only SEED    that schedule alone
  --jobs J       processes                                    (2)
  --plant FAULT  plants a fault that a checker must find: ${plantedFaults.join(', ')}
  --json         one JSON object at the end, one for each finding

Exit: 0 every rule held, 1 one did not, 2 wrong usage.
`

/** Findings shown; the rest is counted. */
const findingsShown = 20
const progressMs = 10_000

process.exitCode = await main()

async function main(): Promise<number> {
  let values: ReturnType<typeof parse>
  try {
    values = parse()
  } catch (thrown) {
    process.stderr.write(`${thrown instanceof Error ? thrown.message : String(thrown)}\n${help}`)
    return 2
  }
  if (values.help) {
    process.stdout.write(help)
    return 0
  }
  const [schedules, seed, steps, jobs] = [values.schedules, values.seed, values.steps, values.jobs].map(Number)
  const only = values.only === undefined ? undefined : Number(values.only)
  const numbers = [schedules, seed, steps, jobs, only ?? 0]
  const isRight = numbers.every((number) => Number.isSafeInteger(number) && Number(number) >= 0) && Number(jobs) > 0
  const fault = plantedFaults.find((each) => each === values.plant)
  if (!isRight || (values.plant !== undefined && fault === undefined)) {
    process.stderr.write(help)
    return 2
  }
  const asked = { schedules: schedules ?? 0, seed: seed ?? 1, steps: steps ?? defaultSteps, jobs: jobs ?? 1, fault }
  return only === undefined ? runAll(asked, values.json) : runAlone(only, asked.steps, fault)
}

function parse() {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean', default: false } as const
  return parseArgs({
    options: {
      schedules: { ...text, default: '1000' },
      seed: { ...text, default: '1' },
      steps: { ...text, default: String(defaultSteps) },
      jobs: { ...text, default: '2' },
      only: text,
      plant: text,
      json: flag,
      help: { ...flag, short: 'h' },
    },
  }).values
}

function runAlone(seed: number, steps: number, fault: PlantedFault | undefined): number {
  const result = runOne(seed, steps, fault)
  process.stdout.write(`${JSON.stringify({ seed, steps, ...result })}\n`)
  return 'rule' in result ? 1 : 0
}

interface Asked {
  readonly schedules: number
  readonly seed: number
  readonly steps: number
  readonly jobs: number
  readonly fault: PlantedFault | undefined
}

async function runAll({ schedules, seed, steps, jobs, fault }: Asked, isJson: boolean): Promise<number> {
  const startedAt = performance.now()
  const stats = emptyStats()
  const findings: Finding[] = []
  let done = 0
  let broken = 0
  const show = (finding: Finding): void => {
    findings.push(finding)
    if (findings.length > findingsShown) return
    const text = isJson ? `${JSON.stringify({ type: 'finding', steps, ...finding })}\n` : `FOUND  ${finding.rule}\n`
    ;(isJson ? process.stdout : process.stderr).write(text)
  }
  const progress = setInterval(() => {
    const rate = done / ((performance.now() - startedAt) / 1000)
    process.stderr.write(`${done} of ${schedules}, ${rate.toFixed(1)} a second, ${findings.length} findings\n`)
  }, progressMs)
  const count = Math.min(jobs, Math.max(1, schedules))
  const workers = Array.from({ length: count }, (_, index) => {
    const share = Math.ceil((schedules - index) / count)
    const child = fork(join(import.meta.dirname, 'worker.ts'))
    child.on('message', (message: WorkerMessage) => {
      if (message.type === 'done') done += message.schedules
      else if (message.type === 'found') show(message.finding)
      else addStats(stats, message.result.stats)
    })
    child.send({ first: seed + index, count: share, stride: count, steps, fault })
    return new Promise<void>((resolve) => {
      child.once('exit', (code) => {
        if (code !== 0) broken += 1
        resolve()
      })
    })
  })
  await Promise.all(workers)
  clearInterval(progress)
  const seconds = (performance.now() - startedAt) / 1000
  const passed = findings.length === 0 && broken === 0 && done === schedules
  const summary = { type: 'delivery', schedules: done, seed, steps, passed, findings: findings.length, broken }
  const rate = done / seconds
  if (isJson) process.stdout.write(`${JSON.stringify({ ...summary, seconds, rate, stats })}\n`)
  else {
    const sums = Object.entries(stats).map(([name, sum]) => `${name} ${Math.round(sum).toLocaleString('en')}`)
    process.stdout.write(`${sums.join(', ')}\n`)
    process.stdout.write(
      `${done.toLocaleString('en')} schedules, ${rate.toFixed(1)} a second, ${findings.length} findings${broken > 0 ? `, ${broken} processes broke` : ''}\n`,
    )
  }
  return passed ? 0 : 1
}
