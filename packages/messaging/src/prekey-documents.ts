import { equalBytes } from '@miaou/core'
import {
  type DeviceList,
  decodePeerAnnouncement,
  openBundle,
  type SignedPrekeyBundle,
  verifyCertificate,
  verifyDeviceList,
  verifyPrekeyBundle,
} from '@miaou/protocol'
import type { Context } from './context.ts'
import type { Contact, Device } from './model.ts'

export interface VerifiedDocument {
  readonly bundle: SignedPrekeyBundle
  readonly list: DeviceList
  readonly name: string
}

/** What of a device binds its documents. */
export type DocumentOwner = Pick<Device, 'key' | 'locatorKey'> & {
  readonly contact: Pick<Contact, 'accountKey' | 'deviceList' | 'name'>
}

/**
 * What a device laid down for those who find it away, from a mailbox or the overlay: opened with the locator key it gave,
 * all of it bound to the device and its account. Undefined, and counted, for anything else.
 */
export function readPrekeyDocument(
  context: Pick<Context, 'crypto' | 'drop'>,
  device: DocumentOwner,
  bytes: Uint8Array,
): VerifiedDocument | undefined {
  const { crypto } = context
  const { contact, locatorKey } = device
  const reject = (reason: string): undefined => {
    context.drop(reason)
    return undefined
  }
  if (!locatorKey) return reject('bundle-no-locator')
  const opened = openBundle(crypto, locatorKey, device.key, bytes)
  if (!opened.ok) return reject(`bundle-${opened.error.type}`)
  const bundle = verifyPrekeyBundle(crypto, opened.value.bundle, device.key)
  if (!bundle.ok) return reject(`bundle-${bundle.error.type}`)
  const certificate = verifyCertificate(crypto, opened.value.certificate)
  const isBound =
    certificate.ok &&
    certificate.value.kind === 'device' &&
    equalBytes(certificate.value.deviceKey, device.key) &&
    equalBytes(certificate.value.accountKey, contact.accountKey) &&
    equalBytes(certificate.value.sessionKey, bundle.value.sessionKey)
  if (!isBound) return reject('bundle-certificate')
  const told = announced(contact, opened.value.announcement)
  if (!told) return reject('bundle-announcement')
  const { deviceList, name } = told
  const list = verifyDeviceList(crypto, contact.accountKey, deviceList)
  if (!list.ok) return reject(`device-list-${list.error.type}`)
  const isListed = list.value.devices.some((each) => equalBytes(each.deviceKey, device.key) && !each.revoked)
  if (!isListed) return reject('unlisted-device')
  return { bundle: bundle.value, list: list.value, name }
}

/** What a document says of its account: one whose list is too long for it leaves it out, and the list known here counts. */
function announced(
  contact: DocumentOwner['contact'],
  bytes: Uint8Array,
): { readonly deviceList: readonly Uint8Array[]; readonly name: string } | undefined {
  if (bytes.length === 0) return contact.deviceList.length === 0 ? undefined : contact
  const announcement = decodePeerAnnouncement(bytes)
  if (!announcement.ok || !equalBytes(announcement.value.accountKey, contact.accountKey)) return undefined
  return announcement.value
}
