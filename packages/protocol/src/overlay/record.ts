import { assert, type ByteReader, type ByteWriter, concatBytes, err, ok, type Result, textToBytes } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { decodeSigned, finishSigned, isSignedBy, type SignedStructure, signatureSize } from '../signed.ts'
import { type DecodeError, startStructure, structureSuite, structureVersion, writeExtensions } from '../structure.ts'

/**
 * What the overlay stores (DECISIONS "Overlay"): a content-addressed value, key = SHA-256(value), or a signed record,
 * key = SHA-256(publicKey ‖ salt). `salt`: ≤ 64 bytes. `sequence`: below 2^53. `signature`: 64 bytes, under a label.
 */
export type OverlayRecord =
  | { readonly type: 'value'; readonly value: Uint8Array }
  | {
      readonly type: 'signed'
      readonly publicKey: Uint8Array
      readonly salt: Uint8Array
      readonly sequence: number
      readonly value: Uint8Array
      readonly signature: Uint8Array
    }

export type SignedOverlayRecord = OverlayRecord & { readonly type: 'signed' }

/** What `signRecord` signs, and with what. `secretKey`: the 32-byte Ed25519 seed of `publicKey`. */
export interface RecordToSign {
  readonly secretKey: Uint8Array
  readonly publicKey: Uint8Array
  /** At most 64 bytes: tells the records of one key apart. */
  readonly salt: Uint8Array
  /** Integer, 0 to 2^53 − 1: the higher one replaces the lower. */
  readonly sequence: number
  /** Up to 824 bytes, and one more for each byte that the salt is shorter than 64. */
  readonly value: Uint8Array
}

/** A record that is what its key says. */
export interface VerifiedRecord {
  readonly record: OverlayRecord
  /** Where it is stored, 32 bytes. */
  readonly key: Uint8Array
}

/** `inadmissible-key`: not canonical or of small order. `invalid-signature`: its public key did not sign this. */
export type RecordError = DecodeError | { readonly type: 'inadmissible-key' } | { readonly type: 'invalid-signature' }

/** DECISIONS "Storing": whole encoded record. */
export const recordSizeMax = 1000
/** Own choice: a name, or a hash in hexadecimal. */
export const recordSaltSizeMax = 64
/** Version, suite and kind; the value follows to the end. */
export const valueRecordOverhead = 3
/** Version 1, suite 1, kind 1, key 32, salt size 1, sequence 8, value size 2, extensions 2, signature 64. */
export const signedRecordOverhead = 112
/** Kind byte of a record. */
export const recordKinds = { value: 1, signed: 2 } as const
/** Salt of the record in which `miaou dht put signing` publishes a key (rows I07, I08). */
export const signingRecordSalt: Uint8Array = textToBytes('signing')

const label = 'overlay-record'
const what = 'overlay record'

/** Bytes of a record, at most 1,000. Asserts the sizes that `OverlayRecord` states and a value that is not empty. */
export function encodeRecord(record: OverlayRecord): Uint8Array {
  if (record.type === 'value') {
    assert(record.value.length > 0, 'a content-addressed value is not empty')
    assert(record.value.length + valueRecordOverhead <= recordSizeMax, 'a record has 1,000 bytes at most')
    return startStructure().u8(recordKinds.value).bytes(record.value).finish()
  }
  assert(record.signature.length === signatureSize, 'a signature has 64 bytes')
  return concatBytes(writeExtensions(startSigned(record)).finish(), record.signature)
}

/** A signed record, encoded. Asserts sizes as `encodeRecord` does. */
export function signRecord(crypto: Crypto, { secretKey, ...fields }: RecordToSign): Uint8Array {
  return finishSigned(crypto, label, startSigned(fields), secretKey)
}

/** Takes a record apart without checking key or signature. The result holds copies. */
export function decodeRecord(bytes: Uint8Array): Result<OverlayRecord, DecodeError> {
  if (isValueRecord(bytes)) return decodeValue(bytes)
  const signed = decodeSignedRecord(bytes)
  if (!signed.ok) return signed
  const { value, signature } = signed.value
  return ok({ type: 'signed', ...value, signature })
}

/**
 * The record in `bytes` and its key, when its public key is admissible and signed all of it; a content-addressed one
 * proves itself by its key. Takes bytes, since the signature also covers extensions that this version skips.
 */
export function verifyRecord(crypto: Crypto, bytes: Uint8Array): Result<VerifiedRecord, RecordError> {
  if (isValueRecord(bytes)) {
    const record = decodeValue(bytes)
    return record.ok ? ok({ record: record.value, key: recordKey(crypto, record.value) }) : record
  }
  const signed = decodeSignedRecord(bytes)
  if (!signed.ok) return signed
  const { value, signature } = signed.value
  if (!isSignedBy(crypto, label, signed.value, value.publicKey)) return err({ type: 'invalid-signature' })
  if (!crypto.ed25519IsAdmissible(value.publicKey)) return err({ type: 'inadmissible-key' })
  const record = { type: 'signed', ...value, signature } as const
  return ok({ record, key: recordKey(crypto, record) })
}

/** Where a record is stored: 32 bytes. */
export function recordKey(crypto: Pick<Crypto, 'sha256'>, record: OverlayRecord): Uint8Array {
  return record.type === 'value' ? crypto.sha256(record.value) : signedRecordKey(crypto, record.publicKey, record.salt)
}

/** Where the signed record of a key (a peer id's 32 bytes, say) and a salt is stored. Asserts their sizes. */
export function signedRecordKey(crypto: Pick<Crypto, 'sha256'>, publicKey: Uint8Array, salt: Uint8Array): Uint8Array {
  // A key of fixed size keeps the joint unambiguous.
  assert(publicKey.length === 32 && salt.length <= recordSaltSizeMax, 'a record has a key and a short salt')
  return crypto.sha256(concatBytes(publicKey, salt))
}

/** The overlay engine's `RecordRules`: undefined for bytes that are no valid record. */
export function createRecordRules(crypto: Crypto): {
  check(record: Uint8Array): { readonly key: Uint8Array; readonly sequence: number | undefined } | undefined
} {
  return {
    check: (bytes) => {
      const verified = verifyRecord(crypto, bytes)
      if (!verified.ok) return undefined
      const { record, key } = verified.value
      return { key, sequence: record.type === 'signed' ? record.sequence : undefined }
    },
  }
}

type SignedFields = Pick<SignedOverlayRecord, 'publicKey' | 'salt' | 'sequence' | 'value'>

function startSigned({ publicKey, salt, sequence, value }: SignedFields): ByteWriter {
  assert(publicKey.length === 32 && salt.length <= recordSaltSizeMax, 'a record has a key and a short salt')
  assert(signedRecordOverhead + salt.length + value.length <= recordSizeMax, 'a record has 1,000 bytes at most')
  return startStructure()
    .u8(recordKinds.signed)
    .bytes(publicKey)
    .u8(salt.length)
    .bytes(salt)
    .u64(sequence)
    .bytes16(value)
}

function isValueRecord(bytes: Uint8Array): boolean {
  return bytes[2] === recordKinds.value
}

/**
 * Without extensions: its key covers the value only, so whoever holds it could add some, and one value would have many
 * encodings.
 */
function decodeValue(bytes: Uint8Array): Result<OverlayRecord, DecodeError> {
  const [version = 0, suite = 0] = bytes
  if (bytes.length <= valueRecordOverhead || bytes.length > recordSizeMax) return err({ type: 'malformed', what })
  if (version !== structureVersion || suite !== structureSuite) return err({ type: 'unsupported', version, suite })
  return ok({ type: 'value', value: bytes.slice(valueRecordOverhead) })
}

function decodeSignedRecord(bytes: Uint8Array): Result<SignedStructure<SignedFields>, DecodeError> {
  return decodeSigned({ what, sizeMax: recordSizeMax - signatureSize, read: readSigned }, bytes)
}

function readSigned(reader: ByteReader): SignedFields {
  if (reader.u8() !== recordKinds.signed) reader.fail()
  const publicKey = reader.bytes(32)
  const saltSize = reader.u8()
  if (saltSize > recordSaltSizeMax) reader.fail()
  return { publicKey, salt: reader.bytes(saltSize), sequence: reader.u64(), value: reader.bytes16(recordSizeMax) }
}
