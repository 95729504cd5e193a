import { equalBytes } from '@miaou/core'
import {
  type AddressScope,
  type BoxAddress,
  deviceRecordAddressesMax,
  deviceRecordCircuitsMax,
  deviceRecordUrlLengthMax,
  entryToBox,
  formatBoxAddress,
  type Hello,
  type Invite,
  isWay,
  isWayWithin,
  recordEntriesMax,
  verifyDeviceRecord,
} from '@miaou/protocol'
import type { Contacts } from './contacts.ts'
import type { Context } from './context.ts'
import type { MessagingInput } from './interface.ts'
import type { Device } from './model.ts'

/** What a device's record says, and with what came with it. */
interface ToldWays {
  readonly sequence: number
  readonly addresses: readonly string[]
  readonly mailboxes: readonly BoxAddress[]
  readonly locatorKey?: Uint8Array | undefined
  readonly bundleKey?: Uint8Array | undefined
}

/** Ways of one record kept: as many as it can hold. */
export const deviceWaysMax: number = deviceRecordCircuitsMax + deviceRecordAddressesMax

/** Addresses of one device that are handed on: those of its record and of its last invite (own choice; as many as are dialled). */
export const deviceAddressesMax = 16

/**
 * Takes in what a device said of how it is reached: its latest record wins, and a locator key counts whatever the record's
 * age, since only the device's own link tells one. True when something changed that others must hear of.
 */
export function takeDeviceWays(
  context: Context,
  contacts: Contacts,
  input: Extract<MessagingInput, { type: 'device-ways' }>,
): boolean {
  let isNews = false
  // Two accounts may list one key: it speaks for itself in both.
  for (const device of contacts.devices()) {
    const isMeant = device.peerId === input.peerId && device.state !== 'revoked' && device.contact.state === 'contact'
    if (isMeant && learn(context, contacts, device, input)) isNews = true
  }
  return isNews
}

/** The newest first; what an invite said of it stays behind them. */
export function addressesOf({ ways, addresses }: Device): readonly string[] {
  return [...new Set([...ways, ...addresses])].slice(0, deviceAddressesMax)
}

/** What an invite says of a device; the caller saves it. `depositSecret`: of its token, where that one counts. */
export function learnFromInvite(
  context: Context,
  device: Device,
  invite: Pick<Invite, 'addresses' | 'boxes' | 'locatorKey'>,
  depositSecret: Uint8Array | undefined,
): void {
  device.addresses = [...new Set([...invite.addresses, ...device.addresses])].slice(0, deviceWaysMax)
  device.locatorKey = invite.locatorKey
  // What a record of its own said is newer than any invite.
  if (device.mailboxes.length === 0) device.mailboxes = invite.boxes ?? []
  if (depositSecret) setDepositSecret(context, device, depositSecret)
}

/**
 * What a device says of itself in a hello: how to leave messages for it. `nearest`: how near we are reached ourselves; a
 * mailbox or way that is nearer would make us knock at our own doors, and its record then counts no further. True when
 * something changed that others must hear of.
 */
export function learnFromHello(
  context: Context,
  contacts: Contacts,
  device: Device,
  hello: Hello,
  nearest: AddressScope,
): boolean {
  const { depositSecret, sealingKey, locatorKey, deviceRecord } = hello
  if (depositSecret) setDepositSecret(context, device, depositSecret)
  if (sealingKey) device.sealingKey = { ...sealingKey, at: Math.round(context.now.wall) }
  const record = deviceRecord && verifyDeviceRecord(context.crypto, deviceRecord, device.key)
  if (record && !record.ok) context.drop(`hello-record-${record.error.type}`)
  let isNews = false
  if (record?.ok) {
    const { sequence, ways, mailboxes: entries, bundleKey } = record.value
    const isFor = (way: string): boolean => isWayWithin(way, nearest)
    const boxes = entries.flatMap((entry) => entryToBox(entry) ?? [])
    const addresses = ways.filter(isFor)
    const near = boxes.filter(({ mailbox }) => isFor(mailbox.url))
    const isWhole = addresses.length === ways.length && near.length === boxes.length
    // Boxes that it told of where we could take them are better than none.
    const mailboxes = near.length === 0 && boxes.length > 0 ? device.mailboxes : near
    // What was left out may be told again by whoever is nearer to us, under the same number.
    const { waysSequence } = device
    isNews = learn(context, contacts, device, { sequence, addresses, mailboxes, bundleKey, locatorKey })
    if (!isWhole) device.waysSequence = Math.min(device.waysSequence, Math.max(waysSequence, sequence - 1))
  } else if (locatorKey && !(device.locatorKey && equalBytes(device.locatorKey, locatorKey))) {
    device.locatorKey = locatorKey
    isNews = true
  }
  contacts.saveDevice(device)
  context.touch(device)
  return isNews
}

/** Tokens are counted anew with each secret. */
function setDepositSecret({ store }: Context, device: Device, secret: Uint8Array): void {
  if (device.depositSecret && equalBytes(device.depositSecret, secret)) return
  device.depositSecret = secret
  store.run('DELETE FROM deposit_counters WHERE device = ?', [device.id])
}

function learn(
  context: Context,
  contacts: Contacts,
  device: Device,
  { sequence, addresses, locatorKey, mailboxes, bundleKey }: ToldWays,
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
    const boxes = mailboxes.slice(0, recordEntriesMax)
    const areNewBoxes = boxes.map(formatBoxAddress).join() !== device.mailboxes.map(formatBoxAddress).join()
    device.mailboxes = boxes
    device.bundleKey = bundleKey
    if (areNewBoxes) context.touch(device)
  }
  if (isNewKey || isNewer) contacts.saveDevice(device)
  return isNewKey || areNewWays
}
