import { type ContactRef, ContactTable } from '@miaou/overlay'
import { expect, test } from 'vitest'
import { SessionContacts } from '../src/session-contacts.ts'
import { crypto } from './ports.ts'

const endpoint = { host: '127.0.0.1', port: 4000 }

function intern(contacts: ContactTable, fill: number): ContactRef {
  contacts.reserve(1)
  return contacts.internKey(new Uint8Array(32).fill(fill), endpoint)
}

test('a session leads to its row, and none that was never set does', () => {
  const contacts = new ContactTable({ crypto, contactsMax: 10 })
  const sessions = new SessionContacts(contacts)
  const [a, b] = [intern(contacts, 1), intern(contacts, 2)]
  sessions.set(0x1_0000, a)
  sessions.set(0x2_0001, b)
  expect(sessions.get(0x1_0000)).toBe(a)
  expect(sessions.get(0x2_0001)).toBe(b)
  for (const other of [0x3_0000, 0x1_0001, 0x1_0002, -1, -0x1_0000]) expect(sessions.get(other)).toBeUndefined()
})

test('a session in the place of another one is not taken for it', () => {
  const contacts = new ContactTable({ crypto, contactsMax: 10 })
  const sessions = new SessionContacts(contacts)
  const [a, b] = [intern(contacts, 1), intern(contacts, 2)]
  sessions.set(0x1_0000, a)
  sessions.set(0x2_0000, b)
  expect(sessions.get(0x1_0000)).toBeUndefined()
  expect(sessions.get(0x2_0000)).toBe(b)
})

test('nothing is remembered beyond a sweep: the row may be somebody else’s', () => {
  const contacts = new ContactTable({ crypto, contactsMax: 1 })
  const sessions = new SessionContacts(contacts)
  const row = intern(contacts, 1)
  sessions.set(0x1_0000, row)
  // The one row there is: reclaimed, for another contact.
  expect(intern(contacts, 2)).toBe(row)
  expect(sessions.get(0x1_0000)).toBeUndefined()
  sessions.set(0x2_0001, row)
  expect(sessions.get(0x1_0000)).toBeUndefined()
  expect(sessions.get(0x2_0001)).toBe(row)
})
