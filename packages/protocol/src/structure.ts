import type { Result } from '@miaou/core'
import { assert, ByteReader, ByteWriter, err, ok } from '@miaou/core'

/** First byte of every signed or sealed structure (spec/messages M1). */
export const structureVersion = 1
/** Second byte: Ed25519, X25519, ML-KEM-768, SHA-256 (spec/messages M1). */
export const structureSuite = 1
/** Most bytes an extensions block may have behind its length (own choice: room for a key or a short record). */
export const extensionsSizeMax = 4096
/** A tag with this bit set must be understood, or the structure is refused (spec/messages M3). */
export const criticalTagBit = 0x8000
/** Bytes that a later version may append to a small frame payload (spec/messages M6; own choice). */
export const tailSizeMax = 64

/**
 * Why bytes were refused. `malformed`: no encoder of ours writes them. `unsupported`: a version or suite that this
 * program does not know. `critical-extension`: a part that must be understood and is not.
 */
export type DecodeError =
  | { readonly type: 'malformed'; readonly what: string }
  | { readonly type: 'unsupported'; readonly version: number; readonly suite: number }
  | { readonly type: 'critical-extension'; readonly tag: number }

/** One tagged part of the extensions block. `tag`: u16. */
export interface Extension {
  readonly tag: number
  readonly bytes: Uint8Array
}

export interface DecodedStructure<T> {
  readonly value: T
  /** The extensions whose tags were named as known. */
  readonly extensions: readonly Extension[]
}

export interface StructureForm<T> {
  /** What it is, for error messages. */
  readonly what: string
  /** Most bytes of the whole structure. */
  readonly sizeMax: number
  /** Reads the fields between suite and extensions; says `reader.fail()` where a rule is broken. */
  readonly read: (reader: ByteReader) => T
  /** Tags that the caller understands. */
  readonly knownTags?: readonly number[]
}

/** A writer with version and suite already written. */
export function startStructure(): ByteWriter {
  return new ByteWriter(512).u8(structureVersion).u8(structureSuite)
}

/** Writes the extensions block: u16 size, then (tag u16 ‖ size u16 ‖ bytes) in ascending order of tags. */
export function writeExtensions(writer: ByteWriter, extensions: readonly Extension[] = []): ByteWriter {
  const block = new ByteWriter(64)
  let previousTag = -1
  for (const { tag, bytes } of extensions) {
    assert(tag > previousTag && tag <= 0xffff, 'extension tags ascend')
    previousTag = tag
    block.u16(tag).bytes16(bytes)
  }
  assert(block.size <= extensionsSizeMax, 'an extensions block is bounded')
  return writer.bytes16(block.finish())
}

/** Takes apart a structure that ends with its extensions block. Never throws. */
export function decodeStructure<T>(
  form: StructureForm<T>,
  bytes: Uint8Array,
): Result<DecodedStructure<T>, DecodeError> {
  const malformed = err({ type: 'malformed', what: form.what } as const)
  if (bytes.length > form.sizeMax) return malformed
  const reader = new ByteReader(bytes)
  const version = reader.u8()
  const suite = reader.u8()
  if (reader.failed) return malformed
  if (version !== structureVersion || suite !== structureSuite) return err({ type: 'unsupported', version, suite })
  const value = form.read(reader)
  const extensions = readExtensions(reader)
  if (!reader.finished()) return malformed
  const known: Extension[] = []
  for (const extension of extensions) {
    if (form.knownTags?.includes(extension.tag)) known.push(extension)
    else if (extension.tag >= criticalTagBit) return err({ type: 'critical-extension', tag: extension.tag })
  }
  return ok({ value, extensions: known })
}

/** Every tagged part, known or not; fails the reader when the tags do not ascend or a size is wrong. */
function readExtensions(reader: ByteReader): readonly Extension[] {
  const block = new ByteReader(reader.bytes16(extensionsSizeMax))
  const extensions: Extension[] = []
  let previousTag = -1
  while (!block.failed && block.remaining > 0) {
    const tag = block.u16()
    if (tag <= previousTag) block.fail()
    previousTag = tag
    extensions.push({ tag, bytes: block.bytes16(extensionsSizeMax) })
  }
  if (block.failed) reader.fail()
  return extensions
}

/** The name a code stands for in a table of codes, or undefined. */
export function codeToName<const Name extends string>(
  codes: Readonly<Record<Name, number>>,
  code: number,
): Name | undefined {
  for (const name in codes) if (codes[name] === code) return name
  return undefined
}

/** Reads a flags byte and fails on a flag that is not in `mask`: a flag says that fields follow. */
export function readFlags(reader: ByteReader, mask: number): number {
  const flags = reader.u8()
  if ((flags & ~mask) !== 0) reader.fail()
  return flags
}
