import type { Result } from '@miaou/core'
import { assert, ByteReader, ByteWriter, bytesToText, err, ok, textToBytes } from '@miaou/core'
import { decodeStartMark, encodeStartMark, type SignedStartMark } from './mailbox/start-mark.ts'
import { readName, writeName } from './name.ts'
import { sealingKeySize } from './prekey-bundle.ts'
import { deviceRecordSizeMax } from './records/device-record.ts'
import {
  codeToName,
  type DecodeError,
  decodeStructure,
  type Extension,
  readFlags,
  startStructure,
  writeExtensions,
} from './structure.ts'

/** `missing`: not an end; send those messages again now. */
export type ReceiptStatus = 'delivered' | 'read' | 'refused' | 'missing'
export type RefusalReason = 'request-pending' | 'blocked' | 'unsupported' | 'too-old'

export type ContentBody =
  | { readonly type: 'text'; readonly text: string; readonly receiptRequested: boolean }
  /** 1 to 512 ids of 16 bytes. `reason` only where the status is `refused`. */
  | {
      readonly type: 'receipt'
      readonly status: ReceiptStatus
      readonly reason?: RefusalReason
      readonly messageIds: readonly Uint8Array[]
    }
  | Hello
  /** Cover traffic: dropped in silence. `size`: bytes of nothing, at most `contentBodySizeMax`. */
  | { readonly type: 'cover'; readonly size: number }
  /** A kind that only a newer peer knows: counted and answered, never an error. */
  | { readonly type: 'unknown'; readonly tag: number }

/** First words between two accounts, and what changed of them since. */
export interface Hello {
  readonly type: 'hello'
  readonly name: string
  /** 32 bytes. */
  readonly hintKey: Uint8Array
  /** 16 bytes. */
  readonly inviteToken?: Uint8Array
  readonly accepted: boolean
  /** 32 bytes: from which the receiver's delivery tokens for the sender's boxes follow (spec/mailbox MB20). */
  readonly depositSecret?: Uint8Array
  /** 32 bytes: where the sender's records are found. */
  readonly locatorKey?: Uint8Array
  /** Signed by the sender's device, 1 to 844 bytes. Not verified here. */
  readonly deviceRecord?: Uint8Array
  /** `id`: u32. `key`: X-Wing, 1,216 bytes: what sealed messages to the sender are sealed for. */
  readonly sealingKey?: { readonly id: number; readonly key: Uint8Array }
  /** Shown with the request, 1 to 280 characters; empty ones are not sent. */
  readonly note?: string
  /** Of the sender's present start. Not verified here. */
  readonly startMark?: SignedStartMark
  /** A later start of the receiver than the one it told of. Not verified here. */
  readonly laterMark?: SignedStartMark
}

/** The plaintext inside a ratchet message (spec/messages M14). */
export interface Content {
  /** 16 bytes. */
  readonly messageId: Uint8Array
  /** Wall-clock ms of the sender. */
  readonly sentAt: number
  readonly body: ContentBody
  /** 16 bytes: id of the message to that device before this one, when its receipt had not come yet. */
  readonly after?: Uint8Array
}

/** Most UTF-8 bytes of a text: half an envelope, so that a first message fits with all its headers. */
export const textSizeMax = 32_768
/** Most messages one receipt covers. */
export const receiptIdsMax = 512
/** Most bytes of a body, known or not: below what a ratchet message in an envelope holds. */
export const contentBodySizeMax = 57_344
/** Most bytes of a content. */
export const contentSizeMax = 61_440
/** Tag byte of a body. */
export const contentTags = { text: 1, receipt: 2, hello: 3, cover: 4 } as const
/** Tags of the extensions of a content; all but the first stand with a hello only. */
export const contentExtensionTags = {
  after: 1,
  depositSecret: 2,
  locatorKey: 3,
  deviceRecord: 4,
  sealingKey: 5,
  note: 6,
  startMark: 7,
  laterMark: 8,
} as const
/** Characters of a note (own choice: as a short post). */
export const noteLengthMax = 280
/** Status byte of a receipt. */
export const receiptStatuses = { delivered: 1, read: 2, refused: 3, missing: 4 } as const
/** Reason byte of a refusal; 0 for none. A reason that only a newer peer knows reads as none. */
export const refusalReasons = { 'request-pending': 1, blocked: 2, unsupported: 3, 'too-old': 4 } as const

const flagReceiptRequested = 1
const helloFlags = { inviteToken: 1, accepted: 2 } as const

export function encodeContent(content: Content): Uint8Array {
  const { messageId, sentAt, body, after } = content
  assert(messageId.length === 16, 'a message id has 16 bytes')
  const tag = body.type === 'unknown' ? body.tag : contentTags[body.type]
  const writer = startStructure().bytes(messageId).u64(sentAt).u8(tag).bytes16(encodeBody(body))
  assert((after?.length ?? 16) === 16, 'a message id has 16 bytes')
  const first = after === undefined ? [] : [{ tag: contentExtensionTags.after, bytes: after }]
  return writeExtensions(writer, body.type === 'hello' ? [...first, ...packHello(body)] : first).finish()
}

export function decodeContent(bytes: Uint8Array): Result<Content, DecodeError> {
  const knownTags = Object.values(contentExtensionTags)
  const decoded = decodeStructure({ what: 'content', sizeMax: contentSizeMax, read: readParts, knownTags }, bytes)
  if (!decoded.ok) return decoded
  const { messageId, sentAt, tag, bodyBytes } = decoded.value.value
  const reader = new ByteReader(bodyBytes)
  const body = readBody(reader, tag)
  if (body.type !== 'unknown' && !reader.finished()) return err({ type: 'malformed', what: `content ${body.type}` })
  const { extensions } = decoded.value
  const after = bytesOf(extensions, contentExtensionTags.after)
  if (after !== undefined && after.length !== 16) return err({ type: 'malformed', what: 'content' })
  const whole = body.type === 'hello' ? unpackHello(body, extensions) : body
  if (whole === undefined) return err({ type: 'malformed', what: 'content hello' })
  return ok({ messageId, sentAt, body: whole, ...(after && { after }) })
}

function readParts(reader: ByteReader): {
  readonly messageId: Uint8Array
  readonly sentAt: number
  readonly tag: number
  readonly bodyBytes: Uint8Array
} {
  const messageId = reader.bytes(16)
  const sentAt = reader.u64()
  const tag = reader.u8()
  return { messageId, sentAt, tag, bodyBytes: reader.bytes16(contentBodySizeMax) }
}

function encodeBody(body: ContentBody): Uint8Array {
  const writer = new ByteWriter(256)
  switch (body.type) {
    case 'text': {
      const text = textToBytes(body.text)
      assert(text.length <= textSizeMax, 'a text is bounded')
      return writer
        .u8(body.receiptRequested ? flagReceiptRequested : 0)
        .bytes16(text)
        .finish()
    }
    case 'receipt': {
      const { status, reason, messageIds } = body
      assert(messageIds.length > 0 && messageIds.length <= receiptIdsMax, 'a receipt covers 1 to 512 messages')
      assert(reason === undefined || status === 'refused', 'only a refusal has a reason')
      writer
        .u8(receiptStatuses[status])
        .u8(reason === undefined ? 0 : refusalReasons[reason])
        .u16(messageIds.length)
      for (const id of messageIds) {
        assert(id.length === 16, 'a message id has 16 bytes')
        writer.bytes(id)
      }
      return writer.finish()
    }
    case 'hello': {
      const { inviteToken, hintKey } = body
      assert(hintKey.length === 32 && (inviteToken?.length ?? 16) === 16, 'a hint key has 32 bytes, a token 16')
      const flags = (inviteToken === undefined ? 0 : helloFlags.inviteToken) | (body.accepted ? helloFlags.accepted : 0)
      writeName(writer.u8(flags), body.name).bytes(hintKey)
      return (inviteToken === undefined ? writer : writer.bytes(inviteToken)).finish()
    }
    case 'cover':
      assert(body.size <= contentBodySizeMax, 'a body is bounded')
      return new Uint8Array(body.size)
    case 'unknown':
      return writer.finish()
  }
}

function readBody(reader: ByteReader, tag: number): ContentBody {
  switch (tag) {
    case contentTags.text: {
      const receiptRequested = readFlags(reader, flagReceiptRequested) === flagReceiptRequested
      return { type: 'text', text: reader.text16(textSizeMax), receiptRequested }
    }
    case contentTags.receipt:
      return readReceipt(reader)
    case contentTags.hello: {
      const flags = readFlags(reader, helloFlags.inviteToken | helloFlags.accepted)
      const name = readName(reader)
      const hintKey = reader.bytes(32)
      const inviteToken = flags & helloFlags.inviteToken ? reader.bytes(16) : undefined
      const accepted = (flags & helloFlags.accepted) !== 0
      return { type: 'hello', name, hintKey, ...(inviteToken && { inviteToken }), accepted }
    }
    case contentTags.cover:
      return { type: 'cover', size: reader.rest(contentBodySizeMax).length }
    default:
      return { type: 'unknown', tag }
  }
}

function readReceipt(reader: ByteReader): ContentBody {
  const status = codeToName(receiptStatuses, reader.u8())
  const reasonCode = reader.u8()
  const reason = codeToName(refusalReasons, reasonCode)
  const count = reader.u16()
  if (status === undefined || (reasonCode !== 0 && status !== 'refused')) reader.fail()
  if (count === 0 || count > receiptIdsMax) reader.fail()
  const messageIds: Uint8Array[] = []
  while (messageIds.length < count && !reader.failed) messageIds.push(reader.bytes(16))
  return { type: 'receipt', status: status ?? 'refused', ...(reason && { reason }), messageIds }
}

/** Whether a text may go with a hello: 1 to 280 characters (code points), well-formed. */
export function isNote(note: string): boolean {
  const length = [...note].length
  return length > 0 && length <= noteLengthMax && note.isWellFormed()
}

/** What a hello has beside its body: extensions, so that who knows none of them still reads it. */
function packHello(hello: Hello): Extension[] {
  const { depositSecret, locatorKey, deviceRecord, sealingKey, note, startMark, laterMark } = hello
  for (const key of [depositSecret, locatorKey]) assert((key?.length ?? 32) === 32, 'keys and secrets have 32 bytes')
  assert(isRecordSize(deviceRecord?.length ?? 1), 'a device record is bounded')
  assert((sealingKey?.key.length ?? sealingKeySize) === sealingKeySize, 'an X-Wing public key has 1216 bytes')
  assert(note === undefined || isNote(note), 'a note is checked before it is written')
  const tags = contentExtensionTags
  const sealing = sealingKey && new ByteWriter(4 + sealingKeySize).u32(sealingKey.id).bytes(sealingKey.key).finish()
  const packed = [
    { tag: tags.depositSecret, bytes: depositSecret },
    { tag: tags.locatorKey, bytes: locatorKey },
    { tag: tags.deviceRecord, bytes: deviceRecord },
    { tag: tags.sealingKey, bytes: sealing },
    { tag: tags.note, bytes: note === undefined ? undefined : textToBytes(note) },
    { tag: tags.startMark, bytes: startMark && encodeStartMark(startMark) },
    { tag: tags.laterMark, bytes: laterMark && encodeStartMark(laterMark) },
  ]
  return packed.flatMap(({ tag, bytes }) => (bytes === undefined ? [] : [{ tag, bytes }]))
}

/** `hello` with what its extensions say; undefined where one of them breaks its rule. */
function unpackHello(hello: Hello, extensions: readonly Extension[]): Hello | undefined {
  const tags = contentExtensionTags
  const depositSecret = bytesOf(extensions, tags.depositSecret)
  const locatorKey = bytesOf(extensions, tags.locatorKey)
  if ((depositSecret?.length ?? 32) !== 32 || (locatorKey?.length ?? 32) !== 32) return undefined
  const deviceRecord = bytesOf(extensions, tags.deviceRecord)
  if (!isRecordSize(deviceRecord?.length ?? 1)) return undefined
  const sealingBytes = bytesOf(extensions, tags.sealingKey)
  if ((sealingBytes?.length ?? 4 + sealingKeySize) !== 4 + sealingKeySize) return undefined
  const sealingReader = sealingBytes && new ByteReader(sealingBytes)
  const sealingKey = sealingReader && { id: sealingReader.u32(), key: sealingReader.bytes(sealingKeySize) }
  const noteBytes = bytesOf(extensions, tags.note)
  const note = noteBytes && bytesToText(noteBytes)
  if (noteBytes !== undefined && (note === undefined || !isNote(note))) return undefined
  const startBytes = bytesOf(extensions, tags.startMark)
  const startMark = startBytes && decodeStartMark(startBytes)
  const laterBytes = bytesOf(extensions, tags.laterMark)
  const laterMark = laterBytes && decodeStartMark(laterBytes)
  if ((startBytes && !startMark) || (laterBytes && !laterMark)) return undefined
  return {
    ...hello,
    ...(depositSecret && { depositSecret }),
    ...(locatorKey && { locatorKey }),
    ...(deviceRecord && { deviceRecord }),
    ...(sealingKey && { sealingKey }),
    ...(note !== undefined && { note }),
    ...(startMark && { startMark }),
    ...(laterMark && { laterMark }),
  }
}

function isRecordSize(size: number): boolean {
  return size > 0 && size <= deviceRecordSizeMax
}

function bytesOf(extensions: readonly Extension[], tag: number): Uint8Array | undefined {
  return extensions.find((extension) => extension.tag === tag)?.bytes
}
