import type { ByteReader, Result } from '@miaou/core'
import { assert, concatBytes, ok, textToBytes } from '@miaou/core'
import { certificateSizeMax } from './certificate.ts'
import { type DecodeError, decodeStructure, readFlags, startStructure, writeExtensions } from './structure.ts'

/** SHA-256 fingerprints of the DTLS certificates at both ends of a WebRTC pipe, as the sender sees them. */
export interface HandshakeBinding {
  readonly local: Uint8Array
  readonly remote: Uint8Array
}

/** The encrypted payload of the second and third Noise message (row B19; spec/handshake H4). */
export interface HandshakeMessage {
  /** u8: the protocol version the sender speaks. */
  readonly protocolVersion: number
  /** The sender's Ed25519 key (device or pseudonym), 32 bytes. */
  readonly peerId: Uint8Array
  /** The certificate of the Noise static key; not verified by the decoder. */
  readonly certificate: Uint8Array
  /** At most 16 names of 1–32 characters of `a-z0-9-`, each once. */
  readonly features: readonly string[]
  /** Wall-clock ms. */
  readonly timestamp: number
  readonly binding?: HandshakeBinding
}

/** Row B20. */
export const defaultFeatures: readonly string[] = ['chat', 'files', 'groups']
/** Most features of one peer, and most characters of each (own choice). */
export const featuresMax = 16
export const featureSizeMax = 32
/** Most bytes of a handshake message: certificate 1,024, features 528, fixed fields, extensions (own choice). */
export const handshakeMessageSizeMax = 8192

const prologueText = 'Miaou-v0.2.0-handshake'
const flagBinding = 1
const featurePattern = /^[a-z0-9-]{1,32}$/

/** What both sides of a Noise handshake must agree on (DECISIONS "Link handshake"). `version`: u8. */
export function handshakePrologue(version: number): Uint8Array {
  return concatBytes(textToBytes(prologueText), Uint8Array.of(version))
}

export function encodeHandshakeMessage(message: HandshakeMessage): Uint8Array {
  const { peerId, certificate, features, binding } = message
  assert(peerId.length === 32 && certificate.length <= certificateSizeMax, 'a handshake names a peer and certificate')
  assert(features.length <= featuresMax && features.every(isFeature), 'features are at most 16 short names')
  const writer = startStructure()
    .u8(message.protocolVersion)
    .bytes(peerId)
    .bytes16(certificate)
    .u64(message.timestamp)
    .u8(features.length)
  for (const feature of features) writer.u8(feature.length).bytes(textToBytes(feature))
  writer.u8(binding === undefined ? 0 : flagBinding)
  if (binding !== undefined) {
    assert(binding.local.length === 32 && binding.remote.length === 32, 'a fingerprint has 32 bytes')
    writer.bytes(binding.local).bytes(binding.remote)
  }
  return writeExtensions(writer).finish()
}

export function decodeHandshakeMessage(bytes: Uint8Array): Result<HandshakeMessage, DecodeError> {
  const decoded = decodeStructure({ what: 'handshake message', sizeMax: handshakeMessageSizeMax, read }, bytes)
  return decoded.ok ? ok(decoded.value.value) : decoded
}

/** The features both sides offer, in the order of `ours`. */
export function negotiateFeatures(ours: readonly string[], theirs: readonly string[]): readonly string[] {
  return ours.filter((feature) => theirs.includes(feature))
}

function isFeature(text: string): boolean {
  return featurePattern.test(text)
}

function read(reader: ByteReader): HandshakeMessage {
  const protocolVersion = reader.u8()
  const peerId = reader.bytes(32)
  const certificate = reader.bytes16(certificateSizeMax)
  const timestamp = reader.u64()
  const features = readFeatures(reader)
  const binding =
    readFlags(reader, flagBinding) === flagBinding ? { local: reader.bytes(32), remote: reader.bytes(32) } : undefined
  return { protocolVersion, peerId, certificate, features, timestamp, ...(binding && { binding }) }
}

function readFeatures(reader: ByteReader): readonly string[] {
  const count = reader.u8()
  if (count > featuresMax) reader.fail()
  const features = new Set<string>()
  for (let index = 0; index < count && !reader.failed; index++) {
    const size = reader.u8()
    const feature = String.fromCharCode(...reader.bytes(Math.min(size, featureSizeMax)))
    if (size > featureSizeMax || !isFeature(feature) || features.has(feature)) reader.fail()
    features.add(feature)
  }
  return [...features]
}
