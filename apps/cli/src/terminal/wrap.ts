import { stripVTControlCharacters } from 'node:util'

/**
 * Breaks lines at spaces so that none is wider than `columns`. A word that is wider (an id, an invite) stays whole, and
 * what is aligned by runs of spaces (tables, codes) stays as it is. A line that begins with a time is prose whatever
 * stands in it; its further lines are set under its words.
 */
export function wrapWords(text: string, columns: number): string {
  return text
    .split('\n')
    .map((line) => {
      const [time = ''] = timeAtStart.exec(line) ?? []
      return time !== '' || isProse(line) ? wrapLine(line, time, columns) : line
    })
    .join('\n')
}

/** `14:05  `, with its date and our own colours: what `formatWhen` writes, and two spaces. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: our own colours begin with ESC
const timeAtStart = /^(?:\u001b\[\d+m)*(?:\d{4}-\d{2}-\d{2} )?\d{2}:\d{2}(?:\u001b\[\d+m)* {2}(?=\S)/

function isProse(line: string): boolean {
  return !/ {2}/.test(line.trimStart()) && !/[█▀▄]/.test(line)
}

function wrapLine(line: string, time: string, columns: number): string {
  if (widthOf(line) <= columns) return line
  const start = time === '' ? (/^ */.exec(line)?.[0] ?? '') : time
  const indent = ' '.repeat(widthOf(start))
  let current = start
  const lines: string[] = []
  for (const word of line.slice(start.length).split(' ')) {
    const isFirst = current.length === start.length
    if (!isFirst && widthOf(current) + 1 + widthOf(word) > columns) {
      lines.push(current)
      current = indent + word
    } else current += isFirst ? word : ` ${word}`
  }
  return [...lines, current].join('\n')
}

const segmenter = new Intl.Segmenter()

/** Columns of a line, near enough for breaking it: one a grapheme, two for wide scripts and emoji. */
function widthOf(line: string): number {
  let width = 0
  for (const { segment } of segmenter.segment(stripVTControlCharacters(line))) {
    width +=
      /\p{Extended_Pictographic}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]/u.test(
        segment,
      )
        ? 2
        : 1
  }
  return width
}
