import { describe, expect, test } from 'vitest'
import type { KademliaOutput } from '../src/kademlia/interface.ts'
import { idOf, sends, TestEngine } from './kademlia-engine.ts'
import { keyOf, signed, testCrypto, value } from './kademlia-net.ts'

const hour = 3_600_000

/** A value whose key begins with a bit: the own id is near 0, so 0 is nearer than 1. */
function valueWithFirstBit(bit: 0 | 1, from = 0): Uint8Array {
  for (let i = from; ; i++) {
    const record = value(i >> 16, (i >> 8) & 255, i & 255)
    if ((keyOf(record)[0] ?? 0) >> 7 === bit) return record
  }
}

describe('kademlia: answers', () => {
  test('[O46] E16 FindNode is answered with the nearest, but the asker', () => {
    const node = new TestEngine()
    const refs = Array.from({ length: 30 }, (_, i) => node.contact(idOf(i + 1)))
    for (const ref of refs) node.meet(ref)
    const asker = refs[0] ?? node.contact(idOf(1))
    const [answer] = node.message(asker, { type: 'find-node', transaction: 5, isServer: true, target: idOf(1) })
    if (answer?.type !== 'send' || answer.message.type !== 'find-node-response') throw new Error('no answer')
    expect(answer).toMatchObject({ to: asker, isReply: true, message: { transaction: 5, isServer: true } })
    expect(answer.message.token).toHaveLength(8)
    const expected = refs.filter((ref) => ref !== asker)
    expected.sort((a, b) => node.contacts.compareDistances(idOf(1), a, b))
    expect(answer.message.contacts).toEqual(expected.slice(0, 20))
  })

  test('[O46] E19 FindValue is answered with the record and no contacts, or with the nearest', () => {
    const node = new TestEngine()
    const from = node.contact(idOf(200))
    const other = node.contact(idOf(201))
    node.meet(from)
    const ask = () => node.message(other, { type: 'find-value', transaction: 5, isServer: false, key: keyOf(value(1)) })
    expect(ask()).toMatchObject([{ message: { type: 'find-value-response', record: undefined, contacts: [from] } }])
    expect(node.store(from, value(1))).toBe('stored')
    expect(ask()).toMatchObject([{ message: { type: 'find-value-response', record: value(1), contacts: [] } }])
  })

  test('[O46] a target of another size is dropped and counted', () => {
    const node = new TestEngine()
    const from = node.contact(idOf(200))
    const target = new Uint8Array(31)
    expect(node.message(from, { type: 'find-node', transaction: 1, isServer: false, target })).toEqual([])
    expect(node.message(from, { type: 'find-value', transaction: 1, isServer: false, key: target })).toEqual([])
    expect(node.counter('requests-malformed')).toBe(2)
  })
})

describe('kademlia: tokens', () => {
  test('[O47] a token is bound to key and endpoint', () => {
    const node = new TestEngine()
    const from = node.contact(idOf(200), '30.0.0.1')
    const token = node.tokenFor(from)
    expect(node.store(node.contact(idOf(200), '30.0.0.2'), value(1), 0, token)).toBe('bad-token')
    expect(node.store(node.contact(idOf(201), '30.0.0.1'), value(1), 0, token)).toBe('bad-token')
    expect(node.store(from, value(1), 0, new Uint8Array(8))).toBe('bad-token')
    expect(node.store(from, value(1), 0, token.subarray(0, 7))).toBe('bad-token')
    expect(node.store(from, value(1), 0, token)).toBe('stored')
    expect(node.counter('stores-bad-token')).toBe(4)
  })

  test('[O47] a token is good for 5 minutes at least and 10 at most', () => {
    const node = new TestEngine()
    const from = node.contact(idOf(200))
    const token = node.tokenFor(from)
    node.mono += 300_000
    expect(node.store(from, value(1), 0, token)).toBe('stored')
    node.mono += 300_000
    expect(node.store(from, value(2), 0, token)).toBe('bad-token')
  })
})

describe('kademlia: stored records', () => {
  test('[O48] what the rules refuse is not stored', () => {
    const node = new TestEngine()
    const from = node.contact(idOf(200))
    expect(node.store(from, Uint8Array.of(9, 9))).toBe('bad-record')
    const oversized = new Uint8Array(1001)
    expect(node.store(from, oversized)).toBe('bad-record')
    expect(node.counter('stores-bad-record')).toBe(2)
    expect(node.engine.info().records).toBe(0)
  })

  test('[O48] of signed records the higher sequence wins; the same one with other bytes is refused', () => {
    const node = new TestEngine()
    const from = node.contact(idOf(200))
    const key = keyOf(signed(1, 0))
    expect(node.store(from, signed(1, 5))).toBe('stored')
    expect(node.store(from, signed(1, 4, 9))).toBe('stale')
    expect(node.store(from, signed(1, 5, 9))).toBe('stale')
    expect(node.store(from, signed(1, 5))).toBe('stored')
    expect(node.held(key)).toEqual(signed(1, 5))
    expect(node.store(from, signed(1, 6, 7, 7))).toBe('stored')
    expect(node.held(key)).toEqual(signed(1, 6, 7, 7))
    expect(node.engine.info()).toMatchObject({ records: 1, recordBytes: 5 })
    expect(node.counter('stores-stale')).toBe(2)
  })

  test('[O48] what is stored is a copy', () => {
    const node = new TestEngine()
    const record = value(1, 2)
    const key = keyOf(record)
    node.store(node.contact(idOf(200)), record)
    record.fill(7)
    expect(node.held(key)).toEqual(value(1, 2))
  })

  test('[O49] quotas of one key and of one prefix; at home none of a prefix', () => {
    const node = new TestEngine({ recordsPerSenderMax: 3, recordsPerPrefixMax: 4 })
    const [a, b] = [node.contact(idOf(200), '30.0.0.1'), node.contact(idOf(201), '30.0.0.2')]
    expect([1, 2, 3, 4].map((i) => node.store(a, value(i)))).toEqual(['stored', 'stored', 'stored', 'full'])
    expect([5, 6].map((i) => node.store(b, value(i)))).toEqual(['stored', 'full'])
    const [c, d] = [node.contact(idOf(202), '10.0.0.1'), node.contact(idOf(203), '10.0.0.2')]
    expect([11, 12, 13].map((i) => node.store(c, value(i)))).toEqual(['stored', 'stored', 'stored'])
    expect([21, 22, 23].map((i) => node.store(d, value(i)))).toEqual(['stored', 'stored', 'stored'])
    // What is known already costs no quota.
    expect(node.store(a, value(1))).toBe('stored')
  })

  test('[O50] full: a nearer key takes the place of the farthest, a farther one is refused', () => {
    const node = new TestEngine({ recordsMax: 2 })
    const from = node.contact(idOf(200))
    const far = [valueWithFirstBit(1), valueWithFirstBit(1, 5000), valueWithFirstBit(1, 9000)]
    const near = [valueWithFirstBit(0), valueWithFirstBit(0, 5000), valueWithFirstBit(0, 9000)]
    expect(far.map((record) => node.store(from, record))).toEqual(['stored', 'stored', 'full'])
    expect(near.slice(0, 2).map((record) => node.store(from, record))).toEqual(['stored', 'stored'])
    expect(node.held(keyOf(far[0] ?? value(0)))).toBeUndefined()
    expect(node.store(from, far[0] ?? value(0))).toBe('full')
    expect(node.engine.info().records).toBe(2)
    expect(node.counter('records-evicted')).toBe(2)
    expect(node.counter('stores-full')).toBe(2)
  })

  test('[O50] the bytes are bounded as the records are', () => {
    const node = new TestEngine({ recordBytesMax: 20 })
    const from = node.contact(idOf(200))
    expect(node.store(from, signed(1, 1, 0, 0, 0, 0, 0, 0, 0))).toBe('stored')
    expect(node.store(from, signed(2, 1, 0, 0, 0, 0, 0, 0, 0))).toBe('stored')
    expect(node.store(from, signed(2, 2, 0, 0, 0, 0, 0, 0, 0, 0))).toBe('full')
    expect(node.engine.info().recordBytes).toBe(20)
  })

  test('[O50] from half full on, only keys near which we are among the k nearest', () => {
    const node = new TestEngine({ recordsMax: 4, k: 2, contactsPerPrefixMax: 9 })
    const from = node.contact(idOf(200))
    for (const first of [0x80, 0xa0, 0xc0, 0xe0]) node.meet(node.contact(idOf(first)))
    const far = [1, 1000, 2000, 3000].map((i) => valueWithFirstBit(1, i))
    expect(far.map((record) => node.store(from, record))).toEqual(['stored', 'stored', 'full', 'full'])
    expect(node.store(from, valueWithFirstBit(0))).toBe('stored')
  })

  test('[O50] far keys never flush near ones', () => {
    const node = new TestEngine({ recordsMax: 50 })
    const honest = node.contact(idOf(200))
    const near = [1, 1000, 2000].map((i) => valueWithFirstBit(0, i))
    for (const record of near) expect(node.store(honest, record)).toBe('stored')
    for (let i = 0; i < 500; i++) node.store(node.contact(idOf(210, i >> 8, i & 255)), valueWithFirstBit(1, 10 * i))
    expect(node.engine.info().records).toBe(50)
    for (const record of near) expect(node.held(keyOf(record))).toEqual(record)
  })

  test('[O50] few networks cannot keep the records of others out, however near their keys are', () => {
    const node = new TestEngine({ recordsMax: 40, recordsPerPrefixMax: 10 })
    const honest = [1, 1000, 2000].map((i) => valueWithFirstBit(1, i))
    const flood = () => {
      for (let i = 0; i < 400; i++) {
        node.store(node.contact(idOf(210, i & 255), `30.0.${i & 7}.${1 + (i >> 3)}`), valueWithFirstBit(0, 10 * i))
      }
    }
    flood()
    expect(node.engine.info().records).toBe(40)
    const stored = honest.map((record, i) => node.store(node.contact(idOf(200, i), `50.0.${i}.1`), record))
    expect(stored).toEqual(['stored', 'stored', 'stored'])
    flood()
    expect(node.engine.info().records).toBe(40)
    for (const record of honest) expect(node.held(keyOf(record))).toEqual(record)
  })

  test('[O51] a record expires 24 hours after it was published, whatever the wall clock does', () => {
    const node = new TestEngine({ republishIntervalMs: 100 * hour })
    const from = node.contact(idOf(200))
    node.store(from, value(1))
    node.wall += 400 * 24 * hour
    node.pass(24 * hour - 1)
    expect(node.held(keyOf(value(1)))).toEqual(value(1))
    node.wall -= 900 * 24 * hour
    node.mono += 1
    expect(node.held(keyOf(value(1)))).toBeUndefined()
    node.pass(2_000)
    expect(node.engine.info()).toMatchObject({ records: 0, recordBytes: 0 })
    expect(node.counter('records-expired')).toBe(1)
  })

  test('[O51] a clock set back a day or on by a year moves nothing; one that stood still in sleep only delays', () => {
    const node = new TestEngine({ republishIntervalMs: 100 * hour })
    const [from, contact] = [node.contact(idOf(200)), node.contact(idOf(201))]
    node.meet(contact)
    const token = node.tokenFor(from)
    expect(node.store(from, value(1), 0, token)).toBe('stored')
    const before = node.engine.deadline()
    for (const jump of [-24 * hour, 365 * 24 * hour]) {
      node.wall += jump
      expect(sends(node.give({ type: 'wake' }))).toEqual([])
      expect(node.held(keyOf(value(1)))).toEqual(value(1))
      expect(node.engine.deadline()).toBe(before)
      expect(node.store(from, value(2), 0, token)).toBe('stored')
    }
    // Three days asleep, while the monotonic clock stood still: as if they had not been.
    node.wall += 72 * hour
    node.pass(24 * hour - 1)
    expect(node.held(keyOf(value(1)))).toEqual(value(1))
    node.pass(1)
    expect(node.held(keyOf(value(1)))).toBeUndefined()
    // A year on in one step: all that was in flight has ended, and nothing is left but what is alive.
    node.mono += 365 * 24 * hour
    node.give({ type: 'wake' })
    expect(node.engine.info()).toMatchObject({ records: 0, contacts: 1 })
  })

  test('[O51] the age that a holder tells counts, and only the owner makes a record younger', () => {
    const node = new TestEngine({ republishIntervalMs: 100 * hour })
    const from = node.contact(idOf(200))
    expect(node.store(from, value(1), 24 * 60)).toBe('stale')
    expect(node.store(from, value(1), 23 * 60)).toBe('stored')
    node.pass(hour / 2)
    expect(node.store(from, value(1), 23.5 * 60)).toBe('stored')
    node.pass(hour / 2)
    expect(node.held(keyOf(value(1)))).toBeUndefined()
    expect(node.store(from, value(2), 23 * 60)).toBe('stored')
    expect(node.store(from, value(2), 0)).toBe('stored')
    node.pass(23 * hour)
    expect(node.held(keyOf(value(2)))).toEqual(value(2))
  })
})

describe('kademlia: maintenance', () => {
  test('[O52] a holder republishes after an hour, telling the age, unless it was stored to again', () => {
    const node = new TestEngine()
    const from = node.contact(idOf(200))
    node.store(from, value(1))
    const key = keyOf(value(1))
    const toKey = () => sends(node.pass(hour / 2), 'find-node').filter(({ message }) => isFor(message, key))
    expect(toKey()).toEqual([])
    node.store(from, value(1))
    expect(toKey()).toEqual([])
    // Stored again half an hour ago: due between now + 30 min and now + 42 min.
    node.meet(from)
    expect(toKey()).toEqual([])
    node.meet(from)
    const question = node.until(({ message }) => message.type === 'find-node' && isFor(message, key))
    const [store] = sends(node.answer(question))
    expect(store?.message).toMatchObject({ type: 'store', record: value(1), ageMinutes: expect.any(Number) })
    const age = store?.message.type === 'store' ? store.message.ageMinutes : undefined
    expect(age).toBeGreaterThanOrEqual(60)
    expect(age).toBeLessThanOrEqual(90)
  })

  test('[O34] where nothing can be sent, a thousand due records do not all fail at once', () => {
    const node = new TestEngine()
    for (const id of [0x81, 0x82, 0x83]) node.meet(node.contact(idOf(id)))
    const from = node.contact(idOf(200))
    for (let i = 0; i < 100; i++) node.store(from, value(1, i))
    node.mono += 1.3 * hour
    /** What is asked within one moment, each request of which fails. */
    const burst = (outputs: readonly KademliaOutput[]): number => {
      const open = sends(outputs, 'find-node')
      let asked = open.length
      for (let next = open.shift(); next !== undefined; next = open.shift()) {
        const more = sends(node.give({ type: 'failed', transaction: next.message.transaction }), 'find-node')
        asked += more.length
        open.push(...more)
      }
      return asked
    }
    // Three walks, three contacts each.
    expect(burst(node.give({ type: 'wake' }))).toBe(9)
    expect(node.engine.deadline()).toBe(node.mono + 1_000)
    node.mono += 999
    expect(burst(node.give({ type: 'wake' }))).toBe(0)
    node.mono += 1
    expect(burst(node.give({ type: 'wake' }))).toBeGreaterThan(0)
    expect(node.engine.info().contacts).toBe(3)
  })

  test('[O53] the owner republishes each hour while up, as new', () => {
    const node = new TestEngine()
    const from = node.contact(idOf(200))
    node.meet(from)
    node.command({ type: 'put', record: signed(1, 1), republish: true })
    node.command({ type: 'put', record: signed(1, 2), republish: true })
    expect(node.engine.info().published).toBe(1)
    const key = keyOf(signed(1, 1))
    node.pass(30_000)
    for (let round = 0; round < 3; round++) {
      node.meet(from)
      const questions = sends(node.pass(hour - 30_000), 'find-node').filter(({ message }) => isFor(message, key))
      const more = sends(node.pass(30_000), 'find-node').filter(({ message }) => isFor(message, key))
      expect(questions.length + more.length).toBe(1)
    }
  })

  test('[O53] what is published is bounded', () => {
    const node = new TestEngine({ publishedMax: 1 })
    node.meet(node.contact(idOf(200)))
    node.command({ type: 'put', record: value(1), republish: true })
    expect(node.command({ type: 'put', record: value(2), republish: true }).outputs).toMatchObject([
      { reply: { type: 'failed', error: { type: 'too-many-operations', operationsMax: 1 } } },
    ])
  })

  test('[O45] E05 buckets unused for an hour are walked to', () => {
    const node = new TestEngine()
    const from = node.contact(idOf(200))
    node.meet(from)
    expect(sends(node.pass(hour - 1), 'find-node')).toEqual([])
    const [question] = sends(node.pass(1), 'find-node')
    if (question?.message.type !== 'find-node') throw new Error('no refresh')
    // Bucket 255: the first bit differs from the own id's.
    expect((question.message.target[0] ?? 0) >> 7).toBe(1)
    node.meet(from)
    expect(sends(node.pass(hour - 1), 'find-node')).toEqual([])
  })

  test('[O45] a lookup through a bucket spares it the refresh', () => {
    const node = new TestEngine()
    const from = node.contact(idOf(200))
    node.meet(from)
    node.pass(hour / 2)
    node.meet(from)
    node.command({ type: 'find-node', target: idOf(129) })
    node.pass(20_000)
    node.meet(from)
    expect(sends(node.pass(hour / 2), 'find-node')).toEqual([])
  })
})

function isFor(message: { readonly type: string }, key: Uint8Array): boolean {
  return 'target' in message && testCrypto.equal(message.target as Uint8Array, key)
}
