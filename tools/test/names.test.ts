import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const rows = [
  ...readFileSync(join(root, 'spec/names.md'), 'utf8').matchAll(/^\| (.+) \| `(\w+)` \| `([^`]+)` \|$/gm),
].map(([, source = '', name = '', path = '']) => ({ source, name, path }))

test('the index of names has its rows', () => {
  expect(rows.length).toBeGreaterThan(50)
})

test.each(rows)('$source is $name in $path', ({ name, path }) => {
  expect(existsSync(join(root, path)), `${path} does not exist`).toBe(true)
  expect(readFileSync(join(root, path), 'utf8')).toMatch(new RegExp(`\\b${name}\\b`))
})
