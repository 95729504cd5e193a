import {
  assert,
  ByteReader,
  ByteWriter,
  concatBytes,
  equalBytes,
  err,
  ok,
  type Random,
  type Result,
  textToBytes,
} from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { certificateSizeMax } from './certificate.ts'
import { prekeyBundleSizeMax } from './prekey-bundle.ts'
import {
  type DecodeError,
  decodeStructure,
  startStructure,
  structureSuite,
  structureVersion,
  writeExtensions,
} from './structure.ts'

/** All that a stranger with an invite needs to write to a device that is away (spec/prekeys P6). None is verified here. */
export interface PrekeyDocument {
  /** Signed prekey bundle. */
  readonly bundle: Uint8Array
  /** The device's certificate. */
  readonly certificate: Uint8Array
  /** The device's `PeerAnnouncement`, encoded: its account's device list, its name. */
  readonly announcement: Uint8Array
}

/** `unsealable`: sealed under another locator key or for another device, or altered. */
export type SealedBundleError = DecodeError | { readonly type: 'unsealable' }

/** Parts of a sealed document, each a value of the overlay, and the value that names them. */
export interface SplitBundle {
  /** At most 16, each at most 900 bytes. */
  readonly parts: readonly Uint8Array[]
  /** At most 900 bytes. */
  readonly manifest: Uint8Array
  /** 32 bytes: under which the overlay has the manifest. */
  readonly bundleKey: Uint8Array
}

/** What a manifest says: read it before the parts, which it names. */
export interface BundleManifest {
  /** Bytes of the sealed document. */
  readonly size: number
  /** Keys of the overlay, 32 bytes each, in order. */
  readonly partKeys: readonly Uint8Array[]
}

/** Most bytes of an announcement in a document (own choice: seven devices and a name). */
export const prekeyAnnouncementSizeMax = 4_096
/** Sealed documents have a multiple of so many bytes: they tell little of what is in them (own choice). */
export const sealedBundleStep = 1_024
/** Largest sealed document: the largest bundle, certificate and announcement, and what is around them. */
export const sealedBundleSizeMax = 14_336
/** Version, suite, nonce 24, tag 16 and the size of what is inside. */
export const sealedBundleOverhead = 44
/** Most bytes of a part: with what a record of the overlay adds, below its 1,000. */
export const bundlePartSizeMax = 900
/** Parts of the largest document. */
export const bundlePartsMax = 16

const nonceSize = 24
const tagSize = 16
const headerSize = 2
const keySize = 32
const sealingInfo = textToBytes('Miaou-v0.2.0-locator-bundle')
const documentSizeMax = 2 + 2 + prekeyBundleSizeMax + 2 + certificateSizeMax + 2 + prekeyAnnouncementSizeMax + 2
const manifestHeadSize = 2 + 2 + 1

/** The document, encoded: what `sealBundle` takes. */
export function encodePrekeyDocument({ bundle, certificate, announcement }: PrekeyDocument): Uint8Array {
  assert(bundle.length <= prekeyBundleSizeMax && certificate.length <= certificateSizeMax, 'a document is bounded')
  assert(announcement.length <= prekeyAnnouncementSizeMax, 'an announcement in a document is bounded')
  return writeExtensions(startStructure().bytes16(bundle).bytes16(certificate).bytes16(announcement)).finish()
}

/** The parts of a document, none verified. Never throws. */
export function decodePrekeyDocument(bytes: Uint8Array): Result<PrekeyDocument, DecodeError> {
  const decoded = decodeStructure({ what: 'prekey document', sizeMax: documentSizeMax, read }, bytes)
  return decoded.ok ? ok(decoded.value.value) : decoded
}

/**
 * The document under what follows from the locator key: whoever keeps it learns nothing, and who knows where to look for
 * the device's record can open it. `locatorKey`, `deviceKey`: 32 bytes. `document`: of `encodePrekeyDocument`.
 */
export function sealBundle(
  crypto: Crypto,
  random: Random,
  locatorKey: Uint8Array,
  deviceKey: Uint8Array,
  document: Uint8Array,
): Uint8Array {
  const size = Math.ceil((document.length + sealedBundleOverhead) / sealedBundleStep) * sealedBundleStep
  assert(size <= sealedBundleSizeMax, 'a document is bounded')
  const header = Uint8Array.of(structureVersion, structureSuite)
  const nonce = random.bytes(nonceSize)
  const plaintext = new Uint8Array(size - headerSize - nonceSize - tagSize)
  plaintext.set(new ByteWriter(plaintext.length).bytes16(document).finish())
  const key = deriveKey(crypto, locatorKey, deviceKey)
  const sealed = crypto.xchacha20Poly1305Seal(key, nonce, concatBytes(header, deviceKey), plaintext)
  crypto.wipe(key)
  return concatBytes(header, nonce, sealed)
}

/** The document in what `sealBundle` gave. That its bundle is the device's own, the caller verifies. Never throws. */
export function openBundle(
  crypto: Crypto,
  locatorKey: Uint8Array,
  deviceKey: Uint8Array,
  bytes: Uint8Array,
): Result<PrekeyDocument, SealedBundleError> {
  const unsealable = err({ type: 'unsealable' } as const)
  const { length } = bytes
  if (length === 0 || length > sealedBundleSizeMax || length % sealedBundleStep !== 0) return unsealable
  const header = bytes.slice(0, headerSize)
  const [version = 0, suite = 0] = header
  if (version !== structureVersion || suite !== structureSuite) return err({ type: 'unsupported', version, suite })
  const nonce = bytes.slice(headerSize, headerSize + nonceSize)
  const key = deriveKey(crypto, locatorKey, deviceKey)
  const sealed = bytes.slice(headerSize + nonceSize)
  const plaintext = crypto.xchacha20Poly1305Open(key, nonce, concatBytes(header, deviceKey), sealed)
  crypto.wipe(key)
  if (plaintext === undefined) return unsealable
  const reader = new ByteReader(plaintext)
  const document = reader.bytes16(documentSizeMax)
  return reader.failed ? err({ type: 'malformed', what: 'prekey document' }) : decodePrekeyDocument(document)
}

/** A sealed document for the overlay, whose values are smaller: each part and the manifest is one value of it. */
export function splitBundle(crypto: Pick<Crypto, 'sha256'>, bytes: Uint8Array): SplitBundle {
  assert(bytes.length > 0 && bytes.length <= sealedBundleSizeMax, 'a sealed document is bounded')
  const parts: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += bundlePartSizeMax) parts.push(bytes.slice(at, at + bundlePartSizeMax))
  const keys = parts.map((part) => crypto.sha256(part))
  const manifest = concatBytes(
    new ByteWriter(manifestHeadSize).u8(structureVersion).u8(structureSuite).u16(bytes.length).finish(),
    Uint8Array.of(parts.length),
    ...keys,
  )
  return { parts, manifest, bundleKey: crypto.sha256(manifest) }
}

/** What a manifest names. That it is the one that was asked for, its key in the overlay proves. Never throws. */
export function decodeBundleManifest(bytes: Uint8Array): Result<BundleManifest, DecodeError> {
  const malformed = err({ type: 'malformed', what: 'bundle manifest' } as const)
  if (bytes.length > bundlePartSizeMax) return malformed
  const reader = new ByteReader(bytes)
  const [version, suite] = [reader.u8(), reader.u8()]
  if (reader.failed) return malformed
  if (version !== structureVersion || suite !== structureSuite) return err({ type: 'unsupported', version, suite })
  const size = reader.u16()
  const count = reader.u8()
  const isPossible = size > 0 && size <= sealedBundleSizeMax && count === Math.ceil(size / bundlePartSizeMax)
  if (!isPossible) return malformed
  const partKeys: Uint8Array[] = []
  while (partKeys.length < count && !reader.failed) partKeys.push(reader.bytes(keySize))
  return reader.finished() ? ok({ size, partKeys }) : malformed
}

/** The sealed document of these parts, in order; undefined when one of them is not the one that the manifest names. */
export function joinBundle(
  crypto: Pick<Crypto, 'sha256'>,
  { size, partKeys }: BundleManifest,
  parts: readonly Uint8Array[],
): Uint8Array | undefined {
  const isTheirs = (part: Uint8Array, index: number): boolean => {
    const key = partKeys[index]
    return part.length <= bundlePartSizeMax && key !== undefined && equalBytes(crypto.sha256(part), key)
  }
  if (parts.length !== partKeys.length || !parts.every(isTheirs)) return undefined
  const bytes = concatBytes(...parts)
  return bytes.length === size ? bytes : undefined
}

function deriveKey(crypto: Crypto, locatorKey: Uint8Array, deviceKey: Uint8Array): Uint8Array {
  assert(locatorKey.length === keySize && deviceKey.length === keySize, 'keys have 32 bytes')
  return crypto.hkdfSha256(locatorKey, deviceKey, sealingInfo, keySize)
}

function read(reader: ByteReader): PrekeyDocument {
  const bundle = reader.bytes16(prekeyBundleSizeMax)
  const certificate = reader.bytes16(certificateSizeMax)
  return { bundle, certificate, announcement: reader.bytes16(prekeyAnnouncementSizeMax) }
}
