/** The rules that hold at every moment of every run without adversaries breaking them. */
export type CheckName =
  | 'table-bounds'
  | 'proven-contacts'
  | 'client-contacts'
  | 'lost-records'
  | 'transactions'
  | 'bounded-state'
  | 'restricted-servers'
  | 'openers'

export interface Violation {
  readonly check: CheckName
  /** Virtual ms. */
  readonly at: number
  readonly message: string
}

/** Kept violations: the first say what is wrong, thousands more say nothing. */
const violationsMax = 20

/** Where checkers report. */
export class Checks {
  readonly violations: Violation[] = []
  readonly counts: Record<string, number> = {}
  /** All that were found, also those not kept. */
  total = 0

  looked(check: CheckName, times = 1): void {
    this.counts[check] = (this.counts[check] ?? 0) + times
  }

  violated(check: CheckName, at: number, message: string): void {
    this.total++
    if (this.violations.length < violationsMax) this.violations.push({ check, at, message })
  }
}
