import { parentPort, workerData } from 'node:worker_threads'
import { assert } from '@miaou/core'
import { StoreFailure } from '@miaou/messaging'
import type { QueueFailure, QueueOperation, QueueResult } from '@miaou/network'
import { openSqliteStore, type SqliteStore, type StoreError } from '../store/sqlite-store.ts'
import { DiskReserve } from './disk-reserve.ts'
import { QueueTables } from './queue-tables.ts'
import type { QueueAnswer, QueueCall, QueueStart } from './queue-worker-protocol.ts'

/** The thread that waits for the disk, so that the links of the mailbox do not. */
function run(port: NonNullable<typeof parentPort>, start: QueueStart): void {
  const { path, key, pageCountMax } = start
  const opened = openSqliteStore({ path, key, ...(pageCountMax === undefined ? {} : { pageCountMax }) })
  const answer = (message: QueueAnswer) => port.postMessage(message)
  if (!opened.ok) {
    answer({ type: 'not-opened', error: opened.error })
    return
  }
  const store = opened.value
  let queue: DiskQueue
  try {
    queue = new DiskQueue(store, start)
  } catch (thrown) {
    store.close()
    const { detail, kind } = failureOf(thrown)
    const error: StoreError = kind === 'full' ? { type: 'full', path } : { type: 'io', path, code: 'tables', detail }
    answer({ type: 'not-opened', error })
    return
  }
  port.on('message', (call: QueueCall) => {
    if (call.type === 'close') {
      store.close()
      answer({ type: 'closed' })
      port.close()
      return
    }
    const outcome = queue.apply(call.operations)
    answer({ type: 'applied', call: call.call, outcome, totals: queue.tables.totals() })
  })
  answer({ type: 'opened', totals: queue.tables.totals() })
}

/** The tables, and what is done where the disk is full. */
class DiskQueue {
  readonly tables: QueueTables
  readonly #store: SqliteStore
  readonly #reserve: DiskReserve
  readonly #reservePages: number

  constructor(store: SqliteStore, { path, limits, reserveBytes }: QueueStart) {
    this.#store = store
    this.#reserve = new DiskReserve(`${path}-reserve`, reserveBytes)
    this.#reservePages = Math.ceil(reserveBytes / 4_096)
    this.tables = new QueueTables(store, limits)
    this.#relax()
  }

  apply(operations: readonly QueueOperation[]): readonly QueueResult[] | QueueFailure {
    const outcome = this.#try(operations)
    const isFull = 'type' in outcome && outcome.kind === 'full'
    if (isFull && !this.tables.isTight) {
      // From now on only what makes no more of it is done, in the room that this makes.
      this.tables.isTight = true
      this.#reserve.give()
      this.#store.checkpoint()
      return this.#try(operations)
    }
    if (isFull) this.#store.checkpoint()
    else if (this.tables.isTight && operations.some(({ type }) => type === 'expire')) this.#relax()
    return outcome
  }

  #try(operations: readonly QueueOperation[]): readonly QueueResult[] | QueueFailure {
    try {
      return this.tables.apply(operations)
    } catch (thrown) {
      return failureOf(thrown)
    }
  }

  /** Takes everything again where there is room for the reserve, by giving back free pages of the file if need be. */
  #relax(): void {
    if (this.tables.isTight) {
      try {
        this.#store.script(`PRAGMA incremental_vacuum(${this.#reservePages})`)
        this.#store.checkpoint()
      } catch {
        return
      }
    }
    this.tables.isTight = !this.#reserve.take()
  }
}

function failureOf(thrown: unknown): QueueFailure {
  const kind = thrown instanceof StoreFailure && thrown.kind === 'full' ? 'full' : 'failed'
  return { type: 'failed', kind, detail: thrown instanceof Error ? thrown.message : String(thrown) }
}

assert(parentPort !== null, 'this file runs as a worker')
// Handed over by `SqliteMessageQueue`.
run(parentPort, workerData as QueueStart)
