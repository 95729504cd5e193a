import { isIP } from 'node:net'
import { ByteReader, ByteWriter, textToBytes } from '@miaou/core'
import type { Endpoint } from '@miaou/protocol'

/** A node of the overlay that answered once: what is kept of it over a restart. */
export interface SavedContact {
  /** X25519, 32 bytes. */
  readonly key: Uint8Array
  readonly endpoint: Endpoint
}

/** Contacts kept at most: ten times k, most of them gone after a day (guess). */
export const savedContactsMax = 200

/** An IPv6 address with an IPv4 tail has 45 characters. */
const hostSizeMax = 45

/** Count u16, then for each: key 32 ‖ port u16 ‖ host (u16 length, ASCII). Those beyond `savedContactsMax` are left out. */
export function encodeSavedContacts(contacts: readonly SavedContact[]): Uint8Array {
  const kept = contacts.slice(0, savedContactsMax)
  const writer = new ByteWriter().u16(kept.length)
  for (const { key, endpoint } of kept) writer.bytes(key).u16(endpoint.port).bytes16(textToBytes(endpoint.host))
  return writer.finish()
}

/** Undefined for what `encodeSavedContacts` did not write. */
export function decodeSavedContacts(bytes: Uint8Array): SavedContact[] | undefined {
  const reader = new ByteReader(bytes)
  const count = reader.u16()
  if (count > savedContactsMax) return undefined
  const contacts = Array.from({ length: count }, () => {
    const key = reader.bytes(32)
    const port = reader.u16()
    return { key, endpoint: { host: reader.text16(hostSizeMax), port } }
  })
  const areUsable = contacts.every(({ endpoint }) => endpoint.port > 0 && isIP(endpoint.host) !== 0)
  return reader.finished() && areUsable ? contacts : undefined
}
