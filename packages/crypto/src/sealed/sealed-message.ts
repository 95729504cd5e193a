import type { Random, Result } from '@miaou/core'
import { assert, ByteReader, ByteWriter, concatBytes, err, ok, textToBytes } from '@miaou/core'
import type { Crypto } from '../suite.ts'

/** What a sealed message is made of. */
export interface SealOptions {
  readonly crypto: Crypto
  readonly random: Random
  /** X-Wing, 1,216 bytes: the receiver's sealing key. */
  readonly publicKey: Uint8Array
  /** u32, by which the receiver knows that key. */
  readonly keyId: number
  /** At most `sealedContentSizeMax` bytes. */
  readonly content: Uint8Array
}

/** `too-large`: the content does not fit. `invalid-key`: not an X-Wing public key. */
export type SealError =
  | { readonly type: 'too-large'; readonly size: number; readonly sizeMax: number }
  | { readonly type: 'invalid-key' }

export interface OpenedSealed {
  readonly keyId: number
  readonly content: Uint8Array
}

/**
 * `wrong-size`: no sealed message has so many bytes. `unsupported`: made by a newer program. `unknown-key`: the key was
 * dropped, or is another's. `unsealable`: altered, or not for that key.
 */
export type OpenSealedError =
  | { readonly type: 'wrong-size'; readonly size: number }
  | { readonly type: 'unsupported'; readonly version: number; readonly suite: number }
  | { readonly type: 'unknown-key'; readonly keyId: number }
  | { readonly type: 'unsealable' }

/** Version byte of a sealed message. */
export const sealedMessageVersion = 1
/** Suite byte: X-Wing, HKDF-SHA256, ChaCha20-Poly1305. */
export const sealedMessageSuite = 1
/** Largest sealed message: a deposit of it, with its head and a tail, fits the payload of one frame. */
export const sealedMessageSizeMax = 65_280
/** Version, suite, key id and X-Wing's ciphertext in front of what is encrypted. */
export const sealedHeaderSize = 1_126
/** Least bytes that hide the length: row H03. The length itself takes 4 of them, random bytes the others. */
export const sealedPaddingSizeMin = 256
/** Largest content: the last bucket less the padding that every message has. */
export const sealedContentSizeMax = 63_882

const tagSize = 16
const lengthSize = 4
const xwingPublicKeySize = 1_216
const xwingCiphertextSize = 1_120
const plaintextSizeMax = sealedMessageSizeMax - sealedHeaderSize - tagSize
const info = textToBytes('Miaou-v0.2.0-sealed-message')
const noSalt = new Uint8Array(0)
const noNonce = new Uint8Array(12)

/**
 * Bytes of the sealed message around a content: header, tag and the next power of two of (size + 256), of which the last
 * is what a sealed message has left.
 */
export function sealedMessageSize(contentSize: number): number {
  return sealedHeaderSize + plaintextSizeOf(contentSize) + tagSize
}

/**
 * A content for whoever has the secret half of `publicKey`, and for nobody else, its sender included (spec/sealed SE1).
 * Nothing in it says who sealed it, or tells it from another one of its size.
 */
export function sealMessage({ crypto, random, publicKey, keyId, content }: SealOptions): Result<Uint8Array, SealError> {
  const [size, sizeMax] = [content.length, sealedContentSizeMax]
  if (size > sizeMax) return err({ type: 'too-large', size, sizeMax })
  if (publicKey.length !== xwingPublicKeySize) return err({ type: 'invalid-key' })
  const seed = random.bytes(64)
  const encapsulation = crypto.xwingEncapsulate(publicKey, seed)
  crypto.wipe(seed)
  if (encapsulation === undefined) return err({ type: 'invalid-key' })
  const { ciphertext, sharedSecret } = encapsulation
  const header = new ByteWriter(sealedHeaderSize)
    .u8(sealedMessageVersion)
    .u8(sealedMessageSuite)
    .u32(keyId)
    .bytes(ciphertext)
    .finish()
  assert(header.length === sealedHeaderSize, 'a sealed message has a header of 1,126 bytes')
  const plaintextSize = plaintextSizeOf(size)
  const plaintext = new ByteWriter(plaintextSize)
    .bytes32(content)
    .bytes(random.bytes(plaintextSize - lengthSize - size))
    .finish()
  const key = deriveKey(crypto, sharedSecret)
  const sealed = crypto.chacha20Poly1305Seal(key, noNonce, header, plaintext)
  crypto.wipe(key)
  crypto.wipe(plaintext)
  return ok(concatBytes(header, sealed))
}

/** The id of the key that opens it, or undefined when no sealed message of this version has such bytes. */
export function sealedKeyId(bytes: Uint8Array): number | undefined {
  const head = readHead(bytes)
  return head.ok ? head.value.keyId : undefined
}

/**
 * What is inside, a copy. `secretKeyOf`: the X-Wing seed (32 bytes) of a key id, undefined for one that is not kept. Never
 * throws: a stranger may have written all of it.
 */
export function openSealed(
  crypto: Crypto,
  secretKeyOf: (keyId: number) => Uint8Array | undefined,
  bytes: Uint8Array,
): Result<OpenedSealed, OpenSealedError> {
  const head = readHead(bytes)
  if (!head.ok) return head
  const { keyId, ciphertext } = head.value
  const secretKey = secretKeyOf(keyId)
  if (secretKey === undefined) return err({ type: 'unknown-key', keyId })
  const sharedSecret = crypto.xwingDecapsulate(ciphertext, secretKey)
  if (sharedSecret === undefined) return err({ type: 'unsealable' })
  const key = deriveKey(crypto, sharedSecret)
  const header = bytes.subarray(0, sealedHeaderSize)
  const plaintext = crypto.chacha20Poly1305Open(key, noNonce, header, bytes.subarray(sealedHeaderSize))
  crypto.wipe(key)
  if (plaintext === undefined) return err({ type: 'unsealable' })
  const reader = new ByteReader(plaintext)
  const content = reader.bytes32(sealedContentSizeMax)
  crypto.wipe(plaintext)
  // One size for one length: who sealed it has no say in how large it looks.
  const isWhole = !reader.failed && plaintextSizeOf(content.length) === plaintext.length
  return isWhole ? ok({ keyId, content }) : err({ type: 'unsealable' })
}

/** One key for one message, as every message has its own encapsulation: the nonce may be zero. */
function deriveKey(crypto: Crypto, sharedSecret: Uint8Array): Uint8Array {
  const key = crypto.hkdfSha256(sharedSecret, noSalt, info, 32)
  crypto.wipe(sharedSecret)
  return key
}

function plaintextSizeOf(contentSize: number): number {
  let bucket = sealedPaddingSizeMin
  while (bucket < contentSize + sealedPaddingSizeMin) bucket *= 2
  return Math.min(bucket, plaintextSizeMax)
}

function readHead(
  bytes: Uint8Array,
): Result<{ readonly keyId: number; readonly ciphertext: Uint8Array }, OpenSealedError> {
  if (!isSealedSize(bytes.length)) return err({ type: 'wrong-size', size: bytes.length })
  const reader = new ByteReader(bytes.subarray(0, sealedHeaderSize))
  const [version, suite] = [reader.u8(), reader.u8()]
  if (version !== sealedMessageVersion || suite !== sealedMessageSuite)
    return err({ type: 'unsupported', version, suite })
  return ok({ keyId: reader.u32(), ciphertext: reader.bytes(xwingCiphertextSize) })
}

function isSealedSize(size: number): boolean {
  const plaintextSize = size - sealedHeaderSize - tagSize
  if (plaintextSize === plaintextSizeMax) return true
  const isPowerOfTwo = plaintextSize > 0 && (plaintextSize & (plaintextSize - 1)) === 0
  return isPowerOfTwo && plaintextSize >= sealedPaddingSizeMin && plaintextSize < plaintextSizeMax
}
