import { readdirSync, readFileSync } from 'node:fs'
import { stunAttributesMax, stunMessageSizeMax, stunTextLengthMax } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { iceLocalPreferenceMax, iceTypePreferences } from '../src/nat/ice-priority.ts'
import { defaultNatLimits } from '../src/nat/nat-limits.ts'

const spec = readFileSync(new URL('../../../spec/nat.md', import.meta.url), 'utf8')

describe('spec/nat.md says what the code does', () => {
  test('every limit of the detection is in the table, with its value', () => {
    const rows = [...spec.matchAll(/^\| `nat\.(\w+)` \| ([\d.]+) \|/gm)].map(([, name, value]) => [name, Number(value)])
    expect(rows).toEqual(Object.entries(defaultNatLimits))
  })

  test('[NT2] [NT40] sizes and preferences', () => {
    const written = [stunMessageSizeMax, iceLocalPreferenceMax].map((value) => value.toLocaleString('en'))
    for (const text of [...written, `${stunAttributesMax} attributes`, `${stunTextLengthMax} characters`]) {
      expect(spec).toContain(text)
    }
    const words = Object.entries(iceTypePreferences).map(([type, preference]) => `${type} ${preference}`)
    for (const text of words) expect(spec.replaceAll(/\s+/g, ' ')).toContain(text)
  })

  test('the rules that tests name exist', () => {
    const folders = ['.', '../../protocol/test/', '../../host-node/test/'].map((path) => new URL(path, import.meta.url))
    const named = folders.flatMap((folder) =>
      readdirSync(folder)
        .filter((name) => name.endsWith('.test.ts'))
        .flatMap((name) => [...readFileSync(new URL(name, folder), 'utf8').matchAll(/\[(NT\d+)\]/g)])
        .map(([, rule = '']) => rule),
    )
    expect(new Set(named).size).toBeGreaterThan(20)
    for (const rule of new Set(named)) expect(spec).toContain(`**[${rule}]**`)
  })
})
