import type { ByteReader, Result } from '@miaou/core'
import { assert, err, ok } from '@miaou/core'
import { deviceListEntriesMax, deviceListEntrySizeMax } from './device-list-entry.ts'
import { decodeStartMark, encodeStartMark, type SignedStartMark } from './mailbox/start-mark.ts'
import { readName, writeName } from './name.ts'
import { type DecodeError, decodeStructure, startStructure, writeExtensions } from './structure.ts'

/** What a device tells the one it is linked with about its account (row B09; spec/messages M12). */
export interface PeerAnnouncement {
  /** Ed25519, 32 bytes; it must be the one of the link's certificate. */
  readonly accountKey: Uint8Array
  /** Encoded entries, oldest first, not verified: `verifyDeviceList` says whether they hold. */
  readonly deviceList: readonly Uint8Array[]
  /** What the person calls themselves. */
  readonly name: string
  /** Of the sender's present start, signed by it; not verified here (`verifyStartMark`). */
  readonly startMark?: SignedStartMark
  /** A later start of the receiver than the one it told of: so it is a copy, or was rolled back. Not verified here. */
  readonly laterMark?: SignedStartMark
}

/** Most bytes of an announcement: 64 entries and the fixed fields. */
export const announcementSizeMax = 40_960
/** Tags of its extensions. */
export const announcementTags = { startMark: 1, laterMark: 2 } as const

export function encodePeerAnnouncement(announcement: PeerAnnouncement): Uint8Array {
  const { accountKey, deviceList, name, startMark, laterMark } = announcement
  assert(accountKey.length === 32, 'an account key has 32 bytes')
  assert(deviceList.length <= deviceListEntriesMax, 'a device list is bounded')
  const writer = writeName(startStructure().bytes(accountKey), name).u8(deviceList.length)
  for (const entry of deviceList) writer.bytes16(entry)
  const extensions = [
    ...(startMark === undefined ? [] : [{ tag: announcementTags.startMark, bytes: encodeStartMark(startMark) }]),
    ...(laterMark === undefined ? [] : [{ tag: announcementTags.laterMark, bytes: encodeStartMark(laterMark) }]),
  ]
  return writeExtensions(writer, extensions).finish()
}

export function decodePeerAnnouncement(bytes: Uint8Array): Result<PeerAnnouncement, DecodeError> {
  const what = 'peer announcement'
  const form = { what, sizeMax: announcementSizeMax, read, knownTags: Object.values(announcementTags) }
  const decoded = decodeStructure(form, bytes)
  if (!decoded.ok) return decoded
  const { value, extensions } = decoded.value
  const marks: { startMark?: SignedStartMark; laterMark?: SignedStartMark } = {}
  for (const { tag, bytes: markBytes } of extensions) {
    const mark = decodeStartMark(markBytes)
    if (mark === undefined) return err({ type: 'malformed', what })
    marks[tag === announcementTags.startMark ? 'startMark' : 'laterMark'] = mark
  }
  return ok({ ...value, ...marks })
}

function read(reader: ByteReader): PeerAnnouncement {
  const accountKey = reader.bytes(32)
  const name = readName(reader)
  const count = reader.u8()
  if (count > deviceListEntriesMax) reader.fail()
  const deviceList: Uint8Array[] = []
  while (deviceList.length < count && !reader.failed) deviceList.push(reader.bytes16(deviceListEntrySizeMax))
  return { accountKey, deviceList, name }
}
