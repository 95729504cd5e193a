import {
  type Content,
  decodeContent,
  decodeEnvelope,
  decodeHandshakeMessage,
  decodePeerAnnouncement,
  decodeSignal,
  type Envelope,
  encodeContent,
  encodeEnvelope,
  encodeHandshakeMessage,
  encodeInvite,
  encodePeerAnnouncement,
  encodeSignal,
  type HandshakeMessage,
  type Invite,
  inviteLengthLimit,
  isInviteAddress,
  isName,
  isNote,
  parseInvite,
  type Signal,
} from '@miaou/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createWireSamples } from '../../../testkit/src/fuzz/samples.ts'
import { backends, libsodium } from './backends.ts'

const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size })
const u32 = fc.nat({ max: 0xffff_ffff })
const name = fc.string({ unit: 'grapheme', maxLength: 20 }).filter(isName)
const text = fc.string({ unit: 'grapheme', maxLength: 300 }).filter((value) => value.isWellFormed())

/** Drops fields that are undefined: an absent field is absent, never undefined. */
function compact<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T
}

describe('round trips of arbitrary values', () => {
  test('[M14] [M16] [M17] [M18] [M19] [M20] content', () => {
    const mark = fc.record({
      counter: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      nonce: bytes(16),
      signature: bytes(64),
    })
    const receipt = fc.oneof(
      fc.record({
        type: fc.constant('receipt' as const),
        status: fc.constantFrom('delivered' as const, 'read' as const, 'missing' as const),
        messageIds: fc.array(bytes(16), { minLength: 1, maxLength: 20 }),
      }),
      fc.record({
        type: fc.constant('receipt' as const),
        status: fc.constant('refused' as const),
        reason: fc.constantFrom(
          'request-pending' as const,
          'blocked' as const,
          'unsupported' as const,
          'too-old' as const,
        ),
        messageIds: fc.array(bytes(16), { minLength: 1, maxLength: 20 }),
      }),
    )
    const hello = fc
      .record({
        type: fc.constant('hello' as const),
        name,
        hintKey: bytes(32),
        inviteToken: fc.option(bytes(16), { nil: undefined }),
        accepted: fc.boolean(),
        depositSecret: fc.option(bytes(32), { nil: undefined }),
        locatorKey: fc.option(bytes(32), { nil: undefined }),
        deviceRecord: fc.option(fc.uint8Array({ minLength: 1, maxLength: 844 }), { nil: undefined }),
        sealingKey: fc.option(fc.record({ id: u32, key: bytes(1_216) }), { nil: undefined }),
        note: fc.option(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 70 }).filter(isNote), {
          nil: undefined,
        }),
        startMark: fc.option(mark, { nil: undefined }),
        laterMark: fc.option(mark, { nil: undefined }),
      })
      .map((body) => compact(body) as Content['body'])
    const body: fc.Arbitrary<Content['body']> = fc.oneof(
      fc.record({ type: fc.constant('text' as const), text, receiptRequested: fc.boolean() }),
      receipt,
      hello,
      fc.record({ type: fc.constant('cover' as const), size: fc.integer({ min: 0, max: 57_344 }) }),
      fc.record({ type: fc.constant('unknown' as const), tag: fc.integer({ min: 5, max: 255 }) }),
    )
    const after = fc.option(bytes(16), { nil: undefined })
    const contents = fc
      .record({ messageId: bytes(16), sentAt: fc.maxSafeNat(), body, after })
      .map((value) => compact(value) as Content)
    fc.assert(
      fc.property(contents, (content) => {
        expect(decodeContent(encodeContent(content))).toEqual({ ok: true, value: content })
      }),
    )
  })

  test('[M13] envelopes', () => {
    const message = fc.uint8Array({ maxLength: 2000 })
    const envelopes: fc.Arbitrary<Envelope> = fc.oneof(
      fc.record({ kind: fc.constant('ratchet' as const), sessionId: bytes(16), message }),
      fc.record({
        kind: fc.constant('initial' as const),
        sessionId: bytes(16),
        certificate: fc.uint8Array({ maxLength: 1024 }),
        header: fc.uint8Array({ maxLength: 4096 }),
        message,
      }),
    )
    fc.assert(
      fc.property(envelopes, (envelope) => {
        expect(decodeEnvelope(encodeEnvelope(envelope))).toEqual({ ok: true, value: envelope })
      }),
    )
  })

  test('[H4] handshake messages', () => {
    const messages = fc
      .record({
        protocolVersion: fc.nat({ max: 255 }),
        peerId: bytes(32),
        certificate: fc.uint8Array({ maxLength: 1024 }),
        features: fc.uniqueArray(fc.stringMatching(/^[a-z0-9-]{1,32}$/), { maxLength: 16 }),
        timestamp: fc.maxSafeNat(),
        binding: fc.option(fc.record({ local: bytes(32), remote: bytes(32) }), { nil: undefined }),
      })
      .map((message) => compact(message) as HandshakeMessage)
    fc.assert(
      fc.property(messages, (message) => {
        expect(decodeHandshakeMessage(encodeHandshakeMessage(message))).toEqual({ ok: true, value: message })
      }),
    )
  })

  test('[M12] announcements', () => {
    const announcements = fc.record({
      accountKey: bytes(32),
      deviceList: fc.array(fc.uint8Array({ maxLength: 512 }), { maxLength: 64 }),
      name,
    })
    fc.assert(
      fc.property(announcements, (announcement) => {
        expect(decodePeerAnnouncement(encodePeerAnnouncement(announcement))).toEqual({ ok: true, value: announcement })
      }),
    )
  })

  test('[S1] signalling documents', () => {
    const ids = createWireSamples(libsodium).signals.map(({ connectionId }) => connectionId)
    const base = { connectionId: fc.constantFrom(...ids), attempt: u32 }
    const signals: fc.Arbitrary<Signal> = fc.oneof(
      fc.record({ type: fc.constantFrom('offer' as const, 'answer' as const), ...base, sdp: fc.string() }),
      fc.record({
        type: fc.constant('candidate' as const),
        ...base,
        candidate: fc.string({ unit: 'binary' }).filter((value) => value.isWellFormed()),
        sdpMid: fc.option(fc.string({ maxLength: 64 })),
        sdpMLineIndex: fc.option(fc.nat({ max: 0xffff })),
      }),
      fc.record({ type: fc.constant('refuse' as const), ...base, reason: fc.string({ maxLength: 64 }) }),
    )
    fc.assert(
      fc.property(signals, (signal) => {
        expect(decodeSignal(encodeSignal(signal))).toEqual({ ok: true, value: signal })
      }),
    )
  })

  const port = fc.nat({ max: 65_535 })
  const address = fc
    .oneof(
      fc.tuple(fc.ipV4(), port).map(([ip, number]) => `ws://${ip}:${number}`),
      fc.tuple(fc.ipV6(), port).map(([ip, number]) => `ws://[${ip}]:${number}`),
      fc.tuple(fc.domain(), port).map(([host, number]) => `wss://${host}:${number}/link`),
    )
    .filter(isInviteAddress)
  const invites: fc.Arbitrary<Invite> = fc.record({
    accountKey: bytes(32),
    deviceKey: bytes(32),
    name,
    addresses: fc.array(address, { maxLength: 8 }),
    locatorKey: bytes(32),
    token: bytes(16),
  })
  for (const crypto of backends) {
    test(`[V1] [V3] invites stay below 300 characters and keep what fits (${crypto.name})`, () => {
      const sha256 = (input: Uint8Array) => crypto.sha256(input)
      fc.assert(
        fc.property(invites, (invite) => {
          const link = encodeInvite(invite, sha256)
          expect(link.length).toBeLessThan(inviteLengthLimit)
          const parsed = parseInvite(link, sha256)
          if (!parsed.ok) throw new Error(parsed.error.type)
          const { addresses, name: shownName, ...rest } = parsed.value
          const { addresses: given, name: givenName, ...givenRest } = invite
          expect(rest).toEqual(givenRest)
          expect(givenName.startsWith(shownName)).toBe(true)
          expect(addresses).toEqual([...new Set(given)].filter((address) => addresses.includes(address)))
          expect(addresses.slice(0, 1)).toEqual(given.slice(0, 1))
        }),
      )
    })
  }
})
