import {
  assert,
  ByteReader,
  ByteWriter,
  bytesToHex,
  concatBytes,
  err,
  ok,
  type Random,
  type Result,
  textToBytes,
} from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { type FileError, frameFile, unframeFile } from './sealed-file.ts'

/** A key and what is known about it. */
export interface StoredKey {
  readonly keyId: string
  /** What the key is for, e.g. `account`, `device`, `link-static`: 1–32 lower-case letters, digits, hyphens. */
  readonly kind: string
  readonly secret: Uint8Array
  readonly publicKey?: Uint8Array
  /** Milliseconds since the Unix epoch, as the caller said. */
  readonly createdAt: number
}

/** A device list of 64 entries, 512 bytes each, is the largest thing kept here. */
export const secretBytesMax = 40_960
export const publicKeyBytesMax = 2048
export const keyIdBytesMax = 128

const entryMagic = 'MKRE'
const entryPrefix = 'key-'
const nonceBytes = 24
const empty = new Uint8Array(0)

/** True for 1 to 128 bytes of printable text: what a person may call a key. */
export function isKeyId(keyId: string): boolean {
  return /^[^\p{C}]+$/u.test(keyId) && textToBytes(keyId).length <= keyIdBytesMax
}

export function isKind(kind: string): boolean {
  return /^[a-z0-9-]{1,32}$/.test(kind)
}

/** Name of an entry's file: a keyed hash of its key id, so that the folder does not tell whose keys these are. */
export function entryName(crypto: Crypto, dataKey: Uint8Array, keyId: string): string {
  const nameKey = subkey(crypto, dataKey, 'names')
  return entryPrefix + bytesToHex(crypto.hmacSha256(nameKey, textToBytes(keyId)).subarray(0, 16))
}

export function isEntryName(name: string): boolean {
  return name.startsWith(entryPrefix)
}

/**
 * Body of an entry's file: kind (u16 length, text) ‖ nonce (24) ‖ sealed (key id, createdAt u64, public key, secret).
 * Each kind is sealed under a key of its own, and the seal binds kind and file name, hence key id: entries cannot be
 * swapped or renamed.
 */
export function encodeEntry(crypto: Crypto, random: Random, dataKey: Uint8Array, key: StoredKey): Uint8Array {
  assert(isKeyId(key.keyId) && isKind(key.kind), 'key id and kind were checked')
  const plaintext = new ByteWriter(256)
    .text16(key.keyId)
    .u64(key.createdAt)
    .bytes16(key.publicKey ?? empty)
    .bytes16(key.secret)
    .finish()
  const nonce = random.bytes(nonceBytes)
  const ad = entryAssociatedData(entryName(crypto, dataKey, key.keyId), key.kind)
  const sealed = crypto.xchacha20Poly1305Seal(entryKey(crypto, dataKey, key.kind), nonce, ad, plaintext)
  crypto.wipe(plaintext)
  const body = new ByteWriter(64 + sealed.length).text16(key.kind).bytes(nonce).bytes(sealed).finish()
  return frameFile(crypto, entryMagic, body)
}

/** The key inside the file called `name`. */
export function decodeEntry(
  crypto: Crypto,
  dataKey: Uint8Array,
  name: string,
  bytes: Uint8Array,
): Result<StoredKey, FileError> {
  const body = unframeFile(crypto, name, entryMagic, bytes)
  if (!body.ok) return body
  const reader = new ByteReader(body.value)
  const kind = reader.text16(32)
  const nonce = reader.bytes(nonceBytes)
  const sealed = reader.rest(body.value.length)
  if (reader.failed || !isKind(kind)) return err({ type: 'damaged', what: name })
  const ad = entryAssociatedData(name, kind)
  const plaintext = crypto.xchacha20Poly1305Open(entryKey(crypto, dataKey, kind), nonce, ad, sealed)
  const key = plaintext === undefined ? undefined : decodePlaintext(kind, plaintext)
  if (plaintext !== undefined) crypto.wipe(plaintext)
  if (key === undefined || entryName(crypto, dataKey, key.keyId) !== name) return err({ type: 'damaged', what: name })
  return ok(key)
}

/** A subkey of the data key, 32 bytes: HKDF-SHA256, info `Miaou-v0.2.0-keyring/<name>`. */
export function subkey(crypto: Crypto, dataKey: Uint8Array, name: string): Uint8Array {
  return crypto.hkdfSha256(dataKey, empty, textToBytes(`Miaou-v0.2.0-keyring/${name}`), 32)
}

function entryKey(crypto: Crypto, dataKey: Uint8Array, kind: string): Uint8Array {
  return subkey(crypto, dataKey, `entry/${kind}`)
}

function entryAssociatedData(name: string, kind: string): Uint8Array {
  return concatBytes(textToBytes(`Miaou-v0.2.0-keyring-entry`), Uint8Array.of(0), textToBytes(`${name}/${kind}`))
}

function decodePlaintext(kind: string, plaintext: Uint8Array): StoredKey | undefined {
  const reader = new ByteReader(plaintext)
  const keyId = reader.text16(keyIdBytesMax)
  const createdAt = reader.u64()
  const publicKey = reader.bytes16(publicKeyBytesMax)
  const secret = reader.bytes16(secretBytesMax)
  if (!reader.finished()) return undefined
  return { keyId, kind, secret, createdAt, ...(publicKey.length === 0 ? {} : { publicKey }) }
}
