import type { LabResult } from '../../../lab/src/tests/lab-test.ts'
import type { Figure } from '../figure.ts'
import { median, ownName } from '../overlay/measurement.ts'
import { canBeDirect, nameOfPair, type PairResult } from './pair.ts'
import { recoveryFigures } from './recovery.ts'

/** Median of some values, and how far they lie apart. */
export interface Spread {
  readonly value: number
  readonly least: number
  readonly most: number
  readonly samples: number
}

export type Bound = { readonly atMost: number } | { readonly atLeast: number }

/** What a rival came to, and how many times better we are: above 1 is ahead. */
export interface Beside {
  readonly peer: string
  readonly spread: Spread | undefined
  readonly ratio: number | undefined
}

/** One line of the table of goals. */
export interface Row {
  readonly label: string
  readonly unit: string
  readonly goal: Bound | undefined
  readonly own: Spread | undefined
  /** Of our median; undefined without a goal, or where we were not measured. */
  readonly isMet: boolean | undefined
  readonly rivals: readonly Beside[]
  /** What one must know to read it. */
  readonly note?: string
}

export function spreadOf(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined
  return { value: median(values), least: Math.min(...values), most: Math.max(...values), samples: values.length }
}

function isMet(goal: Bound | undefined, own: Spread | undefined): boolean | undefined {
  if (goal === undefined || own === undefined) return undefined
  return 'atMost' in goal ? own.value <= goal.atMost : own.value >= goal.atLeast
}

function row(
  label: string,
  unit: string,
  goal: Bound | undefined,
  own: Spread | undefined,
  rest: Partial<Row> = {},
): Row {
  return { label, unit, goal, own, isMet: isMet(goal, own), rivals: [], ...rest }
}

/** Ours first, the others as they came. */
export function peersOf(results: readonly PairResult[]): readonly string[] {
  const peers = [...new Set(results.map(({ peer }) => peer))]
  return [...peers.filter((peer) => peer === ownName), ...peers.filter((peer) => peer !== ownName)]
}

type Take = (result: PairResult) => number | undefined

const relayedFirst: Take = ({ isFirstRelayed, firstMessageMs }) => (isFirstRelayed ? firstMessageMs : undefined)
const first: Take = ({ firstMessageMs }) => firstMessageMs
const link: Take = ({ firstLinkMs }) => firstLinkMs
const best: Take = ({ outcome, bestPathMs }) => (outcome === 'no connection' ? undefined : bestPathMs)
const direct: Take = ({ outcome, bestPathMs }) => (outcome === 'direct' ? bestPathMs : undefined)

/** Rows of the pairs of homes. */
export function pairRows(results: readonly PairResult[]): readonly Row[] {
  if (results.length === 0) return []
  const hopeful = results.filter(canBeDirect)
  return [
    countRow('pairs that exchanged a message', results, ({ outcome }) => outcome !== 'no connection'),
    countRow('pairs that talk directly, of those whose NATs let UDP', hopeful, ({ outcome }) => outcome === 'direct'),
    timeRow('first message, where a relay carried it', results, relayedFirst, { atMost: 1_000 }),
    timeRow('first message, by whatever way', results, first, undefined),
    timeRow('… of it until the first link', results, link, undefined),
    timeRow('best path', results, best, { atMost: 2_000 }),
    timeRow('direct path, where there is one', results, direct, undefined),
  ]
}

function countRow(label: string, results: readonly PairResult[], holds: (result: PairResult) => boolean): Row {
  const count = (peer: string): Spread => {
    const of = results.filter((result) => result.peer === peer)
    const value = of.filter(holds).length
    return { value, least: value, most: value, samples: of.length }
  }
  const [own, ...rivals] = peersOf(results)
  const ours = own === ownName ? count(own) : undefined
  const others = own === ownName || own === undefined ? rivals : [own, ...rivals]
  return row(label, 'of', ours === undefined ? undefined : { atLeast: ours.samples }, ours, {
    rivals: others.map((peer) => ({ peer, spread: count(peer), ratio: undefined })),
  })
}

function timeRow(label: string, results: readonly PairResult[], take: Take, goal: Bound | undefined): Row {
  const valuesOf = (peer: string) =>
    results.filter((result) => result.peer === peer).flatMap((each) => take(each) ?? [])
  const rivals = peersOf(results).filter((peer) => peer !== ownName)
  return row(label, 'ms', goal, spreadOf(valuesOf(ownName)), {
    rivals: rivals.map((peer) => ({ peer, spread: spreadOf(valuesOf(peer)), ratio: ratioTo(results, peer, take) })),
  })
}

/** Median of rival ÷ ours over the turns in which both came to the same kind of figure: same pair, same round. */
export function ratioTo(results: readonly PairResult[], rival: string, take: Take): number | undefined {
  const key = (result: PairResult) => `${nameOfPair(result)} ${result.round}`
  const own = new Map(results.filter(({ peer }) => peer === ownName).map((result) => [key(result), take(result)]))
  const ratios = results
    .filter(({ peer }) => peer === rival)
    .flatMap((result) => {
      const [ours, theirs] = [own.get(key(result)), take(result)]
      return ours === undefined || theirs === undefined || ours === 0 ? [] : [theirs / ours]
    })
  return ratios.length === 0 ? undefined : median(ratios)
}

/** Rows of the lab's scenarios: of each figure all that passed. */
export function recoveryRows(results: readonly LabResult[]): readonly Row[] {
  return recoveryFigures.flatMap(({ scenario, figure, label, goalMs }) => {
    const of = results.filter(({ name }) => name === scenario)
    if (of.length === 0) return []
    const values = of.flatMap(({ passed, figures }) => {
      const value = figures[figure]
      return passed && typeof value === 'number' ? [value] : []
    })
    const failed = of.filter(({ passed }) => !passed).length
    return [
      row(label, 'ms', goalMs === undefined ? undefined : { atMost: goalMs }, spreadOf(values), {
        ...(failed === 0 ? {} : { note: `${scenario}: ${failed} of ${of.length} failed` }),
      }),
    ]
  })
}

/** Rows of the relay's bench. What one figure says of several settings is told apart by its detail. */
export function relayRows(figures: readonly Figure[]): readonly Row[] {
  return figures.map(({ name, value, unit, goal, rounds = 1, min = value, max = value, detail }) => {
    const isOneOfMany = figures.filter((figure) => figure.name === name).length > 1
    const label = isOneOfMany && detail !== undefined ? `${name} (${detail})` : name
    return row(
      label,
      unit,
      goal,
      { value, least: min, most: max, samples: rounds },
      {
        ...(detail === undefined || isOneOfMany ? {} : { note: detail }),
      },
    )
  })
}
