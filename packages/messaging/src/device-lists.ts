import { equalBytes } from '@miaou/core'
import { type DeviceList, mergeDeviceLists, verifyDeviceList } from '@miaou/protocol'
import type { Contacts } from './contacts.ts'
import type { Context } from './context.ts'
import type { Lanes } from './lanes.ts'
import type { Contact } from './model.ts'
import type { Outbox } from './outbox.ts'

/**
 * Brings a person's devices up to a verified list of theirs. The highest list seen is kept; a fork that no rule decides
 * stops sending until the account signs a list that settles it.
 */
export function adoptDeviceList(
  context: Context,
  parts: { readonly contacts: Contacts; readonly outbox: Outbox; readonly lanes: Lanes },
  contact: Contact,
  list: DeviceList,
): 'same' | 'changed' | 'forked' {
  const merged = mergeWithKnown(context, contact, list)
  if (merged === 'fork') {
    if (contact.forked) return 'same'
    contact.forked = true
    parts.contacts.save(contact)
    return 'forked'
  }
  if (isSameList(merged.entries, contact.deviceList)) return 'same'
  // A list that merely goes on from the branch we know settles nothing.
  const isSettled = !isPrefix(contact.deviceList, merged.entries)
  contact.forked = contact.forked && !isSettled
  contact.deviceList = merged.entries
  parts.contacts.save(contact)
  applyDevices(parts, contact, merged)
  return 'changed'
}

function mergeWithKnown(context: Context, contact: Contact, list: DeviceList): DeviceList | 'fork' {
  if (contact.deviceList.length === 0) return list
  if (isSameList(contact.deviceList, list.entries)) return list
  const known = verifyDeviceList(context.crypto, contact.accountKey, contact.deviceList)
  if (!known.ok) return list
  const merged = mergeDeviceLists(known.value, list)
  return merged.ok ? merged.value : 'fork'
}

function applyDevices(
  parts: { readonly contacts: Contacts; readonly outbox: Outbox; readonly lanes: Lanes },
  contact: Contact,
  list: DeviceList,
): void {
  for (const { deviceKey, revoked } of list.devices) {
    const known = contact.devices.find(({ key }) => equalBytes(key, deviceKey))
    const state = revoked ? 'revoked' : 'listed'
    if (known === undefined) {
      const device = parts.contacts.addDevice(contact, deviceKey, state)
      if (revoked) continue
      parts.outbox.addDevice(device)
      if (contact.state === 'contact') parts.lanes.oweHello(device)
      continue
    }
    if (known.state === state) continue
    known.state = state
    parts.contacts.saveDevice(known)
    if (revoked) {
      parts.outbox.dropDevice(known)
      parts.lanes.detach(known)
    }
  }
  // What an invite claimed and the list does not know is none of theirs.
  for (const device of [...contact.devices]) {
    if (device.state === 'claimed') {
      parts.outbox.dropDevice(device)
      parts.lanes.detach(device)
      parts.contacts.removeDevice(device)
    }
  }
}

function isSameList(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && isPrefix(a, b)
}

function isPrefix(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.every((entry, index) => {
    const other = b[index]
    return other !== undefined && equalBytes(entry, other)
  })
}
