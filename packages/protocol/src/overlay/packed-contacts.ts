import { assert } from '@miaou/core'

/**
 * Contacts as they travel: `key 32 ‖ address 4 ‖ port 2` in `v4`, `key 32 ‖ address 16 ‖ port 2` in `v6`, back to back.
 * Kept packed, because an answer of 20 contacts must not cost 40 small arrays.
 */
export interface PackedContacts {
  readonly v4: Uint8Array
  readonly v6: Uint8Array
}

/** X25519 key of a node; its id is the key's SHA-256. */
export const contactKeySize = 32
/** Key 32 and IPv4 endpoint 6. */
export const contactSizeV4 = 38
/** Key 32 and IPv6 endpoint 18. */
export const contactSizeV6 = 50
/** Row E08: k, what an answer names at most. */
export const contactsPerMessageMax = 20

export const noBytes: Uint8Array = new Uint8Array(0)
/** Of an answer that names nobody. */
export const noContacts: PackedContacts = { v4: noBytes, v6: noBytes }

/** Bytes of contacts on the wire: two counts and the contacts (spec/overlay O11). */
export function packedContactsSize({ v4, v6 }: PackedContacts): number {
  return 2 + v4.length + v6.length
}

/** Writes `packedContactsSize` bytes at `at` and returns the offset behind them. Asserts whole contacts. */
export function writeContacts({ v4, v6 }: PackedContacts, target: Uint8Array, at: number): number {
  const [countV4, countV6] = [v4.length / contactSizeV4, v6.length / contactSizeV6]
  assert(Number.isInteger(countV4) && Number.isInteger(countV6), 'packed contacts are whole')
  assert(countV4 + countV6 <= contactsPerMessageMax, 'a message names 20 contacts at most')
  target[at] = countV4
  target[at + 1] = countV6
  if (countV4 > 0) target.set(v4, at + 2)
  if (countV6 > 0) target.set(v6, at + 2 + v4.length)
  return at + 2 + v4.length + v6.length
}

/** The contacts at `at` as views into `bytes`, or undefined: more than 20, or fewer bytes than the counts say. */
export function readContacts(bytes: Uint8Array, at: number): PackedContacts | undefined {
  if (bytes.length < at + 2) return undefined
  const [countV4, countV6] = [bytes[at] as number, bytes[at + 1] as number]
  if (countV4 + countV6 > contactsPerMessageMax) return undefined
  const startV6 = at + 2 + countV4 * contactSizeV4
  const end = startV6 + countV6 * contactSizeV6
  if (end > bytes.length) return undefined
  if (countV4 + countV6 === 0) return noContacts
  return {
    v4: countV4 === 0 ? noBytes : bytes.subarray(at + 2, startV6),
    v6: countV6 === 0 ? noBytes : bytes.subarray(startV6, end),
  }
}
