import { textToBytes } from '@miaou/core'
import type { Advertisement } from '@miaou/network'
import { describeDiscoveryContract, freshAdvertisement, untilGone, untilPeers, untilSeen } from '@miaou/testkit'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import type { MdnsBrowserOptions } from '../src/mdns/mdns-browser.ts'
import { MdnsDiscovery } from '../src/mdns/mdns-discovery.ts'
import { isDialable, readSightings as readServiceSightings } from '../src/mdns/packets.ts'
import { MdnsResponder } from '../src/mdns/responder.ts'
import { type MdnsRecord, peerService } from '../src/mdns/service.ts'
import { advertisementToText, parseServiceText, serviceName } from '../src/mdns/txt.ts'
import type { LocalAddress } from '../src/websocket/addresses.ts'

describeDiscoveryContract('mdns', async () => new MdnsDiscovery({ loopbackOnly: true }))

const cleanups: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

async function browse(options: Partial<MdnsBrowserOptions>): Promise<MdnsDiscovery> {
  const discovery = new MdnsDiscovery({ loopbackOnly: true, ...options })
  await discovery.start(undefined)
  cleanups.push(() => discovery.stop())
  return discovery
}

async function respond(): Promise<MdnsResponder> {
  const responder = new MdnsResponder(peerService, '127.0.0.1', () => undefined)
  expect(await responder.ready()).toBeUndefined()
  cleanups.push(() => responder.stop())
  return responder
}

function toStrings(text: Record<string, string>): Uint8Array[] {
  return Object.entries(text).map(([key, value]) => textToBytes(`${key}=${value}`))
}

function toRecord(self: Advertisement): MdnsRecord {
  return { instanceName: self.instanceName, port: self.port, text: advertisementToText(self) }
}

test('a change of networks is looked at when it is told, and told again on the new interface', async () => {
  const other = await browse({})
  let looks = 0
  const loopback = { address: '127.0.0.1', family: 4, isLoopback: false, cidr: '127.0.0.1/8' } as const
  // Of loopback too: no test talks to a network.
  const local: LocalAddress[] = [loopback]
  const moving = new MdnsDiscovery({
    refreshIntervalMs: 1_000_000,
    localAddresses: () => {
      looks += 1
      return local
    },
  })
  cleanups.push(() => moving.stop())
  const self = freshAdvertisement()
  await moving.start(self)
  await untilSeen(other, self)
  const before = looks
  expect(await moving.networkChanged()).toEqual({ ok: true, value: undefined })
  expect(looks).toBe(before + 1)
  local[0] = { ...loopback, address: '127.0.0.2', cidr: '127.0.0.2/8' }
  await Promise.all([moving.networkChanged(), moving.networkChanged()])
  await untilSeen(other, self)
  await moving.stop()
  const atEnd = looks
  expect(await moving.networkChanged()).toEqual({ ok: true, value: undefined })
  expect(looks).toBe(atEnd)
})

const readSightings = (packet: unknown, sender: string) => readServiceSightings(peerService, packet, sender)

/** A decoded response as multicast-dns hands it out. */
function response(instance: string, overrides: Record<string, unknown> = {}) {
  const name = `${instance}.${serviceName}`
  const fields = {
    port: 9999,
    ttl: 120,
    txt: { version: '0.2.0', features: 'chat' },
    address: '192.168.1.7',
    ...overrides,
  }
  return {
    answers: [
      { name: serviceName, type: 'PTR', ttl: fields.ttl, data: name },
      { name, type: 'SRV', ttl: fields.ttl, data: { port: fields.port, target: 'host.local' } },
      { name, type: 'TXT', ttl: fields.ttl, data: toStrings(fields.txt) },
    ],
    additionals: [{ name: 'HOST.local', type: 'A', ttl: 120, data: fields.address }],
  }
}

describe('mdns bounds', () => {
  test('peers beyond the bound are ignored until one goes', async () => {
    const discovery = await browse({ peersMax: 3 })
    const responder = await respond()
    const selves = Array.from({ length: 4 }, () => freshAdvertisement())
    for (const self of selves) responder.advertise(toRecord(self))
    await untilPeers(discovery, (peers) => peers.length === 3)
    await responder.withdraw()
    const late = freshAdvertisement()
    responder.advertise(toRecord(late))
    await untilSeen(discovery, late)
    expect(discovery.discoveredPeers().length).toBeLessThanOrEqual(3)
  })

  test('a peer that falls silent is gone when its records expire', async () => {
    const discovery = await browse({ firstQueriesMs: [], ttlMax: 0.1, refreshIntervalMs: 20 })
    const self = freshAdvertisement()
    const responder = await respond()
    responder.advertise(toRecord(self))
    await untilSeen(discovery, self)
    await untilGone(discovery, self)
  })

  test('news are told at once, and then not sooner than the interval', async () => {
    const discovery = await browse({ newsIntervalMs: 600_000 })
    let newsCount = 0
    discovery.onNews(() => newsCount++)
    const [first, second] = [freshAdvertisement(), freshAdvertisement()]
    const responder = await respond()
    responder.advertise(toRecord(first))
    await untilSeen(discovery, first)
    responder.advertise(toRecord(second))
    const isSeen = () => discovery.discoveredPeers().some(({ instanceName }) => instanceName === second.instanceName)
    while (!isSeen()) {
      await new Promise((resolve) => setImmediate(resolve))
      discovery.collectPeers()
    }
    expect(newsCount).toBe(1)
  })

  test('on loopback only, no other address is offered', async () => {
    const discovery = await browse({})
    const self = freshAdvertisement(9123)
    const responder = await respond()
    responder.advertise(toRecord(self))
    expect((await untilSeen(discovery, self)).addresses).toEqual(['ws://127.0.0.1:9123'])
  })
})

test('[C02] the DNS-SD service is _miaou._tcp.local', () => {
  expect(serviceName).toBe('_miaou._tcp.local')
})

describe('mdns TXT record [C04]', () => {
  test('what is advertised is read back, hints over several keys', () => {
    const hints = Array.from({ length: 50 }, (_, i) => i.toString(16).padStart(12, '0'))
    const self = { ...freshAdvertisement(), hints }
    const text = advertisementToText(self)
    expect(text).toMatchObject({ version: '0.2.0', features: 'chat,files', port: '9999', id: self.peerId })
    expect(Object.keys(text).filter((key) => key.startsWith('h'))).toEqual(['h0', 'h1', 'h2'])
    for (const bytes of toStrings(text)) expect(bytes.length).toBeLessThanOrEqual(255)
    const { version, features, peerId } = self
    expect(parseServiceText(toStrings(text))).toEqual({ version, features, peerId, hints })
  })

  test('hints beyond the bound are left out', () => {
    const hints = Array.from({ length: 400 }, (_, i) => i.toString(16).padStart(12, '0'))
    const text = parseServiceText(toStrings(advertisementToText({ ...freshAdvertisement(), hints })))
    expect(text?.hints).toEqual(hints.slice(0, 320))
  })

  test.each([
    ['no version', {}],
    ['a version that is none', { version: 'a b' }],
    ['an id that is none', { version: '1', id: '12D3KooWnonsense' }],
    ['hints that are none', { version: '1', h0: 'xyz' }],
    ['a truncated hint', { version: '1', h0: '0123456789a' }],
  ])('%s is refused', (_, text) => {
    expect(parseServiceText(toStrings(text))).toBeUndefined()
  })

  test('bytes that are no text never throw', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 100 }), (strings) => {
        parseServiceText(strings)
      }),
    )
    expect(parseServiceText('nonsense')).toBeUndefined()
  })
})

describe('mdns packets', () => {
  test('a response tells of a service', () => {
    expect(readSightings(response('alice'), '192.168.1.8')).toEqual([
      {
        type: 'seen',
        instanceName: 'alice',
        port: 9999,
        ttl: 120,
        text: { version: '0.2.0', features: ['chat'], peerId: undefined, hints: [] },
        addresses: ['192.168.1.7', '192.168.1.8'],
      },
    ])
  })

  test('a time to live of zero says goodbye', () => {
    expect(readSightings(response('alice', { ttl: 0 }), '192.168.1.8')).toEqual([
      { type: 'gone', instanceName: 'alice' },
    ])
  })

  test.each([
    ['port 0', { port: 0 }],
    ['port 65,536', { port: 65_536 }],
    ['a port that is no number', { port: '9999' }],
    ['no version', { txt: {} }],
  ])('%s is skipped', (_, overrides) => {
    expect(readSightings(response('alice', overrides), '192.168.1.8')).toEqual([])
  })

  test('names that no peer advertises are skipped', () => {
    for (const name of ['', 'a.b', 'a b', '<script>', 'é', 'a'.repeat(64)]) {
      expect(readSightings(response(name), '192.168.1.8')).toEqual([])
    }
  })

  test('addresses beyond 16 are left out', () => {
    const packet = response('alice')
    const more = Array.from({ length: 100 }, (_, i) => ({ name: 'host.local', type: 'A', ttl: 1, data: `10.0.0.${i}` }))
    const [seen] = readSightings({ ...packet, additionals: more }, '10.1.1.1')
    expect(seen?.type === 'seen' ? seen.addresses.length : 0).toBe(17)
  })

  test('packets of any form never throw', () => {
    fc.assert(fc.property(fc.anything(), (packet) => readSightings(packet, '10.0.0.1').length === 0))
    const record = fc.record({ name: fc.constant(`a.${serviceName}`), type: fc.constantFrom('SRV', 'TXT', 'PTR', 'A') })
    const loose = fc
      .tuple(record, fc.anything(), fc.anything())
      .map(([fields, ttl, data]) => ({ ...fields, ttl, data }))
    fc.assert(
      fc.property(fc.array(loose), (answers) => {
        readSightings({ answers }, '10.0.0.1')
      }),
    )
  })

  test('addresses that nobody can dial are known', () => {
    for (const address of ['0.0.0.0', '224.0.0.251', '255.255.255.255', '::', 'ff02::fb', 'fe80::1', 'host', '1.2.3']) {
      expect(isDialable(address)).toBe(false)
    }
    for (const address of ['127.0.0.1', '192.168.1.7', 'fd00::2', '2001:db8::1']) expect(isDialable(address)).toBe(true)
  })
})
