import { spawn } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { projectEnv, root } from '../run/part.ts'

export type TestOutcome =
  | { readonly type: 'passed'; readonly tests: number }
  /** `tests`: names of those that failed. */
  | { readonly type: 'failed'; readonly tests: readonly string[] }
  /** Nothing was tested, or not all: no verdict. */
  | { readonly type: 'broken'; readonly reason: string }

/** A mutant may loop for ever: guess, ten times what the slowest file takes on two loaded cores. */
const timeoutMs = 300_000

/** What is read of the test runner's report. */
export interface Report {
  readonly numPassedTests: number
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly message: string
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[]
  }[]
}

/** Runs test files of a copy of the project. `bails`: the first failure is enough. */
export async function runTests(copy: string, paths: readonly string[], bails: boolean): Promise<TestOutcome> {
  const reportPath = join(copy, 'report.json')
  await rm(reportPath, { force: true })
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const bail = bails ? ['--bail', '1'] : []
  const args = [vitest, 'run', '--root', copy, '--reporter', 'json', '--outputFile', reportPath, ...bail, ...paths]
  const isLate = await new Promise<boolean>((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: copy,
      env: projectEnv(),
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    let late = false
    const timer = setTimeout(() => {
      late = true
      child.kill('SIGKILL')
    }, timeoutMs)
    child.once('error', reject)
    child.once('close', () => {
      clearTimeout(timer)
      resolve(late)
    })
  })
  if (isLate) return { type: 'failed', tests: [`no end after ${timeoutMs / 60_000} min`] }
  const text = await readFile(reportPath, 'utf8').catch(() => undefined)
  if (text === undefined) return { type: 'broken', reason: 'the test runner left no report' }
  const report: Report = JSON.parse(text)
  return judge(report)
}

/** Failed tests count only where every file has loaded. */
export function judge({ numPassedTests, testResults }: Report): TestOutcome {
  // A file that does not load says nothing about the fault.
  const unloaded = testResults.find((file) => file.status === 'failed' && file.assertionResults.length === 0)
  if (unloaded !== undefined) return { type: 'broken', reason: `${unloaded.name}: ${unloaded.message}` }
  const failed = testResults.flatMap(({ assertionResults }) =>
    assertionResults.filter(({ status }) => status === 'failed'),
  )
  if (failed.length > 0) return { type: 'failed', tests: failed.map(({ fullName }) => fullName) }
  return numPassedTests > 0 ? { type: 'passed', tests: numPassedTests } : { type: 'broken', reason: 'no test ran' }
}
