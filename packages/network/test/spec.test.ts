import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { defaultLinkLimits, paddingBuckets } from '../src/link-limits.ts'
import { defaultNetworkLimits } from '../src/network-limits.ts'
import { channelNames, sealOverhead } from '../src/sealed-channel.ts'

const spec = readFileSync(new URL('../../../spec/links.md', import.meta.url), 'utf8')
const limits = { link: defaultLinkLimits, network: defaultNetworkLimits }

describe('spec/links.md says what the code does', () => {
  const rows = [...spec.matchAll(/^\| `(link|network)\.(\w+)` \| ([\d.]+) \|/gm)]

  test('every limit is in the table, with its value', () => {
    const written = rows.map(([, group, name, value]) => [`${group}.${name}`, Number(value)])
    const coded = Object.entries(limits).flatMap(([group, values]) =>
      Object.entries(values).map(([name, value]) => [`${group}.${name}`, value]),
    )
    expect(written).toEqual(coded)
  })

  test('[L20] [L21] [L22] sizes, buckets and names', () => {
    expect(sealOverhead).toBe(24)
    for (const bucket of paddingBuckets) expect(spec).toContain(bucket.toLocaleString('en'))
    for (const name of channelNames) expect(spec).toContain(`\`${name}\``)
  })

  test('every counter is in L90 or is an error type', () => {
    const code = readFileSync(new URL('../src/counters.ts', import.meta.url), 'utf8')
    const errors = readFileSync(new URL('../src/interface.ts', import.meta.url), 'utf8')
    const names = [...code.matchAll(/\| '([\w-]+)'/g)].map(([, name = '']) => name)
    expect(names.length).toBeGreaterThan(20)
    for (const name of names) {
      expect(spec.includes(`\`${name}\``) || errors.includes(`'${name}'`), name).toBe(true)
    }
  })

  test('the rules that tests name exist', () => {
    const folder = new URL('.', import.meta.url)
    const named = readdirSync(folder)
      .filter((name) => name.endsWith('.test.ts'))
      .flatMap((name) => [...readFileSync(new URL(name, folder), 'utf8').matchAll(/\[(L\d+)\]/g)])
      .map(([, rule = '']) => rule)
    for (const rule of new Set(named)) expect(spec).toContain(`**[${rule}]**`)
  })
})
