import type { PeerId } from '@miaou/core'
import { encodeContent, frameTypes, type ReceiptStatus, type RefusalReason, receiptIdsMax } from '@miaou/protocol'
import { messageCodes } from './codes.ts'
import type { Context } from './context.ts'
import type { Contact, Device } from './model.ts'
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

/** Receipts of ours: gathered over a batch, so that one covers many messages, and sealed in the session. */
export class Receipts {
  readonly #context: Context
  readonly #sessions: Sessions
  readonly #settings: SettingsTable
  readonly #owed = new Map<PeerId, Map<string, Owed>>()

  constructor(context: Context, sessions: Sessions, settings: SettingsTable) {
    this.#context = context
    this.#sessions = sessions
    this.#settings = settings
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

  /** Tells the linked devices of a person which of their messages were read here, when the settings allow it. */
  addReads(contact: Contact, device?: Device): void {
    const { store } = this.#context
    if (!this.#settings.get().readReceipts || contact.state !== 'contact') return
    const rows = store.all(
      'SELECT position, id, device FROM messages WHERE contact = ? AND state IN (1, 2) AND state = 2 ORDER BY position LIMIT ?',
      [contact.id, readsPerLink],
    )
    for (const row of rows) {
      const sender = contact.devices.find(({ id }) => id === row['device'])
      if (!sender?.lane || (device && sender !== device) || !this.#sessions.sending(sender)) continue
      this.add(sender, 'read', bytesOf(row, 'id'))
      store.run('UPDATE messages SET state = ? WHERE position = ?', [messageCodes.read, numberOf(row, 'position')])
    }
  }

  flush(): void {
    for (const owed of this.#owed.values()) for (const each of owed.values()) this.#send(each)
    this.#owed.clear()
  }

  #send({ device, status, reason, ids }: Owed): void {
    const { random, now } = this.#context
    const session = this.#sessions.sending(device)
    if (!session || !device.lane) return
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
