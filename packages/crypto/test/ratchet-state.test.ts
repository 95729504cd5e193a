import { decodeRatchetState, encodeRatchetState, type RatchetState, ratchetStateBytesMax } from '@miaou/crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const key = fc.uint8Array({ minLength: 32, maxLength: 32 })
const chain = fc.record({ headerKey: key, chainKey: key, number: u32 })
const base = {
  rootKey: key,
  ratchetKey: fc.record({ publicKey: key, secretKey: key }),
  receivingIndex: fc.maxSafeNat(),
  previousCount: u32,
  nextSendingHeaderKey: key,
  nextReceivingHeaderKey: key,
}
const none = fc.constant(undefined)
const states: fc.Arbitrary<RatchetState> = fc.oneof(
  fc.record({ ...base, sending: none, receiving: none }),
  fc.record({ ...base, sending: chain, receiving: none }),
  fc.record({ ...base, sending: chain, receiving: chain }),
)

describe('state codec', () => {
  test('round trip', () => {
    fc.assert(
      fc.property(states, (state) => {
        const bytes = encodeRatchetState(state)
        expect(bytes.length).toBeLessThanOrEqual(ratchetStateBytesMax)
        expect(decodeRatchetState(bytes)).toEqual({ ok: true, value: state })
      }),
    )
  })

  test('the largest state has its stated size', () => {
    const [state] = fc.sample(fc.record({ ...base, sending: chain, receiving: chain }), { numRuns: 1, seed: 1 })
    expect(encodeRatchetState(state as RatchetState).length).toBe(ratchetStateBytesMax)
  })

  const samples = fc.sample(states, { numRuns: 12, seed: 2 }).map(encodeRatchetState)

  test('truncation at every byte and one byte too many are malformed', () => {
    for (const bytes of samples) {
      for (let size = 0; size < bytes.length; size++) {
        expect(decodeRatchetState(bytes.subarray(0, size))).toEqual({ ok: false, error: { type: 'malformed' } })
      }
      const longer = new Uint8Array(bytes.length + 1)
      longer.set(bytes)
      expect(decodeRatchetState(longer)).toEqual({ ok: false, error: { type: 'malformed' } })
    }
  })

  test('every mutation is refused or spells another state', () => {
    for (const bytes of samples) {
      for (let at = 0; at < bytes.length; at++) {
        const changed = bytes.map((byte, i) => (i === at ? byte ^ 0x80 : byte))
        const decoded = decodeRatchetState(changed)
        if (decoded.ok) expect(encodeRatchetState(decoded.value)).toEqual(changed)
      }
    }
  })

  test('a receiving chain without a sending one does not exist', () => {
    const bytes = samples.find((each) => each[2] === 1)?.slice() ?? new Uint8Array(0)
    expect(bytes[2]).toBe(1)
    bytes[2] = 2
    expect(decodeRatchetState(bytes)).toEqual({ ok: false, error: { type: 'malformed' } })
  })

  test('another version is told from damage', () => {
    const bytes = samples[0]?.slice() ?? new Uint8Array(0)
    bytes[0] = 9
    expect(decodeRatchetState(bytes)).toEqual({ ok: false, error: { type: 'unsupported', version: 9, suite: 1 } })
  })
})
