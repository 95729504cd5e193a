import type { PeerId } from '@miaou/core'
import { encodeContent, frameTypes, type ReceiptStatus, type RefusalReason, receiptIdsMax } from '@miaou/protocol'
import { messageCodes } from './codes.ts'
import type { Context } from './context.ts'
import type { Contact, Device, Lane } from './model.ts'
import type { OwedReceipts } from './owed-receipts.ts'
import { bytesOf, numberOf } from './row.ts'
import type { Sessions } from './sessions.ts'
import type { SettingsTable } from './settings.ts'

interface Owed {
  readonly device: Device
  readonly status: ReceiptStatus
  readonly reason: RefusalReason | undefined
  readonly ids: Uint8Array[]
}

// Read receipts taken up at a time when a device comes back after long.
const readsPerLink = 4096
// A link that swallowed a frame is found silent within 10 s (spec/links L41); the rest is margin for slow ones.
const readsCertainMs = 60_000
// Told within this time counts as told at once: at most a dozen entries wait for their minute.
const readsTogetherMs = 5000

/** Receipts of ours: gathered over a batch, so that one covers many messages, and sealed in the session. */
export class Receipts {
  readonly #context: Context
  readonly #sessions: Sessions
  readonly #settings: SettingsTable
  readonly #stored: OwedReceipts
  readonly #owed = new Map<PeerId, Map<string, Owed>>()

  constructor(context: Context, sessions: Sessions, settings: SettingsTable, stored: OwedReceipts) {
    this.#context = context
    this.#sessions = sessions
    this.#settings = settings
    this.#stored = stored
  }

  reset(): void {
    this.#owed.clear()
  }

  add(device: Device, status: ReceiptStatus, idBytes: Uint8Array, reason?: RefusalReason): void {
    const owed = this.#owed.get(device.peerId) ?? new Map<string, Owed>()
    this.#owed.set(device.peerId, owed)
    const kind = reason ?? status
    const known = owed.get(kind)
    if (known) known.ids.push(idBytes)
    else owed.set(kind, { device, status, reason, ids: [idBytes] })
  }

  /**
   * Tells the linked devices of a person which of their messages were read here, when the settings allow it. Nobody
   * answers a receipt, so what was told on a link stays owed until that link has outlived its loss; else the next one
   * tells it again.
   */
  addReads(contact: Contact, device?: Device): void {
    for (const sender of contact.devices) {
      if (sender.lane && (!device || sender === device) && this.#sessions.sending(sender)) this.#tellStored(sender)
    }
    if (!this.#settings.get().readReceipts || contact.state !== 'contact') return
    for (const sender of contact.devices) {
      if (sender.lane && (!device || sender === device) && this.#sessions.sending(sender)) {
        this.#tellReads(sender, sender.lane)
      } else if (!sender.lane) this.#context.touch(sender)
    }
  }

  /** What was to be left in a mailbox goes on the link. */
  #tellStored(device: Device): void {
    for (let batches = this.#stored.take(device); batches.length > 0; batches = this.#stored.take(device)) {
      for (const batch of batches) {
        const { status, reason, messageIds } = batch.body
        for (const id of messageIds) this.add(device, status, id, reason)
        this.#stored.done(device, batch)
      }
    }
  }

  /** What was told on a device's link long enough ago has arrived. */
  settleReads(device: Device): void {
    const { store, now } = this.#context
    const { lane, contact } = device
    let upTo: number | undefined
    while (lane?.readsTold[0] && now.mono - lane.readsTold[0].at >= readsCertainMs) upTo = lane.readsTold.shift()?.upTo
    if (upTo === undefined) return
    store.run('UPDATE messages SET state = ? WHERE contact = ? AND state = 2 AND device = ? AND position <= ?', [
      messageCodes.read,
      contact.id,
      device.id,
      upTo,
    ])
  }

  #tellReads(device: Device, lane: Lane): void {
    const { store, now } = this.#context
    this.settleReads(device)
    const rows = store.all(
      `SELECT position, id FROM messages
       WHERE contact = ? AND state = 2 AND device = ? AND position > ? ORDER BY position LIMIT ?`,
      [device.contact.id, device.id, lane.readsTo, readsPerLink],
    )
    if (rows.length === 0) return
    for (const row of rows) {
      this.add(device, 'read', bytesOf(row, 'id'))
      lane.readsTo = numberOf(row, 'position')
    }
    const last = lane.readsTold.at(-1)
    if (last && now.mono - last.at < readsTogetherMs) last.upTo = lane.readsTo
    else lane.readsTold.push({ at: now.mono, upTo: lane.readsTo })
  }

  flush(): void {
    for (const owed of this.#owed.values()) for (const each of owed.values()) this.#send(each)
    this.#owed.clear()
  }

  #send({ device, status, reason, ids }: Owed): void {
    const { random, now } = this.#context
    if (!device.lane) {
      this.#stored.add(device, status, reason, ids)
      return
    }
    const session = this.#sessions.sending(device)
    if (!session) return
    for (let at = 0; at < ids.length; at += receiptIdsMax) {
      const plaintext = encodeContent({
        messageId: random.bytes(16),
        sentAt: Math.round(now.wall),
        body: { type: 'receipt', status, ...(reason && { reason }), messageIds: ids.slice(at, at + receiptIdsMax) },
      })
      this.#context.send(device.peerId, frameTypes.deliveryReceipt, this.#sessions.seal(session, plaintext))
    }
  }
}
