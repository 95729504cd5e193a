import type { ByteReader, Result } from '@miaou/core'
import { assert, ok } from '@miaou/core'
import { deviceListEntriesMax, deviceListEntrySizeMax } from './device-list-entry.ts'
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
}

/** Most bytes of an announcement: 64 entries and the fixed fields. */
export const announcementSizeMax = 40_960

export function encodePeerAnnouncement(announcement: PeerAnnouncement): Uint8Array {
  const { accountKey, deviceList, name } = announcement
  assert(accountKey.length === 32, 'an account key has 32 bytes')
  assert(deviceList.length <= deviceListEntriesMax, 'a device list is bounded')
  const writer = writeName(startStructure().bytes(accountKey), name).u8(deviceList.length)
  for (const entry of deviceList) writer.bytes16(entry)
  return writeExtensions(writer).finish()
}

export function decodePeerAnnouncement(bytes: Uint8Array): Result<PeerAnnouncement, DecodeError> {
  const decoded = decodeStructure({ what: 'peer announcement', sizeMax: announcementSizeMax, read }, bytes)
  return decoded.ok ? ok(decoded.value.value) : decoded
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
