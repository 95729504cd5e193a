import { ByteReader, concatBytes } from '@miaou/core'
import { type BoxAddress, boxIdSize, mailboxIdSize } from '../mailbox/mailbox-address.ts'
import type { RecordEntry } from './device-record.ts'
import { encodeWay, readWay } from './way.ts'

/** Kind of a mailbox entry: a box at a mailbox service (spec/records W1). */
export const boxEntryKind = 1
/** Characters of a mailbox's URL in a record. */
export const boxUrlLengthMax = 128

/** Box id ‖ mailbox id ‖ the URL as a way (W2). */
export function boxToEntry({ box, mailbox }: BoxAddress): RecordEntry {
  return { kind: boxEntryKind, bytes: concatBytes(box, mailbox.mailboxId, encodeWay(mailbox.url)) }
}

/** Undefined for an entry of another kind, and for one that names no box. */
export function entryToBox({ kind, bytes }: RecordEntry): BoxAddress | undefined {
  if (kind !== boxEntryKind) return undefined
  const reader = new ByteReader(bytes)
  const box = reader.bytes(boxIdSize)
  const mailboxId = reader.bytes(mailboxIdSize)
  const url = readWay(reader, boxUrlLengthMax)
  if (url === undefined || url.startsWith('circuit:') || !reader.finished()) return undefined
  return { box, mailbox: { url, mailboxId } }
}
