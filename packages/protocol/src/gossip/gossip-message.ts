import type { Result } from '@miaou/core'
import { assert, ByteReader, ByteWriter, err, ok } from '@miaou/core'
import { signatureSize } from '../signed.ts'
import { type DecodeError, readFlags } from '../structure.ts'

/** What a publisher says to all subscribers of a topic (row E21, spec/gossip G2). */
export interface GossipData {
  readonly type: 'data'
  /** Hops this copy may still make, 0 to 255; 0 is dropped by the receiver (row E23). Not signed. */
  readonly ttl: number
  /** Hops this copy has made, 1 from the publisher, at most 127. Not signed. */
  readonly hops: number
  /** Goes to every neighbour, and the tree follows it (spec/gossip G13). Not signed. */
  readonly renews: boolean
  /** SHA-256 of `gossipBody`, 32 bytes. */
  readonly id: Uint8Array
  /** The publisher's Ed25519 key, 32 bytes. */
  readonly origin: Uint8Array
  /** The publisher's wall clock, ms since the Unix epoch. */
  readonly timestamp: number
  /** u32, tells apart equal payloads of one millisecond. */
  readonly sequence: number
  readonly topic: string
  readonly payload: Uint8Array
  /** Over the id, label `gossip`, 64 bytes. */
  readonly signature: Uint8Array
}

/** One message that the announcer has. `shortId`: the first 16 bytes of its id. `hops`: as the announcer has it. */
export interface GossipAnnouncement {
  readonly shortId: Uint8Array
  readonly hops: number
}

/** A topic its sender wants. `distance`: hops to the nearest subscriber behind the sender, 0 for itself. */
export interface GossipInterest {
  readonly topic: string
  /** 0 to 15, or `undefined` when it is no longer wanted. */
  readonly distance: number | undefined
}

/** Everything that gossip neighbours say to each other (spec/gossip G1). */
export type GossipMessage =
  | GossipData
  /** `isPull`: no push follows, ask at once. */
  | {
      readonly type: 'announce'
      readonly topic: string
      readonly isPull: boolean
      readonly announcements: readonly GossipAnnouncement[]
    }
  /** Push me this topic from now on (`isEager`), and these messages at once. */
  | {
      readonly type: 'graft'
      readonly topic: string
      readonly isEager: boolean
      readonly shortIds: readonly Uint8Array[]
    }
  /** Announce to me instead of pushing. */
  | { readonly type: 'prune'; readonly topic: string }
  /** `isFull`: the whole list, otherwise what changed. */
  | { readonly type: 'topics'; readonly isFull: boolean; readonly interests: readonly GossipInterest[] }
  /** First message on a link. `isJoining`: tell others of me. `isUrgent`: I have no other neighbour. */
  | {
      readonly type: 'hello'
      readonly isJoining: boolean
      readonly isUrgent: boolean
      /** How to reach the sender; undefined when nobody can. */
      readonly hint: Uint8Array | undefined
      readonly interests: readonly GossipInterest[]
    }
  | { readonly type: 'forward-join'; readonly ttl: number; readonly hint: Uint8Array }
  | { readonly type: 'shuffle'; readonly isReply: boolean; readonly hints: readonly Uint8Array[] }
  /** The sender ends the neighbourhood; the hints are others to try. */
  | { readonly type: 'leave'; readonly hints: readonly Uint8Array[] }

/** Spec/gossip G2: first byte of a message. */
export const gossipKinds = {
  data: 1,
  announce: 2,
  graft: 3,
  prune: 4,
  topics: 5,
  hello: 6,
  forwardJoin: 7,
  shuffle: 8,
  leave: 9,
} as const

/** Largest count of hops of a data message (own choice): 7 bits, the highest of its byte is a flag. */
export const gossipHopsMax = 127
const renewsFlag = 0x80

/** Issue 3: most bytes of a whole gossip message. */
export const gossipMessageSizeMax = 65_536
/** Most bytes of a topic (own choice). */
export const gossipTopicSizeMax = 64
/** Most bytes of a hint (interface of the engine). */
export const gossipHintSizeMax = 256
/** Most ids in an announcement or a graft (own choice: 128 × 17 bytes and the rest pass in one 4 KiB bucket). */
export const gossipIdsMax = 128
/** Most topics in one list (own choice). */
export const gossipInterestsMax = 128
/** Most hints in one message (own choice: HyParView's shuffle has 8). */
export const gossipHintsMax = 16
/** Bytes of an id that announcements carry: nobody finds a second message for 128 bits. */
export const gossipShortIdSize = 16
/** Largest distance of an interest (own choice; 4 bits). */
export const gossipDistanceMax = 15

const hopsOffset = 2
const idOffset = 3
const bodyOffset = 35
const topicOffset = 79
const noDistance = 0xff

/** Bytes of a data message beside topic and payload. */
export const gossipDataOverhead: number = topicOffset + 2 + 4 + signatureSize

/** Whether a text may name a topic: 1 to 64 visible ASCII characters. */
export function isGossipTopic(topic: string): boolean {
  return topic.length <= gossipTopicSizeMax && /^[\x21-\x7e]+$/.test(topic)
}

/** How a copy has come, and how it is passed on: what one byte of a data message says. */
export type GossipRoute = Pick<GossipData, 'hops' | 'renews'>

/** What a publisher signs and hashes: `id` and `signature` are made from it. */
export type UnsignedGossipData = Pick<GossipData, 'origin' | 'timestamp' | 'sequence' | 'topic' | 'payload'>

/** The bytes whose SHA-256 is the id: origin, timestamp, sequence, topic and payload. */
export function encodeGossipBody(data: UnsignedGossipData): Uint8Array {
  assert(data.origin.length === 32, 'an origin has 32 bytes')
  assert(isGossipTopic(data.topic), 'a topic has 1 to 64 visible ASCII characters')
  const writer = new ByteWriter(data.payload.length + 128)
  writer.bytes(data.origin).u64(data.timestamp).u32(data.sequence)
  return writer.text16(data.topic).bytes32(data.payload).finish()
}

/** A data message around an encoded body. */
export function encodeGossipData(
  body: Uint8Array,
  envelope: Pick<GossipData, 'ttl' | 'hops' | 'id' | 'signature'> & Partial<GossipRoute>,
): Uint8Array {
  const { ttl, id, signature } = envelope
  assert(id.length === 32 && signature.length === signatureSize, 'an id has 32 bytes and a signature 64')
  const writer = new ByteWriter(bodyOffset + body.length + signatureSize)
  const bytes = writer
    .u8(gossipKinds.data)
    .u8(ttl)
    .u8(hopsByte(envelope))
    .bytes(id)
    .bytes(body)
    .bytes(signature)
    .finish()
  assert(bytes.length <= gossipMessageSizeMax, 'a gossip message has at most 64 KiB')
  return bytes
}

/** The part of an encoded data message that is hashed; a view. Only for bytes that `decodeGossipMessage` accepted. */
export function gossipBody(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(bodyOffset, bytes.length - signatureSize)
}

/** The id inside a data message, as a view, before anything is decoded; undefined when the bytes are none. */
export function peekGossipId(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes[0] !== gossipKinds.data || bytes.length < gossipDataOverhead) return undefined
  return bytes.subarray(idOffset, bodyOffset)
}

/** The topic inside a data message, before anything else is decoded; undefined when it is none. */
export function peekGossipTopic(bytes: Uint8Array): string | undefined {
  if (bytes[0] !== gossipKinds.data || bytes.length < gossipDataOverhead) return undefined
  const size = ((bytes[topicOffset] as number) << 8) | (bytes[topicOffset + 1] as number)
  if (size === 0 || size > gossipTopicSizeMax || topicOffset + 2 + size > bytes.length) return undefined
  let topic = ''
  for (let at = topicOffset + 2; at < topicOffset + 2 + size; at++) topic += String.fromCharCode(bytes[at] as number)
  return topic
}

/** The route of an encoded data message, before anything else is decoded. Only where `peekGossipId` found an id. */
export function peekGossipRoute(bytes: Uint8Array): GossipRoute {
  const byte = bytes[hopsOffset] ?? 0
  return { hops: byte & gossipHopsMax, renews: (byte & renewsFlag) !== 0 }
}

/** A copy of an encoded data message for its next hop. Hops above the largest count as it. */
export function withGossipHop(bytes: Uint8Array, ttl: number, hops: number, renews = false): Uint8Array {
  const copy = bytes.slice()
  copy[1] = ttl
  copy[hopsOffset] = hopsByte({ hops: Math.min(hops, gossipHopsMax), renews })
  return copy
}

function hopsByte({ hops, renews }: Pick<GossipRoute, 'hops'> & Partial<GossipRoute>): number {
  assert(hops <= gossipHopsMax, 'hops have 7 bits')
  return hops | (renews ? renewsFlag : 0)
}

/** Bytes of a message; asserts its bounds. */
export function encodeGossipMessage(message: GossipMessage): Uint8Array {
  switch (message.type) {
    case 'data':
      return encodeGossipData(encodeGossipBody(message), message)
    case 'announce':
      return encodeAnnounce(message)
    case 'graft': {
      assert(message.shortIds.length <= gossipIdsMax, 'a graft asks for at most 128 messages')
      const writer = new ByteWriter(128).u8(gossipKinds.graft).u8(message.isEager ? 1 : 0)
      writer.text16(checkedTopic(message.topic)).u8(message.shortIds.length)
      for (const shortId of message.shortIds) writer.bytes(checkedShortId(shortId))
      return writer.finish()
    }
    case 'prune':
      return new ByteWriter(32).u8(gossipKinds.prune).text16(checkedTopic(message.topic)).finish()
    case 'topics': {
      const writer = new ByteWriter(64).u8(gossipKinds.topics).u8(message.isFull ? 1 : 0)
      return writeInterests(writer, message.interests).finish()
    }
    case 'hello': {
      const { isJoining, isUrgent, hint, interests } = message
      const flags = (isJoining ? 1 : 0) | (isUrgent ? 2 : 0) | (hint === undefined ? 0 : 4)
      const writer = new ByteWriter(128).u8(gossipKinds.hello).u8(flags)
      if (hint !== undefined) writer.bytes16(checkedHint(hint))
      return writeInterests(writer, interests).finish()
    }
    case 'forward-join':
      return new ByteWriter(64).u8(gossipKinds.forwardJoin).u8(message.ttl).bytes16(checkedHint(message.hint)).finish()
    case 'shuffle': {
      const writer = new ByteWriter(256).u8(gossipKinds.shuffle).u8(message.isReply ? 1 : 0)
      return writeHints(writer, message.hints).finish()
    }
    case 'leave':
      return writeHints(new ByteWriter(256).u8(gossipKinds.leave), message.hints).finish()
  }
}

/**
 * The message in `bytes`. Whether id and signature are right is the engine's question: it asks first whether it has
 * seen the message. Never throws; what it returns are copies.
 */
export function decodeGossipMessage(bytes: Uint8Array): Result<GossipMessage, DecodeError> {
  const malformed = err({ type: 'malformed', what: 'gossip message' } as const)
  if (bytes.length > gossipMessageSizeMax) return malformed
  const reader = new ByteReader(bytes)
  const message = readMessage(reader, reader.u8())
  return message !== undefined && reader.finished() ? ok(message) : malformed
}

function readMessage(reader: ByteReader, kind: number): GossipMessage | undefined {
  switch (kind) {
    case gossipKinds.data:
      return readData(reader)
    case gossipKinds.announce:
      return readAnnounce(reader)
    case gossipKinds.graft:
      return readGraft(reader)
    case gossipKinds.prune:
      return { type: 'prune', topic: readTopic(reader) }
    case gossipKinds.topics:
      return { type: 'topics', isFull: readFlags(reader, 1) === 1, interests: readInterests(reader) }
    case gossipKinds.hello:
      return readHello(reader)
    case gossipKinds.forwardJoin:
      return { type: 'forward-join', ttl: reader.u8(), hint: readHint(reader) }
    case gossipKinds.shuffle:
      return { type: 'shuffle', isReply: readFlags(reader, 1) === 1, hints: readHints(reader) }
    case gossipKinds.leave:
      return { type: 'leave', hints: readHints(reader) }
    default:
      return undefined
  }
}

function readData(reader: ByteReader): GossipData {
  const ttl = reader.u8()
  const hops = reader.u8()
  return {
    type: 'data',
    ttl,
    hops: hops & gossipHopsMax,
    renews: (hops & renewsFlag) !== 0,
    id: reader.bytes(32),
    origin: reader.bytes(32),
    timestamp: reader.u64(),
    sequence: reader.u32(),
    topic: readTopic(reader),
    payload: reader.bytes32(gossipMessageSizeMax),
    signature: reader.bytes(signatureSize),
  }
}

function encodeAnnounce(message: Extract<GossipMessage, { type: 'announce' }>): Uint8Array {
  const { topic, isPull, announcements } = message
  assert(announcements.length > 0 && announcements.length <= gossipIdsMax, 'an announcement has 1 to 128 ids')
  const writer = new ByteWriter(128).u8(gossipKinds.announce).u8(isPull ? 1 : 0)
  writer.text16(checkedTopic(topic)).u8(announcements.length)
  for (const { shortId, hops } of announcements) writer.bytes(checkedShortId(shortId)).u8(hops)
  return writer.finish()
}

function readAnnounce(reader: ByteReader): GossipMessage {
  const isPull = readFlags(reader, 1) === 1
  const topic = readTopic(reader)
  const count = readCount(reader, gossipIdsMax)
  if (count === 0) reader.fail()
  const announcements: GossipAnnouncement[] = []
  while (announcements.length < count && !reader.failed) {
    announcements.push({ shortId: reader.bytes(gossipShortIdSize), hops: reader.u8() })
  }
  return { type: 'announce', topic, isPull, announcements }
}

function readGraft(reader: ByteReader): GossipMessage {
  const isEager = readFlags(reader, 1) === 1
  const topic = readTopic(reader)
  const count = readCount(reader, gossipIdsMax)
  const shortIds: Uint8Array[] = []
  while (shortIds.length < count && !reader.failed) shortIds.push(reader.bytes(gossipShortIdSize))
  return { type: 'graft', topic, isEager, shortIds }
}

function readHello(reader: ByteReader): GossipMessage {
  const flags = readFlags(reader, 7)
  const hint = (flags & 4) === 0 ? undefined : readHint(reader)
  const interests = readInterests(reader)
  return { type: 'hello', isJoining: (flags & 1) !== 0, isUrgent: (flags & 2) !== 0, hint, interests }
}

function writeInterests(writer: ByteWriter, interests: readonly GossipInterest[]): ByteWriter {
  assert(interests.length <= gossipInterestsMax, 'a list has at most 128 topics')
  writer.u8(interests.length)
  for (const { topic, distance } of interests) {
    assert(distance === undefined || distance <= gossipDistanceMax, 'a distance has 4 bits')
    writer.text16(checkedTopic(topic)).u8(distance ?? noDistance)
  }
  return writer
}

function readInterests(reader: ByteReader): readonly GossipInterest[] {
  const count = readCount(reader, gossipInterestsMax)
  const interests: GossipInterest[] = []
  while (interests.length < count && !reader.failed) {
    const topic = readTopic(reader)
    const distance = reader.u8()
    if (distance > gossipDistanceMax && distance !== noDistance) reader.fail()
    interests.push({ topic, distance: distance === noDistance ? undefined : distance })
  }
  return interests
}

function writeHints(writer: ByteWriter, hints: readonly Uint8Array[]): ByteWriter {
  assert(hints.length <= gossipHintsMax, 'a message has at most 16 hints')
  writer.u8(hints.length)
  for (const hint of hints) writer.bytes16(checkedHint(hint))
  return writer
}

function readHints(reader: ByteReader): readonly Uint8Array[] {
  const count = readCount(reader, gossipHintsMax)
  const hints: Uint8Array[] = []
  while (hints.length < count && !reader.failed) hints.push(readHint(reader))
  return hints
}

function readHint(reader: ByteReader): Uint8Array {
  const hint = reader.bytes16(gossipHintSizeMax)
  if (hint.length === 0) reader.fail()
  return hint
}

function readTopic(reader: ByteReader): string {
  const topic = reader.text16(gossipTopicSizeMax)
  if (!isGossipTopic(topic)) reader.fail()
  return topic
}

function readCount(reader: ByteReader, countMax: number): number {
  const count = reader.u8()
  if (count > countMax) reader.fail()
  return count
}

function checkedTopic(topic: string): string {
  assert(isGossipTopic(topic), 'a topic has 1 to 64 visible ASCII characters')
  return topic
}

function checkedShortId(shortId: Uint8Array): Uint8Array {
  assert(shortId.length === gossipShortIdSize, 'a short id has 16 bytes')
  return shortId
}

function checkedHint(hint: Uint8Array): Uint8Array {
  assert(hint.length > 0 && hint.length <= gossipHintSizeMax, 'a hint has 1 to 256 bytes')
  return hint
}
