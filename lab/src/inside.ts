/**
 * The process of one lab, alone in namespaces of its own (`node inside.ts [--long]`, started by `outside.ts`). Its parent
 * names tests over IPC, one at a time; it answers each with a result, and ends when it is told `end`.
 */
import { execFileSync } from 'node:child_process'
import { allTests } from './tests/all.ts'
import { type LabResult, ReportedError } from './tests/lab-test.ts'
import { Stage } from './tests/stage.ts'

// A `/run` of its own: the names of network namespaces, the homes and the sockets of the helpers stay in this lab.
execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run'])
const stage = new Stage({ isLong: process.argv.includes('--long') })

async function perform(name: string): Promise<LabResult> {
  const test = allTests.find((one) => one.name === name)
  if (test === undefined) throw new Error(`there is no test ${name}`)
  const started = performance.now()
  const result = { name, group: test.group }
  const seconds = () => (performance.now() - started) / 1000
  try {
    const figures = await test.run(stage)
    return { ...result, passed: true, figures, seconds: seconds() }
  } catch (error) {
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error)
    const report = error instanceof ReportedError ? error.report : await stage.lab?.report()
    return {
      ...result,
      passed: false,
      figures: {},
      seconds: seconds(),
      error: `${why}\n${report?.brief ?? ''}`,
      ...(report === undefined ? {} : { report: report.whole }),
    }
  }
}

process.on('message', async (name: string) => {
  if (name !== 'end') {
    process.send?.(await perform(name))
    return
  }
  await stage.end()
  process.exit(0)
})
process.on('disconnect', () => process.exit(1))
process.send?.('ready')
