import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { atomicWriteFile } from '../home/files.ts'

/**
 * A small file beside the database, `<path>-key`: version ‖ salt ‖ HMAC-SHA256(key, label ‖ salt). SQLite answers "file is
 * not a database" both to a wrong key and to a damaged first page; this file tells the two apart. It commits to the key
 * and reveals nothing of it: the key is 32 random bytes, not a passphrase.
 */
const version = 1
const saltSize = 16
const tagSize = 32
const label = 'miaou store key check v1'

export type KeyCheck = 'right' | 'wrong' | 'absent'

function tagOf(key: Uint8Array, salt: Uint8Array): Buffer {
  return createHmac('sha256', key).update(label).update(salt).digest()
}

export function keyCheckPath(path: string): string {
  return `${path}-key`
}

/** Compares `key` with the file; `absent` when there is none or it cannot be read as one. */
export function checkKey(path: string, key: Uint8Array): KeyCheck {
  let bytes: Uint8Array
  try {
    bytes = readFileSync(keyCheckPath(path))
  } catch {
    return 'absent'
  }
  if (bytes.length !== 1 + saltSize + tagSize || bytes[0] !== version) return 'absent'
  const salt = bytes.subarray(1, 1 + saltSize)
  return timingSafeEqual(tagOf(key, salt), bytes.subarray(1 + saltSize)) ? 'right' : 'wrong'
}

/** Writes the file. Throws the system's error when it cannot. */
export function writeKeyCheck(path: string, key: Uint8Array): void {
  const salt = randomBytes(saltSize)
  atomicWriteFile(keyCheckPath(path), Buffer.concat([Buffer.of(version), salt, tagOf(key, salt)]))
}
