import type { Violation } from '../world/checks.ts'

/** A bound that a figure is held to. */
export interface Goal {
  readonly at: 'least' | 'most'
  readonly bound: number
}

/** One measured number of one case. */
export interface Figure {
  /** Heads its column. */
  readonly name: string
  readonly value: number
  /** Digits behind the point when shown to people; default 2. */
  readonly digits?: number
  readonly goal?: Goal
}

/** Raw values behind a picture. */
export interface Series {
  readonly name: 'hops' | 'latency' | 'load'
  readonly unit: string
  readonly values: readonly number[]
}

/** One line of the table: the same world under one set of parameters. */
export interface Case {
  readonly name: string
  readonly figures: readonly Figure[]
  readonly series: readonly Series[]
}

/** What a scenario found. */
export interface ScenarioResult {
  readonly scenario: string
  readonly nodes: number
  readonly seed: number
  readonly cases: readonly Case[]
  /** Trace hash over every case, 16 hexadecimal digits. */
  readonly trace: string
  /** Messages delivered and wakes. */
  readonly events: number
  /** How often each checker looked. */
  readonly checks: Readonly<Record<string, number>>
  readonly violations: readonly Violation[]
}

export function isMet({ value, goal }: Figure): boolean {
  if (goal === undefined) return true
  return goal.at === 'least' ? value >= goal.bound : value <= goal.bound
}

/** What was not met, in words; empty when the scenario passed. */
export function failuresOf({ scenario, cases, violations }: ScenarioResult): string[] {
  const missed = cases.flatMap(({ name, figures }) =>
    figures
      .filter((figure) => !isMet(figure))
      .map(
        (figure) =>
          `${scenario}, ${name}: ${figure.name} is ${figure.value}, should be at ${figure.goal?.at} ${figure.goal?.bound}`,
      ),
  )
  return [...missed, ...violations.map(({ check, message }) => `${scenario}: ${check}: ${message}`)]
}
