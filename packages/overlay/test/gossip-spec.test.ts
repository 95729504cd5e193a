import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { defaultGossipOptions } from '../src/gossip/gossip-options.ts'

const spec = readFileSync(new URL('../../../spec/gossip.md', import.meta.url), 'utf8')

describe('spec/gossip.md says what the engine does', () => {
  test('every option stands in the table with its default', () => {
    const rows = [...spec.matchAll(/^\| `(\w+)` \| (-?\d+) \|$/gm)].map(([, name = '', value]) => [name, Number(value)])
    expect(Object.fromEntries(rows)).toEqual(defaultGossipOptions)
  })

  test('every rule of the engine has a test, and every rule that a test names exists', () => {
    const folder = new URL('.', import.meta.url)
    const tests = readdirSync(folder).filter((name) => name.startsWith('gossip') && name.endsWith('.test.ts'))
    const text = tests.map((name) => readFileSync(new URL(name, folder), 'utf8')).join('\n')
    const named = new Set([...text.matchAll(/\[(G\d+)\]/g)].map(([, rule = '']) => rule))
    const rules = new Set([...spec.matchAll(/\*\*\[(G\d+)\]\*\*/g)].map(([, rule = '']) => rule))
    expect([...named].filter((rule) => !rules.has(rule))).toEqual([])
    // G1 to G3 are the codec's, from G23 on they are those of the peer.
    const ofEngine = [...rules].filter((rule) => Number(rule.slice(1)) > 3 && Number(rule.slice(1)) < 23)
    expect(ofEngine.filter((rule) => !named.has(rule))).toEqual([])
  })
})
