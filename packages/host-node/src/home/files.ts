import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'

/** Only the owner reads, writes and enters. */
export const directoryMode = 0o700
/** Only the owner reads and writes. */
export const fileMode = 0o600

/**
 * Creates `path` and its missing parents, readable by the owner only and durable; an existing folder is closed to
 * others.
 */
export function makePrivateDirectory(path: string): void {
  const whole = resolve(path)
  const first = mkdirSync(whole, { recursive: true, mode: directoryMode })
  if (process.platform === 'win32') return
  chmodSync(whole, directoryMode)
  if (first === undefined) return
  for (let made = whole; made.length >= first.length; made = dirname(made)) {
    try {
      syncDirectory(dirname(made))
    } catch {
      // A parent that may be entered and not read cannot be synced; the folder is there all the same.
    }
  }
}

/** Makes a rename or a removal inside `directory` durable. Windows cannot open a folder for this and does not need it. */
export function syncDirectory(directory: string): void {
  if (process.platform === 'win32') return
  const descriptor = openSync(directory, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

const temporaryPattern = /\.[0-9a-f]{12}\.tmp$/

/**
 * Removes what writes that a crash cut off left in `directory`: such a file may hold a lock that another passphrase
 * opens. Only for the one who holds the home.
 */
export function removeTemporaryFiles(directory: string): void {
  for (const name of readdirSync(directory)) if (temporaryPattern.test(name)) rmSync(join(directory, name))
}

/**
 * Replaces `path` by `bytes`, so that a crash at any point leaves either the whole old file or the whole new one:
 * temporary file, fsync, rename, fsync of the folder. Mode 0600. Throws the system's error and leaves no temporary file.
 */
export function atomicWriteFile(path: string, bytes: Uint8Array): void {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    const descriptor = openSync(temporary, 'wx', fileMode)
    try {
      let written = 0
      while (written < bytes.length) written += writeSync(descriptor, bytes, written)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    renameSync(temporary, path)
  } catch (thrown) {
    rmSync(temporary, { force: true })
    throw thrown
  }
  syncDirectory(dirname(path))
}
