import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { QueueLimits } from '@miaou/network'
import { describeMessageQueueContract } from '@miaou/testkit'
import { SqliteMessageQueue } from '../src/mailbox/sqlite-message-queue.ts'

const key = new Uint8Array(32).fill(7)

async function openQueue(directory: string, limits: Partial<QueueLimits> = {}): Promise<SqliteMessageQueue> {
  const opened = await SqliteMessageQueue.open({ path: join(directory, 'mailbox.db'), key, limits })
  if (!opened.ok) throw new Error(JSON.stringify(opened.error))
  return opened.value
}

describeMessageQueueContract('SQLite in a thread, encrypted', () => {
  const directory = mkdtempSync(join(tmpdir(), 'miaou-mailbox-'))
  return {
    open: (limits) => openQueue(directory, limits),
    dispose: () => rmSync(directory, { recursive: true, force: true }),
  }
})
