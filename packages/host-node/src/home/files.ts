import { randomBytes } from 'node:crypto'
import { chmodSync, closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** Only the owner reads, writes and enters. */
export const directoryMode = 0o700
/** Only the owner reads and writes. */
export const fileMode = 0o600

/** Creates `path` and its missing parents, readable by the owner only; an existing folder is closed to others. */
export function makePrivateDirectory(path: string): void {
  mkdirSync(path, { recursive: true, mode: directoryMode })
  if (process.platform !== 'win32') chmodSync(path, directoryMode)
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
