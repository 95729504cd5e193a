import { parentPort, workerData } from 'node:worker_threads'
import { assert } from '@miaou/core'
import { type Store, StoreFailure } from '@miaou/messaging'
import type { QueueFailure } from '@miaou/network'
import { openSqliteStore } from '../store/sqlite-store.ts'
import { QueueTables } from './queue-tables.ts'
import type { QueueAnswer, QueueCall, QueueStart } from './queue-worker-protocol.ts'

/** The thread that waits for the disk, so that the links of the mailbox do not. */
function run(port: NonNullable<typeof parentPort>, { path, key, limits, pageCountMax }: QueueStart): void {
  const opened = openSqliteStore({ path, key, ...(pageCountMax === undefined ? {} : { pageCountMax }) })
  const answer = (message: QueueAnswer) => port.postMessage(message)
  if (!opened.ok) {
    answer({ type: 'not-opened', error: opened.error })
    return
  }
  const store = opened.value
  let tables: QueueTables
  try {
    tables = new QueueTables(store, limits)
  } catch (thrown) {
    store.close()
    const { detail, kind } = failureOf(thrown)
    answer({
      type: 'not-opened',
      error: kind === 'full' ? { type: 'full', path } : { type: 'io', path, code: 'tables', detail },
    })
    return
  }
  port.on('message', (call: QueueCall) => {
    if (call.type === 'close') {
      store.close()
      answer({ type: 'closed' })
      port.close()
      return
    }
    answer({ type: 'applied', call: call.call, outcome: applyTo(tables, store, call), totals: tables.totals() })
  })
  answer({ type: 'opened', totals: tables.totals() })
}

function applyTo(
  tables: QueueTables,
  store: Store & { checkpoint(): boolean },
  call: Extract<QueueCall, { type: 'apply' }>,
) {
  try {
    return tables.apply(call.operations)
  } catch (thrown) {
    const failure = failureOf(thrown)
    // What the log still holds may fit into the file: then there is room for acknowledgements, which make more.
    if (failure.kind === 'full') store.checkpoint()
    return failure
  }
}

function failureOf(thrown: unknown): QueueFailure {
  const kind = thrown instanceof StoreFailure && thrown.kind === 'full' ? 'full' : 'failed'
  return { type: 'failed', kind, detail: thrown instanceof Error ? thrown.message : String(thrown) }
}

assert(parentPort !== null, 'this file runs as a worker')
// Handed over by `SqliteMessageQueue`.
run(parentPort, workerData as QueueStart)
