import type { Result } from '@miaou/core'
import { equalBytes, err, ok } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import {
  type DeviceListEntry,
  type DeviceRight,
  decodeDeviceListEntry,
  deviceListEntriesMax,
  devicesMax,
  hashDeviceListEntry,
  isEntrySigned,
} from './device-list-entry.ts'
import type { DecodeError } from './structure.ts'

export interface ListedDevice {
  /** Ed25519. */
  readonly deviceKey: Uint8Array
  readonly name: string
  readonly rights: readonly DeviceRight[]
  /** Wall-clock ms. */
  readonly addedAt: number
  readonly revoked: boolean
}

/** A verified device list (spec/identity I5). */
export interface DeviceList {
  readonly accountKey: Uint8Array
  /** Height of the last entry. */
  readonly height: number
  /** Hash of the last entry: `previous` of the next one. */
  readonly head: Uint8Array
  /** In the order in which they were added, revoked ones included. */
  readonly devices: readonly ListedDevice[]
  /** The encoded entries, oldest first. */
  readonly entries: readonly Uint8Array[]
}

/**
 * `index`: the entry at fault. `broken-chain`: another account, height or hash than the chain asks for.
 * `not-allowed`: its signer may not sign it there. `wrong-device`: it adds a device that was listed before, or changes
 * one that is not there. The first entry is an `add` signed by the account.
 */
export type DeviceListError =
  | { readonly type: 'empty' }
  | { readonly type: 'too-many-entries'; readonly countMax: number }
  | { readonly type: 'too-many-devices'; readonly countMax: number }
  | { readonly type: 'bad-entry'; readonly index: number; readonly cause: DecodeError }
  | { readonly type: 'broken-chain'; readonly index: number }
  | { readonly type: 'not-allowed'; readonly index: number }
  | { readonly type: 'invalid-signature'; readonly index: number }
  | { readonly type: 'inadmissible-key'; readonly index: number }
  | { readonly type: 'wrong-device'; readonly index: number }

/**
 * `fork`: the two lists differ from `height` on and no rule decides: stop sending, show it. `accountSigned`: the
 * account itself signed both sides, so its key is in two places.
 */
export type DeviceListForkError =
  | { readonly type: 'fork'; readonly height: number; readonly accountSigned: boolean }
  | { readonly type: 'different-accounts' }

const noHash = new Uint8Array(32)

/** The list that `entries` (oldest first, at most 64) tell, when every link of the chain holds. */
export function verifyDeviceList(
  crypto: Crypto,
  accountKey: Uint8Array,
  entries: readonly Uint8Array[],
): Result<DeviceList, DeviceListError> {
  if (entries.length === 0) return err({ type: 'empty' })
  if (entries.length > deviceListEntriesMax) return err({ type: 'too-many-entries', countMax: deviceListEntriesMax })
  if (!crypto.ed25519IsAdmissible(accountKey)) return err({ type: 'inadmissible-key', index: 0 })
  let devices: readonly ListedDevice[] = []
  let head: Uint8Array = noHash
  for (const [index, bytes] of entries.entries()) {
    const signed = decodeDeviceListEntry(bytes)
    if (!signed.ok) return err({ type: 'bad-entry', index, cause: signed.error })
    const entry = signed.value.value
    const continues = entry.height === index && equalBytes(entry.previous, head)
    if (!continues || !equalBytes(entry.accountKey, accountKey)) return err({ type: 'broken-chain', index })
    if (!mayHold(entry, devices)) return err({ type: 'not-allowed', index })
    if (!isEntrySigned(crypto, signed.value)) return err({ type: 'invalid-signature', index })
    const applied = applyEntry(crypto, devices, entry, index)
    if (!applied.ok) return applied
    devices = applied.value
    head = hashDeviceListEntry(crypto, bytes)
  }
  return ok({
    accountKey: accountKey.slice(),
    height: entries.length - 1,
    head,
    devices,
    entries: entries.map((entry) => entry.slice()),
  })
}

function mayHold(entry: DeviceListEntry, devices: readonly ListedDevice[]): boolean {
  const { signer } = entry
  if (signer === 'account') return entry.height > 0 || entry.action === 'add'
  const device = devices.find(({ deviceKey }) => equalBytes(deviceKey, signer))
  return device !== undefined && !device.revoked && device.rights.includes('manage-devices')
}

function applyEntry(
  crypto: Crypto,
  devices: readonly ListedDevice[],
  entry: DeviceListEntry,
  index: number,
): Result<readonly ListedDevice[], DeviceListError> {
  const { action, deviceKey, deviceName, rights, createdAt } = entry
  const at = devices.findIndex((device) => equalBytes(device.deviceKey, deviceKey))
  const device = devices[at]
  if (action === 'add') {
    if (device !== undefined) return err({ type: 'wrong-device', index })
    if (devices.length >= devicesMax) return err({ type: 'too-many-devices', countMax: devicesMax })
    if (!crypto.ed25519IsAdmissible(deviceKey) || equalBytes(deviceKey, entry.accountKey)) {
      return err({ type: 'inadmissible-key', index })
    }
    return ok([...devices, { deviceKey, name: deviceName, rights, addedAt: createdAt, revoked: false }])
  }
  if (device === undefined || device.revoked) return err({ type: 'wrong-device', index })
  return ok(devices.with(at, { ...device, rights, revoked: action === 'revoke' }))
}

/**
 * Which of two verified lists of one account counts (spec/identity I8): the longer one where one continues the other.
 * Where they part, the side with an entry of the account, from there on, wins over one without; of two such sides the
 * one whose parting entry the account signed; then a revocation. Otherwise it is a fork.
 */
export function mergeDeviceLists(a: DeviceList, b: DeviceList): Result<DeviceList, DeviceListForkError> {
  if (!equalBytes(a.accountKey, b.accountKey)) return err({ type: 'different-accounts' })
  const height = partingHeight(a.entries, b.entries)
  if (height > a.height) return ok(b)
  if (height > b.height) return ok(a)
  const [ours, theirs] = [describeBranch(a, height), describeBranch(b, height)]
  for (const claim of ['isEndorsed', 'isByAccount', 'isRevocation'] as const) {
    if (ours[claim] !== theirs[claim]) return ok(ours[claim] ? a : b)
  }
  return err({ type: 'fork', height, accountSigned: ours.isByAccount && theirs.isByAccount })
}

interface Branch {
  /** The account signed at least one entry from the parting on, and with it all that came before. */
  readonly isEndorsed: boolean
  readonly isByAccount: boolean
  readonly isRevocation: boolean
}

function describeBranch(list: DeviceList, height: number): Branch {
  const entries: DeviceListEntry[] = []
  for (const bytes of list.entries.slice(height)) {
    const decoded = decodeDeviceListEntry(bytes)
    if (decoded.ok) entries.push(decoded.value.value)
  }
  return {
    isEndorsed: entries.some(({ signer }) => signer === 'account'),
    isByAccount: entries[0]?.signer === 'account',
    isRevocation: entries[0]?.action === 'revoke',
  }
}

function partingHeight(a: readonly Uint8Array[], b: readonly Uint8Array[]): number {
  let height = 0
  for (const entry of a) {
    const other = b[height]
    if (other === undefined || !equalBytes(entry, other)) break
    height += 1
  }
  return height
}
