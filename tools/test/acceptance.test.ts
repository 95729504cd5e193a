import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const manifest: { readonly scripts: Readonly<Record<string, string>> } = JSON.parse(read('package.json'))

interface Point {
  readonly id: string
  /** Path, and a part of it that must be there; or a command. */
  readonly shownBy: readonly { readonly where: string; readonly title: string | undefined }[]
}

function pointsOf(document: string): Point[] {
  return document
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| id |'))
    .map((line) => {
      const [, id = '', , shownBy = ''] = line.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|'))
      const found = [...shownBy.matchAll(/`([^`]+)`(?: “([^”]+)”)?/g)]
      return { id, shownBy: found.map(([, where = '', title]) => ({ where, title })) }
    })
}

/** What is wrong with a row, in words; undefined where all that it names is there. */
function problemOf({ id, shownBy }: Point): string | undefined {
  if (shownBy.length === 0) return `${id}: nothing shows it`
  for (const { where, title } of shownBy) {
    const script = /^npm (?:run )?([\w:-]+)/.exec(where)?.[1]
    if (script !== undefined) {
      if (manifest.scripts[script] === undefined) return `${id}: there is no command ${where}`
    } else if (!existsSync(join(root, where))) return `${id}: there is no file ${where}`
    else if (title !== undefined && !read(where).includes(title)) return `${id}: ${where} has no “${title}”`
  }
  return undefined
}

/** The issues name their rows in ranges. */
const firstConversation =
  'A01–A13, A19–A23, B01–B24, C01–C12, C17, C18, C21, D01–D09, D18–D33, D37, G01–G11, G18, G19, H07, I01–I06, I09–I15, ' +
  'I17, I18, X02, X03, X07, X09, Z01, Z02, Z08, T02, T06, YY01'
const overlay = 'A05, C13, C14, C19, C20, E01–E28, I07, I08, X02, X04, X05, X08, Y07'
const reachable = 'C13–C16, D03–D05, D09–D17, D34–D36, I13, I15, I16, Q04, X03, YY05'
const away = 'A13, A20, B10–B12, G01–G19, H01–H07, Q04, YY06'

function expand(ranges: string): string[] {
  return ranges.split(', ').flatMap((range) => {
    const [first = '', last = first] = range.split('–')
    const [letters = ''] = /^[A-Z]+/.exec(first) ?? []
    const [from, to] = [first, last].map((id) => Number(id.slice(letters.length))) as [number, number]
    return Array.from({ length: to - from + 1 }, (_, i) => `${letters}${String(from + i).padStart(2, '0')}`)
  })
}

const points = pointsOf(read('docs/acceptance.md'))

describe('docs/acceptance.md', () => {
  const ids = points.map(({ id }) => id)

  test('no point stands twice', () => {
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('every point of issue 2 has a row', () => {
    expect(expand(firstConversation).filter((id) => !ids.includes(id))).toEqual([])
    for (const part of [1, 2, 3, 4, 5, 6, 7, 8]) expect(ids.some((id) => id.startsWith(`build-${part}`))).toBe(true)
    for (const word of ['measure', 'bad', 'done']) expect(ids.some((id) => id.startsWith(`${word} `))).toBe(true)
  })

  test('every point of issue 3 has a row', () => {
    expect(expand(overlay).filter((id) => !ids.includes(id))).toEqual([])
    for (const part of ['build-1', 'build-2', 'build-3', 'build-4', 'build-5', 'goal', 'bad', 'done']) {
      expect(ids.some((id) => id.startsWith(`overlay ${part} `))).toBe(true)
    }
  })

  test('every point of issue 4 has a row', () => {
    expect(expand(reachable).filter((id) => !ids.includes(id))).toEqual([])
    const parts = ['build-1', 'build-2', 'build-3', 'build-4', 'build-5', 'build-6', 'goal', 'bad', 'done']
    for (const part of parts) expect(ids.some((id) => id.startsWith(`reach ${part} `))).toBe(true)
  })

  test('every point of issue 5 has a row', () => {
    expect(expand(away).filter((id) => !ids.includes(id))).toEqual([])
    const parts = ['build-1', 'build-2', 'build-3', 'build-4', 'build-5', 'prove', 'goal', 'bad']
    for (const part of parts) expect(ids.some((id) => id.startsWith(`mail ${part} `))).toBe(true)
  })

  test.each(points.map((point) => [point.id, point] as const))('%s is shown by what is there', (_, point) => {
    expect(problemOf(point)).toBeUndefined()
  })

  test.each([
    ['| A99 | what | `tools/test/none.test.ts` “x” | |', /no file/],
    ['| A99 | what | `tools/test/acceptance.test.ts` “no such \\u0074itle” | |', /has no/],
    ['| A99 | what | `npm run nothing` | |', /no command/],
    ['| A99 | what | `npm run test:nothing` | |', /no command/],
    ['| A99 | what | by hand | |', /nothing shows it/],
  ])('a row that shows nothing is told: %s', (line, problem) => {
    const [point] = pointsOf(line)
    expect(point === undefined ? '' : problemOf(point)).toMatch(problem)
  })
})

test('the echo bot has at most 20 lines', () => {
  expect(read('examples/echo-bot.ts').trimEnd().split('\n').length).toBeLessThanOrEqual(20)
})
