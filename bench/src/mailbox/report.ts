import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseFigure } from '../connect/relay.ts'
import { describeCommit, machine } from '../connect/report.ts'
import type { Figure } from '../figure.ts'
import { formatFree, renderTable } from '../overlay/table.ts'

const root = join(import.meta.dirname, '../../..')
const jsonPath = join(root, 'build/bench-mailbox.json')
const docsPath = join(root, 'docs/performance.md')
const [begin, end] = ['<!-- mailboxes -->', '<!-- end of mailboxes -->']
/** After this a program hangs, ms: guess, several times what it takes on two cores. */
const programMsMax = 1_800_000

/** One run: what it was, and all that came of it. */
export interface Report {
  readonly command: string
  readonly date: string
  readonly loadBefore: number
  readonly loadAfter: number
  readonly minutes: number
  readonly isShort: boolean
  readonly figures: readonly Figure[]
}

/** A program of `bench/src` in a process of its own, its figures as they come; false when it failed. */
export function runProgram(
  file: string,
  args: readonly string[],
  onFigure: (figure: Figure) => void,
): Promise<boolean> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '..', file), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    // A group of its own: what hangs is ended with the processes it started.
    detached: true,
  })
  createInterface({ input: child.stdout }).on('line', (line) => {
    const figure = parseFigure(line)
    if (figure === undefined) return
    process.stderr.write(`${figure.name} … ${figure.value} ${figure.unit}\n`)
    onFigure(figure)
  })
  const timer = setTimeout(() => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  }, programMsMax)
  return new Promise((resolve) => {
    child.on('error', ({ message }) => process.stderr.write(`${file}: ${message}\n`))
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve(code === 0)
    })
  })
}

function isMet({ goal, value }: Figure): boolean | undefined {
  if (goal === undefined) return undefined
  return 'atMost' in goal ? value <= goal.atMost : value >= goal.atLeast
}

function toRow(figure: Figure): readonly string[] {
  const { name, value, min, max, rounds, goal, unit } = figure
  const isSpread = min !== undefined && max !== undefined && min !== max
  const spread = isSpread ? ` (${formatFree(min)}–${formatFree(max)})` : ''
  const bound =
    goal === undefined ? '' : 'atMost' in goal ? `≤ ${formatFree(goal.atMost)}` : `≥ ${formatFree(goal.atLeast)}`
  const met = isMet(figure)
  return [
    `\`${name}\`, ${unit}`,
    bound,
    `${formatFree(value)}${spread}`,
    rounds === undefined ? '' : String(rounds),
    met === undefined ? '' : met ? 'yes' : 'NO',
  ]
}

/** The run as Markdown: how it was made, every figure, and what the figures are. */
export function renderReport({ command, date, loadBefore, loadAfter, minutes, isShort, figures }: Report): string {
  const about = [
    `\`${command}\` at ${describeCommit()} on ${date}, ${minutes.toFixed(0)} minutes; ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Node ${machine.node};`,
    `load of the last minute ${loadBefore.toFixed(1)} before, ${loadAfter.toFixed(1)} after. Medians, least–most in brackets.`,
    ...(isShort ? ['A short run: it says that everything runs, and nothing about speed.'] : []),
  ].join('\n')
  const notes = figures
    .filter(({ detail }) => detail !== undefined)
    .map(({ name, detail }) => `- \`${name}\`: ${detail}`)
  return [
    about,
    renderTable(['figure', 'goal', 'value', 'of', 'met'], figures.map(toRow)),
    ...(notes.length === 0 ? [] : [notes.join('\n')]),
  ].join('\n\n')
}

export function writeJson(report: Report): void {
  mkdirSync(dirname(jsonPath), { recursive: true })
  writeFileSync(jsonPath, `${JSON.stringify({ ...report, commit: describeCommit(), machine }, null, 2)}\n`)
}

/** A text whose part between the marks is another; undefined where it has lost them. */
export function replaceBetweenMarks(text: string, part: string): string | undefined {
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) return undefined
  return `${text.slice(0, from + begin.length)}\n\n${part}\n\n${text.slice(to)}`
}

/** Puts the table between the marks of docs/performance.md. */
export function writeDocs(report: Report): void {
  const text = replaceBetweenMarks(readFileSync(docsPath, 'utf8'), renderReport(report))
  if (text === undefined) throw new Error(`${docsPath} has lost the marks of the section "Mailboxes and store"`)
  writeFileSync(docsPath, text)
}
