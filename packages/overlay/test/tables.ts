import { createHash } from 'node:crypto'
import { bytesToHex } from '@miaou/core'
import { type ContactRef, ContactTable, type ContactTableOptions } from '../src/index.ts'

/** The real hash, and one under which a contact's id is its key, so that tests can choose ids. */
export const sha256 = {
  sha256: (data: Uint8Array): Uint8Array => Uint8Array.from(createHash('sha256').update(data).digest()),
}
export const plain = { sha256: (data: Uint8Array): Uint8Array => data.slice() }

/** Deterministic bytes (a linear congruential generator: no more is needed of them than to look spread). */
export function seededBytes(seed: number): (size: number) => Uint8Array {
  let state = seed >>> 0
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state >>> 24
  }
  return (size) => Uint8Array.from({ length: size }, next)
}

export function createContacts(options: Partial<ContactTableOptions> = {}): ContactTable {
  return new ContactTable({ crypto: plain, contactsMax: 10_000, ...options })
}

/** A contact at a private address, which no prefix limit counts. */
export function privateContact(contacts: ContactTable, key: Uint8Array, port = 4000): ContactRef {
  contacts.reserve(1)
  return contacts.internKey(key, { host: '10.0.0.1', port })
}

export function idsOf(contacts: ContactTable, refs: readonly ContactRef[]): string[] {
  return refs.map((ref) => bytesToHex(contacts.id(ref)))
}

/** `origin` with these bits flipped; bit 0 is the least significant of all 256. */
export function flipped(origin: Uint8Array, ...bits: readonly number[]): Uint8Array {
  const id = origin.slice()
  for (const bit of bits) id[31 - (bit >> 3)] = (id[31 - (bit >> 3)] as number) ^ (1 << (bit & 7))
  return id
}
