/**
 * `npm run bench:overlay`: our overlay beside hyperdht, bittorrent-dht and js-libp2p (kad-dht, gossipsub), each bench in a
 * process of its own, one after the other, contenders in turns. Prints the goals table with our figure, the best rival's
 * of the same run, how many times better we are and whether the goal is met; then all figures. Progress and faults go to
 * standard error. Ends with 1 when one of our own benches failed, with 2 when it was called wrongly; a goal that is not
 * met is a result, not a failure.
 *
 * `--json`: the same as JSON lines. `--short`: tiny counts, to see that everything still runs. `--without-rivals`.
 * `--nodes N` (256), `--seed N` (7), `--repeats N` (3; medians and spread are taken over them), `--only dht,gossip,…`.
 */
import { cpus, loadavg, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { judge, type Section, sections } from './goals.ts'
import { installRivals } from './install-rivals.ts'
import { type Measurement, type Summary, summarise } from './measurement.ts'
import { type Job, planRound } from './plan.ts'
import { runJob } from './run-job.ts'
import { renderFigures, renderGoals, renderNotes } from './table.ts'

const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    short: { type: 'boolean', default: false },
    'without-rivals': { type: 'boolean', default: false },
    nodes: { type: 'string' },
    seed: { type: 'string', default: '7' },
    repeats: { type: 'string' },
    only: { type: 'string', default: sections.join(',') },
  },
})

function fail(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(2)
}

/** A whole number of at least `least`. */
function toCount(name: string, text: string, least: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < least) fail(`--${name} takes a whole number from ${least} on, not ${text}.`)
  return value
}

function isSection(name: string): name is Section {
  return sections.some((section) => section === name)
}

const asked = flags.only.split(',').map((name) => {
  return isSection(name) ? name : fail(`There is no section ${name}. The sections are: ${sections.join(', ')}.`)
})
/** Fewer and not every put finds 20 nodes: other operations than those of the goals. */
const nodes = toCount('nodes', flags.nodes ?? (flags.short ? '24' : '256'), 8)
const seed = toCount('seed', flags.seed, 0)
const repeats = toCount('repeats', flags.repeats ?? (flags.short ? '1' : '3'), 1)
const withRivals = !flags['without-rivals'] && installRivals()

const machine = {
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.version,
}
const loadBefore = loadavg()[0] ?? 0
const measured = new Map<Section, Measurement[]>(asked.map((section) => [section, []]))
const failed: Job[] = []
const jobs = planRound({ nodes, seed, isShort: flags.short, sections: asked, withRivals })
for (let round = 0; round < repeats; round++) {
  for (const job of jobs) {
    if (round > 0 && job.isOnce) continue
    const startedAt = performance.now()
    process.stderr.write(`${repeats > 1 ? `${round + 1}/${repeats} ` : ''}${job.label} …`)
    const result = await runJob(job)
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    process.stderr.write(` ${seconds} s${result.fault === undefined ? '' : ` FAILED: ${result.fault}`}\n`)
    measured.get(job.section)?.push(...result.measurements)
    if (result.fault !== undefined) failed.push(job)
  }
}

const summariesBySection: readonly (readonly Summary[])[] = [...measured.values()].map(summarise)
const summaries = summariesBySection.flat()
const outcomes = judge(summaries, asked)
const loadAfter = loadavg()[0] ?? 0
if (flags.json) {
  for (const { goal, own, rival, ratio, isMet } of outcomes) {
    const line = { goal: goal.label, metric: goal.metric, unit: goal.unit, ...goal.goal, own, rival, ratio, isMet }
    process.stdout.write(`${JSON.stringify(line)}\n`)
  }
  for (const summary of summaries) process.stdout.write(`${JSON.stringify(summary)}\n`)
  process.stdout.write(`${JSON.stringify({ machine, loadBefore, loadAfter, seed, repeats, isShort: flags.short })}\n`)
} else {
  const { cpu, cores, memoryGiB, node } = machine
  const notes = renderNotes(summaries)
  const about = [
    `${cpu}, ${cores} cores, ${memoryGiB} GiB, Node ${node}; load of the last minute ${loadBefore.toFixed(1)} before,`,
    `${loadAfter.toFixed(1)} after (the bench itself is about 1). Seed ${seed}; medians of ${repeats}, least–most in brackets.`,
    ...(flags.short ? ['A short run: it says that everything runs, and nothing about speed.'] : []),
    'The simulator has goals of its own: npm run sim.',
  ]
  process.stdout.write(`\n${renderGoals(outcomes)}\n\n${about.join('\n')}\n`)
  for (const group of summariesBySection) process.stdout.write(`\n${renderFigures(group)}\n`)
  if (notes !== '') process.stdout.write(`\n${notes}\n`)
}
if (failed.length > 0) process.stderr.write(`Failed: ${failed.map(({ label }) => label).join('; ')}\n`)
process.exitCode = failed.some(({ isRival }) => !isRival) ? 1 : 0
