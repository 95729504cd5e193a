/** Order statistics of one measured quantity. */
export interface Summary {
  readonly count: number
  readonly mean: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

/** All zero for no values. */
export function summarise(values: readonly number[]): Summary {
  const sorted = Float64Array.from(values).sort()
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
  const sum = sorted.reduce((total, value) => total + value, 0)
  return {
    count: sorted.length,
    mean: sorted.length === 0 ? 0 : sum / sorted.length,
    p50: at(0.5),
    p95: at(0.95),
    p99: at(0.99),
    max: sorted.at(-1) ?? 0,
  }
}

/** How many values lie in each of `bins` equal parts of [0, `top`]; larger ones count in the last. */
export function histogram(values: readonly number[], bins: number, top: number): number[] {
  const counts = new Array<number>(bins).fill(0)
  for (const value of values) {
    const bin = top === 0 ? 0 : Math.min(bins - 1, Math.floor((value / top) * bins))
    counts[bin] = (counts[bin] ?? 0) + 1
  }
  return counts
}
