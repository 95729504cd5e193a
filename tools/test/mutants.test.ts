import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { mutantRows, mutants } from '../mutants/mutants.ts'
import { judge } from '../mutants/run-tests.ts'

const root = join(import.meta.dirname, '../..')

test.each(mutants)('[E28] $row can be made: $name', ({ file, find, replacement, killers }) => {
  const source = readFileSync(join(root, file), 'utf8')
  expect(source.split(find)).toHaveLength(2)
  expect(replacement).not.toBe(find)
  expect(killers.filter((path) => !existsSync(join(root, path)))).toEqual([])
})

test('[E28] each of the five is made at least twice', () => {
  for (const row of Object.keys(mutantRows)) {
    expect(mutants.filter((mutant) => mutant.row === row).length).toBeGreaterThanOrEqual(2)
  }
})

test('a fault counts as noticed by a failed test alone', () => {
  const file = (status: string, ...statuses: readonly string[]) => ({
    name: 'a.test.ts',
    status,
    message: 'no such module',
    assertionResults: statuses.map((each, i) => ({ status: each, fullName: `test ${i}` })),
  })
  const verdict = (numPassedTests: number, ...testResults: ReturnType<typeof file>[]) =>
    judge({ numPassedTests, testResults })
  expect(verdict(2, file('passed', 'passed', 'passed'))).toEqual({ type: 'passed', tests: 2 })
  expect(verdict(1, file('failed', 'passed', 'failed'))).toEqual({ type: 'failed', tests: ['test 1'] })
  expect(verdict(1, file('failed', 'passed', 'failed'), file('failed'))).toMatchObject({ type: 'broken' })
  expect(verdict(0)).toMatchObject({ type: 'broken' })
})
