import { bytesToBase64url, equalBytes } from '@miaou/core'
import { type DeliveryKey, type QueuedDelivery, rowToQueued } from './delivery-queue.ts'
import { bytesOf, maybeBytesOf, numberOf } from './row.ts'
import type { SqlRow, Store } from './store.ts'
import type { HolderView, StateReason } from './views.ts'

/** A mailbox's word that it has a message on disk. */
export interface Holding {
  /** 16 bytes. */
  readonly box: Uint8Array
  /** 16 bytes: the id of the mailbox that keeps that box. */
  readonly mailbox: Uint8Array
  /** What paid; undefined: it went by the strangers' lane, and nobody can ask for it. */
  readonly token: Uint8Array | undefined
  /** Wall-clock ms. */
  readonly until: number
}

/** What keeps a device's messages from its mailboxes, as shown; not stored. */
export interface PostView {
  readonly reason: StateReason | undefined
  /** Wall-clock ms. */
  readonly nextTryAt: number | undefined
}

/** The `message` of a hello: no message has this position. */
export const helloPosition = 0

/**
 * Which mailboxes hold which messages of ours (table `holdings`). A holding never ends a delivery: it only says that
 * nothing has to be sent as long as it stands.
 */
export class Holdings {
  readonly #store: Store
  #count = 0
  /** Set by `Parcels`: what a device's deposits wait for. */
  viewOf: (device: number) => PostView | undefined = () => undefined
  /** Set by `DepositTokens`: tokens of a device are free again. */
  onDropped: (device: number) => void = () => undefined

  constructor(store: Store) {
    this.#store = store
  }

  load(): void {
    const row = this.#store.get('SELECT count(*) AS count FROM holdings')
    this.#count = row === undefined ? 0 : numberOf(row, 'count')
  }

  add({ message, device }: DeliveryKey, { box, mailbox, token, until }: Holding): void {
    this.#store.run(
      'INSERT OR REPLACE INTO holdings (message, device, box, mailbox, token, until) VALUES (?, ?, ?, ?, ?, ?)',
      [message, device, box, mailbox, token ?? null, until],
    )
    this.#count += 1
  }

  /** The mailboxes that hold a message for a device. */
  of({ message, device }: DeliveryKey): Holding[] {
    if (this.#count === 0) return []
    const rows = this.#store.all('SELECT * FROM holdings WHERE message = ? AND device = ? ORDER BY box', [
      message,
      device,
    ])
    return rows.map(rowToHolding)
  }

  viewsOf(key: DeliveryKey): HolderView[] {
    return this.of(key).map(({ mailbox, until }) => ({ mailbox: bytesToBase64url(mailbox), until }))
  }

  /** How many tokens paid for what a box holds and nobody has answered yet. */
  countTokens(device: number, box: Uint8Array): number {
    const row = this.#store.get('SELECT count(DISTINCT token) AS count FROM holdings WHERE device = ? AND box = ?', [
      device,
      box,
    ])
    return row === undefined ? 0 : numberOf(row, 'count')
  }

  /** Up to `limit` different tokens that paid in a box, each with the latest end of what it paid for. */
  tokens(device: number, box: Uint8Array, limit: number): { token: Uint8Array; until: number }[] {
    const rows = this.#store.all(
      `SELECT token, max(until) AS until FROM holdings WHERE device = ? AND box = ? AND token IS NOT NULL
       GROUP BY token ORDER BY min(message) LIMIT ?`,
      [device, box, limit],
    )
    return rows.map((row) => ({ token: bytesOf(row, 'token'), until: numberOf(row, 'until') }))
  }

  /** The boxes that hold anything for a device. */
  boxes(device: number): Uint8Array[] {
    if (this.#count === 0) return []
    return this.#store
      .all('SELECT DISTINCT box FROM holdings WHERE device = ?', [device])
      .map((row) => bytesOf(row, 'box'))
  }

  /** A message that came to its end, or must go out again. */
  drop({ message, device }: DeliveryKey): void {
    if (this.#count === 0) return
    this.#forget('DELETE FROM holdings WHERE message = ? AND device = ?', [message, device])
    this.onDropped(device)
  }

  /** What one token paid for behind a position (0: all but a hello). Returns the positions. */
  dropToken(device: number, box: Uint8Array, token: Uint8Array, after: number): number[] {
    const parameters = [device, box, token, after]
    const rows = this.#store.all(
      'SELECT message FROM holdings WHERE device = ? AND box = ? AND token = ? AND message > ?',
      parameters,
    )
    this.#forget('DELETE FROM holdings WHERE device = ? AND box = ? AND token = ? AND message > ?', parameters)
    return rows.map((row) => numberOf(row, 'message'))
  }

  /** What a box held for a device. Returns the positions. */
  dropBox(device: number, box: Uint8Array): number[] {
    const rows = this.#store.all('SELECT message FROM holdings WHERE device = ? AND box = ?', [device, box])
    this.#forget('DELETE FROM holdings WHERE device = ? AND box = ?', [device, box])
    return rows.map((row) => numberOf(row, 'message'))
  }

  /**
   * Pending deliveries of a device behind a position, in order, that this box does not hold and fewer than `copies` boxes
   * do.
   */
  lacking(
    device: number,
    box: Uint8Array,
    { after, copies, limit }: { readonly after: number; readonly copies: number; readonly limit: number },
  ): QueuedDelivery[] {
    const rows = this.#store.all(
      `SELECT m.*, d.device AS to_device, d.state AS delivery, d.attempts AS attempts, d.refusals AS refusals,
       d.reason AS reason, d.next_try_at AS next_try_at
       FROM deliveries d JOIN messages m ON m.position = d.message
       WHERE d.device = ? AND d.state <= 2 AND d.message > ?
       AND NOT EXISTS (SELECT 1 FROM holdings h WHERE h.message = d.message AND h.device = d.device AND h.box = ?)
       AND (SELECT count(*) FROM holdings h WHERE h.message = d.message AND h.device = d.device) < ?
       ORDER BY d.message LIMIT ?`,
      [device, after, box, copies, limit],
    )
    return rows.map(rowToQueued)
  }

  /** How many boxes hold a message, and whether this one does. */
  copiesOf(key: DeliveryKey, box: Uint8Array): { readonly count: number; readonly isHere: boolean } {
    const held = this.of(key)
    return { count: held.length, isHere: held.some((each) => equalBytes(each.box, box)) }
  }

  /** What no mailbox keeps any longer at `now` (wall-clock ms). Returns the positions. */
  dropExpired(device: number, now: number): number[] {
    if (this.#count === 0) return []
    const rows = this.#store.all('SELECT DISTINCT message FROM holdings WHERE device = ? AND until <= ?', [device, now])
    if (rows.length > 0) this.#forget('DELETE FROM holdings WHERE device = ? AND until <= ?', [device, now])
    return rows.map((row) => numberOf(row, 'message'))
  }

  /** What went by the strangers' lane and ends by `untilMax` (wall-clock ms): nobody can ask for it. */
  dropUnasked(device: number, untilMax: number): number[] {
    if (this.#count === 0) return []
    const where = 'device = ? AND token IS NULL AND message > 0 AND until <= ?'
    const rows = this.#store.all(`SELECT DISTINCT message FROM holdings WHERE ${where}`, [device, untilMax])
    if (rows.length > 0) this.#forget(`DELETE FROM holdings WHERE ${where}`, [device, untilMax])
    return rows.map((row) => numberOf(row, 'message'))
  }

  dropMessage(message: number): void {
    if (this.#count > 0) this.#forget('DELETE FROM holdings WHERE message = ?', [message])
  }

  dropDevice(device: number): void {
    if (this.#count > 0) this.#forget('DELETE FROM holdings WHERE device = ?', [device])
  }

  /** Called before the messages of that contact up to that position go. */
  dropUpTo(contact: number, position: number): void {
    if (this.#count === 0) return
    this.#forget(
      'DELETE FROM holdings WHERE message IN (SELECT position FROM messages WHERE contact = ? AND position <= ?)',
      [contact, position],
    )
  }

  /** Ends beyond `latest` (wall-clock ms) were written before the clock went back. */
  clamp(latest: number): void {
    if (this.#count > 0) this.#store.run('UPDATE holdings SET until = ? WHERE until > ?', [latest, latest])
  }

  #forget(sql: string, parameters: readonly (number | Uint8Array)[]): void {
    this.#count = Math.max(0, this.#count - this.#store.run(sql, parameters).changes)
  }
}

function rowToHolding(row: SqlRow): Holding {
  return {
    box: bytesOf(row, 'box'),
    mailbox: bytesOf(row, 'mailbox'),
    token: maybeBytesOf(row, 'token'),
    until: numberOf(row, 'until'),
  }
}
