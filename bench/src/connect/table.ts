import { median } from '../overlay/measurement.ts'
import { formatFree, formatNumber, renderTable } from '../overlay/table.ts'
import { nameOfPair, type PairResult } from './pair.ts'
import { peersOf, type Row, type Spread } from './rows.ts'

function formatValue(value: number, unit: string): string {
  return unit === 'ms' ? formatNumber(value, 0) : formatFree(value)
}

/** Median, and in brackets how far the values lie apart; of a count, what it is out of. */
function formatSpread(spread: Spread | undefined, unit: string): string {
  if (spread === undefined) return '—'
  const { value, least, most, samples } = spread
  if (unit === 'of') return `${value} of ${samples}`
  const [middle, from, to] = [value, least, most].map((each) => formatValue(each, unit))
  return from === to ? `${middle}` : `${middle} (${from}–${to})`
}

function formatBound({ goal, unit }: Row): string {
  if (goal === undefined) return ''
  const suffix = unit === 'of' ? '' : ` ${unit}`
  return 'atMost' in goal
    ? `≤ ${goal.atMost.toLocaleString('en-GB')}${suffix}`
    : unit === 'of'
      ? 'all'
      : `≥ ${goal.atLeast.toLocaleString('en-GB')}${suffix}`
}

/** The goals: ours, every rival's of the same run with how many times better we are, and whether the goal is met. */
export function renderRows(rows: readonly Row[]): string {
  const peers = [...new Set(rows.flatMap(({ rivals }) => rivals.map(({ peer }) => peer)))]
  const body = rows.map((each) => [
    each.unit === 'of' ? each.label : `${each.label}, ${each.unit}`,
    formatBound(each),
    formatSpread(each.own, each.unit),
    ...peers.map((peer) => {
      const beside = each.rivals.find((rival) => rival.peer === peer)
      const ratio = beside?.ratio === undefined ? '' : `: × ${formatFree(beside.ratio)}`
      return `${formatSpread(beside?.spread, each.unit)}${ratio}`
    }),
    each.isMet === undefined ? '' : each.isMet ? 'yes' : 'NO',
  ])
  return renderTable(['figure', 'goal', 'Miaou', ...peers, 'met'], body)
}

/** Every pair of homes: how each contender talked in the end, ms to the first message / to the best path. */
export function renderPairs(results: readonly PairResult[]): string {
  const peers = peersOf(results)
  const pairs = [...new Set(results.map(nameOfPair))]
  const cell = (pair: string, peer: string): string => {
    const of = results.filter((result) => nameOfPair(result) === pair && result.peer === peer)
    if (of.length === 0) return ''
    const ms = (take: (result: PairResult) => number | undefined): string => {
      const values = of.flatMap((result) => take(result) ?? [])
      return values.length === 0 ? '–' : formatNumber(median(values), 0)
    }
    const ways = [...new Set(of.map(formatWay))].join(' or ')
    if (of.every(({ outcome }) => outcome === 'no connection')) return ways
    return `${ways}, ${ms(({ firstMessageMs }) => firstMessageMs)} / ${ms(({ bestPathMs }) => bestPathMs)}`
  }
  return renderTable(
    ['A–B', ...peers],
    pairs.map((pair) => [pair, ...peers.map((peer) => cell(pair, peer))]),
  )
}

function formatWay({ outcome, way }: PairResult): string {
  return outcome === 'direct' ? `direct (${way})` : outcome
}

/** Notes of rows, once each. */
export function renderNotes(rows: readonly Row[]): string {
  return rows
    .filter(({ note }) => note !== undefined)
    .map(({ label, note }) => `- ${label}: ${note}`)
    .join('\n')
}
