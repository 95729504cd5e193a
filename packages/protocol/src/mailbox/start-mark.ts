import { assert, ByteReader, ByteWriter } from '@miaou/core'
import { type Crypto, signLabelled, verifyLabelled } from '@miaou/crypto'
import { signatureSize } from '../signed.ts'

/** A start of a device, counted: a copy of its home shows itself by one that was seen before (spec/mailbox MB4). */
export interface StartMark {
  /** From 1, below 2^53; grows by one with every start. */
  readonly counter: number
  /** 16 random bytes of that start. */
  readonly nonce: Uint8Array
}

/** A mark that its device signed: whoever was told it can show it to the device again. */
export interface SignedStartMark extends StartMark {
  /** 64 bytes. */
  readonly signature: Uint8Array
}

const label = 'device-start'
/** Bytes of a start's nonce. */
export const startNonceSize = 16
/** Bytes of a mark: counter and nonce. */
export const startMarkSize: number = 8 + startNonceSize
/** Bytes of a signed mark. */
export const signedStartMarkSize: number = startMarkSize + signatureSize

/** The mark, signed by the device. `deviceSecretKey`: the 32-byte Ed25519 seed. */
export function signStartMark(crypto: Crypto, deviceSecretKey: Uint8Array, mark: StartMark): SignedStartMark {
  const { counter, nonce } = mark
  const body = writeStartMark(new ByteWriter(startMarkSize), mark).finish()
  return { counter, nonce, signature: signLabelled(crypto, label, body, deviceSecretKey) }
}

/** Whether the device (`deviceKey`: 32 bytes) signed that mark. */
export function verifyStartMark(crypto: Crypto, mark: SignedStartMark, deviceKey: Uint8Array): boolean {
  const body = writeStartMark(new ByteWriter(startMarkSize), mark).finish()
  return verifyLabelled(crypto, label, body, mark.signature, deviceKey)
}

/** 88 bytes. */
export function encodeStartMark(mark: SignedStartMark): Uint8Array {
  assert(mark.signature.length === signatureSize, 'a signature has 64 bytes')
  return writeStartMark(new ByteWriter(signedStartMarkSize), mark).bytes(mark.signature).finish()
}

/** The mark in `bytes`, its signature not verified; undefined for what is none. */
export function decodeStartMark(bytes: Uint8Array): SignedStartMark | undefined {
  const reader = new ByteReader(bytes)
  const mark = { ...readStartMark(reader), signature: reader.bytes(signatureSize) }
  return reader.finished() ? mark : undefined
}

/** Counter and nonce, 24 bytes. Asserts their ranges. */
export function writeStartMark(writer: ByteWriter, { counter, nonce }: StartMark): ByteWriter {
  assert(counter > 0 && nonce.length === startNonceSize, 'starts are counted from 1, with a nonce of 16 bytes')
  return writer.u64(counter).bytes(nonce)
}

export function readStartMark(reader: ByteReader): StartMark {
  const counter = reader.u64()
  if (counter === 0) reader.fail()
  return { counter, nonce: reader.bytes(startNonceSize) }
}
