import { assert, ByteReader, ByteWriter, concatBytes, equalBytes, err, ok, type Result, textToBytes } from '@miaou/core'
import type { Crypto, KeyPair } from '@miaou/crypto'
import { type OverlayRecord, signedRecordKey, signRecord } from '../overlay/record.ts'
import { type DecodeError, structureSuite, structureVersion } from '../structure.ts'
import { type DeviceRecord, type DeviceRecordError, deviceRecordSizeMax, verifyDeviceRecord } from './device-record.ts'

/** What follows from a locator key for one device (spec/records W5): where its record is, and what opens it. */
export interface RecordLocator {
  /** Ed25519, signs the record of the overlay: whoever knows the locator key has it. */
  readonly signingKey: KeyPair
  /** XChaCha20-Poly1305, 32 bytes. */
  readonly sealingKey: Uint8Array
  /** 32 bytes: the key of the overlay under which it is stored. */
  readonly key: Uint8Array
}

/** `unsealable`: not sealed under that locator key, or altered. The other errors are those of what was inside. */
export type SealedRecordError = DeviceRecordError | { readonly type: 'unsealable' }

/** Bytes of a locator key. */
export const locatorKeySize = 32
/** Bytes of each sealed device record, whatever is in it: the overlay's 1,000 less what a signed record adds. */
export const sealedRecordSize = 888
/** Version, suite, nonce 24, tag 16 and the size of what is inside. */
export const sealedRecordOverhead = 44

const nonceSize = 24
const headerSize = 2
const signingInfo = textToBytes('Miaou-v0.2.0-locator-signing')
const sealingInfo = textToBytes('Miaou-v0.2.0-locator-sealing')
const noSalt = new Uint8Array(0)

/**
 * Keys of one device's record. Another device of the same locator key has other ones, and nobody without the locator key
 * can tell that they belong together. `locatorKey`, `deviceKey`: 32 bytes.
 */
export function deriveRecordLocator(crypto: Crypto, locatorKey: Uint8Array, deviceKey: Uint8Array): RecordLocator {
  assert(locatorKey.length === locatorKeySize && deviceKey.length === 32, 'keys have 32 bytes')
  const signingKey = crypto.ed25519KeyPair(crypto.hkdfSha256(locatorKey, deviceKey, signingInfo, 32))
  const sealingKey = crypto.hkdfSha256(locatorKey, deviceKey, sealingInfo, 32)
  return { signingKey, sealingKey, key: signedRecordKey(crypto, signingKey.publicKey, noSalt) }
}

/**
 * The record of the overlay that holds a signed device record, always of 1,000 bytes. `nonce`: 24 random bytes.
 * `sequence`: as the device record's, or above the one out there.
 */
export function sealDeviceRecord(
  crypto: Crypto,
  locator: RecordLocator,
  record: Uint8Array,
  { nonce, sequence }: { readonly nonce: Uint8Array; readonly sequence: number },
): Uint8Array {
  assert(record.length <= deviceRecordSizeMax && nonce.length === nonceSize, 'a device record and a nonce')
  const plaintext = new Uint8Array(sealedRecordSize - headerSize - nonceSize - 16)
  plaintext.set(new ByteWriter(plaintext.length).bytes16(record).finish())
  const header = Uint8Array.of(structureVersion, structureSuite)
  const { publicKey, secretKey } = locator.signingKey
  const ad = concatBytes(header, publicKey)
  const sealed = crypto.xchacha20Poly1305Seal(locator.sealingKey, nonce, ad, plaintext)
  const value = concatBytes(header, nonce, sealed)
  return signRecord(crypto, { secretKey, publicKey, salt: noSalt, sequence, value })
}

/**
 * The device record inside `record`, which the overlay has verified (`verifyRecord`), when it is that of the device. How old
 * it is, is the caller's to judge.
 */
export function openDeviceRecord(
  crypto: Crypto,
  locator: RecordLocator,
  record: OverlayRecord,
  deviceKey: Uint8Array,
): Result<DeviceRecord & { readonly bytes: Uint8Array }, SealedRecordError> {
  const unsealable = err({ type: 'unsealable' } as const)
  const isOurs = record.type === 'signed' && equalBytes(record.publicKey, locator.signingKey.publicKey)
  if (!isOurs || record.value.length !== sealedRecordSize) return unsealable
  const { value } = record
  const [version = 0, suite = 0] = value
  if (version !== structureVersion || suite !== structureSuite) return err(unsupported(version, suite))
  const nonce = value.slice(headerSize, headerSize + nonceSize)
  const ad = concatBytes(value.slice(0, headerSize), locator.signingKey.publicKey)
  const sealed = value.slice(headerSize + nonceSize)
  const plaintext = crypto.xchacha20Poly1305Open(locator.sealingKey, nonce, ad, sealed)
  if (plaintext === undefined) return unsealable
  const reader = new ByteReader(plaintext)
  const bytes = reader.bytes16(deviceRecordSizeMax)
  if (reader.failed) return err({ type: 'malformed', what: 'sealed record' })
  const verified = verifyDeviceRecord(crypto, bytes, deviceKey)
  return verified.ok ? ok({ ...verified.value, bytes }) : verified
}

function unsupported(version: number, suite: number): DecodeError {
  return { type: 'unsupported', version, suite }
}
