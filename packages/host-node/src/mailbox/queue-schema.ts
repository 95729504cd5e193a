import type { Store } from '@miaou/messaging'

/** Version of the tables, in `user_version`. */
const version = 1

const tables = `
CREATE TABLE box (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name BLOB NOT NULL UNIQUE,
  counter INTEGER NOT NULL,
  nonce BLOB NOT NULL,
  until INTEGER NOT NULL,
  last_id INTEGER NOT NULL
) STRICT;
CREATE INDEX box_until ON box (until);
CREATE TABLE envelope (
  key INTEGER PRIMARY KEY,
  accepted_at INTEGER NOT NULL,
  until INTEGER NOT NULL,
  size INTEGER NOT NULL,
  strange INTEGER NOT NULL,
  token BLOB,
  digest BLOB NOT NULL,
  bytes BLOB NOT NULL
) STRICT;
CREATE INDEX envelope_until ON envelope (until, size, strange);
CREATE INDEX envelope_strange ON envelope (key, digest) WHERE strange = 1;
CREATE TABLE token (
  box INTEGER NOT NULL,
  hash BLOB NOT NULL,
  state INTEGER NOT NULL,
  digest BLOB,
  id INTEGER,
  until INTEGER,
  PRIMARY KEY (box, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX token_until ON token (until) WHERE until IS NOT NULL;
CREATE TABLE bundle (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  box INTEGER NOT NULL,
  digest BLOB NOT NULL,
  bytes BLOB NOT NULL,
  UNIQUE (box, digest)
) STRICT;
CREATE TABLE given (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  box INTEGER NOT NULL,
  digest BLOB NOT NULL,
  UNIQUE (box, digest)
) STRICT;
CREATE TABLE last_resort (box INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
CREATE TABLE clock (id INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT;
`

/** Makes the tables where there are none. Throws where a later version of the program made them. */
export function createQueueTables(store: Store): void {
  const found = Number(store.get('PRAGMA user_version')?.['user_version'])
  if (found === version) return
  if (found !== 0) throw new Error(`the mailbox was made by a later version (its tables have version ${found})`)
  // So that free pages can be given back to a full disk. It must come before the first table, and then needs a new file.
  store.script('PRAGMA auto_vacuum = INCREMENTAL; VACUUM')
  store.transaction(() => {
    store.script(tables)
    store.script(`PRAGMA user_version = ${version}`)
  })
}
