import { LabProcess } from './outside.ts'
import type { LabResult, LabTest } from './tests/lab-test.ts'

export interface ScheduleOptions {
  /** Labs side by side. */
  readonly labs: number
  readonly isLong: boolean
  readonly onResult: (result: LabResult) => void
}

/** A run that takes longer is broken: guess, ten times the longest test with its whole outages. */
const testMsMax = 240_000

/** Runs tests in several labs side by side; resolves to their results in the tests' own order. */
export async function runTests(tests: readonly LabTest[], options: ScheduleOptions): Promise<readonly LabResult[]> {
  const waiting = [...tests]
  const results = new Map<string, LabResult>()
  const work = async (): Promise<void> => {
    let lab: { readonly process: LabProcess; readonly session: string | undefined } | undefined
    for (let test = take(waiting, undefined); test !== undefined; test = take(waiting, lab?.session)) {
      if (lab !== undefined && (test.session === undefined || test.session !== lab.session)) {
        await lab.process.end()
        lab = undefined
      }
      let result: LabResult
      try {
        lab ??= { process: await LabProcess.start(options.isLong), session: test.session }
        result = await within(testMsMax, lab.process.run(test.name))
      } catch (error) {
        // The lab itself broke: the next test gets a new one.
        result = broken(test, error)
        await lab?.process.end()
        lab = undefined
      }
      results.set(test.name, result)
      options.onResult(result)
    }
    await lab?.process.end()
  }
  await Promise.all(Array.from({ length: options.labs }, work))
  return tests.flatMap(({ name }) => results.get(name) ?? [])
}

/** The next test: one of the same session where there is one, else the first. */
function take(waiting: LabTest[], session: string | undefined): LabTest | undefined {
  const index = session === undefined ? 0 : waiting.findIndex((test) => test.session === session)
  return waiting.splice(Math.max(0, index), 1)[0]
}

function broken({ name, group }: LabTest, error: unknown): LabResult {
  const why = error instanceof Error ? error.message : String(error)
  return { name, group, passed: false, seconds: 0, figures: {}, error: why }
}

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no result after ${ms / 1000} s`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
