import { keyToPeerId } from '@miaou/core'
import {
  candidateLengthMax,
  connectionId,
  decodeSignal,
  encodeSignal,
  parseConnectionId,
  type Signal,
  sdpLengthMax,
} from '@miaou/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createWireSamples } from '../../../testkit/src/fuzz/samples.ts'
import { libsodium } from './backends.ts'

const { device, secondDevice, signals } = createWireSamples(libsodium)
const [offerer, answerer] = [keyToPeerId(device.publicKey), keyToPeerId(secondDevice.publicKey)]
const offer = signals[0] as Signal
const decodeText = (text: string) => decodeSignal(new Uint8Array(Buffer.from(text)))
const refused = { ok: false, error: { type: 'malformed', what: 'signal' } }

describe('signalling documents', () => {
  test('[S1] B16 they are JSON, and hold to the schema', () => {
    for (const signal of signals) {
      expect(JSON.parse(Buffer.from(encodeSignal(signal)).toString())).toEqual(signal)
      expect(decodeSignal(encodeSignal(signal))).toEqual({ ok: true, value: signal })
    }
  })

  test('[S1] an SDP of 32,768 characters fits, one more does not', () => {
    const sdp = 'a'.repeat(sdpLengthMax)
    expect(decodeText(JSON.stringify({ ...offer, sdp })).ok).toBe(true)
    expect(decodeText(JSON.stringify({ ...offer, sdp: `${sdp}a` }))).toEqual(refused)
  })

  test.each([
    ['no JSON', '{'],
    ['another value', '"offer"'],
    ['null', 'null'],
    ['a list', '[]'],
    ['deep nesting', `{"type":${'['.repeat(20_000)}${']'.repeat(20_000)}}`],
    ['a nested field five deep', JSON.stringify({ ...offer, later: { a: { b: { c: { d: 1 } } } } })],
    ['a missing field', JSON.stringify({ ...offer, sdp: undefined })],
    ['a number for a text', JSON.stringify({ ...offer, sdp: 5 })],
    ['a negative attempt', JSON.stringify({ ...offer, attempt: -1 })],
    ['a broken attempt', JSON.stringify({ ...offer, attempt: 0.5 })],
    ['an attempt beyond u32', JSON.stringify({ ...offer, attempt: 2 ** 32 })],
    ['a connection with oneself', JSON.stringify({ ...offer, connectionId: `conn_${offerer}_${offerer}` })],
    ['no connection id', JSON.stringify({ ...offer, connectionId: 'conn_a_b' })],
    ['an unknown type [S4]', JSON.stringify({ ...offer, type: 'later' })],
    ['a type of the prototype', JSON.stringify({ ...offer, type: 'constructor' })],
  ])('[S1] refused: %s', (_, text) => {
    expect(decodeText(text)).toEqual(refused)
  })

  test('[S1] malformed UTF-8 is refused', () => {
    expect(decodeSignal(Uint8Array.of(0x22, 0xff, 0x22))).toEqual(refused)
  })

  test('[S4] unknown fields are dropped, also those that would reach a prototype', () => {
    const text = JSON.stringify(offer).replace('{', '{"later":{"x":[1]},"__proto__":{"polluted":1},')
    const decoded = decodeText(text)
    expect(decoded).toEqual({ ok: true, value: offer })
    expect(Reflect.get({}, 'polluted')).toBeUndefined()
  })

  test('[S1] the schema written out refuses what a schema library refuses, and gives what it gives', () => {
    const base = {
      connectionId: z
        .string()
        .max(128)
        .refine((text) => parseConnectionId(text) !== undefined),
      attempt: z.number().int().min(0).max(0xffff_ffff),
    }
    const oracle = z.discriminatedUnion('type', [
      z.object({ type: z.literal('offer'), ...base, sdp: z.string().max(sdpLengthMax) }),
      z.object({ type: z.literal('answer'), ...base, sdp: z.string().max(sdpLengthMax) }),
      z.object({
        type: z.literal('candidate'),
        ...base,
        candidate: z.string().max(candidateLengthMax),
        sdpMid: z.string().max(64).nullable(),
        sdpMLineIndex: z.number().int().min(0).max(0xffff).nullable(),
      }),
      z.object({ type: z.literal('refuse'), ...base, reason: z.string().max(64) }),
    ])
    const value = fc.oneof(
      fc.constantFrom(null, true, -0, -1, 0.5, 0xffff, 0x1_0000, 2 ** 32 - 1, 2 ** 32, 2 ** 53, {}, []),
      fc.constantFrom('', 'x'.repeat(64), 'x'.repeat(65), 'x'.repeat(candidateLengthMax + 1), 'toString', 'offer'),
    )
    const field = fc.constantFrom(
      ...['type', 'connectionId', 'attempt', 'sdp', 'candidate', 'sdpMid', 'sdpMLineIndex', 'reason', 'later'],
    )
    fc.assert(
      fc.property(
        fc.constantFrom(...signals),
        fc.array(fc.tuple(field, value), { maxLength: 2 }),
        (signal, changes) => {
          const document = JSON.stringify({ ...signal, ...Object.fromEntries(changes) })
          const expected = oracle.safeParse(JSON.parse(document))
          expect(decodeText(document)).toEqual(expected.success ? { ok: true, value: expected.data } : refused)
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('[S2] D24 the connection id names offerer and answerer', () => {
    expect(connectionId(offerer, answerer)).toBe(`conn_${offerer}_${answerer}`)
    expect(parseConnectionId(connectionId(offerer, answerer))).toEqual({ offerer, answerer })
    for (const bad of ['', 'conn__', `conn_${offerer}`, `x_${offerer}_${answerer}`, `conn_${offerer}_${answerer}_`]) {
      expect(parseConnectionId(bad)).toBeUndefined()
    }
  })
})
