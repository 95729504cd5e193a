import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bytesToHex, type Log } from '@miaou/core'
import { type Crypto, createLibsodiumCrypto } from '@miaou/crypto'
import { type RelayAddress, recordLifetimeMs, relayIdOf, signServiceRecord } from '@miaou/protocol'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SealedDocument } from '../src/overlay/sealed-document.ts'
import { systemRandom } from '../src/peer/system.ts'
import {
  decodeKnownRelays,
  encodeKnownRelays,
  KnownRelays,
  knownRelaysMax,
  knownRelaysSizeMax,
  networkOf,
  unprovenFirstMax,
} from '../src/records/known-relays.ts'

const crypto: Crypto = await createLibsodiumCrypto()
const wall = 1_795_219_200_000
const logged: string[] = []
const log: Log = { write: (_level, event) => logged.push(event) }
let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'miaou-relays-'))
  logged.splice(0)
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

function open(): KnownRelays {
  const options = { crypto, random: systemRandom, path: join(folder, 'known-relays'), key: new Uint8Array(32) }
  const known = new KnownRelays(
    crypto,
    new SealedDocument({ ...options, magic: 'MOKR', bodySizeMax: knownRelaysSizeMax }),
    log,
  )
  known.load()
  return known
}

function seedOf(n: number): Uint8Array {
  return crypto.sha256(Uint8Array.of(n >> 8, n))
}

function record(n: number, url = urlOf(n), more: { sequence?: number; createdAt?: number } = {}): Uint8Array {
  const createdAt = more.createdAt ?? wall
  return signServiceRecord(crypto, seedOf(n), {
    kind: 'relay',
    sequence: more.sequence ?? createdAt,
    createdAt,
    expiresAt: createdAt + recordLifetimeMs,
    urls: [url],
    terms: { circuitsMax: 8, bytesPerSecond: 1_000_000, bytesPerDay: 0 },
    capacity: 100,
    latency: 2,
    region: '',
  })
}

/** Each on a network of its own. */
function urlOf(n: number): string {
  return `ws://203.${n >> 8}.${n & 255}.7:9999`
}

function relay(n: number, url = urlOf(n)): RelayAddress {
  const { publicKey } = crypto.ed25519KeyPair(seedOf(n))
  return { url, relayId: relayIdOf(publicKey, (bytes) => crypto.sha256(bytes)) }
}

function urls(known: KnownRelays): string[] {
  return known.all().map((each) => each.relay.url)
}

describe('[W19] relays that are remembered', () => {
  test('a service record makes one known, and only a newer one of the same key moves it', () => {
    const known = open()
    expect(known.learn(record(1), 'overlay', 'public', wall)).toBe(true)
    expect(known.learn(record(1), 'overlay', 'public', wall)).toBe(false)
    expect(known.learn(record(1, urlOf(9), { sequence: wall - 1 }), 'overlay', 'public', wall)).toBe(false)
    expect(urls(known)).toEqual([urlOf(1)])
    expect(known.learn(record(1, urlOf(9), { sequence: wall + 1 }), 'overlay', 'public', wall)).toBe(true)
    expect(known.all()).toMatchObject([{ relay: relay(1, urlOf(9)), origin: 'overlay', score: 0 }])
  })

  test('forged, expired, future and nearer ones are refused', () => {
    const known = open()
    const forged = record(1)
    forged[40] = (forged[40] as number) ^ 1
    expect(known.learn(forged, 'contact', 'public', wall)).toBe(false)
    expect(known.learn(record(1), 'contact', 'public', wall + recordLifetimeMs)).toBe(false)
    expect(known.learn(record(1), 'contact', 'public', wall - 3_600_001)).toBe(false)
    for (const url of ['ws://127.0.0.1:9', 'ws://192.168.1.1:80', 'ws://[::1]:9', 'ws://router:80', 'ws://nas.local']) {
      expect(known.learn(record(1, url), 'contact', 'public', wall)).toBe(false)
    }
    expect(known.size).toBe(0)
    expect(known.learn(record(1, 'ws://192.168.1.1:80'), 'contact', 'private', wall)).toBe(true)
    expect(known.learn(record(2, 'ws://127.0.0.1:9'), 'contact', 'loopback', wall)).toBe(true)
  })

  test('two of one network at most are known by records', () => {
    const known = open()
    const same = (n: number) => `ws://203.0.113.${n}:9999`
    expect([1, 2, 3].map((n) => known.learn(record(n, same(n)), 'contact', 'public', wall))).toEqual([
      true,
      true,
      false,
    ])
    expect(known.learn(record(4, 'wss://a.example.org'), 'overlay', 'public', wall)).toBe(true)
    expect(networkOf('wss://b.example.org')).toBe(networkOf('wss://a.example.org'))
    expect(networkOf('ws://[2001:db8:1:2::3]:9')).toBe('2001:db8:1')
  })

  test.each(['wss://example.org:99999', 'wss://1.2.3.4.5', 'wss://256.1.1.1', 'ws://[::g]', 'wss://%zz'])(
    'a URL that looks like one and is none (%s) is refused, from a record and beside one',
    (url) => {
      const known = open()
      expect(known.learn(record(1, url), 'overlay', 'loopback', wall)).toBe(false)
      expect(known.learn(record(2), 'contact', 'public', wall)).toBe(true)
      // A contact may name a way through the same relay.
      known.meet([relay(2, url)], 'contact', wall)
      expect(known.learn(record(3), 'contact', 'public', wall)).toBe(true)
      expect(networkOf(url)).toBe('')
    },
  )

  test('those of contacts come first, then those that served; a failure halves what they earned', () => {
    const known = open()
    known.learn(record(1), 'overlay', 'public', wall)
    known.learn(record(2), 'overlay', 'public', wall)
    known.meet([relay(3)], 'invite', wall)
    known.meet([relay(4)], 'contact', wall + 1)
    for (let i = 0; i < 4; i++) known.worked(relay(2).relayId, wall)
    expect(urls(known)).toEqual([4, 3, 2, 1].map((n) => urlOf(n)))
    expect(known.toPassOn(4, wall)).toEqual([record(2)])
    expect(known.toPassOn(4, wall + recordLifetimeMs)).toEqual([])
    for (let i = 0; i < 3; i++) known.failed(relay(2).relayId)
    expect(known.toPassOn(4, wall)).toEqual([])
    expect(known.lostKeys()).toHaveLength(2)
  })

  test('an address that serves is not replaced by what a contact says, one that failed is', () => {
    const known = open()
    known.meet([relay(1)], 'contact', wall)
    known.worked(relay(1).relayId, wall)
    known.meet([relay(1, urlOf(7))], 'contact', wall)
    expect(urls(known)).toEqual([urlOf(1)])
    known.failed(relay(1).relayId)
    known.meet([relay(1, urlOf(7))], 'contact', wall)
    expect(urls(known)).toEqual([urlOf(7)])
  })

  test('[W18] a contact that names any number of relays neither comes before a stranger’s that serves nor pushes it out', () => {
    const known = open()
    known.learn(record(500), 'overlay', 'public', wall)
    known.worked(relay(500).relayId, wall)
    known.learn(record(501), 'overlay', 'public', wall)
    const named = Array.from({ length: 2 * knownRelaysMax }, (_, n) => relay(n))
    known.meet(named, 'contact', wall + 1)
    expect(known.size).toBe(knownRelaysMax)
    expect(urls(known).indexOf(urlOf(500))).toBe(unprovenFirstMax)
    expect(urls(known)).not.toContain(urlOf(501))
    // One of the contact's that does serve comes first.
    known.worked(relay(9).relayId, wall)
    expect(urls(known)[0]).toBe(urlOf(9))
    expect(urls(known).indexOf(urlOf(500))).toBe(1 + unprovenFirstMax)
  })

  test('64 at most: what served stays, a stranger pushes out no relay of a contact', () => {
    const known = open()
    known.meet([relay(0)], 'contact', wall)
    known.worked(relay(0).relayId, wall)
    for (let n = 1; n < knownRelaysMax; n++) known.meet([relay(n)], 'contact', wall + n)
    expect(known.size).toBe(knownRelaysMax)
    expect(known.learn(record(500), 'overlay', 'public', wall + 1_000)).toBe(false)
    for (let n = 100; n < 300; n++) known.meet([relay(n)], 'contact', wall + n)
    expect(known.size).toBe(knownRelaysMax)
    expect(urls(known)[0]).toBe(urlOf(0))
    expect(urls(known)).toContain(urlOf(299))
  })
})

describe('[W20] the sealed document', () => {
  test('what is known comes back, in the same order, at its largest size too', () => {
    const known = open()
    for (let n = 0; n < knownRelaysMax; n++) known.meet([relay(n)], 'contact', wall + n)
    known.learn(record(0, `wss://${'a'.repeat(110)}.example`), 'overlay', 'public', wall)
    known.worked(relay(3).relayId, wall)
    known.save()
    expect(urls(open())).toEqual(urls(known))
    expect(open().all()).toEqual(known.all())
  })

  test('any other bytes are no document, cut or altered', () => {
    const whole = encodeKnownRelays([
      { relay: relay(1), origin: 'contact', score: 3, seenAt: wall, record: record(1) },
      { relay: relay(2, 'wss://relay.example.org'), origin: 'overlay', score: 0, seenAt: 0, record: new Uint8Array(0) },
    ])
    expect(decodeKnownRelays(whole)).toHaveLength(2)
    for (let size = 0; size < whole.length; size++) expect(decodeKnownRelays(whole.slice(0, size))).toBeUndefined()
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const known = decodeKnownRelays(bytes)
        if (known !== undefined) expect(bytesToHex(encodeKnownRelays(known))).toBe(bytesToHex(bytes))
      }),
    )
    expect(decodeKnownRelays(whole.with(2, 4))).toBeUndefined()
    expect(decodeKnownRelays(whole.with(3, 17))).toBeUndefined()
  })
})
