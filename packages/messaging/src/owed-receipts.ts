import {
  type ContentBody,
  type ReceiptStatus,
  type RefusalReason,
  receiptIdsMax,
  receiptStatuses,
  refusalReasons,
} from '@miaou/protocol'
import { messageCodes } from './codes.ts'
import type { Context } from './context.ts'
import type { Device } from './model.ts'
import { bytesOf, numberOf } from './row.ts'

/** Receipts of one status and reason, and what is forgotten once they were told. */
export interface OwedBatch {
  readonly body: Extract<ContentBody, { type: 'receipt' }>
  /** Rows of `owed_receipts`: status as stored. */
  readonly stored: readonly { readonly id: Uint8Array; readonly status: number }[]
  /** Highest position of the messages told as read; 0: this is not of those. */
  readonly readTo: number
}

const statusNames: ReadonlyMap<number, ReceiptStatus> = new Map(
  Object.entries(receiptStatuses).map(([name, code]) => [code, name as ReceiptStatus]),
)
const reasonNames: ReadonlyMap<number, RefusalReason> = new Map(
  Object.entries(refusalReasons).map(([name, code]) => [code, name as RefusalReason]),
)

/** Receipts for devices that are not linked: kept until a mailbox has them or a link has told them. */
export class OwedReceipts {
  readonly #context: Context
  readonly #counts = new Map<number, number>()

  constructor(context: Context) {
    this.#context = context
  }

  reset(): void {
    this.#counts.clear()
  }

  add(device: Device, status: ReceiptStatus, reason: RefusalReason | undefined, ids: readonly Uint8Array[]): void {
    const { store, now, limits } = this.#context
    let count = this.#count(device)
    for (const id of ids) {
      if (count >= limits.owedReceiptsMax) {
        // Nothing is lost by it: who gets no receipt sends again.
        this.#context.drop('owed-receipts')
        break
      }
      const { changes } = store.run(
        `INSERT INTO owed_receipts (device, message_id, status, reason, at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (device, message_id, status) DO NOTHING`,
        [
          device.id,
          id,
          receiptStatuses[status],
          reason === undefined ? 0 : refusalReasons[reason],
          Math.round(now.wall),
        ],
      )
      count += changes
    }
    this.#counts.set(device.id, count)
    this.#context.touch(device)
  }

  has(device: Device): boolean {
    return this.#count(device) > 0
  }

  /** Up to as many as one receipt of each kind covers. */
  take(device: Device): OwedBatch[] {
    if (!this.has(device)) return []
    const rows = this.#context.store.all(
      'SELECT message_id, status, reason FROM owed_receipts WHERE device = ? ORDER BY status, reason LIMIT ?',
      [device.id, receiptIdsMax],
    )
    const batches = new Map<string, { id: Uint8Array; status: number }[]>()
    for (const row of rows) {
      const status = numberOf(row, 'status')
      const key = `${status} ${numberOf(row, 'reason')}`
      const batch = batches.get(key) ?? []
      batches.set(key, batch)
      batch.push({ id: bytesOf(row, 'message_id'), status })
    }
    return [...batches].map(([key, stored]) => {
      const [statusCode = 0, reasonCode = 0] = key.split(' ').map(Number)
      let status = statusNames.get(statusCode) ?? 'refused'
      let reason = reasonNames.get(reasonCode)
      // They were no contact then and are one now: it goes out again, and is taken.
      if (status === 'refused' && reason === 'request-pending') [status, reason] = ['missing', undefined]
      const messageIds = stored.map(({ id }) => id)
      return { body: { type: 'receipt', status, ...(reason && { reason }), messageIds }, stored, readTo: 0 }
    })
  }

  hasReads(device: Device): boolean {
    const sql = 'SELECT 1 FROM messages WHERE contact = ? AND state = 2 AND device = ? LIMIT 1'
    return this.#context.store.get(sql, [device.contact.id, device.id]) !== undefined
  }

  /** Read receipts for what was read here and its sender does not know: up to as many as one covers. */
  takeReads(device: Device): OwedBatch | undefined {
    const rows = this.#context.store.all(
      `SELECT position, id FROM messages
       WHERE contact = ? AND state = 2 AND device = ? ORDER BY position LIMIT ?`,
      [device.contact.id, device.id, receiptIdsMax],
    )
    const last = rows.at(-1)
    if (!last) return undefined
    const messageIds = rows.map((row) => bytesOf(row, 'id'))
    return { body: { type: 'receipt', status: 'read', messageIds }, stored: [], readTo: numberOf(last, 'position') }
  }

  /** They were told. */
  done(device: Device, { stored, readTo }: OwedBatch): void {
    const { store } = this.#context
    for (const { id, status } of stored) {
      store.run('DELETE FROM owed_receipts WHERE device = ? AND message_id = ? AND status = ?', [device.id, id, status])
    }
    if (stored.length > 0) this.#counts.delete(device.id)
    if (readTo === 0) return
    store.run('UPDATE messages SET state = ? WHERE contact = ? AND state = 2 AND device = ? AND position <= ?', [
      messageCodes.read,
      device.contact.id,
      device.id,
      readTo,
    ])
  }

  #count(device: Device): number {
    const known = this.#counts.get(device.id)
    if (known !== undefined) return known
    const row = this.#context.store.get('SELECT count(*) AS count FROM owed_receipts WHERE device = ?', [device.id])
    const count = row === undefined ? 0 : numberOf(row, 'count')
    this.#counts.set(device.id, count)
    return count
  }
}
