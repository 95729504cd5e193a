import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeStoreContract } from '@miaou/testkit'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openSqliteStore, type SqliteStore } from '../src/store/sqlite-store.ts'

const key = new Uint8Array(32).fill(7)

describeStoreContract('SQLite in a file, encrypted', () => {
  const directory = mkdtempSync(join(tmpdir(), 'miaou-store-'))
  const pathOf = (name: string): string => join(directory, `${name}.db`)
  return {
    open: ({ name, ...options }) => openSqliteStore({ path: pathOf(name), ...options }),
    bytesAtRest: (name) =>
      Buffer.concat(
        readdirSync(directory)
          .filter((file) => file.startsWith(`${name}.db`))
          .map((file) => readFileSync(join(directory, file))),
      ),
    damage(name) {
      const descriptor = openSync(pathOf(name), 'r+')
      for (let page = 2; page < 20; page++) writeSync(descriptor, Buffer.alloc(64, 0xaa), 0, 64, page * 4096 + 1000)
      closeSync(descriptor)
    },
    dispose: () => rmSync(directory, { recursive: true, force: true }),
  }
})

describe('SQLite store', () => {
  let directory = ''
  const stores: SqliteStore[] = []

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'miaou-store-'))
  })

  afterEach(() => {
    for (const store of stores.splice(0)) store.close()
    rmSync(directory, { recursive: true, force: true })
  })

  function open(options: Partial<Parameters<typeof openSqliteStore>[0]> = {}): SqliteStore {
    const opened = openSqliteStore({ path: join(directory, 'home', 'a.db'), key, ...options })
    if (!opened.ok) throw new Error(JSON.stringify(opened.error))
    stores.push(opened.value)
    return opened.value
  }

  function errorOf(options: Partial<Parameters<typeof openSqliteStore>[0]> = {}): unknown {
    const opened = openSqliteStore({ path: join(directory, 'home', 'a.db'), key, ...options })
    if (opened.ok) {
      stores.push(opened.value)
      return undefined
    }
    return opened.error
  }

  test('uses the write-ahead log, holds the file alone and keeps temporary tables in memory', () => {
    const store = open()
    expect(store.get('PRAGMA journal_mode')).toEqual({ journal_mode: 'wal' })
    expect(store.get('PRAGMA locking_mode')).toEqual({ locking_mode: 'exclusive' })
    expect(store.get('PRAGMA temp_store')).toEqual({ temp_store: 2 })
    expect(store.get('PRAGMA busy_timeout')).toEqual({ timeout: 0 })
  })

  test('folder and files are closed to others, and the log is gone after close', () => {
    const store = open()
    store.script('CREATE TABLE t (a)')
    expect(statSync(join(directory, 'home')).mode & 0o777).toBe(0o700)
    for (const name of ['a.db', 'a.db-wal', 'a.db-key']) {
      expect(statSync(join(directory, 'home', name)).mode & 0o777).toBe(0o600)
    }
    expect(statSync(`${store.path}-wal`).size).toBeGreaterThan(0)
    expect(store.checkpoint()).toBe(true)
    expect(statSync(`${store.path}-wal`).size).toBe(0)
    store.script('INSERT INTO t VALUES (1)')
    store.close()
    expect(existsSync(`${store.path}-wal`)).toBe(false)
  })

  test('a first page overwritten under the right key is damage, not a wrong key', () => {
    const store = open()
    store.script('CREATE TABLE t (a)')
    store.close()
    const bytes = readFileSync(store.path)
    bytes.fill(0x55, 100, 200)
    writeFileSync(store.path, bytes)
    expect(errorOf()).toMatchObject({ type: 'damaged', keyCheck: 'right' })
  })

  test('a lost check file is written again by the next opening with the right key', () => {
    open().close()
    const path = join(directory, 'home', 'a.db')
    rmSync(`${path}-key`)
    expect(errorOf({ key: new Uint8Array(32) })).toMatchObject({ type: 'damaged', keyCheck: 'absent' })
    open().close()
    expect(errorOf({ key: new Uint8Array(32) })).toEqual({ type: 'wrong-key', path })
  })

  test('a plain file is not opened with a key, nor an encrypted one without', () => {
    const plain = openSqliteStore({ path: join(directory, 'plain.db') })
    if (!plain.ok) throw new Error(plain.error.type)
    plain.value.script('CREATE TABLE t (a)')
    plain.value.close()
    expect(errorOf({ path: join(directory, 'plain.db') })).toMatchObject({ type: 'damaged' })
    open().close()
    const bare = openSqliteStore({ path: join(directory, 'home', 'a.db') })
    expect(bare).toMatchObject({ ok: false, error: { type: 'damaged' } })
  })

  test('findDamage is silent on a sound file and names the first complaint on a broken one', () => {
    const store = open()
    store.script('CREATE TABLE t (a)')
    for (let index = 0; index < 100; index++) store.run('INSERT INTO t VALUES (?)', ['x'.repeat(1000)])
    expect(store.findDamage()).toBeUndefined()
    store.close()
    const bytes = readFileSync(store.path)
    bytes.fill(0xaa, 10 * 4096 + 50, 10 * 4096 + 100)
    writeFileSync(store.path, bytes)
    expect(open().findDamage()).toMatch(/malformed|corrupt|disk image|not a database|I\/O|page/i)
  })

  test('read-only: reads what is there, refuses to write, refuses a file that is not there', () => {
    expect(errorOf({ readonly: true })).toMatchObject({ type: 'io' })
    const store = open()
    store.script('CREATE TABLE t (a); INSERT INTO t VALUES (1)')
    store.close()
    const reader = open({ readonly: true })
    expect(reader.all('SELECT a FROM t')).toEqual([{ a: 1 }])
    expect(() => reader.run('INSERT INTO t VALUES (2)')).toThrow('readonly')
  })

  test('in memory a key is not needed and nothing touches the disk', () => {
    const store = open({ path: ':memory:' })
    store.script('CREATE TABLE t (a); INSERT INTO t VALUES (1)')
    expect(store.all('SELECT a FROM t')).toEqual([{ a: 1 }])
    expect(readdirSync(directory)).toEqual([])
  })

  test('a key of another size is refused', () => {
    expect(errorOf({ key: new Uint8Array(16) })).toEqual({ type: 'bad-key-size', size: 16 })
  })

  test('a file that is no database is damage', () => {
    open().close()
    writeFileSync(join(directory, 'home', 'a.db'), 'not a database, only a sentence of some length '.repeat(200))
    expect(errorOf()).toMatchObject({ type: 'damaged', keyCheck: 'right' })
  })

  test('a path that cannot be a file is the system refusing', () => {
    writeFileSync(join(directory, 'file'), '')
    expect(errorOf({ path: join(directory, 'file', 'a.db') })).toMatchObject({ type: 'io' })
  })

  test('the cache of prepared statements is bounded', () => {
    const store = open({ statementsMax: 2 })
    for (let round = 0; round < 3; round++) {
      for (const n of [1, 2, 3]) expect(store.get(`SELECT ${n} AS n`)).toEqual({ n })
    }
  })
})
