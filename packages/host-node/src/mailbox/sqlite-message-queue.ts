import { Worker } from 'node:worker_threads'
import { err, ok, type Result } from '@miaou/core'
import {
  defaultQueueLimits,
  type MessageQueue,
  type QueueFailure,
  type QueueLimits,
  type QueueOperation,
  type QueueResult,
  type QueueTotals,
} from '@miaou/network'
import type { StoreError } from '../store/sqlite-store.ts'
import type { QueueAnswer, QueueCall, QueueStart } from './queue-worker-protocol.ts'

export interface SqliteMessageQueueOptions {
  /** File of the database; made where there is none. */
  readonly path: string
  /** 32 random bytes. */
  readonly key: Uint8Array
  readonly limits?: Partial<QueueLimits>
  /** Largest size of the database, in pages of 4096 bytes; no limit by default. */
  readonly pageCountMax?: number
  /** Room on the disk that is kept for deleting where it is full. Default 16 MiB. */
  readonly reserveBytes?: number
}

/** Own choice: four logs of the database, which may have to be folded into the file first. */
const reserveBytesDefault = 16 * 1024 ** 2

type Outcome = readonly QueueResult[] | QueueFailure

/**
 * A mailbox's queue in an encrypted database of its own (docs/decisions/0038), in a thread that waits for the disk. Every
 * group is one transaction, durable when it is answered.
 */
export class SqliteMessageQueue implements MessageQueue {
  readonly #worker: Worker
  readonly #waiting = new Map<number, (outcome: Outcome) => void>()
  #closed: Promise<void> | undefined
  #onClosed: () => void = () => undefined
  #totals: QueueTotals = { boxes: 0, envelopes: 0, bytes: 0 }
  #lastCall = 0
  /** Why it takes nothing any more. */
  #gone: string | undefined

  private constructor(worker: Worker) {
    this.#worker = worker
  }

  /** The errors are those of `openSqliteStore`. */
  static open(options: SqliteMessageQueueOptions): Promise<Result<SqliteMessageQueue, StoreError>> {
    const { path, key, limits, pageCountMax, reserveBytes = reserveBytesDefault } = options
    // Compiled, this file and the thread's end in .js; run from the sources, both end in .ts.
    const program = new URL(
      import.meta.url.endsWith('.ts') ? './queue-worker.ts' : './queue-worker.js',
      import.meta.url,
    )
    const start: QueueStart = { path, key, limits: { ...defaultQueueLimits, ...limits }, pageCountMax, reserveBytes }
    const worker = new Worker(program, { workerData: start, name: 'miaou-mailbox' })
    const queue = new SqliteMessageQueue(worker)
    return new Promise((resolve) => {
      const failed = (detail: string): void => {
        queue.#leave(detail)
        resolve(err({ type: 'io', path, code: 'thread', detail }))
      }
      worker.on('error', (error) => failed(error instanceof Error ? error.message : String(error)))
      worker.on('exit', () => failed('its thread ended'))
      worker.on('message', (answer: QueueAnswer) => {
        if (answer.type === 'opened') {
          queue.#totals = answer.totals
          resolve(ok(queue))
        } else if (answer.type === 'not-opened') {
          resolve(err(answer.error))
          void worker.terminate()
        } else queue.#heard(answer)
      })
    })
  }

  apply(operations: readonly QueueOperation[]): Promise<Outcome> {
    if (this.#gone !== undefined) return Promise.resolve(failure(this.#gone))
    this.#lastCall += 1
    const call = this.#lastCall
    this.#post({ type: 'apply', call, operations: operations.map(compact) })
    return new Promise((resolve) => this.#waiting.set(call, resolve))
  }

  /** Its thread ended, or it was closed. */
  get isGone(): boolean {
    return this.#gone !== undefined
  }

  totals(): QueueTotals {
    return this.#totals
  }

  /** After the groups that were given; then nothing more is taken. */
  close(): Promise<void> {
    if (this.#closed !== undefined) return this.#closed
    this.#closed = new Promise((resolve) => {
      this.#onClosed = resolve
    })
    if (this.#gone === undefined) {
      this.#post({ type: 'close' })
      this.#gone = 'it is closed'
    } else this.#onClosed()
    return this.#closed
  }

  #post(call: QueueCall): void {
    this.#worker.postMessage(call)
  }

  #heard(answer: Extract<QueueAnswer, { type: 'applied' | 'closed' }>): void {
    // The thread ends by itself then.
    if (answer.type === 'closed') return
    this.#totals = answer.totals
    const resolve = this.#waiting.get(answer.call)
    this.#waiting.delete(answer.call)
    resolve?.(answer.outcome)
  }

  #leave(detail: string): void {
    this.#gone ??= detail
    for (const resolve of this.#waiting.values()) resolve(failure(detail))
    this.#waiting.clear()
    this.#onClosed()
  }
}

function failure(detail: string): QueueFailure {
  return { type: 'failed', kind: 'failed', detail }
}

/** A view would travel to the thread with all the memory it looks at. */
function compact(operation: QueueOperation): QueueOperation {
  switch (operation.type) {
    case 'deposit': {
      const { tokenHash, bytes, box } = operation
      return {
        ...operation,
        box: own(box),
        tokenHash: tokenHash === undefined ? undefined : own(tokenHash),
        bytes: own(bytes),
      }
    }
    case 'tokens':
      return { ...operation, box: own(operation.box), hashes: operation.hashes.map(own) }
    case 'bundles': {
      const { box, oneTime, lastResort } = operation
      return { ...operation, box: own(box), oneTime: oneTime.map(own), lastResort: lastResort && own(lastResort) }
    }
    case 'check':
      return { ...operation, box: own(operation.box), tokenHashes: operation.tokenHashes.map(own) }
    case 'expire':
      return operation
    case 'register': {
      const { box, start } = operation
      return { ...operation, box: own(box), start: { counter: start.counter, nonce: own(start.nonce) } }
    }
    default:
      return { ...operation, box: own(operation.box) }
  }
}

function own(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : Uint8Array.from(bytes)
}
