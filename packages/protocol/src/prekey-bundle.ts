import type { Result } from '@miaou/core'
import { assert, ByteReader, ByteWriter, equalBytes, err, ok } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { decodeSigned, finishSigned, isSignedBy, type SignedStructure } from './signed.ts'
import { type DecodeError, readFlags, startStructure } from './structure.ts'

/** A published prekey and the number its owner knows it by (u32). */
export interface NumberedPrekey {
  readonly id: number
  readonly publicKey: Uint8Array
}

/** What a device publishes so that others can start a session while it is away (spec/prekeys P1). */
export interface SignedPrekeyBundle {
  /** Ed25519, the signer. */
  readonly deviceKey: Uint8Array
  /** X25519 session identity: the same key as in the device's certificate, which the caller compares. */
  readonly sessionKey: Uint8Array
  /** X25519, 32 bytes. */
  readonly signedPrekey: NumberedPrekey
  /** X25519, 32 bytes, given to one asker only. */
  readonly oneTimePrekey?: NumberedPrekey
  /** ML-KEM-768, 1184 bytes; `oneTime` false for the last-resort key. */
  readonly kemPrekey: NumberedPrekey & { readonly oneTime: boolean }
  /** X-Wing, 1216 bytes: for sealed envelopes. */
  readonly sealingKey?: Uint8Array
  /** u32 by which the device knows its sealing key; only where there is one. Absent: 0. */
  readonly sealingKeyId?: number
  /** Wall-clock ms. */
  readonly createdAt: number
}

/** `wrong-device`: signed by, or made for, another device than the one asked for. */
export type PrekeyBundleError = DecodeError | { readonly type: 'wrong-device' } | { readonly type: 'invalid-signature' }

const label = 'prekey-bundle'
/** FIPS 203, ML-KEM-768. */
export const kemPublicKeySize = 1184
/** draft-connolly-cfrg-xwing-kem: ML-KEM-768 and X25519. */
export const sealingKeySize = 1216
/** Most bytes of a bundle: 2,625 with every field, and room for an extensions block. */
export const prekeyBundleSizeMax = 8192
/** Flags byte of a bundle. */
export const prekeyBundleFlags = { oneTimePrekey: 1, kemOneTime: 2, sealingKey: 4 } as const
/** Tags of its extensions. */
export const prekeyBundleTags = { sealingKeyId: 1 } as const

/** A bundle signed by the device (`deviceSecretKey`: the 32-byte Ed25519 seed). */
export function signPrekeyBundle(
  crypto: Crypto,
  deviceSecretKey: Uint8Array,
  fields: Omit<SignedPrekeyBundle, 'deviceKey'>,
): Uint8Array {
  const { sessionKey, signedPrekey, oneTimePrekey, kemPrekey, sealingKey, sealingKeyId, createdAt } = fields
  assert(sessionKey.length === 32 && signedPrekey.publicKey.length === 32, 'X25519 keys have 32 bytes')
  assert((oneTimePrekey?.publicKey.length ?? 32) === 32, 'X25519 keys have 32 bytes')
  assert(kemPrekey.publicKey.length === kemPublicKeySize, 'an ML-KEM-768 public key has 1184 bytes')
  assert((sealingKey?.length ?? sealingKeySize) === sealingKeySize, 'an X-Wing public key has 1216 bytes')
  assert(sealingKeyId === undefined || sealingKey !== undefined, 'an id is that of a key')
  const flags =
    (oneTimePrekey === undefined ? 0 : prekeyBundleFlags.oneTimePrekey) |
    (kemPrekey.oneTime ? prekeyBundleFlags.kemOneTime : 0) |
    (sealingKey === undefined ? 0 : prekeyBundleFlags.sealingKey)
  const writer = startStructure()
    .u8(flags)
    .bytes(crypto.ed25519KeyPair(deviceSecretKey).publicKey)
    .bytes(sessionKey)
    .u64(createdAt)
    .u32(signedPrekey.id)
    .bytes(signedPrekey.publicKey)
  if (oneTimePrekey !== undefined) writer.u32(oneTimePrekey.id).bytes(oneTimePrekey.publicKey)
  writer.u32(kemPrekey.id).bytes(kemPrekey.publicKey)
  if (sealingKey !== undefined) writer.bytes(sealingKey)
  const idBytes = sealingKeyId === undefined ? undefined : new ByteWriter(4).u32(sealingKeyId).finish()
  const extensions = idBytes === undefined ? [] : [{ tag: prekeyBundleTags.sealingKeyId, bytes: idBytes }]
  return finishSigned(crypto, label, writer, deviceSecretKey, extensions)
}

/** Takes a bundle apart without checking its signature: to show it, or to test. */
export function decodePrekeyBundle(bytes: Uint8Array): Result<SignedStructure<SignedPrekeyBundle>, DecodeError> {
  const what = 'prekey bundle'
  const form = { what, sizeMax: prekeyBundleSizeMax, read, knownTags: Object.values(prekeyBundleTags) }
  const signed = decodeSigned(form, bytes)
  const idBytes = signed.ok ? signed.value.extensions[0]?.bytes : undefined
  if (!signed.ok || idBytes === undefined) return signed
  const reader = new ByteReader(idBytes)
  const sealingKeyId = reader.u32()
  const { value } = signed.value
  if (!reader.finished() || value.sealingKey === undefined) return err({ type: 'malformed', what })
  return ok({ ...signed.value, value: { ...value, sealingKeyId } })
}

/** The bundle in `bytes`, when `deviceKey` (32 bytes, from its verified certificate) made and signed it. */
export function verifyPrekeyBundle(
  crypto: Crypto,
  bytes: Uint8Array,
  deviceKey: Uint8Array,
): Result<SignedPrekeyBundle, PrekeyBundleError> {
  const signed = decodePrekeyBundle(bytes)
  if (!signed.ok) return signed
  if (!equalBytes(signed.value.value.deviceKey, deviceKey)) return err({ type: 'wrong-device' })
  if (!isSignedBy(crypto, label, signed.value, deviceKey)) return err({ type: 'invalid-signature' })
  return ok(signed.value.value)
}

function read(reader: ByteReader): SignedPrekeyBundle {
  const all = prekeyBundleFlags.oneTimePrekey | prekeyBundleFlags.kemOneTime | prekeyBundleFlags.sealingKey
  const flags = readFlags(reader, all)
  const deviceKey = reader.bytes(32)
  const sessionKey = reader.bytes(32)
  const createdAt = reader.u64()
  const signedPrekey = { id: reader.u32(), publicKey: reader.bytes(32) }
  const oneTimePrekey =
    flags & prekeyBundleFlags.oneTimePrekey ? { id: reader.u32(), publicKey: reader.bytes(32) } : undefined
  const kemPrekey = {
    id: reader.u32(),
    publicKey: reader.bytes(kemPublicKeySize),
    oneTime: (flags & prekeyBundleFlags.kemOneTime) !== 0,
  }
  const sealingKey = flags & prekeyBundleFlags.sealingKey ? reader.bytes(sealingKeySize) : undefined
  return {
    deviceKey,
    sessionKey,
    signedPrekey,
    ...(oneTimePrekey && { oneTimePrekey }),
    kemPrekey,
    ...(sealingKey && { sealingKey }),
    createdAt,
  }
}
