import { assert, textToBytes } from '@miaou/core'
import { sealedContentSizeMax, sealMessage } from '@miaou/crypto'
import {
  type ContentBody,
  encodeContent,
  encodeSealedContent,
  sealedAnnouncementSizeMax,
  sealedContentOverhead,
  sealedEnvelopeOverhead,
  sealedEnvelopesMax,
} from '@miaou/protocol'
import type { Context } from './context.ts'
import type { QueuedDelivery } from './delivery-queue.ts'
import type { Device, OutgoingMessage, Session } from './model.ts'
import type { OwedBatch } from './owed-receipts.ts'
import type { Sessions } from './sessions.ts'

/** One content on its way to a device by mailboxes. */
export type ParcelItem =
  | { readonly type: 'hello'; readonly id: Uint8Array }
  | { readonly type: 'text'; readonly delivery: QueuedDelivery; readonly after: Uint8Array | undefined }
  | { readonly type: 'receipts'; readonly batch: OwedBatch }
  /** A body that nobody waits for: it opens a session, or is cover. */
  | { readonly type: 'other'; readonly body: ContentBody }

/** Ratchet messages that were sealed already: the same bytes go to each mailbox, so that the second of them is nothing new. */
export type EnvelopeCache = Map<string, Uint8Array>

// What a content, its ratchet message and its envelope add to a text, rounded up.
const envelopeOverhead = 256

/** The size an item will have, not less than it is. */
export function estimateSize(item: ParcelItem, session: Session, certificateSize: number): number {
  // An initial one also has a certificate and a PQXDH header.
  const initial = session.header === undefined ? 0 : session.header.length + certificateSize
  const around = sealedEnvelopeOverhead + envelopeOverhead + initial
  switch (item.type) {
    case 'text':
      return around + textToBytes(item.delivery.message.text).length
    case 'receipts':
      return around + 16 * item.batch.body.messageIds.length
    case 'hello':
      // With a device record, a sealing key and a note of a contact request.
      return around + 8192
    case 'other':
      return around + 1024
  }
}

/** Puts contents for one device together: ratchet, envelope, sealed message. */
export class Packing {
  readonly #context: Context
  readonly #sessions: Sessions
  readonly #hello: (device: Device) => ContentBody | undefined
  readonly #announcement: (device: Device) => Uint8Array

  constructor(
    context: Context,
    parts: {
      readonly sessions: Sessions
      /** What a hello to a device says now. */
      readonly hello: (device: Device) => ContentBody | undefined
      /** Our announcement, encoded, for a device that may not know us. */
      readonly announcement: (device: Device) => Uint8Array
    },
  ) {
    this.#context = context
    this.#sessions = parts.sessions
    this.#hello = parts.hello
    this.#announcement = parts.announcement
  }

  /** How much of one sealed message items may take: the announcement goes with each that starts a session. */
  room(device: Device, session: Session): { readonly bytes: number; readonly count: number } {
    const around = sealedContentOverhead + this.#announcementFor(device, session).length
    return { bytes: sealedContentSizeMax - around, count: sealedEnvelopesMax }
  }

  /** A sealed message with these items, whose estimated sizes fit. Undefined: the device's sealing key is none. */
  seal(device: Device, session: Session, items: readonly ParcelItem[], cache: EnvelopeCache): Uint8Array | undefined {
    const { crypto, random, identity } = this.#context
    const { sealingKey } = device
    if (!sealingKey) return undefined
    const announcement = this.#announcementFor(device, session)
    const envelopes = items.map((item) => this.#envelope(device, session, item, cache))
    const content = encodeSealedContent({
      accountKey: identity.accountKey,
      deviceKey: identity.deviceKey.publicKey,
      announcement,
      envelopes,
    })
    const sealed = sealMessage({ crypto, random, publicKey: sealingKey.key, keyId: sealingKey.id, content })
    if (sealed.ok) return sealed.value
    assert(sealed.error.type !== 'too-large', 'the size of a sealed message is known beforehand')
    this.#context.drop(`seal-${sealed.error.type}`)
    return undefined
  }

  #announcementFor(device: Device, session: Session): Uint8Array {
    if (session.header === undefined) return new Uint8Array(0)
    const announcement = this.#announcement(device)
    // An account of so many devices tells its list on links only.
    return announcement.length > sealedAnnouncementSizeMax ? new Uint8Array(0) : announcement
  }

  #envelope(device: Device, session: Session, item: ParcelItem, cache: EnvelopeCache): Uint8Array {
    const key = keyOf(item)
    const known = cache.get(key)
    if (known) return known
    const created = this.#sessions.seal(session, this.#encode(device, item))
    cache.set(key, created)
    return created
  }

  #encode(device: Device, item: ParcelItem): Uint8Array {
    const { random, now } = this.#context
    const sentAt = Math.round(now.wall)
    switch (item.type) {
      case 'hello': {
        const body = this.#hello(device)
        assert(body !== undefined, 'a contact has a hello')
        return encodeContent({ messageId: item.id, sentAt, body })
      }
      case 'text':
        return encodeText(item.delivery.message, item.after)
      case 'receipts':
        return encodeContent({ messageId: random.bytes(16), sentAt, body: item.batch.body })
      case 'other':
        return encodeContent({ messageId: random.bytes(16), sentAt, body: item.body })
    }
  }
}

/** A text of ours. `after`: the message to that device before it that had no receipt yet. */
export function encodeText(message: OutgoingMessage, after: Uint8Array | undefined): Uint8Array {
  return encodeContent({
    messageId: message.idBytes,
    sentAt: message.sentAt,
    body: { type: 'text', text: message.text, receiptRequested: true },
    ...(after && { after }),
  })
}

function keyOf(item: ParcelItem): string {
  switch (item.type) {
    case 'text':
      return `text ${item.delivery.message.position}`
    case 'receipts':
      return `receipts ${item.batch.stored[0]?.status} ${item.batch.body.reason} ${item.batch.readTo}`
    case 'hello':
      return 'hello'
    case 'other':
      return item.body.type
  }
}
