import type { Result } from '@miaou/core'
import { assert, ByteReader, ByteWriter, concatBytes, err, ok } from '@miaou/core'
import { type Crypto, sealedMessageSizeMax, signLabelled, verifyLabelled } from '@miaou/crypto'
import { sealedBundleSizeMax } from '../prekey-document.ts'
import { signatureSize } from '../signed.ts'
import { codeToName, type DecodeError, readFlags, tailSizeMax } from '../structure.ts'
import { deliveryTokenSize, tokenHashSize } from './delivery-token.ts'
import { boxIdSize } from './mailbox-address.ts'
import { readStartMark, type StartMark, writeStartMark } from './start-mark.ts'

/**
 * What a peer and a mailbox say to each other, in `mailboxControl` frames of a link between a pseudonym and the mailbox's
 * service key (spec/mailbox.md). The owner of a box proves it by the pseudonym of its link; everybody else names the box.
 * `request`: u32, chosen by who asks.
 */
export type MailboxMessage =
  /** Owner: keep a box under the id that follows from this link's pseudonym. Envelopes come by themselves from then on. */
  | { readonly type: 'register'; readonly request: number; readonly start: StartMark }
  | {
      readonly type: 'registered'
      readonly request: number
      readonly stock: MailboxStock
      /** Counter of a start that the mailbox saw before and that is later, or another one of the same number. */
      readonly staleSince: number | undefined
      /** The mailbox's wall clock, ms. */
      readonly timestamp: number
    }
  /** Owner: hashes of delivery tokens, at most 2,048; they are added. `reset`: the mailbox forgets those it has first. */
  | {
      readonly type: 'tokens'
      readonly request: number
      readonly reset: boolean
      readonly hashes: readonly Uint8Array[]
    }
  /**
   * Owner: sealed prekey documents, at most 3 for one asker each, and the one for all when those are used up. `reset`: the
   * mailbox drops the one-time ones it has first.
   */
  | {
      readonly type: 'bundles'
      readonly request: number
      readonly reset: boolean
      readonly oneTime: readonly Uint8Array[]
      readonly lastResort: Uint8Array | undefined
    }
  /** To the owner: `tokens` or `bundles` is on disk. */
  | { readonly type: 'done'; readonly request: number; readonly stock: MailboxStock }
  /** To the owner: a sealed message that waited. */
  | {
      readonly type: 'envelope'
      /** Below 2^53; grows within the box. */
      readonly id: number
      /** The mailbox's wall clock, ms. */
      readonly acceptedAt: number
      /** Of the token that paid; undefined for one of the strangers' lane. */
      readonly tokenHash: Uint8Array | undefined
      readonly bytes: Uint8Array
    }
  /** Owner: 1 to 512 envelopes that may be deleted. `signature`: the pseudonym's (`signMailboxAck`). */
  | { readonly type: 'acknowledge'; readonly ids: readonly number[]; readonly signature: Uint8Array }
  /** Owner: the box and all that is in it goes. */
  | { readonly type: 'release' }
  /** `token`: 16 bytes; undefined: by the strangers' lane. `bytes`: a sealed message. */
  | {
      readonly type: 'deposit'
      readonly request: number
      readonly box: Uint8Array
      readonly token: Uint8Array | undefined
      readonly bytes: Uint8Array
    }
  /** It is on disk. `until`, `timestamp`: ms of the mailbox's wall clock, when it goes and what it is now. */
  | { readonly type: 'accepted'; readonly request: number; readonly until: number; readonly timestamp: number }
  | { readonly type: 'refused'; readonly request: number; readonly reason: MailboxRefusal }
  /** What became of what those tokens paid for: 1 to 64. */
  | {
      readonly type: 'check'
      readonly request: number
      readonly box: Uint8Array
      readonly tokens: readonly Uint8Array[]
    }
  /** In the order of the tokens. */
  | { readonly type: 'statuses'; readonly request: number; readonly statuses: readonly MailboxTokenStatus[] }
  | { readonly type: 'take-bundle'; readonly request: number; readonly box: Uint8Array }
  /** A sealed prekey document; undefined: there is none. */
  | { readonly type: 'bundle'; readonly request: number; readonly bytes: Uint8Array | undefined }

/** What a mailbox has for its owner, each a u32. */
export interface MailboxStock {
  /** Not spent yet. */
  readonly tokens: number
  readonly oneTimeBundles: number
  readonly hasLastResort: boolean
  /** Envelopes that wait. */
  readonly waiting: number
}

/** `held`: it waits for its owner. `taken`: the owner acknowledged it. `unknown`: not spent, or long ago, or never known. */
export type MailboxTokenStatus = keyof typeof mailboxTokenStatuses

export type MailboxRefusal =
  /** Not one of those that the owner gave the mailbox, or used up long ago. */
  | 'token-unknown'
  /** Something else was left with it. */
  | 'token-spent'
  /** The box, its strangers' lane, the disk, or boxes in all. */
  | 'full'
  /** Nobody keeps that box here; for the owner: not registered on this link. */
  | 'no-box'
  | 'busy'
  /** More than this mailbox takes. */
  | 'too-large'

/** First byte of a message (spec/mailbox MB2). */
export const mailboxMessageKinds = {
  register: 1,
  registered: 2,
  tokens: 3,
  bundles: 4,
  done: 5,
  envelope: 6,
  acknowledge: 7,
  release: 8,
  deposit: 9,
  accepted: 10,
  refused: 11,
  check: 12,
  statuses: 13,
  'take-bundle': 14,
  bundle: 15,
} as const

/** Reason byte of `refused`; one that only a newer mailbox knows reads as `busy`. */
export const mailboxRefusals = {
  'token-unknown': 1,
  'token-spent': 2,
  full: 3,
  'no-box': 4,
  busy: 5,
  'too-large': 6,
} as const

/** Status byte of a token; one that only a newer mailbox knows reads as `unknown`. */
export const mailboxTokenStatuses = { held: 1, taken: 2, unknown: 3 } as const

/** Envelopes that a mailbox sends its owner before the first is acknowledged, and their bytes: one at least (own choice). */
export const mailboxWindow = { envelopes: 256, bytes: 524_288 } as const
/** Hashes in one `tokens` (own choice: half a frame). */
export const mailboxTokensPerMessage = 2_048
/** One-time documents in one `bundles` (own choice: what fits a frame beside the last resort, each as large as it gets). */
export const mailboxBundlesPerMessage = 3
/** Envelopes in one `acknowledge` (own choice: two windows). */
export const mailboxAckIdsMax = 512
/** Tokens in one `check` (own choice: the window of a contact). */
export const mailboxCheckTokensMax = 64
/** Largest message: a `deposit` with a token and the largest sealed message, and a tail. */
export const mailboxMessageSizeMax = 65_384

const ackLabel = 'mailbox-ack'
const stockFlags = { hasLastResort: 1, isStale: 2 } as const
const supplyFlags = { reset: 1, lastResort: 2 } as const
const flagToken = 1
const flagBundle = 1

/** What the pseudonym signs to have envelopes deleted: box ‖ count u16 ‖ ids u64. */
export function mailboxAckBytes(box: Uint8Array, ids: readonly number[]): Uint8Array {
  assert(box.length === boxIdSize, 'a box id has 16 bytes')
  const writer = new ByteWriter(18 + 8 * ids.length).bytes(box).u16(ids.length)
  for (const id of ids) writer.u64(id)
  return writer.finish()
}

/** 64 bytes. `secretKey`: the Ed25519 seed of the pseudonym that keeps the box. */
export function signMailboxAck(
  crypto: Crypto,
  secretKey: Uint8Array,
  box: Uint8Array,
  ids: readonly number[],
): Uint8Array {
  return signLabelled(crypto, ackLabel, mailboxAckBytes(box, ids), secretKey)
}

/** Whether the pseudonym (`key`: 32 bytes) that keeps the box signed the deletion of these. */
export function verifyMailboxAck(
  crypto: Crypto,
  key: Uint8Array,
  box: Uint8Array,
  { ids, signature }: { readonly ids: readonly number[]; readonly signature: Uint8Array },
): boolean {
  return verifyLabelled(crypto, ackLabel, mailboxAckBytes(box, ids), signature, key)
}

/** Bytes of a message, at most `mailboxMessageSizeMax` − 64. Asserts what a caller of ours can get wrong. */
export function encodeMailboxMessage(message: MailboxMessage): Uint8Array {
  const writer = new ByteWriter(64).u8(mailboxMessageKinds[message.type])
  if (message.type === 'release') return writer.finish()
  if (message.type === 'envelope') return writeEnvelope(writer, message).finish()
  if (message.type === 'acknowledge') return writeAcknowledge(writer, message).finish()
  writer.u32(message.request)
  switch (message.type) {
    case 'register':
      return writeStartMark(writer, message.start).finish()
    case 'registered': {
      const { stock, staleSince, timestamp } = message
      writeStock(writer, stock, staleSince !== undefined).u64(timestamp)
      return (staleSince === undefined ? writer : writer.u64(staleSince)).finish()
    }
    case 'done':
      return writeStock(writer, message.stock).finish()
    case 'tokens':
      assert(message.hashes.length <= mailboxTokensPerMessage, 'a message has few hashes')
      writer.u8(message.reset ? supplyFlags.reset : 0).u16(message.hashes.length)
      return writeAll(writer, message.hashes, tokenHashSize).finish()
    case 'bundles':
      return writeBundles(writer, message).finish()
    case 'deposit': {
      const { box, token, bytes } = message
      assert(box.length === boxIdSize && bytes.length <= sealedMessageSizeMax, 'a box and a sealed message')
      writeOptional(writer.bytes(box), token, deliveryTokenSize)
      return writer.bytes16(bytes).finish()
    }
    case 'accepted':
      return writer.u64(message.until).u64(message.timestamp).finish()
    case 'refused':
      return writer.u8(mailboxRefusals[message.reason]).finish()
    case 'check': {
      const { box, tokens } = message
      assert(box.length === boxIdSize, 'a box id has 16 bytes')
      assert(tokens.length > 0 && tokens.length <= mailboxCheckTokensMax, 'a message asks for 1 to 64 tokens')
      return writeAll(writer.bytes(box).u8(tokens.length), tokens, deliveryTokenSize).finish()
    }
    case 'statuses':
      assert(message.statuses.length <= mailboxCheckTokensMax, 'a message has few statuses')
      writer.u8(message.statuses.length)
      for (const status of message.statuses) writer.u8(mailboxTokenStatuses[status])
      return writer.finish()
    case 'take-bundle':
      assert(message.box.length === boxIdSize, 'a box id has 16 bytes')
      return writer.bytes(message.box).finish()
    case 'bundle':
      return writeBundle(writer, message.bytes).finish()
  }
}

/** The message in `bytes`. Never throws; the bytes in it are copies. */
export function decodeMailboxMessage(bytes: Uint8Array): Result<MailboxMessage, DecodeError> {
  const malformed = err({ type: 'malformed', what: 'mailbox message' } as const)
  if (bytes.length > mailboxMessageSizeMax) return malformed
  const reader = new ByteReader(bytes)
  const message = readMessage(reader, codeToName(mailboxMessageKinds, reader.u8()))
  reader.rest(tailSizeMax)
  return message !== undefined && reader.finished() ? ok(message) : malformed
}

function readMessage(reader: ByteReader, type: MailboxMessage['type'] | undefined): MailboxMessage | undefined {
  if (type === undefined || type === 'release') return type && { type }
  if (type === 'envelope') return readEnvelope(reader)
  if (type === 'acknowledge') return readAcknowledge(reader)
  const request = reader.u32()
  switch (type) {
    case 'register':
      return { type, request, start: readStartMark(reader) }
    case 'registered': {
      const { stock, isStale } = readStock(reader)
      const timestamp = reader.u64()
      return { type, request, stock, staleSince: isStale ? reader.u64() : undefined, timestamp }
    }
    case 'done': {
      const { stock, isStale } = readStock(reader)
      if (isStale) reader.fail()
      return { type, request, stock }
    }
    case 'tokens': {
      const reset = readFlags(reader, supplyFlags.reset) !== 0
      const count = reader.u16()
      if (count > mailboxTokensPerMessage) reader.fail()
      return { type, request, reset, hashes: readAll(reader, count, tokenHashSize) }
    }
    case 'bundles':
      return readBundles(reader, request)
    case 'deposit': {
      const box = reader.bytes(boxIdSize)
      const token = readOptional(reader, deliveryTokenSize)
      return { type, request, box, token, bytes: readFilled(reader, sealedMessageSizeMax) }
    }
    case 'accepted':
      return { type, request, until: reader.u64(), timestamp: reader.u64() }
    case 'refused':
      return { type, request, reason: codeToName(mailboxRefusals, reader.u8()) ?? 'busy' }
    case 'check': {
      const box = reader.bytes(boxIdSize)
      const count = reader.u8()
      if (count === 0 || count > mailboxCheckTokensMax) reader.fail()
      return { type, request, box, tokens: readAll(reader, count, deliveryTokenSize) }
    }
    case 'statuses': {
      const count = reader.u8()
      if (count === 0 || count > mailboxCheckTokensMax) reader.fail()
      const statuses: MailboxTokenStatus[] = []
      while (statuses.length < count && !reader.failed) {
        statuses.push(codeToName(mailboxTokenStatuses, reader.u8()) ?? 'unknown')
      }
      return { type, request, statuses }
    }
    case 'take-bundle':
      return { type, request, box: reader.bytes(boxIdSize) }
    case 'bundle': {
      const has = readFlags(reader, flagBundle) !== 0
      return { type, request, bytes: has ? readFilled(reader, sealedBundleSizeMax) : undefined }
    }
  }
}

type Part<Type extends MailboxMessage['type']> = Extract<MailboxMessage, { type: Type }>

function writeEnvelope(writer: ByteWriter, { id, acceptedAt, tokenHash, bytes }: Part<'envelope'>): ByteWriter {
  assert(bytes.length > 0 && bytes.length <= sealedMessageSizeMax, 'a sealed message is bounded')
  return writeOptional(writer.u64(id).u64(acceptedAt), tokenHash, tokenHashSize).bytes16(bytes)
}

function readEnvelope(reader: ByteReader): Part<'envelope'> {
  const [id, acceptedAt] = [reader.u64(), reader.u64()]
  const tokenHash = readOptional(reader, tokenHashSize)
  return { type: 'envelope', id, acceptedAt, tokenHash, bytes: readFilled(reader, sealedMessageSizeMax) }
}

function writeAcknowledge(writer: ByteWriter, { ids, signature }: Part<'acknowledge'>): ByteWriter {
  assert(ids.length > 0 && ids.length <= mailboxAckIdsMax, 'an acknowledgement names 1 to 512 envelopes')
  assert(signature.length === signatureSize, 'a signature has 64 bytes')
  writer.u16(ids.length)
  for (const id of ids) writer.u64(id)
  return writer.bytes(signature)
}

function readAcknowledge(reader: ByteReader): Part<'acknowledge'> {
  const count = reader.u16()
  if (count === 0 || count > mailboxAckIdsMax) reader.fail()
  const ids: number[] = []
  while (ids.length < count && !reader.failed) ids.push(reader.u64())
  return { type: 'acknowledge', ids, signature: reader.bytes(signatureSize) }
}

function writeBundles(writer: ByteWriter, { reset, oneTime, lastResort }: Part<'bundles'>): ByteWriter {
  assert(oneTime.length <= mailboxBundlesPerMessage, 'a message has few documents')
  const flags = (reset ? supplyFlags.reset : 0) | (lastResort === undefined ? 0 : supplyFlags.lastResort)
  writer.u8(flags).u8(oneTime.length)
  for (const bytes of lastResort === undefined ? oneTime : [...oneTime, lastResort]) {
    assert(bytes.length > 0 && bytes.length <= sealedBundleSizeMax, 'a sealed document is bounded')
    writer.bytes16(bytes)
  }
  return writer
}

function readBundles(reader: ByteReader, request: number): Part<'bundles'> {
  const flags = readFlags(reader, supplyFlags.reset | supplyFlags.lastResort)
  const count = reader.u8()
  if (count > mailboxBundlesPerMessage) reader.fail()
  const oneTime: Uint8Array[] = []
  while (oneTime.length < count && !reader.failed) oneTime.push(readFilled(reader, sealedBundleSizeMax))
  const lastResort = flags & supplyFlags.lastResort ? readFilled(reader, sealedBundleSizeMax) : undefined
  return { type: 'bundles', request, reset: (flags & supplyFlags.reset) !== 0, oneTime, lastResort }
}

function writeBundle(writer: ByteWriter, bytes: Uint8Array | undefined): ByteWriter {
  if (bytes === undefined) return writer.u8(0)
  assert(bytes.length > 0 && bytes.length <= sealedBundleSizeMax, 'a sealed document is bounded')
  return writer.u8(flagBundle).bytes16(bytes)
}

function writeStock(writer: ByteWriter, stock: MailboxStock, isStale = false): ByteWriter {
  const { tokens, oneTimeBundles, hasLastResort, waiting } = stock
  const flags = (hasLastResort ? stockFlags.hasLastResort : 0) | (isStale ? stockFlags.isStale : 0)
  return writer.u8(flags).u32(tokens).u32(oneTimeBundles).u32(waiting)
}

function readStock(reader: ByteReader): { readonly stock: MailboxStock; readonly isStale: boolean } {
  const flags = readFlags(reader, stockFlags.hasLastResort | stockFlags.isStale)
  const [tokens, oneTimeBundles, waiting] = [reader.u32(), reader.u32(), reader.u32()]
  const stock = { tokens, oneTimeBundles, hasLastResort: (flags & stockFlags.hasLastResort) !== 0, waiting }
  return { stock, isStale: (flags & stockFlags.isStale) !== 0 }
}

/** A flags byte and, with flag 1, so many bytes. */
function writeOptional(writer: ByteWriter, bytes: Uint8Array | undefined, size: number): ByteWriter {
  assert((bytes?.length ?? size) === size, 'a token or its hash has 16 bytes')
  return bytes === undefined ? writer.u8(0) : writer.u8(flagToken).bytes(bytes)
}

function readOptional(reader: ByteReader, size: number): Uint8Array | undefined {
  return readFlags(reader, flagToken) === 0 ? undefined : reader.bytes(size)
}

/** Bytes behind a u16 size: what nobody would send empty. */
function readFilled(reader: ByteReader, sizeMax: number): Uint8Array {
  const bytes = reader.bytes16(sizeMax)
  if (bytes.length === 0) reader.fail()
  return bytes
}

function writeAll(writer: ByteWriter, all: readonly Uint8Array[], size: number): ByteWriter {
  assert(
    all.every(({ length }) => length === size),
    'tokens and their hashes have 16 bytes',
  )
  return writer.bytes(concatBytes(...all))
}

function readAll(reader: ByteReader, count: number, size: number): Uint8Array[] {
  const all: Uint8Array[] = []
  while (all.length < count && !reader.failed) all.push(reader.bytes(size))
  return all
}
