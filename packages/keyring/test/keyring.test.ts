import { textToBytes } from '@miaou/core'
import { createLibsodiumCrypto } from '@miaou/crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createKeyring, defaultCost, Keyring, MemoryStorage, openKeyring, parseKeyExport } from '../src/index.ts'
import { countingRandom, unwrap } from './helpers.ts'

const crypto = await createLibsodiumCrypto()
const cost = { memoryKiB: 8, passes: 1, parallelism: 1 } as const
const passphrase = textToBytes('correct horse battery staple')
const secret = Uint8Array.from({ length: 32 }, (_, index) => index)

function create(options: { passphrase?: Uint8Array; keysMax?: number } = {}) {
  const storage = new MemoryStorage()
  const base = { crypto, random: countingRandom(), storage, ...options, passphrase: options.passphrase }
  return { base, storage, keyring: unwrap(createKeyring({ ...base, cost })) }
}

describe('[A19] keyring', () => {
  test('keys put are got after reopening, with what was said of them', () => {
    const { base, keyring } = create({ passphrase })
    const publicKey = crypto.ed25519KeyPair(secret).publicKey
    unwrap(keyring.put('12D3KooWdevice', 'device', secret, { createdAt: 7, publicKey }))
    unwrap(keyring.put('a', 'link-static', secret.slice(0, 1), { createdAt: 5 }))
    const reopened = unwrap(openKeyring(base))
    const device = { keyId: '12D3KooWdevice', kind: 'device', createdAt: 7, publicKey }
    expect(unwrap(reopened.get('12D3KooWdevice'))).toEqual({ ...device, secret })
    expect(reopened.list()).toEqual([{ keyId: 'a', kind: 'link-static', createdAt: 5 }, device])
    expect(reopened.problems()).toEqual([])
  })

  test('any printable key id and any secret of 1 to 40,960 bytes comes back', () => {
    const { keyring } = create({ keysMax: 10_000 })
    const secrets = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 64 }),
      fc.constant(new Uint8Array(40_960).fill(9)),
    )
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 32 }), secrets, fc.nat(), (keyId, bytes, createdAt) => {
        const put = keyring.put(keyId, 'device', bytes, { createdAt })
        if (!put.ok) expect(put.error).toEqual({ type: 'key-exists', keyId })
        else expect(unwrap(keyring.get(keyId))).toEqual({ keyId, kind: 'device', secret: bytes, createdAt })
      }),
    )
  })

  test('a key is never overwritten; removed, it is unknown', () => {
    const { keyring } = create()
    unwrap(keyring.put('k', 'device', secret, { createdAt: 1 }))
    expect(keyring.put('k', 'device', new Uint8Array(1), { createdAt: 2 })).toMatchObject({
      error: { type: 'key-exists', keyId: 'k' },
    })
    expect(keyring.remove('k')).toBe(true)
    expect(keyring.remove('k')).toBe(false)
    expect(keyring.get('k')).toEqual({ ok: false, error: { type: 'unknown-key', keyId: 'k' } })
  })

  test('key ids that nobody could type or that are too long are refused', () => {
    const { keyring } = create()
    for (const keyId of ['', 'a\nb', '\u0000', 'é'.repeat(65), 'a'.repeat(129)]) {
      expect(keyring.put(keyId, 'device', secret, { createdAt: 1 })).toMatchObject({
        error: { type: 'invalid-key-id', keyId },
      })
    }
    unwrap(keyring.put('a'.repeat(128), 'device', secret, { createdAt: 1 }))
  })

  test('the bound on the number of keys holds, and says itself', () => {
    const { keyring } = create({ keysMax: 2 })
    unwrap(keyring.put('1', 'device', secret, { createdAt: 1 }))
    unwrap(keyring.put('2', 'device', secret, { createdAt: 1 }))
    expect(keyring.put('3', 'device', secret, { createdAt: 1 })).toEqual({
      ok: false,
      error: { type: 'keyring-full', keysMax: 2 },
    })
  })

  test('the account key is a file of its own: without it the other keys still open', () => {
    const { base, storage, keyring } = create({ passphrase })
    unwrap(keyring.put('device', 'device', secret, { createdAt: 1 }))
    const before = new Set(storage.names())
    unwrap(keyring.put('account', 'account', secret, { createdAt: 1 }))
    const added = storage.names().filter((name) => !before.has(name))
    expect(added).toHaveLength(1)
    expect(keyring.remove('account')).toBe(true)
    expect(unwrap(unwrap(openKeyring(base)).get('device')).secret).toEqual(secret)
  })

  test('neither key ids nor secrets show in names or files', () => {
    const { storage, keyring } = create({ passphrase })
    unwrap(keyring.put('visible-id', 'device', secret, { createdAt: 1 }))
    const everything = storage
      .names()
      .map((name) => `${name} ${Buffer.from(storage.load(name) ?? []).toString('latin1')}`)
    expect(everything.join()).not.toContain('visible-id')
    expect(everything.join()).not.toContain(Buffer.from(secret).toString('latin1'))
  })

  test('store keys differ by purpose and by keyring, and stay over a change of passphrase', () => {
    const { base, keyring } = create({ passphrase })
    const database = keyring.storeKey('database')
    expect(database).toHaveLength(32)
    expect(keyring.storeKey('files')).not.toEqual(database)
    unwrap(keyring.changePassphrase(textToBytes('another')))
    expect(unwrap(openKeyring({ ...base, passphrase: textToBytes('another') })).storeKey('database')).toEqual(database)
  })

  test('an exported key is read back; a typing error is told', () => {
    const { keyring } = create()
    unwrap(keyring.put('k', 'device', secret, { createdAt: 1 }))
    const text = unwrap(keyring.exportKey('k'))
    expect(parseKeyExport(crypto, ` ${text}\n`)).toEqual({ ok: true, value: { kind: 'device', secret } })
    expect(parseKeyExport(crypto, text.replace(':device:', ':account:'))).toMatchObject({
      error: { type: 'bad-checksum' },
    })
    for (const other of ['', 'hello', text.slice(10), `${text}:x`, 'miaou-key:1:device:', 'miaou-key:1:device:AAAA']) {
      expect(parseKeyExport(crypto, other)).toMatchObject({ error: { type: 'not-a-key' } })
    }
    expect(keyring.exportKey('other')).toMatchObject({ error: { type: 'unknown-key' } })
  })
})

describe('[A20] passphrase', () => {
  test('the default cost is the decided one, and opens again', () => {
    const storage = new MemoryStorage()
    const options = { crypto, random: countingRandom(), storage, passphrase }
    expect(defaultCost).toEqual({ memoryKiB: 64 * 1024, passes: 3, parallelism: 1 })
    expect(unwrap(createKeyring(options))).toBeInstanceOf(Keyring)
    expect(unwrap(openKeyring(options)).protection).toBe('passphrase')
  })

  test('a wrong passphrase, a missing one and an empty one are told apart', () => {
    const { base } = create({ passphrase })
    expect(openKeyring({ ...base, passphrase: textToBytes('wrong') })).toEqual({
      ok: false,
      error: { type: 'wrong-passphrase' },
    })
    expect(openKeyring({ ...base, passphrase: undefined })).toMatchObject({ error: { type: 'passphrase-needed' } })
    expect(openKeyring({ ...base, storage: new MemoryStorage() })).toMatchObject({ error: { type: 'no-keyring' } })
    const fresh = { ...base, storage: new MemoryStorage(), passphrase: new Uint8Array(0) }
    expect(createKeyring(fresh)).toMatchObject({ error: { type: 'empty-passphrase' } })
  })

  test('a keyring is never made over another', () => {
    const { base } = create({ passphrase })
    expect(createKeyring({ ...base, cost })).toMatchObject({ error: { type: 'keyring-exists' } })
  })

  test('without a passphrase the key lies beside; without that file nothing opens', () => {
    const { base, storage, keyring } = create()
    expect(keyring.protection).toBe('none')
    expect(unwrap(openKeyring(base)).protection).toBe('none')
    expect(unwrap(openKeyring({ ...base, passphrase })).protection).toBe('none')
    storage.remove('keyring-plain-key')
    expect(openKeyring(base)).toEqual({ ok: false, error: { type: 'damaged', what: 'keyring-plain-key' } })
  })

  test('the passphrase can be changed, removed and set, and each time only the new way opens', () => {
    const { base, storage, keyring } = create({ passphrase })
    unwrap(keyring.put('k', 'device', secret, { createdAt: 1 }))
    const other = textToBytes('other')
    unwrap(keyring.changePassphrase(other))
    expect(openKeyring(base)).toMatchObject({ error: { type: 'wrong-passphrase' } })
    expect(unwrap(unwrap(openKeyring({ ...base, passphrase: other })).get('k')).secret).toEqual(secret)
    unwrap(keyring.changePassphrase(undefined))
    unwrap(keyring.changePassphrase(undefined))
    expect(unwrap(unwrap(openKeyring({ ...base, passphrase: undefined })).get('k')).secret).toEqual(secret)
    const stalePlainKey = storage.load('keyring-plain-key') ?? new Uint8Array(0)
    unwrap(keyring.changePassphrase(passphrase))
    expect(storage.load('keyring-plain-key')).toBeUndefined()
    // A crash just before that removal: the next opening removes it.
    storage.store('keyring-plain-key', stalePlainKey)
    expect(unwrap(unwrap(openKeyring(base)).get('k')).secret).toEqual(secret)
    expect(storage.load('keyring-plain-key')).toBeUndefined()
  })

  test('a crash at any write of a change leaves a keyring that the old or the new way opens', () => {
    for (const [before, after] of [
      [passphrase, textToBytes('new')],
      [passphrase, undefined],
      [undefined, passphrase],
    ]) {
      for (let writesLeft = 0; writesLeft < 3; writesLeft++) {
        const storage = new FailingStorage()
        const base = { crypto, random: countingRandom(), storage }
        const keyring = unwrap(createKeyring({ ...base, passphrase: before, cost }))
        unwrap(keyring.put('k', 'device', secret, { createdAt: 1 }))
        storage.writesLeft = writesLeft
        try {
          unwrap(keyring.changePassphrase(after))
        } catch (error) {
          expect(error).toEqual(new Error('disk full'))
        }
        storage.writesLeft = Number.POSITIVE_INFINITY
        const opened = [before, after]
          .map((way) => openKeyring({ ...base, passphrase: way }))
          .find((result) => result.ok)
        expect(opened?.ok && unwrap(opened.value.get('k')).secret).toEqual(secret)
      }
    }
  })
})

test('a closed keyring is not used: its data key is then one that everybody knows', () => {
  const { base, storage, keyring } = create({ passphrase })
  unwrap(keyring.put('k', 'device', secret, { createdAt: 1 }))
  keyring.close()
  const names = storage.names()
  const uses = [
    () => keyring.put('late', 'device', secret, { createdAt: 2 }),
    () => keyring.get('k'),
    () => keyring.list(),
    () => keyring.remove('k'),
    () => keyring.exportKey('k'),
    () => keyring.changePassphrase(textToBytes('new')),
    () => keyring.storeKey('database'),
  ]
  for (const use of uses) expect(use).toThrow('a closed keyring')
  expect(storage.names()).toEqual(names)
  expect(unwrap(unwrap(openKeyring(base)).get('k')).secret).toEqual(secret)
})

class FailingStorage extends MemoryStorage {
  writesLeft = Number.POSITIVE_INFINITY

  override store(name: string, bytes: Uint8Array): void {
    if (this.writesLeft-- <= 0) throw new Error('disk full')
    super.store(name, bytes)
  }

  override remove(name: string): void {
    if (this.writesLeft-- <= 0) throw new Error('disk full')
    super.remove(name)
  }
}
