import { type Part, type PartResult, runPart, summarise } from './part.ts'
import { forgetTotals, readTotals } from './totals.ts'

/** Runs the parts and ends with `N passed, N failed`: vitest's tests one by one, every other part as one. */
export async function runAndCount(parts: readonly Part[], before: readonly PartResult[] = []): Promise<void> {
  forgetTotals()
  const results: PartResult[] = [...before]
  for (const part of parts) results.push(await runPart(part))
  process.stdout.write(`\n${summarise(results)}\n`)
  const { passed, failed } = count(results)
  process.stdout.write(`\n${passed} passed, ${failed} failed\n`)
  process.exitCode = failed === 0 ? 0 : 1
}

function count(results: readonly PartResult[]): { passed: number; failed: number } {
  let passed = 0
  let failed = 0
  for (const result of results) {
    const totals = result.name === 'test' ? readTotals() : undefined
    passed += totals?.passed ?? Number(result.passed)
    failed += totals?.failed ?? Number(!result.passed)
    // Totals without a failure beside a run that failed: the run itself is the failure.
    if (totals?.failed === 0 && !result.passed) failed++
  }
  return { passed, failed }
}
