import type { ByteReader, Result } from '@miaou/core'
import { assert, ByteWriter, err, ok } from '@miaou/core'
import { certificateSizeMax } from './certificate.ts'
import { framePayloadSizeMax } from './frame.ts'
import { codeToName, type DecodeError, decodeStructure, startStructure, writeExtensions } from './structure.ts'

/** The layer that onion routing will add (row H06): whom to hand the inner layer to. Nothing forwards it yet. */
export interface NextHop {
  /** Ed25519, 32 bytes. */
  readonly peerId: Uint8Array
  /** Sealed for that peer; 1 byte to 3 KiB. */
  readonly layer: Uint8Array
}

/** What carries one sealed message from device to device (spec/messages M13). */
export type Envelope =
  | {
      readonly kind: 'initial'
      /** 16 bytes. */
      readonly sessionId: Uint8Array
      /** The sender's device certificate, not verified. */
      readonly certificate: Uint8Array
      /** Encoded PQXDH header. */
      readonly header: Uint8Array
      /** Encoded ratchet message. */
      readonly message: Uint8Array
      readonly nextHop?: NextHop
    }
  | {
      readonly kind: 'ratchet'
      readonly sessionId: Uint8Array
      readonly message: Uint8Array
      readonly nextHop?: NextHop
    }

/** Most bytes of an envelope: the payload of one frame, 65,536 − 24 − 86, so that it needs no fragments. */
export const envelopeSizeMax: number = framePayloadSizeMax
/** Most bytes of a PQXDH header: 1,171 today, and room for another suite. */
export const sessionHeaderSizeMax = 4096
/** Most bytes an `initial` envelope has beside its ratchet message in this version. */
export const initialEnvelopeOverheadMax: number =
  2 + 1 + 16 + (2 + certificateSizeMax) + (2 + sessionHeaderSizeMax) + 4 + 2
/** Kind byte of an envelope. */
export const envelopeKinds = { initial: 1, ratchet: 2 } as const
/** Critical extension reserved for row H06: whoever cannot forward must not take the envelope for their own. */
export const nextHopTag = 0x8001
/** Most bytes of the inner layer: what an extensions block holds beside the peer id, rounded down. */
export const nextHopLayerSizeMax = 3072

/** Asserts sizes; a message that does not fit is refused by the sender's own limits before. */
export function encodeEnvelope(envelope: Envelope): Uint8Array {
  const { sessionId, message, nextHop } = envelope
  assert(sessionId.length === 16, 'a session id has 16 bytes')
  const writer = startStructure().u8(envelopeKinds[envelope.kind]).bytes(sessionId)
  if (envelope.kind === 'initial') {
    assert(envelope.certificate.length <= certificateSizeMax, 'a certificate is bounded')
    assert(envelope.header.length <= sessionHeaderSizeMax, 'a session header is bounded')
    writer.bytes16(envelope.certificate).bytes16(envelope.header)
  }
  writer.bytes32(message)
  const extensions = nextHop === undefined ? [] : [{ tag: nextHopTag, bytes: encodeNextHop(nextHop) }]
  const bytes = writeExtensions(writer, extensions).finish()
  assert(bytes.length <= envelopeSizeMax, 'an envelope fits one frame')
  return bytes
}

/**
 * The envelope in `bytes`. One with a next hop is refused with `critical-extension` unless `acceptNextHop` is set,
 * which only a forwarder would do.
 */
export function decodeEnvelope(
  bytes: Uint8Array,
  options: { readonly acceptNextHop?: boolean } = {},
): Result<Envelope, DecodeError> {
  const knownTags = options.acceptNextHop ? [nextHopTag] : []
  const decoded = decodeStructure({ what: 'envelope', sizeMax: envelopeSizeMax, read, knownTags }, bytes)
  if (!decoded.ok) return decoded
  const { value, extensions } = decoded.value
  const extension = extensions[0]
  if (extension === undefined) return ok(value)
  const peerId = extension.bytes.slice(0, 32)
  const layer = extension.bytes.slice(32)
  if (layer.length === 0 || layer.length > nextHopLayerSizeMax) return err({ type: 'malformed', what: 'next hop' })
  return ok({ ...value, nextHop: { peerId, layer } })
}

function encodeNextHop(nextHop: NextHop): Uint8Array {
  const { peerId, layer } = nextHop
  assert(peerId.length === 32 && layer.length > 0 && layer.length <= nextHopLayerSizeMax, 'a next hop is bounded')
  return new ByteWriter(32 + layer.length).bytes(peerId).bytes(layer).finish()
}

function read(reader: ByteReader): Envelope {
  const kind = codeToName(envelopeKinds, reader.u8())
  if (kind === undefined) reader.fail()
  const sessionId = reader.bytes(16)
  if (kind !== 'initial') return { kind: 'ratchet', sessionId, message: reader.bytes32(envelopeSizeMax) }
  const certificate = reader.bytes16(certificateSizeMax)
  const header = reader.bytes16(sessionHeaderSizeMax)
  return { kind, sessionId, certificate, header, message: reader.bytes32(envelopeSizeMax) }
}
