import { compareBytes } from '@miaou/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ContactRef, type ContactTable, RoutingTable, type RoutingTableOptions } from '../src/index.ts'
import { bucketIndex, compareDistances, xorDistance } from '../src/kademlia/distance.ts'
import { createContacts, flipped, idsOf, plain, privateContact, seededBytes } from './tables.ts'

const self = seededBytes(77)(32)

function createTable(options: Partial<RoutingTableOptions> = {}): { contacts: ContactTable; table: RoutingTable } {
  const contacts = options.contacts ?? createContacts()
  return { contacts, table: new RoutingTable({ self, contacts, ...options }) }
}

/** Ids in one bucket: the first `count` numbers below the bucket's bit, of which bucket i has 2^i. */
function idsInBucket(bucket: number, count: number): Uint8Array[] {
  return Array.from({ length: Math.min(count, 2 ** bucket) }, (_, i) => {
    const low = Array.from({ length: 8 }, (_unused, bit) => bit).filter((bit) => ((i >> bit) & 1) === 1)
    return flipped(self, bucket, ...low)
  })
}

describe('distance', () => {
  test('[E10] bucket index: most significant bit 255, least significant 0, equal ids 0', () => {
    const zero = new Uint8Array(32)
    for (let bit = 0; bit < 256; bit++) expect(bucketIndex(zero, flipped(zero, bit))).toBe(bit)
    expect(bucketIndex(zero, flipped(zero, 200, 3, 0))).toBe(200)
    expect(bucketIndex(zero, zero)).toBe(0)
  })

  test('[E11] the distance is symmetric, obeys the triangle inequality and is zero only between equals', () => {
    const id = fc.uint8Array({ minLength: 32, maxLength: 32 })
    const number = (bytes: Uint8Array): bigint => bytes.reduce((value, byte) => value * 256n + BigInt(byte), 0n)
    fc.assert(
      fc.property(id, id, id, (a, b, c) => {
        const [ab, bc, ac] = [xorDistance(a, b), xorDistance(b, c), xorDistance(a, c)].map(number) as [
          bigint,
          bigint,
          bigint,
        ]
        expect(xorDistance(b, a)).toEqual(xorDistance(a, b))
        expect(ac <= ab + bc).toBe(true)
        expect(ab === 0n).toBe(compareBytes(a, b) === 0)
        expect(Math.sign(compareDistances(a, b, c))).toBe(ab < ac ? -1 : ab > ac ? 1 : 0)
        if (ab > 0n)
          expect(2n ** BigInt(bucketIndex(a, b)) <= ab && ab < 2n ** BigInt(bucketIndex(a, b) + 1)).toBe(true)
      }),
    )
  })
})

describe('buckets', () => {
  test('[E04] each of the 256 holds the distances 2^i to 2^(i+1) - 1', () => {
    const { contacts, table } = createTable()
    for (let bucket = 0; bucket < 256; bucket++) {
      const ref = privateContact(contacts, flipped(self, bucket))
      expect(table.bucketOf(ref)).toBe(bucket)
      expect(table.add(ref, 0)).toBe('added')
    }
    for (let bucket = 0; bucket < 256; bucket++) {
      expect(idsOf(contacts, table.bucket(bucket))).toEqual(
        idsOf(contacts, [privateContact(contacts, flipped(self, bucket))]),
      )
      expect(table.bucketSize(bucket)).toBe(1)
    }
    expect(table.size).toBe(256)
  })

  test.each([0, 3, 17, 100, 191, 192, 223, 224, 225, 255])(
    '[E13] [E15] bucket %i takes k and not one more; a known contact is known in a full one',
    (bucket) => {
      const k = Math.min(20, 2 ** bucket)
      const { contacts, table } = createTable({ k })
      const distinct = idsInBucket(bucket, 40)
      const results = distinct.map((id) => table.add(privateContact(contacts, id), 0))
      expect(results).toEqual(distinct.map((_, i) => (i < k ? 'added' : 'full')))
      expect(table.bucketSize(bucket)).toBe(k)
      expect(table.isBucketFull(bucket)).toBe(true)
      expect(table.add(privateContact(contacts, distinct[0] as Uint8Array), 5)).toBe('known')
      expect(table.size).toBe(k)
    },
  )

  test('[E14] the own id never enters', () => {
    const { contacts, table } = createTable()
    expect(table.add(privateContact(contacts, self), 0)).toBe('self')
    expect(table.size).toBe(0)
  })

  test('an id at another endpoint moves there instead of filling a second place', () => {
    const { contacts, table } = createTable()
    const id = flipped(self, 250)
    const before = privateContact(contacts, id, 1)
    const after = privateContact(contacts, id, 2)
    expect(table.add(before, 0)).toBe('added')
    expect(table.add(after, 32)).toBe('moved')
    expect(table.all()).toEqual([after])
    expect([table.has(before), table.has(after), table.get(id)]).toEqual([false, true, after])
    expect(table.heardMs(after)).toBe(32)
    expect(table.remove(before)).toBe(false)
    expect(table.remove(after)).toBe(true)
    expect(table.get(id)).toBeUndefined()
  })

  test('[E05] a bucket needs a refresh when no lookup went through it for the interval', () => {
    const { contacts, table } = createTable({ now: 1000 })
    const hour = 3_600_000
    expect(table.bucketsNeedingRefresh(10 * hour, hour)).toEqual([])
    table.add(privateContact(contacts, flipped(self, 252)), 0)
    expect(table.bucketsNeedingRefresh(999 + hour, hour)).toEqual([])
    expect(table.bucketsNeedingRefresh(1000 + hour, hour)).toEqual([255, 254, 253, 252])
    table.markBucketUsed(254, 1000 + hour)
    table.markBucketUsed(10, 1000 + hour)
    expect(table.bucketsNeedingRefresh(1000 + hour, hour)).toEqual([255, 253, 252])
    expect(table.bucketsNeedingRefresh(1000 + 2 * hour, hour)).toEqual([255, 254, 253, 252])
  })
})

describe('network prefixes', () => {
  const hosts = {
    IPv4: (i: number) => `203.0.113.${i + 1}`,
    IPv6: (i: number) => `2001:db8:7:${i + 1}::1`,
  }
  const far = (contacts: ContactTable, i: number, host: string): ContactRef =>
    contacts.internKey(idsInBucket(255, 64)[i] as Uint8Array, { host, port: 4000 })

  test.each(Object.entries(hosts))('%s: two of one network enter a bucket, the third does not', (_, host) => {
    const { contacts, table } = createTable()
    expect([0, 1, 2].map((i) => table.add(far(contacts, i, host(i)), 0))).toEqual(['added', 'added', 'prefix-full'])
    const other = contacts.internKey(flipped(self, 200), { host: host(9), port: 1 })
    expect(table.add(other, 0)).toBe('added')
  })

  test('loopback and private networks have no limit', () => {
    for (const host of ['127.0.0.1', '192.168.7.7', 'fd00::7', '::1']) {
      const { contacts, table } = createTable()
      const results = Array.from({ length: 21 }, (_, i) => table.add(far(contacts, i, host), 0))
      expect(results).toEqual([...new Array<string>(20).fill('added'), 'full'])
    }
  })

  test('the limit is an option, and moving into a crowded network is refused', () => {
    const { contacts, table } = createTable({ prefixMax: 1 })
    expect(table.add(far(contacts, 0, '203.0.113.1'), 0)).toBe('added')
    expect(table.add(far(contacts, 1, '203.0.113.2'), 0)).toBe('prefix-full')
    expect(table.add(far(contacts, 1, '198.51.100.2'), 0)).toBe('added')
    expect(table.add(far(contacts, 1, '203.0.113.2'), 0)).toBe('prefix-full')
    expect(table.add(far(contacts, 1, '198.51.100.9'), 0)).toBe('moved')
  })

  test('closest takes at most prefixMax of one network and the next nearest instead', () => {
    const { contacts, table } = createTable({ k: 40, prefixMax: 40 })
    const bytes = seededBytes(5)
    for (let i = 0; i < 200; i++) {
      const host = i % 3 === 0 ? '10.0.0.1' : i % 3 === 1 ? `203.0.${i % 4}.${i + 1}` : `2001:db8:${i % 5}::${i + 1}`
      table.add(contacts.internKey(bytes(32), { host, port: 4000 }), 0)
    }
    for (let round = 0; round < 50; round++) {
      const target = bytes(32)
      const out: ContactRef[] = []
      expect(table.closest(target, 20, out, { prefixMax: 2 })).toBe(20)
      const counts = new Map<number, number>()
      const expected = table
        .all()
        .sort((a, b) => contacts.compareDistances(target, a, b))
        .filter((ref) => {
          const prefix = contacts.prefix(ref)
          const count = (counts.get(prefix) ?? 0) + 1
          counts.set(prefix, count)
          return prefix === 0 || count <= 2
        })
      expect(out).toEqual(expected.slice(0, 20))
    }
  })
})

describe('closest', () => {
  /** Ids that share long prefixes with each other, with the owner and with targets: the walk's corner cases. */
  const cluster = fc
    .record({ base: fc.nat(3), bits: fc.array(fc.nat(255), { maxLength: 3 }), tail: fc.nat(7) })
    .map(({ base, bits, tail }) => {
      const origin = base === 0 ? self : seededBytes(base)(32)
      const deep = Array.from({ length: 3 }, (_, bit) => bit).filter((bit) => ((tail >> bit) & 1) === 1)
      return flipped(origin, ...bits, ...deep)
    })

  test('[E14] property: exact in all 256 bits, for any ids and targets', () => {
    fc.assert(
      fc.property(
        fc.array(cluster, { maxLength: 120 }),
        cluster,
        fc.integer({ min: 1, max: 40 }),
        (ids, target, count) => {
          const { contacts, table } = createTable({ k: 200 })
          for (const id of ids) table.add(privateContact(contacts, id), 0)
          const out: ContactRef[] = []
          const found = table.closest(target, count, out)
          const expected = table.all().sort((a, b) => contacts.compareDistances(target, a, b))
          expect(out).toEqual(expected.slice(0, count))
          expect(found).toBe(out.length)
        },
      ),
      { numRuns: 500 },
    )
  })

  test('[E14] exact where 150 ids share their first 64 bits with the target, and with the owner', () => {
    const bytes = seededBytes(8)
    for (const head of [self.slice(0, 8), bytes(8)]) {
      const { contacts, table } = createTable({ k: 200 })
      const make = (): Uint8Array => Uint8Array.from([...head, ...bytes(24)])
      for (let i = 0; i < 150; i++) table.add(privateContact(contacts, make()), 0)
      for (let round = 0; round < 20; round++) {
        const target = make()
        const out: ContactRef[] = []
        table.closest(target, 20, out)
        expect(out).toEqual(
          table
            .all()
            .sort((a, b) => contacts.compareDistances(target, a, b))
            .slice(0, 20),
        )
      }
    }
  })

  test('replaces the former content of the array, and leaves no more than there are', () => {
    const { contacts, table } = createTable()
    const out = Array.from({ length: 30 }, () => 9 as ContactRef)
    expect(table.closest(self, 20, out)).toBe(0)
    expect(out).toEqual([])
    const ref = privateContact(contacts, flipped(self, 1))
    table.add(ref, 0)
    expect(table.closest(self, 20, out)).toBe(1)
    expect(out).toEqual([ref])
  })
})

describe('what is measured', () => {
  test('round trips are smoothed as RFC 6298 says', () => {
    const { contacts, table } = createTable()
    const ref = privateContact(contacts, flipped(self, 255))
    table.add(ref, 0)
    expect([table.roundTripMs(ref), table.deviationMs(ref)]).toEqual([undefined, 0])
    table.updateRoundTrip(ref, 100)
    expect([table.roundTripMs(ref), table.deviationMs(ref)]).toEqual([100, 50])
    table.updateRoundTrip(ref, 180)
    expect([table.roundTripMs(ref), table.deviationMs(ref)]).toEqual([110, 57.5])
    for (let i = 0; i < 200; i++) table.updateRoundTrip(ref, 0.5)
    expect(Math.abs((table.roundTripMs(ref) ?? 0) - 0.5)).toBeLessThan(0.3)
  })

  test('round trips and failures saturate', () => {
    const { contacts, table } = createTable()
    const ref = privateContact(contacts, flipped(self, 255))
    table.add(ref, 0)
    table.updateRoundTrip(ref, 1e9)
    expect(table.roundTripMs(ref)).toBe(0xffff / 16)
    table.updateRoundTrip(ref, 0)
    expect(table.roundTripMs(ref)).toBeGreaterThan(0)
    for (let i = 0; i < 300; i++) table.fail(ref)
    expect(table.failures(ref)).toBe(255)
    table.touch(ref, 1e15)
    expect(table.failures(ref)).toBe(0)
    expect(table.heardMs(ref)).toBe(16 * (2 ** 32 - 1))
  })

  test('the least recently seen of a bucket is the one heard the longest ago', () => {
    const { contacts, table } = createTable()
    const refs = idsInBucket(255, 5).map((id) => privateContact(contacts, id))
    for (const [i, ref] of refs.entries()) table.add(ref, 1000 + 100 * i)
    expect(table.leastRecentlySeen(255)).toBe(refs[0])
    table.touch(refs[0] as ContactRef, 9000)
    expect(table.leastRecentlySeen(255)).toBe(refs[1])
    expect(table.leastRecentlySeen(254)).toBeUndefined()
  })

  test('unknown contacts are ignored and read as zero', () => {
    const { contacts, table } = createTable()
    const ref = privateContact(contacts, flipped(self, 9))
    table.touch(ref, 5)
    table.updateRoundTrip(ref, 5)
    table.setFlags(ref, 5)
    expect([
      table.fail(ref),
      table.failures(ref),
      table.flags(ref),
      table.heardMs(ref),
      table.deviationMs(ref),
    ]).toEqual([0, 0, 0, 0, 0])
    expect([table.roundTripMs(ref), table.remove(ref), table.has(ref)]).toEqual([undefined, false, false])
  })
})

describe('replacements', () => {
  const fill = (k: number) => {
    const { contacts, table } = createTable({ k })
    const refs = idsInBucket(255, 40).map((id) => privateContact(contacts, id))
    for (const ref of refs.slice(0, k)) table.add(ref, 0)
    return { contacts, table, inside: refs.slice(0, k), outside: refs.slice(k) }
  }

  test('at most 8 a bucket, the most recent first', () => {
    const { table, outside } = fill(2)
    for (const ref of outside.slice(0, 10)) table.offerReplacement(ref)
    expect(table.replacements(255)).toEqual(outside.slice(2, 10).reverse())
    table.offerReplacement(outside[2] as ContactRef)
    expect(table.replacements(255)[0]).toBe(outside[2])
    expect(table.replacements(255)).toHaveLength(8)
    expect(table.removeReplacement(outside[2] as ContactRef)).toBe(true)
    expect(table.removeReplacement(outside[2] as ContactRef)).toBe(false)
    expect(table.replacements(255)).toHaveLength(7)
  })

  test('their number is an option, none at 0', () => {
    for (const replacementsMax of [0, 1]) {
      const { contacts, table } = createTable({ k: 1, replacementsMax })
      for (const id of idsInBucket(255, 5)) table.offerReplacement(privateContact(contacts, id))
      expect(table.replacements(255)).toHaveLength(replacementsMax)
    }
  })

  test('the most recent one takes the place of a contact that does not answer', () => {
    const { table, inside, outside } = fill(3)
    for (const ref of outside.slice(0, 2)) table.offerReplacement(ref)
    expect(table.replace(inside[1] as ContactRef, 500)).toBe(outside[1])
    expect(table.has(inside[1] as ContactRef)).toBe(false)
    expect(table.bucketSize(255)).toBe(3)
    expect(table.replacements(255)).toEqual([outside[0]])
    expect(table.replace(inside[0] as ContactRef, 500)).toBe(outside[0])
    expect(table.replace(inside[2] as ContactRef, 500)).toBeUndefined()
    expect(table.bucketSize(255)).toBe(2)
  })

  test('one network holds at most prefixMax replacements, and enters only where the bucket admits it', () => {
    const { contacts, table, inside } = fill(3)
    const ids = idsInBucket(255, 60).slice(45)
    const at = (i: number, host: string): ContactRef => contacts.internKey(ids[i] as Uint8Array, { host, port: 4000 })
    const same = [0, 1, 2].map((i) => at(i, `203.0.113.${i + 1}`))
    for (const ref of same) table.offerReplacement(ref)
    expect(table.replacements(255)).toEqual([same[2], same[1]])
    expect(table.replace(inside[0] as ContactRef, 0)).toBe(same[2])
    expect(table.replace(inside[1] as ContactRef, 0)).toBe(same[1])
    table.offerReplacement(same[0] as ContactRef)
    expect(table.replace(inside[2] as ContactRef, 0)).toBeUndefined()
  })

  test('roots are the contacts and the replacements', () => {
    const { table, inside, outside } = fill(3)
    table.offerReplacement(outside[0] as ContactRef)
    const marked = new Set<ContactRef>()
    table.markRoots((ref) => marked.add(ref))
    expect(marked).toEqual(new Set([...inside, outside[0]]))
  })
})

describe('the whole table', () => {
  test('filled in one go it is what adding one by one makes, without a byte to spare', () => {
    const bytes = seededBytes(11)
    const one = createTable()
    for (let i = 0; i < 4000; i++) one.table.add(privateContact(one.contacts, bytes(32)), 320)
    const refs = one.table.all()
    for (const order of [refs, [...refs].reverse()]) {
      const filled = new RoutingTable({ self, contacts: one.contacts })
      filled.fill(order, 320)
      expect(filled.all()).toEqual(refs)
      expect(filled.bytes).toBe(8 * refs.length)
      expect(refs.map((ref) => filled.heardMs(ref))).toEqual(refs.map((ref) => one.table.heardMs(ref)))
      filled.touch(refs[3] as ContactRef, 9600)
      expect(filled.heardMs(refs[3] as ContactRef)).toBe(9600)
      expect(filled.heardMs(refs[4] as ContactRef)).toBe(320)
    }
  })

  test('fill asserts k and distinct ids', () => {
    const { contacts, table } = createTable({ k: 2 })
    const refs = idsInBucket(255, 3).map((id) => privateContact(contacts, id))
    expect(() => table.fill(refs, 0)).toThrow('k at most')
    const again = new RoutingTable({ self, contacts, k: 2 })
    expect(() => again.fill([refs[0], refs[0]] as ContactRef[], 0)).toThrow('distinct')
  })

  test('[E26] a table of a million-node network (17 full buckets) takes under 5 KB before, and 8 KB after measuring', () => {
    const { contacts, table } = createTable()
    for (let bucket = 239; bucket < 256; bucket++) {
      for (const id of idsInBucket(bucket, 20)) table.add(privateContact(contacts, id), 0)
    }
    expect(table.size).toBe(340)
    expect(table.bytes).toBeLessThan(8192)
    const filled = new RoutingTable({ self, contacts })
    filled.fill(table.all(), 0)
    expect(filled.bytes).toBeLessThan(5 * 1024)
  })

  test('holds 65,535 contacts at most, whatever k', () => {
    const contacts = createContacts({ contactsMax: 70_000 })
    const table = new RoutingTable({ self, contacts, k: 5000 })
    const results = new Map<string, number>()
    // 16 buckets of 4,096, which differ in their first 32 bits.
    for (let bucket = 240; bucket < 256; bucket++) {
      for (let i = 0; i < 4096; i++) {
        const id = flipped(self, bucket)
        id[3] = (id[3] as number) ^ (i & 0xff)
        id[2] = (id[2] as number) ^ (i >> 8)
        const result = table.add(privateContact(contacts, id), 0)
        results.set(result, (results.get(result) ?? 0) + 1)
      }
    }
    expect(Object.fromEntries(results)).toEqual({ added: 65_535, full: 1 })
    expect(table.size).toBe(65_535)
  })

  test('the estimate of the network is unbiased within its error over 200 tables of 2,000 nodes', () => {
    const bytes = seededBytes(12)
    let sum = 0
    for (let round = 0; round < 200; round++) {
      const owner = bytes(32)
      const contacts = createContacts({ crypto: plain })
      const table = new RoutingTable({ self: owner, contacts })
      for (let i = 0; i < 2000; i++) table.add(privateContact(contacts, bytes(32)), 0)
      sum += table.estimateNetworkSize()
    }
    // The mean of 200 has a standard error of 24 % / sqrt(200) = 1.7 %; the bound is four of them.
    expect(Math.abs(sum / 200 / 2001 - 1)).toBeLessThan(0.068)
  })

  test('the estimate of a network smaller than k is its size', () => {
    const { contacts, table } = createTable()
    expect(table.estimateNetworkSize()).toBe(1)
    for (const id of idsInBucket(255, 12)) table.add(privateContact(contacts, id), 0)
    expect(table.estimateNetworkSize()).toBe(13)
  })

  test('property: any sequence of operations agrees with a naive table', () => {
    const bits = fc.array(fc.constantFrom(255, 254, 253, 230, 223, 100, 5, 2, 1, 0), { maxLength: 4 })
    const operation = fc.oneof(
      { weight: 6, arbitrary: fc.record({ type: fc.constant('add' as const), bits, network: fc.nat(3) }) },
      { weight: 2, arbitrary: fc.record({ type: fc.constant('remove' as const), bits, network: fc.nat(3) }) },
      { weight: 1, arbitrary: fc.record({ type: fc.constant('touch' as const), bits, network: fc.nat(3) }) },
      { weight: 1, arbitrary: fc.record({ type: fc.constant('flag' as const), bits, network: fc.nat(255) }) },
    )
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
        const { contacts, table } = createTable({ k: 3 })
        let naive: { ref: ContactRef; heardMs: number; flags: number }[] = []
        const bucketOf = (ref: ContactRef): number => bucketIndex(self, contacts.id(ref))
        operations.forEach(({ type, bits: flips, network }, step) => {
          const now = 16 * step
          const host = network === 0 ? '10.0.0.1' : `203.0.${network}.1`
          const ref = contacts.internKey(flipped(self, ...flips), { host, port: 1 })
          const known = naive.find((each) => each.ref === ref)
          if (type === 'remove') {
            expect(table.remove(ref)).toBe(known !== undefined)
            naive = naive.filter((each) => each.ref !== ref)
          } else if (type === 'touch') {
            table.touch(ref, now)
            if (known !== undefined) known.heardMs = now
          } else if (type === 'flag') {
            table.setFlags(ref, network)
            if (known !== undefined) known.flags = network
          } else expect(table.add(ref, now)).toBe(addNaively(ref, now))
          const sorted = [...naive].sort((a, b) => contacts.compareDistances(self, a.ref, b.ref))
          expect(table.all()).toEqual(sorted.map((each) => each.ref))
          for (const each of sorted) {
            expect([table.heardMs(each.ref), table.flags(each.ref)]).toEqual([each.heardMs, each.flags])
          }
        })

        function addNaively(ref: ContactRef, now: number): string {
          const id = contacts.id(ref)
          if (compareBytes(id, self) === 0) return 'self'
          const same = naive.find((each) => compareBytes(contacts.id(each.ref), id) === 0)
          const others = naive.filter((each) => bucketOf(each.ref) === bucketOf(ref) && each !== same)
          const prefix = contacts.prefix(ref)
          const crowd = others.filter((each) => prefix !== 0 && contacts.prefix(each.ref) === prefix)
          if (same !== undefined) {
            if (same.ref !== ref && crowd.length >= 2) return 'prefix-full'
            const result = same.ref === ref ? 'known' : 'moved'
            same.ref = ref
            same.heardMs = now
            return result
          }
          if (crowd.length >= 2) return 'prefix-full'
          if (others.length >= 3) return 'full'
          naive.push({ ref, heardMs: now, flags: 0 })
          return 'added'
        }
      }),
      { numRuns: 200 },
    )
  })
})
