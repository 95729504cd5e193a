import {
  base64urlToBytes,
  bytesToBase64url,
  concatBytes,
  equalBytes,
  err,
  ok,
  type Result,
  textToBytes,
} from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { isKind, type StoredKey, secretBytesMax } from './entry.ts'

export type KeyExportError =
  /** Not a line that `exportKey` wrote. */
  | { readonly type: 'not-a-key' }
  /** It was one: a character is missing or wrong. */
  | { readonly type: 'bad-checksum' }

const prefix = 'miaou-key:1'
const checksumBytes = 4

/** `miaou-key:1:<kind>:<base64url of secret ‖ first 4 bytes of SHA-256 of all before>`. */
export function keyToExport(crypto: Crypto, key: StoredKey): string {
  const sum = exportChecksum(crypto, key.kind, key.secret)
  return `${prefix}:${key.kind}:${bytesToBase64url(concatBytes(key.secret, sum))}`
}

/** Kind and secret of an exported key; white space around it is ignored. */
export function parseKeyExport(
  crypto: Crypto,
  text: string,
): Result<{ readonly kind: string; readonly secret: Uint8Array }, KeyExportError> {
  const [name, version, kind, encoded, ...rest] = text.trim().split(':')
  if (`${name}:${version}` !== prefix || kind === undefined || encoded === undefined || rest.length > 0) {
    return err({ type: 'not-a-key' })
  }
  const bytes = encoded.length > 2 * secretBytesMax ? undefined : base64urlToBytes(encoded)
  if (!isKind(kind) || bytes === undefined || bytes.length <= checksumBytes) return err({ type: 'not-a-key' })
  const secret = bytes.slice(0, -checksumBytes)
  if (!equalBytes(exportChecksum(crypto, kind, secret), bytes.subarray(-checksumBytes))) {
    return err({ type: 'bad-checksum' })
  }
  return ok({ kind, secret })
}

function exportChecksum(crypto: Crypto, kind: string, secret: Uint8Array): Uint8Array {
  return crypto.sha256(concatBytes(textToBytes(`${prefix}:${kind}:`), secret)).slice(0, checksumBytes)
}
