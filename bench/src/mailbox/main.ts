/**
 * `npm run bench:mailbox`: what a mailbox takes, how soon it gives it back, and what waiting costs. Four programs, one after
 * the other, each by itself in `bench/src`: `deposits` (beside nats-server), `delivery`, `store`, `sealing`. Prints every
 * figure with its goal; leaves everything in build/bench-mailbox.json. Progress and faults go to standard error. Ends with 1
 * when a program failed, with 2 when it was called wrongly; a goal that is not met is a result, not a failure.
 *
 * `--only deposits,delivery,store,sealing`, `--short` (does everything still run?), `--without-nats`, `--json` (JSON lines),
 * `--docs` (writes the table into docs/performance.md).
 */
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import type { Figure } from '../figure.ts'
import { type Report, renderReport, runProgram, writeDocs, writeJson } from './report.ts'

const programs = {
  deposits: { file: 'mailbox/deposits.ts', short: ['--rounds', '1', '--count', '500', '--nats-count', '100'] },
  delivery: { file: 'mailbox/delivery.ts', short: ['--rounds', '1', '--messages', '20'] },
  store: { file: 'mailbox/store.ts', short: ['--messages', '2000', '--opens', '1', '--asks', '5'] },
  sealing: { file: 'sealing.ts', short: ['--messages', '20', '--rounds', '1'] },
} as const
type Program = keyof typeof programs
const names = ['deposits', 'delivery', 'store', 'sealing'] as const satisfies readonly Program[]

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', default: names.join(',') },
    short: { type: 'boolean', default: false },
    'without-nats': { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: false },
  },
})

function toProgram(name: string): Program {
  const found = names.find((each) => each === name)
  if (found !== undefined) return found
  process.stderr.write(`There is no part ${name}. The parts are: ${names.join(', ')}.\n`)
  process.exit(2)
}

const asked = flags.only.split(',').map(toProgram)
const loadBefore = loadavg()[0] ?? 0
const startedAt = performance.now()
const figures: Figure[] = []
const failed: string[] = []
for (const name of asked) {
  const { file, short } = programs[name]
  const without = name === 'deposits' && flags['without-nats'] ? ['--without-nats'] : []
  const args = [...(flags.short ? short : []), ...without]
  if (!(await runProgram(file, args, (figure) => figures.push(figure)))) failed.push(name)
}
const words = process.argv.slice(2).filter((word) => word !== '--docs' && word !== '--json')
const report: Report = {
  command: ['npm run bench:mailbox', ...(words.length === 0 ? [] : ['--', ...words])].join(' '),
  date: new Date().toISOString().slice(0, 10),
  loadBefore,
  loadAfter: loadavg()[0] ?? 0,
  minutes: (performance.now() - startedAt) / 60_000,
  isShort: flags.short,
  figures,
}
writeJson(report)
if (flags.docs) writeDocs(report)
if (flags.json) for (const figure of figures) process.stdout.write(`${JSON.stringify(figure)}\n`)
else process.stdout.write(`\n${renderReport(report)}\n`)
if (failed.length > 0) process.stderr.write(`Failed: ${failed.join(', ')}\n`)
process.exitCode = failed.length === 0 ? 0 : 1
