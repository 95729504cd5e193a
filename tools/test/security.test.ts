import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

/** Tests that a document names: a path in code quotes, then the beginnings of titles in double quotes. */
function namedTests(document: string): { readonly path: string; readonly title: string }[] {
  const named: { path: string; title: string }[] = []
  let path: string | undefined
  // Titles may run over a line's end; a path holds until the next line of the list.
  for (const item of document.split(/\n(?=- |#|\n)/)) {
    path = undefined
    for (const [, file, title] of item.matchAll(/`([\w./-]+\.test\.ts)`|"([^"]+)"/g)) {
      if (file !== undefined) path = file
      else if (title !== undefined && path !== undefined) named.push({ path, title: title.replace(/\s+/g, ' ') })
    }
  }
  return named
}

/** Titles of tests in an item of a list that names no file before them: nothing would look them up. */
function strayTitles(document: string): string[] {
  return document.split(/\n(?=- |#|\n)/).flatMap((item) => {
    const firstFile = item.search(/`[\w./-]+\.test\.ts`/)
    const titles = [...item.matchAll(/"(\[[A-Z]+\d[^"]*)"/g)]
    return titles.filter(({ index }) => firstFile < 0 || index < firstFile).map(([, title = '']) => title)
  })
}

describe.each(['SECURITY.md', 'docs/threat-model.md'])('%s names tests that exist', (document) => {
  const named = namedTests(read(document))

  test('it names many', () => {
    expect(named.length).toBeGreaterThan(25)
  })

  test('every title stands behind its file', () => {
    expect(strayTitles(read(document))).toEqual([])
    expect(strayTitles('- a claim ("[L1] a title")\n- `a/b.test.ts` "[L2] another"')).toEqual(['[L1] a title'])
  })

  test.each(named)('$path: $title', ({ path, title }) => {
    expect(read(path)).toContain(title)
  })
})
