import { assert, type ByteReader, bytesToText, err, ok, type Result, textToBytes } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { isRelayUrl, type RelayAddress, relayIdOf, relayUrlLengthMax } from '../circuit/circuit-address.ts'
import type { RelayTerms } from '../circuit/relay-message.ts'
import { signedRecordKey } from '../overlay/record.ts'
import { decodeSigned, finishSigned, isSignedBy, type SignedStructure, signatureSize } from '../signed.ts'
import { codeToName, type DecodeError, startStructure } from '../structure.ts'
import { recordLifetimeMs, recordSkewMs } from './device-record.ts'
import { encodeWay, readWay } from './way.ts'

/** What somebody does for everybody, said by the key that does it: never by a device (spec/records W8, row Q04). */
export interface ServiceRecord {
  readonly kind: 'relay'
  /** Ed25519: the service's own key, from which its relay id follows. */
  readonly serviceKey: Uint8Array
  /** Below 2^53: the higher one replaces the lower. */
  readonly sequence: number
  /** Wall-clock ms. */
  readonly createdAt: number
  /** Wall-clock ms, at most 24 h later. */
  readonly expiresAt: number
  /** `ws://…` or `wss://…`, 1 to 3, best first. */
  readonly urls: readonly string[]
  /** What each who reserves is given. */
  readonly terms: RelayTerms
  /** Row Q04: reservations it keeps, in all. */
  readonly capacity: number
  /** Row Q04: ms that it adds to a message under its load, 0 when not measured. */
  readonly latency: number
  /** Where it stands, for those who sort by it; empty: not told. */
  readonly region: string
}

export type ServiceRecordError =
  | DecodeError
  | { readonly type: 'inadmissible-key' }
  | { readonly type: 'invalid-signature' }

const label = 'service-record'
/** Kind byte of a service. */
export const serviceKinds = { relay: 1 } as const
/** Most bytes of a record, signature included (own choice: 3 URLs of 128 characters and every other field full). */
export const serviceRecordSizeMax = 592
/** URLs in one record (own choice: a name, an IPv4 and an IPv6 address). */
export const serviceUrlsMax = 3
/** Bytes of a region (own choice: `eu-west-3` and the like). */
export const serviceRegionSizeMax = 32
/** Salt under which a service record stands in the overlay, under its own service key. */
export const serviceRecordSalt: Uint8Array = textToBytes('service')

/** A record signed by the service key. `secretKey`: the 32-byte Ed25519 seed. Asserts what a caller can get wrong. */
export function signServiceRecord(
  crypto: Crypto,
  secretKey: Uint8Array,
  fields: Omit<ServiceRecord, 'serviceKey'>,
): Uint8Array {
  const { kind, sequence, createdAt, expiresAt, urls, terms, capacity, latency, region } = fields
  assert(urls.length > 0 && urls.length <= serviceUrlsMax, 'a service has 1 to 3 URLs')
  assert(urls.every(isRelayUrl), 'URLs are checked before they are written')
  assert(isLifetime(createdAt, expiresAt), 'a service record lives 24 h at most')
  const regionBytes = textToBytes(region)
  assert(regionBytes.length <= serviceRegionSizeMax, 'a region is short')
  const writer = startStructure()
    .u8(serviceKinds[kind])
    .bytes(crypto.ed25519KeyPair(secretKey).publicKey)
    .u64(sequence)
    .u64(createdAt)
    .u64(expiresAt)
    .u8(urls.length)
  for (const url of urls) writer.bytes(encodeWay(url))
  writer.u32(terms.circuitsMax).u64(terms.bytesPerSecond).u64(terms.bytesPerDay)
  writer.u32(capacity).u16(latency).u8(regionBytes.length).bytes(regionBytes)
  return finishSigned(crypto, label, writer, secretKey)
}

/** Takes a record apart without checking key or signature. Never throws. */
export function decodeServiceRecord(bytes: Uint8Array): Result<SignedStructure<ServiceRecord>, DecodeError> {
  return decodeSigned({ what: 'service record', sizeMax: serviceRecordSizeMax - signatureSize, read }, bytes)
}

/** The record in `bytes`, when the service key it names signed it. Whether it is good now: `isServiceFresh`. */
export function verifyServiceRecord(crypto: Crypto, bytes: Uint8Array): Result<ServiceRecord, ServiceRecordError> {
  const signed = decodeServiceRecord(bytes)
  if (!signed.ok) return signed
  const record = signed.value.value
  if (!isSignedBy(crypto, label, signed.value, record.serviceKey)) return err({ type: 'invalid-signature' })
  if (!crypto.ed25519IsAdmissible(record.serviceKey)) return err({ type: 'inadmissible-key' })
  return ok(record)
}

/** Neither expired nor dated by a clock that is far ahead of ours. `wall`: wall-clock ms. */
export function isServiceFresh({ createdAt, expiresAt }: ServiceRecord, wall: number): boolean {
  return wall < expiresAt && createdAt <= wall + recordSkewMs
}

/** The relay of a record, at its best URL that `isUsable`; undefined for none, and for another kind of service. */
export function relayOfService(
  crypto: Pick<Crypto, 'sha256'>,
  record: ServiceRecord,
  isUsable: (url: string) => boolean,
): RelayAddress | undefined {
  const url = record.urls.find(isUsable)
  return url === undefined ? undefined : { url, relayId: relayIdOf(record.serviceKey, (bytes) => crypto.sha256(bytes)) }
}

/** Where the overlay keeps the record of a service key: found again by those who met it, written by nobody else. */
export function serviceRecordKey(crypto: Pick<Crypto, 'sha256'>, serviceKey: Uint8Array): Uint8Array {
  return signedRecordKey(crypto, serviceKey, serviceRecordSalt)
}

function isLifetime(createdAt: number, expiresAt: number): boolean {
  return expiresAt > createdAt && expiresAt - createdAt <= recordLifetimeMs
}

function read(reader: ByteReader): ServiceRecord {
  const kind = codeToName(serviceKinds, reader.u8())
  if (kind === undefined) reader.fail()
  const serviceKey = reader.bytes(32)
  const [sequence, createdAt, expiresAt] = [reader.u64(), reader.u64(), reader.u64()]
  if (!isLifetime(createdAt, expiresAt)) reader.fail()
  const urls = readUrls(reader)
  const terms = { circuitsMax: reader.u32(), bytesPerSecond: reader.u64(), bytesPerDay: reader.u64() }
  const [capacity, latency] = [reader.u32(), reader.u16()]
  const regionBytes = reader.bytes(reader.u8())
  const region = bytesToText(regionBytes)
  if (region === undefined || regionBytes.length > serviceRegionSizeMax) reader.fail()
  const facts = { terms, capacity, latency, region: region ?? '' }
  return { kind: kind ?? 'relay', serviceKey, sequence, createdAt, expiresAt, urls, ...facts }
}

function readUrls(reader: ByteReader): string[] {
  const count = reader.u8()
  if (count === 0 || count > serviceUrlsMax) reader.fail()
  const urls: string[] = []
  for (let index = 0; index < count && !reader.failed; index++) {
    const url = readWay(reader, relayUrlLengthMax)
    // A form that only a newer program knows: one URL less.
    if (url === undefined) continue
    if (isRelayUrl(url)) urls.push(url)
    else reader.fail()
  }
  if (urls.length === 0) reader.fail()
  return urls
}
