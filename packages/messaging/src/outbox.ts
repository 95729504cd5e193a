import type { MessageId } from '@miaou/core'
import { bytesToMessageId, textToBytes } from '@miaou/core'
import { frameTypes, type ReceiptStatus, type RefusalReason } from '@miaou/protocol'
import { deliveryCodes, messageCodes, type StoredReason } from './codes.ts'
import type { Contacts } from './contacts.ts'
import type { Context } from './context.ts'
import type { DeliveryQueue, QueuedDelivery } from './delivery-queue.ts'
import { composeOutgoing, type DeliveryFacts, deliveryView, type History } from './history.ts'
import type { Holdings } from './holdings.ts'
import type { Journal } from './journal.ts'
import type { Contact, Device, InFlight, Lane, OutgoingMessage, Session } from './model.ts'
import { encodeText } from './packing.ts'
import { numberOf } from './row.ts'
import type { Sessions } from './sessions.ts'
import type { SettingsTable } from './settings.ts'
import type { SqlRow } from './store.ts'
import type { MessageState, MessageView } from './views.ts'

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
  readonly #queue: DeliveryQueue
  readonly #holdings: Holdings
  readonly #settings: SettingsTable
  #pendingCount = 0
  #expiryAt = Number.POSITIVE_INFINITY

  constructor(
    context: Context,
    parts: {
      contacts: Contacts
      sessions: Sessions
      history: History
      journal: Journal
      queue: DeliveryQueue
      holdings: Holdings
      settings: SettingsTable
    },
  ) {
    this.#context = context
    this.#contacts = parts.contacts
    this.#sessions = parts.sessions
    this.#history = parts.history
    this.#journal = parts.journal
    this.#queue = parts.queue
    this.#holdings = parts.holdings
    this.#settings = parts.settings
  }

  load(): void {
    this.recount()
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
    const { limits, now } = this.#context
    this.#queue.clampDeadlines({
      now: Math.round(now.wall),
      expiresAtMax: Math.round(now.wall + limits.expiryMs),
      backoffStepMs: Math.round(limits.backoffStepMs * (1 + limits.backoffSpread)),
      backoffAttemptsMax: limits.backoffAttemptsMax,
    })
    this.#holdings.clamp(Math.round(now.wall + limits.expiryMs + limits.clockSkewMs))
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
    this.#pendingCount += this.#queue.addForDevice(device.id, device.contact.id, this.#context.now.wall)
    if (device.lane) device.lane.hasMore = true
    else this.#context.touch(device)
  }

  /** What was on its way to a device that is no longer one of theirs. */
  dropDevice(device: Device): void {
    this.#pendingCount -= this.#queue.dropDevice(device.id)
    this.#holdings.dropDevice(device.id)
  }

  /** Forgets the count of what a removed person's devices were still to get. */
  recount(): void {
    this.#pendingCount = this.#queue.countPending()
    this.#holdings.load()
  }

  /** Whether anything waits for a device. */
  hasWaiting(device: Device): boolean {
    return this.#queue.hasWaiting(device.id)
  }

  /** Whether something waits for a device that no mailbox holds. */
  hasUnheld(device: Device): boolean {
    return this.#queue.hasUnheld(device.id)
  }

  /** Id of the message to a device before this one that has no receipt yet. */
  previous(device: Device, message: OutgoingMessage): Uint8Array | undefined {
    return this.#queue.previous({ message: message.position, device: device.id })
  }

  /** These go out to mailboxes now. */
  handedOver(device: Device, deliveries: readonly QueuedDelivery[]): void {
    for (const { message, attempts } of deliveries) {
      this.#queue.markSent({ message: message.position, device: device.id }, attempts + 1)
      this.#tell(device.contact, message)
    }
  }

  /** A mailbox has it on disk. False when it is no longer pending: then that is nothing. */
  held(device: Device, message: OutgoingMessage): boolean {
    if (!this.#queue.hold({ message: message.position, device: device.id })) return false
    this.#tell(device.contact, message)
    return true
  }

  /** No mailbox took it. `wasNeverSent`: nobody can have it, so it is queued as before. */
  notHeld(device: Device, message: OutgoingMessage, wasNeverSent: boolean): void {
    const key = { message: message.position, device: device.id }
    if (wasNeverSent && this.#holdings.of(key).length === 0) this.#queue.requeue(key)
    this.#tell(device.contact, message)
  }

  /** A mailbox does not hold it any longer; others may. */
  lost(device: Device, position: number): void {
    const key = { message: position, device: device.id }
    if (this.#holdings.of(key).length > 0) return
    this.#queue.unhold(key)
    this.#journal.messageChanged(position, () => this.#history.at(position))
  }

  /** No mailbox holds anything that a device can open. */
  lostAll(device: Device): void {
    this.#queue.unholdDevice(device.id)
    this.tellWaiting(device)
  }

  /** Why they wait has changed: told for the first of them, the others show it when they are looked at. */
  tellWaiting(device: Device): void {
    for (const { message } of this.#queue.waiting(device.id, 0, scanRows)) this.#tell(device.contact, message)
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
    this.#queue.release(device.id, 'request-pending')
    if (device.lane) rescan(device.lane)
    else this.#context.touch(device)
  }

  /** A receipt of one device for some of our messages. Ids we do not know are nothing. */
  settle(device: Device, status: ReceiptStatus, reason: RefusalReason | undefined, ids: readonly Uint8Array[]): void {
    if (status === 'missing') {
      for (const idBytes of ids) this.#repeat(device, idBytes)
      return
    }
    for (const idBytes of ids) {
      const id = bytesToMessageId(idBytes)
      const entry = device.lane?.inFlight.get(id)
      if (entry) this.#settleOne(device, entry.message, { state: 'sent', ...entry }, status, reason)
      else this.#settleStored(device, idBytes, status, reason)
    }
  }

  /** Takes back a message that nobody has got. The reply tells the state when it is too late. */
  cancel(row: SqlRow): { readonly ok: boolean; readonly view: MessageView } {
    const before = this.#history.view(row)
    if (before.state !== 'queued') return { ok: false, view: before }
    this.#pendingCount -= this.#queue.cancel(before.position)
    this.#holdings.dropMessage(before.position)
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
    this.#queue.restart(before.position)
    this.#holdings.dropMessage(before.position)
    this.recount()
    this.#expiryAt = Math.min(this.#expiryAt, this.#context.toMono(sentAt + limits.expiryMs))
    for (const device of contact.devices) {
      const { lane } = device
      if (lane) {
        this.#takeOut(lane, before.id)
        rescan(lane)
      } else this.#context.touch(device)
    }
    return { ok: true, view: this.#retell(row) }
  }

  /** Gives up what is too old. */
  expire(): void {
    const { now } = this.#context
    if (now.mono < this.#expiryAt) return
    let count = 0
    for (const { message, device: deviceId } of this.#queue.expired(now.wall, expiriesPerWake)) {
      count += 1
      const device = this.#contacts.deviceById(deviceId)
      this.#end(deviceId, message, 'expired', 'expired')
      if (device?.lane) {
        this.#takeOut(device.lane, message.id)
        // Those behind it have room now.
        device.lane.dueAt = now.mono
      }
      if (device) this.#tell(device.contact, message)
    }
    if (count === expiriesPerWake) return
    const at = this.#queue.nextExpiry()
    this.#expiryAt =
      at === undefined ? Number.POSITIVE_INFINITY : Math.max(now.mono + expiryCheckMs, this.#context.toMono(at))
  }

  deadline(): number {
    return this.#expiryAt
  }

  #addDelivery(device: Device, message: OutgoingMessage): void {
    const { lane } = device
    const key = { message: message.position, device: device.id }
    this.#pendingCount += 1
    const session =
      lane &&
      isOpen(device) &&
      !lane.hasMore &&
      !lane.isParked &&
      (device.helloId === undefined || lane.helloTries > 0) &&
      !this.#holdBack(lane) &&
      this.#sessions.sending(device)
    const size = textToBytes(message.text).length
    if (lane && session && this.#hasRoom(lane, size)) {
      const facts = { message, size, attempts: 1, refusals: 0, tries: 1, dueAt: this.#retryAt(1, 1) }
      const entry: InFlight = { ...facts, order: ++lane.sendCount }
      this.#transmit(device, session, message)
      this.#takeIn(lane, entry)
      this.#queue.add(key, 'sent')
      return
    }
    if (lane && !lane.isParked) lane.hasMore = true
    this.#queue.add(key, 'queued')
    if (!lane) this.#context.touch(device, true)
  }

  /** The first of a burst waits a little at random, and what comes meanwhile goes with it: true while it does. */
  #holdBack(lane: Lane): boolean {
    const { jitterMs } = this.#settings.get()
    const { now, jitter } = this.#context
    if (jitterMs === 0) return false
    lane.gateAt ??= now.mono + Math.round(jitter.next() * jitterMs)
    return true
  }

  /** They miss a message that came before one they have: it goes out again now, whoever holds it. */
  #repeat(device: Device, idBytes: Uint8Array): void {
    const asked = this.#queue.find(device.id, device.contact.id, idBytes)
    const isOver = asked && deliveryCodes[asked.state] > deliveryCodes.held
    // One that has come to its end is not sent any more: what follows it is, and says what it follows now.
    const [found] = isOver ? this.#queue.waiting(device.id, asked.message.position, 1) : [asked]
    if (!found) return
    const key = { message: found.message.position, device: device.id }
    this.#holdings.drop(key)
    this.#queue.unhold(key)
    this.#queue.release(device.id, 'request-pending')
    const { lane } = device
    const entry = lane?.inFlight.get(found.message.id)
    if (lane && entry) {
      entry.dueAt = this.#context.now.mono
      entry.order = 0
      lane.dueAt = this.#context.now.mono
    } else if (lane) rescan(lane)
    else this.#context.touch(device)
    this.#tell(device.contact, found.message)
  }

  #hasRoom(lane: Lane, size: number): boolean {
    const { windowCountMax, windowBytesMax } = this.#context.limits
    if (lane.inFlight.size === 0) return true
    return lane.inFlight.size < windowCountMax && lane.inFlightSize + size <= windowBytesMax
  }

  /** True when a message got no receipt although its direct sends are spent: the session may be broken. */
  #resendDue(device: Device, lane: Lane, session: Session): boolean {
    const { now, limits } = this.#context
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
        const nextTryAt = isDirect ? undefined : this.#context.toWall(entry.dueAt)
        this.#queue.markRepeated({ message: entry.message.position, device: device.id }, entry.attempts, nextTryAt)
      }
      dueAt = Math.min(dueAt, entry.dueAt)
    }
    lane.dueAt = dueAt
    return isSilent
  }

  #scan(device: Device, lane: Lane, session: Session): void {
    const { now } = this.#context
    if (lane.gateAt !== undefined && lane.gateAt > now.mono) return
    lane.gateAt = undefined
    while (lane.hasMore && !lane.isParked) {
      let count = 0
      for (const delivery of this.#queue.waiting(device.id, lane.scannedTo, scanRows)) {
        count += 1
        const { message, nextTryAt, refusals } = delivery
        const isParked = delivery.reason === 'request-pending'
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
          this.#sendStored(device, lane, session, message, { size, attempts: delivery.attempts + 1, refusals })
        }
        lane.scannedTo = message.position
      }
      if (count < scanRows) lane.hasMore = false
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
    this.#queue.markSent({ message: message.position, device: device.id }, attempts)
    this.#tell(device.contact, message)
  }

  #transmit(device: Device, session: Session, message: OutgoingMessage): void {
    const plaintext = encodeText(message, this.previous(device, message))
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
    return now.mono + (limits.directRetriesMs[tries - 1] ?? this.backoffMs(attempts))
  }

  /** Of the outbox, with its spread, ms. */
  backoffMs(attempts: number): number {
    const { limits, jitter } = this.#context
    const spread = 1 + limits.backoffSpread * (2 * jitter.next() - 1)
    return Math.round(limits.backoffStepMs * 2 ** Math.min(attempts, limits.backoffAttemptsMax) * spread)
  }

  #settleStored(device: Device, idBytes: Uint8Array, status: ReceiptStatus, reason: RefusalReason | undefined): void {
    const found = this.#queue.find(device.id, device.contact.id, idBytes)
    if (found) this.#settleOne(device, found.message, found, status, reason)
  }

  #settleOne(
    device: Device,
    message: OutgoingMessage,
    facts: { readonly state: MessageState; readonly attempts: number; readonly refusals: number },
    status: ReceiptStatus,
    reason: RefusalReason | undefined,
  ): void {
    const isPending = deliveryCodes[facts.state] <= deliveryCodes.held
    if (status === 'refused') {
      if (isPending) this.#refuse(device, message, facts, reason)
      return
    }
    // A receipt that comes after we gave up still tells the truth; one of a cancelled message is none of ours.
    const isNews = isPending || facts.state === 'expired' || facts.state === 'refused'
    const isRead = status === 'read' && (isNews || facts.state === 'delivered')
    if (!isNews && !isRead) return
    const state = status === 'read' ? 'read' : 'delivered'
    const key = { message: message.position, device: device.id }
    this.#queue.settle(key, state, undefined)
    this.#holdings.drop(key)
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
    const { now, limits } = this.#context
    const { lane } = device
    if (lane) this.#takeOut(lane, message.id)
    if (reason === 'too-old' || reason === 'blocked') {
      this.#end(device.id, message, 'refused', reason)
    } else {
      const isParked = reason === 'request-pending'
      const refusals = isParked ? facts.refusals : facts.refusals + 1
      if (refusals >= limits.refusalsMax) {
        this.#end(device.id, message, 'refused', 'refused-too-often')
      } else {
        const waitMs = this.backoffMs(isParked ? facts.attempts : refusals)
        const key = { message: message.position, device: device.id }
        const nextTryAt = Math.round(now.wall + waitMs)
        this.#holdings.drop(key)
        this.#queue.postpone(key, isParked ? 'request-pending' : 'unsupported', refusals, nextTryAt)
        if (lane) {
          if (isParked) lane.isParked = true
          lane.rescanAt = Math.min(lane.rescanAt, now.mono + waitMs)
        } else this.#context.touch(device)
      }
    }
    this.#tell(device.contact, message)
  }

  #end(device: number, message: OutgoingMessage, state: 'refused' | 'expired', reason: StoredReason): void {
    this.#queue.settle({ message: message.position, device }, state, reason)
    this.#holdings.drop({ message: message.position, device })
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
    if (!device || !entry || this.#holdings.of({ message: message.position, device: device.id }).length > 0)
      return this.#history.outgoingView(contact, message)
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
  const { state, forked, changed } = device.contact
  return state === 'contact' && !forked && changed === undefined
}

/** Looks at everything that waits for a device again. */
export function rescan(lane: Lane): void {
  lane.scannedTo = 0
  lane.hasMore = true
  lane.isParked = false
  lane.rescanAt = Number.POSITIVE_INFINITY
}
