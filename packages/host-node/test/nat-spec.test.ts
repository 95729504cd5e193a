import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { defaultPortMapperLimits } from '../src/nat/port-mapper.ts'
import { defaultStunAnswererLimits } from '../src/nat/stun-answerer.ts'
import { defaultTurnCheckLimits } from '../src/nat/turn-check.ts'

const spec = readFileSync(new URL('../../../spec/nat.md', import.meta.url), 'utf8')

test('spec/nat.md: every limit is in the table, with its value', () => {
  const groups = { answerer: defaultStunAnswererLimits, turn: defaultTurnCheckLimits, mapper: defaultPortMapperLimits }
  const rows = [...spec.matchAll(/^\| `(answerer|turn|mapper)\.(\w+)` \| ([\d.]+) \|/gm)]
  const written = rows.map(([, group, name, value]) => [`${group}.${name}`, Number(value)])
  const coded = Object.entries(groups).flatMap(([group, values]) =>
    Object.entries(values).map(([name, value]) => [`${group}.${name}`, value]),
  )
  expect(written).toEqual(coded)
})
