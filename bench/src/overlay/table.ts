import type { Outcome } from './goals.ts'
import { ownName, type Summary } from './measurement.ts'

/** A Markdown table whose columns line up in a terminal too. */
export function renderTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((cells) => (cells[column] ?? '').length)),
  )
  const line = (cells: readonly string[]): string =>
    `| ${header.map((_, column) => (cells[column] ?? '').padEnd(widths[column] ?? 0)).join(' | ')} |`
  return [line(header), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(line)].join('\n')
}

export function formatNumber(value: number, digits: number): string {
  return value.toLocaleString('en-GB', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

/** As the issue writes it. */
function formatBound(value: number): string {
  return value.toLocaleString('en-GB')
}

/** As many digits as tell figures of this size apart. */
export function formatFree(value: number): string {
  const size = Math.abs(value)
  if (size === 0 || size >= 1_000) return formatNumber(value, 0)
  return formatNumber(value, size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3)
}

/** Median, and in brackets how far the repeats lie apart. */
function formatSpread({ value, least, most, repeats }: Summary, format: (value: number) => string): string {
  if (repeats === 1 || format(least) === format(most)) return format(value)
  return `${format(value)} (${format(least)}–${format(most)})`
}

/** The goals table: ours, the best rival's of the same run, how many times better we are, and whether the goal is met. */
export function renderGoals(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map(({ goal, own, rival, ratio, isMet }) => {
    const format = (value: number): string => formatNumber(value, goal.digits)
    const unit = goal.unit === '' ? '' : ` ${goal.unit}`
    const bound = 'atMost' in goal.goal ? `≤ ${formatBound(goal.goal.atMost)}` : `≥ ${formatBound(goal.goal.atLeast)}`
    return [
      goal.label,
      `${bound}${unit}`,
      own === undefined ? 'not measured' : formatSpread(own, format),
      rival === undefined ? '—' : `${formatSpread(rival, format)}: ${nameOf(rival)}`,
      ratio === undefined ? '—' : `× ${formatFree(ratio)}`,
      isMet === undefined ? '—' : isMet ? 'yes' : 'NO',
    ]
  })
  return renderTable(['figure', 'goal', 'Miaou', 'best rival', 'times better', 'met'], rows)
}

function nameOf({ peer, nodes }: Summary): string {
  return nodes === undefined ? peer : `${peer}, N ${nodes}`
}

/** Every figure of every contender: one row a metric, one column a contender, ours first. */
export function renderFigures(summaries: readonly Summary[]): string {
  const peers = [...new Set(summaries.map(({ peer }) => peer))].sort(
    (a, b) => Number(b === ownName) - Number(a === ownName),
  )
  const nodesMost = Math.max(...summaries.map(({ nodes }) => nodes ?? 0))
  const metrics = [...new Set(summaries.map(({ metric }) => metric))]
  const rows = metrics.map((metric) => [
    metric,
    ...peers.map((peer) => {
      const found = summaries.filter((each) => each.metric === metric && each.peer === peer)
      return found.map((each) => formatSpread(each, formatFree) + fewer(each, nodesMost)).join('; ')
    }),
  ])
  const nodes = nodesMost === 0 ? '' : `, N ${nodesMost}`
  return renderTable([`figure${nodes}`, ...peers], rows)
}

/** Said where a contender had another number of nodes than the table. */
function fewer({ nodes }: Summary, nodesMost: number): string {
  return nodes === undefined || nodes === nodesMost ? '' : ` [N ${nodes}]`
}

/** What one must know to read a figure, once each. */
export function renderNotes(summaries: readonly Summary[]): string {
  return summaries
    .filter(({ note }) => note !== undefined)
    .map((each) => `- ${each.metric}, ${nameOf(each)}: ${each.note}`)
    .join('\n')
}
