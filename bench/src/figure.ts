import { cpus, loadavg, totalmem } from 'node:os'

/** One measured figure: printed as one JSON line, with the machine and its load. */
export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: string
  /** What the issue asks for, in the same unit. */
  readonly goal?: { readonly atMost: number } | { readonly atLeast: number }
  /** Rounds behind the value, and how far they lie apart. */
  readonly rounds?: number
  readonly min?: number
  readonly max?: number
  readonly command: string
  readonly detail?: string
}

const machine = {
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.version,
}

export function printFigure(figure: Figure): void {
  const { value, goal } = figure
  const met = goal === undefined ? undefined : 'atMost' in goal ? value <= goal.atMost : value >= goal.atLeast
  const load1 = Math.round((loadavg()[0] ?? 0) * 100) / 100
  console.log(JSON.stringify({ ...figure, ...(met === undefined ? {} : { met }), machine, load1 }))
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** Median, least and most of the rounds, rounded to hundredths. */
export function spread(values: readonly number[]): { value: number; rounds: number; min: number; max: number } {
  const round = (value: number): number => Math.round(value * 100) / 100
  return {
    value: round(median(values)),
    rounds: values.length,
    min: round(Math.min(...values)),
    max: round(Math.max(...values)),
  }
}
