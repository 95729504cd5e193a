/**
 * What the programs of this folder print: one measurement a line, as JSON. `npm run bench:overlay` reads the lines of all
 * of them, takes medians of the repeats and fills the table.
 */

/** One figure of one contender, taken once. */
export interface Measurement {
  /** What was measured, with its unit at the end: `put-p50-ms`. A closed list in `metrics`. */
  readonly metric: string
  /** Who: `miaou`, or the name and version of a rival. */
  readonly peer: string
  readonly value: number
  /** Nodes in the process, where that matters. */
  readonly nodes?: number
  /** Operations, adds, messages, … behind the value. */
  readonly samples?: number
  /** What one must know to read the figure. */
  readonly note?: string
}

export const ownName = 'miaou'

export function printMeasurement(measurement: Measurement): void {
  process.stdout.write(`${JSON.stringify(measurement)}\n`)
}

function isNumberOrAbsent(value: unknown): boolean {
  return value === undefined || typeof value === 'number'
}

/** The measurement on a line of a program's output; undefined where the line is something else. */
export function parseMeasurement(line: string): Measurement | undefined {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const found = value as Partial<Record<keyof Measurement, unknown>>
  if (typeof found.metric !== 'string' || typeof found.peer !== 'string') return undefined
  if (typeof found.value !== 'number' || !Number.isFinite(found.value)) return undefined
  if (!isNumberOrAbsent(found.nodes) || !isNumberOrAbsent(found.samples)) return undefined
  if (found.note !== undefined && typeof found.note !== 'string') return undefined
  return value as Measurement
}

/** The repeats of one figure taken together. */
export interface Summary {
  readonly metric: string
  readonly peer: string
  /** Median of the repeats. */
  readonly value: number
  readonly least: number
  readonly most: number
  readonly repeats: number
  readonly nodes: number | undefined
  /** Operations behind one repeat. */
  readonly samples: number | undefined
  readonly note: string | undefined
}

/** Median of an unsorted list, the mean of the two in the middle where its length is even; NaN when empty. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const half = sorted.length / 2
  const upper = sorted[Math.floor(half)] ?? Number.NaN
  return Number.isInteger(half) ? (upper + (sorted[half - 1] ?? Number.NaN)) / 2 : upper
}

/** The value below which a share of the list lies (nearest rank); NaN when empty. `share`: 0–1. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN
}

/** One summary for each metric, peer and number of nodes, in the order in which they first came. */
export function summarise(measurements: readonly Measurement[]): Summary[] {
  const groups = Map.groupBy(measurements, ({ metric, peer, nodes }) => JSON.stringify([metric, peer, nodes]))
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const values = group.map(({ value }) => value)
    return [
      {
        metric: first.metric,
        peer: first.peer,
        value: median(values),
        least: Math.min(...values),
        most: Math.max(...values),
        repeats: values.length,
        nodes: first.nodes,
        samples: first.samples,
        note: first.note,
      },
    ]
  })
}
