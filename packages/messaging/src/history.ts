import type { MessageId, Result } from '@miaou/core'
import { bytesToMessageId, err, messageIdToBytes, ok } from '@miaou/core'
import { deliveryCodes, isFurther, messageCodes } from './codes.ts'
import type { Contacts } from './contacts.ts'
import type { Context } from './context.ts'
import { type DeliveryQueue, rowToOutgoing } from './delivery-queue.ts'
import type { Holdings, PostView } from './holdings.ts'
import type { CommandError } from './interface.ts'
import type { Contact, Device, OutgoingMessage } from './model.ts'
import { bytesOf, numberOf, textOf } from './row.ts'
import { buildSearchQuery } from './search-query.ts'
import type { SqlRow, SqlValue } from './store.ts'
import type { DeliveryView, HolderView, MessageState, MessageView, StateReason } from './views.ts'

// Row G18: twenty unless asked; the API's own bound is 200.
const limitDefault = 20
const limitMax = 200

export interface ListOptions {
  readonly contact?: Contact | undefined
  readonly limit?: number | undefined
  readonly before?: number | undefined
  readonly after?: number | undefined
  readonly unread?: boolean | undefined
}

/** The messages of this home: reading, searching and removing them. */
export class History {
  readonly #context: Context
  readonly #contacts: Contacts
  readonly #queue: DeliveryQueue
  readonly #holdings: Holdings

  constructor(context: Context, contacts: Contacts, queue: DeliveryQueue, holdings: Holdings) {
    this.#context = context
    this.#contacts = contacts
    this.#queue = queue
    this.#holdings = holdings
  }

  at(position: number): MessageView | undefined {
    const row = this.#context.store.get('SELECT * FROM messages WHERE position = ?', [position])
    return row && this.view(row)
  }

  /** The message of an id; our own where both sides have one of it. */
  byId(id: MessageId): SqlRow | undefined {
    return this.#context.store.get('SELECT * FROM messages WHERE id = ? ORDER BY outgoing DESC LIMIT 1', [
      messageIdToBytes(id),
    ])
  }

  byKey(key: string): SqlRow | undefined {
    return this.#context.store.get('SELECT * FROM messages WHERE key = ?', [key])
  }

  /** Newest last: the newest ones, those next before a position, or those next after one. */
  list(options: ListOptions): MessageView[] {
    const limit = Math.max(1, Math.min(limitMax, Math.trunc(options.limit ?? limitDefault)))
    const conditions: string[] = []
    const parameters: SqlValue[] = []
    const add = (condition: string, value: number | undefined): void => {
      if (value === undefined) return
      conditions.push(condition)
      parameters.push(value)
    }
    add('contact = ?', options.contact?.id)
    add('position < ?', options.before)
    add('position > ?', options.after)
    if (options.unread === true) conditions.push(`state IN (1, 2) AND state = ${messageCodes.unread}`)
    const isForward = options.after !== undefined && options.before === undefined
    const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`
    // Left to itself SQLite walks the whole history for the few that are unread.
    const table = options.unread === true ? 'messages INDEXED BY messages_unread' : 'messages'
    const rows = this.#context.store.all(
      `SELECT * FROM ${table} ${where} ORDER BY position ${isForward ? 'ASC' : 'DESC'} LIMIT ?`,
      [...parameters, limit],
    )
    const views = rows.map((row) => this.view(row))
    return isForward ? views : views.reverse()
  }

  /** Messages with all the words (the last one may be unfinished) and phrases of `query`; newest first. */
  search(
    query: string,
    contact: Contact | undefined,
    limit: number | undefined,
  ): Result<MessageView[], Extract<CommandError, { type: 'bad-query' }>> {
    const match = buildSearchQuery(query)
    if (match === undefined) return err({ type: 'bad-query' })
    const count = Math.max(1, Math.min(limitMax, Math.trunc(limit ?? limitDefault)))
    const rows = this.#context.store.all(
      contact === undefined
        ? 'SELECT m.* FROM search s JOIN messages m ON m.position = s.rowid WHERE search MATCH ? ORDER BY s.rowid DESC LIMIT ?'
        : 'SELECT m.* FROM search s JOIN messages m ON m.position = s.rowid WHERE search MATCH ? AND m.contact = ? ORDER BY s.rowid DESC LIMIT ?',
      contact === undefined ? [match, count] : [match, contact.id, count],
    )
    return ok(rows.map((row) => this.view(row)))
  }

  view(row: SqlRow): MessageView {
    const contact = this.#contacts.byId(numberOf(row, 'contact'))
    if (numberOf(row, 'outgoing') === 1) return this.outgoingView(contact, rowToOutgoing(row))
    return {
      id: bytesToMessageId(bytesOf(row, 'id')),
      contact: contact?.account ?? this.#context.account,
      direction: 'in',
      text: textOf(row, 'text'),
      sentAt: numberOf(row, 'sent_at'),
      storedAt: numberOf(row, 'stored_at'),
      state: numberOf(row, 'state') === messageCodes.unread ? 'delivered' : 'read',
      deliveries: [],
      position: numberOf(row, 'position'),
    }
  }

  outgoingView(contact: Contact | undefined, message: OutgoingMessage): MessageView {
    const deliveries: DeliveryView[] = []
    for (const delivery of this.#queue.ofMessage(message.position)) {
      const device = this.#contacts.deviceById(delivery.device)
      if (!device) continue
      const inFlight = device.lane?.inFlight.get(message.id)
      deliveries.push(
        deliveryView(this.#context, device, {
          state: delivery.state,
          reason: delivery.reason,
          attempts: delivery.attempts,
          nextTryAt: inFlight ? this.#context.toWall(inFlight.dueAt) : delivery.nextTryAt,
          post: this.#holdings.viewOf(device.id),
          heldBy:
            delivery.state === 'held' ? this.#holdings.viewsOf({ message: message.position, device: device.id }) : [],
        }),
      )
    }
    return composeOutgoing(this.#context, contact, message, deliveries)
  }

  /** Removes what was exchanged with a person; ids that may still come again are remembered. */
  removeAll(contact: Contact): void {
    const { store, now, limits } = this.#context
    const youngEnough = now.wall - limits.expiryMs - limits.clockSkewMs
    store.run(
      `INSERT OR IGNORE INTO tombstones (id, account)
       SELECT id, ? FROM messages WHERE contact = ? AND outgoing = 0 AND sent_at >= ? ORDER BY position DESC LIMIT ?`,
      [contact.accountKey, contact.id, youngEnough, limits.tombstonesMax],
    )
    store.run('DELETE FROM tombstones WHERE row <= (SELECT max(row) FROM tombstones) - ?', [limits.tombstonesMax])
    this.#removeUpTo(contact, Number.MAX_SAFE_INTEGER)
  }

  /** Keeps the history with one person within its bound: the oldest tenth goes. */
  prune(contact: Contact): void {
    const { store, limits } = this.#context
    if (contact.messageCount <= limits.historyMax) return
    const surplus = contact.messageCount - limits.historyMax + Math.floor(limits.historyMax / 10)
    const row = store.get('SELECT position FROM messages WHERE contact = ? ORDER BY position LIMIT 1 OFFSET ?', [
      contact.id,
      Math.max(0, surplus - 1),
    ])
    if (row) this.#removeUpTo(contact, numberOf(row, 'position'))
    const counts = store.get(
      'SELECT count(*) AS messages, coalesce(sum(state = 1), 0) AS unread FROM messages WHERE contact = ?',
      [contact.id],
    )
    contact.messageCount = counts === undefined ? 0 : numberOf(counts, 'messages')
    contact.unreadCount = counts === undefined ? 0 : numberOf(counts, 'unread')
    this.#contacts.save(contact)
  }

  #removeUpTo(contact: Contact, position: number): void {
    const { store } = this.#context
    const bounds = [contact.id, position]
    store.run(
      `INSERT INTO search (search, rowid, text)
       SELECT 'delete', position, text FROM messages WHERE contact = ? AND position <= ?`,
      bounds,
    )
    this.#holdings.dropUpTo(contact.id, position)
    this.#queue.dropUpTo(contact.id, position)
    store.run('DELETE FROM messages WHERE contact = ? AND position <= ?', bounds)
  }
}

export interface DeliveryFacts {
  readonly state: MessageState
  readonly reason: StateReason | undefined
  readonly attempts: number
  readonly nextTryAt: number | undefined
  /** What its mailboxes keep it from; of a device that is not linked. */
  readonly post?: PostView | undefined
  readonly heldBy?: readonly HolderView[]
}

/** A delivery as shown: the reason of one that waits in general is derived from what is true now. */
export function deliveryView(context: Context, device: Device, facts: DeliveryFacts): DeliveryView {
  const isPending = deliveryCodes[facts.state] <= deliveryCodes.held
  const reason = isPending ? pendingReason(device, facts) : facts.reason
  const nextTryAt = isPending ? (device.lane === undefined ? facts.post?.nextTryAt : facts.nextTryAt) : undefined
  return {
    peerId: device.peerId,
    state: facts.state,
    ...(reason === undefined ? {} : { reason }),
    attempts: facts.attempts,
    ...(nextTryAt === undefined ? {} : { nextTryAt: Math.max(nextTryAt, context.now.wall) }),
    ...(facts.heldBy === undefined || facts.heldBy.length === 0 ? {} : { heldBy: facts.heldBy }),
  }
}

function pendingReason(device: Device, facts: DeliveryFacts): StateReason | undefined {
  if (device.contact.forked) return 'device-list-fork'
  if (device.contact.changed !== undefined) return 'key-changed'
  if (device.contact.state === 'blocked') return 'blocked'
  if (facts.reason !== undefined) return facts.reason
  if (device.lane === undefined) {
    return facts.state === 'held' ? 'recipient-offline' : (facts.post?.reason ?? 'recipient-offline')
  }
  if (facts.state === 'sent' || facts.state === 'held') return 'awaiting-receipt'
  return device.lane.isParked ? 'request-pending' : undefined
}

export function composeOutgoing(
  context: Context,
  contact: Contact | undefined,
  message: OutgoingMessage,
  deliveries: readonly DeliveryView[],
): MessageView {
  let best: DeliveryView | undefined
  for (const delivery of deliveries) if (!best || isFurther(delivery.state, best.state)) best = delivery
  const state = best?.state ?? (message.expiresAt <= context.now.wall ? 'expired' : 'queued')
  const reason = best === undefined ? (state === 'expired' ? 'expired' : 'recipient-offline') : best.reason
  return {
    id: message.id,
    contact: contact?.account ?? context.account,
    direction: 'out',
    text: message.text,
    sentAt: message.sentAt,
    storedAt: message.storedAt,
    state,
    ...(reason === undefined ? {} : { reason }),
    ...(best?.nextTryAt === undefined ? {} : { nextTryAt: best.nextTryAt }),
    ...(best?.heldBy === undefined ? {} : { heldBy: best.heldBy }),
    expiresAt: message.expiresAt,
    deliveries,
    position: message.position,
  }
}
