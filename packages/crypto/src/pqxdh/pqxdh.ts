import type { Random, Result } from '@miaou/core'
import { assert, concatBytes, err, ok, textToBytes } from '@miaou/core'
import type { Crypto, KeyPair } from '../suite.ts'
import { encodePqxdhHeader, type PqxdhHeader } from './header.ts'

/** One public prekey and the number its owner knows it by (u32). */
export interface PublicPrekey {
  readonly id: number
  readonly publicKey: Uint8Array
}

/**
 * What the responder has published, after the caller has verified it: the signature over the whole bundle by the
 * device's Ed25519 key and the device's certificate are checked by the one who decodes the bundle (the protocol
 * package), never here.
 */
export interface PrekeyBundle {
  /** The responder's session identity, X25519, 32 bytes. */
  readonly identityKey: Uint8Array
  /** X25519, 32 bytes. It becomes the responder's first ratchet key. */
  readonly signedPrekey: PublicPrekey
  /** X25519, 32 bytes; absent when the mailbox has none left. */
  readonly oneTimePrekey?: PublicPrekey | undefined
  /** ML-KEM-768, 1184 bytes; `oneTime` false for the last-resort key. */
  readonly kemPrekey: PublicPrekey & { readonly oneTime: boolean }
}

export interface PqxdhInitiateOptions {
  readonly crypto: Crypto
  readonly random: Random
  /** Our session identity (X25519). */
  readonly identity: KeyPair
  readonly bundle: PrekeyBundle
  /** Both accounts and both devices in a fixed order: initiator first. Both sides must give the same bytes. */
  readonly associatedData: Uint8Array
  /** u32, default 1; see `nextGeneration`. */
  readonly generation?: number
}

export interface PqxdhStart {
  /** 32 bytes for `startRatchetInitiator`; wipe it afterwards. */
  readonly secret: Uint8Array
  readonly header: PqxdhHeader
}

/** `weak-agreement`: a key of the bundle yields an all-zero secret. `invalid-kem-key`: it fails FIPS 203's check. */
export type PqxdhInitiateError = { readonly type: 'weak-agreement' } | { readonly type: 'invalid-kem-key' }

export interface PqxdhRespondOptions {
  readonly crypto: Crypto
  /** Our session identity (X25519). */
  readonly identity: KeyPair
  /** The key pair of `header.signedPrekeyId`. */
  readonly signedPrekey: KeyPair
  /** The key pair of `header.oneTimePrekeyId`; not read when the header names none. */
  readonly oneTimePrekey?: KeyPair | undefined
  /** The key pair of `header.kemPrekeyId`. */
  readonly kemPrekey: KeyPair
  readonly header: PqxdhHeader
  /** The same bytes as the initiator's. */
  readonly associatedData: Uint8Array
}

/**
 * `weak-agreement`: a key of the header yields an all-zero secret. `missing-one-time-prekey`: the header names a
 * one-time prekey and none was given (already used and deleted, or never ours).
 */
export type PqxdhRespondError = { readonly type: 'weak-agreement' } | { readonly type: 'missing-one-time-prekey' }

// PQXDH §2.2: info names protocol, curve, hash and KEM; F is 32 bytes of FF for curve25519, in front of the secrets.
const infoLabel = textToBytes('Miaou-v1-PQXDH_X25519_SHA-256_ML-KEM-768')
const prefix = new Uint8Array(32).fill(0xff)
const noKey = new Uint8Array(32)
const noSalt = new Uint8Array(0)

/**
 * The initiator's half of PQXDH (Signal, "The PQXDH Key Agreement Protocol", revision 3, §3.3) with X25519 and
 * ML-KEM-768. Beyond the specification, every public key, the whole header and the associated data enter the key
 * derivation: whatever the two sides see differently leads to different secrets.
 */
export function pqxdhInitiate(options: PqxdhInitiateOptions): Result<PqxdhStart, PqxdhInitiateError> {
  const { crypto, random, identity, bundle } = options
  assertBundle(bundle)
  const ephemeralSecret = random.bytes(32)
  const ephemeral = crypto.x25519KeyPair(ephemeralSecret)
  const kemSeed = random.bytes(32)
  const kem = crypto.mlkem768Encapsulate(bundle.kemPrekey.publicKey, kemSeed)
  crypto.wipe(kemSeed)
  if (kem === undefined) return err({ type: 'invalid-kem-key' })
  const agreements = [
    crypto.x25519(identity.secretKey, bundle.signedPrekey.publicKey),
    crypto.x25519(ephemeral.secretKey, bundle.identityKey),
    crypto.x25519(ephemeral.secretKey, bundle.signedPrekey.publicKey),
  ]
  if (bundle.oneTimePrekey !== undefined) {
    agreements.push(crypto.x25519(ephemeral.secretKey, bundle.oneTimePrekey.publicKey))
  }
  crypto.wipe(ephemeral.secretKey)
  crypto.wipe(ephemeralSecret)
  const header: PqxdhHeader = {
    generation: options.generation ?? 1,
    identityKey: identity.publicKey,
    ephemeralKey: ephemeral.publicKey,
    signedPrekeyId: bundle.signedPrekey.id,
    oneTimePrekeyId: bundle.oneTimePrekey?.id,
    kemPrekeyId: bundle.kemPrekey.id,
    kemOneTime: bundle.kemPrekey.oneTime,
    kemCiphertext: kem.ciphertext,
  }
  const secret = deriveSecret(crypto, agreements, kem.sharedSecret, [
    encodePqxdhHeader(header),
    bundle.identityKey,
    bundle.signedPrekey.publicKey,
    bundle.oneTimePrekey?.publicKey ?? noKey,
    bundle.kemPrekey.publicKey,
    options.associatedData,
  ])
  return secret === undefined ? err({ type: 'weak-agreement' }) : ok({ secret, header })
}

/**
 * The responder's half (PQXDH §3.4). A wrong KEM ciphertext yields an unrelated secret, not an error: the first
 * message then fails to decrypt. Only when that message has decrypted does the caller delete the one-time prekeys, in
 * the same transaction that stores the session; a header whose `pqxdhSessionId` is known goes to that session instead.
 * The ids of sessions started from a last-resort key are remembered for as long as that key lives (PQXDH §4.2, replay).
 */
export function pqxdhRespond(options: PqxdhRespondOptions): Result<{ readonly secret: Uint8Array }, PqxdhRespondError> {
  const { crypto, identity, signedPrekey, oneTimePrekey, kemPrekey, header } = options
  const hasOneTime = header.oneTimePrekeyId !== undefined
  if (hasOneTime && oneTimePrekey === undefined) return err({ type: 'missing-one-time-prekey' })
  const agreements = [
    crypto.x25519(signedPrekey.secretKey, header.identityKey),
    crypto.x25519(identity.secretKey, header.ephemeralKey),
    crypto.x25519(signedPrekey.secretKey, header.ephemeralKey),
  ]
  let oneTimeKey: Uint8Array = noKey
  if (hasOneTime && oneTimePrekey !== undefined) {
    agreements.push(crypto.x25519(oneTimePrekey.secretKey, header.ephemeralKey))
    oneTimeKey = oneTimePrekey.publicKey
  }
  const kemSecret = crypto.mlkem768Decapsulate(header.kemCiphertext, kemPrekey.secretKey)
  const secret = deriveSecret(crypto, agreements, kemSecret, [
    encodePqxdhHeader(header),
    identity.publicKey,
    signedPrekey.publicKey,
    oneTimeKey,
    kemPrekey.publicKey,
    options.associatedData,
  ])
  return secret === undefined ? err({ type: 'weak-agreement' }) : ok({ secret })
}

/** Every transcript part but the last has a fixed size, so their concatenation reads in one way only. */
function deriveSecret(
  crypto: Crypto,
  agreements: readonly (Uint8Array | undefined)[],
  kemSecret: Uint8Array,
  transcript: readonly Uint8Array[],
): Uint8Array | undefined {
  const secrets: Uint8Array[] = []
  for (const agreement of agreements) if (agreement !== undefined) secrets.push(agreement)
  secrets.push(kemSecret)
  const complete = secrets.length === agreements.length + 1
  const material = concatBytes(prefix, ...secrets)
  const info = concatBytes(infoLabel, crypto.sha256(concatBytes(...transcript)))
  const secret = complete ? crypto.hkdfSha256(material, noSalt, info, 32) : undefined
  for (const each of secrets) crypto.wipe(each)
  crypto.wipe(material)
  return secret
}

function assertBundle(bundle: PrekeyBundle): void {
  assert(bundle.identityKey.length === 32, 'a session identity key has 32 bytes')
  assert(bundle.signedPrekey.publicKey.length === 32, 'a signed prekey has 32 bytes')
  assert((bundle.oneTimePrekey?.publicKey.length ?? 32) === 32, 'a one-time prekey has 32 bytes')
  assert(bundle.kemPrekey.publicKey.length === 1184, 'an ML-KEM-768 public key has 1184 bytes')
}
