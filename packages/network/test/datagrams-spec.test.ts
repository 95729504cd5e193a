import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import * as wire from '../src/datagrams/wire.ts'
import { defaultDatagramsLimits } from '../src/index.ts'

const spec = readFileSync(new URL('../../../spec/datagrams.md', import.meta.url), 'utf8')

describe('spec/datagrams.md says what the code does', () => {
  test('every limit stands in the table with its default', () => {
    const rows = [...spec.matchAll(/^\| `(\w+)` \| (\d+) \|/gm)].map(([, name = '', value]) => [name, Number(value)])
    expect(Object.fromEntries(rows)).toEqual(defaultDatagramsLimits)
  })

  test('[D1] types, fields and sizes', () => {
    const rows = [...spec.matchAll(/^\| (\d) \| ([a-z ]+) \| `([^`]+)` \| ([\d,–]+) \|/gm)]
    const types = Object.values(wire.datagramType)
    expect(rows.map(([, type]) => Number(type))).toEqual(types)
    const least = {
      1: 1_200,
      2: wire.response.sizeMin,
      3: wire.cookieReply.size,
      4: wire.data.sizeMin,
      5: wire.hint.size,
      6: wire.opener.size,
    }
    for (const [, type = '', , fields = '', size = ''] of rows) {
      // What is sealed without a size is at least a tag.
      const sum = fields
        .split(' ‖ ')
        .reduce((total, field) => total + Number((/ ([\d,]+)$/.exec(field)?.[1] ?? '16').replace(',', '')), 0)
      expect(sum, `type ${type}`).toBe(least[Number(type) as keyof typeof least])
      expect(size.replaceAll(',', '').split('–').map(Number)[0], `type ${type}`).toBe(sum)
    }
    const { initiation, response, data, opening } = wire
    expect([initiation.mac1 - initiation.macCovers - 16, initiation.cookie - initiation.mac1]).toEqual([
      opening.size,
      16,
    ])
    expect(wire.openingPayloadMax).toBe(opening.size - opening.payload)
    expect(wire.answerPayloadMax).toBe(wire.datagramBytesMax - response.sizeMin)
    expect(wire.dataPayloadMax).toBe(wire.datagramBytesMax - data.sizeMin)
    for (const size of [wire.openingPayloadMax, wire.answerPayloadMax, wire.dataPayloadMax, opening.size]) {
      expect(spec).toContain(`${Math.floor(size / 1000)},${`${size % 1000}`.padStart(3, '0')}`)
    }
  })

  test('labels', () => {
    for (const label of [wire.datagramsPrologue, wire.macLabel]) {
      expect(spec).toContain(`\`${new TextDecoder().decode(label)}\``)
    }
  })

  test('every counter is named in the code that counts it, every rule that a test names exists', () => {
    const folder = new URL('.', import.meta.url)
    const tests = readdirSync(folder).filter((name) => name.startsWith('datagrams') && name.endsWith('.test.ts'))
    const named = tests.flatMap((name) => [...readFileSync(new URL(name, folder), 'utf8').matchAll(/\[(D\d+)\]/g)])
    const rules = new Set([...spec.matchAll(/\*\*\[(D\d+)\]\*\*/g)].map(([, rule]) => rule))
    for (const [, rule] of named) expect(rules.has(rule), `${rule}`).toBe(true)
    const sources = new URL('../src/datagrams/', import.meta.url)
    const code = readdirSync(sources).map((name) => readFileSync(new URL(name, sources), 'utf8'))
    const counters = readFileSync(new URL('datagrams-counters.ts', sources), 'utf8')
    for (const [, name] of counters.matchAll(/\| '([a-z-]+)'/g)) {
      const uses = code.filter((text) => text.includes(`'${name}'`))
      expect(uses.length, `${name}`).toBeGreaterThan(1)
    }
  })
})
