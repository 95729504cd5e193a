import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { defaultMailboxServiceLimits } from '../src/mailbox/mailbox-service-limits.ts'
import { defaultQueueLimits } from '../src/mailbox/mailbox-service-queue.ts'

const spec = readFileSync(new URL('../../../spec/mailbox.md', import.meta.url), 'utf8')

function rowsOf(name: string): [string | undefined, number][] {
  return [...spec.matchAll(new RegExp(`^\\| \`${name}\\.(\\w+)\` \\| (\\d+) \\|`, 'gm'))].map(([, key, value]) => [
    key,
    Number(value),
  ])
}

describe('spec/mailbox.md says what the service does', () => {
  test('every limit is in its table, with its value', () => {
    expect(rowsOf('mailboxService')).toEqual(Object.entries(defaultMailboxServiceLimits))
    expect(rowsOf('queue')).toEqual(Object.entries(defaultQueueLimits))
  })

  test('[MB49] every counter is named', () => {
    const code = readFileSync(new URL('../src/mailbox/mailbox-service-counters.ts', import.meta.url), 'utf8')
    const names = [...code.matchAll(/\| '([\w-]+)'/g)].map(([, name = '']) => name)
    expect(names.length).toBeGreaterThan(20)
    for (const name of names) expect(spec).toContain(`\`${name}\``)
  })

  test('the rules that tests name exist, and every rule of the service has a test', () => {
    const folders = ['.', '../../host-node/test/', '../../../testkit/src/contracts/']
    const named = folders.flatMap((folder) =>
      readdirSync(new URL(folder, import.meta.url))
        .filter((name) => /^(mailbox-.*\.test|message-queue)\.ts$/.test(name))
        .flatMap((name) => [
          ...readFileSync(new URL(`${folder}/${name}`, import.meta.url), 'utf8').matchAll(/\[(MB\d+)\]/g),
        ])
        .map(([, rule = '']) => rule),
    )
    for (const rule of new Set(named)) expect(spec).toContain(`**[${rule}]**`)
    for (const [, rule = ''] of spec.matchAll(/\*\*\[(MB[3458]\d)\]\*\*/g)) expect(named).toContain(rule)
  })
})
