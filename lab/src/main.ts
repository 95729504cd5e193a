/**
 * `npm run test:lab`: real daemons behind every kind of router, in private network namespaces (docs/nat-lab.md). Prints a
 * line a test, the table of the matrix, and `N passed, N failed`; ends with 1 when one failed, with 2 when it was called
 * wrongly. On a machine that cannot make namespaces it says what is missing and passes over, in CI it fails.
 *
 * `--only matrix|scenario|self-test|WORDS[,…]`: a group, or tests whose name holds the words. `--long`: whole outages, and
 * the tests that are too long for every change. `--labs N` (2): labs side by side. `--json`: results as JSON lines.
 * `--docs`: writes the tables into docs/nat-lab.md. `--list`.
 */
import { parseArgs } from 'node:util'
import { whyNot } from './needs.ts'
import { runTests } from './schedule.ts'
import { renderResult, renderTables, writeDocs, writeReport } from './tables.ts'
import { allTests } from './tests/all.ts'
import { groups, type LabResult, type LabTest } from './tests/lab-test.ts'

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string' },
    labs: { type: 'string', default: '2' },
    long: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
})

function fail(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(2)
}

function choose(): readonly LabTest[] {
  const words = flags.only?.split(',')
  const chosen = allTests.filter(({ name, group, isLong = false }) => {
    if (words === undefined) return flags.long || !isLong
    return words.some((word) =>
      groups.some((known) => known === word) ? group === word && (flags.long || !isLong) : name.includes(word),
    )
  })
  return chosen.length > 0 ? chosen : fail(`No test fits ${flags.only}. --list shows all.`)
}

const labs = Number(flags.labs)
if (!(Number.isInteger(labs) && labs > 0)) fail(`--labs takes a whole number from 1 on, not ${flags.labs}.`)
const tests = choose()
if (flags.list) {
  for (const { name, group, shows } of tests) process.stdout.write(`${group.padEnd(9)}  ${name.padEnd(40)}  ${shows}\n`)
  process.exit(0)
}

const missing = whyNot()
if (missing !== undefined) {
  const isCi = process.env['CI'] === 'true'
  process.stdout.write(`lab: ${isCi ? 'cannot run' : 'skipped'}, this machine lacks ${missing}\n`)
  process.stdout.write(`\n0 passed, ${isCi ? 1 : 0} failed\n`)
  process.exit(isCi ? 1 : 0)
}

const started = performance.now()
const onResult = (result: LabResult): void => {
  const { report, ...rest } = result
  if (report !== undefined) writeReport(result.name, report)
  process.stdout.write(`${flags.json ? JSON.stringify(rest) : renderResult(result)}\n`)
}
const results = await runTests(tests, { labs, isLong: flags.long, onResult })
if (!flags.json) process.stdout.write(`\n${renderTables(results)}\n`)
if (flags.docs) writeDocs(results)
const failed = results.filter(({ passed }) => !passed)
const seconds = ((performance.now() - started) / 1000).toFixed(1)
process.stdout.write(`\n${results.length - failed.length} passed, ${failed.length} failed in ${seconds} s\n`)
process.exitCode = failed.length === 0 ? 0 : 1
