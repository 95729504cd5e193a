import {
  assert,
  ByteReader,
  ByteWriter,
  concatBytes,
  err,
  ok,
  type Random,
  type Result,
  textToBytes,
} from '@miaou/core'
import type { Argon2Cost, Crypto } from '@miaou/crypto'
import { type FileError, fileHeaderBytes, frameFile, unframeFile } from './sealed-file.ts'
import type { SecureStorage } from './storage.ts'

export type Protection = 'passphrase' | 'none'

/** The cost of a stored or asked derivation is outside the bounds: it would cost gigabytes or minutes, or nothing. */
export interface CostError {
  readonly type: 'cost-refused'
  readonly memoryKiB: number
  readonly passes: number
}

/** This machine did not give the memory that the derivation needs. */
export interface MemoryError {
  readonly type: 'out-of-memory'
  readonly memoryKiB: number
}

/** Argon2id of the passphrase: `size` bytes. `Crypto.argon2id` unless the host has one that gives its memory back. */
export type Stretch = (passphrase: Uint8Array, salt: Uint8Array, cost: Argon2Cost, size: number) => Uint8Array

/** The lock file, read: what stands between a passphrase and the data key. */
export interface Lock {
  readonly protection: Protection
  readonly cost: Argon2Cost
  /** 16 bytes. */
  readonly salt: Uint8Array
  /** 32 bytes: tells the right key-encryption key without trying the seal. */
  readonly commitment: Uint8Array
  /** 24 bytes. */
  readonly nonce: Uint8Array
  /** The 32-byte data key, sealed: 48 bytes. */
  readonly wrappedKey: Uint8Array
}

/** RFC 9106's second recommendation (64 MiB, 3 passes) with one lane: DECISIONS, "Key store at rest". */
export const defaultCost: Argon2Cost = { memoryKiB: 65_536, passes: 3, parallelism: 1 }
/** Bounds on a stored cost, so that a crafted file can neither exhaust the machine nor weaken the derivation to nothing. */
export const costMax: Readonly<Record<'memoryKiB' | 'passes', number>> = { memoryKiB: 1_048_576, passes: 10 }
// libsodium's crypto_pwhash_MEMLIMIT_MIN.
const memoryKiBMin = 8

export const lockName = 'keyring-lock'
export const plainKeyName = 'keyring-plain-key'
const lockMagic = 'MKRL'
const plainKeyMagic = 'MKRK'
const keyBytes = 32
const saltBytes = 16
const nonceBytes = 24
const wrappedBytes = keyBytes + 16
const empty = new Uint8Array(0)

export function isCostAllowed(cost: Argon2Cost): boolean {
  const { memoryKiB, passes, parallelism } = cost
  return (
    Number.isInteger(memoryKiB) &&
    Number.isInteger(passes) &&
    memoryKiB >= memoryKiBMin &&
    memoryKiB <= costMax.memoryKiB &&
    passes >= 1 &&
    passes <= costMax.passes &&
    parallelism === 1
  )
}

/** Body: protection u8 (0 none, 1 passphrase) ‖ memory KiB u32 ‖ passes u32 ‖ lanes u8 ‖ salt ‖ commitment ‖ nonce ‖ sealed key. */
export function encodeLock(crypto: Crypto, lock: Lock): Uint8Array {
  const writer = new ByteWriter(256).bytes(lockHeader(lock)).bytes(lock.nonce).bytes(lock.wrappedKey)
  return frameFile(crypto, lockMagic, writer.finish())
}

export function decodeLock(crypto: Crypto, bytes: Uint8Array): Result<Lock, FileError | CostError> {
  const body = unframeFile(crypto, lockName, lockMagic, bytes)
  if (!body.ok) return body
  const reader = new ByteReader(body.value)
  const protection = reader.u8()
  const [memoryKiB, passes, parallelism] = [reader.u32(), reader.u32(), reader.u8()]
  const salt = reader.bytes(saltBytes)
  const commitment = reader.bytes(keyBytes)
  const nonce = reader.bytes(nonceBytes)
  const wrappedKey = reader.bytes(wrappedBytes)
  if (!reader.finished() || protection > 1) return err({ type: 'damaged', what: lockName })
  const cost = { memoryKiB, passes, parallelism: 1 } as const
  if (parallelism !== 1 || !isCostAllowed(cost)) return err({ type: 'cost-refused', memoryKiB, passes })
  return ok({ protection: protection === 1 ? 'passphrase' : 'none', cost, salt, commitment, nonce, wrappedKey })
}

/**
 * What a lock file says opens it, undefined when there is none. Unchecked: whether it is whole, and whether the way
 * works, only opening tells. A file that says nothing sensible counts as protected.
 */
export function peekProtection(storage: SecureStorage): Protection | undefined {
  const bytes = storage.load(lockName)
  if (bytes === undefined) return undefined
  return bytes[fileHeaderBytes] === 0 ? 'none' : 'passphrase'
}

/** Closes a data key behind a root key: the stretched passphrase, or the plain key kept beside. */
export function closeLock(
  crypto: Crypto,
  random: Random,
  parts: Pick<Lock, 'protection' | 'cost' | 'salt'>,
  rootKey: Uint8Array,
  dataKey: Uint8Array,
): Lock {
  const keys = rootToKeys(crypto, rootKey)
  const lock = { ...parts, commitment: keys.commitment, nonce: random.bytes(nonceBytes), wrappedKey: empty }
  const wrappedKey = crypto.xchacha20Poly1305Seal(keys.encryption, lock.nonce, lockHeader(lock), dataKey)
  crypto.wipe(keys.encryption)
  return { ...lock, wrappedKey }
}

/** The data key. `wrong-key`: the root key is not the one that closed the lock. */
export function openLock(
  crypto: Crypto,
  lock: Lock,
  rootKey: Uint8Array,
): Result<Uint8Array, FileError | { readonly type: 'wrong-key' }> {
  const keys = rootToKeys(crypto, rootKey)
  if (!crypto.equal(keys.commitment, lock.commitment)) return err({ type: 'wrong-key' })
  const dataKey = crypto.xchacha20Poly1305Open(keys.encryption, lock.nonce, lockHeader(lock), lock.wrappedKey)
  crypto.wipe(keys.encryption)
  return dataKey === undefined ? err({ type: 'damaged', what: lockName }) : ok(dataKey)
}

/** Root key of a passphrase. */
export function stretchPassphrase(
  stretch: Stretch,
  passphrase: Uint8Array,
  salt: Uint8Array,
  cost: Argon2Cost,
): Result<Uint8Array, MemoryError> {
  try {
    const rootKey = stretch(passphrase, salt, cost, keyBytes)
    assert(rootKey.length === keyBytes, 'a root key has 32 bytes')
    return ok(rootKey)
  } catch {
    // Cost and sizes were checked: what is left for the derivation to fail of is memory.
    return err({ type: 'out-of-memory', memoryKiB: cost.memoryKiB })
  }
}

export function freshSalt(random: Random): Uint8Array {
  return random.bytes(saltBytes)
}

/** The root key in the clear, for a keyring without passphrase: a file of its own beside the lock. */
export function encodePlainKey(crypto: Crypto, rootKey: Uint8Array): Uint8Array {
  return frameFile(crypto, plainKeyMagic, rootKey)
}

export function decodePlainKey(crypto: Crypto, bytes: Uint8Array): Result<Uint8Array, FileError> {
  const body = unframeFile(crypto, plainKeyName, plainKeyMagic, bytes)
  if (body.ok && body.value.length !== keyBytes) return err({ type: 'damaged', what: plainKeyName })
  return body
}

// What the seal of the data key authenticates beside it.
function lockHeader(lock: Pick<Lock, 'protection' | 'cost' | 'salt' | 'commitment'>): Uint8Array {
  return new ByteWriter(64)
    .u8(lock.protection === 'passphrase' ? 1 : 0)
    .u32(lock.cost.memoryKiB)
    .u32(lock.cost.passes)
    .u8(lock.cost.parallelism)
    .bytes(concatBytes(lock.salt, lock.commitment))
    .finish()
}

// Two labels of one HKDF: the commitment binds the passphrase and tells nothing of the encryption key.
function rootToKeys(crypto: Crypto, rootKey: Uint8Array): { encryption: Uint8Array; commitment: Uint8Array } {
  const derive = (name: string): Uint8Array =>
    crypto.hkdfSha256(rootKey, empty, textToBytes(`Miaou-v0.2.0-keyring/${name}`), keyBytes)
  return { encryption: derive('encryption'), commitment: derive('commitment') }
}
