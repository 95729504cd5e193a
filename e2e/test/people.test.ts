import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { MiaouClient, News } from '@miaou/sdk'
import { befriend, type Daemon, delivered, Household, linked, receivedTexts, until } from '@miaou/testkit/processes'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

// What people decide about each other, between real processes: who is let in, who sees what, who is blocked, and an
// account that comes back from its words.
let house: Household

beforeEach(() => {
  house = new Household()
})

afterEach(() => house.end())

async function friends(): Promise<{ alice: Daemon; bob: Daemon }> {
  const [alice, bob] = await Promise.all([house.start('alice'), house.start('bob')])
  await befriend({ client: alice.client, name: 'Alice' }, { client: bob.client, name: 'Bob' })
  await linked(alice.client, bob.client)
  return { alice, bob }
}

/** Everything a client hears from now on. */
function listen(client: MiaouClient): News[] {
  const heard: News[] = []
  void (async () => {
    for await (const { event } of client.events()) heard.push(event)
  })().catch(() => undefined)
  return heard
}

function hears<T extends News['type']>(heard: readonly News[], type: T): Promise<News> {
  return until(`the news ${type}`, () => heard.find((news) => news.type === type))
}

async function stateAt(client: MiaouClient, daemon: Daemon): Promise<string> {
  const { account } = await daemon.client.identity.get()
  return until('to be known', async () => (await client.contacts.list()).find((one) => one.account === account)?.state)
}

describe('blocking', () => {
  test('ends the connection, lets nothing in and tells nobody; afterwards all comes through, once', async () => {
    const { alice, bob } = await friends()
    const heard = listen(bob.client)
    expect((await house.run('alice', ['contacts', 'block', 'Bob'])).stdout).toMatch(/Bob is blocked/)
    expect(await hears(heard, 'connection-closed')).not.toMatchObject({ reason: 'blocked' })
    const written = await bob.client.messages.send('Alice', 'are you angry?')
    const { peerId } = await alice.client.identity.get()
    await expect(bob.client.network.connect(peerId, 2_000)).rejects.toMatchObject({ name: 'MiaouError' })
    expect(await receivedTexts(alice.client, 'Bob')).toEqual([])
    expect(['queued', 'sent']).toContain((await bob.client.messages.get(written.id)).state)
    expect((await bob.client.contacts.list()).find(({ name }) => name === 'Alice')?.state).toBe('contact')
    // What was decided outlives a restart.
    await alice.stop()
    const again = await house.start('alice')
    expect(await stateAt(again.client, bob)).toBe('blocked')
    await house.run('alice', ['contacts', 'unblock', 'Bob'])
    await delivered(bob.client, 'Alice', 1, 60_000)
    expect(await receivedTexts(again.client, 'Bob')).toEqual(['are you angry?'])
  })
})

describe('switches [H07]', () => {
  test('typing: seen while it is on; off, nothing leaves', async () => {
    const { alice, bob } = await friends()
    const heard = listen(alice.client)
    const typings = () => heard.filter(({ type }) => type === 'typing').length
    await until('typing to be seen', async () => {
      await bob.client.typing('Alice')
      return typings() > 0 ? true : undefined
    })
    await house.run('bob', ['settings', 'typing', 'off'])
    const before = typings()
    expect(await bob.client.typing('Alice')).toEqual({ sent: false })
    await bob.client.messages.send('Alice', 'said')
    await hears(heard, 'message-received')
    expect(typings()).toBe(before)
  })

  test('presence: seen when both meet; off, a connection says nothing of it', async () => {
    const { alice, bob } = await friends()
    await house.run('bob', ['settings', 'presence', 'off'])
    await bob.stop()
    const heard = listen(alice.client)
    const again = await house.start('bob')
    await linked(alice.client, again.client)
    await again.client.messages.send('Alice', 'here')
    await hears(heard, 'message-received')
    const isOnline = (news: News) => news.type === 'presence' && news.presence === 'online'
    expect(heard.filter(isOnline)).toEqual([])
    await house.run('bob', ['settings', 'presence', 'on'])
    await until('presence to be seen', () => heard.find(isOnline))
  })

  test('read receipts: off, what is read stays delivered for its sender', async () => {
    const { alice, bob } = await friends()
    await house.run('alice', ['settings', 'read-receipts', 'off'])
    const { id } = await bob.client.messages.send('Alice', 'one')
    await delivered(bob.client, 'Alice', 1)
    const heard = listen(bob.client)
    expect((await house.run('alice', ['recv'])).stdout).toMatch(/one/)
    await alice.client.messages.send('Bob', 'an answer')
    await hears(heard, 'message-received')
    expect((await bob.client.messages.get(id)).state).toBe('delivered')
    await house.run('alice', ['settings', 'read-receipts', 'on'])
    const second = await bob.client.messages.send('Alice', 'two')
    await until('it to arrive', async () => {
      await house.run('alice', ['recv'])
      return (await bob.client.messages.get(second.id)).state === 'read' ? true : undefined
    })
  })
})

test('discoverable: everyone, contacts, off — between processes', async () => {
  const { alice, bob } = await friends()
  const stranger = await house.start('stranger')
  const { peerId } = await alice.client.identity.get()
  const sees = async ({ client }: Daemon) =>
    (await client.network.peers()).some((peer) => peer.peerId === peerId && peer.seenBy === 'mdns')
  const waitFor = (daemon: Daemon, isSeen: boolean) =>
    until(`to see ${isSeen}`, async () => ((await sees(daemon)) === isSeen ? true : undefined))
  await Promise.all([waitFor(stranger, true), waitFor(bob, true)])

  await house.run('alice', ['settings', 'discoverable', 'contacts'])
  await waitFor(stranger, false)
  await waitFor(bob, true)
  // Who comes later sees Bob, who shows himself to everyone, and not her.
  const late = await house.start('late')
  const bobPeerId = (await bob.client.identity.get()).peerId
  await until('Bob to be seen', async () =>
    (await late.client.network.peers()).find((peer) => peer.peerId === bobPeerId),
  )
  expect(await sees(late)).toBe(false)

  await house.run('alice', ['settings', 'discoverable', 'off'])
  await waitFor(bob, false)
  await house.run('alice', ['settings', 'discoverable', 'everyone'])
  await waitFor(stranger, true)
})

describe('invites', () => {
  async function uses(invite: string, name: string): Promise<Daemon> {
    const daemon = await house.start(name)
    await daemon.client.contacts.add({ invite, name: 'Alice' })
    return daemon
  }

  test('one lets in one; who comes second with it has to ask', async () => {
    const alice = await house.start('alice')
    const invite = (await house.run('alice', ['invite'])).stdout.trim()
    expect(await stateAt(alice.client, await uses(invite, 'bob'))).toBe('contact')
    const carol = await uses(invite, 'carol')
    await carol.client.messages.send('Alice', 'may I?')
    expect(await stateAt(alice.client, carol)).toBe('request')
  })

  test('invite --many 2 lets in two', async () => {
    const alice = await house.start('alice')
    const invite = (await house.run('alice', ['invite', '--many', '2'])).stdout.trim()
    for (const name of ['bob', 'carol']) expect(await stateAt(alice.client, await uses(invite, name))).toBe('contact')
    const dave = await uses(invite, 'dave')
    await dave.client.messages.send('Alice', 'me too')
    expect(await stateAt(alice.client, dave)).toBe('request')
  })
})

test('a verified contact stays so over a restart, and both see one safety number', async () => {
  const { alice, bob } = await friends()
  const shown = async (name: string, who: string) =>
    /(\d{5}\s+){11}\d{5}/.exec((await house.run(name, ['contacts', 'verify', who])).stdout)?.[0]
  const number = await shown('alice', 'Bob')
  expect(number).toBeDefined()
  expect(await shown('bob', 'Alice')).toBe(number)
  await house.run('alice', ['contacts', 'verify', 'Bob', '--yes'])
  await alice.stop()
  expect((await house.run('alice', ['contacts'])).stdout).toMatch(/Bob .*verified/)
  expect((await bob.client.contacts.list())[0]?.verified).toBe(false)
})

test('an account comes back from its 24 words: the same person for who opens the new invite', async () => {
  const words = join(house.home('alice'), '..', 'words')
  const [alice, bob] = await Promise.all([house.start('alice', ['--words-file', words]), house.start('bob')])
  await befriend({ client: alice.client, name: 'Alice' }, { client: bob.client, name: 'Bob' })
  const { account, peerId } = await alice.client.identity.get()
  const number = (await bob.client.contacts.safetyNumber('Alice')).safetyNumber
  await alice.kill()

  expect(readFileSync(words, 'utf8').trim().split(' ')).toHaveLength(24)
  const made = await house.run('new', ['recover', '--from', words, '--no-passphrase', '--name', 'Alice'])
  expect(made.stderr).toMatch(/No passphrase: whoever/)
  expect(made.stderr).toMatch(/they remove you from their contacts, then open it/)
  const back: { account: string; peerId: string } = JSON.parse((await house.run('new', ['id', '--json'])).stdout)
  expect(back.account).toBe(account)
  expect(back.peerId).not.toBe(peerId)

  const again = await house.start('new')
  const { invite } = await again.client.invites.create()
  await bob.client.contacts.remove('Alice')
  await bob.client.contacts.add({ invite, name: 'Alice' })
  await bob.client.messages.send('Alice', 'welcome back')
  await delivered(bob.client, 'Alice', 1, 60_000)
  expect((await bob.client.contacts.safetyNumber('Alice')).safetyNumber).toBe(number)
})
