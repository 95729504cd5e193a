import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { copyProject } from './mutants/copy.ts'
import { type Mutant, mutantRows, mutants } from './mutants/mutants.ts'
import { runTests, type TestOutcome } from './mutants/run-tests.ts'

const usage = `node tools/mutants.ts [--json] [--row A,B,…]
  Makes planted faults (row E28, and those of messages that mailboxes hold) in a copy of the project, one at a time, and runs the tests that must notice each.
  --json   one object a line
  --row    only these rows
Exit: 0 every fault was noticed, 1 one survived or could not be made, 2 wrong usage.`

/** `passed`: the tests without a fault. `error`: they fail then too, its source is not there exactly once, or the tests do not run. */
interface Verdict {
  readonly row: string
  readonly fault: string
  readonly outcome: 'passed' | 'killed' | 'survived' | 'error'
  /** The test that noticed, or what went wrong. */
  readonly detail: string
  readonly seconds: number
}

function parseRows(): readonly Mutant[] | undefined {
  try {
    const { values } = parseArgs({ options: { json: { type: 'boolean' }, row: { type: 'string' } } })
    const rows = values.row?.split(',')
    if (rows?.some((row) => !(row in mutantRows)) === true) return undefined
    return mutants.filter(({ row }) => rows?.includes(row) ?? true)
  } catch {
    return undefined
  }
}

async function tryMutant(copy: string, mutant: Mutant): Promise<Omit<Verdict, 'seconds'>> {
  const verdict = { row: mutant.row, fault: `${mutantRows[mutant.row]}: ${mutant.name}` }
  const path = join(copy, mutant.file)
  const source = await readFile(path, 'utf8')
  const count = source.split(mutant.find).length - 1
  if (count !== 1) return { ...verdict, outcome: 'error', detail: `its source occurs ${count} times in ${mutant.file}` }
  // A function: `$` in a replacement text would mean something.
  await writeFile(
    path,
    source.replace(mutant.find, () => mutant.replacement),
  )
  try {
    return { ...verdict, ...toOutcome(await runTests(copy, mutant.killers, true)) }
  } finally {
    await writeFile(path, source)
  }
}

function toOutcome(outcome: TestOutcome): Pick<Verdict, 'outcome' | 'detail'> {
  switch (outcome.type) {
    case 'failed':
      return { outcome: 'killed', detail: outcome.tests[0] ?? '' }
    case 'passed':
      return { outcome: 'survived', detail: `${outcome.tests} tests passed` }
    case 'broken':
      return { outcome: 'error', detail: outcome.reason }
  }
}

/** Without a fault every test that is to notice one must pass, or its failure would prove nothing. */
async function runUnchanged(copy: string, chosen: readonly Mutant[]): Promise<Omit<Verdict, 'seconds'>> {
  const paths = [...new Set(chosen.flatMap(({ killers }) => killers))]
  const outcome = await runTests(copy, paths, false)
  const verdict = { row: '—', fault: 'none' }
  if (outcome.type === 'passed') return { ...verdict, outcome: 'passed', detail: `${outcome.tests} tests` }
  const detail = outcome.type === 'failed' ? `fails without a fault: ${outcome.tests.join('; ')}` : outcome.reason
  return { ...verdict, outcome: 'error', detail }
}

async function main(chosen: readonly Mutant[], isJson: boolean): Promise<number> {
  const copy = await copyProject()
  const verdicts: Verdict[] = []
  const note = async (run: () => Promise<Omit<Verdict, 'seconds'>>): Promise<Verdict> => {
    const startedAt = performance.now()
    const verdict = { ...(await run()), seconds: Math.round((performance.now() - startedAt) / 100) / 10 }
    verdicts.push(verdict)
    const { row, fault, outcome, detail, seconds } = verdict
    const line = `| ${row} | ${fault} | ${outcome} | ${detail} | ${seconds} |`
    process.stdout.write(`${isJson ? JSON.stringify(verdict) : line}\n`)
    return verdict
  }
  try {
    if (!isJson) process.stdout.write('| row | fault | outcome | by | s |\n|---|---|---|---|---|\n')
    const unchanged = await note(() => runUnchanged(copy, chosen))
    if (unchanged.outcome !== 'error') for (const mutant of chosen) await note(() => tryMutant(copy, mutant))
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
  const faults = verdicts.slice(1)
  const count = (outcome: Verdict['outcome']): number => faults.filter((each) => each.outcome === outcome).length
  const totals = { faults: chosen.length, killed: count('killed'), survived: count('survived') }
  const errors = chosen.length - totals.killed - totals.survived
  const text = `mutants: ${totals.faults} faults, ${totals.killed} killed, ${totals.survived} survived, ${errors} not tried`
  process.stdout.write(`${isJson ? JSON.stringify({ ...totals, errors }) : text}\n`)
  return totals.killed === chosen.length ? 0 : 1
}

const chosen = parseRows()
if (chosen === undefined) {
  process.stderr.write(`${usage}\n`)
  process.exitCode = 2
} else process.exitCode = await main(chosen, process.argv.includes('--json'))
