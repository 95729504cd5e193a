import { assert, ByteReader, ByteWriter } from '@miaou/core'
import type { SqlRow } from './store.ts'

/** Columns as the schema promises them: another type is our own bug, or a file that was written by other hands. */
export function numberOf(row: SqlRow, column: string): number {
  const value = row[column]
  assert(typeof value === 'number', `column ${column} holds a number`)
  return value
}

export function textOf(row: SqlRow, column: string): string {
  const value = row[column]
  assert(typeof value === 'string', `column ${column} holds text`)
  return value
}

export function bytesOf(row: SqlRow, column: string): Uint8Array {
  const value = row[column]
  assert(value instanceof Uint8Array, `column ${column} holds bytes`)
  return value
}

export function maybeNumberOf(row: SqlRow, column: string): number | undefined {
  return row[column] === null ? undefined : numberOf(row, column)
}

export function maybeBytesOf(row: SqlRow, column: string): Uint8Array | undefined {
  return row[column] === null ? undefined : bytesOf(row, column)
}

/** A list of byte strings in one column: count u16, then each behind its u16 length. */
export function packList(entries: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter(1024).u16(entries.length)
  for (const entry of entries) writer.bytes16(entry)
  return writer.finish()
}

export function unpackList(bytes: Uint8Array): Uint8Array[] {
  const reader = new ByteReader(bytes)
  const count = reader.u16()
  const entries: Uint8Array[] = []
  while (entries.length < count && !reader.failed) entries.push(reader.bytes16(0xffff))
  assert(reader.finished(), 'a stored list is whole')
  return entries
}
