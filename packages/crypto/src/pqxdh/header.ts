import type { Result, SessionId } from '@miaou/core'
import { ByteReader, ByteWriter, bytesToSessionId, concatBytes, err, ok, textToBytes } from '@miaou/core'
import type { Crypto } from '../suite.ts'

/** Version byte of the PQXDH header. */
export const pqxdhVersion = 1
/** Suite byte: X25519, ML-KEM-768, HKDF-SHA-256. */
export const pqxdhSuite = 1
/** Size of an encoded header: every field has a fixed size, so a header tells nothing by its length. */
export const pqxdhHeaderBytes: number = 3 + 4 + 32 + 32 + 4 + 4 + 4 + 1088

const flagOneTimePrekey = 1
const flagKemOneTime = 2
const sessionIdLabel = textToBytes('Miaou-v1-session-id')

/**
 * What the initiator sends so that the responder can compute the same secret (PQXDH §3.3): it goes in front of every
 * message of the session until the first answer has come. It is public and carries no authenticity of its own: each of
 * its bytes enters the key derivation, so an altered header leads to another secret and another session id.
 */
export interface PqxdhHeader {
  /** u32. 1 for a first session, one more than the highest known when a session replaces others (`compareSessions`). */
  readonly generation: number
  /** The initiator's session identity (X25519, 32 bytes). The caller checks the certificate that vouches for it. */
  readonly identityKey: Uint8Array
  /** The initiator's ephemeral X25519 key, 32 bytes. */
  readonly ephemeralKey: Uint8Array
  /** u32. */
  readonly signedPrekeyId: number
  /** u32, or undefined when the bundle had no one-time X25519 prekey left. */
  readonly oneTimePrekeyId: number | undefined
  /** u32. */
  readonly kemPrekeyId: number
  /** Whether the KEM prekey was a one-time one (delete it after use) or the last-resort one. */
  readonly kemOneTime: boolean
  /** ML-KEM-768 ciphertext, 1088 bytes. */
  readonly kemCiphertext: Uint8Array
}

/** `unsupported`: a version or suite that this program does not know. `malformed`: not a header at all. */
export type PqxdhHeaderError =
  | { readonly type: 'unsupported'; readonly version: number; readonly suite: number }
  | { readonly type: 'malformed' }

/**
 * Layout: version u8 ‖ suite u8 ‖ flags u8 (1: one-time prekey, 2: the KEM prekey is one-time) ‖ generation u32 ‖
 * identity key 32 ‖ ephemeral key 32 ‖ signed prekey id u32 ‖ one-time prekey id u32 (0 without one) ‖ KEM prekey id
 * u32 ‖ KEM ciphertext 1088. A new field means a new version.
 */
export function encodePqxdhHeader(header: PqxdhHeader): Uint8Array {
  const flags =
    (header.oneTimePrekeyId === undefined ? 0 : flagOneTimePrekey) | (header.kemOneTime ? flagKemOneTime : 0)
  return new ByteWriter(pqxdhHeaderBytes)
    .u8(pqxdhVersion)
    .u8(pqxdhSuite)
    .u8(flags)
    .u32(header.generation)
    .bytes(header.identityKey)
    .bytes(header.ephemeralKey)
    .u32(header.signedPrekeyId)
    .u32(header.oneTimePrekeyId ?? 0)
    .u32(header.kemPrekeyId)
    .bytes(header.kemCiphertext)
    .finish()
}

/** The counterpart of `encodePqxdhHeader`; accepts its exact output only, so that a header has one spelling. */
export function decodePqxdhHeader(bytes: Uint8Array): Result<PqxdhHeader, PqxdhHeaderError> {
  const reader = new ByteReader(bytes)
  const version = reader.u8()
  const suite = reader.u8()
  if (reader.failed) return err({ type: 'malformed' })
  if (version !== pqxdhVersion || suite !== pqxdhSuite) return err({ type: 'unsupported', version, suite })
  const flags = reader.u8()
  const generation = reader.u32()
  const identityKey = reader.bytes(32)
  const ephemeralKey = reader.bytes(32)
  const signedPrekeyId = reader.u32()
  const oneTimeId = reader.u32()
  const kemPrekeyId = reader.u32()
  const kemCiphertext = reader.bytes(1088)
  const hasOneTime = (flags & flagOneTimePrekey) !== 0
  if (flags > (flagOneTimePrekey | flagKemOneTime) || (!hasOneTime && oneTimeId !== 0)) reader.fail()
  if (!reader.finished()) return err({ type: 'malformed' })
  return ok({
    generation,
    identityKey,
    ephemeralKey,
    signedPrekeyId,
    oneTimePrekeyId: hasOneTime ? oneTimeId : undefined,
    kemPrekeyId,
    kemOneTime: (flags & flagKemOneTime) !== 0,
    kemCiphertext,
  })
}

/**
 * Names the session that a header starts: the first 16 bytes of SHA-256 over a label and the whole header. Both sides
 * compute the same, and a header seen twice gives the id of a session that already exists: its message then goes to
 * that session instead of starting a second one.
 */
export function pqxdhSessionId(crypto: Crypto, header: PqxdhHeader): SessionId {
  return bytesToSessionId(crypto.sha256(concatBytes(sessionIdLabel, encodePqxdhHeader(header))).slice(0, 16))
}
