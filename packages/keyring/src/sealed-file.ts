import { ByteReader, ByteWriter, equalBytes, err, ok, type Result, textToBytes } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'

export type FileError =
  /** The file is there, its bytes are not those that were written. */
  | { readonly type: 'damaged'; readonly what: string }
  /** The file is whole and was written by a later Miaou. */
  | { readonly type: 'unsupported-version'; readonly what: string; readonly version: number }

export const formatVersion = 1
/** Suite 1: Argon2id, HKDF-SHA256, XChaCha20-Poly1305. */
export const formatSuite = 1

const magicBytes = 4
const checksumBytes = 32
/** Bytes in front of the body. */
export const fileHeaderBytes: number = magicBytes + 2

/**
 * Every file of the keyring: magic (4 bytes) ‖ version u8 ‖ suite u8 ‖ body ‖ SHA-256 of all before it. The checksum
 * has no key: it tells damage from a wrong passphrase, not an attacker from the owner (the seals inside do that).
 */
export function frameFile(crypto: Crypto, magic: string, body: Uint8Array): Uint8Array {
  const bytes = new ByteWriter(magicBytes + 2 + body.length)
    .bytes(textToBytes(magic))
    .u8(formatVersion)
    .u8(formatSuite)
    .bytes(body)
    .finish()
  return new ByteWriter(bytes.length + checksumBytes).bytes(bytes).bytes(crypto.sha256(bytes)).finish()
}

/** Body of a whole file of this format. `what` names the file in errors. */
export function unframeFile(
  crypto: Crypto,
  what: string,
  magic: string,
  bytes: Uint8Array,
): Result<Uint8Array, FileError> {
  const size = bytes.length - checksumBytes
  if (size < magicBytes + 2) return err({ type: 'damaged', what })
  const checked = bytes.subarray(0, size)
  if (!equalBytes(crypto.sha256(checked), bytes.subarray(size))) return err({ type: 'damaged', what })
  const reader = new ByteReader(checked)
  if (!equalBytes(reader.bytes(magicBytes), textToBytes(magic))) return err({ type: 'damaged', what })
  const version = reader.u8()
  const suite = reader.u8()
  if (version !== formatVersion || suite !== formatSuite) return err({ type: 'unsupported-version', what, version })
  return ok(reader.rest(size))
}
