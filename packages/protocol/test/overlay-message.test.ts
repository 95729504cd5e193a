import {
  contactSizeV4,
  contactSizeV6,
  decodeOverlayMessage,
  encodeOverlayMessage,
  encodeOverlayMessageInto,
  type OverlayMessage,
  overlayMessageSize,
  overlayMessageSizeMax,
  overlayMessageTypes,
  overlayServiceSizeMax,
  recordSizeMax,
  type StoreStatus,
  serviceRecordSizeMax,
  storeStatuses,
  tailSizeMax,
} from '@miaou/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createOverlaySamples, sampleContacts } from '../../../testkit/src/fuzz/overlay-samples.ts'
import { libsodium } from './backends.ts'

const { messages } = createOverlaySamples(libsodium)
const malformed = { ok: false, error: { type: 'malformed', what: 'overlay message' } }
const common = { transaction: 7, isServer: true }
const token = new Uint8Array(8).fill(1)
const none = new Uint8Array(0)
const nobody = { v4: none, v6: none }

type Answer = OverlayMessage & { readonly type: 'find-node-response' }

function withTail(bytes: Uint8Array, size: number): Uint8Array {
  const longer = new Uint8Array(bytes.length + size).fill(0xee)
  longer.set(bytes)
  return longer
}

function answer(countV4: number, countV6: number): Answer {
  return { ...common, type: 'find-node-response', token, contacts: sampleContacts(libsodium, countV4, countV6) }
}

describe('overlay messages', () => {
  test.each(messages.map((message) => [message.type, message] as const))('[O9] E16 %s comes back', (_, message) => {
    const bytes = encodeOverlayMessage(message)
    expect(bytes.length).toBe(overlayMessageSize(message))
    expect(decodeOverlayMessage(bytes)).toEqual({ ok: true, value: message })
  })

  test('E16 there is a sample of every type', () => {
    expect(new Set(messages.map(({ type }) => type))).toEqual(new Set(Object.keys(overlayMessageTypes)))
  })

  test('[O5] the header', () => {
    const bytes = encodeOverlayMessage({ type: 'ping', transaction: 0x89ab_cdef, isServer: true })
    expect(bytes).toEqual(Uint8Array.of(0x11, 1, 0x89, 0xab, 0xcd, 0xef))
    expect(encodeOverlayMessage({ type: 'reach', transaction: 1, isServer: false })).toEqual(
      Uint8Array.of(0x10, 9, 0, 0, 0, 1),
    )
  })

  test('[O5] flags of a later version are ignored', () => {
    const bytes = encodeOverlayMessage({ type: 'ping', ...common })
    expect(decodeOverlayMessage(bytes.with(0, 0x1f))).toEqual({ ok: true, value: { type: 'ping', ...common } })
    expect(decodeOverlayMessage(bytes.with(0, 0x1e))).toMatchObject({ ok: true, value: { isServer: false } })
  })

  test('[O6] of all first bytes only those of this version are read', () => {
    const bytes = encodeOverlayMessage({ type: 'ping', ...common })
    for (let lead = 0; lead < 256; lead++) {
      const decoded = decodeOverlayMessage(bytes.with(0, lead))
      if (lead >> 4 === 1) expect(decoded.ok).toBe(true)
      else expect(decoded).toEqual({ ok: false, error: { type: 'unsupported', version: lead >> 4 } })
    }
  })

  test('[O6] an unknown type is told apart, so that it can be counted', () => {
    const known = new Set<number>(Object.values(overlayMessageTypes))
    const bytes = encodeOverlayMessage({ type: 'ping', ...common })
    for (let value = 0; value < 256; value++) {
      if (known.has(value)) continue
      expect(decodeOverlayMessage(bytes.with(1, value))).toEqual({ ok: false, error: { type: 'unknown-type', value } })
    }
  })

  test('[O6] truncation at every byte is refused', () => {
    for (const message of messages) {
      const bytes = encodeOverlayMessage(message)
      for (let size = 0; size < bytes.length; size++) {
        expect(decodeOverlayMessage(bytes.subarray(0, size)), `${message.type} cut to ${size}`).toEqual(malformed)
      }
    }
  })

  test('[O8] a tail of 64 bytes is skipped, one more is refused', () => {
    for (const message of messages) {
      const bytes = encodeOverlayMessage(message)
      expect(decodeOverlayMessage(withTail(bytes, 1))).toEqual({ ok: true, value: message })
      expect(decodeOverlayMessage(withTail(bytes, tailSizeMax))).toEqual({ ok: true, value: message })
      expect(decodeOverlayMessage(withTail(bytes, tailSizeMax + 1))).toEqual(malformed)
    }
  })

  test('[O5] a message of more than 1,168 bytes is refused', () => {
    expect(decodeOverlayMessage(new Uint8Array(overlayMessageSizeMax + 1).fill(0x11))).toEqual(malformed)
  })

  test('[O5] [O11] the largest messages, with their tail, fit', () => {
    const largest = overlayMessageSize(answer(0, 20))
    expect(largest).toBe(6 + 8 + 2 + 20 * contactSizeV6)
    expect(largest + tailSizeMax).toBeLessThan(overlayMessageSizeMax)
    const record = new Uint8Array(recordSizeMax)
    const found = overlayMessageSize({ ...common, type: 'find-value-response', token, record, contacts: nobody })
    expect(found + tailSizeMax).toBeLessThan(overlayMessageSizeMax)
  })

  test('[O11] 20 contacts are accepted in any mixture, 21 refused on both sides', () => {
    for (let countV4 = 0; countV4 <= 20; countV4++) {
      const message = answer(countV4, 20 - countV4)
      expect(decodeOverlayMessage(encodeOverlayMessage(message))).toEqual({ ok: true, value: message })
    }
    expect(() => encodeOverlayMessage(answer(21, 0))).toThrow()
    expect(() => encodeOverlayMessage(answer(20, 1))).toThrow()
    const bytes = withTail(encodeOverlayMessage(answer(20, 0)), contactSizeV4).with(14, 21)
    expect(decodeOverlayMessage(bytes)).toEqual(malformed)
    expect(decodeOverlayMessage(withTail(encodeOverlayMessage(answer(20, 0)), contactSizeV6).with(15, 1))).toEqual(
      malformed,
    )
  })

  test('[O10] E19 a record and contacts exclude each other', () => {
    const record = new Uint8Array(5)
    const contacts = sampleContacts(libsodium, 1, 0)
    expect(() => encodeOverlayMessage({ ...common, type: 'find-value-response', token, record, contacts })).toThrow()
    const bytes = encodeOverlayMessage({ ...common, type: 'find-value-response', token, record, contacts: nobody })
    expect(decodeOverlayMessage(withTail(bytes, contactSizeV4).with(bytes.length - 2, 1))).toEqual(malformed)
  })

  test('[O10] a record of 1,000 bytes is accepted, one more is refused on both sides', () => {
    for (const size of [recordSizeMax, recordSizeMax + 1]) {
      const record = new Uint8Array(size)
      const store = { ...common, type: 'store', token, record } as const
      const found = { ...common, type: 'find-value-response', token, record, contacts: nobody } as const
      for (const message of [store, found]) {
        if (size <= recordSizeMax) expect(decodeOverlayMessage(encodeOverlayMessage(message)).ok).toBe(true)
        else expect(() => encodeOverlayMessage(message)).toThrow()
      }
    }
    const bytes = encodeOverlayMessage({ ...common, type: 'store', token, record: new Uint8Array(recordSizeMax) })
    expect(decodeOverlayMessage(withTail(bytes, 1).with(17, (recordSizeMax & 255) + 1))).toEqual(malformed)
  })

  test('[O10] there is no store without a record', () => {
    expect(() => encodeOverlayMessage({ ...common, type: 'store', token, record: none })).toThrow()
    const bytes = encodeOverlayMessage({ ...common, type: 'store', token, record: Uint8Array.of(9) })
    expect(decodeOverlayMessage(bytes.with(17, 0))).toEqual(malformed)
  })

  test('[O9] the age of a record is 0 where it is not told, and at most 65,535 minutes', () => {
    const store = { ...common, type: 'store', token, record: Uint8Array.of(9) } as const
    for (const ageMinutes of [0, 1, 65_535]) {
      const message = { ...store, ageMinutes }
      expect(decodeOverlayMessage(encodeOverlayMessage(message))).toEqual({ ok: true, value: message })
    }
    expect(encodeOverlayMessage(store)).toEqual(encodeOverlayMessage({ ...store, ageMinutes: 0 }))
    for (const ageMinutes of [-1, 65_536, Number.NaN]) {
      expect(() => encodeOverlayMessage({ ...store, ageMinutes })).toThrow()
    }
  })

  test('[O9] a status is one of the table, an unknown one counts as busy', () => {
    for (const status of Object.keys(storeStatuses) as StoreStatus[]) {
      const message = { ...common, type: 'store-response', status } as const
      expect(decodeOverlayMessage(encodeOverlayMessage(message))).toEqual({ ok: true, value: message })
    }
    const bytes = encodeOverlayMessage({ ...common, type: 'store-response', status: 'stored' })
    for (const code of [0, 7, 255]) {
      expect(decodeOverlayMessage(bytes.with(6, code))).toMatchObject({ ok: true, value: { status: 'busy' } })
    }
  })

  test('[O9] an observed endpoint has 0, 6 or 18 bytes', () => {
    const bytes = withTail(encodeOverlayMessage({ ...common, type: 'pong', observed: none }), 30)
    for (let size = 0; size < 256; size++) {
      expect(decodeOverlayMessage(bytes.with(6, size)).ok).toBe(size === 0 || size === 6 || size === 18)
    }
    expect(() => encodeOverlayMessage({ ...common, type: 'pong', observed: new Uint8Array(7) })).toThrow()
  })

  test('[O9] a probe names exactly one contact', () => {
    for (const [v4, v6] of [
      [0, 0],
      [2, 0],
      [0, 2],
      [1, 1],
    ] as const) {
      const contact = sampleContacts(libsodium, v4, v6)
      expect(() => encodeOverlayMessage({ ...common, type: 'probe', contact })).toThrow()
    }
    const one = encodeOverlayMessage({ ...common, type: 'probe', contact: sampleContacts(libsodium, 1, 0) })
    expect(decodeOverlayMessage(withTail(one, contactSizeV4).with(6, 2))).toEqual(malformed)
    expect(decodeOverlayMessage(one.with(6, 0))).toEqual(malformed)
  })

  test('[O9] a punch that was passed on says where to, no other does', () => {
    const endpoint = Uint8Array.of(203, 0, 113, 5, 1, 2)
    const passed = { ...common, type: 'punch-response', status: 'passed', endpoint } as const
    const bytes = encodeOverlayMessage(passed)
    expect(decodeOverlayMessage(bytes.with(6, 2))).toEqual(malformed)
    expect(decodeOverlayMessage(bytes.subarray(0, 8).with(7, 0))).toEqual(malformed)
    for (const code of [0, 4, 255]) {
      expect(decodeOverlayMessage(bytes.subarray(0, 8).with(6, code).with(7, 0))).toMatchObject({
        ok: true,
        value: { status: 'refused' },
      })
    }
    expect(() => encodeOverlayMessage({ ...passed, endpoint: none })).toThrow()
    expect(() => encodeOverlayMessage({ ...passed, status: 'unknown' })).toThrow()
  })

  test('[O9] an unknown status of a rendezvous is no yes', () => {
    const bytes = encodeOverlayMessage({ ...common, type: 'rendezvous-response', status: 'accepted', observed: none })
    for (const code of [0, 3, 255]) {
      expect(decodeOverlayMessage(bytes.with(6, code))).toMatchObject({ ok: true, value: { status: 'refused' } })
    }
  })

  test('[O9] a knock without an endpoint is none', () => {
    const knock = { ...common, type: 'knock', nonce: token, endpoint: Uint8Array.of(203, 0, 113, 5, 1, 2) } as const
    expect(() => encodeOverlayMessage({ ...knock, endpoint: none })).toThrow()
    expect(decodeOverlayMessage(encodeOverlayMessage(knock).subarray(0, 15).with(14, 0))).toEqual(malformed)
    expect(() => encodeOverlayMessage({ ...knock, nonce: new Uint8Array(7) })).toThrow()
  })

  test('[O9] an answer has two service records at most, of 1 to 592 bytes each', () => {
    const of = (...sizes: number[]) =>
      ({ ...common, type: 'services-response', records: sizes.map((size) => new Uint8Array(size).fill(5)) }) as const
    for (const message of [of(), of(1), of(592), of(592, 565), of(1, 2)]) {
      expect(decodeOverlayMessage(encodeOverlayMessage(message))).toEqual({ ok: true, value: message })
    }
    // The third, an empty one, one too large, and two that do not fit one datagram.
    for (const message of [of(1, 1, 1), of(1, 0), of(593), of(592, 566)]) {
      expect(() => encodeOverlayMessage(message)).toThrow()
    }
    expect(decodeOverlayMessage(encodeOverlayMessage(of(592, 565)))).toMatchObject({ ok: true })
    expect(encodeOverlayMessage(of(592, 565))).toHaveLength(overlayMessageSizeMax)
    const bytes = encodeOverlayMessage(of(1, 2))
    expect(decodeOverlayMessage(withTail(bytes, 3).with(6, 3))).toEqual(malformed)
    expect(decodeOverlayMessage(bytes.with(8, 0))).toEqual(malformed)
    const large = encodeOverlayMessage(of(592))
    expect(decodeOverlayMessage(withTail(large, 1).with(8, (592 & 255) + 1))).toEqual(malformed)
  })

  test('overlay messages carry service records of any size', () => {
    expect(overlayServiceSizeMax).toBe(serviceRecordSizeMax)
  })

  test('sizes that break the contract are our own bug', () => {
    const half = { v4: new Uint8Array(contactSizeV4 - 1), v6: none }
    expect(() => encodeOverlayMessage({ ...common, type: 'find-node', target: new Uint8Array(31) })).toThrow()
    expect(() => encodeOverlayMessage({ ...common, type: 'find-value', key: new Uint8Array(33) })).toThrow()
    const short = { ...common, type: 'find-node-response', token: new Uint8Array(7), contacts: nobody } as const
    expect(() => encodeOverlayMessage(short)).toThrow()
    expect(() => encodeOverlayMessage({ ...short, token, contacts: half })).toThrow()
  })

  test('encoding into an array leaves the rest of it alone, and asks for room', () => {
    for (const message of messages) {
      const bytes = encodeOverlayMessage(message)
      const target = new Uint8Array(bytes.length + 20).fill(0xaa)
      expect(encodeOverlayMessageInto(message, target, 12)).toBe(12 + bytes.length)
      expect(target.subarray(12, 12 + bytes.length)).toEqual(bytes)
      expect(target.filter((_, at) => at < 12 || at >= 12 + bytes.length).every((byte) => byte === 0xaa)).toBe(true)
      expect(() => encodeOverlayMessageInto(message, target, 21)).toThrow()
    }
  })

  test('decoding copies nothing, wherever in a buffer the datagram stands', () => {
    const message = answer(3, 4)
    const buffer = new Uint8Array(2000)
    const end = encodeOverlayMessageInto(message, buffer, 100)
    const decoded = decodeOverlayMessage(buffer.subarray(100, end))
    expect(decoded).toEqual({ ok: true, value: message })
    if (!decoded.ok || decoded.value.type !== 'find-node-response') throw new Error('another message')
    const { token, contacts } = decoded.value
    for (const view of [token, contacts.v4, contacts.v6]) expect(view.buffer).toBe(buffer.buffer)
  })

  test('[O9] any message comes back', () => {
    const bytes = (minLength: number, maxLength = minLength) => fc.uint8Array({ minLength, maxLength, size: 'max' })
    const contacts = fc
      .tuple(fc.nat(10), fc.nat(10))
      .chain(([v4, v6]) => fc.record({ v4: bytes(v4 * contactSizeV4), v6: bytes(v6 * contactSizeV6) }))
    const of = <const Type extends OverlayMessage['type'], Fields extends Record<string, fc.Arbitrary<unknown>>>(
      type: Type,
      fields: Fields,
    ) => fc.record({ type: fc.constant(type), transaction: fc.nat(0xffff_ffff), isServer: fc.boolean(), ...fields })
    const record = bytes(1, recordSizeMax)
    const arbitrary = fc.oneof(
      of('ping', {}),
      of('pong', { observed: fc.oneof(bytes(0), bytes(6), bytes(18)) }),
      of('find-node', { target: bytes(32) }),
      of('find-node-response', { token: bytes(8), contacts }),
      of('find-value', { key: bytes(32) }),
      of('find-value-response', { token: bytes(8), record, contacts: fc.constant(nobody) }),
      of('find-value-response', { token: bytes(8), record: fc.constant(undefined), contacts }),
      of('store', { token: bytes(8), record, ageMinutes: fc.nat(0xffff) }),
      of('store-response', { status: fc.constantFrom(...(Object.keys(storeStatuses) as StoreStatus[])) }),
      of('rendezvous', {}),
      of('rendezvous-response', {
        status: fc.constantFrom('accepted', 'refused'),
        observed: fc.oneof(bytes(0), bytes(6), bytes(18)),
      }),
      of('punch', { nonce: bytes(8), target: bytes(32) }),
      of('punch-response', { status: fc.constant('passed'), endpoint: fc.oneof(bytes(6), bytes(18)) }),
      of('punch-response', { status: fc.constantFrom('unknown', 'refused'), endpoint: fc.constant(none) }),
      of('services', {}),
      of('services-response', { records: fc.array(bytes(1, 500), { maxLength: 2 }) }),
      of('knock', { nonce: bytes(8), endpoint: fc.oneof(bytes(6), bytes(18)) }),
      of('probe', { contact: fc.record({ v4: bytes(contactSizeV4), v6: fc.constant(none) }) }),
    )
    fc.assert(
      fc.property(arbitrary, (value) => {
        const message = value as OverlayMessage
        expect(decodeOverlayMessage(encodeOverlayMessage(message))).toEqual({ ok: true, value: message })
      }),
    )
  })

  test('[O6] mutated bytes never throw, and what is accepted comes back', () => {
    const seeds = messages.map(encodeOverlayMessage)
    const edits = fc.array(fc.tuple(fc.nat(1100), fc.nat(255)), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(fc.constantFrom(...seeds), edits, (seed, changes) => {
        const bytes = seed.slice()
        for (const [at, value] of changes) bytes[at % bytes.length] = value
        const decoded = decodeOverlayMessage(bytes)
        if (!decoded.ok) return
        expect(decodeOverlayMessage(encodeOverlayMessage(decoded.value))).toEqual(decoded)
      }),
      { numRuns: 2000 },
    )
  })
})
