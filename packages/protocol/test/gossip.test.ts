import { textToBytes } from '@miaou/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decodeGossipMessage,
  encodeGossipBody,
  encodeGossipData,
  encodeGossipMessage,
  type GossipMessage,
  gossipBody,
  gossipDataOverhead,
  gossipKinds,
  gossipMessageSizeMax,
  isGossipTopic,
  peekGossipId,
  peekGossipRoute,
  peekGossipTopic,
  withGossipHop,
} from '../src/index.ts'

const bytes = (size: number, fill: number): Uint8Array => new Uint8Array(size).fill(fill)

const data: Extract<GossipMessage, { type: 'data' }> = {
  type: 'data',
  ttl: 6,
  hops: 1,
  renews: false,
  id: bytes(32, 1),
  origin: bytes(32, 2),
  timestamp: 1_800_000_000_000,
  sequence: 7,
  topic: 'cats/all',
  payload: textToBytes('miaou'),
  signature: bytes(64, 3),
}

const samples: readonly GossipMessage[] = [
  data,
  { ...data, payload: new Uint8Array(0), topic: 'x', ttl: 0, hops: 127, renews: true },
  { type: 'announce', topic: 'a', isPull: true, announcements: [{ shortId: bytes(16, 4), hops: 3 }] },
  {
    type: 'announce',
    topic: 'a',
    isPull: false,
    announcements: Array.from({ length: 128 }, (_, at) => ({ shortId: bytes(16, at), hops: at })),
  },
  { type: 'graft', topic: 'a', isEager: true, shortIds: [bytes(16, 5), bytes(16, 6)] },
  { type: 'graft', topic: 'a', isEager: false, shortIds: [] },
  { type: 'prune', topic: '~'.repeat(64) },
  {
    type: 'topics',
    isFull: true,
    interests: [
      { topic: 'a', distance: 0 },
      { topic: 'b', distance: undefined },
      { topic: 'c', distance: 15 },
    ],
  },
  { type: 'hello', isJoining: true, isUrgent: false, hint: bytes(256, 7), interests: [{ topic: 'a', distance: 1 }] },
  { type: 'hello', isJoining: false, isUrgent: true, hint: undefined, interests: [] },
  { type: 'forward-join', ttl: 6, hint: bytes(1, 8) },
  { type: 'shuffle', isReply: true, hints: Array.from({ length: 16 }, (_, at) => bytes(4, at)) },
  { type: 'leave', hints: [] },
]

describe('gossip messages', () => {
  test('[G1] every kind comes back as it was', () => {
    for (const message of samples) {
      expect(decodeGossipMessage(encodeGossipMessage(message))).toEqual({ ok: true, value: message })
    }
    expect(new Set(samples.map((message) => encodeGossipMessage(message)[0])).size).toBe(
      Object.keys(gossipKinds).length,
    )
  })

  test('[G1] cut anywhere, or with a byte more, it is refused', () => {
    for (const message of samples) {
      const whole = encodeGossipMessage(message)
      for (let size = 0; size < whole.length; size++) expect(decodeGossipMessage(whole.slice(0, size)).ok).toBe(false)
      expect(decodeGossipMessage(Uint8Array.of(...whole, 0)).ok).toBe(false)
    }
  })

  test('[G1] any bytes: refused, or accepted in exactly one form', () => {
    const mutated = fc.tuple(fc.constantFrom(...samples), fc.nat(), fc.nat(255)).map(([message, at, value]) => {
      const changed = encodeGossipMessage(message)
      changed[at % changed.length] = value
      return changed
    })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutated), (input) => {
        const decoded = decodeGossipMessage(input)
        if (decoded.ok) expect(encodeGossipMessage(decoded.value)).toEqual(input)
      }),
      { numRuns: 3_000 },
    )
  })

  test('[G1] topics, distances, counts and flags at their bounds', () => {
    expect(isGossipTopic('a'.repeat(64))).toBe(true)
    for (const topic of ['', 'a'.repeat(65), 'a b', 'é', '\u007f']) expect(isGossipTopic(topic)).toBe(false)
    const topics = encodeGossipMessage({ type: 'topics', isFull: false, interests: [{ topic: 'a', distance: 15 }] })
    topics[topics.length - 1] = 16
    expect(decodeGossipMessage(topics).ok).toBe(false)
    const announce = encodeGossipMessage(samples[3] ?? data)
    announce[5] = 129
    expect(decodeGossipMessage(announce).ok).toBe(false)
    const prune = encodeGossipMessage({ type: 'graft', topic: 'a', isEager: true, shortIds: [] })
    prune[1] = 2
    expect(decodeGossipMessage(prune).ok).toBe(false)
    expect(decodeGossipMessage(Uint8Array.of(2, 0, 0, 1, 97, 0)).ok).toBe(false)
    expect(decodeGossipMessage(Uint8Array.of(10)).ok).toBe(false)
  })

  test('[G3] a message has at most 64 KiB', () => {
    const room = gossipMessageSizeMax - gossipDataOverhead - data.topic.length
    const largest = encodeGossipMessage({ ...data, payload: bytes(room, 9) })
    expect(largest.length).toBe(65_536)
    expect(decodeGossipMessage(largest).ok).toBe(true)
    expect(() => encodeGossipMessage({ ...data, payload: bytes(room + 1, 9) })).toThrow('64 KiB')
    expect(decodeGossipMessage(bytes(65_537, 1)).ok).toBe(false)
  })

  test('[G2] the body is what lies between id and signature; the hop changes nothing in it', () => {
    const body = encodeGossipBody(data)
    const encoded = encodeGossipData(body, data)
    expect(gossipBody(encoded)).toEqual(body)
    expect(peekGossipId(encoded)).toEqual(data.id)
    expect(peekGossipTopic(encoded)).toBe('cats/all')
    const next = withGossipHop(encoded, 5, 2)
    expect(gossipBody(next)).toEqual(body)
    expect(decodeGossipMessage(next)).toEqual({ ok: true, value: { ...data, ttl: 5, hops: 2 } })
    expect(peekGossipRoute(withGossipHop(encoded, 5, 128, true))).toEqual({ hops: 127, renews: true })
    expect(peekGossipRoute(next)).toEqual({ hops: 2, renews: false })
    expect(peekGossipId(Uint8Array.of(2))).toBeUndefined()
    expect(peekGossipId(encoded.slice(0, gossipDataOverhead - 1))).toBeUndefined()
    expect(peekGossipTopic(bytes(200, 1))).toBeUndefined()
  })

  test('[G2] equal payloads of one publisher differ in their body', () => {
    const body = encodeGossipBody(data)
    expect(encodeGossipBody({ ...data, sequence: 8 })).not.toEqual(body)
    expect(encodeGossipBody({ ...data, topic: 'cats/al' })).not.toEqual(body)
    expect(encodeGossipBody({ ...data, timestamp: data.timestamp + 1 })).not.toEqual(body)
  })
})
