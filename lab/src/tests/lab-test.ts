import type { Report } from '../world/lab.ts'
import type { Stage } from './stage.ts'

/** What a test measured, by name with its unit last (`firstMessageMs`), and what it saw. */
export type Figures = Readonly<Record<string, number | string | boolean>>

export const groups = ['self-test', 'matrix', 'scenario'] as const
export type Group = (typeof groups)[number]

/** One thing the lab shows. It rejects when that is not so. */
export interface LabTest {
  readonly name: string
  readonly group: Group
  /** What a reader of the table learns from it. */
  readonly shows: string
  /** Tests of one session may follow each other in one lab; without, a test has a lab of its own. */
  readonly session?: string
  /** Too long for every change: runs when asked for by name, or with `--long`. */
  readonly isLong?: boolean
  run(stage: Stage): Promise<Figures>
}

/** What came of a test. */
export interface LabResult {
  readonly name: string
  readonly group: Group
  readonly passed: boolean
  readonly seconds: number
  readonly figures: Figures
  /** Why it failed, and how the daemons stood. */
  readonly error?: string
  /** All they said and counted. */
  readonly report?: string
}

/** A failure told together with how the daemons stood then, because they are gone now. */
export class ReportedError extends Error {
  readonly report: Report

  constructor(cause: unknown, report: Report) {
    super(cause instanceof Error ? cause.message : String(cause), { cause })
    this.report = report
  }
}

/** Ends a test whose expectation did not hold. */
export function expect(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what)
}
