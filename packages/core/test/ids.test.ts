import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  accountIdToKey,
  bytesToMessageId,
  bytesToNodeId,
  keyToAccountId,
  keyToPeerId,
  messageIdToBytes,
  nodeIdToBytes,
  parseAccountId,
  parseMessageId,
  parseNodeId,
  parsePeerId,
  peerIdToKey,
  shortPeerId,
} from '../src/index.ts'

const key = fc.uint8Array({ minLength: 32, maxLength: 32 })

describe('[A04] PeerId', () => {
  test('text form starts 12D3KooW and round-trips', () => {
    fc.assert(
      fc.property(key, (bytes) => {
        const id = keyToPeerId(bytes)
        expect(id.startsWith('12D3KooW')).toBe(true)
        expect(peerIdToKey(id)).toEqual(bytes)
        expect(parsePeerId(id)).toBe(id)
      }),
    )
  })

  test('short() is the first and last 4 characters after the prefix', () => {
    const id = keyToPeerId(new Uint8Array(32).fill(5))
    expect(shortPeerId(id)).toBe(`${id.slice(8, 12)}…${id.slice(-4)}`)
  })

  test('other texts are refused', () => {
    const id = keyToPeerId(new Uint8Array(32))
    for (const text of ['', id.slice(1), `${id}1`, id.replace('W', '0'), 'z6Mk', '1'.repeat(200)]) {
      expect(parsePeerId(text)).toBeUndefined()
    }
  })
})

describe('AccountId and MessageId', () => {
  test('an account id is the did:key form and round-trips', () => {
    fc.assert(
      fc.property(key, (bytes) => {
        const id = keyToAccountId(bytes)
        expect(id.startsWith('z6Mk')).toBe(true)
        expect(accountIdToKey(id)).toEqual(bytes)
        expect(parseAccountId(id)).toBe(id)
      }),
    )
    expect(parseAccountId('z6Mk')).toBeUndefined()
    expect(parseAccountId(keyToPeerId(new Uint8Array(32)))).toBeUndefined()
  })

  test('did:key knows the published example', () => {
    // The did:key specification's first Ed25519 example (W3C CCG, "did:key Method", §Test Vectors).
    const id = parseAccountId('z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp')
    expect(id).toBeDefined()
    if (id !== undefined) expect(keyToAccountId(accountIdToKey(id))).toBe(id)
  })

  test('a message id is 32 lower-case hexadecimal digits', () => {
    const id = bytesToMessageId(new Uint8Array(16).fill(0xab))
    expect(id).toBe('ab'.repeat(16))
    expect(parseMessageId(id)).toBe(id)
    expect(messageIdToBytes(id)).toEqual(new Uint8Array(16).fill(0xab))
    expect(parseMessageId(id.toUpperCase())).toBeUndefined()
    expect(parseMessageId('ab')).toBeUndefined()
  })
})

describe('[A05] NodeId', () => {
  test('is 32 bytes, and equal where the bytes are', () => {
    fc.assert(
      fc.property(key, (bytes) => {
        const id = bytesToNodeId(bytes)
        expect(nodeIdToBytes(id)).toEqual(bytes)
        expect(parseNodeId(id)).toBe(id)
        expect(new Set([id, bytesToNodeId(bytes.slice())]).size).toBe(1)
      }),
    )
  })

  test('other sizes and spellings are none', () => {
    for (const text of ['', 'ab'.repeat(31), 'ab'.repeat(33), 'AB'.repeat(32), 'xy'.repeat(32)]) {
      expect(parseNodeId(text)).toBeUndefined()
    }
    expect(() => bytesToNodeId(new Uint8Array(31))).toThrow()
  })
})
