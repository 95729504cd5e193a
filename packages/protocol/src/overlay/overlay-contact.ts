import { assert, equalBytes, err, ok, type Result } from '@miaou/core'
import { type DecodeError, tailSizeMax } from '../structure.ts'
import { addressScope } from './endpoint.ts'
import {
  contactKeySize,
  contactSizeV4,
  contactSizeV6,
  type PackedContacts,
  packedContactsSize,
  readContacts,
  writeContacts,
} from './packed-contacts.ts'

/** An endpoint of each family, or one of the machine's network and one of the world's. */
export const overlayContactsMax = 2

/**
 * Payload of an `overlayContact` frame: how the overlay node of whoever sends it is reached, 1 or 2 contacts with one
 * key (spec/overlay O12). Linked peers enter the overlay through each other this way.
 */
export function encodeOverlayContact(contacts: PackedContacts): Uint8Array {
  assert(isOwnContact(contacts), 'one or two contacts of one key, at addresses that a node can have')
  const bytes = new Uint8Array(packedContactsSize(contacts))
  writeContacts(contacts, bytes, 0)
  return bytes
}

/** Contacts as views into `bytes`, at addresses that a node can have. A claim: nothing proves it yet. */
export function decodeOverlayContact(bytes: Uint8Array): Result<PackedContacts, DecodeError> {
  const contacts = readContacts(bytes, 0)
  const isComplete = contacts !== undefined && bytes.length - packedContactsSize(contacts) <= tailSizeMax
  return isComplete && isOwnContact(contacts) ? ok(contacts) : err({ type: 'malformed', what: 'overlay contact' })
}

function isOwnContact({ v4, v6 }: PackedContacts): boolean {
  const [countV4, countV6] = [v4.length / contactSizeV4, v6.length / contactSizeV6]
  if (!Number.isInteger(countV4) || !Number.isInteger(countV6)) return false
  if (countV4 + countV6 < 1 || countV4 + countV6 > overlayContactsMax) return false
  let first: Uint8Array | undefined
  for (const [packed, size, family] of [[v4, contactSizeV4, 4] as const, [v6, contactSizeV6, 6] as const]) {
    for (let at = 0; at < packed.length; at += size) {
      const key = packed.subarray(at, at + contactKeySize)
      first ??= key
      if (!equalBytes(first, key) || addressScope(packed, at + contactKeySize, family) === undefined) return false
    }
  }
  return true
}
