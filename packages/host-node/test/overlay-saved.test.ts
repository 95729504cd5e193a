import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bytesToHex, type Log } from '@miaou/core'
import { type Crypto, createLibsodiumCrypto } from '@miaou/crypto'
import { signRecord } from '@miaou/protocol'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { OwnRecords, ownRecordsSizeMax } from '../src/overlay/own-records.ts'
import {
  decodeSavedContacts,
  encodeSavedContacts,
  type NodeAddress,
  SavedContacts,
  savedContactsMax,
  savedContactsSizeMax,
} from '../src/overlay/saved-contacts.ts'
import { SealedDocument } from '../src/overlay/sealed-document.ts'
import { systemRandom } from '../src/peer/system.ts'

const crypto: Crypto = await createLibsodiumCrypto()
const key = new Uint8Array(32).fill(1)
const logged: string[] = []
const log: Log = { write: (_level, event) => logged.push(event) }
let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'miaou-saved-'))
  logged.splice(0)
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

function document(name: string, bodySizeMax: number, random = systemRandom): SealedDocument {
  return new SealedDocument({ crypto, random, path: join(folder, name), key, magic: 'MOVX', bodySizeMax })
}

function address(index: number): NodeAddress {
  const publicKey = crypto.sha256(Uint8Array.of(index >> 8, index))
  return { publicKey, endpoint: { host: `192.0.2.${index % 256}`, port: 1 + index } }
}

function addresses(count: number, from = 0): NodeAddress[] {
  return Array.from({ length: count }, (_, index) => address(from + index))
}

describe('[DN41] sealed documents', () => {
  test('[DN41] frozen: magic, version, suite, nonce, sealed body', () => {
    const fixed = { bytes: (size: number) => new Uint8Array(size).fill(2) }
    expect(document('a', 100, fixed).store(new Uint8Array([1, 2, 3]))).toEqual({ ok: true, value: undefined })
    const text = bytesToHex(new Uint8Array(readFileSync(join(folder, 'a'))))
    expect(text).toBe(`4d4f56580101${'02'.repeat(24)}cd64352646b189d958dec06b71fd1261f0ed13`)
  })

  test('a body comes back; none is none; the largest is read and one more byte is not', () => {
    const saved = document('a', 100)
    expect(saved.load()).toEqual({ ok: true, value: undefined })
    for (const size of [0, 1, 100]) {
      saved.store(new Uint8Array(size).fill(size))
      expect(saved.load()).toEqual({ ok: true, value: new Uint8Array(size).fill(size) })
    }
    saved.store(new Uint8Array(101))
    expect(saved.load()).toMatchObject({ ok: false, error: { type: 'damaged' } })
    expect(saved.load()).toEqual({ ok: true, value: undefined })
    expect(existsSync(join(folder, 'a.damaged'))).toBe(true)
  })

  test('every flipped bit and every missing end is noticed', () => {
    const saved = document('a', 100)
    saved.store(new Uint8Array(8).fill(7))
    const whole = new Uint8Array(readFileSync(join(folder, 'a')))
    const isRead = (bytes: Uint8Array): boolean => {
      writeFileSync(join(folder, 'a'), bytes)
      return saved.load().ok
    }
    expect(isRead(whole)).toBe(true)
    for (let at = 0; at < whole.length; at++) {
      expect(isRead(whole.map((byte, index) => (index === at ? byte ^ 0x10 : byte)))).toBe(false)
      expect(isRead(whole.subarray(0, at))).toBe(false)
    }
  })

  test('a folder that cannot be written to, and a file that cannot be read, are told and not thrown', () => {
    const nowhere = document('absent/a', 100)
    expect(nowhere.store(new Uint8Array(1))).toEqual({ ok: false, error: { type: 'unwritable', code: 'ENOENT' } })
    const folderItself = document('.', 100)
    expect(folderItself.load()).toMatchObject({ ok: false, error: { type: 'unreadable', detail: 'it is no file' } })
  })

  test('neither a pipe nor a file of gigabytes in its place holds up the start or fills the memory', () => {
    execFileSync('mkfifo', [join(folder, 'pipe')])
    expect(document('pipe', 100).load()).toMatchObject({ ok: false, error: { type: 'unreadable' } })
    writeFileSync(join(folder, 'huge'), '')
    truncateSync(join(folder, 'huge'), 5 * 2 ** 30)
    expect(document('huge', 100).load()).toMatchObject({ ok: false, error: { type: 'damaged' } })
    expect(existsSync(join(folder, 'huge.damaged'))).toBe(true)
  })
})

describe('[DN42] contacts over a restart', () => {
  const load = (): SavedContacts => {
    const saved = new SavedContacts(document('contacts', savedContactsSizeMax), log)
    saved.load()
    return saved
  }

  test('what was saved is there again, best first, 200 at most', () => {
    load().save(addresses(savedContactsMax + 50))
    expect(load().all).toEqual(addresses(savedContactsMax))
    expect(logged).toEqual([])
  })

  test('those of before stand behind those of now, until they are pushed out', () => {
    load().save(addresses(150))
    const later = load()
    later.save(addresses(100, 100))
    expect(later.all.slice(0, 100)).toEqual(addresses(100, 100))
    expect(later.all.slice(100)).toEqual(addresses(100))
    expect(load().all).toEqual(later.all)
  })

  test('while the node runs it saves at once and then every five minutes, and never nothing over something', () => {
    const saved = load()
    saved.saveNowAndThen(() => [], 0)
    expect(existsSync(join(folder, 'contacts'))).toBe(false)
    saved.saveNowAndThen(() => addresses(1), 1_000)
    saved.saveNowAndThen(() => addresses(2), 300_999)
    expect(load().all).toHaveLength(1)
    saved.saveNowAndThen(() => addresses(2), 301_000)
    expect(load().all).toHaveLength(2)
    saved.save([])
    expect(load().all).toHaveLength(2)
  })

  test('the form is read back, and bytes of any other form are refused', () => {
    const mixed = [address(1), { publicKey: key, endpoint: { host: '2001:db8::1', port: 65_535 } }]
    const bytes = encodeSavedContacts(mixed)
    expect(decodeSavedContacts(bytes)).toEqual(mixed)
    for (let size = 0; size < bytes.length; size++) expect(decodeSavedContacts(bytes.subarray(0, size))).toBeUndefined()
    expect(decodeSavedContacts(new Uint8Array([...bytes, 0]))).toBeUndefined()
    const wrong = [{ publicKey: key, endpoint: { host: 'a.name', port: 1 } }]
    expect(decodeSavedContacts(encodeSavedContacts(wrong))).toBeUndefined()
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (any) => {
        decodeSavedContacts(any)
      }),
    )
  })

  test('a whole document of another content is put aside', () => {
    document('contacts', savedContactsSizeMax).store(new Uint8Array([9, 9, 9]))
    expect(load().all).toEqual([])
    expect(logged).toEqual(['overlay-contacts-damaged'])
  })
})

describe('[DN43] signed records of one’s own over a restart', () => {
  const device = crypto.ed25519KeyPair(new Uint8Array(32).fill(3))
  const load = (recordsMax?: number): OwnRecords => {
    const own = new OwnRecords(document('records', ownRecordsSizeMax), log, recordsMax)
    own.load(device.publicKey)
    return own
  }
  const salt = (index: number) => Uint8Array.of(index)
  const sign = (of: Uint8Array, sequence: number) =>
    signRecord(crypto, { ...device, salt: of, sequence, value: new Uint8Array(800) })

  test('[DN44] sequences follow the clock, and rise where it stands still or is set back', () => {
    const own = load()
    expect(own.nextSequence(salt(1), 1_000.7)).toBe(1_000)
    own.keep(salt(1), 1_000, sign(salt(1), 1_000))
    expect(own.nextSequence(salt(1), 1_000)).toBe(1_001)
    expect(own.nextSequence(salt(1), 5)).toBe(1_001)
    expect(own.nextSequence(salt(2), 5)).toBe(5)
    expect(load().nextSequence(salt(1), 5)).toBe(1_001)
  })

  test('one record a salt is kept, the newest, due again after a restart', () => {
    const own = load()
    for (const sequence of [1, 2]) own.keep(salt(1), sequence, sign(salt(1), sequence))
    own.keep(salt(2), 1, sign(salt(2), 1))
    const [first] = own.due()
    own.published(first as Uint8Array)
    expect(own.due()).toEqual([sign(salt(2), 1)])
    const again = load()
    expect(again.count).toBe(2)
    expect(again.due()).toEqual([sign(salt(1), 2), sign(salt(2), 1)])
  })

  test('further salts than the bound are refused, a known one never', () => {
    const own = load(2)
    for (const index of [1, 2]) own.keep(salt(index), 1, sign(salt(index), 1))
    expect(own.hasRoomFor(salt(3))).toBe(false)
    expect(own.hasRoomFor(salt(2))).toBe(true)
  })

  test('a damaged document is put aside; records of another key are left out', () => {
    const other = crypto.ed25519KeyPair(new Uint8Array(32).fill(4))
    const own = load()
    own.keep(salt(1), 1, signRecord(crypto, { ...other, salt: salt(1), sequence: 1, value: key }))
    expect(load().count).toBe(0)
    document('records', ownRecordsSizeMax).store(new Uint8Array([0, 1]))
    expect(load().count).toBe(0)
    expect(logged).toEqual(['overlay-records-damaged'])
    expect(existsSync(join(folder, 'records.damaged'))).toBe(true)
  })

  test('the largest document is read', () => {
    const own = load()
    for (let index = 0; index < 256; index++) own.keep(salt(index), 1, sign(salt(index), 1))
    expect(load().count).toBe(256)
  })
})
