import type { MessageId } from '@miaou/core'
import { bytesToMessageId, textToBytes } from '@miaou/core'
import { encodeContent, frameTypes, type ReceiptStatus, type RefusalReason } from '@miaou/protocol'
import { deliveryCodes, messageCodes, reasonCodes, type StoredReason } from './codes.ts'
import type { Contacts } from './contacts.ts'
import type { Context } from './context.ts'
import { composeOutgoing, type DeliveryFacts, deliveryView, type History, rowToOutgoing } from './history.ts'
import type { Journal } from './journal.ts'
import type { Contact, Device, InFlight, Lane, OutgoingMessage, Session } from './model.ts'
import { maybeNumberOf, numberOf } from './row.ts'
import type { Sessions } from './sessions.ts'
import type { SqlRow } from './store.ts'
import type { MessageView } from './views.ts'

// Rows read at a time when a lane takes up what waits: own choice, a guess at a good balance of memory and statements.
const scanRows = 64
// Most messages given up in one go, so that no batch becomes long.
const expiriesPerWake = 1000
// Looking for expired messages reads all that wait; once a minute is often enough for an age of seven days.
const expiryCheckMs = 60_000

/** Messages of ours on their way: stored before they are sent, one delivery a device, until receipt or end. */
export class Outbox {
  readonly #context: Context
  readonly #contacts: Contacts
  readonly #sessions: Sessions
  readonly #history: History
  readonly #journal: Journal
  #pendingCount = 0
  #expiryAt = Number.POSITIVE_INFINITY

  constructor(context: Context, parts: { contacts: Contacts; sessions: Sessions; history: History; journal: Journal }) {
    this.#context = context
    this.#contacts = parts.contacts
    this.#sessions = parts.sessions
    this.#history = parts.history
    this.#journal = parts.journal
  }

  load(): void {
    const row = this.#context.store.get('SELECT count(*) AS count FROM deliveries WHERE state <= 2')
    this.#pendingCount = row === undefined ? 0 : numberOf(row, 'count')
    this.clampDeadlines()
  }

  /** Deliveries that wait for a receipt. */
  get pendingCount(): number {
    return this.#pendingCount
  }

  /**
   * A deadline further away than its full interval was written before the clock went back: it is one interval from now.
   * One that is past is due now.
   */
  clampDeadlines(): void {
    const { store, limits, now } = this.#context
    const latest = Math.round(now.wall + limits.expiryMs)
    const step = limits.backoffStepMs * (1 + limits.backoffSpread)
    store.run(
      `UPDATE messages SET expires_at = ? WHERE position IN (SELECT message FROM deliveries WHERE state <= 2)
       AND expires_at > ?`,
      [latest, latest],
    )
    const interval = [Math.round(now.wall), Math.round(step), limits.backoffAttemptsMax]
    store.run(
      `UPDATE deliveries SET next_try_at = ? + ? * (1 << min(attempts, ?))
       WHERE state <= 2 AND next_try_at > ? + ? * (1 << min(attempts, ?))`,
      [...interval, ...interval],
    )
    this.#expiryAt = this.#pendingCount === 0 ? Number.POSITIVE_INFINITY : now.mono
  }

  /** Stores a message; sends it at once where the lane is free. `lane.hasMore` tells where it is not. */
  accept(contact: Contact, text: string, key: string | undefined): MessageView {
    const { store, random, now, limits } = this.#context
    const idBytes = random.bytes(16)
    const sentAt = Math.round(now.wall)
    const expiresAt = sentAt + limits.expiryMs
    const { lastInsertRowid: position } = store.run(
      'INSERT INTO messages (id, contact, outgoing, state, sent_at, stored_at, expires_at, key, text) VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?)',
      [idBytes, contact.id, messageCodes.outgoing, sentAt, sentAt, expiresAt, key ?? null, text],
    )
    store.run('INSERT INTO search (rowid, text) VALUES (?, ?)', [position, text])
    this.#contacts.countMessage(contact, false)
    const id = bytesToMessageId(idBytes)
    const message: OutgoingMessage = { position, id, idBytes, text, sentAt, storedAt: sentAt, expiresAt }
    for (const device of contact.devices) if (device.state !== 'revoked') this.#addDelivery(device, message)
    this.#expiryAt = Math.min(this.#expiryAt, this.#context.toMono(expiresAt))
    this.#tell(contact, message)
    return this.#view(contact, message)
  }

  /** Deliveries to a device that a person has added since, for what none of their devices has yet. */
  addDevice(device: Device): void {
    const { store, now } = this.#context
    const { changes } = store.run(
      `INSERT OR IGNORE INTO deliveries (message, device, state, attempts, refusals)
       SELECT position, ?, 0, 0, 0 FROM messages m WHERE contact = ? AND outgoing = 1 AND expires_at > ?
       AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.message = m.position AND d.state > 2)`,
      [device.id, device.contact.id, now.wall],
    )
    this.#pendingCount += changes
    if (device.lane) device.lane.hasMore = true
  }

  /** What was on its way to a device that is no longer one of theirs. */
  dropDevice(device: Device): void {
    const { changes } = this.#context.store.run('DELETE FROM deliveries WHERE device = ? AND state <= 2', [device.id])
    this.#pendingCount -= changes
  }

  /** Forgets the count of what a removed person's devices were still to get. */
  recount(): void {
    const row = this.#context.store.get('SELECT count(*) AS count FROM deliveries WHERE state <= 2')
    this.#pendingCount = row === undefined ? 0 : numberOf(row, 'count')
  }

  /** Sends what is due on a lane: first again what got no receipt, then what waits, in order. */
  fill(device: Device, lane: Lane, session: Session): { readonly isSilent: boolean } {
    const isSilent = this.#resendDue(device, lane, session)
    this.#scan(device, lane, session)
    return { isSilent }
  }

  /** All that is on its way is due now: its session was replaced. */
  restart(lane: Lane): void {
    for (const entry of lane.inFlight.values()) {
      entry.tries = 0
      entry.order = 0
      entry.dueAt = this.#context.now.mono
    }
    lane.dueAt = lane.inFlight.size > 0 ? this.#context.now.mono : Number.POSITIVE_INFINITY
  }

  /** They have accepted us: what they made wait goes out at once. */
  release(device: Device): void {
    this.#context.store.run(
      'UPDATE deliveries SET reason = NULL, next_try_at = NULL WHERE device = ? AND state <= 2 AND reason = ?',
      [device.id, reasonCodes['request-pending']],
    )
    if (device.lane) rescan(device.lane)
  }

  /** A receipt of one device for some of our messages. Ids we do not know are nothing. */
  settle(device: Device, status: ReceiptStatus, reason: RefusalReason | undefined, ids: readonly Uint8Array[]): void {
    for (const idBytes of ids) {
      const id = bytesToMessageId(idBytes)
      const entry = device.lane?.inFlight.get(id)
      if (entry) this.#settleOne(device, entry.message, { code: deliveryCodes.sent, ...entry }, status, reason)
      else this.#settleStored(device, idBytes, status, reason)
    }
  }

  /** Takes back a message that nobody has got. The reply tells the state when it is too late. */
  cancel(row: SqlRow): { readonly ok: boolean; readonly view: MessageView } {
    const before = this.#history.view(row)
    if (before.state !== 'queued') return { ok: false, view: before }
    const { changes } = this.#context.store.run(
      'UPDATE deliveries SET state = 7, reason = NULL, next_try_at = NULL WHERE message = ? AND state <= 2',
      [before.position],
    )
    this.#pendingCount -= changes
    return { ok: true, view: this.#retell(row) }
  }

  /** Starts a message anew that came to its end undelivered, or repeats now one that waits. */
  resend(row: SqlRow): { readonly ok: boolean; readonly view: MessageView } {
    const before = this.#history.view(row)
    const contact = this.#contacts.byId(numberOf(row, 'contact'))
    if (before.direction === 'in' || before.state === 'delivered' || before.state === 'read' || !contact) {
      return { ok: false, view: before }
    }
    const { store, now, limits } = this.#context
    const sentAt = Math.round(now.wall)
    store.run('UPDATE messages SET sent_at = ?, expires_at = ? WHERE position = ?', [
      sentAt,
      sentAt + limits.expiryMs,
      before.position,
    ])
    store.run(
      `UPDATE deliveries SET state = 0, reason = NULL, next_try_at = NULL, attempts = 0, refusals = 0
       WHERE message = ? AND state NOT IN (3, 4)`,
      [before.position],
    )
    this.recount()
    this.#expiryAt = Math.min(this.#expiryAt, this.#context.toMono(sentAt + limits.expiryMs))
    for (const { lane } of contact.devices) {
      if (!lane) continue
      this.#takeOut(lane, before.id)
      rescan(lane)
    }
    return { ok: true, view: this.#retell(row) }
  }

  /** Gives up what is too old. */
  expire(): void {
    const { store, now } = this.#context
    if (now.mono < this.#expiryAt) return
    const rows = store.all(
      `SELECT m.*, d.device AS to_device FROM deliveries d JOIN messages m ON m.position = d.message
       WHERE d.state <= 2 AND m.expires_at <= ? LIMIT ?`,
      [now.wall, expiriesPerWake],
    )
    for (const row of rows) {
      const message = rowToOutgoing(row)
      const device = this.#contacts.deviceById(numberOf(row, 'to_device'))
      this.#end(numberOf(row, 'to_device'), message, deliveryCodes.expired, 'expired')
      if (device?.lane) this.#takeOut(device.lane, message.id)
      if (device) this.#tell(device.contact, message)
    }
    if (rows.length === expiriesPerWake) return
    const next = store.get(
      'SELECT min(m.expires_at) AS at FROM deliveries d JOIN messages m ON m.position = d.message WHERE d.state <= 2',
    )
    const at = next === undefined ? undefined : maybeNumberOf(next, 'at')
    this.#expiryAt =
      at === undefined ? Number.POSITIVE_INFINITY : Math.max(now.mono + expiryCheckMs, this.#context.toMono(at))
  }

  deadline(): number {
    return this.#expiryAt
  }

  #addDelivery(device: Device, message: OutgoingMessage): void {
    const { lane } = device
    const { store } = this.#context
    this.#pendingCount += 1
    const session =
      lane &&
      isOpen(device) &&
      !lane.hasMore &&
      !lane.isParked &&
      (device.helloId === undefined || lane.helloTries > 0) &&
      this.#sessions.sending(device)
    const size = textToBytes(message.text).length
    if (lane && session && this.#hasRoom(lane, size)) {
      const facts = { message, size, attempts: 1, refusals: 0, tries: 1, dueAt: this.#retryAt(1, 1) }
      const entry: InFlight = { ...facts, order: ++lane.sendCount }
      this.#transmit(device, session, message)
      this.#takeIn(lane, entry)
      store.run('INSERT INTO deliveries (message, device, state, attempts, refusals) VALUES (?, ?, 1, 1, 0)', [
        message.position,
        device.id,
      ])
      return
    }
    if (lane && !lane.isParked) lane.hasMore = true
    store.run('INSERT INTO deliveries (message, device, state, attempts, refusals) VALUES (?, ?, 0, 0, 0)', [
      message.position,
      device.id,
    ])
  }

  #hasRoom(lane: Lane, size: number): boolean {
    const { windowCountMax, windowBytesMax } = this.#context.limits
    if (lane.inFlight.size === 0) return true
    return lane.inFlight.size < windowCountMax && lane.inFlightSize + size <= windowBytesMax
  }

  /** True when a message got no receipt although its direct sends are spent: the session may be broken. */
  #resendDue(device: Device, lane: Lane, session: Session): boolean {
    const { now, store, limits } = this.#context
    if (now.mono < lane.dueAt) return false
    let isSilent = false
    let dueAt = Number.POSITIVE_INFINITY
    for (const entry of lane.inFlight.values()) {
      // A link keeps its order: as long as receipts come for what was sent before, this one is on a slow link, not lost.
      const patienceMs = limits.directRetriesMs[0] ?? 0
      if (entry.order > lane.settledOrder) entry.dueAt = Math.max(entry.dueAt, lane.settledAt + patienceMs)
      if (entry.dueAt <= now.mono) {
        entry.attempts += 1
        entry.tries += 1
        entry.order = ++lane.sendCount
        const isDirect = entry.tries <= limits.directRetriesMs.length
        if (entry.tries > limits.directRetriesMs.length) isSilent = true
        entry.dueAt = this.#retryAt(entry.tries, entry.attempts)
        this.#transmit(device, session, entry.message)
        store.run('UPDATE deliveries SET state = 1, attempts = ?, next_try_at = ? WHERE message = ? AND device = ?', [
          entry.attempts,
          isDirect ? null : this.#context.toWall(entry.dueAt),
          entry.message.position,
          device.id,
        ])
      }
      dueAt = Math.min(dueAt, entry.dueAt)
    }
    lane.dueAt = dueAt
    return isSilent
  }

  #scan(device: Device, lane: Lane, session: Session): void {
    const { store, now } = this.#context
    while (lane.hasMore && !lane.isParked) {
      const rows = store.all(
        `SELECT m.*, d.attempts AS attempts, d.refusals AS refusals, d.reason AS reason, d.next_try_at AS next_try_at
         FROM deliveries d JOIN messages m ON m.position = d.message
         WHERE d.device = ? AND d.state <= 2 AND d.message > ? ORDER BY d.message LIMIT ?`,
        [device.id, lane.scannedTo, scanRows],
      )
      for (const row of rows) {
        const message = rowToOutgoing(row)
        const nextTryAt = maybeNumberOf(row, 'next_try_at')
        const refusals = numberOf(row, 'refusals')
        const isParked = maybeNumberOf(row, 'reason') === reasonCodes['request-pending']
        const mustWait = nextTryAt !== undefined && nextTryAt > now.wall && (isParked || refusals > 0)
        if (mustWait) lane.rescanAt = Math.min(lane.rescanAt, this.#context.toMono(nextTryAt))
        if (isParked && (mustWait || lane.probe !== undefined)) {
          // They do not take messages yet; who accepts us meanwhile must not get the later ones first.
          lane.isParked = true
          lane.hasMore = false
          return
        }
        if (!mustWait && !lane.inFlight.has(message.id)) {
          const size = textToBytes(message.text).length
          if (!this.#hasRoom(lane, size)) return
          if (isParked) lane.probe = message.id
          this.#sendStored(device, lane, session, message, { size, attempts: numberOf(row, 'attempts') + 1, refusals })
        }
        lane.scannedTo = message.position
      }
      if (rows.length < scanRows) lane.hasMore = false
    }
  }

  #sendStored(
    device: Device,
    lane: Lane,
    session: Session,
    message: OutgoingMessage,
    facts: { readonly size: number; readonly attempts: number; readonly refusals: number },
  ): void {
    const { size, attempts, refusals } = facts
    this.#transmit(device, session, message)
    const dueAt = this.#retryAt(1, attempts)
    this.#takeIn(lane, { message, size, attempts, refusals, tries: 1, dueAt, order: ++lane.sendCount })
    this.#context.store.run(
      'UPDATE deliveries SET state = 1, attempts = ?, reason = NULL, next_try_at = NULL WHERE message = ? AND device = ?',
      [attempts, message.position, device.id],
    )
    this.#tell(device.contact, message)
  }

  #transmit(device: Device, session: Session, message: OutgoingMessage): void {
    const plaintext = encodeContent({
      messageId: message.idBytes,
      sentAt: message.sentAt,
      body: { type: 'text', text: message.text, receiptRequested: true },
    })
    this.#context.send(device.peerId, frameTypes.directMessage, this.#sessions.seal(session, plaintext))
  }

  #takeIn(lane: Lane, entry: InFlight): void {
    lane.inFlight.set(entry.message.id, entry)
    lane.inFlightSize += entry.size
    lane.dueAt = Math.min(lane.dueAt, entry.dueAt)
    lane.scannedTo = Math.max(lane.scannedTo, entry.message.position)
  }

  #takeOut(lane: Lane, id: MessageId): void {
    if (lane.probe === id) lane.probe = undefined
    const entry = lane.inFlight.get(id)
    if (!entry) return
    lane.inFlight.delete(id)
    lane.inFlightSize -= entry.size
    if (lane.inFlight.size === 0) lane.dueAt = Number.POSITIVE_INFINITY
  }

  /** Monotonic ms of the next send: 1, 2, 3 s after the first sends on a link, then the outbox's backoff. */
  #retryAt(tries: number, attempts: number): number {
    const { now, limits } = this.#context
    return now.mono + (limits.directRetriesMs[tries - 1] ?? this.#backoffMs(attempts))
  }

  #backoffMs(attempts: number): number {
    const { limits, jitter } = this.#context
    const spread = 1 + limits.backoffSpread * (2 * jitter.next() - 1)
    return Math.round(limits.backoffStepMs * 2 ** Math.min(attempts, limits.backoffAttemptsMax) * spread)
  }

  #settleStored(device: Device, idBytes: Uint8Array, status: ReceiptStatus, reason: RefusalReason | undefined): void {
    const row = this.#context.store.get(
      `SELECT m.*, d.state AS delivery, d.attempts AS attempts, d.refusals AS refusals
       FROM messages m JOIN deliveries d ON d.message = m.position
       WHERE m.id = ? AND m.contact = ? AND m.outgoing = 1 AND d.device = ?`,
      [idBytes, device.contact.id, device.id],
    )
    if (!row) return
    const facts = {
      code: numberOf(row, 'delivery'),
      attempts: numberOf(row, 'attempts'),
      refusals: numberOf(row, 'refusals'),
    }
    this.#settleOne(device, rowToOutgoing(row), facts, status, reason)
  }

  #settleOne(
    device: Device,
    message: OutgoingMessage,
    facts: { readonly code: number; readonly attempts: number; readonly refusals: number },
    status: ReceiptStatus,
    reason: RefusalReason | undefined,
  ): void {
    const isPending = facts.code <= deliveryCodes.held
    if (status === 'refused') {
      if (isPending) this.#refuse(device, message, facts, reason)
      return
    }
    // A receipt that comes after we gave up still tells the truth; one of a cancelled message is none of ours.
    const isNews = isPending || facts.code === deliveryCodes.expired || facts.code === deliveryCodes.refused
    const isRead = status === 'read' && (isNews || facts.code === deliveryCodes.delivered)
    if (!isNews && !isRead) return
    const state = status === 'read' ? 'read' : 'delivered'
    this.#context.store.run(
      'UPDATE deliveries SET state = ?, reason = NULL, next_try_at = NULL WHERE message = ? AND device = ?',
      [deliveryCodes[state], message.position, device.id],
    )
    if (isPending) this.#pendingCount -= 1
    const { lane } = device
    if (lane) {
      lane.settledOrder = Math.max(lane.settledOrder, lane.inFlight.get(message.id)?.order ?? 0)
      lane.settledAt = this.#context.now.mono
      const wasProbe = lane.probe === message.id
      this.#takeOut(lane, message.id)
      if (wasProbe) rescan(lane)
    }
    const delivered = { state, reason: undefined, attempts: facts.attempts, nextTryAt: undefined } as const
    this.#tell(device.contact, message, { device, facts: delivered })
  }

  #refuse(
    device: Device,
    message: OutgoingMessage,
    facts: { readonly attempts: number; readonly refusals: number },
    reason: RefusalReason | undefined,
  ): void {
    const { store, now, limits } = this.#context
    const { lane } = device
    if (lane) this.#takeOut(lane, message.id)
    if (reason === 'too-old' || reason === 'blocked') {
      this.#end(device.id, message, deliveryCodes.refused, reason)
    } else {
      const isParked = reason === 'request-pending'
      const refusals = isParked ? facts.refusals : facts.refusals + 1
      if (refusals >= limits.refusalsMax) {
        this.#end(device.id, message, deliveryCodes.refused, 'refused-too-often')
      } else {
        const waitMs = this.#backoffMs(isParked ? facts.attempts : refusals)
        store.run(
          'UPDATE deliveries SET state = 0, reason = ?, refusals = ?, next_try_at = ? WHERE message = ? AND device = ?',
          [
            reasonCodes[isParked ? 'request-pending' : 'unsupported'],
            refusals,
            Math.round(now.wall + waitMs),
            message.position,
            device.id,
          ],
        )
        if (lane) {
          if (isParked) lane.isParked = true
          lane.rescanAt = Math.min(lane.rescanAt, now.mono + waitMs)
        }
      }
    }
    this.#tell(device.contact, message)
  }

  #end(device: number, message: OutgoingMessage, code: number, reason: StoredReason): void {
    this.#context.store.run(
      'UPDATE deliveries SET state = ?, reason = ?, next_try_at = NULL WHERE message = ? AND device = ?',
      [code, reasonCodes[reason], message.position, device],
    )
    this.#pendingCount -= 1
  }

  /** The journal tells the message's state at the end of the batch. */
  #tell(
    contact: Contact,
    message: OutgoingMessage,
    settled?: { readonly device: Device; readonly facts: DeliveryFacts },
  ): void {
    this.#journal.messageChanged(message.position, () => {
      const { device, facts } = settled ?? {}
      // One device, which has just told its state: nothing to read again.
      if (device && facts && contact.devices.length === 1) {
        return composeOutgoing(this.#context, contact, message, [deliveryView(this.#context, device, facts)])
      }
      return this.#view(contact, message)
    })
  }

  #view(contact: Contact, message: OutgoingMessage): MessageView {
    const [device] = contact.devices
    const entry = contact.devices.length === 1 ? device?.lane?.inFlight.get(message.id) : undefined
    if (!device || !entry) return this.#history.outgoingView(contact, message)
    const nextTryAt = this.#context.toWall(entry.dueAt)
    const facts: DeliveryFacts = { state: 'sent', reason: undefined, attempts: entry.attempts, nextTryAt }
    return composeOutgoing(this.#context, contact, message, [deliveryView(this.#context, device, facts)])
  }

  #retell(row: SqlRow): MessageView {
    const position = numberOf(row, 'position')
    this.#journal.messageChanged(position, () => this.#history.at(position))
    return this.#history.at(position) ?? this.#history.view(row)
  }
}

/** Whether messages may go to this device's person now. */
export function isOpen(device: Device): boolean {
  return device.contact.state === 'contact' && !device.contact.forked
}

/** Looks at everything that waits for a device again. */
export function rescan(lane: Lane): void {
  lane.scannedTo = 0
  lane.hasMore = true
  lane.isParked = false
  lane.rescanAt = Number.POSITIVE_INFINITY
}
