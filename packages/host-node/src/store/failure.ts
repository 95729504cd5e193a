import { type StoreErrorKind, StoreFailure } from '@miaou/messaging'

/** Result codes of SQLite (`sqlite3.h`, the part before a second underscore) and what they mean to a caller of the port. */
const kindByCode: ReadonlyMap<string, StoreErrorKind> = new Map([
  ['SQLITE_FULL', 'full'],
  ['SQLITE_CORRUPT', 'damaged'],
  ['SQLITE_NOTADB', 'damaged'],
  ['SQLITE_FORMAT', 'damaged'],
  ['SQLITE_CONSTRAINT', 'constraint'],
  // Wrong SQL, a wrong type, a value too large: mistakes of ours, as a broken rule of the schema is.
  ['SQLITE_ERROR', 'constraint'],
  ['SQLITE_MISMATCH', 'constraint'],
  ['SQLITE_MISUSE', 'constraint'],
  ['SQLITE_RANGE', 'constraint'],
  ['SQLITE_TOOBIG', 'constraint'],
])

/** The code of an error thrown by the SQLite binding (`SQLITE_FULL`, `SQLITE_IOERR_WRITE`), undefined for any other. */
export function sqliteCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown)) return undefined
  return typeof thrown.code === 'string' && thrown.code.startsWith('SQLITE_') ? thrown.code : undefined
}

/** Kind of a SQLite result code; what is not listed (busy, read-only, cannot open, I/O) is the system's: `io`. */
export function codeToKind(code: string): StoreErrorKind {
  const primary = code.split('_', 2).join('_')
  return kindByCode.get(primary) ?? 'io'
}

/** Turns an error of the binding into the port's `StoreFailure`; anything else (a bug, a caller's own throw) is kept. */
export function toStoreFailure(thrown: unknown): unknown {
  const code = sqliteCode(thrown)
  if (code === undefined) return thrown
  const message = thrown instanceof Error ? thrown.message : 'unknown'
  return new StoreFailure(codeToKind(code), `${code}: ${message}`)
}
