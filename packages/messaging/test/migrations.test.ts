import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSqliteStore, type SqliteStore } from '@miaou/host-node'
import { migrate, schemaVersion } from '@miaou/messaging'
import { afterEach, describe, expect, test } from 'vitest'
import { befriend, createParty, Home, messagesOf, sendText, Town, texts, unwrap } from './fixture.ts'
import { fetched, mailOf, TestBox, tellBoxes, textOf } from './mail.ts'

const folders: string[] = []

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

/** A copy of a frozen database, as this program opens it. */
function openFrozen(version: number, name: string): SqliteStore {
  const folder = mkdtempSync(join(tmpdir(), 'miaou-frozen-'))
  folders.push(folder)
  const path = join(folder, 'home.db')
  copyFileSync(new URL(`databases/version-${version}-${name}.db`, import.meta.url), path)
  return unwrap(openSqliteStore({ path }))
}

describe('migrations', () => {
  for (let version = 1; version <= schemaVersion; version++) {
    test(`[Q3] a database of version ${version} opens, and its conversation goes on`, () => {
      const town = new Town()
      const [alice, bob] = ['alice', 'bob'].map((name) => {
        const store = openFrozen(version, name)
        unwrap(migrate(store))
        const home = new Home(createParty(name), town.clock, { store })
        town.homes.push(home)
        return home
      })
      if (!alice || !bob) throw new Error('two homes')
      const told = { addresses: ['ws://10.0.0.2:9999'], waysSequence: 7, locatorKey: new Uint8Array(32).fill(7) }
      const untold = { addresses: [], waysSequence: 0, locatorKey: undefined }
      const wanted = alice.batch({ type: 'wake' }).find(({ type }) => type === 'wanted')
      expect(wanted).toMatchObject({ peers: [{ peerId: bob.peerId, ...(version === 1 ? untold : told) }] })
      expect(messagesOf(alice, bob).map(({ text, state }) => [text, state])).toEqual([
        ['delivered and read', 'read'],
        ['unread été', 'delivered'],
        ['still queued', 'queued'],
      ])
      expect(unwrap(alice.ask<'messages-search'>({ type: 'messages-search', query: 'ete' }))).toHaveLength(1)
      expect(unwrap(alice.ask<'settings-get'>({ type: 'settings-get' })).typing).toBe(false)
      town.link(alice, bob)
      expect(texts(bob, alice)).toEqual(['delivered and read', 'unread été', 'still queued'])
      expect(messagesOf(alice, bob).at(-1)?.state).toBe('delivered')
      for (const { store } of town.homes) store.close()
    })
  }

  test('[Q3] what version 3 keeps of mailboxes is there again: tokens go on, the text that waits is shown', () => {
    const town = new Town()
    const store = openFrozen(3, 'bob')
    unwrap(migrate(store))
    const alice = new Home(createParty('alice'), town.clock, { store: openFrozen(3, 'alice') })
    const bob = new Home(createParty('bob'), town.clock, { store })
    const box = new TestBox(2)
    for (const row of store.all('SELECT hash FROM box_tokens')) {
      const hash = row['hash'] as Uint8Array
      box.hashes.set(String(hash), hash)
    }
    expect(box.hashes.size).toBe(64)
    tellBoxes(bob, box)
    expect(box.supplies.flatMap(({ tokenHashes }) => tokenHashes)).toEqual([])
    bob.batch(fetched(box, box.envelope(mailOf(alice, bob, textOf(bob, 8, 'the one before')))))
    expect(texts(bob, alice).slice(-2)).toEqual(['the one before', 'waits for another'])
    for (const each of [alice, bob]) each.store.close()
  })

  test('[Q3] friends of version 2 write to each other by mailboxes once both have said hello again', () => {
    const town = new Town()
    const homes = ['alice', 'bob'].map((name) => {
      const store = openFrozen(2, name)
      unwrap(migrate(store))
      return town.move(new Home(createParty(name), town.clock, { store }))
    })
    const [alice, bob] = homes
    if (!alice || !bob) throw new Error('two homes')
    const mailboxes = [town.office.addMailbox('one'), town.office.addMailbox('two')]
    // Alice knows a record of Bob with number 7.
    for (const home of homes) for (let record = 1; record <= 8; record++) town.office.give(home, mailboxes)
    town.link(alice, bob)
    for (const home of homes) town.connect(home)
    town.pass(60_000)
    town.unlink(alice, bob)
    town.disconnect(bob)
    sendText(town, alice, bob, 'while you were away')
    town.pass(60_000)
    expect(messagesOf(alice, bob).at(-1)?.state).toBe('held')
    town.connect(bob)
    expect(texts(bob, alice).at(-1)).toBe('while you were away')
    town.pass(60_000)
    expect(messagesOf(alice, bob).at(-1)?.state).toBe('delivered')
    for (const { store } of homes) store.close()
  })

  test('[Q3] a newer database is refused untouched', () => {
    const store = unwrap(openSqliteStore({ path: ':memory:' }))
    store.script(`PRAGMA user_version = ${schemaVersion + 1}`)
    expect(migrate(store)).toEqual({
      ok: false,
      error: { type: 'newer-database', version: schemaVersion + 1, versionMax: schemaVersion },
    })
    expect(store.all('SELECT name FROM sqlite_master')).toEqual([])
  })

  test('[Q3] migrating twice changes nothing', () => {
    const store = unwrap(openSqliteStore({ path: ':memory:' }))
    unwrap(migrate(store))
    const before = store.all('SELECT sql FROM sqlite_master')
    unwrap(migrate(store))
    expect(store.all('SELECT sql FROM sqlite_master')).toEqual(before)
  })
})

describe('the file', () => {
  test('[Q25] what was removed stays in no free page and no index', () => {
    const folder = mkdtempSync(join(tmpdir(), 'miaou-removed-'))
    folders.push(folder)
    const path = join(folder, 'home.db')
    const store = unwrap(openSqliteStore({ path }))
    unwrap(migrate(store))
    const town = new Town()
    const alice = town.move(new Home(createParty('Alice'), town.clock, { store }))
    const bob = town.add('Bob')
    befriend(town, alice, bob)
    for (let index = 0; index < 50; index++) sendText(town, bob, alice, `plover${index} ${'filler '.repeat(index)}`)
    store.checkpoint()
    const holds = (word: string): boolean => readFileSync(path).includes(word)
    expect(holds('plover')).toBe(true)
    unwrap(town.ask<'contact-remove'>(alice, { type: 'contact-remove', account: bob.account }))
    store.close()
    expect(holds('plover')).toBe(false)
    expect(holds('filler')).toBe(false)
  })
})
