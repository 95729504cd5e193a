import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { defaultKademliaConfig } from '../src/kademlia/config.ts'

const spec = readFileSync(new URL('../../../spec/overlay.md', import.meta.url), 'utf8')
const engine = spec.slice(spec.indexOf('## Engine'))

describe('spec/overlay.md says what the engine does', () => {
  test('every option stands in the table with its default', () => {
    const rows = [...engine.matchAll(/^\| `(\w+)` \| ([\w]+) \|/gm)].map(([, name = '', value = '']) => [
      name,
      /^\d+$/.test(value) ? Number(value) : value,
    ])
    expect(Object.fromEntries(rows)).toEqual(defaultKademliaConfig)
  })

  test('every rule has a test, and every rule that a test names exists', () => {
    const folder = new URL('.', import.meta.url)
    const tests = readdirSync(folder).filter((name) => name.startsWith('kademlia') && name.endsWith('.test.ts'))
    const text = tests.map((name) => readFileSync(new URL(name, folder), 'utf8')).join('\n')
    const named = new Set([...text.matchAll(/\[(O\d+)\]/g)].map(([, rule]) => rule))
    const rules = new Set([...engine.matchAll(/\*\*\[(O\d+)\]\*\*/g)].map(([, rule]) => rule))
    expect([...named].sort()).toEqual([...rules].sort())
  })
})
