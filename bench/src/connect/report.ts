import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import type { LabResult } from '../../../lab/src/tests/lab-test.ts'
import type { Figure } from '../figure.ts'
import type { PairResult } from './pair.ts'
import { pairRows, type Row, recoveryRows, relayRows } from './rows.ts'
import { renderNotes, renderPairs, renderRows } from './table.ts'

const root = join(import.meta.dirname, '../../..')
const jsonPath = join(root, 'build/bench-connect.json')
const docsPath = join(root, 'docs/performance.md')
const [begin, end] = ['<!-- connecting -->', '<!-- end of connecting -->']

/** One run: what it was, and all that came of it. */
export interface Report {
  /** Commit that ran; a `+` says that there were changes beside it. */
  readonly commit: string
  readonly command: string
  readonly date: string
  readonly machine: {
    readonly cpu: string
    readonly cores: number
    readonly memoryGiB: number
    readonly node: string
  }
  readonly loadBefore: number
  readonly loadAfter: number
  readonly minutes: number
  readonly repeats: number
  readonly isShort: boolean
  readonly pairs: readonly PairResult[]
  readonly recovery: readonly LabResult[]
  readonly relay: readonly Figure[]
}

export const machine: Report['machine'] = {
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.version,
}

export function describeCommit(): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()
  const isClean = git('status', '--porcelain', '--untracked-files=no', '--', '.', ':!docs') === ''
  return `${git('rev-parse', '--short', 'HEAD')}${isClean ? '' : '+'}`
}

/** Every row of the table of goals. */
export function rowsOf({ pairs, recovery, relay }: Report): readonly Row[] {
  return [...pairRows(pairs), ...recoveryRows(recovery), ...relayRows(relay)]
}

/** The run as Markdown: how it was made, the goals, the pairs. */
export function renderReport(report: Report): string {
  const { machine: on, loadBefore, loadAfter, repeats, pairs, isShort, commit, command, date, minutes } = report
  const rows = rowsOf(report)
  const about = [
    `\`${command}\` at ${commit} on ${date}, ${minutes.toFixed(0)} minutes; ${on.cpu}, ${on.cores} cores, ${on.memoryGiB} GiB, Node ${on.node};`,
    `load of the last minute ${loadBefore.toFixed(1)} before, ${loadAfter.toFixed(1)} after. Medians of ${repeats}, least–most in brackets; × says how`,
    'many times better Miaou is, as the median over the turns in which both have the figure.',
    ...(isShort ? ['A short run: it says that everything runs, and nothing about speed.'] : []),
  ].join('\n')
  const notes = renderNotes(rows)
  return [
    about,
    renderRows(rows),
    ...(notes === '' ? [] : [notes]),
    ...(pairs.length === 0
      ? []
      : ['A is dialled by B; ms from the dial to the first message / to the best path:', renderPairs(pairs)]),
  ].join('\n\n')
}

export function writeJson(report: Report): void {
  mkdirSync(dirname(jsonPath), { recursive: true })
  writeFileSync(jsonPath, `${JSON.stringify({ ...report, rows: rowsOf(report) }, null, 2)}\n`)
}

/** A text whose part between the marks is another; undefined where it has lost them. */
export function replaceBetweenMarks(text: string, part: string): string | undefined {
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) return undefined
  return `${text.slice(0, from + begin.length)}\n\n${part}\n\n${text.slice(to)}`
}

/** Puts the tables between the marks of docs/performance.md. */
export function writeDocs(report: Report): void {
  const text = replaceBetweenMarks(readFileSync(docsPath, 'utf8'), renderReport(report))
  if (text === undefined) throw new Error(`${docsPath} has lost the marks of the section "Connecting"`)
  writeFileSync(docsPath, text)
}
