import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSqliteStore, type SqliteStore } from '@miaou/host-node'
import { migrate, SqlDeliveryQueue } from '@miaou/messaging'
import { describeDeliveryQueueContract, type MessageQueueHarness } from '@miaou/testkit'
import { unwrap } from './fixture.ts'

function openMigrated(path: string): SqliteStore {
  const store = unwrap(openSqliteStore({ path }))
  unwrap(migrate(store))
  return store
}

function createHarness(path: string, folder: string | undefined): MessageQueueHarness {
  let store = openMigrated(path)
  return {
    queue: new SqlDeliveryQueue(store),
    addMessage: ({ id, contact, expiresAt }) =>
      store.run(
        `INSERT INTO messages (id, contact, outgoing, state, sent_at, stored_at, expires_at, text)
         VALUES (?, ?, 1, 0, 1, 1, ?, 'hello')`,
        [id, contact, expiresAt],
      ).lastInsertRowid,
    transaction: (body) => store.transaction(body),
    reopen() {
      store.close()
      store = openMigrated(path)
      return new SqlDeliveryQueue(store)
    },
    dispose() {
      store.close()
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
    },
  }
}

describeDeliveryQueueContract('SQLite in memory', { isLasting: false }, () => createHarness(':memory:', undefined))

describeDeliveryQueueContract('SQLite in a file', { isLasting: true }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'miaou-queue-'))
  return createHarness(join(folder, 'home.db'), folder)
})
