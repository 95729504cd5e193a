import { closeSync, existsSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { assert, err, ok, type Result } from '@miaou/core'
import { type SqlRow, type SqlValue, type Store, StoreFailure } from '@miaou/messaging'
import Database, { type Statement } from 'better-sqlite3-multiple-ciphers'
import { fileMode, makePrivateDirectory } from '../home/files.ts'
import { codeToKind, sqliteCode, toStoreFailure } from './failure.ts'
import { checkKey, type KeyCheck, writeKeyCheck } from './key-check.ts'

export const storeKeySize = 32

export interface SqliteStoreOptions {
  /** File of the database, or `:memory:` (then `key` is ignored: nothing is at rest). Its folder is made when missing. */
  readonly path: string
  /** 32 random bytes. Without it the file is not encrypted. */
  readonly key?: Uint8Array
  /** Largest size of the database, in pages of 4096 bytes; SQLite's own limit (17.5 TB) by default. */
  readonly pageCountMax?: number
  /** Opens an existing file and refuses every write. Default false. */
  readonly readonly?: boolean
  /** Prepared statements kept, least recently used out first. Default 256 (guess: the engines use about a hundred). */
  readonly statementsMax?: number
}

export type StoreError =
  /** The file belongs to another key. */
  | { readonly type: 'wrong-key'; readonly path: string }
  /** The key is right (or there is none), the file is not a sound database. `keyCheck` says how sure that is. */
  | { readonly type: 'damaged'; readonly path: string; readonly keyCheck: KeyCheck; readonly detail: string }
  /** No room on the disk, or `pageCountMax` is reached. */
  | { readonly type: 'full'; readonly path: string }
  /** Another process holds the database. */
  | { readonly type: 'in-use'; readonly path: string }
  /** The operating system refused. `code` is SQLite's or the system's. */
  | { readonly type: 'io'; readonly path: string; readonly code: string; readonly detail: string }
  /** `key` is not 32 bytes. */
  | { readonly type: 'bad-key-size'; readonly size: number }

export interface SqliteStore extends Store {
  readonly path: string
  /** Moves the write-ahead log into the database and empties it; false when it could not (full disk, a reader). */
  checkpoint(): boolean
  /** Reads every page (encrypted ones prove their integrity so): the first complaint, or undefined when sound. */
  findDamage(): string | undefined
}

/**
 * Cipher of SQLite3MultipleCiphers: ChaCha20-Poly1305 with a random nonce a page, the default of that library and fast
 * without AES hardware, so that the browser's build can take the same. Measured (`bench`, transactions/s of one message):
 * plain 4,500–5,200, chacha20 3,400–4,000, sqlcipher 3,700–3,800, aegis 4,300–5,200 (youngest standard: not chosen).
 */
const cipher = 'chacha20'

/** Guess: large enough to keep a busy hour's log in place, small enough that the file is given back after a burst. */
const journalBytesMax = 4 * 1024 * 1024

/** SQLite's own default, stated because durability on a full disk leans on it: pages in the log before a checkpoint. */
const walPagesBeforeCheckpoint = 1000

/**
 * Opens (creates) a database: WAL, every commit durable, exclusive to this process, deleted content overwritten.
 * Close it: the log is then folded into the file and removed.
 */
export function openSqliteStore(options: SqliteStoreOptions): Result<SqliteStore, StoreError> {
  const { path, key } = options
  if (key !== undefined && key.length !== storeKeySize) return err({ type: 'bad-key-size', size: key.length })
  const inMemory = path === ':memory:'
  const fileKey = inMemory ? undefined : key
  const keyCheck = fileKey === undefined ? 'absent' : checkKey(path, fileKey)
  if (keyCheck === 'wrong' && existsSync(path)) return err({ type: 'wrong-key', path })
  let db: Database | undefined
  try {
    if (!inMemory && options.readonly !== true) makePrivateFile(path)
    db = new Database(path, { timeout: 0, readonly: options.readonly === true })
    if (fileKey !== undefined) applyKey(db, fileKey)
    configure(db, options)
    // The check file comes after the database is known to open with this key and before anything is stored in it.
    if (fileKey !== undefined && keyCheck !== 'right' && options.readonly !== true) writeKeyCheck(path, fileKey)
    return ok(new BetterSqliteStore(db, path, options.statementsMax ?? 256))
  } catch (thrown) {
    db?.close()
    return err(toStoreError(thrown, path, keyCheck))
  }
}

/**
 * SQLite would make the file readable to others (its log takes the mode of the file). An existing one is left alone:
 * opening and closing it here would drop the locks that this process may hold on it (POSIX).
 */
function makePrivateFile(path: string): void {
  makePrivateDirectory(dirname(path))
  if (!existsSync(path)) closeSync(openSync(path, 'ax', fileMode))
}

/** SQLite3MultipleCiphers takes `raw:` + 64 hex digits as the key itself, without derivation. */
function applyKey(db: Database, key: Uint8Array): void {
  db.pragma(`cipher='${cipher}'`)
  const raw = Buffer.alloc(4 + 2 * storeKeySize)
  raw.write('raw:', 'latin1')
  const digits = '0123456789abcdef'
  for (const [index, byte] of key.entries()) {
    raw[4 + 2 * index] = digits.charCodeAt(byte >> 4)
    raw[5 + 2 * index] = digits.charCodeAt(byte & 15)
  }
  try {
    db.key(raw)
  } finally {
    raw.fill(0)
  }
}

function configure(db: Database, options: SqliteStoreOptions): void {
  // Exclusive: one writer per home holds even if the lock file was judged wrongly, and no shared-memory file is needed.
  // A read-only file cannot be locked so.
  if (options.readonly !== true) db.pragma('locking_mode = EXCLUSIVE')
  db.pragma('temp_store = MEMORY')
  db.pragma('foreign_keys = ON')
  // The first real read: a wrong key or a foreign file shows here.
  db.prepare('SELECT count(*) FROM sqlite_master').get()
  if (options.pageCountMax !== undefined) db.pragma(`max_page_count = ${Math.trunc(options.pageCountMax)}`)
  if (options.readonly === true) return
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')
  db.pragma('secure_delete = ON')
  db.pragma(`journal_size_limit = ${journalBytesMax}`)
  db.pragma(`wal_autocheckpoint = ${walPagesBeforeCheckpoint}`)
  // Takes the exclusive lock now, so that a second process is refused here and not at its first write.
  db.exec('BEGIN IMMEDIATE; COMMIT')
}

function toStoreError(thrown: unknown, path: string, keyCheck: KeyCheck): StoreError {
  const code = sqliteCode(thrown)
  const detail = thrown instanceof Error ? thrown.message : String(thrown)
  if (code === undefined) {
    const system =
      thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : 'unknown'
    return system === 'ENOSPC' ? { type: 'full', path } : { type: 'io', path, code: system, detail }
  }
  if (code.startsWith('SQLITE_BUSY')) return { type: 'in-use', path }
  const kind = codeToKind(code)
  if (kind === 'full') return { type: 'full', path }
  if (kind === 'damaged') return { type: 'damaged', path, keyCheck, detail }
  return { type: 'io', path, code, detail }
}

class BetterSqliteStore implements SqliteStore {
  readonly path: string
  readonly #db: Database
  readonly #statementsMax: number
  /** By text, in order of last use. */
  readonly #statements: Map<string, Statement> = new Map()
  #inTransaction = false

  constructor(db: Database, path: string, statementsMax: number) {
    this.#db = db
    this.path = path
    this.#statementsMax = Math.max(1, statementsMax)
  }

  run(sql: string, parameters: readonly SqlValue[] = []): { changes: number; lastInsertRowid: number } {
    return this.#guarded(() => {
      const { changes, lastInsertRowid } = this.#prepare(sql).run(...parameters)
      return { changes, lastInsertRowid: Number(lastInsertRowid) }
    })
  }

  get(sql: string, parameters: readonly SqlValue[] = []): SqlRow | undefined {
    return this.#guarded(() => {
      const row: unknown = this.#prepare(sql).get(...parameters)
      return row === undefined ? undefined : toRow(row)
    })
  }

  all(sql: string, parameters: readonly SqlValue[] = []): readonly SqlRow[] {
    return this.#guarded(() => {
      const rows: unknown[] = this.#prepare(sql).all(...parameters)
      return rows.map(toRow)
    })
  }

  script(sql: string): void {
    this.#guarded(() => this.#db.exec(sql))
  }

  transaction<T>(body: () => T): T {
    assert(!this.#inTransaction, 'transactions of the store do not nest')
    this.#guarded(() => this.#prepare('BEGIN IMMEDIATE').run())
    this.#inTransaction = true
    try {
      const value = body()
      this.#guarded(() => this.#prepare('COMMIT').run())
      return value
    } catch (thrown) {
      // SQLite may have rolled back by itself (full disk, I/O error); a commit that failed is still open.
      if (this.#db.open && this.#db.inTransaction) this.#db.exec('ROLLBACK')
      throw thrown
    } finally {
      this.#inTransaction = false
    }
  }

  checkpoint(): boolean {
    try {
      const [row]: unknown[] = this.#db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').all()
      return row !== undefined && toRow(row)['busy'] === 0
    } catch {
      return false
    }
  }

  findDamage(): string | undefined {
    try {
      const row: unknown = this.#db.prepare('PRAGMA integrity_check(1)').get()
      const answer = row === undefined ? 'no answer' : String(toRow(row)['integrity_check'])
      return answer === 'ok' ? undefined : answer
    } catch (thrown) {
      return thrown instanceof Error ? thrown.message : String(thrown)
    }
  }

  close(): void {
    if (!this.#db.open) return
    this.#statements.clear()
    // Where the disk is full the log stays as it is: what was committed is in it and is read at the next opening.
    if (!this.#db.readonly) this.checkpoint()
    this.#db.close()
  }

  #prepare(sql: string): Statement {
    const known = this.#statements.get(sql)
    if (known !== undefined) {
      this.#statements.delete(sql)
      this.#statements.set(sql, known)
      return known
    }
    const statement = this.#db.prepare(sql)
    this.#statements.set(sql, statement)
    if (this.#statements.size > this.#statementsMax) {
      for (const [oldest] of this.#statements) {
        this.#statements.delete(oldest)
        break
      }
    }
    return statement
  }

  #guarded<T>(body: () => T): T {
    // After SQLite rolled back by itself, a caller who swallowed the failure must not write outside the transaction.
    if (this.#inTransaction && !this.#db.inTransaction) {
      throw new StoreFailure('io', 'the transaction was already rolled back')
    }
    try {
      return body()
    } catch (thrown) {
      throw toStoreFailure(thrown)
    }
  }
}

/** A row of the binding as the port promises it: its BLOBs are Buffers there, plain `Uint8Array` here. */
function toRow(row: unknown): SqlRow {
  assert(typeof row === 'object' && row !== null, 'SQLite gives rows as objects')
  const record = row as Record<string, SqlValue>
  for (const name of Object.keys(record)) {
    const value = record[name]
    if (value instanceof Uint8Array) record[name] = new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  }
  return record
}
