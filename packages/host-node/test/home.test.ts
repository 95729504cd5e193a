import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3-multiple-ciphers'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { atomicWriteFile, removeTemporaryFiles } from '../src/home/files.ts'
import { findHomeHolder, type HomeLock, lockHome } from '../src/home/lock.ts'
import { type HomeSurroundings, homePath } from '../src/home/paths.ts'
import { fileSecureStorage } from '../src/home/secure-storage.ts'

let directory = ''
const children: ChildProcess[] = []
const locks: HomeLock[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'miaou-home-'))
})

afterEach(() => {
  for (const lock of locks.splice(0)) lock.release()
  for (const child of children.splice(0)) child.kill('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
})

describe('where a home is', () => {
  const linux: HomeSurroundings = { platform: 'linux', env: {}, userDirectory: '/u/ada', workingDirectory: '/w' }

  test.each([
    ['the default profile', {}, linux, '/u/ada/.local/share/miaou/default'],
    ['a second profile', { profile: 'bob' }, linux, '/u/ada/.local/share/miaou/bob'],
    ['any folder', { home: 'here' }, linux, '/w/here'],
    ['an absolute folder', { home: '/there' }, linux, '/there'],
    ['XDG_DATA_HOME', {}, { ...linux, env: { XDG_DATA_HOME: '/data' } }, '/data/miaou/default'],
    [
      'a relative XDG_DATA_HOME is ignored',
      {},
      { ...linux, env: { XDG_DATA_HOME: 'd' } },
      '/u/ada/.local/share/miaou/default',
    ],
    ['MIAOU_HOME', {}, { ...linux, env: { MIAOU_HOME: '/m' } }, '/m'],
    [
      '--profile wins over MIAOU_HOME',
      { profile: 'bob' },
      { ...linux, env: { MIAOU_HOME: '/m' } },
      '/u/ada/.local/share/miaou/bob',
    ],
    ['macOS', {}, { ...linux, platform: 'darwin' }, '/u/ada/Library/Application Support/miaou/default'],
    [
      'Windows',
      {},
      { ...linux, platform: 'win32', userDirectory: 'C:\\u', env: { LOCALAPPDATA: 'C:\\u\\L' } },
      'C:\\u\\L\\miaou\\default',
    ],
    [
      'Windows without LOCALAPPDATA',
      {},
      { ...linux, platform: 'win32', userDirectory: 'C:\\u' },
      'C:\\u\\AppData\\Local\\miaou\\default',
    ],
  ] satisfies [string, object, HomeSurroundings, string][])('%s', (_name, choice, around, path) => {
    expect(homePath(choice, around)).toEqual({ ok: true, value: path })
  })

  test.each(['..', '', 'a/b', 'a\\b', '.hidden', 'x'.repeat(33), 'a b'])('profile name %j is refused', (profile) => {
    expect(homePath({ profile }, linux)).toEqual({ ok: false, error: { type: 'bad-profile-name', profile } })
  })

  test('--home and --profile together are refused', () => {
    expect(homePath({ home: 'a', profile: 'b' }, linux)).toEqual({ ok: false, error: { type: 'home-and-profile' } })
  })
})

describe('atomic files', () => {
  test('a file is replaced whole, readable by its owner only, and no temporary file stays', () => {
    const path = join(directory, 'a')
    atomicWriteFile(path, Buffer.from('one'))
    atomicWriteFile(path, Buffer.from('two'))
    expect(readFileSync(path, 'utf8')).toBe('two')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readdirSync(directory)).toEqual(['a'])
  })

  test('a refused write throws, keeps the old bytes and leaves nothing behind', () => {
    const path = join(directory, 'folder')
    fileSecureStorage(path).store('a', Uint8Array.of(1))
    expect(() => atomicWriteFile(path, Buffer.from('x'))).toThrow()
    expect(readdirSync(directory)).toEqual(['folder'])
  })
})

test('what writes that were cut off left behind is removed, and nothing else', () => {
  for (const name of ['a.0123456789ab.tmp', 'a', 'b.tmp', 'a.0123456789ab.tmp.txt']) {
    writeFileSync(join(directory, name), 'x')
  }
  removeTemporaryFiles(directory)
  expect(readdirSync(directory).sort()).toEqual(['a', 'a.0123456789ab.tmp.txt', 'b.tmp'])
})

describe('secure storage in files', () => {
  test('stores, loads, lists and removes; the folder appears at the first write', () => {
    const folder = join(directory, 'keys')
    const storage = fileSecureStorage(folder)
    expect(storage.names()).toEqual([])
    expect(storage.load('b')).toBeUndefined()
    storage.remove('b')
    expect(existsSync(folder)).toBe(false)
    storage.store('b', Uint8Array.of(1, 2))
    storage.store('a-1', Uint8Array.of(3))
    storage.store('b', Uint8Array.of(4))
    expect(storage.load('b')).toEqual(Uint8Array.of(4))
    expect(storage.names()).toEqual(['a-1', 'b'])
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    expect(statSync(join(folder, 'b')).mode & 0o777).toBe(0o600)
    storage.remove('b')
    expect(storage.names()).toEqual(['a-1'])
  })

  test('what a crash left of a write is not a name', () => {
    const storage = fileSecureStorage(directory)
    storage.store('a', Uint8Array.of(1))
    writeFileSync(join(directory, 'a.0123.tmp'), 'half')
    expect(storage.names()).toEqual(['a'])
  })

  test.each(['../a', 'A', '', 'a.b', '-a'])('the name %j is our own bug', (name) => {
    expect(() => fileSecureStorage(directory).store(name, Uint8Array.of(1))).toThrow('names of secure storage')
  })
})

describe('one writer per home', () => {
  function lock(home = directory): HomeLock {
    const taken = lockHome(home, 1_000)
    if (!taken.ok) throw new Error(JSON.stringify(taken.error))
    locks.push(taken.value)
    return taken.value
  }

  /** Another process that takes the lock and then waits. */
  async function otherHolder(): Promise<ChildProcess> {
    const program = `
      import { lockHome } from ${JSON.stringify(join(import.meta.dirname, '../src/home/lock.ts'))}
      const taken = lockHome(process.argv[1], 1234)
      if (taken.ok) taken.value.announce({ apiUrl: 'http://127.0.0.1:9999' })
      process.stdout.write(taken.ok ? 'locked' : taken.error.type)
      setInterval(() => 0, 1000)
    `
    const child = spawn(process.execPath, ['--input-type=module', '-e', program, directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.push(child)
    const [said] = await once(child.stdout ?? child, 'data')
    expect(String(said)).toBe('locked')
    return child
  }

  test('the second is told who holds it, in one process too; released, it is free', () => {
    const first = lock()
    expect(lockHome(directory)).toEqual({
      ok: false,
      error: { type: 'home-in-use', home: directory, pid: process.pid, since: 1_000, apiUrl: undefined },
    })
    expect(findHomeHolder(directory)).toEqual({ pid: process.pid, since: 1_000 })
    first.release()
    first.release()
    expect(findHomeHolder(directory)).toBeUndefined()
    lock()
  })

  test('another process is told with its address, and its lock ends with SIGKILL', async () => {
    const child = await otherHolder()
    expect(lockHome(directory)).toEqual({
      ok: false,
      error: { type: 'home-in-use', home: directory, pid: child.pid, since: 1234, apiUrl: 'http://127.0.0.1:9999' },
    })
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
    expect(existsSync(join(directory, 'running.json'))).toBe(true)
    expect(findHomeHolder(directory)).toBeUndefined()
    lock()
    expect(findHomeHolder(directory)).toEqual({ pid: process.pid, since: 1_000 })
  })

  test('a note about a holder that is this very pid (reused) does not keep the home', () => {
    writeFileSync(join(directory, 'running.json'), JSON.stringify({ pid: process.pid, since: 1 }))
    expect(findHomeHolder(directory)).toBeUndefined()
    lock()
  })

  test.each(['', '{', '{"pid":"x","since":1}', '[]', 'null'])(
    'a note that reads %j: in use, by nobody known',
    (note) => {
      lock()
      writeFileSync(join(directory, 'running.json'), note)
      expect(lockHome(directory)).toMatchObject({ ok: false, error: { type: 'home-in-use', pid: undefined } })
      expect(findHomeHolder(directory)).toEqual({ pid: 0, since: 0 })
    },
  )

  test('the note is gone after release and private while it is there', () => {
    const held = lock()
    const path = join(directory, 'running.json')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    held.announce({ apiUrl: 'http://127.0.0.1:1' })
    expect(findHomeHolder(directory)?.apiUrl).toBe('http://127.0.0.1:1')
    held.release()
    expect(existsSync(path)).toBe(false)
  })

  test('one who only looks neither sees another who looks nor keeps the home from being free', () => {
    lock().release()
    const looking = new Database(join(directory, 'lock'), { readonly: true })
    looking.exec('BEGIN')
    looking.prepare('SELECT count(*) FROM sqlite_master').get()
    try {
      expect(findHomeHolder(directory)).toBeUndefined()
    } finally {
      looking.close()
    }
    lock()
  })

  test('a home that cannot be made is told as such', () => {
    writeFileSync(join(directory, 'file'), '')
    expect(lockHome(join(directory, 'file', 'home'))).toMatchObject({ ok: false, error: { type: 'unwritable' } })
  })

  test('a home that nobody ever used has no holder', () => {
    expect(findHomeHolder(join(directory, 'never'))).toBeUndefined()
  })
})
