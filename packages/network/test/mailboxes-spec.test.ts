import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { defaultMailboxesLimits, defaultMailboxLinkLimits } from '../src/mailbox/mailboxes-limits.ts'

const spec = readFileSync(new URL('../../../spec/mailbox.md', import.meta.url), 'utf8')

describe('spec/mailbox.md says what the client does', () => {
  test('every limit is in the table, with its value', () => {
    const rows = [...spec.matchAll(/^\| `mailboxes\.(\w+)` \| ([\d.]+) \|/gm)]
    const written = rows.map(([, name, value]) => [name, Number(value)])
    expect(written).toEqual(Object.entries(defaultMailboxesLimits))
    expect(defaultMailboxLinkLimits.probeMs).toBe(3_000)
  })

  test('[MB74] every counter is named', () => {
    const code = readFileSync(new URL('../src/mailbox/mailboxes-counters.ts', import.meta.url), 'utf8')
    const names = [...code.matchAll(/\| '([\w-]+)'/g)].map(([, name = '']) => name)
    expect(names.length).toBeGreaterThan(15)
    for (const name of names) expect(spec).toContain(`\`${name}\``)
  })

  test('the rules that tests name exist, and all of the client have a test', () => {
    const folder = new URL('.', import.meta.url)
    const named = readdirSync(folder)
      .filter((name) => name.startsWith('mailboxes') && name.endsWith('.test.ts'))
      .flatMap((name) => [...readFileSync(new URL(name, folder), 'utf8').matchAll(/\[(MB\d+)\]/g)])
      .map(([, rule = '']) => rule)
    for (const rule of new Set(named)) expect(spec).toContain(`**[${rule}]**`)
    for (const [, rule = ''] of spec.matchAll(/\*\*\[(MB[67]\d)\]\*\*/g)) expect(named).toContain(rule)
  })
})
