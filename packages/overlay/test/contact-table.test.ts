import { bytesToHex, equalBytes } from '@miaou/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ContactRef, ContactTable } from '../src/index.ts'
import { keyedHash } from '../src/kademlia/keyed-hash.ts'
import { createContacts, plain, privateContact, seededBytes, sha256 } from './tables.ts'

function addRooted(contacts: ContactTable, rooted: readonly ContactRef[]): void {
  contacts.addRoots((mark) => {
    for (const ref of rooted) mark(ref)
  })
}

const key = (fill: number): Uint8Array => new Uint8Array(32).fill(fill)

describe('rows', () => {
  test('[O4] one row for each pair of key and endpoint, hashed once', () => {
    let hashes = 0
    const count = (data: Uint8Array): Uint8Array => {
      hashes++
      return sha256.sha256(data)
    }
    const contacts = new ContactTable({ crypto: { sha256: count }, contactsMax: 10 })
    const first = contacts.internKey(key(1), { host: '203.0.113.5', port: 4000 })
    expect(contacts.internKey(key(1), { host: '203.0.113.5', port: 4000 })).toBe(first)
    expect(hashes).toBe(1)
    expect(contacts.internKey(key(1), { host: '203.0.113.5', port: 4001 })).not.toBe(first)
    expect(contacts.internKey(key(2), { host: '203.0.113.5', port: 4000 })).not.toBe(first)
    expect(contacts.internKey(key(1), { host: '2001:db8::1', port: 4000 })).not.toBe(first)
    expect(contacts.size).toBe(4)
  })

  test('[A05] the id is the SHA-256 of the key', () => {
    const contacts = createContacts({ crypto: sha256 })
    const ref = privateContact(contacts, key(7))
    expect(contacts.id(ref)).toEqual(sha256.sha256(key(7)))
    expect(contacts.key(ref)).toEqual(key(7))
    const id = contacts.id(ref)
    const view = new DataView(id.buffer, id.byteOffset)
    expect([contacts.word0(ref), contacts.word1(ref)]).toEqual([view.getUint32(0), view.getUint32(4)])
  })

  test('[O4] packs what it interned, in both families, and keeps one endpoint object a row', () => {
    const contacts = createContacts()
    for (const endpoint of [
      { host: '203.0.113.5', port: 65_535 },
      { host: '2001:db8::1', port: 1 },
    ]) {
      const ref = contacts.internKey(key(3), endpoint)
      const family = contacts.family(ref)
      const packed = new Uint8Array(60)
      const end = contacts.pack(ref, packed, 5)
      expect(end).toBe(5 + (family === 4 ? 38 : 50))
      expect(contacts.intern(packed, 5, family)).toBe(ref)
      expect(contacts.endpoint(ref)).toEqual(endpoint)
      expect(contacts.endpoint(ref)).toBe(contacts.endpoint(ref))
    }
  })

  test('[O3] an endpoint that no node can have gets no row', () => {
    const contacts = createContacts()
    const portless = new Uint8Array(38).fill(1)
    portless.fill(0, 36)
    expect(contacts.intern(portless, 0, 4)).toBeUndefined()
    const multicast = new Uint8Array(50).fill(0xff)
    expect(contacts.intern(multicast, 0, 6)).toBeUndefined()
    expect(contacts.size).toBe(0)
  })

  test('stays the same over growth', () => {
    const contacts = createContacts()
    const bytes = seededBytes(1)
    const keys = Array.from({ length: 5000 }, () => bytes(32))
    const refs = keys.map((each) => privateContact(contacts, each))
    expect(new Set(refs).size).toBe(5000)
    keys.forEach((each, i) => {
      expect(privateContact(contacts, each)).toBe(refs[i])
      expect(equalBytes(contacts.key(refs[i] as ContactRef), each)).toBe(true)
    })
  })
})

describe('prefixes', () => {
  const prefixOf = (host: string): number => {
    const contacts = createContacts()
    return contacts.prefix(contacts.internKey(key(1), { host, port: 1 }))
  }

  test('are the /24 of IPv4 and the /48 of IPv6', () => {
    expect(prefixOf('203.0.113.5')).toBe(prefixOf('203.0.113.250'))
    expect(prefixOf('203.0.113.5')).not.toBe(prefixOf('203.0.112.5'))
    expect(prefixOf('2001:db8:1::1')).toBe(prefixOf('2001:db8:1:ffff::9'))
    expect(prefixOf('2001:db8:1::1')).not.toBe(prefixOf('2001:db8:2::1'))
    expect(prefixOf('2001:db8:1::1')).toBeGreaterThan(0)
  })

  test('are 0 on this machine and in private networks', () => {
    for (const host of [
      '127.0.0.1',
      '10.1.2.3',
      '172.31.0.1',
      '192.168.1.1',
      '169.254.0.9',
      '::1',
      'fd00::1',
      'fe80::1',
    ]) {
      expect(prefixOf(host)).toBe(0)
    }
    expect(prefixOf('172.32.0.1')).toBeGreaterThan(0)
    expect(prefixOf('192.169.1.1')).toBeGreaterThan(0)
  })
})

describe('bounds', () => {
  test('100,000 contacts offered by one peer stay within contactsMax, and rooted rows stay', () => {
    const contacts = createContacts({ contactsMax: 1000 })
    const bytes = seededBytes(2)
    const keys = Array.from({ length: 300 }, () => bytes(32))
    const rooted = keys.map((each) => privateContact(contacts, each))
    addRooted(contacts, rooted)
    for (let answer = 0; answer < 5000; answer++) {
      contacts.reserve(20)
      const offered = Array.from({ length: 20 }, () => contacts.internKey(bytes(32), { host: '198.51.100.7', port: 9 }))
      // Valid until the next reserve, rooted or not.
      expect(new Set(offered.map((ref) => contacts.id(ref).join())).size).toBe(20)
      expect(contacts.size).toBeLessThanOrEqual(1000)
    }
    expect(rooted.map((ref) => bytesToHex(contacts.key(ref)))).toEqual(keys.map(bytesToHex))
    expect(keys.map((each) => privateContact(contacts, each))).toEqual(rooted)
  })

  test('reserve succeeds up to the last row that the roots leave, and asserts beyond', () => {
    const contacts = createContacts({ contactsMax: 10 })
    const bytes = seededBytes(3)
    const rooted = Array.from({ length: 4 }, () => privateContact(contacts, bytes(32)))
    addRooted(contacts, rooted)
    for (let i = 0; i < 6; i++) privateContact(contacts, bytes(32))
    contacts.reserve(6)
    expect(contacts.size).toBe(4)
    expect(() => contacts.reserve(7)).toThrow('the roots leave room')
  })

  test('roots that are taken back no longer hold rows', () => {
    const contacts = createContacts({ contactsMax: 2 })
    const ref = privateContact(contacts, key(1))
    const roots = (mark: (ref: ContactRef) => void): void => mark(ref)
    contacts.addRoots(roots)
    contacts.reserve(1)
    contacts.removeRoots(roots)
    contacts.reserve(2)
    expect(contacts.size).toBe(0)
  })

  test('a row used again forgets its endpoint', () => {
    const contacts = createContacts({ contactsMax: 1 })
    const ref = contacts.internKey(key(1), { host: '203.0.113.5', port: 1 })
    expect(contacts.endpoint(ref).port).toBe(1)
    contacts.reserve(1)
    const again = contacts.internKey(key(1), { host: '203.0.113.5', port: 2 })
    expect(again).toBe(ref)
    expect(contacts.endpoint(again).port).toBe(2)
  })

  test('property: interning, sweeping and looking up agree with a map', () => {
    const step = fc.record({ name: fc.nat(60), keep: fc.boolean() })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const contacts = createContacts({ contactsMax: 70 })
        const kept = new Map<number, ContactRef>()
        contacts.addRoots((mark) => {
          for (const ref of kept.values()) mark(ref)
        })
        for (const { name, keep } of steps) {
          contacts.reserve(1)
          const ref = contacts.internKey(key(name), { host: '192.0.2.1', port: 1 + name })
          const before = kept.get(name)
          if (before !== undefined) expect(ref).toBe(before)
          if (keep) kept.set(name, ref)
          else kept.delete(name)
          for (const [other, otherRef] of kept) {
            expect(contacts.key(otherRef)[0]).toBe(other)
            expect(contacts.endpoint(otherRef).port).toBe(1 + other)
          }
        }
      }),
      { numRuns: 60 },
    )
  })
})

describe('the index', () => {
  test('has no collisions that can be prepared without the salt', () => {
    // Keys that share one slot of 4,096 under one salt lie spread under another.
    const bytes = seededBytes(4)
    const slots = (salt: number, keys: readonly Uint8Array[]): number =>
      new Set(keys.map((each) => keyedHash(salt, 99, each, 0, 32) & 4095)).size
    const prepared = Array.from({ length: 40_000 }, () => bytes(32)).filter(
      (each) => (keyedHash(1, 99, each, 0, 32) & 4095) === 7,
    )
    expect(prepared.length).toBeGreaterThan(3)
    expect(slots(1, prepared)).toBe(1)
    expect(slots(2, prepared)).toBeGreaterThan(prepared.length / 2)
  })

  test('hashes every byte and the length', () => {
    const base = new Uint8Array(50)
    const hashes = new Set([keyedHash(1, 2, base, 0, 50), keyedHash(1, 2, base, 0, 38), keyedHash(1, 2, base, 0, 49)])
    for (let i = 0; i < 50; i++) {
      const changed = base.slice()
      changed[i] = 1
      hashes.add(keyedHash(1, 2, changed, 0, 50))
    }
    expect(hashes.size).toBe(53)
  })

  test('HalfSipHash-1-3 spreads evenly: no slot of 256 holds three times its share of 25,600', () => {
    const counts = new Array<number>(256).fill(0)
    const counter = new Uint8Array(38)
    for (let i = 0; i < 25_600; i++) {
      counter[0] = i & 0xff
      counter[1] = i >> 8
      const slot = keyedHash(5, 6, counter, 0, 38) & 255
      counts[slot] = (counts[slot] as number) + 1
    }
    expect(Math.max(...counts)).toBeLessThan(300)
    expect(Math.min(...counts)).toBeGreaterThan(33)
  })

  test('distances compare in all 256 bits', () => {
    const contacts = createContacts({ crypto: plain })
    const a = key(0)
    a[31] = 1
    const b = key(0)
    b[31] = 2
    const refs = [privateContact(contacts, a), privateContact(contacts, b)] as const
    expect(contacts.compareDistances(key(0), refs[0], refs[1])).toBeLessThan(0)
    expect(contacts.compareDistances(b, refs[0], refs[1])).toBeGreaterThan(0)
    expect(contacts.compareDistances(b, refs[0], refs[0])).toBe(0)
  })
})
