import type { Result } from '@miaou/core'
import { err, ok } from '@miaou/core'
import type { Store } from './store.ts'

/** `newer-database`: a newer program wrote it; this one must not touch it. */
export type MigrationError = {
  readonly type: 'newer-database'
  readonly version: number
  readonly versionMax: number
}

// Codes in columns (spec/messaging, "Tables"): contacts.state 0 contact, 1 request, 2 blocked, 3 stranger;
// devices.state 0 claimed, 1 listed, 2 revoked; deliveries.state and messages.state as in codes.ts.
const version1 = `
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE contacts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account BLOB NOT NULL UNIQUE,
  state INTEGER NOT NULL,
  name TEXT NOT NULL,
  alias TEXT NOT NULL,
  verified INTEGER NOT NULL,
  forked INTEGER NOT NULL,
  device_list BLOB NOT NULL,
  own_hint_key BLOB,
  hint_key BLOB,
  invite_token BLOB,
  unread_count INTEGER NOT NULL,
  message_count INTEGER NOT NULL,
  added_at INTEGER NOT NULL,
  last_message_at INTEGER
);
CREATE TABLE devices (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  key BLOB NOT NULL,
  contact INTEGER NOT NULL,
  state INTEGER NOT NULL,
  session_key BLOB,
  addresses TEXT NOT NULL,
  hello_id BLOB,
  UNIQUE (contact, key)
);
CREATE TABLE sessions (
  row INTEGER PRIMARY KEY AUTOINCREMENT,
  id BLOB NOT NULL,
  device INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  initiator INTEGER NOT NULL,
  confirmed INTEGER NOT NULL,
  header BLOB,
  state BLOB NOT NULL
);
CREATE UNIQUE INDEX sessions_device ON sessions (device, id);
CREATE TABLE skipped_keys (
  session INTEGER NOT NULL,
  chain INTEGER NOT NULL,
  number INTEGER NOT NULL,
  header_key BLOB NOT NULL,
  message_key BLOB NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (session, chain, number)
) WITHOUT ROWID;
CREATE INDEX skipped_keys_expiry ON skipped_keys (expires_at);
CREATE TABLE session_starts (
  row INTEGER PRIMARY KEY AUTOINCREMENT,
  id BLOB NOT NULL UNIQUE,
  expires_at INTEGER NOT NULL
);
CREATE TABLE prekeys (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind INTEGER NOT NULL,
  public_key BLOB NOT NULL,
  secret_key BLOB NOT NULL,
  created_at INTEGER NOT NULL
);
CREATE INDEX prekeys_kind ON prekeys (kind, id);
CREATE TABLE messages (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  id BLOB NOT NULL,
  contact INTEGER NOT NULL,
  outgoing INTEGER NOT NULL,
  state INTEGER NOT NULL,
  device INTEGER,
  sent_at INTEGER NOT NULL,
  stored_at INTEGER NOT NULL,
  expires_at INTEGER,
  key TEXT,
  text TEXT NOT NULL
);
CREATE UNIQUE INDEX messages_id ON messages (id, contact, outgoing);
CREATE UNIQUE INDEX messages_key ON messages (key) WHERE key IS NOT NULL;
CREATE INDEX messages_contact ON messages (contact, position);
CREATE INDEX messages_unread ON messages (contact, position) WHERE state IN (1, 2);
CREATE VIRTUAL TABLE search USING fts5 (
  text, content = 'messages', content_rowid = 'position', tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO search (search, rank) VALUES ('secure-delete', 1);
CREATE TABLE deliveries (
  message INTEGER NOT NULL,
  device INTEGER NOT NULL,
  state INTEGER NOT NULL,
  reason INTEGER,
  attempts INTEGER NOT NULL,
  refusals INTEGER NOT NULL,
  next_try_at INTEGER,
  PRIMARY KEY (message, device)
) WITHOUT ROWID;
CREATE INDEX deliveries_pending ON deliveries (device, message) WHERE state <= 2;
CREATE TABLE tombstones (row INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL, account BLOB NOT NULL, UNIQUE (id, account));
CREATE TABLE invites (
  token BLOB PRIMARY KEY,
  uses INTEGER NOT NULL,
  uses_left INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE events (
  cursor INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  ref INTEGER,
  account BLOB
);
`

// How a device is reached, as it says itself (spec/records), and where its records are found.
const version2 = `
ALTER TABLE devices ADD COLUMN ways TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN ways_sequence INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN locator_key BLOB;
`

// Mailboxes, sealed senders, starts (spec/mailbox, spec/sealed, spec/messaging). contacts.changed: 0 no key, 1 the account's,
// 2 a session key. box_tokens.device: whose they are; an invite's have its token instead. prekeys.kind 5: sealing key.
const version3 = `
ALTER TABLE contacts ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE contacts ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN mailboxes TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN bundle_key BLOB;
ALTER TABLE devices ADD COLUMN sealing_key BLOB;
ALTER TABLE devices ADD COLUMN sealing_key_id INTEGER;
ALTER TABLE devices ADD COLUMN sealing_key_at INTEGER;
ALTER TABLE devices ADD COLUMN deposit_secret BLOB;
ALTER TABLE devices ADD COLUMN own_deposit_secret BLOB;
ALTER TABLE devices ADD COLUMN start_mark BLOB;
CREATE TABLE deposit_counters (device INTEGER NOT NULL, box BLOB NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (device, box)) WITHOUT ROWID;
CREATE TABLE box_tokens (
  box BLOB NOT NULL, hash BLOB NOT NULL, device INTEGER, invite BLOB, number INTEGER NOT NULL, PRIMARY KEY (box, hash)
) WITHOUT ROWID;
CREATE INDEX box_tokens_device ON box_tokens (device, box, number);
CREATE TABLE holdings (
  message INTEGER NOT NULL,
  device INTEGER NOT NULL,
  box BLOB NOT NULL,
  mailbox BLOB NOT NULL,
  token BLOB,
  until INTEGER NOT NULL,
  PRIMARY KEY (message, device, box)
) WITHOUT ROWID;
CREATE INDEX holdings_device ON holdings (device, box);
CREATE TABLE owed_receipts (
  device INTEGER NOT NULL,
  message_id BLOB NOT NULL,
  status INTEGER NOT NULL,
  reason INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (device, message_id, status)
) WITHOUT ROWID;
CREATE TABLE waiting_texts (
  row INTEGER PRIMARY KEY AUTOINCREMENT,
  id BLOB NOT NULL,
  contact INTEGER NOT NULL,
  device INTEGER NOT NULL,
  after BLOB NOT NULL,
  sent_at INTEGER NOT NULL,
  stored_at INTEGER NOT NULL,
  waited_ms INTEGER NOT NULL,
  receipt_requested INTEGER NOT NULL,
  text TEXT NOT NULL,
  UNIQUE (contact, id)
);
CREATE INDEX waiting_texts_after ON waiting_texts (contact, after);
CREATE TABLE seen_messages (row INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL UNIQUE);
`

// Beginnings of words of up to three letters have entries of their own: without them one letter among a million messages
// collects half of the index (docs/performance.md). It costs some 7 µs and 90 bytes a message.
const version4 = `
DROP TABLE search;
CREATE VIRTUAL TABLE search USING fts5 (
  text, content = 'messages', content_rowid = 'position', prefix = '1 2 3', tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO search (search, rank) VALUES ('secure-delete', 1);
INSERT INTO search (search) VALUES ('rebuild');
`

// Read receipts that are owed, found without the rest of what is unread.
const version5 = `
CREATE INDEX messages_reads ON messages (contact, device, position) WHERE state = 2;
`

/** Script i leads from version i to version i + 1. A released script never changes. */
const scripts: readonly string[] = [version1, version2, version3, version4, version5]

/** The version of the schema this program reads and writes. */
export const schemaVersion: number = scripts.length

/** Brings a database to this program's schema, in one transaction; an empty one gets version 1 and all that follow. */
export function migrate(store: Store): Result<undefined, MigrationError> {
  return store.transaction(() => {
    const version = Number(store.get('PRAGMA user_version')?.['user_version'] ?? 0)
    if (version > schemaVersion) return err({ type: 'newer-database', version, versionMax: schemaVersion })
    for (const script of scripts.slice(version)) store.script(script)
    if (version < schemaVersion) store.script(`PRAGMA user_version = ${schemaVersion}`)
    return ok(undefined)
  })
}
