import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { err, ok, type Result } from '@miaou/core'
import Database from 'better-sqlite3-multiple-ciphers'
import { sqliteCode } from '../store/failure.ts'
import { atomicWriteFile, makePrivateDirectory } from './files.ts'
import { type HomeRefused, toHomeRefused } from './refused.ts'

/** What the one who holds a home tells others about itself. */
export interface HomeHolder {
  readonly pid: number
  /** When the lock was taken: milliseconds since the Unix epoch. */
  readonly since: number
  /** Base address of the local API, once it listens. */
  readonly apiUrl?: string
}

/** Another process (or another peer of this one) works in the home. `holder` is absent while that one is still starting. */
export interface HomeInUse {
  readonly type: 'home-in-use'
  readonly home: string
  readonly pid: number | undefined
  readonly since: number | undefined
  readonly apiUrl: string | undefined
}

export type LockHomeError = HomeInUse | HomeRefused

export interface HomeLock {
  readonly home: string
  /** Tells others where the local API listens. */
  announce(facts: { readonly apiUrl: string }): void
  /** Gives the home free; later calls do nothing. The end of the process does it too, however it ends. */
  release(): void
}

/**
 * The lock is the operating system's own, held through SQLite on an empty file: when the process dies, by SIGKILL too,
 * the kernel takes it back, so that there is no stale lock, no reused pid and no clock to be wrong about. What is
 * readable about the holder lies in a second file and is only told, never trusted.
 */
const lockName = 'lock'
const holderName = 'running.json'

/** Guess: a process that just took the lock needs this long at most to say who it is. */
const holderWaitMs = 20
const holderAttemptsMax = 15
/** The lock may be held for the blink of another's look at it, and the note be of a process long gone. Guess. */
const lookAttemptsMax = 3

/** Takes the home for this process. The folder is made when missing. */
export function lockHome(home: string, wallMs: number = Date.now()): Result<HomeLock, LockHomeError> {
  try {
    makePrivateDirectory(home)
    for (let attempt = 0; ; attempt++) {
      const db = takeLock(join(home, lockName))
      if (db !== undefined) return ok(new HeldHome(home, db, wallMs))
      const holder = readHolder(home)
      const isTold = holder !== undefined && isAlive(holder.pid)
      if (attempt < (isTold ? lookAttemptsMax : holderAttemptsMax)) {
        pauseMs(holderWaitMs)
        continue
      }
      const { pid, since, apiUrl } = holder ?? {}
      return err({ type: 'home-in-use', home, pid, since, apiUrl })
    }
  } catch (thrown) {
    return err(toHomeRefused(home, thrown))
  }
}

/** Who works in the home now, undefined when nobody does. A holder that is still starting is `{ pid: 0, since: 0 }`. */
export function findHomeHolder(home: string): HomeHolder | undefined {
  const path = join(home, lockName)
  if (!existsSync(path)) return undefined
  return isHeld(path) ? (readHolder(home) ?? { pid: 0, since: 0 }) : undefined
}

/** Looks without taking: two who look at once do not see each other. */
function isHeld(path: string): boolean {
  let db: Database | undefined
  try {
    db = new Database(path, { timeout: 0, readonly: true })
    db.prepare('SELECT count(*) FROM sqlite_master').get()
    return false
  } catch (thrown) {
    return isBusy(thrown)
  } finally {
    db?.close()
  }
}

/** The database that holds the lock, undefined when another holds it. */
function takeLock(path: string): Database | undefined {
  const db = new Database(path, { timeout: 0 })
  try {
    db.exec('BEGIN EXCLUSIVE')
    return db
  } catch (thrown) {
    db.close()
    if (isBusy(thrown)) return undefined
    throw thrown
  }
}

function isBusy(thrown: unknown): boolean {
  return sqliteCode(thrown)?.startsWith('SQLITE_BUSY') === true
}

class HeldHome implements HomeLock {
  readonly home: string
  readonly #db: Database
  readonly #since: number
  readonly #onExit: () => void

  constructor(home: string, db: Database, since: number) {
    this.home = home
    this.#db = db
    this.#since = since
    this.#onExit = () => this.release()
    try {
      this.#write({ pid: process.pid, since })
    } catch (thrown) {
      db.close()
      throw thrown
    }
    process.once('exit', this.#onExit)
  }

  announce(facts: { readonly apiUrl: string }): void {
    if (this.#db.open) this.#write({ pid: process.pid, since: this.#since, apiUrl: facts.apiUrl })
  }

  release(): void {
    if (!this.#db.open) return
    process.off('exit', this.#onExit)
    rmSync(join(this.home, holderName), { force: true })
    this.#db.close()
  }

  #write(holder: HomeHolder): void {
    atomicWriteFile(join(this.home, holderName), Buffer.from(`${JSON.stringify(holder)}\n`))
  }
}

function readHolder(home: string): HomeHolder | undefined {
  let value: unknown
  try {
    value = JSON.parse(readFileSync(join(home, holderName), 'utf8'))
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || !('pid' in value) || !('since' in value)) return undefined
  const { pid, since } = value
  if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0 || typeof since !== 'number') return undefined
  const apiUrl = 'apiUrl' in value && typeof value.apiUrl === 'string' ? value.apiUrl : undefined
  return apiUrl === undefined ? { pid, since } : { pid, since, apiUrl }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (thrown) {
    return thrown instanceof Error && 'code' in thrown && thrown.code === 'EPERM'
  }
}

function pauseMs(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
