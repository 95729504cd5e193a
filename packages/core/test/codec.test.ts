import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { AssertionError, assert, ByteReader, ByteWriter, Redacted } from '../src/index.ts'

function sample(): Uint8Array {
  return new ByteWriter(1)
    .u8(7)
    .u16(0x0102)
    .u32(0xfffffffe)
    .u64(Number.MAX_SAFE_INTEGER)
    .bytes(Uint8Array.of(9, 8))
    .bytes16(Uint8Array.of(1))
    .bytes32(Uint8Array.of(2, 3))
    .text16('é')
    .finish()
}

function readSample(reader: ByteReader): unknown[] {
  return [
    reader.u8(),
    reader.u16(),
    reader.u32(),
    reader.u64(),
    reader.bytes(2),
    reader.bytes16(4),
    reader.bytes32(4),
    reader.text16(4),
  ]
}

describe('ByteReader and ByteWriter', () => {
  test('read back what was written, big-endian', () => {
    const reader = new ByteReader(sample())
    expect(readSample(reader)).toEqual([
      7,
      0x0102,
      0xfffffffe,
      Number.MAX_SAFE_INTEGER,
      Uint8Array.of(9, 8),
      Uint8Array.of(1),
      Uint8Array.of(2, 3),
      'é',
    ])
    expect(reader.finished()).toBe(true)
    expect([...sample().slice(0, 3)]).toEqual([7, 1, 2])
  })

  test('a truncation at any byte fails without a throw', () => {
    const whole = sample()
    for (let size = 0; size < whole.length; size++) {
      const reader = new ByteReader(whole.subarray(0, size))
      readSample(reader)
      expect(reader.failed).toBe(true)
      expect(reader.finished()).toBe(false)
    }
  })

  test('limits, unsafe integers and bad text fail; a failed reader stays failed', () => {
    const tooLong = new ByteReader(new ByteWriter().bytes16(new Uint8Array(5)).u8(1).finish())
    expect(tooLong.bytes16(4)).toEqual(new Uint8Array(0))
    expect(tooLong.u8()).toBe(0)
    expect(tooLong.failed).toBe(true)
    const unsafe = new ByteReader(new Uint8Array(8).fill(0xff))
    expect(unsafe.u64()).toBe(0)
    expect(unsafe.failed).toBe(true)
    const badText = new ByteReader(Uint8Array.of(0, 1, 0xff))
    expect(badText.text16(8)).toBe('')
    expect(badText.failed).toBe(true)
    const rest = new ByteReader(new Uint8Array(5))
    expect(rest.rest(4)).toEqual(new Uint8Array(0))
    expect(rest.failed).toBe(true)
  })

  test('a hostile length allocates next to nothing', () => {
    const reader = new ByteReader(Uint8Array.of(1))
    expect(reader.bytes(0xffffffff).length).toBeLessThanOrEqual(64)
    expect(reader.failed).toBe(true)
  })

  test('what a reader returns does not change with the buffer it came from', () => {
    const buffer = Uint8Array.of(1, 2, 3)
    const read = new ByteReader(buffer).bytes(3)
    buffer.fill(0)
    expect(read).toEqual(Uint8Array.of(1, 2, 3))
  })

  test('reads within a view at an offset', () => {
    const reader = new ByteReader(Uint8Array.of(9, 0, 0, 0, 5).subarray(1))
    expect(reader.u32()).toBe(5)
  })

  test('writing nonsense is our bug', () => {
    expect(() => new ByteWriter().u64(-1)).toThrow(AssertionError)
    expect(() => new ByteWriter().u64(2 ** 60)).toThrow(AssertionError)
    expect(() => new ByteWriter().bytes16(new Uint8Array(0x10000))).toThrow(AssertionError)
    expect(() => assert(false, 'x')).toThrow(AssertionError)
  })
})

describe('Redacted', () => {
  test('shows in no text form', () => {
    const secret = new Redacted('squeak')
    const shown = [`${secret}`, JSON.stringify({ secret }), inspect(secret), inspect({ deep: [secret] })].join()
    expect(shown).not.toContain('squeak')
    expect(secret.expose()).toBe('squeak')
  })
})
