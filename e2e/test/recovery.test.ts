import { MiaouError } from '@miaou/sdk'
import {
  befriend,
  type Daemon,
  delivered,
  Household,
  linked,
  receivedTexts,
  until,
  webRtcChild,
} from '@miaou/testkit/processes'
import { afterEach, beforeEach, expect, test } from 'vitest'

// What breaks in the middle of a conversation costs time and nothing else: every message once, in order.
let house: Household

beforeEach(() => {
  house = new Household()
})

afterEach(() => house.end())

type Name = 'Alice' | 'Bob'

async function start(): Promise<Record<Name, Daemon>> {
  const [Alice, Bob] = await Promise.all([house.start('Alice'), house.start('Bob')])
  await befriend({ client: Alice.client, name: 'Alice' }, { client: Bob.client, name: 'Bob' })
  await linked(Alice.client, Bob.client)
  return { Alice, Bob }
}

/** Sends one after the other as a program does: again with the same key until it is accepted, whatever crashes. */
async function sendAll(daemons: Record<Name, Daemon>, from: Name, to: Name, texts: readonly string[]): Promise<void> {
  for (const [i, text] of texts.entries()) {
    await until(
      `${from} to accept "${text}"`,
      async () => {
        try {
          return await daemons[from].client.messages.send(to, text, { key: `${from}-${i}` })
        } catch (error) {
          if (error instanceof MiaouError) return undefined
          throw error
        }
      },
      { withinMs: 60_000 },
    )
  }
}

function texts(from: Name, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${from} ${i}`)
}

async function countAt(daemon: Daemon, from: Name): Promise<number> {
  const [last] = await daemon.client.messages.list({ with: from, limit: 1 })
  return last?.position ?? 0
}

/** Waits until so much is in a home's history of a conversation. */
function reached(daemon: Daemon, from: Name, position: number): Promise<true> {
  return until(`${position} messages`, async () => ((await countAt(daemon, from)) >= position ? true : undefined), {
    withinMs: 60_000,
  })
}

test('the WebRTC child is killed in mid-conversation: nothing lost or doubled, the link comes back', async () => {
  const daemons = await start()
  const { Alice, Bob } = daemons
  const [there, back] = [texts('Alice', 150), texts('Bob', 150)]
  const sending = Promise.all([sendAll(daemons, 'Alice', 'Bob', there), sendAll(daemons, 'Bob', 'Alice', back)])
  for (const [daemon, other, position] of [
    [Alice, 'Bob', 60],
    [Bob, 'Alice', 160],
  ] as const) {
    await reached(daemon, other, position)
    const child = await until('a WebRTC child', () => webRtcChild(daemon.pid))
    process.kill(child, 'SIGKILL')
  }
  await sending
  await Promise.all([delivered(Alice.client, 'Bob', 150, 60_000), delivered(Bob.client, 'Alice', 150, 60_000)])
  expect(await receivedTexts(Bob.client, 'Alice')).toEqual(there)
  expect(await receivedTexts(Alice.client, 'Bob')).toEqual(back)
  await linked(Alice.client, Bob.client)
  expect([Alice.isRunning, Bob.isRunning]).toEqual([true, true])
})

test('daemons are killed five times while 300 messages go both ways: each arrives once, in order', async () => {
  const daemons = await start()
  const count = 150
  const [there, back] = [texts('Alice', count), texts('Bob', count)]
  const sending = Promise.all([sendAll(daemons, 'Alice', 'Bob', there), sendAll(daemons, 'Bob', 'Alice', back)])
  // Moments at random, one in each sixth of the exchange, counted in messages that the victim has.
  const seed = Math.floor(Math.random() * 2 ** 32)
  console.log(`moments of seed ${seed}`)
  for (let kill = 1; kill <= 5; kill++) {
    const victim: Name = kill % 2 === 0 ? 'Alice' : 'Bob'
    const other: Name = victim === 'Alice' ? 'Bob' : 'Alice'
    await reached(daemons[victim], other, Math.floor((kill - fractionOf(seed, kill)) * 50))
    await daemons[victim].kill()
    daemons[victim] = await house.start(victim)
  }
  await sending
  await Promise.all([
    delivered(daemons.Alice.client, 'Bob', count, 90_000),
    delivered(daemons.Bob.client, 'Alice', count, 90_000),
  ])
  expect(await receivedTexts(daemons.Bob.client, 'Alice')).toEqual(there)
  expect(await receivedTexts(daemons.Alice.client, 'Bob')).toEqual(back)
})

test('a stop in the middle of sending ends with 0; what was accepted goes out next time', async () => {
  const daemons = await start()
  const accepted: string[] = []
  const sending = (async () => {
    for (const text of texts('Alice', 2_000)) {
      try {
        await daemons.Alice.client.messages.send('Bob', text)
      } catch (error) {
        if (error instanceof MiaouError) return
        throw error
      }
      accepted.push(text)
    }
  })()
  await reached(daemons.Bob, 'Alice', 20)
  // The suite's own limit is the bound: an end that waits for receipts, or for ever, would pass it.
  expect(await daemons.Alice.stop()).toBe(0)
  await sending
  expect(accepted.length).toBeLessThan(2_000)
  daemons.Alice = await house.start('Alice')
  const arrived = await until(
    'everything accepted to arrive',
    async () => {
      const received = await receivedTexts(daemons.Bob.client, 'Alice')
      return received.length >= accepted.length ? received : undefined
    },
    { withinMs: 60_000 },
  )
  // One more may have been stored whose answer did not come back any more.
  expect(arrived.slice(0, accepted.length)).toEqual(accepted)
  expect(arrived.length).toBeLessThanOrEqual(accepted.length + 1)
})

/** 0 to 1, by seed and number. */
function fractionOf(seed: number, index: number): number {
  let t = (seed + Math.imul(index, 0x6d2b79f5)) >>> 0
  t = Math.imul(t ^ (t >>> 15), t | 1)
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
  return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000
}
