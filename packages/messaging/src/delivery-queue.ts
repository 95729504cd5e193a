import { bytesToMessageId } from '@miaou/core'
import { codeToDelivery, codeToReason, deliveryCodes, reasonCodes, type StoredReason } from './codes.ts'
import type { OutgoingMessage } from './model.ts'
import { bytesOf, maybeNumberOf, numberOf, textOf } from './row.ts'
import type { SqlRow, Store } from './store.ts'
import type { MessageState } from './views.ts'

/** One message on its way to one device: the message's position in the history, the device's row. */
export interface DeliveryKey {
  readonly message: number
  readonly device: number
}

/** How far a delivery is. */
export interface DeliveryRecord {
  readonly state: MessageState
  readonly reason: StoredReason | undefined
  /** Sends in all. */
  readonly attempts: number
  /** Refusals that count towards giving up. */
  readonly refusals: number
  /** Wall-clock ms before which it is not sent again; undefined: no such wait. */
  readonly nextTryAt: number | undefined
}

export interface QueuedDelivery extends DeliveryRecord {
  readonly device: number
  readonly message: OutgoingMessage
}

/** What a deadline may be at most, seen from now. */
export interface DeadlineBounds {
  /** Wall-clock ms. */
  readonly now: number
  /** Wall-clock ms of the latest expiry. */
  readonly expiresAtMax: number
  /** ms of the first backoff; attempt n waits at most this times 2^n. */
  readonly backoffStepMs: number
  /** Attempts after which the backoff grows no more. */
  readonly backoffAttemptsMax: number
}

/**
 * Port: the deliveries of our messages, one for each message and device, over the messages of the history. A delivery is
 * pending while its state is `queued`, `sent` or `held`. Synchronous, inside the caller's transaction: what is rolled
 * back never happened, what is committed is there after a crash. Every method may throw `StoreFailure`. A key that is
 * not there changes nothing. Its contract suite is testkit's `describeDeliveryQueueContract`.
 */
export interface DeliveryQueue {
  /** A new delivery: `sent` once, or `queued` and never sent. */
  add(key: DeliveryKey, state: 'queued' | 'sent'): void
  /**
   * Queues for a device of `contact` all messages to them that are young enough at `now` (wall-clock ms) and that no
   * device has, refused or lost. Those it has already stay as they are. Returns how many were added.
   */
  addForDevice(device: number, contact: number, now: number): number
  /** The pending deliveries of a device behind a position, in the order of the messages, as they are at the call. */
  waiting(device: number, after: number, limit: number): Iterable<QueuedDelivery>
  /** Whether a device has pending deliveries. */
  hasWaiting(device: number): boolean
  /** The delivery to a device of `contact` of the message with these 16 bytes as its id, in any state. */
  find(device: number, contact: number, messageId: Uint8Array): QueuedDelivery | undefined
  /** All deliveries of a message, in any state, in the order of the devices' rows. */
  ofMessage(message: number): Iterable<DeliveryRecord & { readonly device: number }>
  /** It went out for the first time since it waited: `sent`, or `held` as before, without a reason or a wait. */
  markSent(key: DeliveryKey, attempts: number): void
  /** It went out again: `sent`, or `held` as before; `nextTryAt` in wall-clock ms. */
  markRepeated(key: DeliveryKey, attempts: number, nextTryAt: number | undefined): void
  /** They do not take it now: `queued` again for a reason, until `nextTryAt` (wall-clock ms). */
  postpone(key: DeliveryKey, reason: StoredReason, refusals: number, nextTryAt: number): void
  /** Nothing of it is on its way after all: `queued`, without a reason or a wait. */
  requeue(key: DeliveryKey): void
  /** A mailbox holds it: `held`, when it is pending. Returns whether it is. */
  hold(key: DeliveryKey): boolean
  /** No mailbox holds it any more: `sent`, when it was `held`. */
  unhold(key: DeliveryKey): void
  /** The same for all deliveries to a device. */
  unholdDevice(device: number): void
  /** Whether a device has pending deliveries that no mailbox holds. */
  hasUnheld(device: number): boolean
  /**
   * Id of the nearest message before `message` that is pending with the device and was not refused, 16 bytes: until it is
   * there, a later one must not be shown.
   */
  previous(key: DeliveryKey): Uint8Array | undefined
  /** It came to an end, or further than one: the state, and the reason if there is one. Ends the wait. */
  settle(key: DeliveryKey, state: MessageState, reason: StoredReason | undefined): void
  /** What waits for `reason` at a device waits no more. */
  release(device: number, reason: StoredReason): void
  /** The pending deliveries of a message become `cancelled`. Returns how many. */
  cancel(message: number): number
  /** The deliveries of a message that nobody has got start anew: `queued`, nothing counted. */
  restart(message: number): void
  /** Forgets the pending deliveries to a device. Returns how many. */
  dropDevice(device: number): number
  /** Forgets all deliveries of the messages with `contact` up to a position. Called before the messages go. */
  dropUpTo(contact: number, position: number): void
  /** How many deliveries are pending. */
  countPending(): number
  /** Brings deadlines of pending deliveries that are too far away to the bounds: the clock went back. */
  clampDeadlines(bounds: DeadlineBounds): void
  /** Up to `limit` pending deliveries of messages that expire at `now` (wall-clock ms) or did before. */
  expired(now: number, limit: number): Iterable<QueuedDelivery>
  /** Wall-clock ms of the first expiry among the pending; undefined where nothing is pending. */
  nextExpiry(): number | undefined
}

/** The queue in the table `deliveries` of the engine's database (spec/messaging, "Tables"). */
export class SqlDeliveryQueue implements DeliveryQueue {
  readonly #store: Store

  /** `store`: migrated. */
  constructor(store: Store) {
    this.#store = store
  }

  add({ message, device }: DeliveryKey, state: 'queued' | 'sent'): void {
    this.#store.run(
      state === 'sent'
        ? 'INSERT INTO deliveries (message, device, state, attempts, refusals) VALUES (?, ?, 1, 1, 0)'
        : 'INSERT INTO deliveries (message, device, state, attempts, refusals) VALUES (?, ?, 0, 0, 0)',
      [message, device],
    )
  }

  addForDevice(device: number, contact: number, now: number): number {
    return this.#store.run(
      `INSERT OR IGNORE INTO deliveries (message, device, state, attempts, refusals)
       SELECT position, ?, 0, 0, 0 FROM messages m WHERE contact = ? AND outgoing = 1 AND expires_at > ?
       AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.message = m.position AND d.state > 2)`,
      [device, contact, now],
    ).changes
  }

  waiting(device: number, after: number, limit: number): Iterable<QueuedDelivery> {
    const rows = this.#store.all(
      `SELECT m.*, d.device AS to_device, d.state AS delivery, d.attempts AS attempts, d.refusals AS refusals,
       d.reason AS reason, d.next_try_at AS next_try_at
       FROM deliveries d JOIN messages m ON m.position = d.message
       WHERE d.device = ? AND d.state <= 2 AND d.message > ? ORDER BY d.message LIMIT ?`,
      [device, after, limit],
    )
    return mapLazily(rows, rowToQueued)
  }

  hasWaiting(device: number): boolean {
    return this.#store.get('SELECT 1 FROM deliveries WHERE device = ? AND state <= 2 LIMIT 1', [device]) !== undefined
  }

  find(device: number, contact: number, messageId: Uint8Array): QueuedDelivery | undefined {
    const row = this.#store.get(
      `SELECT m.*, d.device AS to_device, d.state AS delivery, d.attempts AS attempts, d.refusals AS refusals,
       d.reason AS reason, d.next_try_at AS next_try_at
       FROM messages m JOIN deliveries d ON d.message = m.position
       WHERE m.id = ? AND m.contact = ? AND m.outgoing = 1 AND d.device = ?`,
      [messageId, contact, device],
    )
    return row && rowToQueued(row)
  }

  ofMessage(message: number): Iterable<DeliveryRecord & { readonly device: number }> {
    const rows = this.#store.all('SELECT * FROM deliveries WHERE message = ? ORDER BY device', [message])
    return mapLazily(rows, (row) => ({ ...rowToRecord(row, 'state'), device: numberOf(row, 'device') }))
  }

  markSent({ message, device }: DeliveryKey, attempts: number): void {
    this.#store.run(
      `UPDATE deliveries SET state = max(1, state), attempts = ?, reason = NULL, next_try_at = NULL
       WHERE message = ? AND device = ? AND state <= 2`,
      [attempts, message, device],
    )
  }

  markRepeated({ message, device }: DeliveryKey, attempts: number, nextTryAt: number | undefined): void {
    this.#store.run(
      `UPDATE deliveries SET state = max(1, state), attempts = ?, next_try_at = ?
       WHERE message = ? AND device = ? AND state <= 2`,
      [attempts, nextTryAt ?? null, message, device],
    )
  }

  requeue({ message, device }: DeliveryKey): void {
    this.#store.run(
      `UPDATE deliveries SET state = 0, reason = NULL, next_try_at = NULL
       WHERE message = ? AND device = ? AND state <= 2`,
      [message, device],
    )
  }

  hold({ message, device }: DeliveryKey): boolean {
    const { changes } = this.#store.run(
      `UPDATE deliveries SET state = 2, reason = NULL, next_try_at = NULL
       WHERE message = ? AND device = ? AND state <= 2`,
      [message, device],
    )
    return changes > 0
  }

  unhold({ message, device }: DeliveryKey): void {
    this.#store.run('UPDATE deliveries SET state = 1 WHERE message = ? AND device = ? AND state = 2', [message, device])
  }

  unholdDevice(device: number): void {
    this.#store.run('UPDATE deliveries SET state = 1 WHERE device = ? AND state <= 2 AND state = 2', [device])
  }

  hasUnheld(device: number): boolean {
    const sql = 'SELECT 1 FROM deliveries WHERE device = ? AND state <= 2 AND state < 2 LIMIT 1'
    return this.#store.get(sql, [device]) !== undefined
  }

  previous({ message, device }: DeliveryKey): Uint8Array | undefined {
    const row = this.#store.get(
      `SELECT m.id AS id FROM deliveries d JOIN messages m ON m.position = d.message
       WHERE d.device = ? AND d.state <= 2 AND d.message < ? AND d.refusals = 0 ORDER BY d.message DESC LIMIT 1`,
      [device, message],
    )
    return row && bytesOf(row, 'id')
  }

  postpone({ message, device }: DeliveryKey, reason: StoredReason, refusals: number, nextTryAt: number): void {
    this.#store.run(
      'UPDATE deliveries SET state = 0, reason = ?, refusals = ?, next_try_at = ? WHERE message = ? AND device = ?',
      [reasonCodes[reason], refusals, nextTryAt, message, device],
    )
  }

  settle({ message, device }: DeliveryKey, state: MessageState, reason: StoredReason | undefined): void {
    this.#store.run(
      'UPDATE deliveries SET state = ?, reason = ?, next_try_at = NULL WHERE message = ? AND device = ?',
      [deliveryCodes[state], reason === undefined ? null : reasonCodes[reason], message, device],
    )
  }

  release(device: number, reason: StoredReason): void {
    this.#store.run(
      'UPDATE deliveries SET reason = NULL, next_try_at = NULL WHERE device = ? AND state <= 2 AND reason = ?',
      [device, reasonCodes[reason]],
    )
  }

  cancel(message: number): number {
    return this.#store.run(
      'UPDATE deliveries SET state = 7, reason = NULL, next_try_at = NULL WHERE message = ? AND state <= 2',
      [message],
    ).changes
  }

  restart(message: number): void {
    this.#store.run(
      `UPDATE deliveries SET state = 0, reason = NULL, next_try_at = NULL, attempts = 0, refusals = 0
       WHERE message = ? AND state NOT IN (3, 4)`,
      [message],
    )
  }

  dropDevice(device: number): number {
    return this.#store.run('DELETE FROM deliveries WHERE device = ? AND state <= 2', [device]).changes
  }

  dropUpTo(contact: number, position: number): void {
    this.#store.run(
      'DELETE FROM deliveries WHERE message IN (SELECT position FROM messages WHERE contact = ? AND position <= ?)',
      [contact, position],
    )
  }

  countPending(): number {
    const row = this.#store.get('SELECT count(*) AS count FROM deliveries WHERE state <= 2')
    return row === undefined ? 0 : numberOf(row, 'count')
  }

  clampDeadlines({ now, expiresAtMax, backoffStepMs, backoffAttemptsMax }: DeadlineBounds): void {
    this.#store.run(
      `UPDATE messages SET expires_at = ? WHERE position IN (SELECT message FROM deliveries WHERE state <= 2)
       AND expires_at > ?`,
      [expiresAtMax, expiresAtMax],
    )
    const interval = [now, backoffStepMs, backoffAttemptsMax]
    this.#store.run(
      `UPDATE deliveries SET next_try_at = ? + ? * (1 << min(attempts, ?))
       WHERE state <= 2 AND next_try_at > ? + ? * (1 << min(attempts, ?))`,
      [...interval, ...interval],
    )
  }

  expired(now: number, limit: number): Iterable<QueuedDelivery> {
    const rows = this.#store.all(
      `SELECT m.*, d.device AS to_device, d.state AS delivery, d.attempts AS attempts, d.refusals AS refusals,
       d.reason AS reason, d.next_try_at AS next_try_at
       FROM deliveries d JOIN messages m ON m.position = d.message
       WHERE d.state <= 2 AND m.expires_at <= ? LIMIT ?`,
      [now, limit],
    )
    return mapLazily(rows, rowToQueued)
  }

  nextExpiry(): number | undefined {
    const row = this.#store.get(
      'SELECT min(m.expires_at) AS at FROM deliveries d JOIN messages m ON m.position = d.message WHERE d.state <= 2',
    )
    return row && maybeNumberOf(row, 'at')
  }
}

export function rowToOutgoing(row: SqlRow): OutgoingMessage {
  const idBytes = bytesOf(row, 'id')
  return {
    position: numberOf(row, 'position'),
    id: bytesToMessageId(idBytes),
    idBytes,
    text: textOf(row, 'text'),
    sentAt: numberOf(row, 'sent_at'),
    storedAt: numberOf(row, 'stored_at'),
    expiresAt: numberOf(row, 'expires_at'),
  }
}

/** A row of `deliveries` joined to its message, as the queue's own statements name the columns. */
export function rowToQueued(row: SqlRow): QueuedDelivery {
  return { ...rowToRecord(row, 'delivery'), device: numberOf(row, 'to_device'), message: rowToOutgoing(row) }
}

function rowToRecord(row: SqlRow, stateColumn: string): DeliveryRecord {
  return {
    state: codeToDelivery(numberOf(row, stateColumn)),
    reason: codeToReason(maybeNumberOf(row, 'reason') ?? 0),
    attempts: numberOf(row, 'attempts'),
    refusals: numberOf(row, 'refusals'),
    nextTryAt: maybeNumberOf(row, 'next_try_at'),
  }
}

// Who stops early, because a window is full, does not pay for the rows behind.
function* mapLazily<T>(rows: readonly SqlRow[], map: (row: SqlRow) => T): Generator<T, undefined> {
  for (const row of rows) yield map(row)
  return undefined
}
