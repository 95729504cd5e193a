import { assert, err, ok, type Random, type Result } from '@miaou/core'
import type { Argon2Cost, Crypto } from '@miaou/crypto'
import {
  decodeEntry,
  encodeEntry,
  entryName,
  isEntryName,
  isKeyId,
  isKind,
  publicKeyBytesMax,
  type StoredKey,
  secretBytesMax,
  subkey,
} from './entry.ts'
import { keyToExport } from './export.ts'
import {
  type CostError,
  closeLock,
  decodeLock,
  decodePlainKey,
  defaultCost,
  encodeLock,
  encodePlainKey,
  freshSalt,
  isCostAllowed,
  type Lock,
  lockName,
  type MemoryError,
  openLock,
  type Protection,
  plainKeyName,
  type Stretch,
  stretchPassphrase,
} from './lock.ts'
import type { FileError } from './sealed-file.ts'
import type { SecureStorage } from './storage.ts'

export interface OpenKeyringOptions {
  readonly crypto: Crypto
  readonly random: Random
  readonly storage: SecureStorage
  /** UTF-8 of the passphrase; undefined for a keyring without one. The array is left as it is. */
  readonly passphrase: Uint8Array | undefined
  /** Default `crypto.argon2id`, whose WebAssembly memory stays allocated (64 MiB) until the process ends. */
  readonly stretch?: Stretch
  /** Keys kept at most. Default 1000 (guess: a person has tens). */
  readonly keysMax?: number
}

export interface CreateKeyringOptions extends OpenKeyringOptions {
  /** Default `defaultCost`: 64 MiB, 3 passes. */
  readonly cost?: Argon2Cost
}

export type CreateKeyringError =
  /** There is a keyring in this storage already; it is left alone. */
  { readonly type: 'keyring-exists' } | { readonly type: 'empty-passphrase' } | CostError | MemoryError

export type OpenKeyringError =
  | { readonly type: 'no-keyring' }
  | { readonly type: 'passphrase-needed' }
  | { readonly type: 'wrong-passphrase' }
  | FileError
  | CostError
  | MemoryError

export type PutKeyError =
  /** A key of this id is there: it is never overwritten, remove it first. */
  | { readonly type: 'key-exists'; readonly keyId: string }
  /** Not 1–128 bytes of printable text. */
  | { readonly type: 'invalid-key-id'; readonly keyId: string }
  | { readonly type: 'keyring-full'; readonly keysMax: number }

export type GetKeyError = { readonly type: 'unknown-key'; readonly keyId: string } | FileError

/** What may be shown of a key. */
export type KeyDescription = Omit<StoredKey, 'secret'>

export interface KeyInfo {
  /** Milliseconds since the Unix epoch. */
  readonly createdAt: number
  readonly publicKey?: Uint8Array
}

const keysMaxDefault = 1000

/** Makes a keyring in an empty storage. Without a passphrase its key lies beside it in the clear. */
export function createKeyring(options: CreateKeyringOptions): Result<Keyring, CreateKeyringError> {
  const { crypto, random, storage, passphrase } = options
  if (storage.load(lockName) !== undefined) return err({ type: 'keyring-exists' })
  const dataKey = random.bytes(32)
  const written = writeLock(options, passphrase, options.cost ?? defaultCost, dataKey)
  if (!written.ok) return written
  return ok(new Keyring({ ...options, dataKey, lock: written.value, random, crypto, storage }))
}

/**
 * Opens the keyring of a storage. A passphrase given for a keyring without one is ignored: see `protection`.
 * `wrong-passphrase` and `damaged` exclude each other: the lock file has a checksum and commits to its key.
 */
export function openKeyring(options: OpenKeyringOptions): Result<Keyring, OpenKeyringError> {
  const { crypto, storage, passphrase } = options
  const bytes = storage.load(lockName)
  if (bytes === undefined) return err({ type: 'no-keyring' })
  const lock = decodeLock(crypto, bytes)
  if (!lock.ok) return lock
  const isProtected = lock.value.protection === 'passphrase'
  if (isProtected && passphrase === undefined) return err({ type: 'passphrase-needed' })
  const rootKey =
    isProtected && passphrase !== undefined
      ? stretchPassphrase(stretchOf(options), passphrase, lock.value.salt, lock.value.cost)
      : loadPlainKey(crypto, storage)
  if (!rootKey.ok) return rootKey
  const dataKey = openLock(crypto, lock.value, rootKey.value)
  crypto.wipe(rootKey.value)
  if (!dataKey.ok) {
    if (dataKey.error.type !== 'wrong-key') return err(dataKey.error)
    return err(isProtected ? { type: 'wrong-passphrase' } : { type: 'damaged', what: plainKeyName })
  }
  // A crash between the two writes of `changePassphrase` leaves the old plain key behind.
  if (isProtected) storage.remove(plainKeyName)
  return ok(new Keyring({ ...options, dataKey: dataKey.value, lock: lock.value }))
}

/**
 * The open keyring: keys at rest under their key ids. Every key is a file of its own, sealed under the data key, so that
 * one of them (the account key) can be taken away and one that is damaged does not cost the others.
 */
export class Keyring {
  readonly #options: OpenKeyringOptions
  readonly #key: Uint8Array
  #lock: Lock
  #isClosed = false

  /** Only `createKeyring` and `openKeyring` make one. */
  constructor(options: OpenKeyringOptions & { readonly dataKey: Uint8Array; readonly lock: Lock }) {
    const { dataKey, lock, ...rest } = options
    this.#options = rest
    this.#key = dataKey
    this.#lock = lock
  }

  /** The overwritten key is one that everybody knows: nothing may be sealed, locked or named with it. */
  get #dataKey(): Uint8Array {
    assert(!this.#isClosed, 'a closed keyring is not used')
    return this.#key
  }

  get protection(): Protection {
    return this.#lock.protection
  }

  /** Stores a key. `kind`: see `StoredKey`. `secret`: 1–40,960 bytes, copied. */
  put(keyId: string, kind: string, secret: Uint8Array, info: KeyInfo): Result<void, PutKeyError> {
    const { crypto, random, storage, keysMax = keysMaxDefault } = this.#options
    assert(isKind(kind), 'a kind has 1 to 32 lower-case letters, digits and hyphens')
    assert(secret.length >= 1 && secret.length <= secretBytesMax, 'a secret has 1 to 40,960 bytes')
    assert((info.publicKey?.length ?? 0) <= publicKeyBytesMax, 'a public key has at most 2048 bytes')
    if (!isKeyId(keyId)) return err({ type: 'invalid-key-id', keyId })
    const name = entryName(crypto, this.#dataKey, keyId)
    if (storage.load(name) !== undefined) return err({ type: 'key-exists', keyId })
    if (storage.names().filter(isEntryName).length >= keysMax) return err({ type: 'keyring-full', keysMax })
    storage.store(name, encodeEntry(crypto, random, this.#dataKey, { ...info, keyId, kind, secret }))
    return ok(undefined)
  }

  get(keyId: string): Result<StoredKey, GetKeyError> {
    const { crypto, storage } = this.#options
    const name = entryName(crypto, this.#dataKey, keyId)
    const bytes = storage.load(name)
    if (bytes === undefined) return err({ type: 'unknown-key', keyId })
    return decodeEntry(crypto, this.#dataKey, name, bytes)
  }

  /** What is known of every readable key, oldest first. */
  list(): KeyDescription[] {
    const keys: KeyDescription[] = []
    for (const entry of this.#entries()) {
      if (!entry.ok) continue
      const { secret, ...description } = entry.value
      this.#options.crypto.wipe(secret)
      keys.push(description)
    }
    return keys.sort((a, b) => a.createdAt - b.createdAt || (a.keyId < b.keyId ? -1 : 1))
  }

  /** The entries that `list` leaves out, and why. */
  problems(): FileError[] {
    return this.#entries().flatMap((entry) => {
      if (!entry.ok) return [entry.error]
      this.#options.crypto.wipe(entry.value.secret)
      return []
    })
  }

  /** True when a key of this id was there. A damaged one can be removed too. */
  remove(keyId: string): boolean {
    const { crypto, storage } = this.#options
    const name = entryName(crypto, this.#dataKey, keyId)
    if (storage.load(name) === undefined) return false
    storage.remove(name)
    return true
  }

  /** The key as one line of text **in the clear**, to be read back by `parseKeyExport`. */
  exportKey(keyId: string): Result<string, GetKeyError> {
    const key = this.get(keyId)
    return key.ok ? ok(keyToExport(this.#options.crypto, key.value)) : key
  }

  /**
   * Locks the same data key behind another passphrase, or behind none. One atomic write decides; the keys themselves
   * are not touched. `cost`: default that of the present lock.
   */
  changePassphrase(
    passphrase: Uint8Array | undefined,
    cost: Argon2Cost = this.#lock.cost,
  ): Result<void, Exclude<CreateKeyringError, { type: 'keyring-exists' }>> {
    // Another plain key would be no better, and replacing both files is not atomic.
    if (passphrase === undefined && this.protection === 'none') return ok(undefined)
    const written = writeLock(this.#options, passphrase, cost, this.#dataKey)
    if (!written.ok) return written
    this.#lock = written.value
    return ok(undefined)
  }

  /** The 32-byte key of a store kept beside the keyring, e.g. of the database: `purpose` names it. */
  storeKey(purpose: string): Uint8Array {
    assert(/^[a-z0-9-]+$/.test(purpose), 'a purpose has lower-case letters, digits and hyphens')
    return subkey(this.#options.crypto, this.#dataKey, `store/${purpose}`)
  }

  /** Overwrites the data key: using the keyring afterwards is our bug. */
  close(): void {
    this.#isClosed = true
    this.#options.crypto.wipe(this.#key)
  }

  #entries(): Result<StoredKey, FileError>[] {
    const { crypto, storage } = this.#options
    return storage
      .names()
      .filter(isEntryName)
      .sort()
      .map((name) => decodeEntry(crypto, this.#dataKey, name, storage.load(name) ?? new Uint8Array(0)))
  }
}

function writeLock(
  options: OpenKeyringOptions,
  passphrase: Uint8Array | undefined,
  cost: Argon2Cost,
  dataKey: Uint8Array,
): Result<Lock, Exclude<CreateKeyringError, { type: 'keyring-exists' }>> {
  const { crypto, random, storage } = options
  if (passphrase?.length === 0) return err({ type: 'empty-passphrase' })
  if (!isCostAllowed(cost)) return err({ type: 'cost-refused', memoryKiB: cost.memoryKiB, passes: cost.passes })
  const salt = freshSalt(random)
  const protection = passphrase === undefined ? 'none' : 'passphrase'
  const rootKey =
    passphrase === undefined ? ok(random.bytes(32)) : stretchPassphrase(stretchOf(options), passphrase, salt, cost)
  if (!rootKey.ok) return rootKey
  const lock = closeLock(crypto, random, { protection, cost, salt }, rootKey.value, dataKey)
  // The lock decides what opens the keyring: its key is there before it, and goes after it.
  if (passphrase === undefined) storage.store(plainKeyName, encodePlainKey(crypto, rootKey.value))
  storage.store(lockName, encodeLock(crypto, lock))
  if (passphrase !== undefined) storage.remove(plainKeyName)
  crypto.wipe(rootKey.value)
  return ok(lock)
}

function loadPlainKey(crypto: Crypto, storage: SecureStorage): Result<Uint8Array, FileError> {
  const bytes = storage.load(plainKeyName)
  return bytes === undefined ? err({ type: 'damaged', what: plainKeyName }) : decodePlainKey(crypto, bytes)
}

function stretchOf(options: OpenKeyringOptions): Stretch {
  return options.stretch ?? ((passphrase, salt, cost, size) => options.crypto.argon2id(passphrase, salt, cost, size))
}
