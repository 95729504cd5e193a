import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { median } from './median.ts'
import { directPath, type NatMode, natModes } from './net/nat.ts'
import type { LabResult } from './tests/lab-test.ts'

/** One line a test, and below it why it failed. */
export function renderResult({ name, group, passed, seconds, figures, error }: LabResult): string {
  const line = `${passed ? 'ok    ' : 'FAILED'}  ${group.padEnd(9)}  ${name.padEnd(40)}  ${seconds.toFixed(1).padStart(5)} s  ${renderFigures(figures)}`
  return error === undefined ? line : `${line}\n${error.replaceAll(/^/gm, '    ')}`
}

function renderFigures(figures: LabResult['figures']): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}

const numbers = (results: readonly LabResult[], name: string): number[] =>
  results.flatMap(({ figures }) => (typeof figures[name] === 'number' ? [figures[name]] : []))

/** The pairs as a square: path, ms to the first message, ms to the best path. */
function renderMatrix(results: readonly LabResult[]): string {
  const cell = (a: NatMode, b: NatMode): string => {
    const result = results.find(({ name }) => name === `${a}–${b}`)
    if (result === undefined) return '–'
    const { path, firstMessageMs, bestPathMs } = result.figures
    if (!result.passed) return '**failed**'
    const how = path === 'direct' && directPath(a, b) === 'tcp' ? 'direct (TCP)' : path
    return `${how}, ${firstMessageMs} / ${bestPathMs}`
  }
  const rows = natModes.map((a) => `| **${a}** | ${natModes.map((b) => cell(a, b)).join(' | ')} |`)
  return [`| A \\ B | ${natModes.join(' | ')} |`, `|${'---|'.repeat(natModes.length + 1)}`, ...rows].join('\n')
}

function renderMedians(results: readonly LabResult[]): string {
  const relayedFirst = numbers(
    results.filter(({ figures }) => figures['pathAtFirst'] === 'relayed'),
    'firstMessageMs',
  )
  const direct = numbers(
    results.filter(({ figures }) => figures['path'] === 'direct'),
    'bestPathMs',
  )
  const passed = results.filter((result) => result.passed).length
  return [
    `${passed} of ${results.length} pairs exchanged a message on the path expected of them.`,
    `Median to the first message ${median(numbers(results, 'firstMessageMs')).toFixed(0)} ms`,
    `(where a relay carried it: ${median(relayedFirst).toFixed(0)} ms), to a direct path ${median(direct).toFixed(0)} ms.`,
  ].join(' ')
}

function renderOthers(results: readonly LabResult[]): string {
  const rows = results.map(
    (result) => `| ${result.name} | ${result.passed ? 'passed' : '**failed**'} | ${renderFigures(result.figures)} |`,
  )
  return ['| test | | figures |', '|---|---|---|', ...rows].join('\n')
}

/** The tables of a run, for people and for the document. */
export function renderTables(results: readonly LabResult[]): string {
  const of = (group: string) => results.filter((result) => result.group === group)
  const parts: string[] = []
  if (of('matrix').length > 0) parts.push(renderMatrix(of('matrix')), renderMedians(of('matrix')))
  if (of('scenario').length > 0) parts.push(renderOthers(of('scenario')))
  if (of('self-test').length > 0) parts.push(renderOthers(of('self-test')))
  return parts.join('\n\n')
}

/** Leaves what the daemons said in a failed test where whoever looks into it finds it. */
export function writeReport(name: string, report: string): void {
  const folder = join(import.meta.dirname, '../../build/lab')
  mkdirSync(folder, { recursive: true })
  const path = join(folder, `${name.replaceAll(/[^\w–]+/g, '-')}.txt`)
  writeFileSync(path, report)
  process.stdout.write(`        what the daemons of ${name} said: ${relative(process.cwd(), path)}\n`)
}

const docsPath = join(import.meta.dirname, '../../docs/nat-lab.md')
const [begin, end] = ['<!-- results -->', '<!-- end of results -->']

/** Puts the tables of a run between the marks of docs/nat-lab.md. */
export function writeDocs(results: readonly LabResult[]): void {
  const text = readFileSync(docsPath, 'utf8')
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${docsPath} has lost the marks of its results`)
  writeFileSync(docsPath, `${text.slice(0, from + begin.length)}\n\n${renderTables(results)}\n\n${text.slice(to)}`)
}
