import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { assert } from '@miaou/core'
import type { SecureStorage } from '@miaou/keyring'
import { atomicWriteFile, makePrivateDirectory, syncDirectory } from './files.ts'

const namePattern = /^[a-z0-9][a-z0-9-]{0,127}$/

function isMissing(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT'
}

/**
 * Adapter of the port `SecureStorage`: one file a name in `directory`, which is made at the first write (0700, files
 * 0600). A write is atomic and durable when it returns; when the system refuses it throws, and the old bytes stay.
 */
export function fileSecureStorage(directory: string): SecureStorage {
  const pathOf = (name: string): string => {
    assert(namePattern.test(name), 'names of secure storage hold lower-case letters, digits and hyphens')
    return join(directory, name)
  }
  return {
    load(name) {
      try {
        return new Uint8Array(readFileSync(pathOf(name)))
      } catch (thrown) {
        if (isMissing(thrown)) return undefined
        throw thrown
      }
    },
    store(name, bytes) {
      const path = pathOf(name)
      makePrivateDirectory(directory)
      atomicWriteFile(path, bytes)
    },
    remove(name) {
      try {
        rmSync(pathOf(name))
      } catch (thrown) {
        if (isMissing(thrown)) return
        throw thrown
      }
      syncDirectory(directory)
    },
    names() {
      try {
        // What a crash left of a write (`….tmp`) is no name.
        return readdirSync(directory)
          .filter((name) => namePattern.test(name))
          .sort()
      } catch (thrown) {
        if (isMissing(thrown)) return []
        throw thrown
      }
    },
  }
}
