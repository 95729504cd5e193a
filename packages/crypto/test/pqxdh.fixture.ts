import type { Random } from '@miaou/core'
import {
  type Crypto,
  type KeyPair,
  MemorySkippedKeys,
  type PqxdhHeader,
  type PrekeyBundle,
  pqxdhInitiate,
  pqxdhRespond,
  type RatchetState,
  startRatchetInitiator,
  startRatchetResponder,
} from '@miaou/crypto'

/** A reproducible `Random` for tests: SHA-256 of seed and counter, cut to size. */
export function seededRandom(crypto: Crypto, seed: string): Random {
  let counter = 0
  return {
    bytes(size) {
      const bytes = new Uint8Array(size)
      for (let at = 0; at < size; at += 32) {
        const block = crypto.sha256(new TextEncoder().encode(`${seed}/${counter++}`))
        bytes.set(block.subarray(0, Math.min(32, size - at)), at)
      }
      return bytes
    },
  }
}

/** The secret halves of a device's prekeys, and the bundle it publishes. */
export interface Prekeys {
  readonly identity: KeyPair
  readonly signedPrekey: KeyPair
  readonly oneTimePrekey: KeyPair
  readonly kemPrekey: KeyPair
  /** 64 bytes (d ‖ z). */
  readonly kemSeed: Uint8Array
  readonly bundle: PrekeyBundle
}

export function createPrekeys(crypto: Crypto, random: Random, oneTime = true): Prekeys {
  const identity = crypto.x25519KeyPair(random.bytes(32))
  const signedPrekey = crypto.x25519KeyPair(random.bytes(32))
  const oneTimePrekey = crypto.x25519KeyPair(random.bytes(32))
  const kemSeed = random.bytes(64)
  const kemPrekey = crypto.mlkem768KeyPair(kemSeed)
  return {
    identity,
    signedPrekey,
    oneTimePrekey,
    kemPrekey,
    kemSeed,
    bundle: {
      identityKey: identity.publicKey,
      signedPrekey: { id: 7, publicKey: signedPrekey.publicKey },
      ...(oneTime && { oneTimePrekey: { id: 8, publicKey: oneTimePrekey.publicKey } }),
      kemPrekey: { id: 9, publicKey: kemPrekey.publicKey, oneTime },
    },
  }
}

export function unwrap<T>(result: { ok: true; value: T } | { ok: false; error: unknown }): T {
  if (!result.ok) throw new Error(`expected a value, got ${JSON.stringify(result.error)}`)
  return result.value
}

/** One side of a session in memory. */
export interface Side {
  state: RatchetState
  readonly skipped: MemorySkippedKeys
}

export interface Pair {
  readonly initiator: Side
  readonly responder: Side
  readonly header: PqxdhHeader
}

/** Two sides of a fresh session; the responder has not heard anything yet. */
export function createPair(crypto: Crypto, random: Random): Pair {
  const associatedData = new TextEncoder().encode('alice bob')
  const identity = crypto.x25519KeyPair(random.bytes(32))
  const prekeys = createPrekeys(crypto, random)
  const start = unwrap(pqxdhInitiate({ crypto, random, identity, bundle: prekeys.bundle, associatedData }))
  const { secret } = unwrap(pqxdhRespond({ crypto, ...prekeys, header: start.header, associatedData }))
  return {
    header: start.header,
    initiator: {
      state: startRatchetInitiator({
        crypto,
        random,
        secret: start.secret,
        remoteRatchetKey: prekeys.signedPrekey.publicKey,
      }),
      skipped: new MemorySkippedKeys(),
    },
    responder: {
      state: startRatchetResponder({ crypto, secret, ratchetKey: prekeys.signedPrekey }),
      skipped: new MemorySkippedKeys(),
    },
  }
}
