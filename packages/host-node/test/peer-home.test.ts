import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { textToBytes } from '@miaou/core'
import { createLibsodiumCrypto, wordsToEntropy } from '@miaou/crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { findHomeHolder } from '../src/home/lock.ts'
import {
  checkRecoveryWords,
  createHome,
  databasePath,
  homeState,
  keysPath,
  mailboxPath,
  openHome,
} from '../src/peer/home.ts'
import { hostStretch } from '../src/peer/passphrase.ts'
import { startPeer } from '../src/peer/peer-host.ts'

let home: string
const passphrase = textToBytes('quatre petits chats gris')

beforeEach(() => {
  home = join(mkdtempSync(join(tmpdir(), 'miaou-home-')), 'home')
})

afterEach(() => rmSync(join(home, '..'), { recursive: true, force: true }))

describe('a home', () => {
  test('is made with a passphrase, opens with it and with no other', async () => {
    expect(homeState(home)).toBe('absent')
    const created = await createHome({ home, passphrase, name: 'Minette' })
    expect(created).toMatchObject({ ok: true })
    expect(homeState(home)).toBe('locked')
    const opened = await openHome(home, passphrase)
    if (!created.ok || !opened.ok) throw new Error('expected both to work')
    expect(opened.value.identity.network.peerId).toBe(created.value.peerId)
    expect(opened.value.identity.messaging.name).toBe('Minette')
    expect(await openHome(home, textToBytes('another'))).toMatchObject({ error: { type: 'wrong-passphrase' } })
    expect(await openHome(home, undefined)).toMatchObject({ error: { type: 'passphrase-needed' } })
  })

  test('a damaged key file is told from a wrong passphrase', async () => {
    await createHome({ home, passphrase, name: 'Minette' })
    const lock = join(keysPath(home), 'keyring-lock')
    const bytes = readFileSync(lock)
    bytes[40] = (bytes[40] ?? 0) ^ 1
    writeFileSync(lock, bytes)
    expect(await openHome(home, passphrase)).toMatchObject({ error: { type: 'damaged', what: 'keyring-lock' } })
  })

  test('a missing key is a damaged identity, named', async () => {
    await createHome({ home, passphrase: undefined, name: 'Minette' })
    for (const name of readdirSync(keysPath(home)).filter((name) => name.startsWith('key-'))) {
      rmSync(join(keysPath(home), name))
    }
    expect(await openHome(home, undefined)).toMatchObject({ error: { type: 'damaged-identity' } })
  })

  test('is never made twice, and a half-made one does not count', async () => {
    const first = await createHome({ home, passphrase: undefined, name: 'Minette' })
    expect(homeState(home)).toBe('open')
    expect(await createHome({ home, passphrase: undefined, name: 'Other' })).toMatchObject({
      error: { type: 'home-exists' },
    })
    const opened = await openHome(home, undefined)
    if (!first.ok || !opened.ok) throw new Error('expected both to work')
    expect(opened.value.identity.network.peerId).toBe(first.value.peerId)
  })

  test('the words shown are the entropy, and give the same account again', async () => {
    const entropy = new Uint8Array(32).fill(7)
    const one = await createHome({ home, passphrase: undefined, name: 'Minette', entropy, language: 'fr' })
    const two = await createHome({ home: `${home}2`, passphrase: undefined, name: 'Minette', entropy })
    if (!one.ok || !two.ok) throw new Error('expected both to work')
    expect(wordsToEntropy(one.value.words.join(' '))).toEqual({ ok: true, value: entropy })
    expect(two.value.account).toBe(one.value.account)
    expect(two.value.peerId).not.toBe(one.value.peerId)
  })

  test('words typed again make another device of the account; words that are none make nothing', async () => {
    const entropy = new Uint8Array(32).fill(7)
    const one = await createHome({ home, passphrase: undefined, name: 'Minette', entropy })
    if (!one.ok) throw new Error('expected it to work')
    const words = `  ${one.value.words.join('\n').toUpperCase()} `
    const two = await createHome({ home: `${home}2`, passphrase: undefined, name: 'Minette', words })
    expect(two).toMatchObject({ ok: true, value: { account: one.value.account } })
    const swapped = [...one.value.words.slice(1), one.value.words[0]].join(' ')
    for (const [text, type] of [
      ['one two', 'word-count'],
      [swapped, 'bad-checksum'],
      [words.replace(/\S+/, 'miaou'), 'unknown-word'],
    ] as const) {
      expect(checkRecoveryWords(text)?.type).toBe(type)
      const refused = await createHome({ home: `${home}3`, passphrase: undefined, name: 'Minette', words: text })
      expect(refused.ok ? '' : refused.error.type).toBe(type)
      expect(homeState(`${home}3`)).toBe('absent')
    }
  })

  test('only the owner can read it', async () => {
    await createHome({ home, passphrase: undefined, name: 'Minette' })
    for (const path of [home, keysPath(home)]) expect(statSync(path).mode & 0o777).toBe(0o700)
    for (const name of readdirSync(keysPath(home))) {
      expect(statSync(join(keysPath(home), name)).mode & 0o777).toBe(0o600)
    }
  })

  test('a change of passphrase that was cut off does not make a locked home look open', async () => {
    await createHome({ home, passphrase, name: 'Minette' })
    writeFileSync(join(keysPath(home), 'keyring-plain-key'), 'of a change that did not finish')
    writeFileSync(join(keysPath(home), 'keyring-lock.0123456789ab.tmp'), 'of another')
    expect(homeState(home)).toBe('locked')
    expect(await openHome(home, passphrase)).toMatchObject({ ok: true })
    expect(readdirSync(keysPath(home)).filter((name) => !name.startsWith('key-'))).toEqual(['keyring-lock'])
  })

  test.each([
    ['messages', databasePath, 'miaou.db'],
    ['what a mailbox keeps for others', mailboxPath, 'mailbox.db'],
  ])('%s whose keys are gone: not put behind new keys that cannot open it', async (_, pathIn, name) => {
    mkdirSync(home)
    writeFileSync(pathIn(home), 'something')
    const created = await createHome({ home, passphrase: undefined, name: 'Minette' })
    expect(created).toMatchObject({ error: { type: 'unwritable', detail: expect.stringContaining(name) } })
    expect(homeState(home)).toBe('absent')
  })

  test('keys that cannot be read are an error of the start, and the home is free again', async () => {
    await createHome({ home, passphrase: undefined, name: 'Minette' })
    const plainKey = join(keysPath(home), 'keyring-plain-key')
    rmSync(plainKey)
    mkdirSync(plainKey)
    expect(await startPeer({ home, passphrase: undefined })).toMatchObject({ error: { type: 'unwritable', home } })
    expect(findHomeHolder(home)).toBeUndefined()
  })

  test.each(['', 'x'.repeat(65), 'é'.repeat(33), 'two\nlines', '\u001b[31mred', 'left\u202eright', '\ud800'])(
    'the name %j is refused with the limit',
    async (name) => {
      const created = await createHome({ home, passphrase: undefined, name })
      expect(created).toEqual({ ok: false, error: { type: 'bad-name', sizeMax: 64 } })
    },
  )
})

describe('a peer started offline', () => {
  test('answers from the home, listens nowhere and reaches nobody', async () => {
    await createHome({ home, passphrase: undefined, name: 'Minette' })
    const started = await startPeer({ home, passphrase: undefined, offline: true })
    if (!started.ok) throw new Error(started.error.type)
    const peer = started.value
    expect(await peer.command({ type: 'identity' })).toMatchObject({ ok: true, value: { name: 'Minette' } })
    expect(peer.network.info()).toMatchObject({ addresses: [], connectedPeers: 0, discoverable: 'everyone' })
    expect(peer.network.peers()).toEqual([])
    const connected = await peer.network.connect('ws://127.0.0.1:9', 5_000)
    expect(connected).toMatchObject({ ok: false, error: { type: 'unreachable' } })
    await peer.stop()
    expect(findHomeHolder(home)).toBeUndefined()
  })
})

test("Node's Argon2id and libsodium's give the same key", async () => {
  const crypto = await createLibsodiumCrypto()
  const cost = { memoryKiB: 64, passes: 2, parallelism: 1 } as const
  const salt = new Uint8Array(16).fill(3)
  expect(hostStretch(crypto)(passphrase, salt, cost, 32)).toEqual(crypto.argon2id(passphrase, salt, cost, 32))
})
