import { equalBytes } from '@miaou/core'
import { circuitCloseReasons, isWayWithin, pipeMessageSizeMax } from '@miaou/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { defaultRelayLimits } from '../src/circuit/relay-service-limits.ts'
import { sameGroup, type TestClient, TestRelay, type TestService } from './relay-service-town.ts'

const full = 16_350
const window = defaultRelayLimits.windowSize
const url = 'wss://mail.example.org'

function counted(size: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length: size }, (_, at) => (at * 31 + seed) & 0xff)
}

/** Sends a message in chunks of at most `size` bytes. */
function sendMessage(client: TestClient, circuit: number, message: Uint8Array, size = full): void {
  for (let at = 0; at < message.length; at += size) {
    client.chunk(circuit, message.slice(at, at + size), at + size >= message.length)
  }
}

/** Collects the messages that come to a client on a circuit, crediting each chunk where it reads. */
function collect(client: TestClient, circuit: number, credits = true): Uint8Array[] {
  const messages: Uint8Array[] = []
  let parts: number[] = []
  client.onChunk = (chunk) => {
    if (chunk.circuit !== circuit) return
    parts.push(...chunk.bytes)
    if (credits) client.say({ type: 'credit', circuit, bytes: Math.max(256, chunk.bytes.length) })
    if (!chunk.isLast) return
    messages.push(Uint8Array.from(parts))
    parts = []
  }
  return messages
}

function reasonOf(client: TestClient): string | undefined {
  return client.ofType('close').at(-1)?.reason
}

/** What a relay still has when everybody is gone. */
function leftovers(relay: TestRelay): Record<string, number> {
  const { links, circuits, services, queuedBytes } = relay.service.view()
  return Object.fromEntries(Object.entries({ links, circuits, services, queuedBytes }).filter(([, left]) => left !== 0))
}

describe('ways to services', () => {
  test('[R62] messages of every size pass whole and in order, both ways', () => {
    const relay = new TestRelay()
    const client = relay.connect(1)
    const { service, circuit } = relay.way(client)
    expect(service).toMatchObject({ url, nearest: 'public' })
    expect(client.ofType('opened')).toEqual([{ type: 'opened', request: 1, circuit, window }])
    expect(relay.service.view().services).toBe(1)
    const messages = [1, 255, 256, full, full + 1, 65_502, 65_536].map(counted)
    const received = collect(client, circuit)
    for (const message of messages) {
      sendMessage(client, circuit, message)
      service.say(message)
    }
    relay.pass(1_000)
    for (const arrived of [service.received, received]) {
      expect(arrived.map(({ length }) => length)).toEqual(messages.map(({ length }) => length))
      arrived.forEach((message, at) => {
        expect(equalBytes(message, messages[at] as Uint8Array)).toBe(true)
      })
    }
    expect(relay.service.view()).toMatchObject({ queuedBytes: 0 })
    expect(relay.count('bad-messages')).toBe(0)
  })

  test('[R62] a relay that offers none says so; what does not open in time, or not at all, is unreachable', () => {
    for (const none of [new TestRelay({}, { services: undefined as never }), new TestRelay({ servicesMax: 0 })]) {
      expect(none.connect(1).askService(url).answer()).toMatchObject({ type: 'refused', reason: 'not-offered' })
      expect(none.services).toEqual([])
    }
    const relay = new TestRelay()
    const client = relay.connect(1)
    relay.onDial = (service) => service.close(false)
    expect(client.askService(url).answer()).toMatchObject({ type: 'refused', reason: 'unreachable' })
    relay.onDial = () => undefined
    const { answer } = client.askService(url)
    expect(answer()).toBeUndefined()
    relay.pass(defaultRelayLimits.serviceDialMs + 1_000)
    expect(answer()).toMatchObject({ type: 'refused', reason: 'unreachable' })
    const late = relay.services.at(-1) as TestService
    expect(late.isClosed).toBe(true)
    late.isClosed = false
    late.answer()
    expect(late.isClosed).toBe(true)
    expect(relay.count('services-unreachable')).toBe(2)
    expect(client.isUp).toBe(true)
  })

  test('[R62] a client that leaves while a service is dialled takes the dial with it', () => {
    const relay = new TestRelay()
    relay.onDial = () => undefined
    const client = relay.connect(1)
    client.askService(url)
    relay.disconnect(client)
    expect(relay.services[0]?.isClosed).toBe(true)
    expect(leftovers(relay)).toEqual({})
  })
})

/** Dials that lead nearer than who asked for them is. */
function tooNear(relay: TestRelay, scope: 'loopback' | 'private' | 'public'): string[] {
  const wrong = relay.services.filter((service) => !isWayWithin(service.url, scope) || service.nearest !== scope)
  return wrong.map((service) => service.url)
}

const nearUrls = [
  'ws://127.0.0.1:9999',
  'ws://127.1.2.3:8080/admin',
  'ws://[::1]:9999',
  'ws://[::ffff:127.0.0.1]:9999',
  'ws://[::ffff:7f00:1]:9999',
  'ws://localhost:9999',
  'ws://a.localhost:9999',
  'ws://0x7f.1:9999',
  'ws://2130706433:9999',
  'ws://127.0.0.%31:9999',
  'ws://0.0.0.0:9999',
  'ws://10.0.0.1:9999',
  'ws://192.168.1.1',
  'ws://169.254.169.254',
  'ws://[fe80::1]:9999',
  'ws://[fd00::1]:9999',
  'ws://router:9999',
  'ws://nas.local',
]

describe('a relay is no way into what its clients cannot reach', () => {
  test('[R63] from a public address no address of this machine or a network is dialled, however it is written', () => {
    const relay = new TestRelay()
    nearUrls.forEach((near, at) => {
      const client = relay.connect(at + 1)
      expect(client.askService(near).answer(), near).toMatchObject({ type: 'refused', reason: 'not-allowed' })
    })
    expect(relay.services).toEqual([])
    // Names are judged by what they resolve to, as far away as this says.
    relay.connect(99).askService('ws://rebinding.example.org:9999')
    expect(relay.services.map(({ nearest }) => nearest)).toEqual(['public'])
  })

  test('[R63] as near as the client, or farther; who cannot be placed counts as public', () => {
    const relay = new TestRelay()
    const asked = (from: string, to: string) => relay.connect(1, from).askService(to).answer()?.type
    expect(asked('ws://127.0.0.1:4000', 'ws://127.0.0.1:9999')).toBe('opened')
    expect(asked('ws://[::1]:4000', 'ws://192.168.1.7:9999')).toBe('opened')
    expect(asked('ws://192.168.1.5:4000', 'ws://192.168.1.7:9999')).toBe('opened')
    expect(asked('ws://192.168.1.5:4000', 'wss://mail.example.org')).toBe('opened')
    expect(asked('ws://192.168.1.5:4000', 'ws://127.0.0.1:9999')).toBe('refused')
    for (const from of ['memory:x', 'ws://0.0.0.0:4000', 'ws://224.0.0.1:1', '']) {
      expect(asked(from, 'ws://192.168.1.7:9999'), from).toBe('refused')
    }
    expect(relay.services.map(({ nearest }) => nearest)).toEqual(['loopback', 'loopback', 'private', 'private'])
  })

  test('[R63] behind a proxy that is not trusted everybody looks near: where the relay is public, services must be', () => {
    const services = (nearest: 'public' | 'loopback') => {
      let pipe = 1_000
      return { nearest, nextPipe: () => pipe++ as never }
    }
    const attack = (relay: TestRelay) => {
      for (const near of nearUrls.slice(0, 3)) relay.connect(1, 'ws://127.0.0.1:5000').askService(near)
      return tooNear(relay, 'public')
    }
    expect(attack(new TestRelay({}, { services: services('public') }))).toEqual([])
    // The check above can fail: a relay that was not told so lets them in.
    expect(attack(new TestRelay({}, { services: services('loopback') }))).toHaveLength(3)
  })

  test('[R63] garbage is no URL, and ports of other services are not dialled', () => {
    const relay = new TestRelay({ badMessagesMax: 1_000 })
    const client = relay.connect(1)
    for (const port of [1, 22, 25, 53, 110, 143, 445, 1_023, 65_536, 99_999]) {
      const { answer } = client.askService(`ws://mail.example.org:${port}`)
      expect(answer(), String(port)).toMatchObject({ reason: 'not-allowed' })
    }
    for (const odd of [
      'ws://[:9',
      'ws://a]b',
      'ws://:80',
      'ws:///x',
      'ws://a:b',
      'ws://a:80:90',
      'ws://[::1',
      'ws://%',
    ]) {
      expect(client.askService(odd).answer(), odd).toMatchObject({ reason: 'not-allowed' })
    }
    expect(relay.services).toEqual([])
    for (const port of [80, 443, 1_024, 65_535]) {
      expect(client.askService(`ws://mail.example.org:${port}`).answer()).toMatchObject({ type: 'opened' })
    }
  })
})

describe('bounds of ways', () => {
  const patient = { messagesBurst: 100_000, messagesPerSecond: 100_000 }

  test('[R64] 10,000 requests of one client dial as many as its bounds say, and end its link', () => {
    const relay = new TestRelay()
    const client = relay.connect(1)
    for (let at = 0; at < 10_000 && client.isUp; at++) client.askService(`ws://198.51.100.${at & 0xff}:9999`)
    expect(client.ended).toBe('protocol-error')
    expect(relay.services).toHaveLength(defaultRelayLimits.servicesPerClientMax)
    expect(leftovers(relay)).toEqual({})
  })

  test('[R64] a port scan is held to the rate of its group, whatever links and pseudonyms it uses', () => {
    const relay = new TestRelay({ ...patient })
    relay.onDial = (service) => service.close(false)
    let port = 2_000
    const scan = (seed: number) => {
      const client = relay.connect(seed, sameGroup[seed % 2])
      for (let at = 0; at < 500; at++) client.askService(`ws://198.51.100.7:${port++}`)
      relay.disconnect(client)
    }
    const { serviceDialsBurst, serviceDialsPerMinute } = defaultRelayLimits
    for (let seed = 1; seed <= 20; seed++) scan(seed)
    expect(relay.services).toHaveLength(serviceDialsBurst)
    relay.pass(60_000)
    for (let seed = 1; seed <= 20; seed++) scan(seed)
    expect(relay.services.length).toBeLessThanOrEqual(serviceDialsBurst + serviceDialsPerMinute)
    expect(relay.services.length).toBeGreaterThan(serviceDialsBurst)
    // Others are not held up by it.
    relay.onDial = (service) => service.answer()
    expect(relay.connect(200).askService(url).answer()).toMatchObject({ type: 'opened' })
  })

  test('[R64] dials under way are bounded: of a group, to a host, and in all', () => {
    const relay = new TestRelay({ ...patient, servicesPerClientMax: 100 })
    relay.onDial = () => undefined
    const open = (client: TestClient, host: string) => client.askService(`ws://${host}:9999`).answer()
    const [first] = [relay.connect(1, sameGroup[0])]
    for (let at = 0; at < 16; at++) expect(open(first, `h${at}.example.org`)).toBeUndefined()
    expect(open(first, 'other.example.org')).toMatchObject({ reason: 'busy' })
    expect(open(relay.connect(2, sameGroup[1]), 'other.example.org')).toMatchObject({ reason: 'busy' })
    // One host, from many.
    for (let at = 0; at < 16; at++) expect(open(relay.connect(10 + at), 'slow.example.org')).toBeUndefined()
    expect(open(relay.connect(30), 'SLOW.example.org')).toMatchObject({ reason: 'busy' })
    for (let at = 0; at < 32; at++) expect(open(relay.connect(40 + at), `g${at}.example.org`)).toBeUndefined()
    expect(relay.services).toHaveLength(defaultRelayLimits.serviceDialsMax)
    expect(open(relay.connect(90), 'last.example.org')).toMatchObject({ reason: 'busy' })
    relay.pass(defaultRelayLimits.serviceDialMs + 1_000)
    expect(open(relay.connect(91), 'slow.example.org')).toBeUndefined()
  })

  test('[R64] ways are bounded: of a link, of a group, in all; one that ends makes room', () => {
    const limits = { servicesPerClientMax: 2, servicesPerGroupMax: 3, servicesMax: 4 }
    const relay = new TestRelay(limits)
    const [a, b, c, d] = [
      relay.connect(1, sameGroup[0]),
      relay.connect(2, sameGroup[1]),
      relay.connect(3),
      relay.connect(4),
    ]
    const open = (client: TestClient) => client.askService(url).answer()
    expect([open(a), open(a), open(a)].map((answer) => answer?.type)).toEqual(['opened', 'opened', 'refused'])
    expect([open(b), open(b)]).toMatchObject([{ type: 'opened' }, { reason: 'too-many-circuits' }])
    expect([open(c), open(d)]).toMatchObject([{ type: 'opened' }, { reason: 'busy' }])
    const [first] = a.ofType('opened')
    a.say({ type: 'close', circuit: first?.circuit ?? 0, reason: 'bye' })
    expect(open(d)).toMatchObject({ type: 'opened' })
    expect(relay.service.view().services).toBe(4)
  })

  test('[R64] in all, dials are held to a rate as well', () => {
    const relay = new TestRelay({ serviceDialsTotalBurst: 10, serviceDialsPerSecond: 1 })
    const types = () =>
      Array.from(
        { length: 20 },
        (_, at) =>
          relay
            .connect(at + 1)
            .askService(`ws://h${at}.example.org`)
            .answer()?.type,
      )
    expect(types().filter((type) => type === 'opened')).toHaveLength(10)
    relay.pass(3_000)
    expect(types().filter((type) => type === 'opened')).toHaveLength(3)
  })

  test('[R65] half a message waits within the window; one too large ends the way, for that client only', () => {
    const relay = new TestRelay()
    const [client, other] = [relay.connect(1), relay.connect(2)]
    const { service, circuit } = relay.way(client)
    const kept = relay.way(other)
    for (let at = 0; at < 4; at++) client.chunk(circuit, counted(full), false)
    expect(service.received).toEqual([])
    expect(relay.service.view().queuedBytes).toBe(4 * full)
    client.chunk(circuit, counted(pipeMessageSizeMax - 4 * full + 1), false)
    expect(reasonOf(client)).toBe('protocol-error')
    expect(service.isClosed).toBe(true)
    expect(relay.service.view()).toMatchObject({ queuedBytes: 0, services: 1 })
    other.chunk(kept.circuit, counted(10), true)
    expect(kept.service.received).toEqual([counted(10)])
    expect(client.isUp).toBe(true)
  })

  test('[R65] a service that never reads leaves its client without credit; more than the window ends the way', () => {
    const relay = new TestRelay()
    const client = relay.connect(1)
    const { service, circuit } = relay.way(client)
    service.isReading = false
    const send = () => client.chunk(circuit, counted(8_192), true)
    for (let at = 0; at < window / 8_192; at++) send()
    const handed = service.received.length * 8_192
    expect(handed).toBe(defaultRelayLimits.unsentMax)
    expect(client.ofType('credit').reduce((sum, { bytes }) => sum + bytes, 0)).toBe(handed)
    for (let at = 0; at < handed / 8_192; at++) send()
    expect(relay.service.view().queuedBytes).toBe(window)
    // It reads after all: everything comes.
    service.isReading = true
    service.read()
    expect(service.received).toHaveLength((window + handed) / 8_192)
    service.isReading = false
    service.read()
    for (let at = 0; at < 1_000 && reasonOf(client) === undefined; at++) send()
    expect(reasonOf(client)).toBe('flow-control')
    expect(relay.service.view()).toMatchObject({ queuedBytes: 0, services: 0 })
  })

  test('[R66] a flood is held to what its client credits, and ends the way at the bound', () => {
    const relay = new TestRelay()
    const client = relay.connect(1)
    const { service, circuit } = relay.way(client)
    const { serviceQueuedBytesMax } = defaultRelayLimits
    let most = 0
    for (let at = 0; at < 1_000 && !service.isClosed; at++) {
      service.say(counted(65_536))
      most = Math.max(most, relay.service.view().queuedBytes)
    }
    expect(client.total(circuit)).toBeLessThanOrEqual(window)
    expect(client.total(circuit)).toBeGreaterThan(window - 2 * full)
    expect(most).toBe(serviceQueuedBytesMax)
    expect(reasonOf(client)).toBe('busy')
    expect(relay.service.view()).toMatchObject({ queuedBytes: 0, services: 0 })
    expect(relay.count('closed-busy')).toBe(1)
  })

  test('[R66] tiny messages count for more than they have, empty ones not at all; one too large ends the way', () => {
    const relay = new TestRelay({ serviceQueuedBytesMax: 25_600, windowSize: 32_704 })
    const client = relay.connect(1)
    const { service } = relay.way(client)
    for (let at = 0; at < 1_000 && !service.isClosed; at++) service.say(Uint8Array.of(1))
    expect(service.isClosed).toBe(true)
    const other = relay.way(client)
    other.service.say(new Uint8Array(0))
    expect(reasonOf(client)).toBe('busy')
    other.service.say(new Uint8Array(65_537))
    expect(reasonOf(client)).toBe('protocol-error')
  })

  test('[R66] a client that does not read its link at all keeps nobody else waiting', () => {
    const relay = new TestRelay({ unsentMax: 40_000 })
    const [stuck, other] = [relay.connect(1), relay.connect(2)]
    const [first, second] = [relay.way(stuck), relay.way(other)]
    stuck.isReading = false
    const received = collect(other, second.circuit)
    for (let at = 0; at < 12; at++) {
      first.service.say(counted(65_536))
      second.service.say(counted(65_536))
    }
    relay.pass(1_000)
    expect(received).toHaveLength(12)
    expect(stuck.unread.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(80_000)
    relay.disconnect(stuck)
    expect(first.service.isClosed).toBe(true)
    expect(relay.service.view()).toMatchObject({ queuedBytes: 0, services: 1 })
  })

  test('[R66] what waits for ways and for circuits is bounded together', () => {
    const relay = new TestRelay({ queuedBytesMax: 300_000 })
    const clients = [1, 2, 3, 4].map((seed) => relay.connect(seed))
    const ways = clients.map((client) => relay.way(client))
    for (let round = 0; round < 30; round++) for (const { service } of ways) service.say(counted(65_536))
    expect(relay.service.view().queuedBytes).toBeLessThanOrEqual(600_000)
    expect(relay.count('closed-busy')).toBeGreaterThan(0)
  })

  test("[R67] bytes both ways are the client's: of the day, of its group", () => {
    const relay = new TestRelay({ groupBytesPerDay: 10_000 })
    const client = relay.connect(1, sameGroup[0])
    const { service, circuit } = relay.way(client)
    client.chunk(circuit, counted(4_000), true)
    service.say(counted(6_000))
    expect(client.total(circuit)).toBe(6_000)
    service.say(counted(1))
    expect(reasonOf(client)).toBe('quota')
    expect(relay.connect(2, sameGroup[1]).askService(url).answer()).toMatchObject({ reason: 'quota' })
  })

  test('[R67] a rate holds back what a service sends, and loses nothing', () => {
    const relay = new TestRelay({ clientBytesPerSecond: 100_000 })
    const client = relay.connect(1)
    const { service, circuit } = relay.way(client)
    const received = collect(client, circuit)
    for (let at = 0; at < 12; at++) service.say(counted(full))
    expect(client.total(circuit)).toBeLessThan(2 * full)
    relay.pass(1_000)
    expect(client.total(circuit)).toBeLessThan(130_000)
    relay.pass(2_000)
    expect(received).toHaveLength(12)
  })

  test('[R67] nobody speaks: it is closed, sooner where nobody ever did', () => {
    const relay = new TestRelay()
    const [client, other] = [relay.connect(1), relay.connect(2)]
    relay.way(client)
    const used = relay.way(other)
    other.chunk(used.circuit, counted(1), true)
    relay.pass(defaultRelayLimits.unusedMs + 1_000)
    expect([reasonOf(client), reasonOf(other)]).toEqual(['idle', undefined])
    relay.pass(defaultRelayLimits.idleMs)
    expect(reasonOf(other)).toBe('idle')
    expect(relay.service.view().services).toBe(0)
  })
})

describe('ends of ways', () => {
  test('[R68] a client that closes: the service gets what waits, then the end, within a time', () => {
    for (const reads of [true, false]) {
      const relay = new TestRelay({ unsentMax: 10_000 })
      const client = relay.connect(1)
      const { service, circuit } = relay.way(client)
      service.isReading = false
      for (let at = 0; at < 5; at++) client.chunk(circuit, counted(8_000), true)
      client.chunk(circuit, counted(100), false)
      client.say({ type: 'close', circuit, reason: 'bye' })
      expect([service.received.length, service.isClosed]).toEqual([2, false])
      expect(relay.service.view().queuedBytes).toBe(3 * 8_000)
      service.isReading = reads
      if (reads) service.read()
      expect([service.received.length, service.isClosed]).toEqual(reads ? [5, true] : [2, false])
      relay.pass(defaultRelayLimits.serviceCloseMs + 1_000)
      expect(service.isClosed).toBe(true)
      expect(client.ofType('close')).toEqual([])
      expect(relay.service.view()).toMatchObject({ services: 0, queuedBytes: 0 })
      expect(relay.count('bad-messages')).toBe(0)
    }
  })

  test('[R68] a service that ends: the client gets what waits, then the end and how it ended', () => {
    for (const isOrderly of [true, false]) {
      const relay = new TestRelay()
      const client = relay.connect(1)
      const { service, circuit } = relay.way(client)
      const messages = Array.from({ length: 6 }, (_, at) => counted(65_536, at))
      for (const message of messages) service.say(message)
      service.close(isOrderly)
      expect(reasonOf(client)).toBeUndefined()
      // Under way: dropped.
      client.chunk(circuit, counted(500), true)
      const sizes = client.received.get(circuit) ?? []
      client.onChunk = ({ bytes }) => client.say({ type: 'credit', circuit, bytes: Math.max(256, bytes.length) })
      for (const size of [...sizes]) client.say({ type: 'credit', circuit, bytes: Math.max(256, size) })
      expect(client.total(circuit)).toBe(6 * 65_536)
      expect(reasonOf(client)).toBe(isOrderly ? 'bye' : 'peer-gone')
      expect(relay.count('bad-messages')).toBe(0)
      expect(relay.service.view()).toMatchObject({ services: 0, queuedBytes: 0 })
    }
  })

  test('[R68] bad credit ends it at both ends; the end of the relay as well', () => {
    const relay = new TestRelay()
    const client = relay.connect(1)
    const [first, second] = [relay.way(client), relay.way(client)]
    first.service.say(counted(300))
    client.say({ type: 'credit', circuit: first.circuit, bytes: 400 })
    expect([reasonOf(client), first.service.isClosed]).toEqual(['flow-control', true])
    relay.onDial = () => undefined
    const { answer } = client.askService(url)
    relay.input({ type: 'stop' })
    expect([reasonOf(client), second.service.isClosed]).toEqual(['shutdown', true])
    expect(answer()).toMatchObject({ type: 'refused', reason: 'busy' })
    expect(leftovers(relay)).toEqual({})
  })

  test('[R58] [R61] no order of what happens leaves anything behind, or more waiting than is allowed', () => {
    const at = fc.nat(3)
    const step = fc.oneof(
      fc.record({ type: fc.constant('open' as const), near: fc.boolean() }),
      fc.record({
        type: fc.constant('chunk' as const),
        at,
        size: fc.integer({ min: 1, max: full }),
        isLast: fc.boolean(),
      }),
      fc.record({ type: fc.constant('credit' as const), at, size: fc.nat(20_000) }),
      fc.record({
        type: fc.constant('close' as const),
        at,
        reason: fc.constantFrom(...Object.keys(circuitCloseReasons)),
      }),
      fc.record({ type: fc.constant('answer' as const), at }),
      fc.record({ type: fc.constant('say' as const), at, size: fc.nat(66_000) }),
      fc.record({ type: fc.constant('end' as const), at, isOrderly: fc.boolean() }),
      fc.record({ type: fc.constant('read' as const), at, isReading: fc.boolean() }),
      fc.record({ type: fc.constant('pass' as const), ms: fc.nat(10_000) }),
      fc.record({ type: fc.constant('leave' as const) }),
    )
    const steps = fc.array(fc.record({ who: fc.nat(1), what: step }), { maxLength: 80 })
    fc.assert(
      fc.property(steps, (list) => {
        const relay = new TestRelay({ unsentMax: 20_000, serviceQueuedBytesMax: 150_000, queuedBytesMax: 200_000 })
        relay.onDial = () => undefined
        const clients = [relay.connect(1), relay.connect(2)]
        for (const { who, what } of list) {
          const client = clients[who] as TestClient
          const service = 'at' in what ? relay.services[what.at] : undefined
          // Events come from pipes that are there only.
          const isThere = service !== undefined && !service.isClosed
          if (what.type === 'open') client.askService(what.near ? 'ws://127.0.0.1:9999' : url)
          else if (what.type === 'chunk') client.chunk(what.at + 1, counted(what.size), what.isLast)
          else if (what.type === 'credit') client.say({ type: 'credit', circuit: what.at + 1, bytes: what.size })
          else if (what.type === 'close')
            client.say({ type: 'close', circuit: what.at + 1, reason: what.reason as 'bye' })
          else if (what.type === 'answer' && isThere) service.answer()
          else if (what.type === 'say' && isThere) service.say(counted(what.size))
          else if (what.type === 'end' && isThere) {
            service.isClosed = true
            service.close(what.isOrderly)
          } else if (what.type === 'read' && service !== undefined) {
            service.isReading = what.isReading
            if (what.isReading) service.read()
          } else if (what.type === 'pass') relay.pass(what.ms)
          else if (what.type === 'leave') {
            relay.disconnect(client)
            clients[who] = relay.connect(who + 1)
          }
          expect(relay.service.view().queuedBytes).toBeGreaterThanOrEqual(0)
          expect(relay.service.view().queuedBytes).toBeLessThanOrEqual(400_000)
        }
        expect(tooNear(relay, 'public')).toEqual([])
        for (const client of [...relay.clients.values()]) relay.disconnect(client)
        relay.pass(defaultRelayLimits.serviceCloseMs + 1_000)
        expect(leftovers(relay)).toEqual({})
        expect(relay.services.every(({ isClosed }) => isClosed)).toBe(true)
      }),
      { numRuns: 150 },
    )
  })

  test('[R61] the search for leftovers can fail: a pipe whose end is kept from the relay is found', () => {
    const relay = new TestRelay()
    const client = relay.connect(1)
    const { service } = relay.way(client)
    service.say(counted(65_536))
    expect(leftovers(relay)).toEqual({ links: 1, services: 1 })
    // The planted fault: the client is gone, and nobody tells the relay.
    relay.clients.delete(client.pipe)
    expect(leftovers(relay)).not.toEqual({})
    relay.disconnect(client)
    expect(leftovers(relay)).toEqual({})
  })
})
