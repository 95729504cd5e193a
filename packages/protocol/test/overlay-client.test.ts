import {
  decodeOverlayClient,
  encodeOverlayClient,
  type OverlayClient,
  overlayClientToTexts,
  overlayRendezvousMax,
  tailSizeMax,
  textToOverlayClient,
} from '@miaou/protocol'
import { describe, expect, test } from 'vitest'

const malformed = { ok: false, error: { type: 'malformed', what: 'overlay client' } }
const key = (byte: number) => new Uint8Array(32).fill(byte)
const v4 = { publicKey: key(2), endpoint: { host: '203.0.113.5', port: 4000 } }
const v6 = { publicKey: key(3), endpoint: { host: '2001:db8::1', port: 4000 } }
const clients: readonly OverlayClient[] = [
  { publicKey: key(1), rendezvous: [v4] },
  { publicKey: key(1), rendezvous: [v6] },
  { publicKey: key(1), rendezvous: [v4, { ...v4, publicKey: key(4) }, v6] },
]

describe('overlay clients', () => {
  test.each(clients.map((client) => [client.rendezvous.length, client] as const))(
    '[O18] one with %s servers comes back, a tail of a later version is skipped, a cut is refused',
    (_, client) => {
      const bytes = encodeOverlayClient(client)
      expect(decodeOverlayClient(bytes)).toEqual({ ok: true, value: client })
      for (let size = 0; size < bytes.length; size++)
        expect(decodeOverlayClient(bytes.subarray(0, size))).toEqual(malformed)
      const longer = new Uint8Array(bytes.length + tailSizeMax + 1)
      longer.set(bytes)
      expect(decodeOverlayClient(longer.subarray(0, -1))).toEqual({ ok: true, value: client })
      expect(decodeOverlayClient(longer)).toEqual(malformed)
    },
  )

  test('[O18] one to three servers, none its own, all at public addresses', () => {
    const refused: readonly OverlayClient[] = [
      { publicKey: key(1), rendezvous: [] },
      { publicKey: key(1), rendezvous: Array.from({ length: overlayRendezvousMax + 1 }, () => v4) },
      { publicKey: key(2), rendezvous: [v4] },
      { publicKey: key(1), rendezvous: [{ ...v4, endpoint: { host: '192.168.1.5', port: 4000 } }] },
      { publicKey: key(1), rendezvous: [{ ...v4, endpoint: { host: '127.0.0.1', port: 4000 } }] },
    ]
    for (const client of refused) expect(() => encodeOverlayClient(client)).toThrow()
    const bytes = encodeOverlayClient({ publicKey: key(1), rendezvous: [v4] })
    for (const byte of [0, 10, 127, 255]) expect(decodeOverlayClient(bytes.with(32 + 2 + 32, byte))).toEqual(malformed)
    expect(decodeOverlayClient(bytes.with(32, 0))).toEqual(malformed)
  })

  test('[O18] as text, one for each server', () => {
    for (const client of clients) {
      const texts = overlayClientToTexts(client)
      expect(texts.map((text) => textToOverlayClient(text)?.rendezvous[0])).toEqual(client.rendezvous)
      expect(texts.every((text) => text.startsWith('AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE@'))).toBe(true)
    }
    const [text = ''] = overlayClientToTexts({ publicKey: key(1), rendezvous: [v4] })
    for (const wrong of [
      '',
      'a',
      text.slice(1),
      text.slice(44),
      `${text}@x`,
      text.replace('203', '10'),
      `${text}0000`,
    ]) {
      expect(textToOverlayClient(wrong)).toBeUndefined()
    }
  })
})
