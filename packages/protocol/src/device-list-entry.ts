import type { ByteReader, Result } from '@miaou/core'
import { assert, concatBytes, textToBytes } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { readName, writeName } from './name.ts'
import { decodeSigned, finishSigned, isSignedBy, type SignedStructure } from './signed.ts'
import { codeToName, type DecodeError, startStructure } from './structure.ts'

export type DeviceListAction = 'add' | 'revoke' | 'delegate'

/** What a device may do beside sending: sign entries of the device list. */
export type DeviceRight = 'manage-devices'

/** One link of the hash chain that says which devices an account has (spec/identity I6). */
export interface DeviceListEntry {
  readonly action: DeviceListAction
  /** Ed25519, the same in every entry. */
  readonly accountKey: Uint8Array
  /** The device that is added, revoked or given rights. */
  readonly deviceKey: Uint8Array
  /** Empty unless the action is `add`. */
  readonly deviceName: string
  /** u32: 0, 1, 2, … */
  readonly height: number
  /** Hash of the entry before (`hashDeviceListEntry`); zeros at height 0. */
  readonly previous: Uint8Array
  /** The account, or the Ed25519 key of a device that holds `manage-devices`. */
  readonly signer: 'account' | Uint8Array
  /** The rights the device has afterwards; none when it is revoked. */
  readonly rights: readonly DeviceRight[]
  /** Wall-clock ms. */
  readonly createdAt: number
}

/** Most entries of a list, devices ever listed, and bytes of one entry (own choices; 277 bytes are the most today). */
export const deviceListEntriesMax = 64
export const devicesMax = 32
export const deviceListEntrySizeMax = 512
/** Action byte of an entry. */
export const deviceListActions = { add: 1, revoke: 2, delegate: 3 } as const
/** Signer byte of an entry. */
export const deviceListSigners = { account: 1, device: 2 } as const
/** Bits of the rights byte; a bit that this program does not know gives no right here. */
export const deviceRights = { 'manage-devices': 1 } as const

const label = 'device-list-entry'
const hashLabel = textToBytes('Miaou-v0.2.0-device-list-entry-hash\0')

/** `signerSecret`: the 32-byte Ed25519 seed of `entry.signer`. */
export function signDeviceListEntry(crypto: Crypto, signerSecret: Uint8Array, entry: DeviceListEntry): Uint8Array {
  const { action, accountKey, deviceKey, previous, signer } = entry
  for (const key of [accountKey, deviceKey, previous]) assert(key.length === 32, 'keys and hashes have 32 bytes')
  const writer = startStructure().u8(deviceListActions[action]).bytes(accountKey).u32(entry.height).bytes(previous)
  if (signer === 'account') {
    writer.u8(deviceListSigners.account)
  } else {
    assert(signer.length === 32, 'a device key has 32 bytes')
    writer.u8(deviceListSigners.device).bytes(signer)
  }
  writer.bytes(deviceKey)
  writeName(writer, entry.deviceName)
  writer.u8(entry.rights.includes('manage-devices') ? deviceRights['manage-devices'] : 0).u64(entry.createdAt)
  return finishSigned(crypto, label, writer, signerSecret)
}

/** Takes an entry apart without checking its signature or its place in a chain. */
export function decodeDeviceListEntry(bytes: Uint8Array): Result<SignedStructure<DeviceListEntry>, DecodeError> {
  return decodeSigned({ what: 'device list entry', sizeMax: deviceListEntrySizeMax, read }, bytes)
}

/** Whether the entry's signer signed it; whether the signer may is the list's question. */
export function isEntrySigned(crypto: Crypto, signed: SignedStructure<DeviceListEntry>): boolean {
  const { signer, accountKey } = signed.value
  return isSignedBy(crypto, label, signed, signer === 'account' ? accountKey : signer)
}

/** 32 bytes: SHA-256 of a label and the whole encoded entry, signature included. */
export function hashDeviceListEntry(crypto: Crypto, entry: Uint8Array): Uint8Array {
  return crypto.sha256(concatBytes(hashLabel, entry))
}

function read(reader: ByteReader): DeviceListEntry {
  const action = codeToName(deviceListActions, reader.u8())
  if (action === undefined) reader.fail()
  const accountKey = reader.bytes(32)
  const height = reader.u32()
  const previous = reader.bytes(32)
  const signerKind = codeToName(deviceListSigners, reader.u8())
  if (signerKind === undefined) reader.fail()
  const signer = signerKind === 'device' ? reader.bytes(32) : 'account'
  const deviceKey = reader.bytes(32)
  const deviceName = readName(reader)
  const rightBits = reader.u8()
  const createdAt = reader.u64()
  if (action !== 'add' && deviceName !== '') reader.fail()
  if (action === 'revoke' && rightBits !== 0) reader.fail()
  const rights: readonly DeviceRight[] = rightBits & deviceRights['manage-devices'] ? ['manage-devices'] : []
  return {
    action: action ?? 'add',
    accountKey,
    deviceKey,
    deviceName,
    height,
    previous,
    signer,
    rights,
    createdAt,
  }
}
