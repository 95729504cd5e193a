import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createCircuitSamples } from '../../../testkit/src/fuzz/circuit-samples.ts'
import {
  circuitChunkCost,
  circuitChunkSizeMax,
  circuitChunkSizeSmall,
  circuitDataOverhead,
  decodeCircuitData,
  decodeRelayMessage,
  encodeCircuitData,
  encodeRelayMessage,
  formatCircuitAddress,
  formatRelayAddress,
  measureBytesMax,
  parseCircuitAddress,
  parseRelayAddress,
  type RelayMessage,
  relayIdOf,
  relayMessageKinds,
  relayMessageSizeMax,
  reservationIdOf,
  tailSizeMax,
  writeCircuit,
} from '../src/index.ts'
import { libsodium } from './backends.ts'

const { messages, chunks } = createCircuitSamples(libsodium)
const sha256 = (bytes: Uint8Array) => libsodium.sha256(bytes)
const largest = messages[4] as Extract<RelayMessage, { type: 'reserved' }>

describe('relay messages', () => {
  test('[C2] every kind comes back as it was', () => {
    for (const message of messages) {
      expect(decodeRelayMessage(encodeRelayMessage(message))).toEqual({ ok: true, value: message })
    }
    expect(new Set(messages.map(({ type }) => type)).size).toBe(Object.keys(relayMessageKinds).length)
  })

  test('[C2] cut anywhere it is refused; a tail of 64 bytes is a later version, 65 are not', () => {
    for (const message of messages) {
      const whole = encodeRelayMessage(message)
      for (let size = 0; size < whole.length; size++) expect(decodeRelayMessage(whole.slice(0, size)).ok).toBe(false)
      const withTail = (size: number) => decodeRelayMessage(Uint8Array.from([...whole, ...new Uint8Array(size)]))
      expect(withTail(tailSizeMax)).toEqual({ ok: true, value: message })
      expect(withTail(tailSizeMax + 1).ok).toBe(false)
    }
  })

  test('[C2] any bytes: refused, or accepted as something that is encoded again', () => {
    const mutated = fc.tuple(fc.constantFrom(...messages), fc.nat(), fc.nat(255)).map(([message, at, value]) => {
      const changed = encodeRelayMessage(message)
      changed[at % changed.length] = value
      return changed
    })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), (input) => {
        const decoded = decodeRelayMessage(input)
        if (decoded.ok) expect(decodeRelayMessage(encodeRelayMessage(decoded.value))).toEqual(decoded)
      }),
      { numRuns: 3_000 },
    )
  })

  test('[C2] a reason of a later version reads as busy or bye', () => {
    const refused = encodeRelayMessage({ type: 'refused', request: 1, reason: 'quota', retryIn: 9 })
    expect(decodeRelayMessage(refused.with(5, 200))).toMatchObject({ value: { reason: 'busy', retryIn: 9 } })
    const close = encodeRelayMessage({ type: 'close', circuit: 1, reason: 'quota' })
    expect(decodeRelayMessage(close.with(5, 200))).toMatchObject({ value: { reason: 'bye' } })
  })

  test('[C2] circuit 0, an unknown kind, too much filler, a fifth server, port 0 and odd endpoints are refused', () => {
    for (const type of ['credit', 'close', 'incoming', 'opened'] as const) {
      const sample = messages.find((message) => message.type === type) as RelayMessage
      const bytes = encodeRelayMessage(sample)
      bytes.fill(0, type === 'opened' ? 5 : 1, type === 'opened' ? 9 : 5)
      expect(decodeRelayMessage(bytes).ok).toBe(false)
    }
    expect(decodeRelayMessage(Uint8Array.of(0)).ok).toBe(false)
    expect(decodeRelayMessage(Uint8Array.of(14)).ok).toBe(false)
    const measure = (bytes: number) =>
      decodeRelayMessage(encodeRelayMessage({ type: 'measure-down', request: 1, bytes }))
    expect(measure(measureBytesMax).ok).toBe(true)
    expect(measure(measureBytesMax + 1).ok).toBe(false)
    const service = encodeRelayMessage({ type: 'open-service', request: 1, url: 'ws://a.b:80' })
    expect(decodeRelayMessage(service).ok).toBe(true)
    // `http`, a query, a slash at the end, and what is no UTF-8.
    for (const [at, value] of [
      [7, 0x68],
      [12, 0x3f],
      [17, 0x2f],
      [12, 0xff],
    ] as const) {
      expect(decodeRelayMessage(service.with(at, value)).ok, String(value)).toBe(false)
    }
    const long = 'x'.repeat(123)
    expect(decodeRelayMessage(encodeRelayMessage({ type: 'open-service', request: 1, url: `ws://${long}` })).ok).toBe(
      true,
    )
    expect(() => encodeRelayMessage({ type: 'open-service', request: 1, url: `ws://${long}x` })).toThrow('service')
    const [server] = largest.iceServers
    expect(() =>
      encodeRelayMessage({ ...largest, iceServers: Array.from({ length: 5 }, () => server as never) }),
    ).toThrow()
    const encoded = encodeRelayMessage(largest)
    const countAt = 1 + 4 + 4 + 8 + 1 + 18 + 4 + 8 + 8
    expect(encoded[countAt]).toBe(4)
    expect(decodeRelayMessage(encoded.with(countAt, 5)).ok).toBe(false)
    expect(decodeRelayMessage(encoded.with(countAt + 2, 0).with(countAt + 3, 0)).ok).toBe(false)
    expect(decodeRelayMessage(encoded.with(17, 7)).ok).toBe(false)
  })

  test('[C2] the largest message has 1,177 bytes with its tail; a longer credential is refused', () => {
    const text = 'x'.repeat(128)
    const server = { scheme: 'turn', port: 1, transport: 'udp', username: text, credential: text } as const
    const full = encodeRelayMessage({ ...largest, iceServers: [server, server, server, server] })
    expect(full.length + tailSizeMax).toBe(relayMessageSizeMax)
    expect(decodeRelayMessage(full).ok).toBe(true)
    const longer = { ...server, credential: `${text}x` }
    expect(() => encodeRelayMessage({ ...largest, iceServers: [longer] })).toThrow('short')
    const one = encodeRelayMessage({ ...largest, iceServers: [server] })
    const sizeAt = one.length - 128 - 2
    expect(decodeRelayMessage(Uint8Array.from([...one.with(sizeAt + 1, 129), 0x78])).ok).toBe(false)
  })
})

describe('circuit data', () => {
  test('[C3] chunks come back as they were, as views', () => {
    for (const chunk of chunks) {
      const encoded = encodeCircuitData(chunk)
      const decoded = decodeCircuitData(encoded)
      expect(decoded).toEqual({ ok: true, value: chunk })
      if (decoded.ok) expect(decoded.value.bytes.buffer).toBe(encoded.buffer)
    }
  })

  test('[C3] a full chunk fills the bucket of 64 KiB and a small one that of 16; one more byte, none, or a flag that is not known is refused', () => {
    const full = encodeCircuitData({ circuit: 1, isLast: false, bytes: new Uint8Array(circuitChunkSizeMax) })
    expect(circuitChunkSizeMax + circuitDataOverhead).toBe(65_536)
    expect(circuitChunkSizeSmall + circuitDataOverhead).toBe(16_384)
    expect(decodeCircuitData(full).ok).toBe(true)
    expect(decodeCircuitData(Uint8Array.from([...full, 0])).ok).toBe(false)
    for (let size = 0; size <= 5; size++) expect(decodeCircuitData(full.slice(0, size)).ok).toBe(false)
    expect(decodeCircuitData(full.with(4, 2)).ok).toBe(false)
    expect(() => encodeCircuitData({ circuit: 1, isLast: true, bytes: new Uint8Array(0) })).toThrow()
    expect(() => encodeCircuitData({ circuit: 1, isLast: true, bytes: new Uint8Array(65_503) })).toThrow()
  })

  test('[C3] a relay writes the next number over the old one, in place, also in a view', () => {
    const whole = new Uint8Array(60)
    const encoded = whole.subarray(7)
    encoded.set(encodeCircuitData({ circuit: 7, isLast: true, bytes: Uint8Array.of(1, 2, 3) }))
    writeCircuit(encoded, 0xffff_fffe)
    expect(decodeCircuitData(encoded.subarray(0, 8))).toMatchObject({ value: { circuit: 0xffff_fffe, isLast: true } })
    expect(whole.subarray(0, 7)).toEqual(new Uint8Array(7))
  })

  test('[C12] a tiny chunk costs as much as the smallest bucket', () => {
    expect([1, 256, 257, 65_502].map(circuitChunkCost)).toEqual([256, 256, 257, 65_502])
  })
})

describe('names', () => {
  const relay = { url: 'wss://relay.example.org', relayId: relayIdOf(new Uint8Array(32).fill(1), sha256) }
  const reservation = reservationIdOf(new Uint8Array(32).fill(1), sha256)

  test('[C1] addresses come back as they were; one key gives two names', () => {
    expect(parseRelayAddress(formatRelayAddress(relay))).toEqual(relay)
    expect(parseCircuitAddress(formatCircuitAddress({ relay, reservation }))).toEqual({ relay, reservation })
    expect(relay.relayId).not.toEqual(reservation)
  })

  test('[C1] what is no address is none', () => {
    const id = formatRelayAddress(relay).slice(0, 22)
    const urls = ['', 'http://a', 'ws://', 'ws://a/', 'ws://a?b', 'ws://a#b', 'ws://u@a', `ws://${'a'.repeat(124)}`]
    for (const url of urls) expect(parseRelayAddress(`${id}@${url}`)).toBeUndefined()
    expect(parseRelayAddress(`${id}@ws://${'a'.repeat(123)}`)).toBeDefined()
    expect(parseRelayAddress(`${id.slice(1)}@ws://a`)).toBeUndefined()
    expect(parseRelayAddress(`${id}A@ws://a`)).toBeUndefined()
    for (const text of ['', 'circuit:', `${id}@ws://a`, `circuit:${id}@ws://a`, `circuit:.${id}@ws://a`]) {
      expect(parseCircuitAddress(text)).toBeUndefined()
    }
  })
})
