import { compareBytes, type Random } from '@miaou/core'
import {
  type Crypto,
  createLibsodiumCrypto,
  decodePqxdhHeader,
  encodePqxdhHeader,
  type PqxdhHeader,
  pqxdhHeaderBytes,
  pqxdhInitiate,
  pqxdhRespond,
  pqxdhSessionId,
} from '@miaou/crypto'
import { createNobleCrypto } from '@miaou/crypto/noble'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createPrekeys, type Prekeys, seededRandom, unwrap } from './pqxdh.fixture.ts'

const libsodium = await createLibsodiumCrypto()
const noble = createNobleCrypto()
const associatedData = new TextEncoder().encode('alice/phone bob/laptop')

function start(crypto: Crypto, random: Random, prekeys: Prekeys) {
  const identity = crypto.x25519KeyPair(random.bytes(32))
  return unwrap(pqxdhInitiate({ crypto, random, identity, bundle: prekeys.bundle, associatedData }))
}

describe('agreement', () => {
  for (const oneTime of [true, false]) {
    test(`both sides derive one secret ${oneTime ? 'with' : 'without'} one-time prekeys`, () => {
      const random = seededRandom(libsodium, `agreement ${oneTime}`)
      const prekeys = createPrekeys(libsodium, random, oneTime)
      const { secret, header } = start(libsodium, random, prekeys)
      expect(secret.length).toBe(32)
      expect(header.oneTimePrekeyId).toBe(oneTime ? 8 : undefined)
      expect(header.kemOneTime).toBe(oneTime)
      expect(unwrap(pqxdhRespond({ crypto: libsodium, ...prekeys, header, associatedData })).secret).toEqual(secret)
    })
  }

  test('libsodium and noble understand each other, either way round', () => {
    for (const [initiator, responder] of [
      [libsodium, noble],
      [noble, libsodium],
    ] as const) {
      const random = seededRandom(libsodium, initiator.name)
      const prekeys = createPrekeys(responder, random)
      const { secret, header } = start(initiator, random, prekeys)
      expect(unwrap(pqxdhRespond({ crypto: responder, ...prekeys, header, associatedData })).secret).toEqual(secret)
    }
  })

  test('every byte of the header and the associated data enter the secret', () => {
    const random = seededRandom(libsodium, 'binding')
    const prekeys = createPrekeys(libsodium, random)
    const { secret, header } = start(libsodium, random, prekeys)
    const respond = (changed: PqxdhHeader, ad = associatedData) =>
      pqxdhRespond({ crypto: libsodium, ...prekeys, header: changed, associatedData: ad })
    const flipped = (bytes: Uint8Array) => bytes.map((byte, i) => (i === 5 ? byte ^ 1 : byte))
    const changes: PqxdhHeader[] = [
      { ...header, generation: 2 },
      { ...header, identityKey: flipped(header.identityKey) },
      { ...header, ephemeralKey: flipped(header.ephemeralKey) },
      { ...header, signedPrekeyId: 1 },
      { ...header, oneTimePrekeyId: 1 },
      { ...header, oneTimePrekeyId: undefined },
      { ...header, kemPrekeyId: 1 },
      { ...header, kemOneTime: false },
      { ...header, kemCiphertext: flipped(header.kemCiphertext) },
    ]
    for (const changed of changes) {
      expect(compareBytes(unwrap(respond(changed)).secret, secret)).not.toBe(0)
      expect(pqxdhSessionId(libsodium, changed)).not.toBe(pqxdhSessionId(libsodium, header))
    }
    expect(compareBytes(unwrap(respond(header, new Uint8Array(3))).secret, secret)).not.toBe(0)
    expect(unwrap(respond(header)).secret).toEqual(secret)
  })

  test('each secret key counts: another one of any of them leads elsewhere', () => {
    const random = seededRandom(libsodium, 'keys')
    const prekeys = createPrekeys(libsodium, random)
    const other = createPrekeys(libsodium, random)
    const { secret, header } = start(libsodium, random, prekeys)
    for (const name of ['identity', 'signedPrekey', 'oneTimePrekey', 'kemPrekey'] as const) {
      // The public half stays, so that only the agreement itself can make the difference.
      const mixed = { publicKey: prekeys[name].publicKey, secretKey: other[name].secretKey }
      const keys = { ...prekeys, [name]: mixed }
      const result = unwrap(pqxdhRespond({ crypto: libsodium, ...keys, header, associatedData }))
      expect(compareBytes(result.secret, secret), name).not.toBe(0)
    }
  })

  test('each public key of the responder enters the transcript', () => {
    const random = seededRandom(libsodium, 'transcript')
    const prekeys = createPrekeys(libsodium, random)
    const { secret, header } = start(libsodium, random, prekeys)
    for (const name of ['identity', 'signedPrekey', 'oneTimePrekey', 'kemPrekey'] as const) {
      const { publicKey, secretKey } = prekeys[name]
      const keys = { ...prekeys, [name]: { secretKey, publicKey: publicKey.map((byte, i) => (i ? byte : byte ^ 1)) } }
      const result = unwrap(pqxdhRespond({ crypto: libsodium, ...keys, header, associatedData }))
      expect(compareBytes(result.secret, secret), name).not.toBe(0)
    }
  })

  test('two starts from one bundle share nothing', () => {
    const random = seededRandom(libsodium, 'twice')
    const prekeys = createPrekeys(libsodium, random, false)
    const first = start(libsodium, random, prekeys)
    const second = start(libsodium, random, prekeys)
    expect(first.secret).not.toEqual(second.secret)
    expect(pqxdhSessionId(libsodium, first.header)).not.toBe(pqxdhSessionId(libsodium, second.header))
  })
})

describe('hostile keys', () => {
  const zero = new Uint8Array(32)
  for (const crypto of [libsodium, noble]) {
    test(`a bundle with a small-order key is refused (${crypto.name})`, () => {
      const random = seededRandom(libsodium, 'weak')
      const identity = crypto.x25519KeyPair(random.bytes(32))
      const { bundle } = createPrekeys(crypto, random)
      for (const weak of [
        { ...bundle, identityKey: zero },
        { ...bundle, signedPrekey: { id: 1, publicKey: zero } },
        { ...bundle, oneTimePrekey: { id: 1, publicKey: zero } },
      ]) {
        const result = pqxdhInitiate({ crypto, random, identity, bundle: weak, associatedData })
        expect(result).toEqual({ ok: false, error: { type: 'weak-agreement' } })
      }
    })

    test(`a KEM key with coefficients above the modulus is refused (${crypto.name})`, () => {
      const random = seededRandom(libsodium, 'kem')
      const identity = crypto.x25519KeyPair(random.bytes(32))
      const { bundle } = createPrekeys(crypto, random)
      const kemPrekey = { ...bundle.kemPrekey, publicKey: new Uint8Array(1184).fill(0xff) }
      const result = pqxdhInitiate({ crypto, random, identity, bundle: { ...bundle, kemPrekey }, associatedData })
      expect(result).toEqual({ ok: false, error: { type: 'invalid-kem-key' } })
    })

    test(`a header with a small-order key is refused (${crypto.name})`, () => {
      const random = seededRandom(libsodium, 'weak header')
      const prekeys = createPrekeys(crypto, random)
      const { header } = start(crypto, random, prekeys)
      for (const weak of [
        { ...header, identityKey: zero },
        { ...header, ephemeralKey: zero },
      ]) {
        const result = pqxdhRespond({ crypto, ...prekeys, header: weak, associatedData })
        expect(result).toEqual({ ok: false, error: { type: 'weak-agreement' } })
      }
    })
  }

  test('a header that names a one-time prekey needs it', () => {
    const random = seededRandom(libsodium, 'missing')
    const prekeys = createPrekeys(libsodium, random)
    const { header } = start(libsodium, random, prekeys)
    const result = pqxdhRespond({ crypto: libsodium, ...prekeys, oneTimePrekey: undefined, header, associatedData })
    expect(result).toEqual({ ok: false, error: { type: 'missing-one-time-prekey' } })
  })
})

describe('header codec', () => {
  const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
  const key = fc.uint8Array({ minLength: 32, maxLength: 32 })
  const headers: fc.Arbitrary<PqxdhHeader> = fc.record({
    generation: u32,
    identityKey: key,
    ephemeralKey: key,
    signedPrekeyId: u32,
    oneTimePrekeyId: fc.option(u32, { nil: undefined }),
    kemPrekeyId: u32,
    kemOneTime: fc.boolean(),
    kemCiphertext: fc.uint8Array({ minLength: 1088, maxLength: 1088 }),
  })

  test('round trip, in a fixed size', () => {
    fc.assert(
      fc.property(headers, (header) => {
        const bytes = encodePqxdhHeader(header)
        expect(bytes.length).toBe(pqxdhHeaderBytes)
        expect(decodePqxdhHeader(bytes)).toEqual({ ok: true, value: header })
      }),
      { numRuns: 50 },
    )
  })

  const [sample] = fc.sample(headers, { numRuns: 1, seed: 1 })
  const bytes = encodePqxdhHeader(sample as PqxdhHeader)

  test('truncation at every byte and one byte too many are malformed', () => {
    for (let size = 0; size < bytes.length; size++) {
      expect(decodePqxdhHeader(bytes.subarray(0, size))).toEqual({ ok: false, error: { type: 'malformed' } })
    }
    const longer = new Uint8Array(bytes.length + 1)
    longer.set(bytes)
    expect(decodePqxdhHeader(longer)).toEqual({ ok: false, error: { type: 'malformed' } })
  })

  test('every mutation is refused or spells another header', () => {
    for (let at = 0; at < bytes.length; at++) {
      for (const bit of [1, 4, 128]) {
        const changed = bytes.map((byte, i) => (i === at ? byte ^ bit : byte))
        const decoded = decodePqxdhHeader(changed)
        if (decoded.ok) expect(encodePqxdhHeader(decoded.value)).toEqual(changed)
        else expect(at).toBeLessThan(3)
      }
    }
  })

  test('another version or suite is told from damage', () => {
    const later = bytes.slice()
    later[0] = 2
    expect(decodePqxdhHeader(later)).toEqual({ ok: false, error: { type: 'unsupported', version: 2, suite: 1 } })
  })

  test('the id of an absent one-time prekey is zero', () => {
    const none = encodePqxdhHeader({ ...(sample as PqxdhHeader), oneTimePrekeyId: undefined })
    none[3 + 4 + 64 + 4] = 1
    expect(decodePqxdhHeader(none)).toEqual({ ok: false, error: { type: 'malformed' } })
  })
})
