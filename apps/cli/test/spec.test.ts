import { readFileSync } from 'node:fs'
import { commonErrors, diagnosticCodes, errorKinds, operationNames, operations } from '@miaou/sdk'
import { describe, expect, test } from 'vitest'
import { defaultApiOptions } from '../src/api/app.ts'
import { commandNames } from '../src/command-names.ts'
import { exitCodes } from '../src/exit-code.ts'
import { jsonShapes } from '../src/json-shapes.ts'

function read(name: string): string {
  return readFileSync(new URL(`../../../spec/${name}`, import.meta.url), 'utf8')
}

/** First cells of the rows that follow a table's head. */
function firstCells(document: string, head: string): string[] {
  const [, after = ''] = document.split(head)
  const rows = after.split('\n').slice(2)
  const end = rows.findIndex((row) => !row.startsWith('|'))
  return rows.slice(0, end < 0 ? undefined : end).map((row) => (row.split('|')[1] ?? '').trim().replaceAll('`', ''))
}

describe('spec/api.md', () => {
  const api = read('api.md')

  test('has every operation with its route and its own codes', () => {
    expect(firstCells(api, '| operation | route | does | codes of its own |')).toEqual([...operationNames])
    for (const name of operationNames) {
      const { method, path, summary, errors } = operations[name]
      const codes = [...new Set<string>(errors)].map((code) => `\`${code}\``).join(' ') || '–'
      expect(api).toContain(`| \`${name}\` | \`${method} ${path}\` | ${summary} | ${codes} |`)
    }
    expect(api.replaceAll('\n', ' ')).toContain(commonErrors.map((code) => `\`${code}\``).join(' '))
  })

  test('has every code with its status and facts', () => {
    expect(firstCells(api, '| code | status | facts |')).toEqual(Object.keys(errorKinds))
    for (const [code, { status, facts }] of Object.entries(errorKinds)) {
      expect(api).toContain(`| \`${code}\` | ${status} | ${facts.map((fact) => `\`${fact}\``).join(' ') || '–'} |`)
    }
  })

  test('[API13] has every diagnostic code with its facts', () => {
    expect(firstCells(api, '## Diagnostic codes\n\n| code | facts |')).toEqual(Object.keys(diagnosticCodes))
    for (const [code, facts] of Object.entries<readonly string[]>(diagnosticCodes)) {
      expect(api).toContain(`| \`${code}\` | ${facts.map((fact) => `\`${fact}\``).join(' ') || '–'} |`)
    }
  })

  test('has the limits', () => {
    const { bodyBytesMax, requestsPerSecond, requestsBurst, connectionsMax, streamsMax } = defaultApiOptions
    const { streamBytesMax, streamSlowMs, beatMs } = defaultApiOptions
    expect([bodyBytesMax, streamBytesMax]).toEqual([256 * 1024, 1024 * 1024])
    const text = api.replaceAll('\n', ' ').replace(/ +/g, ' ')
    expect(text).toContain(
      `${requestsPerSecond.toLocaleString('en')} requests a second with bursts of ${requestsBurst.toLocaleString('en')}`,
    )
    expect(text).toContain(`${connectionsMax} connections, ${streamsMax} event streams`)
    expect(text).toContain(`takes nothing for ${streamSlowMs / 1000} s`)
    expect(text).toContain(`every ${beatMs / 1000} s`)
  })
})

describe('spec/cli.md', () => {
  const cli = read('cli.md')

  test('has both spellings', () => {
    const rows = commandNames.map(([hyphenated, spaced]) => `| \`${hyphenated}\` | \`${spaced.join(' ')}\` |`)
    for (const row of rows) expect(cli).toContain(row)
    expect(firstCells(cli, '| as the rows write it | as documented |')).toHaveLength(rows.length)
  })

  test('has the exit codes', () => {
    expect(firstCells(cli, '| code | meaning |')).toEqual(Object.values(exitCodes).map(String))
  })

  test('has every command that prints JSON', () => {
    const commands = firstCells(cli, '| command | one object a line |')
    expect([...Object.keys(jsonShapes), 'chat'].sort()).toEqual([...commands].sort())
  })
})
