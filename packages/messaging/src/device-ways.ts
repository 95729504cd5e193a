import { equalBytes } from '@miaou/core'
import {
  deviceRecordAddressesMax,
  deviceRecordCircuitsMax,
  deviceRecordUrlLengthMax,
  isWay,
  recordEntriesMax,
} from '@miaou/protocol'
import type { Contacts } from './contacts.ts'
import type { MessagingInput } from './interface.ts'
import type { Device } from './model.ts'

/** Ways of one record kept: as many as it can hold. */
export const deviceWaysMax: number = deviceRecordCircuitsMax + deviceRecordAddressesMax

/** Addresses of one device that are handed on: those of its record and of its last invite (own choice; as many as are dialled). */
export const deviceAddressesMax = 16

/**
 * Takes in what a device said of how it is reached: its latest record wins, and a locator key counts whatever the record's
 * age, since only the device's own link tells one. True when something changed that others must hear of.
 */
export function takeDeviceWays(contacts: Contacts, input: Extract<MessagingInput, { type: 'device-ways' }>): boolean {
  let isNews = false
  // Two accounts may list one key: it speaks for itself in both.
  for (const device of contacts.devices()) {
    const isMeant = device.peerId === input.peerId && device.state !== 'revoked' && device.contact.state === 'contact'
    if (isMeant && learn(contacts, device, input)) isNews = true
  }
  return isNews
}

/** The newest first; what an invite said of it stays behind them. */
export function addressesOf({ ways, addresses }: Device): readonly string[] {
  return [...new Set([...ways, ...addresses])].slice(0, deviceAddressesMax)
}

/** What an invite says of a device. */
export function learnFromInvite(device: Device, addresses: readonly string[], locatorKey: Uint8Array): void {
  device.addresses = [...new Set([...addresses, ...device.addresses])].slice(0, deviceWaysMax)
  device.locatorKey = locatorKey
}

function learn(
  contacts: Contacts,
  device: Device,
  { sequence, addresses, locatorKey, mailboxes, bundleKey }: Extract<MessagingInput, { type: 'device-ways' }>,
): boolean {
  const isNewKey =
    locatorKey !== undefined && (device.locatorKey === undefined || !equalBytes(locatorKey, device.locatorKey))
  if (isNewKey) device.locatorKey = locatorKey
  const isNewer = sequence > device.waysSequence
  let areNewWays = false
  if (isNewer) {
    const ways = addresses.filter((way) => isWay(way, deviceRecordUrlLengthMax)).slice(0, deviceWaysMax)
    areNewWays = ways.join() !== device.ways.join()
    device.ways = ways
    device.waysSequence = sequence
    device.mailboxes = mailboxes.slice(0, recordEntriesMax)
    device.bundleKey = bundleKey
  }
  if (isNewKey || isNewer) contacts.saveDevice(device)
  return isNewKey || areNewWays
}
