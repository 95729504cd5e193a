import { befriend, delivered, Household, history, linked, receivedTexts, until } from '@miaou/testkit/processes'
import { afterEach, beforeEach, expect, test } from 'vitest'

// The wall clock of one daemon jumps by a day, backwards and forwards, while it talks and while it is away.
const dayMs = 86_400_000
const preload = new URL('../../testkit/src/processes/jumping-clock.ts', import.meta.url).href
let house: Household

beforeEach(() => {
  house = new Household()
})

afterEach(() => house.end())

function clock(stepMs: number, isJumped = false): { readonly environment: NodeJS.ProcessEnv } {
  return {
    environment: {
      NODE_OPTIONS: `--import=${preload}`,
      MIAOU_TEST_CLOCK_MS: String(stepMs),
      ...(isJumped ? { MIAOU_TEST_CLOCK_STARTS: 'jumped' } : {}),
    },
  }
}

test.each([
  ['back', -dayMs],
  ['forward', dayMs],
])('a clock that jumps %s a day: both go on talking, in order, nothing twice', async (_way, stepMs) => {
  const [alice, bob] = await Promise.all([house.start('Alice', [], clock(stepMs)), house.start('Bob')])
  await befriend({ client: alice.client, name: 'Alice' }, { client: bob.client, name: 'Bob' })
  await linked(alice.client, bob.client)
  await alice.client.messages.send('Bob', 'before')
  await bob.client.messages.send('Alice', 'before')
  await Promise.all([delivered(alice.client, 'Bob', 1), delivered(bob.client, 'Alice', 1)])
  const [before] = await history(alice.client, 'Bob', 'out')

  process.kill(alice.pid, 'SIGUSR2')
  await alice.client.messages.send('Bob', 'after')
  await bob.client.messages.send('Alice', 'after')
  await Promise.all([delivered(alice.client, 'Bob', 2), delivered(bob.client, 'Alice', 2)])
  // The clock did jump, and the history keeps the order in which things happened.
  const [first, second] = await history(alice.client, 'Bob', 'out')
  expect(first?.id).toBe(before?.id)
  expect(Math.abs((second?.sentAt ?? 0) - (first?.sentAt ?? 0))).toBeGreaterThan(dayMs / 2)

  // What waits for somebody who is away goes out when they come back, whatever the clock says meanwhile.
  await bob.stop()
  await alice.client.messages.send('Bob', 'while Bob is away')
  process.kill(alice.pid, 'SIGUSR2')
  await alice.client.messages.send('Bob', 'and again')
  const again = await house.start('Bob')
  await delivered(alice.client, 'Bob', 4, 60_000)
  expect(await receivedTexts(again.client, 'Alice')).toEqual(['before', 'after', 'while Bob is away', 'and again'])
  expect(await receivedTexts(alice.client, 'Bob')).toEqual(['before', 'after'])

  // A home whose stored times lie a day or two away opens, and its messages go out.
  await again.stop()
  await alice.client.messages.send('Bob', 'stored under the old clock')
  await alice.stop()
  const [later] = await Promise.all([house.start('Alice', [], clock(-stepMs, true)), house.start('Bob')])
  await until('the last one to arrive', async () => {
    const [last] = await later.client.messages.list({ with: 'Bob', limit: 1 })
    return last?.state === 'delivered' ? true : undefined
  })
  expect(alice.output() + later.output()).not.toMatch(/"code":"internal"/)
})
