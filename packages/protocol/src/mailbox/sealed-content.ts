import type { ByteReader, Result } from '@miaou/core'
import { assert, ok } from '@miaou/core'
import { sealedContentSizeMax } from '@miaou/crypto'
import { envelopeSizeMax } from '../envelope.ts'
import { type DecodeError, decodeStructure, startStructure, writeExtensions } from '../structure.ts'

/** What is inside a sealed message (spec/sealed SE8): who wrote it, and envelopes for one device. */
export interface SealedContent {
  /** Ed25519, 32 bytes: a claim, as each envelope proves its own sender. */
  readonly accountKey: Uint8Array
  /** Ed25519, 32 bytes. */
  readonly deviceKey: Uint8Array
  /** The sender's `PeerAnnouncement`, encoded; empty where the receiver has it already. Not decoded here. */
  readonly announcement: Uint8Array
  /** 1 to 64, encoded, in order. Not decoded here. */
  readonly envelopes: readonly Uint8Array[]
}

/** Most bytes of an announcement in a sealed message: leaves room for the largest text beside it (own choice). */
export const sealedAnnouncementSizeMax = 16_384
/** Envelopes in one sealed message (own choice: what a large one holds of short messages). */
export const sealedEnvelopesMax = 64
/** Bytes around the announcement and the envelopes: version, suite, keys, size, count, extensions. */
export const sealedContentOverhead: number = 2 + 32 + 32 + 2 + 2 + 2
/** Bytes in front of each envelope. */
export const sealedEnvelopeOverhead = 4

/** Bytes that these parts will have: to know what still fits `sealedContentSizeMax`. */
export function sealedContentSize(announcementSize: number, envelopeSizes: readonly number[]): number {
  const fixed = sealedContentOverhead + announcementSize
  return envelopeSizes.reduce((size, envelope) => size + sealedEnvelopeOverhead + envelope, fixed)
}

/** Asserts what a caller can get wrong: `sealedContentSize` says beforehand what fits. */
export function encodeSealedContent(content: SealedContent): Uint8Array {
  const { accountKey, deviceKey, announcement, envelopes } = content
  assert(accountKey.length === 32 && deviceKey.length === 32, 'keys have 32 bytes')
  assert(announcement.length <= sealedAnnouncementSizeMax, 'an announcement is bounded')
  assert(envelopes.length > 0 && envelopes.length <= sealedEnvelopesMax, 'a sealed message has 1 to 64 envelopes')
  const writer = startStructure().bytes(accountKey).bytes(deviceKey).bytes16(announcement).u16(envelopes.length)
  for (const envelope of envelopes) writer.bytes32(envelope)
  const bytes = writeExtensions(writer).finish()
  assert(bytes.length <= sealedContentSizeMax, 'a sealed message is bounded')
  return bytes
}

/** Never throws; the parts are copies. */
export function decodeSealedContent(bytes: Uint8Array): Result<SealedContent, DecodeError> {
  const decoded = decodeStructure({ what: 'sealed content', sizeMax: sealedContentSizeMax, read }, bytes)
  return decoded.ok ? ok(decoded.value.value) : decoded
}

function read(reader: ByteReader): SealedContent {
  const accountKey = reader.bytes(32)
  const deviceKey = reader.bytes(32)
  const announcement = reader.bytes16(sealedAnnouncementSizeMax)
  const count = reader.u16()
  if (count === 0 || count > sealedEnvelopesMax) reader.fail()
  const envelopes: Uint8Array[] = []
  while (envelopes.length < count && !reader.failed) {
    const envelope = reader.bytes32(envelopeSizeMax)
    if (envelope.length === 0) reader.fail()
    envelopes.push(envelope)
  }
  return { accountKey, deviceKey, announcement, envelopes }
}
