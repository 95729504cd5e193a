import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { root } from './part.ts'

/** Tests counted one by one. */
export interface Totals {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** The part of vitest's JSON report that is read. */
interface VitestReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests?: number
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[]
}

/** Totals of one vitest run: a file that did not even load, or a run that failed without a failed test, counts as one. */
export function reportToTotals(report: VitestReport | undefined, runPassed: boolean): Totals {
  if (report === undefined) return { passed: 0, failed: 1, skipped: 0 }
  const unloaded = report.testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  ).length
  const failed = report.numFailedTests + unloaded
  return {
    passed: report.numPassedTests,
    failed: failed === 0 && !runPassed ? 1 : failed,
    skipped: report.numPendingTests + (report.numTodoTests ?? 0),
  }
}

export function addTotals(all: readonly Totals[]): Totals {
  return all.reduce(
    (sum, one) => ({
      passed: sum.passed + one.passed,
      failed: sum.failed + one.failed,
      skipped: sum.skipped + one.skipped,
    }),
    { passed: 0, failed: 0, skipped: 0 },
  )
}

/** Where `npm test` leaves its totals for the runs that contain it. */
export const totalsPath: string = join(root, 'build', 'test-totals.json')

export function writeTotals(totals: Totals): void {
  mkdirSync(dirname(totalsPath), { recursive: true })
  writeFileSync(totalsPath, `${JSON.stringify(totals)}\n`)
}

export function forgetTotals(): void {
  rmSync(totalsPath, { force: true })
}

export function readTotals(): Totals | undefined {
  return existsSync(totalsPath) ? (JSON.parse(readFileSync(totalsPath, 'utf8')) as Totals) : undefined
}

export function readReport(path: string): VitestReport | undefined {
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as VitestReport) : undefined
}
