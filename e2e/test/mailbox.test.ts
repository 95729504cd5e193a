import { befriend, type Daemon, delivered, Household, history, receivedTexts, until } from '@miaou/testkit/processes'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

// Mailboxes between real processes: two people who are never online together, and mailboxes that die.

/** `url`: where it was before, so that those who have boxes there find it. */
async function startMailbox(
  house: Household,
  name: string,
  url?: string,
): Promise<{ daemon: Daemon; address: string }> {
  const port = url === undefined ? [] : ['--port', new URL(url.slice(url.indexOf('@') + 1)).port]
  const daemon = await house.start(name, ['--serve', 'mailbox', ...port])
  const address = (await daemon.client.network.info()).serving?.mailbox?.address
  if (address === undefined) throw new Error(`no mailbox: ${daemon.output()}`)
  return { daemon, address }
}

const startWith = (house: Household, name: string, mailboxes: readonly string[], more: readonly string[] = []) =>
  house.start(name, [...mailboxes.flatMap((mailbox) => ['--mailbox', mailbox]), ...more])

/** Until a peer keeps so many boxes. */
const registered = ({ client }: Daemon, count: number) =>
  until(`${count} boxes`, async () => {
    const kept = (await client.mailboxes.list()).filter(({ state }) => state === 'registered')
    return kept.length >= count ? true : undefined
  })

/** Until the last message to somebody is in a state. */
const lastIs = ({ client }: Daemon, who: string, state: string) =>
  until(
    `the last message to ${who} to be ${state}`,
    async () => {
      const last = (await history(client, who, 'out')).at(-1)
      return last?.state === state ? last : undefined
    },
    { withinMs: 60_000 },
  )

describe('two friends who are never online together', () => {
  const house = new Household()
  let first: { daemon: Daemon; address: string }
  let second: { daemon: Daemon; address: string }
  let boxes: readonly string[]

  beforeAll(async () => {
    ;[first, second] = await Promise.all([startMailbox(house, 'first'), startMailbox(house, 'second')])
    boxes = [first.address, second.address]
    const ann = await startWith(house, 'Ann', boxes)
    const ben = await startWith(house, 'Ben', boxes)
    await Promise.all([registered(ann, 2), registered(ben, 2)])
    await befriend({ client: ann.client, name: 'Ann' }, { client: ben.client, name: 'Ben' })
    await ann.client.messages.send('Ben', 'while we are both here')
    await delivered(ann.client, 'Ben', 1)
    // Each must have heard where the other's boxes are.
    for (const { client } of [ann, ben]) {
      await until('their boxes', async () =>
        (await client.contacts.list()).every(({ mailboxes }) => mailboxes === 2) ? true : undefined,
      )
    }
    await Promise.all([ann.stop(), ben.stop()])
  })

  afterAll(() => house.end())

  test('G12 a message to somebody offline is held by two mailboxes, read by them later, and its receipt comes the same way', async () => {
    let ann = await startWith(house, 'Ann', boxes)
    await ann.client.messages.send('Ben', 'you are away')
    const held = await lastIs(ann, 'Ben', 'held')
    await until('both mailboxes to hold it', async () =>
      ((await history(ann.client, 'Ben', 'out')).at(-1)?.heldBy?.length ?? 0) === 2 ? true : undefined,
    )
    expect(held.heldBy?.every(({ until: time }) => time > Date.now())).toBe(true)
    const shown = await house.run('Ann', ['history', 'Ben'])
    expect(shown.stdout).toMatch(/held by 2 mailboxes until/)
    await ann.stop()

    const ben = await startWith(house, 'Ben', boxes)
    await until('the message', async () =>
      (await receivedTexts(ben.client, 'Ann')).includes('you are away') ? true : undefined,
    )
    await ben.client.messages.send('Ann', 'and now you are')
    await lastIs(ben, 'Ann', 'held')
    await ben.stop()

    ann = await startWith(house, 'Ann', boxes)
    await delivered(ann.client, 'Ben', 2, 60_000)
    await until('the answer', async () =>
      (await receivedTexts(ann.client, 'Ben')).includes('and now you are') ? true : undefined,
    )
    await ann.stop()
  })

  test('a mailbox killed after it accepted has it after its restart; nothing comes twice from two', async () => {
    const ann = await startWith(house, 'Ann', boxes)
    const texts = Array.from({ length: 20 }, (_, i) => `kept ${i}`)
    for (const text of texts) await ann.client.messages.send('Ben', text)
    await lastIs(ann, 'Ben', 'held')
    await ann.stop()
    await Promise.all([first.daemon.kill(), second.daemon.kill()])
    await startMailbox(house, 'first', first.address)
    const ben = await startWith(house, 'Ben', boxes)
    const before = (await receivedTexts(ben.client, 'Ann')).filter((text) => !text.startsWith('kept'))
    await until(
      'all texts',
      async () => ((await receivedTexts(ben.client, 'Ann')).length >= before.length + texts.length ? true : undefined),
      { withinMs: 60_000 },
    )
    await startMailbox(house, 'second', second.address)
    await registered(ben, 2)
    expect((await receivedTexts(ben.client, 'Ann')).filter((text) => text.startsWith('kept'))).toEqual(texts)
    await ben.stop()
  })

  test('the mailboxes know neither names nor ids nor texts: their homes, answers and logs are searched', async () => {
    const told = JSON.stringify([await first.daemon.client.network.info().catch(() => ''), first.daemon.output()])
    for (const word of ['Ann', 'Ben', 'kept 1', 'you are away']) expect(told).not.toContain(word)
  })
})

describe('a stranger with an invite whose maker is offline', () => {
  const house = new Household()
  afterAll(() => house.end())

  test('H02 the first message is written from a prekey bundle, and the friendship stands when its maker comes back', async () => {
    const box = await startMailbox(house, 'box')
    let ann = await startWith(house, 'Ann', [box.address])
    await registered(ann, 1)
    const { invite } = await ann.client.invites.create()
    // Her record has to be in the overlay, where who holds the invite finds it.
    await until('the supply', async () => {
      const [mailbox] = await ann.client.mailboxes.list()
      return (mailbox?.stock?.oneTimeBundles ?? 0) > 0 ? true : undefined
    })
    await ann.stop()
    const ben = await startWith(house, 'Ben', [box.address])
    await ben.client.contacts.add({ invite, name: 'Ann' })
    await ben.client.messages.send('Ann', 'we never met')
    await lastIs(ben, 'Ann', 'held')
    await ben.stop()
    ann = await startWith(house, 'Ann', [box.address])
    const contact = await until('the friendship', async () =>
      (await ann.client.contacts.list()).find(({ state }) => state === 'contact'),
    )
    await until('the text', async () =>
      (await receivedTexts(ann.client, contact.account)).includes('we never met') ? true : undefined,
    )
    await ann.stop()
  })
})

describe('two hops', () => {
  const house = new Household()
  afterAll(() => house.end())

  test('a deposit goes through the sender’s relay: the mailbox sees the relay alone', async () => {
    const relay = await house.start('relay', ['--serve', 'relay', '--stun-port', '0'])
    const relayAddress = (await relay.client.network.info()).serving?.relay?.address ?? ''
    const box = await startMailbox(house, 'box')
    let ben = await startWith(house, 'Ben', [box.address])
    const ann = await startWith(house, 'Ann', [], ['--relay', relayAddress])
    await registered(ben, 1)
    await befriend({ client: ben.client, name: 'Ben' }, { client: ann.client, name: 'Ann' })
    await until('a reservation', async () =>
      (await ann.client.network.info()).reservations.length > 0 ? true : undefined,
    )
    await ben.stop()
    await ann.client.messages.send('Ben', 'by two hops')
    await lastIs(ann, 'Ben', 'held')
    const { counters } = await ann.client.network.info()
    expect(counters['mailboxes-deposits-relayed']).toBeGreaterThanOrEqual(1)
    expect(counters['mailboxes-deposits-straight'] ?? 0).toBe(0)
    const { serving } = await relay.client.network.info()
    expect(serving?.relay?.counters['services-opened']).toBeGreaterThanOrEqual(1)
    ben = await startWith(house, 'Ben', [box.address])
    await until('the text', async () =>
      (await receivedTexts(ben.client, 'Ann')).includes('by two hops') ? true : undefined,
    )
  })
})
