import { readFileSync } from 'node:fs'
import * as peer from '@miaou/peer'
import { describe, expect, test } from 'vitest'
import * as messaging from '../../messaging/src/device-ways.ts'
import * as relays from '../src/records/known-relays.ts'
import * as lookups from '../src/records/record-lookups.ts'
import * as host from '../src/records/records-host.ts'

const text = readFileSync(new URL('../../../spec/records.md', import.meta.url), 'utf8').split('\n## Engine\n')[1] ?? ''
const rows = [...text.matchAll(/^\| `([\w.]+)` \| (\d+) \|/gm)].map(([, name = '', value = '']) => [name, value])
const all = { ...peer, ...messaging, ...relays, ...lookups, ...host }

/** `a.b` looks up `b` in the exported object `a`. */
function lookUp(path: string): unknown {
  return path.split('.').reduce<unknown>((value, field) => Reflect.get(Object(value), field), all)
}

describe('the specification of records says what the code does', () => {
  test.each(rows)('%s = %s', (name, value) => {
    expect(lookUp(name ?? '')).toBe(Number(value))
  })

  test.each(['defaultRecordLimits', 'defaultContactWaysLimits'])('every field of %s is in it', (name) => {
    expect(rows.map(([each]) => each)).toEqual(
      expect.arrayContaining(Object.keys(Object(lookUp(name))).map((field) => `${name}.${field}`)),
    )
  })
})
