import type { ByteWriter, Result } from '@miaou/core'
import { concatBytes, err } from '@miaou/core'
import { type Crypto, signLabelled, verifyLabelled } from '@miaou/crypto'
import { type DecodeError, decodeStructure, type Extension, type StructureForm, writeExtensions } from './structure.ts'

/** Ed25519. */
export const signatureSize = 64

/** A signed structure taken apart; the signature is not checked yet. */
export interface SignedStructure<T> {
  readonly value: T
  /** Those whose tags were named as known. */
  readonly extensions: readonly Extension[]
  /** What the signature covers: everything in front of it. */
  readonly body: Uint8Array
  readonly signature: Uint8Array
}

/** Ends a structure with an extensions block, empty by default, and the signature over all of it (spec/identity I2). */
export function finishSigned(
  crypto: Crypto,
  label: string,
  writer: ByteWriter,
  secretKey: Uint8Array,
  extensions: readonly Extension[] = [],
): Uint8Array {
  const body = writeExtensions(writer, extensions).finish()
  return concatBytes(body, signLabelled(crypto, label, body, secretKey))
}

export function decodeSigned<T>(form: StructureForm<T>, bytes: Uint8Array): Result<SignedStructure<T>, DecodeError> {
  if (bytes.length < signatureSize) return err({ type: 'malformed', what: form.what })
  const body = bytes.slice(0, bytes.length - signatureSize)
  const decoded = decodeStructure(form, body)
  if (!decoded.ok) return decoded
  return { ok: true, value: { ...decoded.value, body, signature: bytes.slice(body.length) } }
}

export function isSignedBy(crypto: Crypto, label: string, signed: SignedStructure<unknown>, key: Uint8Array): boolean {
  return verifyLabelled(crypto, label, signed.body, signed.signature, key)
}
