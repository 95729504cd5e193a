import { bytesToMessageId, equalBytes } from '@miaou/core'
import {
  type Content,
  type ContentBody,
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
}

type TextContent = Content & { readonly body: Extract<ContentBody, { type: 'text' }> }

/** What others send us: decrypted, shown once, answered by receipts. */
export class Inbox {
  readonly #context: Context
  readonly #parts: InboxParts
  readonly #startRates: Rates
  readonly #helloRates: Rates
  #hasTombstones = false

  constructor(context: Context, parts: InboxParts) {
    this.#context = context
    this.#parts = parts
    const { startsBurst, startRefillMs, hellosBurst, helloRefillMs, ratesMax } = context.limits
    this.#startRates = new Rates(startsBurst, startRefillMs, ratesMax)
    this.#helloRates = new Rates(hellosBurst, helloRefillMs, ratesMax)
  }

  load(): void {
    this.#hasTombstones = this.#context.store.get('SELECT 1 FROM tombstones LIMIT 1') !== undefined
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
      this.#fromStranger(link, envelope.value)
      return
    }
    if (device.lane === undefined) {
      this.#context.drop('unannounced')
      return
    }
    if (envelope.value.kind === 'initial' && !this.#mayStart(link, device, envelope.value)) return
    const before = this.#parts.sessions.sending(device)
    const opened = this.#parts.sessions.open(device, envelope.value)
    if (opened.type === 'failed') {
      this.#context.drop(opened.reason)
      if (opened.failure === 'lost') this.#parts.lanes.failed(device)
      return
    }
    this.#content(device, opened.plaintext)
    const after = this.#parts.sessions.sending(device)
    if (before && after && after.generation > before.generation) this.#parts.lanes.replaced(device)
    else if (!before) {
      this.#parts.receipts.addReads(device.contact, device)
      this.#parts.lanes.pump(device)
    }
  }

  /** Somebody we know nothing of opens a session: kept, but shown only once they write. */
  #fromStranger(link: Link, envelope: Envelope): void {
    const { contacts, links, sessions } = this.#parts
    if (link.account === this.#context.account) {
      // Our own other devices: keeping them in step is not built yet, and they are no strangers.
      this.#context.drop('own-account')
      return
    }
    if (!link.list) {
      this.#context.drop('unannounced')
      return
    }
    if (envelope.kind !== 'initial') {
      this.#context.drop('unknown-session')
      return
    }
    if (!this.#mayStart(link, undefined, envelope)) return
    const { accountKey, key: deviceKey, sessionKey } = link
    const answered = sessions.answer({ accountKey, deviceKey, sessionKey }, envelope)
    if ('type' in answered) {
      this.#context.drop(answered.reason)
      return
    }
    if (!this.#hasRoomForStranger()) {
      this.#context.drop('too-many-strangers')
      return
    }
    const contact = contacts.add(accountKey, 'stranger', link.name)
    links.adopt(contact, link.list)
    const device = links.deviceOf(link)
    if (!device?.lane) {
      this.#context.drop('unannounced')
      return
    }
    sessions.adopt(device, answered)
    this.#content(device, answered.plaintext)
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
  #mayStart(link: Link, device: Device | undefined, envelope: Extract<Envelope, { kind: 'initial' }>): boolean {
    const isKnown =
      device && this.#parts.sessions.of(device).some((each) => equalBytes(each.idBytes, envelope.sessionId))
    if (isKnown) return true
    if (!this.#startRates.take(link.peerId, this.#context.now.mono)) {
      this.#context.drop('session-rate')
      return false
    }
    if (equalBytes(envelope.certificate, link.certificate)) return true
    const certificate = verifyCertificate(this.#context.crypto, envelope.certificate)
    const isTheirs =
      certificate.ok &&
      certificate.value.kind === 'device' &&
      equalBytes(certificate.value.deviceKey, link.key) &&
      equalBytes(certificate.value.accountKey, link.accountKey) &&
      equalBytes(certificate.value.sessionKey, link.sessionKey)
    if (!isTheirs) this.#context.drop('certificate-mismatch')
    return isTheirs
  }

  #content(device: Device, plaintext: Uint8Array): void {
    const content = decodeContent(plaintext)
    if (!content.ok) {
      this.#context.drop(`content-${content.error.type}`)
      return
    }
    const { messageId, body } = content.value
    const { receipts, outbox, introductions } = this.#parts
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
        if (!this.#helloRates.take(device.peerId, this.#context.now.mono)) this.#context.drop('hello-rate')
        else if (introductions.hello(device, body)) receipts.add(device, 'delivered', messageId)
        else receipts.add(device, 'refused', messageId, 'request-pending')
        return
      case 'unknown':
        this.#context.drop('unknown-content')
        receipts.add(device, 'refused', messageId, 'unsupported')
    }
  }

  #text(device: Device, content: TextContent): void {
    const { contact } = device
    const { receipts, contacts, journal } = this.#parts
    const answer = (status: 'delivered' | 'refused', reason?: 'too-old' | 'request-pending'): void => {
      if (content.body.receiptRequested) receipts.add(device, status, content.messageId, reason)
    }
    const { now, limits } = this.#context
    const isTooOld = content.sentAt < now.wall - limits.expiryMs - limits.clockSkewMs
    const isRequest = contact.state !== 'contact'
    // Only where a message may be refused is it looked up first: a duplicate of one that was taken is taken.
    if ((isTooOld || isRequest) && this.#isKnown(contact, content)) {
      answer('delivered')
      return
    }
    if (isTooOld) {
      answer('refused', 'too-old')
      return
    }
    if (isRequest && !this.#takeRequest(contact)) {
      answer('refused', 'request-pending')
      return
    }
    if (this.#store(device, content) && isRequest) journal.contactChanged(contact.id, contactView(contact))
    if (isRequest) contacts.save(contact)
    answer('delivered')
  }

  /** True when the text may be kept: the first of a stranger who then is a request. */
  #takeRequest(contact: Contact): boolean {
    const { contacts } = this.#parts
    if (contact.state !== 'stranger') return false
    if (contacts.count('request') >= this.#context.limits.requestsMax) {
      this.#context.drop('too-many-requests')
      return false
    }
    contact.state = 'request'
    return true
  }

  #isKnown(contact: Contact, content: TextContent): boolean {
    const { store } = this.#context
    const row = store.get('SELECT 1 FROM messages WHERE id = ? AND contact = ? AND outgoing = 0', [
      content.messageId,
      contact.id,
    ])
    return row !== undefined || this.#isRemoved(contact, content)
  }

  #isRemoved(contact: Contact, content: TextContent): boolean {
    if (!this.#hasTombstones) return false
    const { store } = this.#context
    return (
      store.get('SELECT 1 FROM tombstones WHERE id = ? AND account = ?', [content.messageId, contact.accountKey]) !==
      undefined
    )
  }

  /** False for a duplicate, which changes nothing. */
  #store(device: Device, content: TextContent): boolean {
    const { contact } = device
    const { store, now } = this.#context
    const { contacts, history, journal } = this.#parts
    if (this.#isRemoved(contact, content)) return false
    const storedAt = Math.round(now.wall)
    const { changes, lastInsertRowid: position } = store.run(
      `INSERT INTO messages (id, contact, outgoing, state, device, sent_at, stored_at, text) VALUES (?, ?, 0, ?, ?, ?, ?, ?)
       ON CONFLICT (id, contact, outgoing) DO NOTHING`,
      [content.messageId, contact.id, messageCodes.unread, device.id, content.sentAt, storedAt, content.body.text],
    )
    if (changes === 0) {
      this.#context.drop('duplicate')
      return false
    }
    store.run('INSERT INTO search (rowid, text) VALUES (?, ?)', [position, content.body.text])
    contacts.countMessage(contact, true)
    if (contact.messageCount > this.#context.limits.historyMax) history.prune(contact)
    journal.messageReceived({
      id: bytesToMessageId(content.messageId),
      contact: contact.account,
      direction: 'in',
      text: content.body.text,
      sentAt: content.sentAt,
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
