import { assert, bytesToText, err, ok, type Result, textToBytes } from '@miaou/core'
import { type Endpoint, packEndpoint, unpackEndpoint } from '../overlay/endpoint.ts'
import { crc32 } from './crc32.ts'

/** RFC 8489 §5. */
export type StunClass = 'request' | 'indication' | 'success' | 'error'

/** One attribute as it stands in a message: a type (u16) and its value without padding. */
export interface StunAttribute {
  readonly type: number
  readonly value: Uint8Array
}

/** A STUN message (RFC 8489 §5), attributes in the order of the wire, FINGERPRINT left out. */
export interface StunMessage {
  readonly class: StunClass
  /** 12 bits. */
  readonly method: number
  /** 12 bytes. */
  readonly transaction: Uint8Array
  readonly attributes: readonly StunAttribute[]
  /** Whether a FINGERPRINT closes the message; one that is wrong makes it malformed. */
  readonly hasFingerprint: boolean
}

export type StunError = { readonly type: 'malformed'; readonly what: 'STUN message' }

/** RFC 8489 §18.2, RFC 8656 §18. */
export const stunMethods = { binding: 1, allocate: 3, refresh: 4 } as const

/** RFC 8489 §18.3, RFC 5780 §7, RFC 8656 §18. */
export const stunAttributes = {
  mappedAddress: 0x0001,
  changeRequest: 0x0003,
  username: 0x0006,
  messageIntegrity: 0x0008,
  errorCode: 0x0009,
  unknownAttributes: 0x000a,
  lifetime: 0x000d,
  realm: 0x0014,
  nonce: 0x0015,
  xorRelayedAddress: 0x0016,
  requestedTransport: 0x0019,
  xorMappedAddress: 0x0020,
  software: 0x8022,
  fingerprint: 0x8028,
  responseOrigin: 0x802b,
  otherAddress: 0x802c,
} as const

export const stunHeaderSize = 20
export const stunTransactionSize = 12
/** Largest message read, in bytes: the smallest MTU of IPv6 (RFC 8489 §6.1). */
export const stunMessageSizeMax = 1280
/** Attributes of one message. Guess: answers have fewer than 10. */
export const stunAttributesMax = 32
/** Error reasons and software names, in characters, as they are shown. RFC 8489 §14.8: fewer than 128. */
export const stunTextLengthMax = 127

const magicCookie = 0x2112a442
/** What the fingerprint is XORed with (RFC 8489 §14.7). */
const fingerprintMask = 0x5354554e
const fingerprintSize = 8
const malformed: Result<never, StunError> = err({ type: 'malformed', what: 'STUN message' })
const classes: readonly StunClass[] = ['request', 'indication', 'success', 'error']

/** Whether a datagram could be STUN (RFC 8489 §5): two zero bits and the magic cookie. For sockets of many uses. */
export function looksLikeStun(bytes: Uint8Array): boolean {
  return bytes.length >= stunHeaderSize && (bytes[0] as number) < 0x40 && readU32(bytes, 4) === magicCookie
}

/**
 * The message in `bytes`, which hold nothing else. Never throws; values are copies. Classic STUN (RFC 3489, without the
 * magic cookie) is malformed. What the attributes hold is not judged here.
 */
export function decodeStunMessage(bytes: Uint8Array): Result<StunMessage, StunError> {
  if (bytes.length > stunMessageSizeMax || !looksLikeStun(bytes)) return malformed
  const size = readU16(bytes, 2)
  if (size % 4 !== 0 || stunHeaderSize + size !== bytes.length) return malformed
  const code = readU16(bytes, 0)
  const attributes: StunAttribute[] = []
  let hasFingerprint = false
  for (let at = stunHeaderSize; at < bytes.length; ) {
    // FINGERPRINT is the last attribute.
    if (hasFingerprint || bytes.length - at < 4) return malformed
    const type = readU16(bytes, at)
    const valueSize = readU16(bytes, at + 2)
    const next = at + 4 + padded(valueSize)
    if (next > bytes.length) return malformed
    if (type === stunAttributes.fingerprint) {
      if (valueSize !== 4 || readU32(bytes, at + 4) !== fingerprintOf(bytes, at)) return malformed
      hasFingerprint = true
    } else {
      if (attributes.length === stunAttributesMax) return malformed
      // Not `slice`: that of a Buffer shares memory.
      attributes.push({ type, value: Uint8Array.from(bytes.subarray(at + 4, at + 4 + valueSize)) })
    }
    at = next
  }
  return ok({
    class: classes[((code >> 7) & 2) | ((code >> 4) & 1)] as StunClass,
    method: (code & 0x000f) | ((code & 0x00e0) >> 1) | ((code & 0x3e00) >> 2),
    transaction: Uint8Array.from(bytes.subarray(8, stunHeaderSize)),
    attributes,
    hasFingerprint,
  })
}

/** Asserts sizes: a message of ours keeps to `stunMessageSizeMax` and `stunAttributesMax`. */
export function encodeStunMessage(message: StunMessage): Uint8Array {
  const { method, transaction, attributes, hasFingerprint } = message
  assert(transaction.length === stunTransactionSize, 'a transaction has 12 bytes')
  assert(method >= 0 && method <= 0xfff, 'a method has 12 bits')
  assert(attributes.length <= stunAttributesMax, 'a message has 32 attributes at most')
  let size = hasFingerprint ? fingerprintSize : 0
  for (const { value } of attributes) size += 4 + padded(value.length)
  assert(stunHeaderSize + size <= stunMessageSizeMax, 'a message has 1,280 bytes at most')
  const bytes = new Uint8Array(stunHeaderSize + size)
  const code = classes.indexOf(message.class)
  const classBits = ((code & 2) << 7) | ((code & 1) << 4)
  writeU16(bytes, 0, (method & 0x000f) | ((method & 0x0070) << 1) | ((method & 0x0f80) << 2) | classBits)
  writeU16(bytes, 2, size)
  writeU32(bytes, 4, magicCookie)
  bytes.set(transaction, 8)
  let at = stunHeaderSize
  for (const { type, value } of attributes) {
    writeU16(bytes, at, type)
    writeU16(bytes, at + 2, value.length)
    bytes.set(value, at + 4)
    at += 4 + padded(value.length)
  }
  if (hasFingerprint) {
    writeU16(bytes, at, stunAttributes.fingerprint)
    writeU16(bytes, at + 2, 4)
    writeU32(bytes, at + 4, fingerprintOf(bytes, at))
  }
  return bytes
}

/** The first value of `type`: later ones may be ignored (RFC 8489 §14). */
export function stunAttribute(message: StunMessage, type: number): Uint8Array | undefined {
  return message.attributes.find((attribute) => attribute.type === type)?.value
}

/** XOR-MAPPED-ADDRESS, or MAPPED-ADDRESS where a server still sends that alone. */
export function stunMappedAddress(message: StunMessage): Endpoint | undefined {
  return stunEndpoint(message, stunAttributes.xorMappedAddress) ?? stunEndpoint(message, stunAttributes.mappedAddress)
}

/** The address in an attribute of `type`; undefined where there is none, or one that no socket has (spec/overlay O3). */
export function stunEndpoint(message: StunMessage, type: number): Endpoint | undefined {
  const value = stunAttribute(message, type)
  if (value === undefined) return undefined
  const family = value[1] === 1 ? 4 : value[1] === 2 ? 6 : undefined
  if (family === undefined || value.length !== (family === 4 ? 8 : 20)) return undefined
  const isXored = type === stunAttributes.xorMappedAddress || type === stunAttributes.xorRelayedAddress
  const plain = isXored ? xorAddress(value, message.transaction) : value
  return unpackEndpoint(packedOf(plain), 0, family)
}

/** An address attribute (RFC 8489 §14.1, §14.2). `endpoint` is an address that `packEndpoint` takes. */
export function stunEndpointAttribute(type: number, endpoint: Endpoint, transaction: Uint8Array): StunAttribute {
  const packed = packEndpoint(endpoint)
  assert(packed !== undefined, 'an endpoint has an address')
  const addressSize = packed.length - 2
  const value = new Uint8Array(4 + addressSize)
  value[1] = addressSize === 4 ? 1 : 2
  value.set(packed.subarray(addressSize), 2)
  value.set(packed.subarray(0, addressSize), 4)
  const isXored = type === stunAttributes.xorMappedAddress || type === stunAttributes.xorRelayedAddress
  return { type, value: isXored ? xorAddress(value, transaction) : value }
}

/** RFC 5780 §7.2: asks for the answer to come from another address, another port, or both. */
export function stunChangeRequest(change: { readonly host: boolean; readonly port: boolean }): StunAttribute {
  return {
    type: stunAttributes.changeRequest,
    value: Uint8Array.of(0, 0, 0, (change.host ? 4 : 0) | (change.port ? 2 : 0)),
  }
}

/** ERROR-CODE (RFC 8489 §14.8): 300–699, and its reason cut for showing. */
export function stunErrorCode(message: StunMessage): { readonly code: number; readonly reason: string } | undefined {
  const value = stunAttribute(message, stunAttributes.errorCode)
  if (value === undefined || value.length < 4) return undefined
  const [hundreds, rest] = [(value[2] as number) & 7, value[3] as number]
  if (hundreds < 3 || hundreds > 6 || rest > 99) return undefined
  return { code: hundreds * 100 + rest, reason: shown(value.subarray(4)) }
}

export function stunErrorAttribute(code: number, reason: string): StunAttribute {
  assert(code >= 300 && code <= 699, 'an error code lies between 300 and 699')
  const text = textToBytes(reason)
  const value = new Uint8Array(4 + text.length)
  value[2] = Math.floor(code / 100)
  value[3] = code % 100
  value.set(text, 4)
  return { type: stunAttributes.errorCode, value }
}

/** SOFTWARE, REALM or another text, cut for showing. */
export function stunText(message: StunMessage, type: number): string | undefined {
  const value = stunAttribute(message, type)
  return value === undefined ? undefined : shown(value)
}

/** Whether the message asks for something that who answers must understand (RFC 8489 §14) and is none of `known`. */
export function hasUnknownRequired({ attributes }: StunMessage, known: readonly number[]): boolean {
  return attributes.some(({ type }) => type < 0x8000 && !known.includes(type))
}

// What a stranger wrote, for a screen: no control characters, and no more than fits a line.
function shown(bytes: Uint8Array): string {
  const text = bytesToText(bytes) ?? ''
  return [...text.slice(0, stunTextLengthMax)].map((letter) => (/\p{C}/u.test(letter) ? ' ' : letter)).join('')
}

/** Port with the first half of the cookie, address with the cookie and, for IPv6, the transaction (RFC 8489 §14.2). */
function xorAddress(value: Uint8Array, transaction: Uint8Array): Uint8Array {
  const mask = new Uint8Array(16)
  writeU32(mask, 0, magicCookie)
  mask.set(transaction, 4)
  const result = Uint8Array.from(value)
  for (let i = 0; i < 2; i++) result[2 + i] = (value[2 + i] as number) ^ (mask[i] as number)
  for (let i = 4; i < value.length; i++) result[i] = (value[i] as number) ^ (mask[i - 4] as number)
  return result
}

/** Address and port in the order of `unpackEndpoint`. */
function packedOf(value: Uint8Array): Uint8Array {
  const packed = new Uint8Array(value.length - 2)
  packed.set(value.subarray(4))
  packed.set(value.subarray(2, 4), packed.length - 2)
  return packed
}

/** Of the bytes before `end`, whose length field counts the fingerprint already. */
function fingerprintOf(bytes: Uint8Array, end: number): number {
  return (crc32(bytes.subarray(0, end)) ^ fingerprintMask) >>> 0
}

function padded(size: number): number {
  return (size + 3) & ~3
}

function readU16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}

function readU32(bytes: Uint8Array, at: number): number {
  return ((readU16(bytes, at) << 16) | readU16(bytes, at + 2)) >>> 0
}

function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8
  bytes[at + 1] = value
}

function writeU32(bytes: Uint8Array, at: number, value: number): void {
  writeU16(bytes, at, value >>> 16)
  writeU16(bytes, at + 2, value & 0xffff)
}
