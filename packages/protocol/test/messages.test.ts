import { ByteWriter } from '@miaou/core'
import {
  type Content,
  contentBodySizeMax,
  contentExtensionTags,
  contentTags,
  decodeContent,
  decodeDisconnect,
  decodeEnvelope,
  decodeKeepAlive,
  decodePeerAnnouncement,
  decodePeerQuery,
  decodePeerResponse,
  decodeStatus,
  decodeTyping,
  deviceRecordSizeMax,
  encodeContent,
  encodeEnvelope,
  encodePeerAnnouncement,
  encodePeerResponse,
  envelopeSizeMax,
  isName,
  isNote,
  nextHopTag,
  noteLengthMax,
  receiptIdsMax,
  responseBodySizeMax,
  sealingKeySize,
  textSizeMax,
} from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { createWireSamples } from '../../../testkit/src/fuzz/samples.ts'
import { libsodium } from './backends.ts'

const { announcements, contents, envelopes } = createWireSamples(libsodium)
const messageId = new Uint8Array(16).fill(1)
const content = (body: Content['body']): Content => ({ messageId, sentAt: 1, body })
const text = (value: string) => content({ type: 'text', text: value, receiptRequested: false })
const ids = (count: number) => Array.from({ length: count }, () => messageId)
// Version, suite, id, time: the tag of the body comes next, then the size of the body.
const bodyAt = 2 + 16 + 8 + 1 + 2

describe('names', () => {
  test('[M5] 64 bytes of UTF-8 fit, 65 do not', () => {
    expect(isName('é'.repeat(32))).toBe(true)
    expect(isName(`${'é'.repeat(32)}a`)).toBe(false)
  })

  test('[M5] characters that break or turn round the line are refused, by encoder and decoder', () => {
    const announcement = announcements[1]
    if (announcement === undefined) throw new Error('no sample')
    for (const bad of ['\n', '\u001b', '\u007f', '\u0085', '\u2028', '\u202e', '\u2066', '\ud800']) {
      expect(isName(`a${bad}b`)).toBe(false)
      expect(() => encodePeerAnnouncement({ ...announcement, name: `a${bad}b` })).toThrow()
    }
    const bytes = encodePeerAnnouncement({ ...announcement, name: 'abc' })
    const nameAt = 2 + 32 + 2
    expect(decodePeerAnnouncement(bytes.with(nameAt + 1, 0x0a)).ok).toBe(false)
    expect(decodePeerAnnouncement(bytes.with(nameAt + 1, 0xff)).ok).toBe(false)
  })
})

describe('small payloads', () => {
  test('[M7] [M9] [M10] unknown kinds are refused', () => {
    expect(decodeKeepAlive(Uint8Array.of(3, 0, 0, 0, 1)).ok).toBe(false)
    expect(decodeStatus(Uint8Array.of(0)).ok).toBe(false)
    expect(decodeStatus(Uint8Array.of(4)).ok).toBe(false)
    expect(decodeTyping(Uint8Array.of(2)).ok).toBe(false)
  })

  test('[M8] a reason that only a newer peer knows reads as bye', () => {
    expect(decodeDisconnect(Uint8Array.of(99))).toEqual({ ok: true, value: { reason: 'bye' } })
  })

  test('[M11] a query for something unknown keeps its id, so that it can be answered', () => {
    const value = { requestId: 7, want: 'unknown', tag: 99 }
    expect(decodePeerQuery(Uint8Array.of(0, 0, 0, 7, 99))).toEqual({ ok: true, value })
  })

  test('[M11] an answer without a body has nothing behind it, one with a body at most 8,192 bytes', () => {
    expect(decodePeerResponse(Uint8Array.of(0, 0, 0, 7, 0))).toEqual({
      ok: true,
      value: { requestId: 7, body: undefined },
    })
    expect(decodePeerResponse(Uint8Array.of(0, 0, 0, 7, 0, 1)).ok).toBe(false)
    expect(decodePeerResponse(Uint8Array.of(0, 0, 0, 7, 2)).ok).toBe(false)
    const largest = encodePeerResponse({ requestId: 7, body: new Uint8Array(responseBodySizeMax) })
    expect(decodePeerResponse(largest).ok).toBe(true)
    expect(decodePeerResponse(Uint8Array.from([...largest, 0])).ok).toBe(false)
  })
})

describe('envelopes', () => {
  test('[M13] the largest fills a frame, one byte more is refused', () => {
    const empty = encodeEnvelope({ kind: 'ratchet', sessionId: messageId, message: new Uint8Array(0) }).length
    const message = new Uint8Array(envelopeSizeMax - empty)
    const bytes = encodeEnvelope({ kind: 'ratchet', sessionId: messageId, message })
    expect(bytes.length).toBe(envelopeSizeMax)
    expect(decodeEnvelope(bytes).ok).toBe(true)
    const larger = { kind: 'ratchet', sessionId: messageId, message: new Uint8Array(message.length + 1) } as const
    expect(() => encodeEnvelope(larger)).toThrow()
  })

  test('[M13] an unknown kind is refused', () => {
    const bytes = encodeEnvelope({ kind: 'ratchet', sessionId: messageId, message: new Uint8Array(3) })
    expect(decodeEnvelope(bytes.with(2, 3))).toEqual({ ok: false, error: { type: 'malformed', what: 'envelope' } })
  })

  test('[M13] H06 a nested next-hop layer has its place, and only a forwarder takes it', () => {
    const nested = envelopes[2]
    if (nested?.nextHop === undefined) throw new Error('no sample')
    const bytes = encodeEnvelope(nested)
    const error = { type: 'critical-extension', tag: nextHopTag }
    expect(decodeEnvelope(bytes)).toEqual({ ok: false, error })
    expect(decodeEnvelope(bytes, { acceptNextHop: true })).toEqual({ ok: true, value: nested })
    const inner = encodeEnvelope({ ...nested, nextHop: { ...nested.nextHop, layer: encodeEnvelope(nested) } })
    const outer = decodeEnvelope(inner, { acceptNextHop: true })
    const layer = outer.ok ? outer.value.nextHop?.layer : undefined
    expect(layer && decodeEnvelope(layer, { acceptNextHop: true })).toEqual({ ok: true, value: nested })
  })
})

/** A content with one extension, whatever is in it. */
function extended(value: Content, tag: number, bytes: Uint8Array): Uint8Array {
  const head = encodeContent(value).slice(0, -2)
  const block = new ByteWriter(64).u16(tag).bytes16(bytes).finish()
  return new ByteWriter(64).bytes(head).bytes16(block).finish()
}

describe('content', () => {
  test('[M16] a text of 32,768 bytes fits, one byte more does not', () => {
    const largest = encodeContent(text('a'.repeat(textSizeMax)))
    expect(decodeContent(largest).ok).toBe(true)
    expect(() => encodeContent(text('a'.repeat(textSizeMax + 1)))).toThrow()
    const longer = Uint8Array.from([...largest.slice(0, bodyAt + 3), 0x61, ...largest.slice(bodyAt + 3)])
    const view = new DataView(longer.buffer)
    view.setUint16(bodyAt - 2, textSizeMax + 4)
    view.setUint16(bodyAt + 1, textSizeMax + 1)
    expect(decodeContent(longer)).toEqual({ ok: false, error: { type: 'malformed', what: 'content text' } })
  })

  test('[M16] malformed UTF-8 and unknown flags are refused, never repaired', () => {
    const bytes = encodeContent(text('abc'))
    expect(decodeContent(bytes.with(bodyAt + 3, 0xc0)).ok).toBe(false)
    expect(decodeContent(bytes.with(bodyAt, 2)).ok).toBe(false)
  })

  test('[M17] a receipt covers 1 to 512 messages', () => {
    const receipt = (count: number) => content({ type: 'receipt', status: 'read', messageIds: ids(count) })
    expect(decodeContent(encodeContent(receipt(receiptIdsMax))).ok).toBe(true)
    expect(() => encodeContent(receipt(receiptIdsMax + 1))).toThrow()
    expect(() => encodeContent(receipt(0))).toThrow()
    const bytes = encodeContent(receipt(1))
    expect(decodeContent(bytes.with(bodyAt + 3, 0)).ok).toBe(false)
    expect(decodeContent(bytes.with(bodyAt + 2, 0xff)).ok).toBe(false)
  })

  test('[M17] only a refusal has a reason; one that only a newer peer knows reads as none', () => {
    const refusal = encodeContent(contents[4] as Content)
    expect(decodeContent(refusal.with(bodyAt + 1, 99))).toMatchObject({ value: { body: { status: 'refused' } } })
    expect(decodeContent(refusal.with(bodyAt + 1, 99))).not.toMatchObject({ value: { body: { reason: 'blocked' } } })
    expect(decodeContent(refusal.with(bodyAt, 1)).ok).toBe(false)
  })

  test('[M15] a body that only a newer peer knows keeps its message id', () => {
    const unknown = encodeContent(text('abc')).with(bodyAt - 3, 200)
    const value = content({ type: 'unknown', tag: 200 })
    expect(decodeContent(unknown)).toEqual({ ok: true, value })
    expect(Object.values(contentTags)).not.toContain(200)
  })

  test('[M17] a receipt may ask for messages again', () => {
    const receipt = content({ type: 'receipt', status: 'missing', messageIds: ids(1) })
    const bytes = encodeContent(receipt)
    expect(decodeContent(bytes)).toEqual({ ok: true, value: receipt })
    // With a reason it is none: only a refusal has one.
    expect(decodeContent(bytes.with(bodyAt + 1, 1)).ok).toBe(false)
    expect(decodeContent(bytes.with(bodyAt, 5)).ok).toBe(false)
  })

  test('[M19] a content may name the one before it, by 16 bytes', () => {
    const after = new Uint8Array(16).fill(9)
    expect(decodeContent(encodeContent({ ...text('abc'), after }))).toEqual({
      ok: true,
      value: { ...text('abc'), after },
    })
    expect(() => encodeContent({ ...text('abc'), after: new Uint8Array(15) })).toThrow()
    for (const size of [0, 15, 17]) {
      expect(decodeContent(extended(text('abc'), contentExtensionTags.after, new Uint8Array(size)))).toEqual({
        ok: false,
        error: { type: 'malformed', what: 'content' },
      })
    }
  })

  test('[M20] cover of any size up to the largest body, whatever its bytes are', () => {
    const cover = (size: number) => content({ type: 'cover', size })
    for (const size of [0, 1, contentBodySizeMax]) {
      expect(decodeContent(encodeContent(cover(size)))).toEqual({ ok: true, value: cover(size) })
    }
    expect(() => encodeContent(cover(contentBodySizeMax + 1))).toThrow()
    expect(decodeContent(encodeContent(cover(5)).with(bodyAt + 2, 77))).toEqual({ ok: true, value: cover(5) })
  })

  test('[M18] a hello with every part, each as large as it gets, fits', () => {
    const mark = { counter: Number.MAX_SAFE_INTEGER, nonce: new Uint8Array(16), signature: new Uint8Array(64) }
    const value = content({
      type: 'hello',
      name: 'n'.repeat(64),
      hintKey: new Uint8Array(32),
      inviteToken: new Uint8Array(16),
      accepted: true,
      depositSecret: new Uint8Array(32),
      locatorKey: new Uint8Array(32),
      deviceRecord: new Uint8Array(deviceRecordSizeMax),
      sealingKey: { id: 0xffff_ffff, key: new Uint8Array(sealingKeySize) },
      note: '🐈'.repeat(noteLengthMax),
      startMark: mark,
      laterMark: mark,
    })
    const bytes = encodeContent({ ...value, after: new Uint8Array(16) })
    expect(decodeContent(bytes)).toEqual({ ok: true, value: { ...value, after: new Uint8Array(16) } })
  })

  const hello = content({ type: 'hello', name: 'Zoé', hintKey: new Uint8Array(32), accepted: false })
  const tags = contentExtensionTags

  test.each([
    ['depositSecret', tags.depositSecret, [31, 33]],
    ['locatorKey', tags.locatorKey, [31, 33]],
    ['deviceRecord', tags.deviceRecord, [0, deviceRecordSizeMax + 1]],
    ['sealingKey', tags.sealingKey, [0, 4, sealingKeySize, sealingKeySize + 5]],
    ['note', tags.note, [0, noteLengthMax + 1]],
    ['startMark', tags.startMark, [0, 87, 88, 89]],
    ['laterMark', tags.laterMark, [0, 87, 88, 89]],
  ] as const)(
    '[M18] a %s that breaks its rule makes the hello malformed, and says nothing in a text',
    (_, tag, sizes) => {
      // 88 zeros are no mark either: starts count from 1.
      for (const size of sizes) {
        const bytes = new Uint8Array(size)
        expect(decodeContent(extended(hello, tag, bytes)), String(size)).toEqual({
          ok: false,
          error: { type: 'malformed', what: 'content hello' },
        })
        expect(decodeContent(extended(text('abc'), tag, bytes))).toEqual({ ok: true, value: text('abc') })
      }
    },
  )

  test('[M18] a note has 1 to 280 characters of well-formed text', () => {
    expect(isNote('x'.repeat(noteLengthMax))).toBe(true)
    for (const note of ['', 'x'.repeat(noteLengthMax + 1), 'a\ud800']) expect(isNote(note)).toBe(false)
    expect(decodeContent(extended(hello, tags.note, Uint8Array.of(0xc0))).ok).toBe(false)
    expect(() => encodeContent(content({ ...hello.body, note: '' } as Content['body']))).toThrow()
  })

  test('[M14] a body of 57,344 bytes fits, one byte more does not', () => {
    const head = encodeContent(content({ type: 'unknown', tag: 200 })).slice(0, bodyAt - 2)
    const withBody = (size: number) => Uint8Array.from([...head, size >> 8, size & 255, ...new Uint8Array(size + 2)])
    expect(decodeContent(withBody(contentBodySizeMax)).ok).toBe(true)
    expect(decodeContent(withBody(contentBodySizeMax + 1)).ok).toBe(false)
  })
})
