import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const manifest: { readonly scripts: Readonly<Record<string, string>> } = JSON.parse(read('package.json'))

/** Folders that hold what is made, or what others wrote. */
const passedOver: readonly string[] = ['node_modules', 'build', 'dist', 'coverage']

function documentsIn(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.name.startsWith('.') || passedOver.includes(entry.name)) return []
    if (entry.isDirectory()) return documentsIn(path)
    return entry.name.endsWith('.md') ? [path] : []
  })
}

/** The text without blocks of code, in which nothing is a link. */
function proseOf(text: string): string {
  return text.replace(/^ *(`{3,})[\s\S]*?^ *\1 *$/gm, '')
}

/** What a heading is called in an address. */
function slugOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')
}

function slugsIn(text: string): readonly string[] {
  return [...proseOf(text).matchAll(/^#+ +(.+?) *$/gm)].map(([, heading = '']) => slugOf(heading))
}

/** Links within the repository that lead nowhere, as they are written. */
function deadLinks(path: string, text: string): string[] {
  const links = [...proseOf(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link)
  return links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false
    const [file = '', anchor] = link.split('#')
    const target = file === '' ? path : relative(root, join(root, dirname(path), file))
    if (target.startsWith('..') || !existsSync(join(root, target))) return true
    return anchor !== undefined && !slugsIn(target === path ? text : read(target)).includes(anchor)
  })
}

/** Files and folders in code quotes that are not there; names with a star, a blank or an ellipsis stand for several. */
function deadPaths(text: string): string[] {
  const rooms = /^(?:apps|bench|deploy|docs|e2e|examples|lab|packages|sim|spec|testkit|tools|vectors)\/[\w./-]+$/
  return [...text.matchAll(/`([^`\n]+)`/g)]
    .map(([, quoted = '']) => quoted.replace(/:\d+$/, ''))
    .filter(
      (quoted) =>
        rooms.test(quoted) &&
        // What is installed there only when somebody asks for it.
        !quoted.includes('node_modules') &&
        !existsSync(join(root, quoted)) &&
        !existsSync(join(root, `${quoted}.ts`)),
    )
}

function deadScripts(text: string): string[] {
  return [...text.matchAll(/\bnpm run ([\w:-]+)/g)]
    .map(([, script = '']) => script)
    .filter((script) => manifest.scripts[script] === undefined)
}

const documents = documentsIn('.')

describe('documents', () => {
  test('there are many', () => {
    expect(documents).toEqual(expect.arrayContaining(['README.md', 'docs/relay.md', 'spec/circuits.md']))
  })

  // What was written of a day in the past stays as it was.
  const living = documents.filter((path) => path !== 'docs/long-runs.md')

  test.each(living)('%s: every link leads somewhere', (path) => {
    expect(deadLinks(path, read(path))).toEqual([])
  })

  test.each(living)('%s: every file and script it names is there', (path) => {
    const text = read(path)
    expect([...deadPaths(text), ...deadScripts(text)]).toEqual([])
  })

  test('every decision is in the list, under its own title', () => {
    const list = read('docs/decisions/README.md')
    const records = readdirSync(join(root, 'docs/decisions')).filter((name) => /^\d{4}-/.test(name))
    expect(records.filter((name) => !list.includes(`| [${name.slice(0, 4)}](${name}) |`))).toEqual([])
  })

  test('what leads nowhere is told', () => {
    expect(deadLinks('docs/relay.md', 'see [a](none.md), [b](../spec/circuits.md#no-such), [c](#no)')).toHaveLength(3)
    expect(deadLinks('docs/relay.md', '# Here\n[a](../README.md) [b](#here) [c](https://example.org/x)')).toEqual([])
    expect(deadPaths('`packages/none/src/none.ts` and `packages/core/src/ids.ts`')).toEqual([
      'packages/none/src/none.ts',
    ])
    expect(deadScripts('`npm run nothing` and `npm run sim`')).toEqual(['nothing'])
  })
})
