import type { Random, Result } from '@miaou/core'
import { assert, ByteReader, ByteWriter, err, ok } from '@miaou/core'
import type { Crypto, KeyPair } from '../suite.ts'
import { deriveStartKeys, stepRoot } from './kdf.ts'

/** Version byte of a stored state. */
export const ratchetStateVersion = 1
/** Suite byte of states and messages: X25519, HKDF-SHA-256 and HMAC-SHA-256, XChaCha20-Poly1305. */
export const ratchetSuite = 1
/** Largest encoded state: one with a chain each way. */
export const ratchetStateBytesMax: number = 3 + 32 + 64 + 8 + 4 + 64 + 68 + 68

// A responder begins with neither chain, an initiator with the sending one; both have both ever after.
const flagSending = 1
const flagReceiving = 2

/** A symmetric chain in one direction. */
export interface RatchetChain {
  readonly headerKey: Uint8Array
  readonly chainKey: Uint8Array
  /** Number of the chain's next message (u32). */
  readonly number: number
}

/**
 * All that one side of a session keeps, but for the skipped message keys (`SkippedKeys`). Immutable: each step returns
 * a new one, and the caller stores that one, by `encodeRatchetState`, before the message leaves or in the transaction
 * that stores the plaintext. Dropping the old state is what gives forward secrecy.
 */
export interface RatchetState {
  readonly rootKey: Uint8Array
  /** Our current ratchet key. */
  readonly ratchetKey: KeyPair
  /** Undefined until the responder has heard the first message. */
  readonly sending: RatchetChain | undefined
  /** Undefined until the first message of the other side has been decrypted. */
  readonly receiving: RatchetChain | undefined
  /** How many receiving chains there have been: the current one's index, 0 before the first. */
  readonly receivingIndex: number
  /** Length of our previous sending chain (u32). */
  readonly previousCount: number
  readonly nextSendingHeaderKey: Uint8Array
  readonly nextReceivingHeaderKey: Uint8Array
}

export interface StartRatchetInitiatorOptions {
  readonly crypto: Crypto
  readonly random: Random
  /** The PQXDH secret, 32 bytes. */
  readonly secret: Uint8Array
  /** The responder's signed prekey, which is its first ratchet key. */
  readonly remoteRatchetKey: Uint8Array
}

/** The initiator's first state (Double Ratchet §4.4). */
export function startRatchetInitiator(options: StartRatchetInitiatorOptions): RatchetState {
  const { crypto, random, secret, remoteRatchetKey } = options
  assert(secret.length === 32, 'a PQXDH secret has 32 bytes')
  const ratchetKey = crypto.x25519KeyPair(random.bytes(32))
  const agreement = crypto.x25519(ratchetKey.secretKey, remoteRatchetKey)
  assert(agreement !== undefined, 'PQXDH has refused prekeys with an all-zero agreement')
  const start = deriveStartKeys(crypto, secret)
  const step = stepRoot(crypto, start.rootKey, agreement)
  return {
    rootKey: step.rootKey,
    ratchetKey,
    sending: { headerKey: start.initiatorHeaderKey, chainKey: step.chainKey, number: 0 },
    receiving: undefined,
    receivingIndex: 0,
    previousCount: 0,
    nextSendingHeaderKey: step.nextHeaderKey,
    nextReceivingHeaderKey: start.responderHeaderKey,
  }
}

export interface StartRatchetResponderOptions {
  readonly crypto: Crypto
  /** The PQXDH secret, 32 bytes. */
  readonly secret: Uint8Array
  /** The key pair of the signed prekey that the PQXDH header names. */
  readonly ratchetKey: KeyPair
}

/** The responder's first state. It cannot send before it has decrypted the first message: store it only then. */
export function startRatchetResponder(options: StartRatchetResponderOptions): RatchetState {
  const { crypto, secret, ratchetKey } = options
  assert(secret.length === 32, 'a PQXDH secret has 32 bytes')
  const start = deriveStartKeys(crypto, secret)
  return {
    rootKey: start.rootKey,
    ratchetKey,
    sending: undefined,
    receiving: undefined,
    receivingIndex: 0,
    previousCount: 0,
    nextSendingHeaderKey: start.responderHeaderKey,
    nextReceivingHeaderKey: start.initiatorHeaderKey,
  }
}

/** `unsupported`: written by another version of the program. `malformed`: damaged. */
export type RatchetStateError =
  | { readonly type: 'unsupported'; readonly version: number; readonly suite: number }
  | { readonly type: 'malformed' }

/**
 * Layout: version u8 ‖ suite u8 ‖ flags u8 (1: sending chain, 2: receiving chain) ‖ root key 32 ‖ ratchet secret 32 ‖
 * ratchet public 32 ‖ receiving index u64 ‖ previous count u32 ‖ next sending header key 32 ‖ next receiving header key
 * 32 ‖ each chain that is there: header key 32 ‖ chain key 32 ‖ number u32.
 * It holds secrets in the clear: the store it goes to is encrypted.
 */
export function encodeRatchetState(state: RatchetState): Uint8Array {
  const { sending, receiving } = state
  const writer = new ByteWriter(ratchetStateBytesMax)
    .u8(ratchetStateVersion)
    .u8(ratchetSuite)
    .u8((sending ? flagSending : 0) | (receiving ? flagReceiving : 0))
    .bytes(state.rootKey)
    .bytes(state.ratchetKey.secretKey)
    .bytes(state.ratchetKey.publicKey)
    .u64(state.receivingIndex)
    .u32(state.previousCount)
    .bytes(state.nextSendingHeaderKey)
    .bytes(state.nextReceivingHeaderKey)
  for (const chain of [sending, receiving]) {
    if (chain) writer.bytes(chain.headerKey).bytes(chain.chainKey).u32(chain.number)
  }
  return writer.finish()
}

/** The counterpart of `encodeRatchetState`. */
export function decodeRatchetState(bytes: Uint8Array): Result<RatchetState, RatchetStateError> {
  const reader = new ByteReader(bytes)
  const version = reader.u8()
  const suite = reader.u8()
  if (reader.failed) return err({ type: 'malformed' })
  if (version !== ratchetStateVersion || suite !== ratchetSuite) return err({ type: 'unsupported', version, suite })
  const flags = reader.u8()
  if (flags !== 0 && flags !== flagSending && flags !== (flagSending | flagReceiving)) reader.fail()
  const rootKey = reader.bytes(32)
  const secretKey = reader.bytes(32)
  const publicKey = reader.bytes(32)
  const receivingIndex = reader.u64()
  const previousCount = reader.u32()
  const nextSendingHeaderKey = reader.bytes(32)
  const nextReceivingHeaderKey = reader.bytes(32)
  const sending = flags & flagSending ? decodeChain(reader) : undefined
  const receiving = flags & flagReceiving ? decodeChain(reader) : undefined
  if (!reader.finished()) return err({ type: 'malformed' })
  return ok({
    rootKey,
    ratchetKey: { publicKey, secretKey },
    sending,
    receiving,
    receivingIndex,
    previousCount,
    nextSendingHeaderKey,
    nextReceivingHeaderKey,
  })
}

function decodeChain(reader: ByteReader): RatchetChain {
  return { headerKey: reader.bytes(32), chainKey: reader.bytes(32), number: reader.u32() }
}
