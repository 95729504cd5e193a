import { createHash } from 'node:crypto'
import { bytesToHex, peerIdToKey, textToBytes } from '@miaou/core'
import { wordlist as french } from '@scure/bip39/wordlists/french.js'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  deriveFromEntropy,
  entropyToWords,
  Identity,
  nodeIdOfKey,
  parsePublicKey,
  safetyNumber,
  signLabelled,
  verifyLabelled,
  wordsToEntropy,
} from '../src/index.ts'
import { backends, libsodium as crypto } from './backends.ts'

const key = fc.uint8Array({ minLength: 32, maxLength: 32 })

describe('[A21] labelled signatures', () => {
  const seed = new Uint8Array(32).fill(1)
  const { publicKey } = crypto.ed25519KeyPair(seed)
  const body = textToBytes('body')

  test('verify under their label, body and key only', () => {
    const signature = signLabelled(crypto, 'device-list', body, seed)
    for (const backend of backends) {
      expect(verifyLabelled(backend, 'device-list', body, signature, publicKey)).toBe(true)
      expect(verifyLabelled(backend, 'device', body, signature, publicKey)).toBe(false)
      expect(verifyLabelled(backend, 'device-list', textToBytes('Body'), signature, publicKey)).toBe(false)
      const other = backend.ed25519KeyPair(new Uint8Array(32).fill(2)).publicKey
      expect(verifyLabelled(backend, 'device-list', body, signature, other)).toBe(false)
      expect(verifyLabelled(backend, 'device-list', body, new Uint8Array(64), publicKey)).toBe(false)
    }
  })

  test('are Ed25519 over prefix, label, a zero byte and the body', () => {
    const message = textToBytes('Miaou-v0.2.0-device-list\u0000body')
    expect(signLabelled(crypto, 'device-list', body, seed)).toEqual(crypto.ed25519Sign(message, seed))
  })

  test('labels that could run into the body are our bug', () => {
    for (const label of ['', 'a\u0000', 'A', 'a b'])
      expect(() => signLabelled(crypto, label, body, seed)).toThrow('label')
  })
})

describe('[A07] identity', () => {
  test('has the peer id of its key and signs under labels', () => {
    for (const backend of backends) {
      const identity = Identity.fromSeed(backend, new Uint8Array(32).fill(4))
      expect(identity.peerId).toMatch(/^12D3KooW/)
      expect(peerIdToKey(identity.peerId)).toEqual(identity.publicKey)
      const signature = identity.sign('record', Uint8Array.of(1))
      expect(verifyLabelled(crypto, 'record', Uint8Array.of(1), signature, identity.publicKey)).toBe(true)
      identity.wipe()
      expect(
        verifyLabelled(
          crypto,
          'record',
          Uint8Array.of(1),
          identity.sign('record', Uint8Array.of(1)),
          identity.publicKey,
        ),
      ).toBe(false)
    }
  })

  test('[A06] a public key is read from hexadecimal text, hostile ones are refused', () => {
    const { publicKey } = crypto.ed25519KeyPair(new Uint8Array(32).fill(4))
    expect(parsePublicKey(crypto, bytesToHex(publicKey))).toEqual({ ok: true, value: publicKey })
    for (const text of ['', 'zz', bytesToHex(publicKey).slice(2), `${bytesToHex(publicKey)}00`]) {
      expect(parsePublicKey(crypto, text)).toEqual({ ok: false, error: { type: 'not-a-public-key' } })
    }
    expect(parsePublicKey(crypto, '00'.repeat(32))).toEqual({ ok: false, error: { type: 'inadmissible-key' } })
  })
})

test('[A05] a node id is the SHA-256 of the overlay key', () => {
  const { publicKey } = crypto.x25519KeyPair(new Uint8Array(32).fill(9))
  expect(nodeIdOfKey(crypto, publicKey)).toBe(createHash('sha256').update(publicKey).digest('hex'))
})

describe('safety number', () => {
  test('is the same on both sides, 12 groups of 5 digits, and another for another key', () => {
    fc.assert(
      fc.property(key, key, key, (a, b, c) => {
        const number = safetyNumber(crypto, a, b)
        expect(safetyNumber(crypto, b, a)).toBe(number)
        expect(number).toMatch(/^\d{5}( \d{5}){11}$/)
        if (bytesToHex(b) !== bytesToHex(c)) expect(safetyNumber(crypto, a, c)).not.toBe(number)
      }),
      { numRuns: 5 },
    )
  })
})

describe('recovery words', () => {
  test('24 words in either language give the entropy back, in any case, spacing and normalisation', () => {
    fc.assert(
      fc.property(key, fc.constantFrom('en' as const, 'fr' as const), (entropy, language) => {
        const words = entropyToWords(entropy, language)
        expect(words).toHaveLength(24)
        const plain = words.join(' ')
        const unaccented = plain.normalize('NFD').replace(/\p{M}/gu, '')
        for (const text of [plain, plain.normalize('NFD'), unaccented, ` ${words.join('\n ').toUpperCase()}\t`]) {
          expect(wordsToEntropy(text)).toEqual({ ok: true, value: entropy })
        }
      }),
    )
  })

  test('a published vector of BIP39 (256 bits of ff)', () => {
    const words = entropyToWords(new Uint8Array(32).fill(255))
    expect(words.slice(0, 23)).toEqual(new Array(23).fill('zoo'))
    expect(words[23]).toBe('vote')
  })

  test('French words stay different without their accents', () => {
    expect(new Set(french.map((word) => word.normalize('NFKD').replace(/\p{M}/gu, ''))).size).toBe(2048)
  })

  test('what is wrong is said: the count, the word and its place, the checksum', () => {
    const words = entropyToWords(new Uint8Array(32).fill(7))
    const error = (list: readonly string[]) => {
      const result = wordsToEntropy(list.join(' '))
      return result.ok ? undefined : result.error
    }
    expect(error([])).toEqual({ type: 'word-count', count: 0 })
    expect(error(words.slice(1))).toEqual({ type: 'word-count', count: 23 })
    expect(error([...words, 'zoo'])).toEqual({ type: 'word-count', count: 25 })
    expect(error(words.with(4, 'Miaou'))).toEqual({ type: 'unknown-word', word: 'Miaou', position: 5 })
    expect(error(words.with(23, words[23] === 'zoo' ? 'zone' : 'zoo'))).toEqual({ type: 'bad-checksum' })
  })

  test('the three secrets differ, and follow from the entropy alone', () => {
    for (const backend of backends) {
      const secrets = deriveFromEntropy(backend, new Uint8Array(32).fill(7))
      expect(secrets).toEqual(deriveFromEntropy(crypto, new Uint8Array(32).fill(7)))
      expect(new Set(Object.values(secrets).map((bytes) => bytesToHex(bytes))).size).toBe(3)
    }
  })
})
