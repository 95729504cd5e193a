import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { defaultCircuitsLimits, defaultRelayLinkLimits } from '../src/circuit/circuits-limits.ts'

const spec = readFileSync(new URL('../../../spec/circuits.md', import.meta.url), 'utf8')

describe('spec/circuits.md says what the code does', () => {
  test('every limit is in the table, with its value', () => {
    const rows = [...spec.matchAll(/^\| `circuits\.(\w+)` \| ([\d.]+) \|/gm)]
    const written = rows.map(([, name, value]) => [name, Number(value)])
    expect(written).toEqual(Object.entries(defaultCircuitsLimits))
    expect(defaultRelayLinkLimits.probeMs).toBe(3_000)
  })

  test('[C40] every counter is named', () => {
    const code = readFileSync(new URL('../src/circuit/circuits-counters.ts', import.meta.url), 'utf8')
    const names = [...code.matchAll(/\| '([\w-]+)'/g)].map(([, name = '']) => name)
    expect(names.length).toBeGreaterThan(15)
    for (const name of names) expect(spec).toContain(`\`${name}\``)
  })

  test('the rules that tests name exist', () => {
    const folder = new URL('.', import.meta.url)
    const named = readdirSync(folder)
      .filter((name) => name.startsWith('circuits') && name.endsWith('.test.ts'))
      .flatMap((name) => [...readFileSync(new URL(name, folder), 'utf8').matchAll(/\[(C\d+)\]/g)])
      .map(([, rule = '']) => rule)
    expect(new Set(named).size).toBeGreaterThan(10)
    for (const rule of new Set(named)) expect(spec).toContain(`**[${rule}]**`)
  })
})
