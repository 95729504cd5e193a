import { type Figure, isMet, type ScenarioResult } from './result.ts'

/** The result as an aligned table for people, one line a case. A `!` marks a figure that misses its goal. */
export function resultToText(result: ScenarioResult): string {
  const names = columnsOf(result)
  const rows = result.cases.map((one) => [
    one.name,
    ...names.map((name) => figureToText(one.figures.find((figure) => figure.name === name))),
  ])
  const looked = Object.entries(result.checks).map(([name, count]) => `${name} ${count.toLocaleString('en')}`)
  return [
    `${result.scenario}: ${result.nodes.toLocaleString('en')} nodes, seed ${result.seed}, trace ${result.trace}, ${result.events.toLocaleString('en')} events`,
    '',
    ...align([[result.scenario, ...names], ...rows]),
    '',
    `checks: ${looked.length === 0 ? 'none' : looked.join(', ')}; violations: ${result.violations.length}`,
    ...result.violations.map(({ check, at, message }) => `  ${check} at ${at.toFixed(3)} ms: ${message}`),
    '',
  ].join('\n')
}

/** One line a case, one column a figure, with a head line (RFC 4180). */
export function resultToCsv(result: ScenarioResult): string {
  const names = columnsOf(result)
  const lines = result.cases.map((one) => [
    result.scenario,
    `${result.nodes}`,
    `${result.seed}`,
    one.name,
    ...names.map((name) => `${one.figures.find((figure) => figure.name === name)?.value ?? ''}`),
  ])
  const quote = (cell: string) => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)
  return [['scenario', 'nodes', 'seed', 'case', ...names], ...lines]
    .map((cells) => `${cells.map(quote).join(',')}\r\n`)
    .join('')
}

function columnsOf({ cases }: ScenarioResult): string[] {
  return [...new Set(cases.flatMap(({ figures }) => figures.map(({ name }) => name)))]
}

function figureToText(figure: Figure | undefined): string {
  if (figure === undefined) return ''
  const text = figure.value.toLocaleString('en', {
    minimumFractionDigits: figure.digits ?? 2,
    maximumFractionDigits: figure.digits ?? 2,
  })
  return isMet(figure) ? text : `${text}!`
}

/** First column to the left, the others to the right. */
function align(rows: readonly (readonly string[])[]): string[] {
  const columns = Math.max(...rows.map((row) => row.length))
  const widths = Array.from({ length: columns }, (_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)))
  return rows.map((row) =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}
