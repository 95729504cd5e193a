import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { bytesToHex, hexToBytes, type Random } from '@miaou/core'
import {
  type Crypto,
  createLibsodiumCrypto,
  encodePqxdhHeader,
  encodeRatchetState,
  MemorySkippedKeys,
  pqxdhInitiate,
  pqxdhRespond,
  pqxdhSessionId,
  ratchetDecrypt,
  ratchetEncrypt,
  startRatchetInitiator,
  startRatchetResponder,
} from '@miaou/crypto'
import { createNobleCrypto } from '@miaou/crypto/noble'
import { describe, expect, test } from 'vitest'
import { createPrekeys, type Side, seededRandom, unwrap } from './pqxdh.fixture.ts'

// The files are frozen: a change of theirs is a change of the wire, and needs a new version byte. Only then:
// MIAOU_WRITE_VECTORS=1 npx vitest run packages/crypto/test/ratchet-vectors.test.ts
const { MIAOU_WRITE_VECTORS } = process.env
const writes = MIAOU_WRITE_VECTORS === '1'
const libsodium = await createLibsodiumCrypto()
const backends = [libsodium, createNobleCrypto()]

function pathOf(name: string): URL {
  return new URL(`../../../vectors/${name}.json`, import.meta.url)
}

/** Records what a generator gave, so that the vector holds every random input. */
function recordingRandom(random: Random): { random: Random; drawn: string[] } {
  const drawn: string[] = []
  const recording: Random = {
    bytes(size) {
      const bytes = random.bytes(size)
      drawn.push(bytesToHex(bytes))
      return bytes
    },
  }
  return { random: recording, drawn }
}

function computePqxdh(crypto: Crypto, oneTime: boolean) {
  const name = oneTime ? 'one-time prekeys' : 'last-resort KEM prekey'
  const seeded = seededRandom(crypto, `miaou vectors pqxdh ${name}`)
  const associatedData = new TextEncoder().encode('initiator account and device, responder account and device')
  const identity = crypto.x25519KeyPair(seeded.bytes(32))
  const prekeys = createPrekeys(crypto, seeded, oneTime)
  const { random, drawn } = recordingRandom(seeded)
  const { bundle } = prekeys
  const generation = oneTime ? 1 : 3
  const { secret, header } = unwrap(pqxdhInitiate({ crypto, random, identity, bundle, associatedData, generation }))
  expect(unwrap(pqxdhRespond({ crypto, ...prekeys, header, associatedData })).secret).toEqual(secret)
  return {
    name,
    initiatorIdentitySecret: bytesToHex(identity.secretKey),
    responderIdentitySecret: bytesToHex(prekeys.identity.secretKey),
    signedPrekeyId: bundle.signedPrekey.id,
    signedPrekeySecret: bytesToHex(prekeys.signedPrekey.secretKey),
    oneTimePrekeyId: bundle.oneTimePrekey?.id ?? null,
    oneTimePrekeySecret: oneTime ? bytesToHex(prekeys.oneTimePrekey.secretKey) : null,
    kemPrekeyId: bundle.kemPrekey.id,
    kemPrekeyOneTime: bundle.kemPrekey.oneTime,
    kemPrekeySeed: bytesToHex(prekeys.kemSeed),
    kemPrekeyPublic: bytesToHex(prekeys.kemPrekey.publicKey),
    generation,
    associatedData: bytesToHex(associatedData),
    random: drawn,
    header: bytesToHex(encodePqxdhHeader(header)),
    sessionId: pqxdhSessionId(crypto, header),
    secret: bytesToHex(secret),
  }
}

// Who sends next, a the initiator, b the responder; `+`: written now, delivered after all others.
const script = ['a', 'a', 'b', '+a', 'a', 'b', '+b', '+b', 'a', 'b', 'b', 'a']

function computeRatchet(crypto: Crypto) {
  const seeded = seededRandom(crypto, 'miaou vectors ratchet')
  const secret = seeded.bytes(32)
  const ratchetKey = crypto.x25519KeyPair(seeded.bytes(32))
  const { random, drawn } = recordingRandom(seeded)
  const ad = new TextEncoder().encode('initiator account and device, responder account and device')
  const now = { mono: 0, wall: 1_700_000_000_000 }
  const remoteRatchetKey = ratchetKey.publicKey
  const a: Side = {
    state: startRatchetInitiator({ crypto, random, secret, remoteRatchetKey }),
    skipped: new MemorySkippedKeys(),
  }
  const b: Side = { state: startRatchetResponder({ crypto, secret, ratchetKey }), skipped: new MemorySkippedKeys() }
  const messages: { from: string; plaintext: string; message: string }[] = []
  const held: { to: Side; plaintext: string; message: Uint8Array }[] = []
  const deliver = (to: Side, message: Uint8Array, plaintext: string) => {
    const { state, skipped } = to
    const decrypted = unwrap(ratchetDecrypt({ crypto, random, state, skipped, message, ad, now }))
    expect(new TextDecoder().decode(decrypted.plaintext)).toBe(plaintext)
    to.state = decrypted.state
    skipped.apply(decrypted)
  }
  for (const [i, step] of script.entries()) {
    const [from, to] = step.endsWith('a') ? [a, b] : [b, a]
    const plaintext = `message ${i}: miaou`
    const sent = ratchetEncrypt({
      crypto,
      random,
      state: from.state,
      plaintext: new TextEncoder().encode(plaintext),
      ad,
    })
    from.state = sent.state
    messages.push({ from: step, plaintext, message: bytesToHex(sent.message) })
    if (step.startsWith('+')) held.push({ to, plaintext, message: sent.message })
    else deliver(to, sent.message, plaintext)
  }
  for (const { to, message, plaintext } of held) deliver(to, message, plaintext)
  expect(a.skipped.size + b.skipped.size).toBe(0)
  return {
    secret: bytesToHex(secret),
    responderRatchetSecret: bytesToHex(ratchetKey.secretKey),
    associatedData: bytesToHex(ad),
    random: drawn,
    messages,
    initiatorState: bytesToHex(encodeRatchetState(a.state)),
    responderState: bytesToHex(encodeRatchetState(b.state)),
  }
}

const computed = {
  pqxdh: (crypto: Crypto) => ({
    about: 'PQXDH of Miaou, version 1 suite 1: keys and random draws in the order they are made, header and secret.',
    cases: [computePqxdh(crypto, true), computePqxdh(crypto, false)],
  }),
  ratchet: (crypto: Crypto) => ({
    about:
      'Double Ratchet with encrypted headers of Miaou, version 1 suite 1. random: every draw of both sides in order. ' +
      'from: a initiator, b responder; + is delivered after all others.',
    ...computeRatchet(crypto),
  }),
}

describe('frozen vectors', () => {
  for (const name of ['pqxdh', 'ratchet'] as const) {
    if (writes) writeFileSync(pathOf(name), `${JSON.stringify(computed[name](libsodium), null, 2)}\n`)
    for (const crypto of backends) {
      test(`vectors/${name}.json is what ${crypto.name} computes`, () => {
        expect(existsSync(pathOf(name))).toBe(true)
        const frozen: unknown = JSON.parse(readFileSync(pathOf(name), 'utf8'))
        expect(computed[name](crypto)).toEqual(frozen)
      })
    }
  }

  test('every random draw is in the vector, none twice', () => {
    const { random } = computeRatchet(libsodium)
    expect(new Set(random).size).toBe(random.length)
    for (const draw of random) expect(hexToBytes(draw)?.length).toBeGreaterThanOrEqual(24)
  })
})
