import { describe, expect, test } from 'vitest'
import { addTotals, reportToTotals } from '../run/totals.ts'

const report = { numPassedTests: 3, numFailedTests: 0, numPendingTests: 1, numTodoTests: 0, testResults: [] }

describe('totals of a vitest run', () => {
  test('passed, failed and skipped are those of the report', () => {
    expect(reportToTotals(report, true)).toEqual({ passed: 3, failed: 0, skipped: 1 })
    expect(reportToTotals({ ...report, numFailedTests: 2 }, false)).toEqual({ passed: 3, failed: 2, skipped: 1 })
  })

  test('no report is a failure: the run died before it could write one', () => {
    expect(reportToTotals(undefined, true)).toEqual({ passed: 0, failed: 1, skipped: 0 })
  })

  test('a file that did not load counts as failed', () => {
    const testResults = [{ status: 'failed', assertionResults: [] }]
    expect(reportToTotals({ ...report, testResults }, false).failed).toBe(1)
  })

  test('a run that failed without a failed test (an error nobody caught) counts as failed', () => {
    expect(reportToTotals(report, false).failed).toBe(1)
  })

  test('are added up', () => {
    const one = { passed: 1, failed: 2, skipped: 3 }
    expect(addTotals([one, one])).toEqual({ passed: 2, failed: 4, skipped: 6 })
  })
})
