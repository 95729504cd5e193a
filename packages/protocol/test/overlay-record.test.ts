import { concatBytes, textToBytes } from '@miaou/core'
import { signLabelled } from '@miaou/crypto'
import {
  createRecordRules,
  decodeRecord,
  encodeRecord,
  recordKey,
  recordSaltSizeMax,
  recordSizeMax,
  signedRecordKey,
  signedRecordOverhead,
  signingRecordSalt,
  signRecord,
  valueRecordOverhead,
  verifyRecord,
} from '@miaou/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createOverlaySamples } from '../../../testkit/src/fuzz/overlay-samples.ts'
import { sampleBytes } from '../../../testkit/src/fuzz/samples.ts'
import { backends, libsodium } from './backends.ts'

const { signer, records } = createOverlaySamples(libsodium)
const malformed = { ok: false, error: { type: 'malformed', what: 'overlay record' } }
const invalidSignature = { ok: false, error: { type: 'invalid-signature' } }
const value = textToBytes('miaou')
const salt = textToBytes('salt')
const none = new Uint8Array(0)
const rules = createRecordRules(libsodium)
const extensionsAt = (record: Uint8Array) => record.length - 64 - 2

function sign(fields: Partial<Parameters<typeof signRecord>[1]> = {}): Uint8Array {
  return signRecord(libsodium, { ...signer, salt, sequence: 5, value, ...fields })
}

/** The record with an extensions block of its own, signed anew. */
function withExtensions(record: Uint8Array, block: readonly number[]): Uint8Array {
  const body = concatBytes(record.subarray(0, extensionsAt(record)), Uint8Array.from([0, block.length, ...block]))
  return concatBytes(body, signLabelled(libsodium, 'overlay-record', body, signer.secretKey))
}

describe('content-addressed values', () => {
  test('[O14] the bytes, and the key is the hash of the value', () => {
    const record = encodeRecord({ type: 'value', value })
    expect(record).toEqual(Uint8Array.from([1, 1, 1, ...value]))
    expect(decodeRecord(record)).toEqual({ ok: true, value: { type: 'value', value } })
    const key = libsodium.sha256(value)
    expect(verifyRecord(libsodium, record)).toEqual({ ok: true, value: { record: { type: 'value', value }, key } })
    expect(rules.check(record)).toEqual({ key, sequence: undefined })
  })

  test('[O13] [O14] values of 1 and of 997 bytes are accepted, 0 and 998 refused on both sides', () => {
    for (const size of [1, recordSizeMax - valueRecordOverhead]) {
      const record = { type: 'value', value: new Uint8Array(size) } as const
      expect(decodeRecord(encodeRecord(record))).toEqual({ ok: true, value: record })
    }
    for (const size of [0, recordSizeMax - valueRecordOverhead + 1]) {
      expect(() => encodeRecord({ type: 'value', value: new Uint8Array(size) })).toThrow()
      const bytes = concatBytes(Uint8Array.of(1, 1, 1), new Uint8Array(size))
      expect(decodeRecord(bytes)).toEqual(malformed)
      expect(rules.check(bytes)).toBeUndefined()
    }
  })

  test('[O14] one value has one encoding: whatever is added makes another key', () => {
    const record = encodeRecord({ type: 'value', value })
    const longer = rules.check(concatBytes(record, Uint8Array.of(0, 0)))
    expect(longer?.key).not.toEqual(rules.check(record)?.key)
  })
})

describe('signed records', () => {
  for (const crypto of backends) {
    test(`[O15] [O16] what ${crypto.name} signs both backends verify`, () => {
      const record = signRecord(crypto, { ...signer, salt, sequence: 5, value })
      const key = crypto.sha256(concatBytes(signer.publicKey, salt))
      for (const verifier of backends) {
        const verified = verifyRecord(verifier, record)
        expect(verified).toMatchObject({
          ok: true,
          value: { key, record: { type: 'signed', sequence: 5, value, salt } },
        })
        expect(createRecordRules(verifier).check(record)).toEqual({ key, sequence: 5 })
      }
    })
  }

  test('[O15] encoding what was decoded gives the same bytes', () => {
    for (const record of records) {
      const decoded = decodeRecord(record)
      if (!decoded.ok) throw new Error('a sample is a record')
      expect(encodeRecord(decoded.value)).toEqual(record)
    }
  })

  test('[O13] the largest record has 1,000 bytes, one byte more is refused on both sides', () => {
    for (const saltSize of [0, recordSaltSizeMax]) {
      const room = recordSizeMax - signedRecordOverhead - saltSize
      const record = sign({ salt: new Uint8Array(saltSize), value: new Uint8Array(room) })
      expect(record.length).toBe(recordSizeMax)
      expect(rules.check(record)).toBeDefined()
      expect(() => sign({ salt: new Uint8Array(saltSize), value: new Uint8Array(room + 1) })).toThrow()
      expect(decodeRecord(concatBytes(record, Uint8Array.of(0)))).toEqual(malformed)
    }
  })

  test('[O13] a validly signed record of more than 1,000 bytes is refused', () => {
    const room = recordSizeMax - signedRecordOverhead
    const record = withExtensions(sign({ salt: none, value: new Uint8Array(room) }), [0, 1, 0, 0])
    expect(record.length).toBe(recordSizeMax + 4)
    expect(verifyRecord(libsodium, record)).toEqual(malformed)
  })

  test('[O15] a salt of 64 bytes is accepted, 65 refused on both sides', () => {
    expect(() => sign({ salt: new Uint8Array(65) })).toThrow()
    expect(() => signedRecordKey(libsodium, signer.publicKey, new Uint8Array(65))).toThrow()
    const record = sign({ salt: new Uint8Array(64), value: new Uint8Array(64) })
    expect(decodeRecord(record).ok).toBe(true)
    const saltAt = 2 + 1 + 32
    const longer = concatBytes(record.slice(0, saltAt), Uint8Array.of(65, 7), record.slice(saltAt + 1))
    expect(decodeRecord(longer)).toEqual(malformed)
    expect(decodeRecord(longer.with(saltAt, 64)).ok).toBe(false)
  })

  test('[O15] a sequence up to 2^53 − 1 is exact, more is refused', () => {
    expect(rules.check(sign({ sequence: Number.MAX_SAFE_INTEGER }))?.sequence).toBe(Number.MAX_SAFE_INTEGER)
    expect(rules.check(sign({ sequence: 0 }))?.sequence).toBe(0)
    for (const sequence of [-1, 0.5, 2 ** 53]) expect(() => sign({ sequence })).toThrow()
    const sequenceAt = 2 + 1 + 32 + 1 + salt.length
    expect(decodeRecord(sign().with(sequenceAt + 1, 0x20))).toEqual(malformed)
  })

  test('[O13] another version, suite or kind is refused', () => {
    for (const record of [sign(), encodeRecord({ type: 'value', value })]) {
      expect(decodeRecord(record.with(0, 2))).toEqual({
        ok: false,
        error: { type: 'unsupported', version: 2, suite: 1 },
      })
      expect(decodeRecord(record.with(1, 2)).ok).toBe(false)
      for (const kind of [0, 3, 255]) expect(decodeRecord(record.with(2, kind))).toEqual(malformed)
    }
    expect(decodeRecord(sign().with(1, 2))).toEqual({ ok: false, error: { type: 'unsupported', version: 1, suite: 2 } })
  })

  test('[O15] M3 an unknown extension is skipped and still signed; a critical one refuses the record', () => {
    const plain = sign()
    const extended = withExtensions(plain, [0, 9, 0, 1, 0xab])
    expect(rules.check(extended)).toEqual(rules.check(plain))
    const tagAt = extensionsAt(plain) + 3
    expect(verifyRecord(libsodium, extended.with(tagAt, 8))).toEqual(invalidSignature)
    const critical = withExtensions(plain, [0x80, 9, 0, 1, 0xab])
    expect(verifyRecord(libsodium, critical)).toEqual({
      ok: false,
      error: { type: 'critical-extension', tag: 0x8009 },
    })
  })

  test('[O13] truncation at every byte is refused', () => {
    const record = sign()
    for (let size = 0; size < record.length; size++) {
      expect(decodeRecord(record.subarray(0, size)).ok, `cut to ${size}`).toBe(false)
    }
  })

  test('[O16] no bit can be altered', () => {
    const record = sign()
    for (let at = 0; at < record.length; at++) {
      for (const mask of [1, 0x80]) {
        const altered = record.with(at, (record[at] as number) ^ mask)
        const verified = verifyRecord(libsodium, altered)
        // Kind 1 would be a value, under a key of its own.
        expect(verified.ok, `byte ${at}`).toBe(false)
      }
    }
  })

  test('[O16] a signature under another label, or by another key, is worth nothing', () => {
    const record = sign()
    const body = record.slice(0, -64)
    const other = libsodium.ed25519KeyPair(sampleBytes(libsodium, 'another signer', 32))
    const relabelled = concatBytes(body, signLabelled(libsodium, 'certificate', body, signer.secretKey))
    const foreign = concatBytes(body, signLabelled(libsodium, 'overlay-record', body, other.secretKey))
    const unlabelled = concatBytes(body, libsodium.ed25519Sign(body, signer.secretKey))
    for (const forged of [relabelled, foreign, unlabelled, concatBytes(body, new Uint8Array(64))]) {
      expect(verifyRecord(libsodium, forged)).toEqual(invalidSignature)
      expect(rules.check(forged)).toBeUndefined()
    }
  })

  test('[O16] the identity point signs nothing', () => {
    const identity = new Uint8Array(32).with(0, 1)
    const record = sign().slice()
    record.set(identity, 3)
    record.set(concatBytes(identity, new Uint8Array(32)), record.length - 64)
    for (const crypto of backends) expect(verifyRecord(crypto, record).ok).toBe(false)
  })

  test('[O16] a key that the suite does not admit is refused though its signature holds', () => {
    const strict = { ...libsodium, ed25519IsAdmissible: () => false, sha256: libsodium.sha256.bind(libsodium) }
    const crypto = Object.setPrototypeOf(strict, libsodium) as typeof libsodium
    expect(verifyRecord(crypto, sign())).toEqual({ ok: false, error: { type: 'inadmissible-key' } })
  })

  test('[O17] E27 I07 I08 a published key is found by the peer id alone', () => {
    const published = sampleBytes(libsodium, 'published', 32)
    const record = sign({ salt: signingRecordSalt, value: published })
    expect(signingRecordSalt).toEqual(textToBytes('signing'))
    expect(rules.check(record)?.key).toEqual(signedRecordKey(libsodium, signer.publicKey, signingRecordSalt))
    const decoded = decodeRecord(record)
    expect(decoded.ok && decoded.value.value).toEqual(published)
    expect(decoded.ok && recordKey(libsodium, decoded.value)).toEqual(rules.check(record)?.key)
  })

  test('[O13] any bytes: never throws, and what is accepted comes back', () => {
    fc.assert(
      fc.property(fc.constantFrom(...records), fc.nat(1000), fc.nat(255), (seed, at, byte) => {
        const bytes = seed.with(at % seed.length, byte)
        const decoded = decodeRecord(bytes)
        if (decoded.ok) expect(decodeRecord(encodeRecord(decoded.value))).toEqual(decoded)
        else expect(rules.check(bytes)).toBeUndefined()
      }),
      { numRuns: 1000 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1100, size: 'max' }), (bytes) => {
        decodeRecord(bytes)
        rules.check(bytes)
      }),
    )
  })

  test('[O15] any fields come back', () => {
    const fields = fc.record({
      salt: fc.uint8Array({ maxLength: recordSaltSizeMax }),
      sequence: fc.maxSafeNat(),
      value: fc.uint8Array({ maxLength: 824, size: 'max' }),
    })
    fc.assert(
      fc.property(fields, (record) => {
        const verified = verifyRecord(libsodium, sign(record))
        expect(verified).toMatchObject({ ok: true, value: { record: { ...record, publicKey: signer.publicKey } } })
      }),
      { numRuns: 50 },
    )
  })
})
