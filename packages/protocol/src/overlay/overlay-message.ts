import { assert, err, ok, type Result } from '@miaou/core'
import { codeToName, tailSizeMax } from '../structure.ts'
import { packedEndpointSizeV4, packedEndpointSizeV6 } from './endpoint.ts'
import {
  contactSizeV4,
  contactSizeV6,
  noBytes,
  noContacts,
  type PackedContacts,
  packedContactsSize,
  readContacts,
  writeContacts,
} from './packed-contacts.ts'
import { recordSizeMax } from './record.ts'

interface Common {
  /** u32: an answer counts only with the transaction that was asked. */
  readonly transaction: number
  /** Whether the sender may enter others' tables: false in client mode. */
  readonly isServer: boolean
}

/** Row E16, with what a store and a node behind a NAT need beside. `token`: 8 bytes. `record`: 1 to 1,000 bytes. */
export type OverlayMessage =
  | (Common & { readonly type: 'ping' })
  /** `observed`: the asker's endpoint as the answerer sees it, packed (6 or 18 bytes; 0 where it is not told). */
  | (Common & { readonly type: 'pong'; readonly observed: Uint8Array })
  | (Common & { readonly type: 'find-node'; readonly target: Uint8Array })
  | (Common & { readonly type: 'find-node-response'; readonly token: Uint8Array; readonly contacts: PackedContacts })
  | (Common & { readonly type: 'find-value'; readonly key: Uint8Array })
  /** Row E19: with a record, no contacts. */
  | (Common & {
      readonly type: 'find-value-response'
      readonly token: Uint8Array
      readonly record: Uint8Array | undefined
      readonly contacts: PackedContacts
    })
  /** `ageMinutes`: since the record's owner last published it, 0 to 65,535; missing: 0. Told by who republishes. */
  | (Common & {
      readonly type: 'store'
      readonly token: Uint8Array
      readonly record: Uint8Array
      readonly ageMinutes?: number
    })
  | (Common & { readonly type: 'store-response'; readonly status: StoreStatus })
  /** Asks the answerer to have somebody else ping the asker, who learns so whether strangers reach it. */
  | (Common & { readonly type: 'reach' })
  | (Common & { readonly type: 'reach-response' })
  /** Asks for a ping to one contact (`PackedContacts` of exactly one). No answer. */
  | (Common & { readonly type: 'probe'; readonly contact: PackedContacts })
  /** A node that strangers do not reach asks the answerer to pass punches on to it, over this session. */
  | (Common & { readonly type: 'rendezvous' })
  /** `observed`: as in a pong. */
  | (Common & {
      readonly type: 'rendezvous-response'
      readonly status: RendezvousStatus
      readonly observed: Uint8Array
    })
  /** To a rendezvous of `target` (a node id): tell it where you see me. `nonce`: 8 bytes, shown by who then knocks. */
  | (Common & { readonly type: 'punch'; readonly nonce: Uint8Array; readonly target: Uint8Array })
  /** `endpoint`: where the answerer sees the target, packed (6 or 18 bytes); 0 bytes unless `passed`. */
  | (Common & { readonly type: 'punch-response'; readonly status: PunchStatus; readonly endpoint: Uint8Array })
  /** A rendezvous passes a punch on: its nonce, and where it sees the asker (6 or 18 bytes). No answer. */
  | (Common & { readonly type: 'knock'; readonly nonce: Uint8Array; readonly endpoint: Uint8Array })
  /** Asks for relays that the answerer is or knows. */
  | (Common & { readonly type: 'services' })
  /** `records`: service records, at most 2, each of 1 to 592 bytes; not verified here. */
  | (Common & { readonly type: 'services-response'; readonly records: readonly Uint8Array[] })

/** `refused`: it serves as many as it may, or is no server. */
export type RendezvousStatus = 'accepted' | 'refused'

/** `unknown`: the target is not registered. `refused`: too often, or between two kinds of address. */
export type PunchStatus = 'passed' | 'unknown' | 'refused'

/** `stale`: a newer sequence is stored. */
export type StoreStatus = 'stored' | 'bad-token' | 'bad-record' | 'stale' | 'full' | 'busy'

/**
 * Why bytes were refused. `malformed`: no encoder of ours writes them. `unsupported`: another version. `unknown-type`:
 * this version with a type that this program does not know.
 */
export type OverlayMessageError =
  | { readonly type: 'malformed'; readonly what: 'overlay message' }
  | { readonly type: 'unsupported'; readonly version: number }
  | { readonly type: 'unknown-type'; readonly value: number }

/** Upper half of the first byte. */
export const overlayVersion = 1
/** Bit of the first byte; the other three of its lower half are ignored. */
export const overlayServerFlag = 1
/** Version and flags, type, transaction. */
export const overlayHeaderSize = 6
/** A datagram of 1,200 bytes less 32 of sealing. */
export const overlayMessageSizeMax = 1168
export const overlayTokenSize = 8
/** Says whose punch an opener or a knock belongs to. */
export const overlayNonceSize = 8
/** A node id or the key of a record: SHA-256. */
export const overlayIdSize = 32
/** Service records in one answer. */
export const overlayServicesMax = 2
/** Bytes of one: as large as they get (spec/records W8). Of two such only one fits an answer. */
export const overlayServiceSizeMax = 592

/** Second byte of a message. */
export const overlayMessageTypes: Readonly<Record<OverlayMessage['type'], number>> = {
  ping: 1,
  pong: 2,
  'find-node': 3,
  'find-node-response': 4,
  'find-value': 5,
  'find-value-response': 6,
  store: 7,
  'store-response': 8,
  reach: 9,
  'reach-response': 10,
  probe: 11,
  rendezvous: 12,
  'rendezvous-response': 13,
  punch: 14,
  'punch-response': 15,
  knock: 16,
  services: 17,
  'services-response': 18,
}

/** Status byte of a rendezvous-response. */
export const rendezvousStatuses: Readonly<Record<RendezvousStatus, number>> = { accepted: 1, refused: 2 }

/** Status byte of a punch-response. */
export const punchStatuses: Readonly<Record<PunchStatus, number>> = { passed: 1, unknown: 2, refused: 3 }

/** Status byte of a store-response. */
export const storeStatuses: Readonly<Record<StoreStatus, number>> = {
  stored: 1,
  'bad-token': 2,
  'bad-record': 3,
  stale: 4,
  full: 5,
  busy: 6,
}

const types = overlayMessageTypes
const malformed: Result<never, OverlayMessageError> = err({ type: 'malformed', what: 'overlay message' })

/** The message in an array of its own, of exactly its size. Asserts the sizes that `OverlayMessage` states. */
export function encodeOverlayMessage(message: OverlayMessage): Uint8Array {
  const bytes = new Uint8Array(overlayMessageSize(message))
  write(message, bytes, 0)
  return bytes
}

/** As `encodeOverlayMessage`, into `target` at `offset`; returns the offset behind it. Asserts that there is room. */
export function encodeOverlayMessageInto(message: OverlayMessage, target: Uint8Array, offset: number): number {
  // Past the end an element is dropped without a sound.
  assert(target.length - offset >= overlayMessageSize(message), 'there is room for the message')
  return write(message, target, offset)
}

/** Bytes that `message` takes: 6 to 1,168. */
export function overlayMessageSize(message: OverlayMessage): number {
  switch (message.type) {
    case 'ping':
    case 'reach':
    case 'reach-response':
    case 'rendezvous':
    case 'services':
      return overlayHeaderSize
    case 'pong':
      return overlayHeaderSize + 1 + message.observed.length
    case 'find-node':
    case 'find-value':
      return overlayHeaderSize + overlayIdSize
    case 'find-node-response':
      return overlayHeaderSize + overlayTokenSize + packedContactsSize(message.contacts)
    case 'find-value-response': {
      const recordSize = message.record?.length ?? 0
      return overlayHeaderSize + overlayTokenSize + 2 + recordSize + packedContactsSize(message.contacts)
    }
    case 'store':
      return overlayHeaderSize + overlayTokenSize + 2 + 2 + message.record.length
    case 'store-response':
      return overlayHeaderSize + 1
    case 'probe':
      return overlayHeaderSize + packedContactsSize(message.contact)
    case 'rendezvous-response':
      return overlayHeaderSize + 1 + 1 + message.observed.length
    case 'punch':
      return overlayHeaderSize + overlayNonceSize + overlayIdSize
    case 'punch-response':
      return overlayHeaderSize + 1 + 1 + message.endpoint.length
    case 'knock':
      return overlayHeaderSize + overlayNonceSize + 1 + message.endpoint.length
    case 'services-response':
      return overlayServicesSize(message.records)
  }
}

/** Bytes of a `services-response` with these records: no more than `overlayMessageSizeMax` can be told at once. */
export function overlayServicesSize(records: readonly Uint8Array[]): number {
  return records.reduce((size, record) => size + 2 + record.length, overlayHeaderSize + 1)
}

/**
 * The message in `bytes`. Never throws, and copies nothing: arrays of the result are views into `bytes`, good as long
 * as the caller leaves these alone. Addresses of contacts are not judged here (`addressScope` does).
 */
export function decodeOverlayMessage(bytes: Uint8Array): Result<OverlayMessage, OverlayMessageError> {
  if (bytes.length < overlayHeaderSize || bytes.length > overlayMessageSizeMax) return malformed
  const lead = bytes[0] as number
  const code = bytes[1] as number
  if (lead >> 4 !== overlayVersion) return err({ type: 'unsupported', version: lead >> 4 })
  const isServer = (lead & overlayServerFlag) !== 0
  const transaction = readU32(bytes, 2)
  const at = overlayHeaderSize
  switch (code) {
    case types.ping:
      return endsAt(bytes, at) ? ok({ type: 'ping', transaction, isServer }) : malformed
    case types.pong:
      return readPong(bytes, transaction, isServer)
    case types['find-node']: {
      if (!endsAt(bytes, at + overlayIdSize)) return malformed
      return ok({ type: 'find-node', transaction, isServer, target: bytes.subarray(at, at + overlayIdSize) })
    }
    case types['find-node-response']:
      return readFindNodeResponse(bytes, transaction, isServer)
    case types['find-value']: {
      if (!endsAt(bytes, at + overlayIdSize)) return malformed
      return ok({ type: 'find-value', transaction, isServer, key: bytes.subarray(at, at + overlayIdSize) })
    }
    case types['find-value-response']:
      return readFindValueResponse(bytes, transaction, isServer)
    case types.store:
      return readStore(bytes, transaction, isServer)
    case types['store-response']: {
      if (!endsAt(bytes, at + 1)) return malformed
      // A status of a later version says, as `busy` does, that it is not stored and that it is not the record's fault.
      const status = codeToName(storeStatuses, bytes[at] as number) ?? 'busy'
      return ok({ type: 'store-response', transaction, isServer, status })
    }
    case types.reach:
      return endsAt(bytes, at) ? ok({ type: 'reach', transaction, isServer }) : malformed
    case types['reach-response']:
      return endsAt(bytes, at) ? ok({ type: 'reach-response', transaction, isServer }) : malformed
    case types.probe:
      return readProbe(bytes, transaction, isServer)
    case types.rendezvous:
      return endsAt(bytes, at) ? ok({ type: 'rendezvous', transaction, isServer }) : malformed
    case types['rendezvous-response']:
      return readRendezvousResponse(bytes, transaction, isServer)
    case types.punch:
      return readPunch(bytes, transaction, isServer)
    case types['punch-response']:
      return readPunchResponse(bytes, transaction, isServer)
    case types.knock:
      return readKnock(bytes, transaction, isServer)
    case types.services:
      return endsAt(bytes, at) ? ok({ type: 'services', transaction, isServer }) : malformed
    case types['services-response']:
      return readServicesResponse(bytes, transaction, isServer)
    default:
      return err({ type: 'unknown-type', value: code })
  }
}

type Decoded = Result<OverlayMessage, OverlayMessageError>

function readPong(bytes: Uint8Array, transaction: number, isServer: boolean): Decoded {
  const observed = readEndpoint(bytes, overlayHeaderSize)
  return observed === undefined ? malformed : ok({ type: 'pong', transaction, isServer, observed })
}

function readFindNodeResponse(bytes: Uint8Array, transaction: number, isServer: boolean): Decoded {
  const at = overlayHeaderSize + overlayTokenSize
  const contacts = readContacts(bytes, at)
  if (contacts === undefined || !endsAt(bytes, at + packedContactsSize(contacts))) return malformed
  const token = bytes.subarray(overlayHeaderSize, at)
  return ok({ type: 'find-node-response', transaction, isServer, token, contacts })
}

function readFindValueResponse(bytes: Uint8Array, transaction: number, isServer: boolean): Decoded {
  const at = overlayHeaderSize + overlayTokenSize + 2
  if (bytes.length < at) return malformed
  const recordSize = readU16(bytes, at - 2)
  if (recordSize > recordSizeMax) return malformed
  const contacts = readContacts(bytes, at + recordSize)
  if (contacts === undefined || !endsAt(bytes, at + recordSize + packedContactsSize(contacts))) return malformed
  if (recordSize > 0 && contacts !== noContacts) return malformed
  const token = bytes.subarray(overlayHeaderSize, at - 2)
  const record = recordSize === 0 ? undefined : bytes.subarray(at, at + recordSize)
  return ok({ type: 'find-value-response', transaction, isServer, token, record, contacts })
}

function readStore(bytes: Uint8Array, transaction: number, isServer: boolean): Decoded {
  const at = overlayHeaderSize + overlayTokenSize + 2 + 2
  if (bytes.length < at) return malformed
  const recordSize = readU16(bytes, at - 2)
  if (recordSize === 0 || recordSize > recordSizeMax || !endsAt(bytes, at + recordSize)) return malformed
  const token = bytes.subarray(overlayHeaderSize, at - 4)
  const record = bytes.subarray(at, at + recordSize)
  return ok({ type: 'store', transaction, isServer, token, record, ageMinutes: readU16(bytes, at - 4) })
}

function readProbe(bytes: Uint8Array, transaction: number, isServer: boolean): Decoded {
  const contact = readContacts(bytes, overlayHeaderSize)
  if (contact === undefined || !isOneContact(contact)) return malformed
  if (!endsAt(bytes, overlayHeaderSize + packedContactsSize(contact))) return malformed
  return ok({ type: 'probe', transaction, isServer, contact })
}

function readRendezvousResponse(bytes: Uint8Array, transaction: number, isServer: boolean): Decoded {
  const observed = readEndpoint(bytes, overlayHeaderSize + 1)
  if (observed === undefined) return malformed
  // A status of a later version is at least no yes.
  const status = codeToName(rendezvousStatuses, bytes[overlayHeaderSize] as number) ?? 'refused'
  return ok({ type: 'rendezvous-response', transaction, isServer, status, observed })
}

function readPunch(bytes: Uint8Array, transaction: number, isServer: boolean): Decoded {
  const targetAt = overlayHeaderSize + overlayNonceSize
  const end = targetAt + overlayIdSize
  if (!endsAt(bytes, end)) return malformed
  const nonce = bytes.subarray(overlayHeaderSize, targetAt)
  return ok({ type: 'punch', transaction, isServer, nonce, target: bytes.subarray(targetAt, end) })
}

function readPunchResponse(bytes: Uint8Array, transaction: number, isServer: boolean): Decoded {
  const endpoint = readEndpoint(bytes, overlayHeaderSize + 1)
  if (endpoint === undefined) return malformed
  const status = codeToName(punchStatuses, bytes[overlayHeaderSize] as number) ?? 'refused'
  // Whoever passed it on says where, and nobody else does.
  if ((status === 'passed') !== endpoint.length > 0) return malformed
  return ok({ type: 'punch-response', transaction, isServer, status, endpoint })
}

function readKnock(bytes: Uint8Array, transaction: number, isServer: boolean): Decoded {
  const endpoint = readEndpoint(bytes, overlayHeaderSize + overlayNonceSize)
  if (endpoint === undefined || endpoint.length === 0) return malformed
  const nonce = bytes.subarray(overlayHeaderSize, overlayHeaderSize + overlayNonceSize)
  return ok({ type: 'knock', transaction, isServer, nonce, endpoint })
}

function readServicesResponse(bytes: Uint8Array, transaction: number, isServer: boolean): Decoded {
  const count = bytes[overlayHeaderSize]
  if (count === undefined || count > overlayServicesMax) return malformed
  const records: Uint8Array[] = []
  let at = overlayHeaderSize + 1
  for (let index = 0; index < count; index++) {
    if (bytes.length < at + 2) return malformed
    const size = readU16(bytes, at)
    if (size === 0 || size > overlayServiceSizeMax || bytes.length < at + 2 + size) return malformed
    records.push(bytes.subarray(at + 2, at + 2 + size))
    at += 2 + size
  }
  return endsAt(bytes, at) ? ok({ type: 'services-response', transaction, isServer, records }) : malformed
}

/** The endpoint behind its size at `at`, with nothing but a tail behind it; undefined for other sizes than 0, 6, 18. */
function readEndpoint(bytes: Uint8Array, at: number): Uint8Array | undefined {
  if (bytes.length <= at) return undefined
  const size = bytes[at] as number
  return isEndpointSize(size) && endsAt(bytes, at + 1 + size) ? bytes.subarray(at + 1, at + 1 + size) : undefined
}

function write(message: OverlayMessage, target: Uint8Array, offset: number): number {
  const { transaction } = message
  target[offset] = (overlayVersion << 4) | (message.isServer ? overlayServerFlag : 0)
  target[offset + 1] = types[message.type]
  target[offset + 2] = transaction >>> 24
  target[offset + 3] = transaction >>> 16
  target[offset + 4] = transaction >>> 8
  target[offset + 5] = transaction
  const at = offset + overlayHeaderSize
  switch (message.type) {
    case 'ping':
    case 'reach':
    case 'reach-response':
    case 'rendezvous':
    case 'services':
      return at
    case 'pong':
      return writeEndpoint(message.observed, target, at)
    case 'find-node':
      return writeExactly(message.target, overlayIdSize, target, at)
    case 'find-value':
      return writeExactly(message.key, overlayIdSize, target, at)
    case 'find-node-response':
      return writeContacts(message.contacts, target, writeExactly(message.token, overlayTokenSize, target, at))
    case 'find-value-response': {
      const { record = noBytes, contacts } = message
      const isEither = record.length === 0 || contacts.v4.length + contacts.v6.length === 0
      assert(isEither, 'an answer has a record or contacts')
      const recordAt = writeExactly(message.token, overlayTokenSize, target, at)
      return writeContacts(contacts, target, writeRecord(record, target, recordAt))
    }
    case 'store': {
      const { record, token, ageMinutes = 0 } = message
      assert(record.length > 0, 'there is a record to store')
      assert(ageMinutes >= 0 && ageMinutes <= 0xffff, 'an age has two bytes')
      const ageAt = writeExactly(token, overlayTokenSize, target, at)
      target[ageAt] = ageMinutes >> 8
      target[ageAt + 1] = ageMinutes
      return writeRecord(record, target, ageAt + 2)
    }
    case 'store-response':
      target[at] = storeStatuses[message.status]
      return at + 1
    case 'probe':
      assert(isOneContact(message.contact), 'a probe names one contact')
      return writeContacts(message.contact, target, at)
    case 'rendezvous-response':
      target[at] = rendezvousStatuses[message.status]
      return writeEndpoint(message.observed, target, at + 1)
    case 'punch': {
      const targetAt = writeExactly(message.nonce, overlayNonceSize, target, at)
      return writeExactly(message.target, overlayIdSize, target, targetAt)
    }
    case 'punch-response':
      assert((message.status === 'passed') === message.endpoint.length > 0, 'who passed a punch on says where to')
      target[at] = punchStatuses[message.status]
      return writeEndpoint(message.endpoint, target, at + 1)
    case 'knock':
      assert(message.endpoint.length > 0, 'a knock says where the asker is')
      return writeEndpoint(message.endpoint, target, writeExactly(message.nonce, overlayNonceSize, target, at))
    case 'services-response':
      return writeServices(message.records, target, at)
  }
}

function writeServices(records: readonly Uint8Array[], target: Uint8Array, at: number): number {
  const isBounded = records.length <= overlayServicesMax && overlayServicesSize(records) <= overlayMessageSizeMax
  assert(isBounded, 'an answer has two service records at most, and fits a datagram')
  target[at] = records.length
  let end = at + 1
  for (const record of records) {
    assert(record.length > 0 && record.length <= overlayServiceSizeMax, 'a service record is bounded')
    end = writeRecord(record, target, end)
  }
  return end
}

function writeExactly(bytes: Uint8Array, size: number, target: Uint8Array, at: number): number {
  assert(bytes.length === size, 'a field of fixed size has its size')
  target.set(bytes, at)
  return at + size
}

function writeEndpoint(endpoint: Uint8Array, target: Uint8Array, at: number): number {
  const size = endpoint.length
  assert(isEndpointSize(size), 'an endpoint has 0, 6 or 18 bytes')
  target[at] = size
  target.set(endpoint, at + 1)
  return at + 1 + size
}

function isEndpointSize(size: number): boolean {
  return size === 0 || size === packedEndpointSizeV4 || size === packedEndpointSizeV6
}

function writeRecord(record: Uint8Array, target: Uint8Array, at: number): number {
  assert(record.length <= recordSizeMax, 'a record has 1,000 bytes at most')
  target[at] = record.length >> 8
  target[at + 1] = record.length
  target.set(record, at + 2)
  return at + 2 + record.length
}

function isOneContact({ v4, v6 }: PackedContacts): boolean {
  return (v4.length === contactSizeV4 && v6.length === 0) || (v4.length === 0 && v6.length === contactSizeV6)
}

/** Whether the fields end inside `bytes`, with no more behind them than a later version may add (spec/overlay O8). */
function endsAt(bytes: Uint8Array, end: number): boolean {
  return end <= bytes.length && bytes.length - end <= tailSizeMax
}

function readU16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
}

function readU32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  )
}
