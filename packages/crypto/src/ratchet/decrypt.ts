import type { Now, Random, Result } from '@miaou/core'
import { err, ok } from '@miaou/core'
import type { Crypto } from '../suite.ts'
import { deriveMessageKey, stepChain, stepRoot } from './kdf.ts'
import { openBody, openHeader, type RatchetHeader, type RatchetMessageParts, splitMessage } from './message.ts'
import {
  defaultSkippedLimits,
  planEvictions,
  type SkippedEviction,
  type SkippedKey,
  type SkippedKeyId,
  type SkippedKeys,
  type SkippedLimits,
} from './skipped.ts'
import type { RatchetChain, RatchetState } from './state.ts'

export interface RatchetDecryptOptions {
  readonly crypto: Crypto
  readonly random: Random
  readonly state: RatchetState
  /** This session's. */
  readonly skipped: SkippedKeys
  readonly message: Uint8Array
  /** The same bytes as the sender's. */
  readonly ad: Uint8Array
  /** `wall` dates the skipped keys. */
  readonly now: Now
  /** Default `defaultSkippedLimits`. */
  readonly limits?: SkippedLimits
}

/** Everything a decryption changes: store all of it with the plaintext in one transaction, or none. */
export interface RatchetDecrypted {
  readonly plaintext: Uint8Array
  readonly state: RatchetState
  /** Keys of messages before this one that have not come; see `SkippedKeys` for the order of the three changes. */
  readonly skippedAdded: readonly SkippedKey[]
  /** The kept key that opened this message, if one did. */
  readonly skippedUsed: SkippedKeyId | undefined
  readonly skippedEvicted: readonly SkippedEviction[]
}

/**
 * - `malformed`, `unsupported`: the bytes are no ratchet message, or of a version or suite we do not know.
 * - `undecryptable`: forged, damaged, of another session, or of a chain of which no key is kept any more.
 * - `duplicate`: the header is genuine, and the key of that message is gone: it was decrypted before, or its key has
 *   expired or was evicted. Whether it was accepted is written in the caller's own records: acknowledge by those.
 * - `too-many-skipped`: the header is genuine and jumps over more than `perChainMax` messages, or to the
 *   end of the counter: start a new session (`nextGeneration`).
 * - `weak-ratchet-key`: the other side, authenticated, sent a ratchet key with an all-zero agreement.
 */
export type RatchetError =
  | { readonly type: 'malformed' }
  | { readonly type: 'unsupported'; readonly version: number; readonly suite: number }
  | { readonly type: 'undecryptable' }
  | { readonly type: 'duplicate'; readonly chain: number; readonly number: number }
  | { readonly type: 'too-many-skipped'; readonly skipped: number; readonly skippedMax: number }
  | { readonly type: 'weak-ratchet-key' }

type Decrypted = Result<RatchetDecrypted, RatchetError>

interface Context extends RatchetDecryptOptions {
  readonly parts: RatchetMessageParts
  readonly limits: SkippedLimits
}

/**
 * Decrypts one message (Double Ratchet §4.4), whatever its order. Nothing is changed: the result holds the new state,
 * an error leaves the old one as it was. Work is bounded: at most `chainsMax` + 2 attempts at the header and
 * 2 × `perChainMax` chain steps, the second thousand only for a message that is genuine as a whole.
 */
export function ratchetDecrypt(options: RatchetDecryptOptions): Decrypted {
  const parts = splitMessage(options.message)
  if ('type' in parts) return err(parts)
  const context: Context = { ...options, parts, limits: options.limits ?? defaultSkippedLimits }
  const { crypto, state, skipped } = context
  const { receiving } = state
  if (receiving) {
    const header = openHeader(crypto, receiving.headerKey, parts)
    if (header) return decryptInChain(context, receiving, header)
  }
  const header = openHeader(crypto, state.nextReceivingHeaderKey, parts)
  if (header) return decryptInNextChain(context, header)
  for (const { chain, headerKey } of skipped.chains()) {
    if (chain === state.receivingIndex) continue
    const late = openHeader(crypto, headerKey, parts)
    if (late) return decryptSkipped(context, chain, late.number)
  }
  return err({ type: 'undecryptable' })
}

/** A message of the chain that is being received. */
function decryptInChain(context: Context, receiving: RatchetChain, header: RatchetHeader): Decrypted {
  const { crypto, state, parts, ad } = context
  if (header.number < receiving.number) return decryptSkipped(context, state.receivingIndex, header.number)
  const tooMany = checkJump(context, receiving.number, header.number)
  if (tooMany) return tooMany
  const walk = walkChain(context, receiving, state.receivingIndex, header.number)
  const messageKey = deriveMessageKey(crypto, walk.chain.chainKey)
  const plaintext = openBody(crypto, messageKey, parts, ad)
  crypto.wipe(messageKey)
  if (plaintext === undefined) return err({ type: 'undecryptable' })
  return accept(context, plaintext, { ...state, receiving: advance(crypto, walk.chain) }, walk.skipped)
}

/** The first message we see of a new chain: the other side has heard us and turned the ratchet. */
function decryptInNextChain(context: Context, header: RatchetHeader): Decrypted {
  const { crypto, random, state, parts, ad, limits } = context
  const tooMany = checkJump(context, 0, header.number)
  if (tooMany) return tooMany
  const agreement = crypto.x25519(state.ratchetKey.secretKey, header.ratchetKey)
  if (agreement === undefined) return err({ type: 'weak-ratchet-key' })
  const received = stepRoot(crypto, state.rootKey, agreement)
  const first: RatchetChain = { headerKey: state.nextReceivingHeaderKey, chainKey: received.chainKey, number: 0 }
  const index = state.receivingIndex + 1
  const walk = walkChain(context, first, index, header.number)
  const messageKey = deriveMessageKey(crypto, walk.chain.chainKey)
  const plaintext = openBody(crypto, messageKey, parts, ad)
  crypto.wipe(messageKey)
  if (plaintext === undefined) return err({ type: 'undecryptable' })

  const ratchetKey = crypto.x25519KeyPair(random.bytes(32))
  const answer = crypto.x25519(ratchetKey.secretKey, header.ratchetKey)
  if (answer === undefined) return err({ type: 'weak-ratchet-key' })
  const sent = stepRoot(crypto, received.rootKey, answer)
  const previous = state.receiving
  // A gap at the end of the old chain never blocks the session: the first thousand keys are kept, the others given up.
  const before = previous
    ? walkChain(
        context,
        previous,
        state.receivingIndex,
        Math.min(header.previousCount, previous.number + limits.perChainMax),
      ).skipped
    : []
  const next: RatchetState = {
    rootKey: sent.rootKey,
    ratchetKey,
    sending: { headerKey: state.nextSendingHeaderKey, chainKey: sent.chainKey, number: 0 },
    receiving: advance(crypto, walk.chain),
    receivingIndex: index,
    previousCount: state.sending?.number ?? 0,
    nextSendingHeaderKey: sent.nextHeaderKey,
    nextReceivingHeaderKey: received.nextHeaderKey,
  }
  return accept(context, plaintext, next, [...before, ...walk.skipped])
}

/** A message that an earlier one jumped over. */
function decryptSkipped(context: Context, chain: number, number: number): Decrypted {
  const { crypto, state, skipped, parts, ad, now } = context
  const key = skipped.find(chain, number)
  if (key === undefined || key.expiresAt <= now.wall) return err({ type: 'duplicate', chain, number })
  const plaintext = openBody(crypto, key.messageKey, parts, ad)
  if (plaintext === undefined) return err({ type: 'undecryptable' })
  return ok({ plaintext, state, skippedAdded: [], skippedUsed: { chain, number }, skippedEvicted: [] })
}

function checkJump({ limits }: Context, from: number, to: number): Decrypted | undefined {
  const skipped = to - from
  // The last number of a u32 is never sent: the counter behind it would not fit.
  if (skipped <= limits.perChainMax && to < 0xffff_ffff) return undefined
  return err({ type: 'too-many-skipped', skipped, skippedMax: limits.perChainMax })
}

/** Walks a chain up to message `number`, keeping the keys it passes. */
function walkChain(
  { crypto, limits, now }: Context,
  from: RatchetChain,
  index: number,
  number: number,
): { readonly chain: RatchetChain; readonly skipped: SkippedKey[] } {
  const skipped: SkippedKey[] = []
  const { headerKey } = from
  const expiresAt = now.wall + limits.lifetimeMs
  let chain = from
  while (chain.number < number) {
    const messageKey = deriveMessageKey(crypto, chain.chainKey)
    skipped.push({ chain: index, number: chain.number, messageKey, headerKey, expiresAt })
    chain = advance(crypto, chain)
  }
  return { chain, skipped }
}

function advance(crypto: Crypto, chain: RatchetChain): RatchetChain {
  return { headerKey: chain.headerKey, chainKey: stepChain(crypto, chain.chainKey), number: chain.number + 1 }
}

function accept(
  { skipped, limits }: Context,
  plaintext: Uint8Array,
  state: RatchetState,
  skippedAdded: readonly SkippedKey[],
): Decrypted {
  const skippedEvicted = skippedAdded.length === 0 ? [] : planEvictions(skipped.chains(), skippedAdded, limits)
  return ok({ plaintext, state, skippedAdded, skippedUsed: undefined, skippedEvicted })
}
