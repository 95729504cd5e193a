import { assert, type ByteReader, ByteWriter, concatBytes, equalBytes, err, ok, type Result } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { decodeOverlayClient, encodeOverlayClient, type OverlayClient } from '../overlay/overlay-client.ts'
import { decodeOverlayContact, encodeOverlayContact } from '../overlay/overlay-contact.ts'
import type { PackedContacts } from '../overlay/packed-contacts.ts'
import { decodeSigned, finishSigned, isSignedBy, type SignedStructure, signatureSize } from '../signed.ts'
import { type DecodeError, type Extension, startStructure } from '../structure.ts'
import { encodeWay, isWay, readWay } from './way.ts'

/** A part of a record whose kind says how its bytes read; one of an unknown kind is kept and not used. */
export interface RecordEntry {
  /** 1 to 255. */
  readonly kind: number
  /** At most 255 bytes. */
  readonly bytes: Uint8Array
}

/** How a device is reached, said by itself (spec/records W1). */
export interface DeviceRecord {
  /** Ed25519: the peer id. */
  readonly deviceKey: Uint8Array
  /** Below 2^53: the higher one replaces the lower. */
  readonly sequence: number
  /** Wall-clock ms. It is good for 24 h. */
  readonly createdAt: number
  /** Best first: `circuit:…`, and `ws://…` or `wss://…` where the owner shows network addresses. */
  readonly ways: readonly string[]
  /** The own node of the overlay, where the owner shows network addresses. */
  readonly overlayContact: PackedContacts | undefined
  /** The own node of the overlay behind a NAT, where the owner shows network addresses. */
  readonly overlayClient?: OverlayClient | undefined
  /** 32 bytes: key of the manifest of its last-resort prekey bundle in the overlay (spec/prekeys). */
  readonly bundleKey?: Uint8Array | undefined
  /** Where messages can be left (`entryToBox`). */
  readonly mailboxes: readonly RecordEntry[]
  /** What the device does for others; no kind exists yet. */
  readonly services: readonly RecordEntry[]
}

/** `wrong-device`: whole and signed, but another's. */
export type DeviceRecordError =
  | DecodeError
  | { readonly type: 'inadmissible-key' }
  | { readonly type: 'invalid-signature' }
  | { readonly type: 'wrong-device' }

const label = 'device-record'
/** Most bytes of a record, signature included: sealed and signed again it fills the overlay's 1,000 bytes. */
export const deviceRecordSizeMax = 844
/** Circuits in one record (own choice: two a reservation, at three relays). */
export const deviceRecordCircuitsMax = 6
/** WebSocket addresses in one record (own choice: as an invite). */
export const deviceRecordAddressesMax = 6
/** Mailboxes in one record, and services (own choice). */
export const recordEntriesMax = 4
/** Characters of a way's URL (as that of a relay). */
export const deviceRecordUrlLengthMax = 128
/** How long a record is good, ms (DECISIONS "Records"). */
export const recordLifetimeMs = 86_400_000
/** How far the clock that dated a record may be ahead of ours, ms (own choice: an hour, as clocks set by hand are). */
export const recordSkewMs = 3_600_000
/** Tags of its extensions. */
export const deviceRecordTags = { overlayClient: 1, bundleKey: 2 } as const

/**
 * A record signed by its device. Ways beyond the bounds are left out, the last ones first, and so are those that would
 * make it too large; mailboxes are left out, the last ones first, where the first way would not fit beside them. `deviceSecretKey`: the 32-byte Ed25519 seed. Asserts what a caller of ours can get wrong.
 */
export function signDeviceRecord(
  crypto: Crypto,
  deviceSecretKey: Uint8Array,
  fields: Omit<DeviceRecord, 'deviceKey'>,
): Uint8Array {
  const { sequence, createdAt, overlayContact, overlayClient, bundleKey, mailboxes, services } = fields
  assert((bundleKey?.length ?? 32) === 32, 'a key of the overlay has 32 bytes')
  const head = startStructure()
    .bytes(crypto.ed25519KeyPair(deviceSecretKey).publicKey)
    .u64(sequence)
    .u64(createdAt)
    .finish()
  const contact = overlayContact === undefined ? new Uint8Array(0) : encodeOverlayContact(overlayContact)
  const extensions = [
    ...(overlayClient === undefined ? [] : [packClient(overlayClient)]),
    ...(bundleKey === undefined ? [] : [{ tag: deviceRecordTags.bundleKey, bytes: bundleKey }]),
  ]
  const extensionsSize = extensions.reduce((size, { bytes }) => size + 4 + bytes.length, 2)
  // Count of ways, extensions, signature.
  const roomBeside = (tail: Uint8Array): number =>
    deviceRecordSizeMax - head.length - tail.length - 1 - extensionsSize - signatureSize
  const [firstWay] = fields.ways
  const firstSize = firstWay === undefined ? 0 : encodeWay(firstWay).length
  let kept = mailboxes
  let tail = encodeTail(contact, kept, services)
  while (roomBeside(tail) < firstSize && kept.length > 0) {
    kept = kept.slice(0, -1)
    tail = encodeTail(contact, kept, services)
  }
  const room = roomBeside(tail)
  assert(room >= 0, 'a device record without ways fits')
  const ways = chooseWays(fields.ways, room)
  const writer = new ByteWriter(deviceRecordSizeMax).bytes(head).u8(ways.length)
  for (const way of ways) writer.bytes(way)
  return finishSigned(crypto, label, writer.bytes(tail), deviceSecretKey, extensions)
}

/** Takes a record apart without checking key or signature. Never throws. */
export function decodeDeviceRecord(bytes: Uint8Array): Result<SignedStructure<DeviceRecord>, DecodeError> {
  const what = 'device record'
  const sizeMax = deviceRecordSizeMax - signatureSize
  const signed = decodeSigned({ what, sizeMax, read, knownTags: Object.values(deviceRecordTags) }, bytes)
  if (!signed.ok) return signed
  const bytesOf = (tag: number): Uint8Array | undefined =>
    signed.value.extensions.find((extension) => extension.tag === tag)?.bytes
  const packedClient = bytesOf(deviceRecordTags.overlayClient)
  const client = packedClient && decodeOverlayClient(packedClient)
  const bundleKey = bytesOf(deviceRecordTags.bundleKey)
  if (client?.ok === false || (bundleKey !== undefined && bundleKey.length !== 32))
    return err({ type: 'malformed', what })
  const value = {
    ...signed.value.value,
    ...(client && { overlayClient: client.value }),
    ...(bundleKey && { bundleKey }),
  }
  return ok({ ...signed.value, value })
}

/** The record in `bytes`, when `deviceKey` signed it. How old it is, is the caller's to judge (`isRecordFresh`). */
export function verifyDeviceRecord(
  crypto: Crypto,
  bytes: Uint8Array,
  deviceKey: Uint8Array,
): Result<DeviceRecord, DeviceRecordError> {
  const signed = decodeDeviceRecord(bytes)
  if (!signed.ok) return signed
  const record = signed.value.value
  if (!equalBytes(record.deviceKey, deviceKey)) return err({ type: 'wrong-device' })
  if (!isSignedBy(crypto, label, signed.value, deviceKey)) return err({ type: 'invalid-signature' })
  if (!crypto.ed25519IsAdmissible(deviceKey)) return err({ type: 'inadmissible-key' })
  return ok(record)
}

/** Whether a record of that time (wall-clock ms) is neither expired nor dated by a clock that is far ahead of ours. */
export function isRecordFresh(createdAt: number, wall: number): boolean {
  return wall < createdAt + recordLifetimeMs && createdAt <= wall + recordSkewMs
}

function packClient(client: OverlayClient): Extension {
  return { tag: deviceRecordTags.overlayClient, bytes: encodeOverlayClient(client) }
}

function chooseWays(ways: readonly string[], room: number): Uint8Array[] {
  const chosen: Uint8Array[] = []
  let [circuits, addresses, size] = [0, 0, 0]
  for (const way of new Set(ways)) {
    assert(isWay(way, deviceRecordUrlLengthMax), 'ways are checked before they are written')
    const bytes = encodeWay(way)
    const isCircuit = way.startsWith('circuit:')
    const isFull = isCircuit ? circuits === deviceRecordCircuitsMax : addresses === deviceRecordAddressesMax
    if (isFull || size + bytes.length > room) continue
    if (isCircuit) circuits += 1
    else addresses += 1
    size += bytes.length
    chosen.push(bytes)
  }
  return chosen
}

function encodeTail(
  contact: Uint8Array,
  mailboxes: readonly RecordEntry[],
  services: readonly RecordEntry[],
): Uint8Array {
  const tail = new ByteWriter(64).u8(contact.length).bytes(contact)
  for (const entries of [mailboxes, services]) writeEntries(tail, entries)
  return tail.finish()
}

function writeEntries(writer: ByteWriter, entries: readonly RecordEntry[]): void {
  assert(entries.length <= recordEntriesMax, 'a record has few entries of a sort')
  writer.u8(entries.length)
  for (const { kind, bytes } of entries) {
    assert(kind > 0 && kind <= 0xff && bytes.length <= 0xff, 'an entry has a kind and at most 255 bytes')
    writer.bytes(concatBytes(Uint8Array.of(kind, bytes.length), bytes))
  }
}

function read(reader: ByteReader): DeviceRecord {
  const deviceKey = reader.bytes(32)
  const sequence = reader.u64()
  const createdAt = reader.u64()
  const ways = readWays(reader)
  const contact = reader.bytes(reader.u8())
  const overlayContact = contact.length === 0 ? undefined : readContact(reader, contact)
  const [mailboxes, services] = [readEntries(reader), readEntries(reader)]
  return { deviceKey, sequence, createdAt, ways, overlayContact, mailboxes, services }
}

function readWays(reader: ByteReader): string[] {
  const count = reader.u8()
  if (count > deviceRecordCircuitsMax + deviceRecordAddressesMax) reader.fail()
  const ways = new Set<string>()
  for (let index = 0; index < count && !reader.failed; index++) {
    const way = readWay(reader, deviceRecordUrlLengthMax)
    if (way !== undefined) ways.add(way)
  }
  let circuits = 0
  for (const way of ways) if (way.startsWith('circuit:')) circuits += 1
  if (circuits > deviceRecordCircuitsMax || ways.size - circuits > deviceRecordAddressesMax) reader.fail()
  return [...ways]
}

function readContact(reader: ByteReader, bytes: Uint8Array): PackedContacts | undefined {
  const contact = decodeOverlayContact(bytes)
  if (!contact.ok) reader.fail()
  return contact.ok ? contact.value : undefined
}

function readEntries(reader: ByteReader): RecordEntry[] {
  const count = reader.u8()
  if (count > recordEntriesMax) reader.fail()
  const entries: RecordEntry[] = []
  for (let index = 0; index < count && !reader.failed; index++) {
    const kind = reader.u8()
    if (kind === 0) reader.fail()
    entries.push({ kind, bytes: reader.bytes(reader.u8()) })
  }
  return entries
}
