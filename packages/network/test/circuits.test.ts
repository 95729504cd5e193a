import { formatCircuitAddress, formatRelayAddress, type RelayIceServer, reservationIdOf } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { toIceServer } from '../src/circuit/circuits-ice-servers.ts'
import { defaultCircuitsLimits } from '../src/circuit/circuits-limits.ts'
import type { PipeId } from '../src/ports.ts'
import { addDouble, addService } from './circuits-relays.ts'
import { connect, numbered, violations, World, wants } from './circuits-world.ts'
import { crypto, testPseudonym } from './identities.ts'

const bytesOf = (received: readonly { readonly bytes: Uint8Array }[]) => received.map(({ bytes }) => bytes)

describe.each(['double', 'service'])('with a relay (%s)', (kind) => {
  const addRelay = (world: World, seed: number) =>
    kind === 'service' ? addService(world, seed) : addDouble(world, seed).relay

  test('[C10] [C11] a circuit carries messages of every size, both ways, in order', () => {
    const world = new World()
    const pair = connect(world, addRelay(world, 900))
    const { alice, bob } = pair
    expect(alice.circuits.owns(pair.out) && bob.circuits.owns(pair.in)).toBe(true)
    const sizes = [8, 255, 256, 16_349, 16_350, 16_351, 65_535, 65_536]
    const sent = sizes.map((size, index) => numbered(index, size))
    for (const bytes of sent) world.write(alice, pair.out, bytes)
    for (const bytes of sent) world.write(bob, pair.in, bytes)
    world.run(1_000)
    expect(violations(bytesOf(bob.received), sent)).toEqual([])
    expect(violations(bytesOf(alice.received), sent)).toEqual([])
    expect(alice.circuits.counters()).toEqual({})
  })

  test('[C12] more than a window flows on with credit, whatever the sizes', () => {
    const world = new World()
    const pair = connect(world, addRelay(world, 901))
    const sent = Array.from({ length: 3_000 }, (_, index) => numbered(index, 8 + ((index * 7_919) % 2_000)))
    for (const bytes of sent) world.write(pair.alice, pair.out, bytes)
    world.run(20_000, () => pair.bob.received.length === sent.length)
    expect(violations(bytesOf(pair.bob.received), sent)).toEqual([])
  })

  test('[C14] a close comes behind what was sent before it, once, without an error', () => {
    const world = new World()
    const pair = connect(world, addRelay(world, 902))
    const sent = Array.from({ length: 12 }, (_, index) => numbered(index, 65_536))
    for (const bytes of sent) world.write(pair.alice, pair.out, bytes)
    world.handle(pair.alice, { type: 'close', pipe: pair.out })
    expect(pair.alice.closed).toHaveLength(0)
    world.run(1_500)
    expect(violations(bytesOf(pair.bob.received), sent)).toEqual([])
    expect(pair.bob.closed).toEqual([{ pipe: pair.in, error: undefined, at: expect.any(Number) }])
    expect(pair.alice.closed).toEqual([{ pipe: pair.out, error: undefined, at: expect.any(Number) }])
    expect([pair.alice.circuits.owns(pair.out), pair.bob.circuits.owns(pair.in)]).toEqual([false, false])
  })

  test('[C24] nobody holds the reservation, or nobody is at that address: the dial fails with a reason', () => {
    const world = new World()
    const relay = addRelay(world, 903)
    const alice = world.addPeer('alice')
    const reservation = new Uint8Array(16)
    const pipe = world.dial(alice, formatCircuitAddress({ relay: relay.address, reservation }))
    world.run(1_000)
    expect(alice.closedPipe(pipe)?.error).toEqual({ type: 'unreachable', detail: 'the relay refuses: no-reservation' })
    const gone = { ...relay.address, url: 'ws://192.0.2.99:1', relayId: new Uint8Array(16).fill(7) }
    const second = world.dial(alice, formatCircuitAddress({ relay: gone, reservation }))
    world.run(1_000)
    expect(alice.closedPipe(second)?.error).toEqual({
      type: 'unreachable',
      detail: 'the relay does not answer: refused',
    })
    const third = world.dial(alice, 'circuit:nonsense')
    expect(alice.closedPipe(third)?.error?.type).toBe('bad-address')
  })

  test('[C27] a link made for a circuit is closed when nobody uses it any more', () => {
    const world = new World()
    const pair = connect(world, addRelay(world, 904))
    expect(pair.alice.circuits.sizes().links).toBe(1)
    world.handle(pair.alice, { type: 'close', pipe: pair.out })
    world.run(defaultCircuitsLimits.idleMs - 1_000)
    expect(pair.alice.circuits.sizes().links).toBe(1)
    world.run(2_000)
    expect(pair.alice.circuits.sizes()).toMatchObject({ links: 0, circuits: 0 })
    expect(pair.bob.circuits.sizes().links).toBe(1)
  })

  test('stop: circuits end, the reservation is given up, the links are closed, nothing is due any more', () => {
    const world = new World()
    const pair = connect(world, addRelay(world, 905))
    world.handle(pair.bob, { type: 'stop' })
    expect(pair.bob.closedPipe(pair.in)?.error).toBeUndefined()
    expect(pair.bob.closed).toHaveLength(1)
    expect(pair.bob.circuits.deadline()).toBe(Number.POSITIVE_INFINITY)
    world.run(1_000)
    expect(pair.alice.closed).toHaveLength(1)
    const late = world.dial(
      pair.bob,
      formatCircuitAddress({ relay: pair.relay.address, reservation: new Uint8Array(16) }),
    )
    expect(pair.bob.closedPipe(late)?.error).toEqual({ type: 'unavailable', detail: 'stopped' })
    const refused = world.dial(pair.alice, `circuit:${'A'.repeat(22)}.${formatRelayAddress(pair.relay.address)}`)
    world.run(1_000)
    expect(pair.alice.closedPipe(refused)?.error?.type).toBe('unreachable')
  })

  test('[C33] [C34] what is measured: round trip, both ways, the clock', () => {
    const world = new World()
    const relay = addRelay(world, 906)
    const bob = world.addPeer('bob')
    world.upRate = 1_000
    wants(world, bob, relay)
    world.run(1_000)
    world.handle(bob, { type: 'measure', id: 5, relay: relay.address })
    world.handle(bob, { type: 'measure', id: 6, relay: relay.address })
    world.run(5_000, () => bob.measured.length === 2)
    expect(bob.measured[0]).toEqual({
      type: 'measured',
      id: 6,
      result: { ok: false, detail: 'a measurement is under way' },
    })
    const result = bob.measured[1]?.result
    expect(result?.ok).toBe(true)
    if (result?.ok !== true) return
    expect(result.latencyMs).toBeGreaterThan(19)
    expect(result.latencyMs).toBeLessThan(22)
    // A thousand bytes a millisecond, less what chunks and padding take.
    expect(result.upBytesPerSecond).toBeGreaterThan(900_000)
    expect(result.upBytesPerSecond).toBeLessThan(1_000_001)
    expect(result.downBytesPerSecond).toBeGreaterThan(1_000_000)
    const [view] = bob.circuits.views()
    expect(Math.abs(view?.clockOffsetMs ?? 99)).toBeLessThan(5)
    world.handle(bob, { type: 'measure', id: 7, relay: { url: 'ws://x', relayId: new Uint8Array(16) } })
    expect(bob.measured[2]?.result).toEqual({ ok: false, detail: 'this relay is not linked' })
  })
})

describe('reservations', () => {
  test('[C30] of five relays the best three are kept; one that dies is replaced, and its address goes', () => {
    const world = new World()
    const relays = [1, 2, 3, 4, 5].map((seed) => addService(world, 910 + seed))
    const [first, second, third, fourth] = relays
    const bob = world.addPeer('bob')
    wants(world, bob, ...relays)
    world.run(1_000)
    expect(bob.addresses.map(({ relay }) => relay.url)).toEqual(
      [first, second, third].map((relay) => relay?.address.url),
    )
    expect(relays.map(({ dials }) => dials)).toEqual([1, 1, 1, 0, 0])
    world.run(20_000)
    if (second === undefined) return
    world.kill(second)
    world.run(15_000)
    expect(bob.addresses.map(({ relay }) => relay.url)).toEqual(
      [first, third, fourth].map((relay) => relay?.address.url),
    )
    const views = bob.circuits.views()
    expect(views.map(({ state }) => state)).toEqual(['reserved', 'unreachable', 'reserved', 'reserved'])
    expect(views[1]).toMatchObject({ error: 'refused', circuits: 0 })
  })

  test('[C30] dead relays at the head of the list keep nobody waiting for their timeouts', () => {
    const world = new World()
    const relays = [1, 2, 3, 4, 5].map((seed) => addService(world, 920 + seed))
    for (const relay of relays.slice(0, 3)) relay.isSilent = true
    const bob = world.addPeer('bob')
    wants(world, bob, ...relays)
    world.run(defaultCircuitsLimits.patienceMs + 500)
    expect(bob.addresses).toHaveLength(2)
  })

  test('[C1] the reservation is the pseudonym’s own: no answer of a relay changes its name', () => {
    const world = new World()
    const { relay, double } = addDouble(world, 930)
    const bob = world.addPeer('bob', {}, 3)
    wants(world, bob, relay)
    world.run(1_000)
    const { relayId } = relay.address
    const identity = testPseudonym(3_000 + (relayId[0] ?? 0) * 256 + (relayId[1] ?? 0))
    const key = identity.certificate.slice(3, 35)
    expect(bob.addresses[0]?.reservation).toEqual(reservationIdOf(key, (bytes) => crypto.sha256(bytes)))
    expect(double.heard).toEqual([{ type: 'reserve', request: 1 }])
  })

  test('[C31] it is renewed in time, whatever life the relay tells, and lost when that is refused', () => {
    for (const expiresIn of [0, 1, 100, 0xffff_ffff]) {
      const world = new World()
      const { relay, double } = addDouble(world, 931)
      double.reserved = { expiresIn }
      const bob = world.addPeer('bob')
      wants(world, bob, relay)
      const life = Math.min(Math.max(expiresIn * 1_000, 30_000), 86_400_000)
      world.run(life)
      const reserves = () => double.heard.filter(({ type }) => type === 'reserve').length
      expect(reserves()).toBeGreaterThanOrEqual(2)
      expect(reserves()).toBeLessThanOrEqual(3)
      expect(bob.addressLists).toHaveLength(1)
      double.answer = (message) =>
        message.type === 'reserve'
          ? [{ type: 'refused', request: message.request, reason: 'quota', retryIn: 60 }]
          : undefined
      world.run(life, () => bob.addresses.length === 0)
      expect(bob.addresses).toEqual([])
      expect(bob.circuits.views()[0]).toMatchObject({ state: 'refused', error: 'the relay refuses: quota' })
    }
  })

  test('[C31] a refusal lasts as long as the relay says, at most an hour', () => {
    const world = new World()
    const { relay, double } = addDouble(world, 932)
    double.answer = (message) =>
      message.type === 'reserve'
        ? [{ type: 'refused', request: message.request, reason: 'too-many-reservations', retryIn: 0xffff_ffff }]
        : undefined
    const bob = world.addPeer('bob')
    wants(world, bob, relay)
    world.run(3_590_000)
    const reserves = () => double.heard.filter(({ type }) => type === 'reserve').length
    expect(reserves()).toBe(1)
    world.run(20_000)
    expect(reserves()).toBe(2)
  })

  test('[C31] a link that comes back keeps the address listed', () => {
    const world = new World()
    const relay = addService(world, 933)
    const bob = world.addPeer('bob')
    wants(world, bob, relay)
    world.run(12_000)
    world.kill(relay)
    relay.isDown = false
    world.run(5_000)
    expect(bob.circuits.views()[0]?.state).toBe('reserved')
    expect(bob.addressLists).toHaveLength(1)
    expect(relay.dials).toBe(2)
  })

  test('[C25] a relay that is down is dialled again with growing waits', () => {
    const world = new World()
    const relay = addService(world, 934)
    relay.isDown = true
    const bob = world.addPeer('bob')
    wants(world, bob, relay)
    world.run(60_000)
    expect(relay.dials).toBeGreaterThan(4)
    expect(relay.dials).toBeLessThan(9)
    world.handle(bob, { type: 'network-changed' })
    relay.isDown = false
    world.run(200)
    expect(bob.addresses).toHaveLength(1)
  })

  test('a relay that is no longer wanted is released and its address goes at once', () => {
    const world = new World()
    const { relay, double } = addDouble(world, 935)
    const bob = world.addPeer('bob')
    wants(world, bob, relay)
    world.run(1_000)
    wants(world, bob)
    expect(bob.addresses).toEqual([])
    world.run(defaultCircuitsLimits.idleMs + 1_000)
    expect(double.heard.at(-1)).toEqual({ type: 'release' })
    expect(bob.circuits.sizes().links).toBe(0)
    expect(bob.circuits.views()).toEqual([])
  })

  test('what the relay sees of us, and its servers, are shown while the reservation stands', () => {
    const world = new World()
    const { relay, double } = addDouble(world, 936)
    const secret = { username: 'u', credential: 'c' }
    double.reserved = {
      observed: Uint8Array.of(203, 0, 113, 9, 0x0f, 0xa0),
      iceServers: [
        { scheme: 'stun', port: 3478, transport: 'udp', username: '', credential: '' },
        { scheme: 'turn', port: 3478, transport: 'udp', ...secret },
        { scheme: 'turns', port: 5349, transport: 'udp', ...secret },
      ],
    }
    const bob = world.addPeer('bob')
    wants(world, bob, relay)
    world.run(1_000)
    expect(bob.circuits.views()[0]).toMatchObject({ observed: '203.0.113.9:4000' })
    expect(bob.iceServers).toEqual([
      { urls: 'stun:192.0.2.1:3478' },
      { urls: 'turn:192.0.2.1:3478?transport=udp', ...secret },
    ])
    expect(bob.circuits.counters()).toEqual({ 'ice-servers-refused': 1 })
    wants(world, bob)
    expect(bob.iceServers).toEqual([])
  })

  test('[C32] servers are on the relay’s own host, and nothing else of them is believed', () => {
    const server = (changes: Partial<RelayIceServer>): RelayIceServer => ({
      ...{ scheme: 'turn', port: 1, transport: 'tcp', username: 'u', credential: 'c' },
      ...changes,
    })
    expect(toIceServer('wss://relay.example.org/a', server({}))?.urls).toBe('turn:relay.example.org:1?transport=tcp')
    expect(toIceServer('ws://[2001:db8::1]:99', server({ scheme: 'turns' }))?.urls).toBe(
      'turns:[2001:db8::1]:1?transport=tcp',
    )
    const refused = [
      server({ scheme: 'stun' }),
      server({ scheme: 'stun', transport: 'udp' }),
      server({ scheme: 'stun', username: '', credential: '' }),
      server({ scheme: 'turns', transport: 'udp' }),
      server({ username: '' }),
      server({ credential: '' }),
      server({ credential: 'a\nb' }),
      server({ username: 'é' }),
    ]
    for (const each of refused) expect(toIceServer('ws://a', each)).toBeUndefined()
    expect(toIceServer('ws://a@b', server({}))).toBeUndefined()
  })
})

describe('bounds', () => {
  test('[C13] more waits than may: the circuit breaks, alone', () => {
    const world = new World()
    const { relay, double } = addDouble(world, 940)
    const limits = { queuedBytesMax: 100_000 }
    const pair = connect(world, relay, limits)
    const second = world.dial(pair.alice, pair.bob.way)
    world.run(200)
    double.answer = (message) => (message.type === 'credit' ? [] : undefined)
    // The window takes four.
    for (let index = 0; index < 4; index++) world.write(pair.alice, pair.out, numbered(index, 65_536))
    world.write(pair.alice, pair.out, numbered(4, 65_536))
    expect(pair.alice.closed).toEqual([])
    world.write(pair.alice, pair.out, numbered(5, 65_536))
    expect(pair.alice.closedPipe(pair.out)?.error?.type).toBe('broken')
    expect(pair.alice.circuits.owns(second)).toBe(true)
  })

  test('[TR1] a message above 64 KiB is not sent', () => {
    const world = new World()
    const pair = connect(world, addDouble(world, 941).relay)
    world.write(pair.alice, pair.out, new Uint8Array(65_537))
    expect(pair.alice.closedPipe(pair.out)?.error).toEqual({ type: 'too-large', size: 65_537, sizeMax: 65_536 })
  })

  test('[C16] circuits of one relay, those of others and own ones', () => {
    const world = new World()
    const relay = addService(world, 942)
    const [alice, carol] = [world.addPeer('alice', { circuitsPerRelayMax: 3 }), world.addPeer('carol')]
    const bob = world.addPeer('bob', { circuitsPerRelayMax: 4 })
    wants(world, bob, relay)
    world.run(500)
    const own = [1, 2, 3, 4].map(() => world.dial(alice, bob.way))
    expect(alice.closedPipe(own[3] as PipeId)?.error).toEqual({ type: 'too-many-pipes', pipesMax: 3 })
    world.run(500)
    const others = [1, 2].map(() => world.dial(carol, bob.way))
    world.run(500)
    expect(bob.circuits.sizes().circuits).toBe(4)
    expect(carol.closedPipe(others[0] as PipeId)).toBeUndefined()
    expect(carol.closedPipe(others[1] as PipeId)?.error?.type).toBe('broken')
    expect(bob.circuits.counters()).toEqual({ 'incoming-refused': 1 })
  })

  test('[C16] circuits in all', () => {
    const world = new World()
    const pair = connect(world, addService(world, 945), { circuitsMax: 1 })
    const second = world.dial(pair.alice, pair.bob.way)
    expect(pair.alice.closedPipe(second)?.error).toEqual({ type: 'too-many-pipes', pipesMax: 1 })
  })

  test('relays known at a time: an idle one makes room, one in use does not', () => {
    const world = new World()
    const pair = connect(world, addService(world, 946), { relaysMax: 2 })
    const dial = (fill: number) => {
      const relay = { url: 'ws://192.0.2.77:1', relayId: new Uint8Array(16).fill(fill) }
      return world.dial(pair.alice, formatCircuitAddress({ relay, reservation: new Uint8Array(16) }))
    }
    const pipes = [dial(1), dial(2)]
    expect(pair.alice.closedPipe(pipes[1] as PipeId)?.error?.type).toBe('too-many-pipes')
    world.run(1_000)
    dial(3)
    world.run(1_000)
    dial(4)
    expect(pair.alice.circuits.sizes().relays).toBe(2)
    expect(pair.alice.circuits.owns(pair.out)).toBe(true)
  })

  test('[C26] a URL that is not admitted is not dialled, unless the relay is wanted there', () => {
    const world = new World()
    const relay = addService(world, 948)
    const bob = world.addPeer('bob')
    wants(world, bob, relay)
    world.run(500)
    const alice = world.addPeer('alice', {}, 9, () => false)
    const first = world.dial(alice, bob.way)
    expect(alice.closedPipe(first)?.error?.type).toBe('unavailable')
    expect(relay.dials).toBe(1)
    wants(world, alice, relay)
    const second = world.dial(alice, bob.way)
    world.run(500)
    expect(alice.opened.map(({ pipe }) => pipe)).toEqual([second])
  })

  test('[C26] an address of a stranger with a wrong URL costs a dial and never the relay', () => {
    const world = new World()
    const relay = addService(world, 947)
    const [alice, bob] = [world.addPeer('alice'), world.addPeer('bob')]
    wants(world, bob, relay)
    world.run(500)
    const reservation = bob.addresses[0]?.reservation ?? new Uint8Array(16)
    const wrong = { ...relay.address, url: 'ws://192.0.2.66:1' }
    const first = world.dial(alice, formatCircuitAddress({ relay: wrong, reservation }))
    const second = world.dial(alice, bob.way)
    world.run(1_000)
    expect(alice.opened.map(({ pipe }) => pipe)).toEqual([first, second])
  })
})
