import { bytesToNodeId, err, hexToBytes, keyToPeerId, type NodeId, ok, type PeerId, type Result } from '@miaou/core'
import { signLabelled } from './signed.ts'
import type { Crypto, KeyPair } from './suite.ts'

export type PublicKeyError =
  /** Not 64 hexadecimal digits. */
  | { readonly type: 'not-a-public-key' }
  /** 32 bytes that no honest key pair has: not canonical, off the curve, or of small order. */
  | { readonly type: 'inadmissible-key' }

/** A long-term Ed25519 key pair that signs under labels: a device, an account or a pseudonym. */
export class Identity {
  readonly #crypto: Crypto
  readonly #pair: KeyPair

  private constructor(crypto: Crypto, pair: KeyPair) {
    this.#crypto = crypto
    this.#pair = pair
  }

  /** `seed`: 32 random bytes, or those kept by the keyring. Copied. */
  static fromSeed(crypto: Crypto, seed: Uint8Array): Identity {
    return new Identity(crypto, crypto.ed25519KeyPair(seed))
  }

  /** 32 bytes. */
  get publicKey(): Uint8Array {
    return this.#pair.publicKey.slice()
  }

  /** The public key as a peer id: what a device is called. */
  get peerId(): PeerId {
    return keyToPeerId(this.#pair.publicKey)
  }

  /** 64-byte signature for one purpose: see `signLabelled`. */
  sign(label: string, body: Uint8Array): Uint8Array {
    return signLabelled(this.#crypto, label, body, this.#pair.secretKey)
  }

  /** Overwrites the secret: the identity signs nothing of worth afterwards. */
  wipe(): void {
    this.#crypto.wipe(this.#pair.secretKey)
  }
}

/** The admissible Ed25519 public key that 64 hexadecimal digits spell: 32 bytes. */
export function parsePublicKey(crypto: Crypto, text: string): Result<Uint8Array, PublicKeyError> {
  const key = hexToBytes(text)
  if (key?.length !== 32) return err({ type: 'not-a-public-key' })
  return crypto.ed25519IsAdmissible(key) ? ok(key) : err({ type: 'inadmissible-key' })
}

/**
 * What a node of the overlay is called: SHA-256 of its overlay public key (X25519, 32 bytes), a key of its own, so that
 * being a node does not tell who one is (row A05, DECISIONS).
 */
export function nodeIdOfKey(crypto: Pick<Crypto, 'sha256'>, publicKey: Uint8Array): NodeId {
  return bytesToNodeId(crypto.sha256(publicKey))
}
