import { concatBytes } from '@miaou/core'
import { describe, expect, test } from 'vitest'
import { backends } from './backends.ts'
import { hasPublishedVectors, hex, publishedNote, readPublished } from './published.ts'

interface Group<T> {
  tests: (T & { tcId: number; flags: string[]; result: 'valid' | 'invalid' | 'acceptable' })[]
}
interface AeadGroup extends Group<{ key: string; iv: string; aad: string; msg: string; ct: string; tag: string }> {
  ivSize: number
  tagSize: number
}
interface SignatureGroup extends Group<{ msg: string; sig: string }> {
  publicKey: { pk: string }
}
type AgreementGroup = Group<{ public: string; private: string; shared: string }>
type DerivationGroup = Group<{ ikm: string; salt: string; info: string; size: number; okm: string }>

function groups<T>(name: string): T[] {
  return readPublished<{ testGroups: T[] }>(`wycheproof_${name}.json`).testGroups
}

describe.skipIf(!hasPublishedVectors)(`Wycheproof${publishedNote}`, () => {
  for (const crypto of backends) {
    test(`${crypto.name}: X25519`, () => {
      for (const { tests } of groups<AgreementGroup>('x25519')) {
        for (const { public: point, private: scalar, shared, tcId } of tests) {
          // Twists and non-canonical points are "acceptable" and computed; only an all-zero result is refused.
          const expected = /^0*$/.test(shared) ? undefined : hex(shared)
          expect(crypto.x25519(hex(scalar), hex(point)), `case ${tcId}`).toEqual(expected)
        }
      }
    })

    test(`${crypto.name}: Ed25519`, () => {
      for (const { publicKey, tests } of groups<SignatureGroup>('ed25519')) {
        for (const { msg, sig, result, tcId } of tests) {
          const verified = crypto.ed25519Verify(hex(sig), hex(msg), hex(publicKey.pk))
          expect(verified, `case ${tcId}`).toBe(result === 'valid')
        }
      }
    })

    for (const cipher of ['chacha20Poly1305', 'xchacha20Poly1305'] as const) {
      const nonceBytes = cipher === 'chacha20Poly1305' ? 12 : 24
      test(`${crypto.name}: ${cipher}`, () => {
        for (const { ivSize, tests } of groups<AeadGroup>(cipher.replace('P', '_p').toLowerCase())) {
          // Nonces of other sizes cannot come from a wire: the wrapper refuses them as our own bug.
          if (ivSize !== nonceBytes * 8) {
            const { key, iv, aad, msg } = tests[0] ?? { key: '', iv: '', aad: '', msg: '' }
            expect(() => crypto[`${cipher}Seal`](hex(key), hex(iv), hex(aad), hex(msg))).toThrow()
            continue
          }
          for (const { key, iv, aad, msg, ct, tag, result, tcId } of tests) {
            const sealed = concatBytes(hex(ct), hex(tag))
            const opened = crypto[`${cipher}Open`](hex(key), hex(iv), hex(aad), sealed)
            expect(opened, `case ${tcId}`).toEqual(result === 'valid' ? hex(msg) : undefined)
            if (result !== 'valid') continue
            expect(crypto[`${cipher}Seal`](hex(key), hex(iv), hex(aad), hex(msg)), `case ${tcId}`).toEqual(sealed)
          }
        }
      })
    }

    test(`${crypto.name}: HKDF-SHA256`, () => {
      for (const { tests } of groups<DerivationGroup>('hkdf_sha256')) {
        for (const { ikm, salt, info, size, okm, result, tcId } of tests) {
          const derive = () => crypto.hkdfSha256(hex(ikm), hex(salt), hex(info), size)
          if (result === 'valid') expect(derive(), `case ${tcId}`).toEqual(hex(okm))
          else expect(derive, `case ${tcId}`).toThrow()
        }
      }
    })
  }
})
