import { keyToAccountId, keyToPeerId, type PeerId } from '@miaou/core'
import type { ContactView } from '@miaou/messaging'
import {
  boxToEntry,
  contactWaysSizeMax,
  type DeviceRecord,
  decodeContactWays,
  encodeContactWays,
  frameTypes,
  signDeviceRecord,
} from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { ContactWaysExchange, type ContactWaysOutput, type OwnWays } from '../src/contact-ways.ts'
import { crypto, SeededRandom } from './ports.ts'
import { befriend, type Home, startWall, Town, unwrap } from './town.ts'

const now = { mono: 1_000, wall: 1_760_000_000_000 }
const accountKey = new Uint8Array(32).fill(9)
const keys = Array.from({ length: 70 }, (_, n) => crypto.ed25519KeyPair(new Uint8Array(32).fill(n + 1)))
const peers = keys.map(({ publicKey }) => keyToPeerId(publicKey))
const [peer, other] = peers as [PeerId, PeerId]
const locatorKey = new Uint8Array(32).fill(4)
const circuit = `circuit:${'A'.repeat(22)}.${'B'.repeat(21)}A@wss://relay.example.org`
const address = 'ws://203.0.113.9:9999'

function contact(devices: readonly PeerId[], state: ContactView['state'] = 'contact'): ContactView {
  const facts = { verified: false, forked: false, unreadCount: 0, addedAt: 0 }
  return { account: keyToAccountId(accountKey), name: 'Ben', state, devices, ...facts }
}

function record(more: Partial<DeviceRecord> = {}, index = 0): Uint8Array {
  const empty = { overlayContact: undefined, mailboxes: [], services: [] }
  const fields = { sequence: 5, createdAt: now.wall, ways: [circuit], ...empty, ...more }
  return signDeviceRecord(crypto, keys[index]?.secretKey ?? new Uint8Array(32), fields)
}

function own(ways: readonly string[] = [circuit], services: readonly Uint8Array[] = []): OwnWays {
  return { record: record({ ways }, 69), services }
}

function payload(bytes = record(), services: readonly Uint8Array[] = []): Uint8Array {
  return encodeContactWays({ locatorKey, record: bytes, services })
}

function sends(outputs: readonly ContactWaysOutput[]): number {
  return outputs.filter(({ type }) => type === 'send').length
}

function heard(outputs: readonly ContactWaysOutput[]): readonly string[] | undefined {
  const ways = outputs.find((output) => output.type === 'ways')
  return ways?.type === 'ways' ? ways.addresses : undefined
}

/** An exchange with one accepted contact, linked at `at`. */
function linked(at: string | undefined = address, contacts = () => [contact(peers)]): ContactWaysExchange {
  const exchange = new ContactWaysExchange(crypto, contacts)
  exchange.handle(now, { type: 'link-up', peerId: peer, accountKey, address: at })
  return exchange
}

describe('[W11] what a contact is told', () => {
  test('once both are known, and again when something changed', () => {
    const exchange = linked()
    expect(sends(exchange.handle(now, { type: 'own-ways', ways: own() }))).toBe(0)
    const [told] = exchange.handle(now, { type: 'own-locator', key: locatorKey })
    if (told?.type !== 'send') throw new Error('the contact is told')
    expect(told).toMatchObject({ peerId: peer, frameType: frameTypes.contactWays, fleeting: false })
    expect(decodeContactWays(told.payload)).toEqual({ ok: true, value: { locatorKey, ...own() } })
    expect(sends(exchange.handle(now, { type: 'own-ways', ways: own() }))).toBe(0)
    expect(sends(exchange.handle(now, { type: 'own-ways', ways: own([]) }))).toBe(1)
    expect(sends(exchange.handle(now, { type: 'own-ways', ways: own([], [Uint8Array.of(1)]) }))).toBe(1)
    expect(sends(exchange.handle(now, { type: 'own-locator', key: new Uint8Array(32) }))).toBe(1)
    expect(sends(exchange.handle(now, { type: 'own-ways', ways: undefined }))).toBe(0)
    exchange.handle(now, { type: 'own-ways', ways: own() })
    expect(sends(exchange.handle(now, { type: 'link-up', peerId: other, accountKey, address }))).toBe(1)
    exchange.handle(now, { type: 'link-down', peerId: other })
    expect(sends(exchange.handle(now, { type: 'own-ways', ways: own([]) }))).toBe(1)
  })

  test('nobody else: strangers, requests, blocked people, a device that shows another account', () => {
    let state: ContactView['state'] = 'request'
    const exchange = linked(address, () => [contact([peer, other], state)])
    exchange.handle(now, { type: 'own-locator', key: locatorKey })
    expect(sends(exchange.handle(now, { type: 'own-ways', ways: own() }))).toBe(0)
    const stranger = { accountKey: new Uint8Array(32).fill(8), address }
    state = 'contact'
    expect(sends(exchange.handle(now, { type: 'link-up', peerId: other, ...stranger }))).toBe(0)
    expect(sends(exchange.refresh(now))).toBe(1)
    expect(sends(exchange.refresh(now))).toBe(0)
    state = 'blocked'
    expect(sends(exchange.refresh(now))).toBe(0)
    expect(sends(exchange.handle(now, { type: 'own-ways', ways: own([]) }))).toBe(0)
    state = 'contact'
    expect(sends(exchange.refresh(now))).toBe(1)
  })
})

describe('[W12] what a contact says', () => {
  const frame = (bytes: Uint8Array) => ({ type: 'frame', peerId: peer, payload: bytes }) as const

  test('its ways, its locator key, the relays it met', () => {
    const services = [Uint8Array.of(1, 2)]
    expect(linked().handle(now, frame(payload(record(), services)))).toEqual([
      { type: 'ways', peerId: peer, locatorKey, sequence: 5, addresses: [circuit], mailboxes: [], services },
    ])
    const none = linked().handle(now, frame(payload(new Uint8Array(0))))
    expect(none).toEqual([
      { type: 'ways', peerId: peer, locatorKey, sequence: 0, addresses: [], mailboxes: [], services: [] },
    ])
  })

  test('where messages for it can be left, and its last-resort bundle; a mailbox of its own machine is none for us', () => {
    const mailbox = (url: string) => ({
      box: new Uint8Array(16).fill(2),
      mailbox: { url, mailboxId: new Uint8Array(16) },
    })
    const mailboxes = [mailbox('wss://box.example.org'), mailbox('ws://127.0.0.1:9')].map(boxToEntry)
    const bundleKey = new Uint8Array(32).fill(3)
    expect(linked().handle(now, frame(payload(record({ mailboxes, bundleKey }))))).toMatchObject([
      { mailboxes: [mailbox('wss://box.example.org')], bundleKey },
    ])
  })

  test('a mailbox on this machine counts for who uses one there, whatever the link', () => {
    const near = {
      box: new Uint8Array(16).fill(2),
      mailbox: { url: 'ws://127.0.0.1:9', mailboxId: new Uint8Array(16) },
    }
    const mailboxes = [boxToEntry(near)]
    const exchange = linked()
    const told = () => exchange.handle(now, frame(payload(record({ mailboxes }))))
    expect(told()).toMatchObject([{ mailboxes: [] }])
    exchange.handle(now, { type: 'own-ways', ways: { record: record({ mailboxes }, 69), services: [] } })
    expect(told()).toMatchObject([{ mailboxes: [near] }])
  })

  test('D16: how its node of the overlay is reached behind a NAT', () => {
    const server = { publicKey: new Uint8Array(32).fill(5), endpoint: { host: '203.0.113.5', port: 4000 } }
    const overlayClient = { publicKey: new Uint8Array(32).fill(6), rendezvous: [server] }
    expect(linked().handle(now, frame(payload(record({ overlayClient }))))).toMatchObject([{ overlayClient }])
  })

  test('a record of another device, a forged one and an older one are dropped; any bytes are counted', () => {
    const exchange = linked()
    expect(exchange.handle(now, frame(payload(record({}, 1))))).toEqual([])
    const forged = record()
    expect(exchange.handle(now, frame(payload(forged.with(40, (forged[40] as number) ^ 1))))).toEqual([])
    expect(exchange.handle(now, frame(new Uint8Array(3)))).toEqual([])
    expect(exchange.handle(now, frame(payload(new Uint8Array(9))))).toEqual([])
    expect(heard(exchange.handle(now, frame(payload(record({ sequence: 7 })))))).toEqual([circuit])
    expect(exchange.handle(now, frame(payload(record({ sequence: 6 }))))).toEqual([])
    // A locator key may be new where the record is the same.
    expect(heard(exchange.handle(now, frame(payload(record({ sequence: 7 })))))).toEqual([circuit])
    expect(exchange.counters()).toEqual({
      'ways-wrong-device': 1,
      'ways-invalid-signature': 1,
      'ways-malformed': 2,
      'ways-stale': 1,
    })
  })

  test.each([
    [address, 'public'],
    [undefined, 'public'],
    [circuit, 'public'],
    ['ws://192.168.1.8:9999', 'private'],
    ['ws://127.0.0.1:9999', 'loopback'],
  ] as const)('over a link at %s: nothing nearer than %s, whose door would be our own', (at, nearest) => {
    const near = {
      loopback: ['ws://127.0.0.1:22', circuit.replace('wss://relay.example.org', 'ws://localhost:22')],
      private: ['ws://192.168.1.1:80', circuit.replace('relay.example.org', 'router')],
      public: ['wss://example.org', circuit],
    }
    const scopes = ['loopback', 'private', 'public'] as const
    const taken = scopes.slice(scopes.indexOf(nearest)).flatMap((scope) => near[scope])
    const ways = scopes.flatMap((scope) => near[scope])
    expect(heard(linked(at).handle(now, frame(payload(record({ ways })))))).toEqual(taken)
  })

  test('who reserves at a relay on this machine takes what contacts name there', () => {
    const exchange = linked()
    const local = circuit.replace('wss://relay.example.org', 'ws://127.0.0.1:9')
    exchange.handle(now, { type: 'own-ways', ways: own([local]) })
    expect(heard(exchange.handle(now, frame(payload(record({ ways: [local] })))))).toEqual([local])
  })

  test('before it is accepted the latest is kept, and counts then', () => {
    let state: ContactView['state'] = 'request'
    const exchange = linked(address, () => [contact([peer], state)])
    expect(exchange.handle(now, frame(payload(record({ sequence: 5 }))))).toEqual([])
    expect(exchange.handle(now, frame(payload(record({ sequence: 6, ways: [address] }))))).toEqual([])
    state = 'contact'
    expect(heard(exchange.refresh(now))).toEqual([address])
    expect(exchange.refresh(now)).toEqual([])
  })

  test('at the bounds: 64 strangers and 4 KiB are kept, 8 frames are taken and one more in 10 s', () => {
    const exchange = new ContactWaysExchange(crypto, () => [])
    for (const peerId of peers) {
      exchange.handle(now, { type: 'link-up', peerId, accountKey, address })
      exchange.handle(now, { type: 'frame', peerId, payload: new Uint8Array(contactWaysSizeMax) })
    }
    expect(exchange.counters()).toEqual({ 'ways-held-full': 6 })
    exchange.handle(now, frame(new Uint8Array(contactWaysSizeMax + 1)))
    expect(exchange.counters()).toEqual({ 'ways-held-full': 7 })
    const full = linked()
    for (let n = 0; n < 9; n++) {
      const isTaken = heard(full.handle(now, frame(payload(record({ sequence: n + 1 }))))) !== undefined
      expect(isTaken).toBe(n < 8)
    }
    const later = { mono: now.mono + 10_000, wall: now.wall + 10_000 }
    expect(heard(full.handle(later, frame(payload(record({ sequence: 10 })))))).toEqual([circuit])
    expect(heard(full.handle(later, frame(payload(record({ sequence: 11 })))))).toBeUndefined()
    expect(full.counters()).toEqual({ 'ways-rate': 2 })
  })

  test('without a link nothing is taken', () => {
    const exchange = new ContactWaysExchange(crypto, () => [contact(peers)])
    expect(exchange.handle(now, frame(payload()))).toEqual([])
    expect(exchange.counters()).toEqual({ 'ways-no-link': 1 })
  })
})

describe('two peers', () => {
  const circuitAt = (n: number) => circuit.replace('relay.', `relay${n}.`)

  /** What a home tells its contacts from now on. Its keys follow from its place in the town. */
  function tell(town: Town, home: Home, sequence: number, ways: readonly string[]): void {
    const random = new SeededRandom(town.homes.indexOf(home) + 1)
    const [, deviceSeed] = [random.bytes(32), random.bytes(32)]
    const facts = { sequence, createdAt: startWall, overlayContact: undefined, mailboxes: [], services: [] }
    const signed = signDeviceRecord(crypto, deviceSeed, { ...facts, ways })
    home.handle({ type: 'own-ways', ways: { record: signed, services: [] } })
  }

  function addressesKnown(home: Home, of: Home): readonly string[] | undefined {
    return home.peer.connection(of.peerId)?.addresses
  }

  function locatorKnown(home: Home, of: Home): Uint8Array | undefined {
    const wanted = home.outputs.findLast((output) => output.type === 'wanted')
    return wanted?.peers.find(({ peerId }) => peerId === of.peerId)?.locatorKey
  }

  function ownLocator(home: Home): Uint8Array | undefined {
    return home.outputs.findLast((output) => output.type === 'wanted')?.ownLocatorKey
  }

  test('[W11] that become contacts tell each other, and again after a change; a restart forgets nothing', () => {
    const town = new Town()
    const [ann, ben] = [town.add('10.0.0.1'), town.add('10.0.0.2')]
    tell(town, ann, 1, [circuitAt(1)])
    tell(town, ben, 1, [circuitAt(2)])
    befriend(town, ann, ben)
    expect(addressesKnown(ben, ann)).toContain(circuitAt(1))
    expect(addressesKnown(ann, ben)).toContain(circuitAt(2))
    expect(locatorKnown(ann, ben)).toEqual(ownLocator(ben))
    tell(town, ann, 2, [circuitAt(3)])
    town.settle()
    expect(addressesKnown(ben, ann)).toContain(circuitAt(3))
    expect(ben.outputs.filter(({ type }) => type === 'heard-ways')).toHaveLength(2)
    ann.kill()
    ben.restart()
    town.settle()
    expect(addressesKnown(ben, ann)?.[0]).toBe(circuitAt(3))
    expect(locatorKnown(ben, ann)).toEqual(ownLocator(ann))
  })

  test('[W7] blocking one tells the others where to look from now on, and the blocked one nothing', () => {
    const town = new Town()
    const [ann, ben, cas] = [town.add('10.0.0.1'), town.add('10.0.0.2'), town.add('10.0.0.3')]
    for (const [n, home] of [ann, ben, cas].entries()) tell(town, home, 1, [circuitAt(n)])
    befriend(town, ann, ben)
    befriend(town, ann, cas)
    const before = ownLocator(ann)
    expect([locatorKnown(ben, ann), locatorKnown(cas, ann)]).toEqual([before, before])
    unwrap(ann.ask({ type: 'contact-block', account: cas.account, blocked: true }))
    town.settle()
    expect(ownLocator(ann)).not.toEqual(before)
    expect(locatorKnown(ben, ann)).toEqual(ownLocator(ann))
    expect(locatorKnown(cas, ann)).toEqual(before)
  })
})
