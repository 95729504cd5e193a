import type { Result } from '@miaou/core'
import { assert, ByteReader, ByteWriter, err, ok, textToBytes } from '@miaou/core'
import { readName, writeName } from './name.ts'
import {
  codeToName,
  type DecodeError,
  decodeStructure,
  readFlags,
  startStructure,
  writeExtensions,
} from './structure.ts'

export type ReceiptStatus = 'delivered' | 'read' | 'refused'
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
  /** First words between two accounts. `hintKey`: 32 bytes. `inviteToken`: 16 bytes. */
  | {
      readonly type: 'hello'
      readonly name: string
      readonly hintKey: Uint8Array
      readonly inviteToken?: Uint8Array
      readonly accepted: boolean
    }
  /** A kind that only a newer peer knows: counted and answered, never an error. */
  | { readonly type: 'unknown'; readonly tag: number }

/** The plaintext inside a ratchet message (spec/messages M14). */
export interface Content {
  /** 16 bytes. */
  readonly messageId: Uint8Array
  /** Wall-clock ms of the sender. */
  readonly sentAt: number
  readonly body: ContentBody
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
export const contentTags = { text: 1, receipt: 2, hello: 3 } as const
/** Status byte of a receipt. */
export const receiptStatuses = { delivered: 1, read: 2, refused: 3 } as const
/** Reason byte of a refusal; 0 for none. A reason that only a newer peer knows reads as none. */
export const refusalReasons = { 'request-pending': 1, blocked: 2, unsupported: 3, 'too-old': 4 } as const

const flagReceiptRequested = 1
const helloFlags = { inviteToken: 1, accepted: 2 } as const

export function encodeContent(content: Content): Uint8Array {
  const { messageId, sentAt, body } = content
  assert(messageId.length === 16, 'a message id has 16 bytes')
  const tag = body.type === 'unknown' ? body.tag : contentTags[body.type]
  const writer = startStructure().bytes(messageId).u64(sentAt).u8(tag).bytes16(encodeBody(body))
  return writeExtensions(writer).finish()
}

export function decodeContent(bytes: Uint8Array): Result<Content, DecodeError> {
  const decoded = decodeStructure({ what: 'content', sizeMax: contentSizeMax, read: readParts }, bytes)
  if (!decoded.ok) return decoded
  const { messageId, sentAt, tag, bodyBytes } = decoded.value.value
  const reader = new ByteReader(bodyBytes)
  const body = readBody(reader, tag)
  if (body.type !== 'unknown' && !reader.finished()) return err({ type: 'malformed', what: `content ${body.type}` })
  return ok({ messageId, sentAt, body })
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
