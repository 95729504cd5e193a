import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  base58ToBytes,
  base64urlToBytes,
  bytesToBase58,
  bytesToBase64url,
  bytesToHex,
  bytesToText,
  compareBytes,
  concatBytes,
  equalBytes,
  hexToBytes,
  textToBytes,
} from '../src/index.ts'

const anyBytes = fc.uint8Array({ maxLength: 80 })

describe('text forms of bytes', () => {
  test('hex agrees with Node and round-trips', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        expect(bytesToHex(bytes)).toBe(Buffer.from(bytes).toString('hex'))
        expect(hexToBytes(bytesToHex(bytes).toUpperCase())).toEqual(bytes)
      }),
    )
    expect(hexToBytes('abc')).toBeUndefined()
    expect(hexToBytes('zz')).toBeUndefined()
  })

  test('base64url agrees with Node and round-trips', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        expect(bytesToBase64url(bytes)).toBe(Buffer.from(bytes).toString('base64url'))
        expect(base64urlToBytes(bytesToBase64url(bytes))).toEqual(bytes)
      }),
    )
  })

  test('base64url has one spelling: stray bits, padding and lengths are refused', () => {
    for (const text of ['A', 'AB', 'AAB', 'AA==', 'A+', '!!!!']) expect(base64urlToBytes(text)).toBeUndefined()
  })

  test('base58 round-trips with leading zeros and knows the published examples', () => {
    expect(bytesToBase58(textToBytes('Hello World!'))).toBe('2NEpo7TZRRrLZSi2U')
    expect(bytesToBase58(Uint8Array.of(0, 0, 0x28, 0x7f, 0xb4, 0xcd))).toBe('11233QC4')
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        expect(base58ToBytes(bytesToBase58(bytes))).toEqual(bytes)
      }),
    )
    expect(base58ToBytes('0OIl')).toBeUndefined()
    expect(base58ToBytes('1'.repeat(129))).toBeUndefined()
  })

  test('UTF-8 is strict and keeps a byte order mark', () => {
    expect(bytesToText(textToBytes('\ufeffmiaou é 🐈'))).toBe('\ufeffmiaou é 🐈')
    expect(bytesToText(Uint8Array.of(0xc3))).toBeUndefined()
  })
})

describe('comparing', () => {
  test('compareBytes orders as Buffer.compare does and equalBytes agrees', () => {
    fc.assert(
      fc.property(anyBytes, anyBytes, (a, b) => {
        expect(Math.sign(compareBytes(a, b))).toBe(Buffer.compare(a, b))
        expect(equalBytes(a, b)).toBe(Buffer.compare(a, b) === 0)
        expect(concatBytes(a, b)).toEqual(Uint8Array.from([...a, ...b]))
      }),
    )
  })
})
