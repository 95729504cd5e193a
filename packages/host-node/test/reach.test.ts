import { createHmac } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { err, Redacted } from '@miaou/core'
import { createLibsodiumCrypto } from '@miaou/crypto'
import type { PipeId, RelayView, TransportHost } from '@miaou/network'
import type { PeerInput } from '@miaou/peer'
import { decodeDeviceRecord, decodeServiceRecord, formatRelayAddress, type RelayAddress } from '@miaou/protocol'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { SeededRandom } from '../../../testkit/src/seeded.ts'
import type { MappedPort } from '../src/nat/port-control.ts'
import type { PortMapperState } from '../src/nat/port-mapper.ts'
import { Adapters } from '../src/peer/adapters.ts'
import { turnPeriodMs } from '../src/peer/ice-servers.ts'
import type { MapsPorts } from '../src/peer/mapped-ports.ts'
import { SilentDiscovery, SilentTransport } from '../src/peer/offline.ts'
import { Reach, type ReachOptions } from '../src/peer/reach.ts'
import type { IceServer } from '../src/webrtc/options.ts'

const crypto = await createLibsodiumCrypto()
const device = crypto.ed25519KeyPair(new Uint8Array(32).fill(1))
const locatorKey = new Uint8Array(32).fill(4)
const startWall = 100 * turnPeriodMs
const lan = 'ws://192.168.1.7:9999'
let folder = ''

beforeEach(() => {
  vi.useFakeTimers()
  folder = mkdtempSync(join(tmpdir(), 'miaou-reach-'))
})
afterEach(async () => {
  vi.useRealTimers()
  rmSync(folder, { recursive: true, force: true })
})

const relay = (id: number, url = `wss://relay${id}.example.org`): RelayAddress => ({
  url,
  relayId: new Uint8Array(16).fill(id),
})
const texts = (relays: readonly RelayAddress[]) => relays.map(formatRelayAddress)

/** A router that says what the test says. */
class Router implements MapsPorts {
  mapped: PortMapperState = { state: 'searching', mapped: [] }
  readonly calls: string[] = []
  state = () => this.mapped
  start = () => void this.calls.push('start')
  networkChanged = () => void this.calls.push('network-changed')
  stop = async () => void this.calls.push('stop')
}

/** A `Reach` whose surroundings are the test's. */
class Desk {
  readonly dials: { readonly url: string; readonly nearest: unknown }[] = []
  readonly iceServers: (readonly IceServer[])[] = []
  readonly pushed: PeerInput[] = []
  readonly warnings: string[] = []
  readonly router = new Router()
  now = { mono: 0, wall: startWall }
  views: RelayView[] = []
  channelHost: TransportHost | undefined
  readonly reach: Reach

  constructor(settings: ReachOptions['settings'] = {}, more: Partial<ReachOptions> = {}) {
    const websocket = Object.assign(new SilentTransport('websocket'), {
      channel: ({ host }: { host: TransportHost }) => {
        this.channelHost = host
        return {
          dial: (_pipe: PipeId, url: string, nearest?: unknown) => void this.dials.push({ url, nearest }),
          send: () => undefined,
          close: () => undefined,
          stop: async () => undefined,
        }
      },
    })
    const webrtc = Object.assign(new SilentTransport('webrtc'), {
      setIceServers: (servers: readonly IceServer[]) => void this.iceServers.push(servers),
    })
    let pipes = 0
    this.reach = new Reach({
      settings,
      usesOverlay: false,
      home: folder,
      crypto,
      random: new SeededRandom(7),
      jitter: { next: () => 0.5 },
      clock: { now: () => this.now },
      log: { write: (_level, event) => void this.warnings.push(event) },
      keyring: { storeKey: (purpose) => crypto.sha256(new TextEncoder().encode(purpose)) },
      deviceKey: device,
      adapters: new Adapters({ websocket, webrtc, webrtcLibrary: 'werift', discovery: new SilentDiscovery() }),
      overlay: {
        info: () => {
          throw new Error('the overlay is off')
        },
        putRecord: async () => err({ type: 'no-contacts' }),
        get: async () => err({ type: 'no-contacts' }),
        services: async () => [],
        setServices: () => undefined,
        addClients: () => undefined,
      },
      relayHost: undefined,
      mailboxHost: undefined,
      stun: undefined,
      createPortMapper: () => this.router,
      nextPipe: () => ++pipes as PipeId,
      push: (input) => void this.pushed.push(input),
      connection: () => undefined,
      relays: () => this.views,
      ...more,
    })
  }

  start(listening: readonly string[] = [lan]): this {
    this.reach.start(listening)
    this.want([])
    return this
  }

  /** Invites and contacts are reached through these circuits. */
  want(addresses: readonly string[], waysSequence = 0): void {
    const peers = addresses.length === 0 ? [] : [{ peerId: 'friend' as never, addresses, locatorKey, waysSequence }]
    this.reach.perform({ type: 'wanted', peers, ownLocatorKey: locatorKey })
  }

  pass(ms: number): void {
    this.now = { mono: this.now.mono + ms, wall: this.now.wall + ms }
    vi.advanceTimersByTime(1_000)
  }

  /** What the engine of circuits was told last. */
  relaysTold(): string[] {
    const told = this.pushed.flatMap((input) =>
      input.type === 'circuits' && input.input.type === 'relays' ? [input.input.relays] : [],
    )
    return texts(told.at(-1) ?? [])
  }

  /** What contacts were told last: the ways, and the URLs of the own relay. */
  told(): { readonly ways: readonly string[]; readonly services: readonly string[] } {
    const input = this.pushed.findLast((each) => each.type === 'own-ways')
    const ways = input?.type === 'own-ways' ? input.ways : undefined
    const record = decodeDeviceRecord(ways?.record ?? new Uint8Array(0))
    const service = decodeServiceRecord(ways?.services[0] ?? new Uint8Array(0))
    return {
      ways: record.ok ? record.value.value.ways : [],
      services: service.ok ? service.value.value.urls : [],
    }
  }

  /** Where it would dial a relay at this URL, and how near that may be. */
  nearestFor(url: string): unknown {
    this.reach.perform({ type: 'relay-dial', pipe: 99 as PipeId, url })
    return this.dials.at(-1)?.nearest
  }
}

function circuit(id: number, url?: string): string {
  return `circuit:${'A'.repeat(22)}.${formatRelayAddress(relay(id, url))}`
}

function serving(id = 9): NonNullable<ReachOptions['relayHost']> {
  const relayId = new Uint8Array(16).fill(id)
  const counters = { reserved: 3 }
  const terms = { circuitsMax: 8, bytesPerSecond: 0, bytesPerDay: 0 }
  const view = { links: 0, reservations: 2, circuits: 1, services: 0, bytesPassed: 0, bytesToday: 7, queuedBytes: 0 }
  return {
    relayId,
    isBroken: false,
    relayAddress: (url) => ({ url, relayId }),
    start: () => undefined,
    stop: async () => undefined,
    view: () => ({ ...view, terms, counters }),
  }
}

describe('the relays to use', () => {
  test('those added come first, then those configured, then those learnt, each once; never the own one', () => {
    const desk = new Desk({ relays: [relay(1), relay(9)] }, { relayHost: serving() }).start()
    expect(desk.relaysTold()).toEqual(texts([relay(1)]))
    desk.want([circuit(2), circuit(1), circuit(9)])
    expect(desk.relaysTold()).toEqual(texts([relay(1), relay(2)]))
    expect(desk.reach.use.add(relay(3)).ok).toBe(true)
    expect(desk.relaysTold()).toEqual(texts([relay(3), relay(1), relay(2)]))
    const views = [3, 1, 2, 5].map((id) => ({ relay: relay(id), state: 'reserved', circuits: 0 }) as const)
    expect(desk.reach.use.views(views).map(({ source }) => source)).toEqual(['added', 'config', 'invite', 'invite'])
    expect(desk.reach.use.remove(relay(3))).toEqual({ ok: true, value: true })
    expect(desk.relaysTold()).toEqual(texts([relay(1), relay(2)]))
  })

  test('what a person removed is not used because others name it, until it is added again', () => {
    const desk = new Desk().start()
    desk.reach.use.add(relay(1))
    desk.want([circuit(1), circuit(2)])
    expect(desk.relaysTold()).toEqual(texts([relay(1), relay(2)]))
    desk.reach.use.remove(relay(1))
    expect(desk.relaysTold()).toEqual(texts([relay(2)]))
    // One that was never added cannot be removed.
    expect(desk.reach.use.remove(relay(2))).toEqual({ ok: true, value: false })
    expect(desk.relaysTold()).toEqual(texts([relay(2)]))
    desk.reach.use.add(relay(1))
    expect(desk.relaysTold()).toEqual(texts([relay(1), relay(2)]))
  })

  test('the engine hears of the same list once, and of 16 at most', () => {
    const desk = new Desk().start()
    desk.want(Array.from({ length: 20 }, (_, id) => circuit(id + 1)))
    expect(desk.relaysTold()).toHaveLength(16)
    const before = desk.pushed.length
    desk.reach.use.refresh()
    expect(desk.pushed).toHaveLength(before)
  })

  test('[W22] a relay that a person chose may be anywhere, one that others named only where it said it is', () => {
    const desk = new Desk({ relays: [relay(1, 'wss://relay1.example.org')] }).start()
    expect(desk.nearestFor('wss://relay1.example.org')).toBeUndefined()
    expect(desk.nearestFor('wss://relay2.example.org')).toBe('public')
    expect(desk.nearestFor('ws://192.168.1.1:80')).toBe('private')
    expect(desk.nearestFor('ws://127.0.0.1:22')).toBe('private')
    expect(desk.nearestFor('ws://localhost:22')).toBe('private')
    desk.reach.use.add(relay(3, 'ws://10.0.0.3:9999'))
    expect(desk.nearestFor('ws://10.0.0.3:9999')).toBeUndefined()
    expect(desk.nearestFor('wss://relay2.example.org')).toBe('private')
    expect(desk.nearestFor('ws://127.0.0.1:22')).toBe('private')
    const local = new Desk({ loopbackOnly: true }).start()
    expect(local.nearestFor('ws://127.0.0.1:22')).toBe('loopback')
  })

  test('a measurement that is never answered ends with its time, and with the peer', async () => {
    const desk = new Desk().start()
    const [late, stopped] = [desk.reach.use.measure(relay(1)), desk.reach.use.measure(relay(1))]
    desk.reach.perform({ type: 'measured', id: 2, result: { ok: false, detail: 'not linked' } })
    expect(await stopped).toEqual({ ok: false, error: { type: 'unavailable', detail: 'not linked' } })
    vi.advanceTimersByTime(30_000)
    expect(await late).toMatchObject({ ok: false, error: { type: 'unavailable' } })
    const last = desk.reach.use.measure(relay(1))
    await desk.reach.stop()
    expect(await last).toEqual({ ok: false, error: { type: 'stopped' } })
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('what others are told', () => {
  test('ways through relays, then the public URL, then the listener; all of it anew when the network changed', () => {
    const desk = new Desk({ publicUrl: 'wss://me.example.org' }).start()
    const own = { relay: relay(1), reservation: new Uint8Array(16).fill(6) }
    desk.reach.perform({ type: 'reservations', addresses: [own] })
    desk.pass(2_000)
    expect(desk.told().ways).toEqual([expect.stringMatching(/^circuit:/), 'wss://me.example.org', lan])
    expect(desk.reach.use.reservations).toEqual([own])
    desk.reach.networkChanged(['ws://10.9.8.7:9999'])
    desk.pass(10_000)
    expect(desk.told().ways.slice(1)).toEqual(['wss://me.example.org', 'ws://10.9.8.7:9999'])
    expect(desk.reach.addresses).toEqual(['wss://me.example.org', 'ws://10.9.8.7:9999'])
  })

  test('a peer that hides tells of relays alone', () => {
    const desk = new Desk({ relayOnly: true, publicUrl: 'wss://me.example.org' }).start()
    desk.reach.perform({ type: 'reservations', addresses: [{ relay: relay(1), reservation: new Uint8Array(16) }] })
    const endpoint = { host: '203.0.113.9', port: 9 }
    desk.reach.setOverlayNode({
      publicKey: new Uint8Array(32).fill(3),
      endpoints: [endpoint],
      observed: endpoint,
      isServer: true,
    })
    desk.reach.networkChanged([lan])
    desk.pass(2_000)
    expect(desk.told().ways).toEqual([expect.stringMatching(/^circuit:/)])
    expect(desk.reach.addresses).toEqual([])
    const record = desk.pushed.findLast((input) => input.type === 'own-ways')
    const decoded = decodeDeviceRecord((record?.type === 'own-ways' && record.ways?.record) || new Uint8Array(0))
    expect(decoded).toMatchObject({ ok: true, value: { value: { overlayContact: undefined } } })
  })

  test('[R1] the own relay, with its limits and the port of STUN', () => {
    const stun = { port: 3478, counters: () => new Map([['answered', 4]]), stop: async () => undefined }
    const settings = { publicUrl: 'wss://me.example.org', serve: { relay: { circuits: 5, bytesPerDay: 0 } } }
    const desk = new Desk(settings, { relayHost: serving(), stun }).start()
    expect(desk.reach.serving()).toMatchObject({
      address: { url: 'wss://me.example.org' },
      reservations: 2,
      bytesToday: 7,
      limits: { circuitsMax: 5, reservationsMax: 4096 },
      stunPort: 3478,
      counters: { reserved: 3, 'stun-answered': 4 },
    })
    desk.pass(2_000)
    expect(desk.told().services).toEqual(['wss://me.example.org', lan])
    expect(new Desk().start().reach.serving()).toBeUndefined()
  })

  test('a relay that broke down is announced no more', () => {
    const relayHost = { ...serving(), isBroken: false }
    const desk = new Desk({ publicUrl: 'wss://me.example.org' }, { relayHost }).start()
    desk.pass(2_000)
    expect(desk.told().services).toHaveLength(2)
    relayHost.isBroken = true
    desk.reach.checkClock()
    desk.pass(10_000)
    expect(desk.told().services).toEqual([])
    expect(desk.reach.serving()).toBeUndefined()
  })
})

describe('STUN and TURN servers', () => {
  const secret = 'coturn secret'
  const timed = {
    urls: ['turn:turn.example.org:3478?transport=udp'],
    credentials: { type: 'timed', name: 'miaou', secret: new Redacted(secret) },
  } as const

  function credentialAt(wall: number): Partial<IceServer> {
    const username = `${((Math.floor(wall / turnPeriodMs) + 2) * turnPeriodMs) / 1000}:miaou`
    return { username, credential: createHmac('sha1', secret).update(username).digest('base64') }
  }

  test('those configured, then those that relays offer now', () => {
    const desk = new Desk({ iceServers: [{ urls: ['stun:stun.example.org:3478'] }] }).start()
    expect(desk.iceServers.at(-1)).toEqual([{ urls: ['stun:stun.example.org:3478'] }])
    desk.reach.perform({ type: 'ice-servers', servers: [{ urls: 'stun:203.0.113.5:3478' }] })
    expect(desk.iceServers.at(-1)).toEqual([
      { urls: ['stun:stun.example.org:3478'] },
      { urls: 'stun:203.0.113.5:3478' },
    ])
    desk.reach.perform({ type: 'ice-servers', servers: [] })
    expect(desk.iceServers.at(-1)).toHaveLength(1)
  })

  test('[W22] those beside a relay that others named are used by the address of its name, and not in our network', async () => {
    const asked: string[] = []
    const lookup: ReachOptions['lookup'] = (name, _options, callback) => {
      asked.push(name)
      callback(null, [{ address: name === 'relay2.example.org' ? '203.0.113.2' : '10.0.0.1', family: 4 }])
    }
    const desk = new Desk({ relays: [relay(1)] }, { lookup }).start()
    const servers = [1, 2, 3].map((id) => ({ urls: `stun:relay${id}.example.org:3478` }))
    desk.reach.perform({ type: 'ice-servers', servers })
    await vi.advanceTimersByTimeAsync(0)
    const used = [{ urls: 'stun:relay1.example.org:3478' }, { urls: 'stun:203.0.113.2:3478' }]
    expect(desk.iceServers.at(-1)).toEqual(used)
    expect(asked).toEqual(['relay2.example.org', 'relay3.example.org'])
    desk.reach.networkChanged([lan])
    expect(asked).toHaveLength(4)
  })

  test('passwords for a time are made anew before they end, and when the clock jumps either way', () => {
    const desk = new Desk({ iceServers: [timed] }).start()
    expect(desk.iceServers.at(-1)).toMatchObject([credentialAt(startWall)])
    const count = desk.iceServers.length
    desk.now = { mono: 5, wall: startWall + turnPeriodMs - 1 }
    desk.reach.checkClock()
    expect(desk.iceServers).toHaveLength(count)
    const dayMs = 86_400_000
    for (const jumpMs of [turnPeriodMs, dayMs, -dayMs, 3_650 * dayMs, 0]) {
      desk.now = { mono: 9, wall: startWall + jumpMs }
      desk.reach.checkClock()
      expect(desk.iceServers.at(-1)).toMatchObject([credentialAt(startWall + jumpMs)])
    }
    expect(desk.iceServers).toHaveLength(count + 5)
  })
})

describe('the router', () => {
  const mapped = (host: string): MappedPort => ({
    protocol: 'tcp',
    port: 9999,
    external: { host, port: 4000 },
    lifetimeS: 7_200,
  })

  test('what it lets in is told, before the addresses of the LAN; what it cannot is said', async () => {
    const asked: unknown[] = []
    let tell = (): void => undefined
    const router = new Router()
    const createPortMapper: ReachOptions['createPortMapper'] = (ports, onChange) => {
      asked.push(ports)
      tell = onChange
      return router
    }
    const desk = new Desk({}, { createPortMapper }).start()
    expect(desk.reach.portMapping).toEqual({ state: 'off' })
    desk.reach.mapPorts(4001)
    expect(asked).toEqual([
      [
        { protocol: 'tcp', port: 9999 },
        { protocol: 'udp', port: 4001 },
      ],
    ])
    expect(desk.reach.portMapping).toEqual({ state: 'searching' })
    router.mapped = {
      state: 'mapped',
      method: 'pcp',
      mapped: [mapped('203.0.113.7')],
      externalHost: '203.0.113.7',
    }
    tell()
    desk.pass(2_000)
    expect(desk.told().ways).toEqual(['ws://203.0.113.7:4000', lan])
    expect(desk.reach.portMapping).toEqual({ state: 'mapped', protocol: 'pcp', external: '203.0.113.7:4000' })
    router.mapped = { state: 'mapped', method: 'upnp', mapped: [mapped('10.0.0.7')] }
    tell()
    desk.pass(10_000)
    expect(desk.told().ways).toEqual([lan])
    expect(desk.reach.portMapping).toMatchObject({ state: 'failed', protocol: 'upnp' })
    router.mapped = { state: 'unavailable', mapped: [] }
    expect(desk.reach.portMapping).toEqual({ state: 'none' })
    desk.reach.networkChanged([lan])
    await desk.reach.stop()
    expect(router.calls).toEqual(['start', 'network-changed', 'stop'])
  })

  test('without a listener nothing is asked', () => {
    const desk = new Desk().start([])
    desk.reach.mapPorts(4001)
    expect(desk.router.calls).toEqual([])
  })
})

test('documents that cannot be written are said, and cost nothing else', async () => {
  const desk = new Desk().start()
  rmSync(folder, { recursive: true })
  expect(desk.reach.use.add(relay(1))).toEqual({ ok: false, error: { type: 'unwritable', code: 'ENOENT' } })
  desk.want([circuit(2)])
  desk.reach.perform({ type: 'reservations', addresses: [{ relay: relay(2), reservation: new Uint8Array(16) }] })
  desk.pass(2_000)
  expect(desk.told().ways).toHaveLength(2)
  await desk.reach.stop()
  await desk.reach.stop()
  expect(desk.warnings).toContain('own-record-not-saved')
  expect(desk.warnings).toContain('known-relays-not-saved')
  expect(vi.getTimerCount()).toBe(0)
})
