import { type AccountId, bytesToMessageId, equalBytes, type PeerId, textToBytes } from '@miaou/core'
import {
  type Content,
  type ContentBody,
  type DeviceList,
  decodeContent,
  decodeEnvelope,
  type Envelope,
  verifyCertificate,
} from '@miaou/protocol'
import { messageCodes } from './codes.ts'
import { type Contacts, contactView } from './contacts.ts'
import type { Context } from './context.ts'
import type { History } from './history.ts'
import type { Introductions } from './introductions.ts'
import type { Journal } from './journal.ts'
import type { Lanes } from './lanes.ts'
import type { Link, Links } from './links.ts'
import type { Contact, Device } from './model.ts'
import type { Outbox } from './outbox.ts'
import { Rates } from './rates.ts'
import type { Receipts } from './receipts.ts'
import { numberOf } from './row.ts'
import type { Sessions } from './sessions.ts'
import type { SettingsTable } from './settings.ts'
import type { Starts } from './starts.ts'
import { type WaitingText, WaitingTexts } from './waiting-texts.ts'

export interface InboxParts {
  readonly contacts: Contacts
  readonly sessions: Sessions
  readonly links: Links
  readonly lanes: Lanes
  readonly outbox: Outbox
  readonly receipts: Receipts
  readonly history: History
  readonly introductions: Introductions
  readonly settings: SettingsTable
  readonly journal: Journal
  readonly starts: Pick<Starts, 'see' | 'hear'>
}

/** A device that writes and that we know nothing of yet, with its account's verified list. */
export interface Stranger {
  readonly peerId: PeerId
  readonly key: Uint8Array
  readonly account: AccountId
  readonly accountKey: Uint8Array
  readonly sessionKey: Uint8Array
  readonly name: string
  readonly list: DeviceList
}

// Old digests go that many at a time, so that a steady stream of messages does not cost a deletion each.
const seenStep = 100
const digestSize = 16

type TextContent = Content & { readonly body: Extract<ContentBody, { type: 'text' }> }

/** What others send us: decrypted, shown once, answered by receipts. */
export class Inbox {
  readonly #context: Context
  readonly #parts: InboxParts
  readonly #startRates: Rates
  readonly #helloRates: Rates
  readonly #waiting: WaitingTexts
  #hasTombstones = false
  /** The text stored last: the one that the next most often follows. */
  #latest: { readonly contact: Contact; readonly messageId: Uint8Array } | undefined

  constructor(context: Context, parts: InboxParts) {
    this.#context = context
    this.#parts = parts
    const { startsBurst, startRefillMs, hellosBurst, helloRefillMs, ratesMax } = context.limits
    this.#startRates = new Rates(startsBurst, startRefillMs, ratesMax)
    this.#helloRates = new Rates(hellosBurst, helloRefillMs, ratesMax)
    const { contacts, receipts } = parts
    this.#waiting = new WaitingTexts(context, { contacts, receipts, show: (text) => this.#show(text) })
  }

  load(): void {
    this.#hasTombstones = this.#context.store.get('SELECT 1 FROM tombstones LIMIT 1') !== undefined
    this.#latest = undefined
    this.#waiting.load()
  }

  /** A deadline passed: texts that others follow are asked for, and none waits for ever. */
  wake(): void {
    this.#waiting.wake()
  }

  deadline(): number {
    return this.#waiting.deadline()
  }

  /** A person is removed, and with them what waits. */
  removeAll(contact: Contact): void {
    this.#waiting.removeAll(contact)
  }

  /** The payload of a DirectMessage or DeliveryReceipt frame. */
  envelope(link: Link, payload: Uint8Array): void {
    const envelope = decodeEnvelope(payload)
    if (!envelope.ok) {
      this.#context.drop(`envelope-${envelope.error.type}`)
      return
    }
    const device = this.#parts.links.deviceOf(link)
    if (device === undefined) {
      this.#fromStrangeLink(link, envelope.value)
      return
    }
    if (device.lane === undefined) {
      this.#context.drop('unannounced')
      return
    }
    if (envelope.value.kind === 'initial' && !this.#mayStartOn(link, device, envelope.value)) return
    this.receive(device, envelope.value)
  }

  /** An envelope of a device of somebody, by whatever way it came. Whether it could be opened, which proves its sender. */
  receive(device: Device, envelope: Envelope): boolean {
    const { sessions, lanes, receipts } = this.#parts
    const before = sessions.sending(device)
    const opened = sessions.open(device, envelope)
    const digest = this.#context.crypto.sha256(envelope.message).slice(0, digestSize)
    if (opened.type === 'failed') {
      if (this.#wasSeen(digest)) {
        this.#context.drop('repeated')
        return false
      }
      this.#context.drop(opened.reason)
      // Keys that were used before, for bytes that we never saw: the sender goes on from an older copy of itself.
      // Or, where ours was never answered, it goes on in one that we have lost. The same bytes count once.
      const isGone = opened.reason === 'session-replayed' && before?.confirmed !== true
      if (isGone) this.#remember(digest)
      const isLost = opened.failure === 'lost' || isGone
      if (isLost || opened.reason === 'message-duplicate') lanes.failed(device)
      return false
    }
    this.#remember(digest)
    this.#content(device, opened.plaintext)
    const after = sessions.sending(device)
    if (before && after && after.generation > before.generation) lanes.replaced(device)
    else if (!before) {
      receipts.addReads(device.contact, device)
      lanes.pump(device)
    }
    return true
  }

  /** Whether an initial envelope opens a session that we have, so that it starts none. */
  isKnownSession(device: Device, envelope: Envelope): boolean {
    return this.#parts.sessions.of(device).some((each) => equalBytes(each.idBytes, envelope.sessionId))
  }

  /** Whether a device may start one more session now. */
  mayStart(peerId: PeerId): boolean {
    if (this.#startRates.take(peerId, this.#context.now.mono)) return true
    this.#context.drop('session-rate')
    return false
  }

  /**
   * Somebody we know nothing of opens a session: kept, but shown only once they write. Their device, when it could be
   * opened and there was room.
   */
  fromStranger(stranger: Stranger, envelope: Envelope): Device | undefined {
    const { contacts, links, sessions } = this.#parts
    if (envelope.kind !== 'initial') {
      this.#context.drop('unknown-session')
      return undefined
    }
    const { account, accountKey, peerId, key: deviceKey, sessionKey } = stranger
    const answered = sessions.answer({ accountKey, deviceKey, sessionKey }, envelope)
    if ('type' in answered) {
      this.#context.drop(answered.reason)
      return undefined
    }
    if (!this.#hasRoomForStranger()) {
      this.#context.drop('too-many-strangers')
      return undefined
    }
    const contact = contacts.add(accountKey, 'stranger', stranger.name)
    links.adopt(contact, stranger.list)
    const device = contacts.device(account, peerId)
    if (!device) {
      this.#context.drop('unannounced')
      return undefined
    }
    if (!device.sessionKey) {
      device.sessionKey = sessionKey
      contacts.saveDevice(device)
    }
    sessions.adopt(device, answered)
    this.#remember(this.#context.crypto.sha256(envelope.message).slice(0, digestSize))
    this.#content(device, answered.plaintext)
    return device
  }

  #fromStrangeLink(link: Link, envelope: Envelope): void {
    const { list } = link
    if (link.account === this.#context.account) {
      // Our own other devices: keeping them in step is not built yet, and they are no strangers.
      this.#context.drop('own-account')
      return
    }
    if (!list) {
      this.#context.drop('unannounced')
      return
    }
    if (envelope.kind === 'initial' && !this.#mayStartOn(link, undefined, envelope)) return
    this.fromStranger({ ...link, list }, envelope)
  }

  #hasRoomForStranger(): boolean {
    const { contacts, history, lanes } = this.#parts
    const { strangersMax, contactsMax } = this.#context.limits
    if (contacts.count('stranger') >= strangersMax || contacts.size >= contactsMax) {
      // A linked one, too: some who stay linked and say nothing must not keep out who comes with an invite.
      const oldest = contacts.oldestStranger()
      if (!oldest) return false
      for (const device of oldest.devices) lanes.detach(device)
      history.removeAll(oldest)
      contacts.remove(oldest)
    }
    return contacts.size < contactsMax
  }

  /** An initial envelope of an unknown session must come from the device of the link, and not too often. */
  #mayStartOn(link: Link, device: Device | undefined, envelope: Extract<Envelope, { kind: 'initial' }>): boolean {
    if (device && this.isKnownSession(device, envelope)) return true
    if (!this.mayStart(link.peerId)) return false
    if (equalBytes(envelope.certificate, link.certificate)) return true
    const sessionKey = certifiedSessionKey(this.#context, link, envelope.certificate)
    const isTheirs = sessionKey !== undefined && equalBytes(sessionKey, link.sessionKey)
    if (!isTheirs) this.#context.drop('certificate-mismatch')
    return isTheirs
  }

  #wasSeen(digest: Uint8Array): boolean {
    return this.#context.store.get('SELECT 1 FROM seen_messages WHERE digest = ?', [digest]) !== undefined
  }

  #remember(digest: Uint8Array): void {
    const { store, limits } = this.#context
    const { changes, lastInsertRowid } = store.run('INSERT OR IGNORE INTO seen_messages (digest) VALUES (?)', [digest])
    const step = Math.min(seenStep, limits.seenMessagesMax)
    if (changes === 0 || lastInsertRowid % step !== 0) return
    store.run('DELETE FROM seen_messages WHERE row <= ?', [lastInsertRowid - limits.seenMessagesMax])
  }

  #content(device: Device, plaintext: Uint8Array): void {
    const content = decodeContent(plaintext)
    if (!content.ok) {
      this.#context.drop(`content-${content.error.type}`)
      return
    }
    const { messageId, body } = content.value
    const { receipts, outbox, introductions, starts } = this.#parts
    switch (body.type) {
      case 'text':
        this.#text(device, { ...content.value, body })
        return
      case 'receipt': {
        const { status, reason, messageIds } = body
        const { helloId } = device
        if (helloId && messageIds.some((id) => equalBytes(id, helloId))) {
          if (status !== 'refused') {
            introductions.helloAnswered(device, true)
            // What we showed before they knew us was dropped.
            this.#parts.links.sendPresence(device)
          } else if (reason === 'request-pending') introductions.helloAnswered(device, false)
        }
        outbox.settle(device, status, reason, messageIds)
        // Room in the window, or a message that waited for an answer.
        this.#parts.lanes.pump(device)
        return
      }
      case 'hello':
        // Each one may change what the LAN is told and wake all that waits. An honest one is said again.
        if (!this.#helloRates.take(device.peerId, this.#context.now.mono)) {
          this.#context.drop('hello-rate')
          return
        }
        if (body.startMark) starts.see(device, body.startMark)
        if (body.laterMark) starts.hear(device.contact, body.laterMark)
        if (introductions.hello(device, body)) receipts.add(device, 'delivered', messageId)
        else receipts.add(device, 'refused', messageId, 'request-pending')
        return
      case 'cover':
        return
      case 'unknown':
        this.#context.drop('unknown-content')
        receipts.add(device, 'refused', messageId, 'unsupported')
    }
  }

  #text(device: Device, content: TextContent): void {
    const { contact } = device
    const { now, limits } = this.#context
    const { messageId } = content
    const isTooOld = content.sentAt < now.wall - limits.expiryMs - limits.clockSkewMs
    const isRequest = contact.state !== 'contact'
    const follows = content.after && !equalBytes(content.after, messageId) ? content.after : undefined
    const isEarly = follows !== undefined && !this.#isShown(contact, follows)
    // Only where a message may be refused is it looked up first: a duplicate of one that was taken is taken.
    if ((isTooOld || isRequest || isEarly) && this.#isShown(contact, messageId)) {
      this.#answer(device, content, 'delivered')
      return
    }
    if (isTooOld) {
      this.#answer(device, content, 'refused', 'too-old')
      return
    }
    if (isRequest) {
      if (isEarly || !this.#takeRequest(device, content)) this.#answer(device, content, 'refused', 'request-pending')
      return
    }
    const { sentAt, body } = content
    const text = { device, messageId, sentAt, receiptRequested: body.receiptRequested, text: body.text }
    if (isEarly) {
      // Its sender learns nothing: it keeps what has no receipt, and tells us by another copy when the order changes.
      this.#waiting.keep(text, follows)
      return
    }
    this.#waiting.forget(contact, messageId)
    this.#show(text)
    this.#waiting.release(contact, messageId)
  }

  #answer(
    device: Device,
    content: TextContent,
    status: 'delivered' | 'refused',
    reason?: 'too-old' | 'request-pending',
  ): void {
    if (content.body.receiptRequested) this.#parts.receipts.add(device, status, content.messageId, reason)
  }

  #show(text: WaitingText): void {
    this.#store(text)
    if (text.receiptRequested) this.#parts.receipts.add(text.device, 'delivered', text.messageId)
  }

  /** The first text of a stranger makes a request. False when it must wait at its sender. */
  #takeRequest(device: Device, content: TextContent): boolean {
    const { contact } = device
    const { contacts, journal, introductions } = this.#parts
    if (contact.state !== 'stranger' || !introductions.takeRequest(contact)) return false
    const { messageId, sentAt, body } = content
    const isSmall = textToBytes(body.text).length <= this.#context.limits.requestTextSizeMax
    // The request is shown, so that a long text can be asked for by accepting it.
    if (isSmall) {
      this.#show({ device, messageId, sentAt, receiptRequested: body.receiptRequested, text: body.text })
    } else this.#context.drop('request-too-long')
    contacts.save(contact)
    journal.contactChanged(contact.id, contactView(contact))
    return isSmall
  }

  /** Whether a text of theirs was shown here, removed since or not. */
  #isShown(contact: Contact, messageId: Uint8Array): boolean {
    if (this.#latest?.contact === contact && equalBytes(this.#latest.messageId, messageId)) return true
    const { store } = this.#context
    const row = store.get('SELECT 1 FROM messages WHERE id = ? AND contact = ? AND outgoing = 0', [
      messageId,
      contact.id,
    ])
    return row !== undefined || this.#isRemoved(contact, messageId)
  }

  #isRemoved(contact: Contact, messageId: Uint8Array): boolean {
    if (!this.#hasTombstones) return false
    const { store } = this.#context
    return (
      store.get('SELECT 1 FROM tombstones WHERE id = ? AND account = ?', [messageId, contact.accountKey]) !== undefined
    )
  }

  /** False for a duplicate, which changes nothing. */
  #store({ device, messageId, sentAt, text }: WaitingText): boolean {
    const { contact } = device
    const { store, now } = this.#context
    const { contacts, history, journal } = this.#parts
    if (this.#isRemoved(contact, messageId)) return false
    const storedAt = Math.round(now.wall)
    const { changes, lastInsertRowid: position } = store.run(
      `INSERT INTO messages (id, contact, outgoing, state, device, sent_at, stored_at, text) VALUES (?, ?, 0, ?, ?, ?, ?, ?)
       ON CONFLICT (id, contact, outgoing) DO NOTHING`,
      [messageId, contact.id, messageCodes.unread, device.id, sentAt, storedAt, text],
    )
    if (changes === 0) {
      this.#context.drop('duplicate')
      return false
    }
    store.run('INSERT INTO search (rowid, text) VALUES (?, ?)', [position, text])
    this.#latest = { contact, messageId }
    contacts.countMessage(contact, true)
    if (contact.messageCount > this.#context.limits.historyMax) history.prune(contact)
    journal.messageReceived({
      id: bytesToMessageId(messageId),
      contact: contact.account,
      direction: 'in',
      text,
      sentAt,
      storedAt,
      state: 'delivered',
      deliveries: [],
      position,
    })
    return true
  }

  /** Marks what a person wrote up to a position as read here; their devices learn it by receipts. */
  markRead(contact: Contact, upTo: number): number {
    const { store } = this.#context
    const { contacts, receipts, journal, settings } = this.#parts
    // What was read while receipts are off is never told, also when they are switched on later.
    const state = settings.get().readReceipts ? messageCodes.readOwed : messageCodes.read
    const { changes } = store.run(
      'UPDATE messages SET state = ? WHERE contact = ? AND state IN (1, 2) AND state = ? AND position <= ?',
      [state, contact.id, messageCodes.unread, upTo],
    )
    if (changes === 0) return 0
    const row = store.get(
      'SELECT count(*) AS count FROM messages WHERE contact = ? AND state IN (1, 2) AND state = ?',
      [contact.id, messageCodes.unread],
    )
    contact.unreadCount = row === undefined ? 0 : numberOf(row, 'count')
    contacts.save(contact)
    receipts.addReads(contact)
    journal.contactChanged(contact.id, contactView(contact))
    return changes
  }
}

/** The session key that a certificate names, when it is of that device and account. */
export function certifiedSessionKey(
  { crypto }: Context,
  { key, accountKey }: { readonly key: Uint8Array; readonly accountKey: Uint8Array },
  bytes: Uint8Array,
): Uint8Array | undefined {
  const certificate = verifyCertificate(crypto, bytes)
  if (!certificate.ok || certificate.value.kind !== 'device') return undefined
  const { deviceKey, accountKey: named, sessionKey } = certificate.value
  return equalBytes(deviceKey, key) && equalBytes(named, accountKey) ? sessionKey : undefined
}
