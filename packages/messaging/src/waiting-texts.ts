import { textToBytes } from '@miaou/core'
import type { Contacts } from './contacts.ts'
import type { Context } from './context.ts'
import type { Contact, Device } from './model.ts'
import type { Receipts } from './receipts.ts'
import { bytesOf, numberOf, textOf } from './row.ts'
import type { SqlRow } from './store.ts'

/** A text that came before the one that it follows. */
export interface WaitingText {
  readonly device: Device
  /** 16 bytes. */
  readonly messageId: Uint8Array
  /** Wall-clock ms of the sender. */
  readonly sentAt: number
  readonly receiptRequested: boolean
  readonly text: string
}

/** Asking a contact for what its waiting texts follow. */
interface Asking {
  /** Monotonic ms. */
  askAt: number
  waitMs: number
}

// How often the running time of waiting texts is written down (own choice): what is lost by a crash is waited again.
const tickMs = 600_000
// Ids asked for at a time, and remembered as not taken: own choice, a part of what one receipt holds.
const missingMax = 64
// Texts given up waiting in one go, so that no batch becomes long.
const releasesPerWake = 256

/**
 * Texts that wait until the one before them has come, as mailboxes and links deliver in no common order. None has a receipt
 * until it is shown, so its sender keeps it.
 */
export class WaitingTexts {
  readonly #context: Context
  readonly #contacts: Contacts
  readonly #receipts: Receipts
  readonly #show: (text: WaitingText) => void
  readonly #counts = new Map<number, number>()
  readonly #askings = new Map<number, Asking>()
  /** Texts for which there was no room: asked for once there is. */
  readonly #untaken = new Map<number, { readonly device: Device; readonly ids: Uint8Array[] }>()
  #tickedAt = 0

  /** `show`: stores a text that waits no longer, and answers it. */
  constructor(
    context: Context,
    parts: { readonly contacts: Contacts; readonly receipts: Receipts; readonly show: (text: WaitingText) => void },
  ) {
    this.#context = context
    this.#contacts = parts.contacts
    this.#receipts = parts.receipts
    this.#show = parts.show
  }

  load(): void {
    const { store, now, limits } = this.#context
    this.#counts.clear()
    this.#askings.clear()
    this.#untaken.clear()
    this.#tickedAt = now.mono
    for (const row of store.all('SELECT contact, count(*) AS count FROM waiting_texts GROUP BY contact')) {
      const contact = numberOf(row, 'contact')
      this.#counts.set(contact, numberOf(row, 'count'))
      this.#askings.set(contact, { askAt: now.mono + limits.missingWaitMs, waitMs: limits.missingWaitMs })
    }
  }

  /** Whether a person's text with that id waits. */
  has(contact: Contact, id: Uint8Array): boolean {
    if (!this.#counts.has(contact.id)) return false
    const { store } = this.#context
    return store.get('SELECT 1 FROM waiting_texts WHERE contact = ? AND id = ?', [contact.id, id]) !== undefined
  }

  /** Keeps a text until `after` has come. A copy of one that waits renews what it follows. False: there is no room. */
  keep(text: WaitingText, after: Uint8Array): boolean {
    const { store, now, limits } = this.#context
    const { device, messageId } = text
    const { contact } = device
    if (this.has(contact, messageId)) {
      store.run('UPDATE waiting_texts SET after = ?, device = ? WHERE contact = ? AND id = ?', [
        after,
        device.id,
        contact.id,
        messageId,
      ])
      return true
    }
    if (!this.#hasRoom(contact, textToBytes(text.text).length)) {
      this.#context.drop('waiting-full')
      this.#rememberUntaken(device, messageId)
      return false
    }
    store.run(
      `INSERT INTO waiting_texts (id, contact, device, after, sent_at, stored_at, waited_ms, receipt_requested, text)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      [
        messageId,
        contact.id,
        device.id,
        after,
        text.sentAt,
        Math.round(now.wall),
        // Counted from the last tick on for all: this one waits since now.
        Math.round(this.#tickedAt - now.mono),
        text.receiptRequested ? 1 : 0,
        text.text,
      ],
    )
    this.#counts.set(contact.id, (this.#counts.get(contact.id) ?? 0) + 1)
    if (!this.#askings.has(contact.id)) {
      this.#askings.set(contact.id, { askAt: now.mono + limits.missingWaitMs, waitMs: limits.missingWaitMs })
    }
    return true
  }

  /** It came another way: it waits no longer. */
  forget(contact: Contact, id: Uint8Array): void {
    if (!this.#counts.has(contact.id)) return
    const { store } = this.#context
    const { changes } = store.run('DELETE FROM waiting_texts WHERE contact = ? AND id = ?', [contact.id, id])
    this.#uncount(contact.id, changes)
  }

  /** A text was shown: all that waited for it follow, and what waited for those. */
  release(contact: Contact, id: Uint8Array): void {
    if (!this.#counts.has(contact.id)) return
    const queue = [id]
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const rows = this.#context.store.all('DELETE FROM waiting_texts WHERE contact = ? AND after = ? RETURNING *', [
        contact.id,
        next,
      ])
      for (const row of [...rows].sort((a, b) => numberOf(a, 'row') - numberOf(b, 'row'))) {
        this.#uncount(contact.id, 1)
        const text = this.#rowToText(row)
        if (!text) continue
        this.#show(text)
        queue.push(text.messageId)
      }
    }
    this.#askForUntaken(contact)
  }

  /** A person is gone, and with them what waited. */
  removeAll(contact: Contact): void {
    this.#context.store.run('DELETE FROM waiting_texts WHERE contact = ?', [contact.id])
    this.#counts.delete(contact.id)
    this.#askings.delete(contact.id)
    this.#untaken.delete(contact.id)
  }

  wake(): void {
    if (this.#counts.size === 0) return
    const { mono } = this.#context.now
    if (mono >= this.#tickedAt + tickMs) this.#tick()
    for (const [contact, asking] of this.#askings) if (asking.askAt <= mono) this.#ask(contact, asking)
  }

  deadline(): number {
    if (this.#counts.size === 0) return Number.POSITIVE_INFINITY
    let deadline = this.#tickedAt + tickMs
    for (const { askAt } of this.#askings.values()) deadline = Math.min(deadline, askAt)
    return deadline
  }

  /** Adds the running time since the last tick, and shows what has waited long enough. */
  #tick(): void {
    const { store, now, limits } = this.#context
    const elapsedMs = Math.round(now.mono - this.#tickedAt)
    this.#tickedAt = now.mono
    store.run('UPDATE waiting_texts SET waited_ms = waited_ms + ?', [elapsedMs])
    const rows = store.all('SELECT * FROM waiting_texts WHERE waited_ms >= ? ORDER BY row LIMIT ?', [
      limits.waitingMsMax,
      releasesPerWake,
    ])
    for (const row of rows) {
      const contact = this.#contacts.byId(numberOf(row, 'contact'))
      const id = bytesOf(row, 'id')
      // One that it follows may have been shown by this very loop.
      if (contact && !this.has(contact, id)) continue
      store.run('DELETE FROM waiting_texts WHERE row = ?', [numberOf(row, 'row')])
      this.#uncount(numberOf(row, 'contact'), 1)
      const text = this.#rowToText(row)
      if (!text || contact?.state !== 'contact') continue
      this.#context.drop('waited-in-vain')
      this.#show(text)
      this.release(contact, id)
    }
  }

  /** Asks for the texts that others wait for and that do not wait themselves. */
  #ask(contactId: number, asking: Asking): void {
    const { store, now, limits } = this.#context
    asking.waitMs = Math.min(asking.waitMs * 2, limits.missingWaitMsMax)
    asking.askAt = now.mono + asking.waitMs
    const rows = store.all(
      `SELECT DISTINCT after, device FROM waiting_texts AS waiting WHERE contact = ?
       AND NOT EXISTS (SELECT 1 FROM waiting_texts WHERE contact = waiting.contact AND id = waiting.after) LIMIT ?`,
      [contactId, missingMax],
    )
    for (const row of rows) {
      const device = this.#contacts.deviceById(numberOf(row, 'device'))
      if (device?.contact.state === 'contact') this.#receipts.add(device, 'missing', bytesOf(row, 'after'))
    }
  }

  #rememberUntaken(device: Device, id: Uint8Array): void {
    const known = this.#untaken.get(device.contact.id) ?? { device, ids: [] }
    this.#untaken.set(device.contact.id, known)
    if (known.ids.length < missingMax) known.ids.push(id)
  }

  #askForUntaken(contact: Contact): void {
    const untaken = this.#untaken.get(contact.id)
    if (!untaken || this.#counts.has(contact.id)) return
    this.#untaken.delete(contact.id)
    for (const id of untaken.ids) this.#receipts.add(untaken.device, 'missing', id)
  }

  #hasRoom(contact: Contact, size: number): boolean {
    const { store, limits } = this.#context
    const count = this.#counts.get(contact.id) ?? 0
    if (count === 0) return true
    if (count >= limits.waitingTextsMax) return false
    const row = store.get(
      'SELECT coalesce(sum(length(CAST(text AS BLOB))), 0) AS size FROM waiting_texts WHERE contact = ?',
      [contact.id],
    )
    return row !== undefined && numberOf(row, 'size') + size <= limits.waitingBytesMax
  }

  #uncount(contactId: number, count: number): void {
    const left = (this.#counts.get(contactId) ?? 0) - count
    if (left > 0) {
      this.#counts.set(contactId, left)
      return
    }
    this.#counts.delete(contactId)
    this.#askings.delete(contactId)
  }

  #rowToText(row: SqlRow): WaitingText | undefined {
    const device = this.#contacts.deviceById(numberOf(row, 'device'))
    return (
      device && {
        device,
        messageId: bytesOf(row, 'id'),
        sentAt: numberOf(row, 'sent_at'),
        receiptRequested: numberOf(row, 'receipt_requested') === 1,
        text: textOf(row, 'text'),
      }
    )
  }
}
