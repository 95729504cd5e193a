import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import {
  befriend,
  type Daemon,
  Household,
  history,
  type MailboxDeed,
  RecordingMailbox,
  receivedTexts,
  recorded,
  until,
} from '@miaou/testkit/processes'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

// Issue 5, "Bad input", between real processes: two people who are never there together have a mailbox that means harm
// beside an honest one. What single engines do with such a mailbox stands in packages/network/test/mailboxes-hostile.test.ts
// and packages/messaging/test/mail-inbox.test.ts, a full disk in packages/host-node/test/mailbox-disk-full.test.ts.
const house = new Household()
let hostile: RecordingMailbox
let honest: RecordingMailbox
/** Of Ann to Ben, in order. */
const said: string[] = []

const start = (name: string): Promise<Daemon> =>
  house.start(name, ['--mailbox', hostile.address, '--mailbox', honest.address])

const registered = ({ client }: Daemon, count: number) =>
  until(`${count} boxes`, async () =>
    (await client.mailboxes.list()).filter(({ state }) => state === 'registered').length >= count ? true : undefined,
  )

/** Until every message to Ben has a receipt or is kept by so many mailboxes. */
function left({ client }: Daemon, mailboxes: number): Promise<true> {
  return until(
    `all messages to be held by ${mailboxes}`,
    async () => {
      const waiting = (await history(client, 'Ben', 'out')).filter(
        ({ state }) => !['delivered', 'read'].includes(state),
      )
      return waiting.every(({ heldBy }) => (heldBy?.length ?? 0) >= mailboxes) ? true : undefined
    },
    { withinMs: 60_000 },
  )
}

/** How many messages to Ben have a receipt. */
const receipts = async ({ client }: Daemon): Promise<number> =>
  (await history(client, 'Ben', 'out')).filter(({ state }) => state === 'delivered' || state === 'read').length

const receipted = (ann: Daemon) =>
  until('all receipts', async () => ((await receipts(ann)) === said.length ? true : undefined), { withinMs: 60_000 })

const deposits = (mailbox: RecordingMailbox): number => mailbox.depositSizes().length

/** Ann writes while Ben is away, then Ben comes while Ann is: everything ever said is there once and in order. */
async function talk(what: string, count: number): Promise<void> {
  const ann = await start('Ann')
  for (let i = 0; i < count; i++) {
    said.push(`${what} ${i}`)
    await ann.client.messages.send('Ben', said.at(-1) ?? '')
  }
  await left(ann, 2)
  await ann.stop()
  await fetched()
}

async function fetched(): Promise<void> {
  const before = deposits(honest)
  const ben = await start('Ben')
  await until(
    'all texts',
    async () => ((await receivedTexts(ben.client, 'Ann')).length >= said.length ? true : undefined),
    { withinMs: 60_000 },
  )
  expect(await receivedTexts(ben.client, 'Ann')).toEqual(said)
  // Nobody else leaves anything now: these are receipts.
  await until('receipts to be left', () => (deposits(honest) > before ? true : undefined), { withinMs: 60_000 })
  await ben.stop()
}

beforeAll(async () => {
  mkdirSync(house.home('boxes'))
  hostile = await RecordingMailbox.start(join(house.home('boxes'), 'hostile.db'))
  honest = await RecordingMailbox.start(join(house.home('boxes'), 'honest.db'))
  const [ann, ben] = await Promise.all([start('Ann'), start('Ben')])
  await Promise.all([registered(ann, 2), registered(ben, 2), recorded(ann), recorded(ben)])
  await befriend({ client: ann.client, name: 'Ann' }, { client: ben.client, name: 'Ben' })
  said.push('hello')
  await ann.client.messages.send('Ben', 'hello')
  await receipted(ann)
  await Promise.all([ann.stop(), ben.stop()])
})

afterAll(async () => {
  await house.end()
  await Promise.all([hostile?.stop(), honest?.stop()])
})

describe('a mailbox that means harm beside an honest one', () => {
  test.each<MailboxDeed>(['lose', 'withhold', 'repeat', 'reorder', 'swap'])(
    'it does "%s" to what it accepted: everything arrives once and in order',
    async (deed) => {
      hostile.deed = deed
      const before = hostile.spoilt
      await talk(deed, 5)
      hostile.deed = 'pass'
      // It had its chance; what it withheld was asked for all the same.
      expect(hostile.spoilt).toBeGreaterThanOrEqual(deed === 'withhold' ? before : before + 1)
    },
  )

  test('receipts came by the same mailboxes, and in the end every delivery has its own', async () => {
    const ann = await start('Ann')
    await until('receipts by mail', async () => ((await receipts(ann)) > 1 ? true : undefined), { withinMs: 60_000 })
    await start('Ben')
    await receipted(ann)
  })
})
