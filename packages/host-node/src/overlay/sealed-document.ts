import { readFileSync, renameSync, statSync } from 'node:fs'
import {
  ByteReader,
  ByteWriter,
  concatBytes,
  equalBytes,
  err,
  ok,
  type Random,
  type Result,
  textToBytes,
} from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { atomicWriteFile } from '../home/files.ts'

export interface SealedDocumentOptions {
  readonly crypto: Pick<Crypto, 'xchacha20Poly1305Seal' | 'xchacha20Poly1305Open'>
  readonly random: Random
  readonly path: string
  /** 32 bytes: `keyring.storeKey` of a purpose of the document's own. */
  readonly key: Uint8Array
  /** Four letters that tell what the file is. */
  readonly magic: string
  /** Bytes of the largest body. */
  readonly bodySizeMax: number
}

/** What is wrong with a document that is there. It has been moved to `<path>.damaged` where the system let us. */
export interface DocumentDamaged {
  readonly type: 'damaged' | 'unreadable'
  readonly detail: string
}

export interface DocumentUnwritable {
  readonly type: 'unwritable'
  /** The system's code, such as `ENOSPC`. */
  readonly code: string
}

const version = 1
/** Suite 1: XChaCha20-Poly1305. */
const suite = 1
const nonceSize = 24
const headerSize = 6
const tagSize = 16

/**
 * One file that only this home can read: magic 4 ‖ version u8 ‖ suite u8 ‖ nonce 24 ‖ sealed body, the first six bytes as
 * associated data. A write is whole or not at all. For what a node can do without: a file that cannot be read is put
 * aside, not fatal.
 */
export class SealedDocument {
  readonly #options: SealedDocumentOptions
  readonly #header: Uint8Array

  constructor(options: SealedDocumentOptions) {
    this.#options = options
    this.#header = new ByteWriter(headerSize).bytes(textToBytes(options.magic)).u8(version).u8(suite).finish()
  }

  /** The body, or undefined where there is no file. */
  load(): Result<Uint8Array | undefined, DocumentDamaged> {
    const { path, bodySizeMax } = this.#options
    const sizeMax = headerSize + nonceSize + bodySizeMax + tagSize
    let bytes: Uint8Array
    try {
      // Looked at first: a pipe would be waited for, and what is far too large would fill the memory.
      const stats = statSync(path)
      if (!stats.isFile()) return err({ type: 'unreadable', detail: 'it is no file' })
      if (stats.size > sizeMax) return err(this.putAside(`it has more than ${sizeMax} bytes`))
      bytes = new Uint8Array(readFileSync(path))
    } catch (error) {
      const code = codeOf(error)
      return code === 'ENOENT' ? ok(undefined) : err({ type: 'unreadable', detail: code })
    }
    const body = this.#open(bytes)
    return body === undefined ? err(this.putAside('its bytes are not those that were written')) : ok(body)
  }

  /** Keeps a file that cannot be used out of the way, for whoever wants to look at it. */
  putAside(detail: string): DocumentDamaged {
    try {
      renameSync(this.#options.path, `${this.#options.path}.damaged`)
    } catch {
      // It stays, and the next write replaces it.
    }
    return { type: 'damaged', detail }
  }

  store(body: Uint8Array): Result<undefined, DocumentUnwritable> {
    const { crypto, random, path, key } = this.#options
    const nonce = random.bytes(nonceSize)
    const sealed = crypto.xchacha20Poly1305Seal(key, nonce, this.#header, body)
    try {
      atomicWriteFile(path, concatBytes(this.#header, nonce, sealed))
      return ok(undefined)
    } catch (error) {
      return err({ type: 'unwritable', code: codeOf(error) })
    }
  }

  #open(bytes: Uint8Array): Uint8Array | undefined {
    const { crypto, key } = this.#options
    const reader = new ByteReader(bytes)
    const header = reader.bytes(headerSize)
    const nonce = reader.bytes(nonceSize)
    if (reader.failed || reader.remaining < tagSize || !equalBytes(header, this.#header)) return undefined
    return crypto.xchacha20Poly1305Open(key, nonce, header, bytes.subarray(headerSize + nonceSize))
  }
}

/** The code of a system's error. Anything else is a bug of ours, and thrown on. */
function codeOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code
  throw error
}
