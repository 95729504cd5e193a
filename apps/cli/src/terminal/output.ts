import type { MiaouError } from '@miaou/sdk'
import type { Text } from '@miaou/text'
import type { Io } from '../io.ts'
import { wrapWords } from './wrap.ts'

type Style = (text: string) => string

export interface Styles {
  readonly bold: Style
  readonly soft: Style
  readonly accent: Style
  readonly good: Style
  readonly bad: Style
}

/** Where the program's words go. stdout has the answers, stderr everything said on the way. */
export interface Output {
  readonly isJson: boolean
  readonly styles: Styles
  /** Width of the terminal; 80 where there is none. */
  readonly columns: number
  /** For people; nothing with `--json`. */
  line(text?: string): void
  /** One object a line; only with `--json`. */
  object(value: unknown): void
  /** Progress and side remarks, on stderr; nothing with `--json`. */
  note(text: string): void
  /** On stderr, in the form asked for. */
  error(error: MiaouError): void
}

const plain: Style = (text) => text

/** https://no-color.org: any non-empty NO_COLOR; and no colour where nobody sees it. */
function hasColour(io: Io): boolean {
  return io.stdout.isTTY === true && !io.env['NO_COLOR'] && io.env['TERM'] !== 'dumb'
}

function createStyles(isColoured: boolean): Styles {
  const sgr = (open: string): Style => (isColoured ? (text) => `\u001b[${open}m${text}\u001b[0m` : plain)
  return { bold: sgr('1'), soft: sgr('2'), accent: sgr('33'), good: sgr('32'), bad: sgr('31') }
}

export function createOutput(io: Io, text: Text, isJson: boolean): Output {
  const styles = createStyles(hasColour(io))
  // Broken only where somebody reads it: what a program or a file gets stays one line.
  const forPeople = (words: string) => (io.stderr.isTTY === true ? wrapWords(words, io.stderr.columns ?? 80) : words)
  const write = (stream: NodeJS.WritableStream, line: string) => void stream.write(`${line}\n`)
  return {
    isJson,
    styles,
    columns: io.stdout.columns ?? 80,
    line: (line = '') => {
      if (!isJson) write(io.stdout, line)
    },
    object: (value) => {
      if (isJson) write(io.stdout, JSON.stringify(value))
    },
    note: (line) => {
      if (!isJson) write(io.stderr, forPeople(line))
    },
    error: (error) => {
      const { message, hint } = text.error(error.code, error.facts)
      if (isJson) write(io.stderr, JSON.stringify({ error: { code: error.code, message, hint } }))
      else write(io.stderr, forPeople(`${styles.bad(text('cli.error'))} ${message}\n${hint}`))
    },
  }
}
