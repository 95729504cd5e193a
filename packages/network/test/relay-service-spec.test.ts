import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { defaultRelayLimits } from '../src/circuit/relay-service-limits.ts'

const spec = readFileSync(new URL('../../../spec/relay-service.md', import.meta.url), 'utf8')

describe('spec/relay-service.md says what the code does', () => {
  test('every limit is in the table, with its value', () => {
    const rows = [...spec.matchAll(/^\| `relay\.(\w+)` \| (\d+) \|/gm)]
    expect(rows.map(([, name, value]) => [name, Number(value)])).toEqual(Object.entries(defaultRelayLimits))
  })

  test('[R60] every counter is named', () => {
    const code = readFileSync(new URL('../src/circuit/relay-service-counters.ts', import.meta.url), 'utf8')
    const names = [...code.matchAll(/\| '([\w-]+)'/g)].map(([, name = '']) => name)
    expect(names.length).toBeGreaterThan(20)
    for (const name of names) expect(spec).toContain(`\`${name}\``)
  })

  test('the rules that tests name exist, and every rule of the engine has a test', () => {
    const folders = [new URL('.', import.meta.url), new URL('../../host-node/test/', import.meta.url)]
    const named = folders.flatMap((folder) =>
      readdirSync(folder)
        .filter((name) => /^(relay|websocket)-.*\.test\.ts$/.test(name))
        .flatMap((name) => [...readFileSync(new URL(name, folder), 'utf8').matchAll(/\[(R\d+)\]/g)])
        .map(([, rule = '']) => rule),
    )
    const rules = [...spec.matchAll(/^- \*\*\[(R\d+)\]\*\*/gm)].map(([, rule = '']) => rule)
    expect([...new Set(named)].sort()).toEqual([...rules].sort())
  })
})
