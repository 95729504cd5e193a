import {
  type CircuitData,
  circuitDataOverhead,
  circuitWindowSize,
  encodeCircuitData,
  formatCircuitAddress,
  frameTypes,
  type RelayMessage,
} from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { defaultCircuitsLimits } from '../src/circuit/circuits-limits.ts'
import { deviceLink, runLinked } from './circuits-e2e.ts'
import { addDouble, addService } from './circuits-relays.ts'
import { connect, greet, numbered, violations, World, wants } from './circuits-world.ts'
import { type SeededRandom, testIdentity, testPseudonym } from './identities.ts'
import { RelayDouble } from './relay-double.ts'

/** What a relay does to the chunks that pass; each ends the link of the two devices, and shows nothing wrong. */
const tampering: Readonly<Record<string, (random: SeededRandom) => (chunk: CircuitData) => CircuitData[]>> = {
  drops: (random) => (chunk) => (random.chance(0.2) ? [] : [chunk]),
  repeats: (random) => (chunk) => (random.chance(0.2) ? [chunk, chunk] : [chunk]),
  reorders: (random) => {
    let held: CircuitData | undefined
    return (chunk) => {
      if (held === undefined && random.chance(0.3)) {
        held = { ...chunk, bytes: chunk.bytes.slice() }
        return []
      }
      const out = held === undefined ? [chunk] : [chunk, held]
      held = undefined
      return out
    }
  },
  truncates: (random) => (chunk) =>
    random.chance(0.2) && chunk.bytes.length > 1 ? [{ ...chunk, bytes: chunk.bytes.slice(0, -1) }] : [chunk],
  rewrites: (random) => (chunk) => {
    if (random.chance(0.8)) return [chunk]
    const bytes = chunk.bytes.slice()
    bytes[random.below(bytes.length)] = random.below(256)
    return [{ ...chunk, bytes }]
  },
  'moves the ends of messages': (random) => (chunk) =>
    random.chance(0.2) ? [{ ...chunk, isLast: !chunk.isLast }] : [chunk],
  'makes chunks up': (random) => (chunk) =>
    random.chance(0.2) ? [{ ...chunk, isLast: true, bytes: random.bytes(256) }, chunk] : [chunk],
}

describe('a relay that tampers', () => {
  for (const [name, makePassOn] of Object.entries(tampering)) {
    test.each([1, 2, 3])(
      `[C10] it ${name}: the link of the devices notices, nothing false arrives (seed %i)`,
      (seed) => {
        const world = new World(seed)
        const { relay, double } = addDouble(world, 2_000 + seed)
        const pair = connect(world, relay)
        const ends = deviceLink(pair, { badMessagesMax: 8, silentMs: 2_000, probeIntervalMaxMs: 500 })
        expect(ends.alice.isUp && ends.bob.isUp).toBe(true)
        double.passOn = makePassOn(world.random)
        const sent: Uint8Array[] = []
        for (let number = 0; number < 60 && ends.alice.ended === undefined && ends.bob.ended === undefined; number++) {
          const payload = numbered(number, 8 + world.random.below(40_000))
          if (ends.alice.send(payload)) sent.push(payload)
          runLinked(world, [ends.alice, ends.bob], 100)
        }
        runLinked(world, [ends.alice, ends.bob], 15_000)
        // What came is a beginning of what was sent: nothing changed, doubled or out of order.
        expect(violations(ends.bob.frames, sent.slice(0, ends.bob.frames.length))).toEqual([])
        expect([ends.alice.ended, ends.bob.ended].some((reason) => reason !== undefined)).toBe(true)
        // The relay is still there for others, and the way through it can be dialled again.
        double.passOn = (chunk) => [chunk]
        const again = world.dial(pair.alice, pair.bob.way)
        world.run(1_000)
        expect(pair.alice.opened.at(-1)?.pipe).toBe(again)
      },
    )
  }

  test('[C10] it delays: late, and whole', () => {
    const world = new World()
    const { relay } = addDouble(world, 2_010)
    const pair = connect(world, relay)
    const ends = deviceLink(pair)
    const sent = Array.from({ length: 20 }, (_, number) => numbered(number, 5_000))
    for (const payload of sent) {
      world.delay = 10 + world.random.below(300)
      ends.alice.send(payload)
      runLinked(world, [ends.alice, ends.bob], 100)
    }
    runLinked(world, [ends.alice, ends.bob], 3_000)
    expect(violations(ends.bob.frames, sent)).toEqual([])
    expect([ends.alice.ended, ends.bob.ended]).toEqual([undefined, undefined])
  })

  test('[C10] it reads along: neither who the devices are nor what they say is in what passes', () => {
    const world = new World()
    const { relay, double } = addDouble(world, 2_011)
    const pair = connect(world, relay)
    const seen: Uint8Array[] = []
    double.passOn = (chunk) => {
      seen.push(chunk.bytes.slice())
      return [chunk]
    }
    const ends = deviceLink(pair)
    const secret = new TextEncoder().encode('nobody else reads this, whatever they carry')
    ends.alice.send(secret)
    world.run(500)
    expect(ends.bob.frames).toEqual([secret])
    const passed = seen.map((bytes) => Buffer.from(bytes).toString('latin1')).join('')
    const shows = (bytes: Uint8Array) => passed.includes(Buffer.from(bytes).toString('latin1'))
    // It did see everything: the first message of Noise is in the clear.
    expect(passed.length).toBeGreaterThan(1_000)
    for (const identity of [testIdentity(501), testIdentity(502)]) {
      expect(shows(identity.certificate)).toBe(false)
      expect(shows(identity.accountKey)).toBe(false)
      expect(shows(identity.linkKey.publicKey)).toBe(false)
    }
    expect(shows(secret)).toBe(false)
    // Every message fills a bucket on the links with the relay.
    const sizes = new Set(seen.map(({ length }) => length))
    for (const size of sizes) expect([256, 1_024, 4_096, 16_384, 49_408, 65_536]).toContain(size + circuitDataOverhead)
  })
})

describe('a relay that lies', () => {
  test('[C20] another relay answers at the address: the link ends before we show a pseudonym', () => {
    const world = new World()
    const wrong = new RelayDouble(testPseudonym(2_021))
    const relay = world.addRelay(testPseudonym(2_020), wrong)
    const bob = world.addPeer('bob')
    wants(world, bob, relay)
    world.run(500)
    expect(bob.circuits.views()[0]).toMatchObject({ state: 'unreachable', error: 'another relay answered' })
    expect(bob.circuits.counters()).toMatchObject({ 'wrong-relay': 1, 'links-failed': 1 })
    // One message, that of Noise which carries nothing.
    expect(bob.outputs.filter(({ type }) => type === 'write')).toHaveLength(1)
    expect(bob.addresses).toEqual([])
  })

  test('[C20] a device is no relay, even one whose key the address names', () => {
    const world = new World()
    const device = testIdentity(2_022)
    const relay = world.addRelay(device, new RelayDouble(device))
    const bob = world.addPeer('bob')
    wants(world, bob, relay)
    world.run(500)
    expect(bob.circuits.counters()).toMatchObject({ 'wrong-relay': 1 })
  })

  test('[C27] it says reserved though nobody asked, or for another request', () => {
    const world = new World()
    const { relay, double } = addDouble(world, 2_023)
    const alice = world.addPeer('alice')
    const bob = world.addPeer('bob')
    wants(world, bob, relay)
    double.answer = (message, usual) =>
      message.type === 'reserve' && usual !== undefined ? [{ ...usual, request: 77 } as RelayMessage] : undefined
    world.run(defaultCircuitsLimits.answerTimeoutMs + 1_000)
    expect(bob.addresses).toEqual([])
    expect(bob.circuits.views()[0]?.error).toBe('it did not answer a request')
    expect(bob.circuits.counters()['unasked']).toBe(1)
    expect(alice.circuits.counters()).toEqual({})
  })

  test('[C15] [C27] it opens circuits that nobody asked for: closed again, and the relay is lost at the sixteenth', () => {
    const world = new World()
    const { relay, double } = addDouble(world, 2_024)
    const pair = connect(world, relay)
    for (let index = 0; index < 15; index++) {
      double.say({ type: 'opened', request: 1_000 + index, circuit: 500 + index, window: circuitWindowSize })
    }
    world.relayHandle(relay, { type: 'wake' })
    world.run(200)
    expect(pair.alice.circuits.sizes()).toMatchObject({ circuits: 1, links: 1 })
    expect(pair.alice.circuits.counters()['unasked']).toBe(15)
    expect(double.heard.filter(({ type }) => type === 'close').length).toBe(30)
    double.say({ type: 'opened', request: 2_000, circuit: 600, window: circuitWindowSize })
    world.relayHandle(relay, { type: 'wake' })
    world.run(200)
    expect(pair.alice.closedPipe(pair.out)?.error?.type).toBe('broken')
    expect(pair.alice.circuits.counters()['links-faulty']).toBe(1)
  })

  test('[C16] [C27] incoming without a reservation is a fault, with a number in use or a useless window, too', () => {
    const world = new World()
    const { relay, double } = addDouble(world, 2_025)
    const pair = connect(world, relay)
    // Alice holds none.
    double.say({ type: 'incoming', circuit: 900, window: circuitWindowSize })
    world.relayHandle(relay, { type: 'wake' })
    world.run(100)
    expect(pair.alice.opened).toHaveLength(1)
    expect(pair.alice.circuits.counters()).toEqual({ 'incoming-refused': 1 })
    expect(pair.bob.opened).toHaveLength(2)
    double.say({ type: 'incoming', circuit: 900, window: circuitWindowSize })
    double.say({ type: 'incoming', circuit: 901, window: 2 * 16_350 - 1 })
    world.relayHandle(relay, { type: 'wake' })
    world.run(100)
    expect(pair.bob.opened).toHaveLength(2)
    expect(pair.bob.circuits.counters()).toEqual({ 'incoming-refused': 2 })
    expect(pair.bob.circuits.owns(pair.in)).toBe(true)
  })

  test('[C16] a flood of incoming circuits is bounded at once and by the minute', () => {
    const world = new World()
    const { relay, double } = addDouble(world, 2_026)
    const bob = world.addPeer('bob', { incomingBurst: 5, incomingPerMinute: 60, circuitsPerRelayMax: 1_000 })
    wants(world, bob, relay)
    world.run(500)
    const flood = (from: number) => {
      for (let circuit = from; circuit < from + 100; circuit++)
        double.say({ type: 'incoming', circuit, window: circuitWindowSize })
      world.relayHandle(relay, { type: 'wake' })
      world.run(100)
    }
    flood(1)
    expect(bob.opened).toHaveLength(5)
    expect(double.heard.filter(({ type }) => type === 'close')).toHaveLength(95)
    world.run(2_900)
    flood(1_001)
    expect(bob.opened).toHaveLength(8)
    // Too many of them is the callers' fault as likely as the relay's.
    expect(bob.circuits.sizes().links).toBe(1)
  })

  test('[C12] a window that is too small is refused, by who opens it, too', () => {
    const world = new World()
    const { relay, double } = addDouble(world, 2_027)
    double.answer = (message, usual) =>
      message.type === 'open' && usual?.type === 'opened' ? [{ ...usual, window: 16_350 }] : undefined
    expect(() => connect(world, relay)).toThrow('no circuit')
  })

  test('[C12] more credit than was used ends the circuit, and only it', () => {
    const world = new World()
    const { relay, double } = addDouble(world, 2_028)
    const pair = connect(world, relay)
    const other = world.dial(pair.alice, pair.bob.way)
    world.run(200)
    world.write(pair.alice, pair.out, numbered(1, 1_000))
    world.run(100)
    double.say({ type: 'credit', circuit: 1, bytes: 1_000 })
    world.relayHandle(relay, { type: 'wake' })
    world.run(100)
    expect(pair.alice.closed).toEqual([])
    double.say({ type: 'credit', circuit: 1, bytes: 1 })
    world.relayHandle(relay, { type: 'wake' })
    world.run(100)
    expect(pair.alice.closedPipe(pair.out)?.error).toEqual({ type: 'broken', detail: 'more credit than was used' })
    expect(pair.alice.circuits.owns(other)).toBe(true)
    expect(pair.alice.circuits.counters()).toEqual({ 'flow-control': 1 })
  })

  test('[C12] more data than the window ends the circuit: by one byte', () => {
    for (const excess of [0, 1]) {
      const world = new World()
      const { relay, double } = addDouble(world, 2_029)
      const pair = connect(world, relay, { creditShare: 2 })
      const chunk = (size: number) =>
        double.sayBytes(
          frameTypes.circuitData,
          encodeCircuitData({ circuit: 2, isLast: true, bytes: new Uint8Array(size) }),
        )
      for (let index = 0; index < 16; index++) chunk(16_000)
      chunk(circuitWindowSize - 16 * 16_000 + excess)
      world.relayHandle(relay, { type: 'wake' })
      world.run(200)
      expect(pair.bob.received).toHaveLength(16 + (excess === 0 ? 1 : 0))
      expect(pair.bob.circuits.counters()).toEqual(excess === 0 ? {} : { 'flow-control': 1 })
      expect(pair.bob.circuits.owns(pair.in)).toBe(excess === 0)
    }
  })

  test('[C11] a message that never ends is cut at 64 KiB', () => {
    const world = new World()
    const { relay, double } = addDouble(world, 2_030)
    const pair = connect(world, relay)
    double.passOn = (chunk) => [{ ...chunk, isLast: false }]
    world.write(pair.alice, pair.out, numbered(0, 65_536))
    world.run(200)
    expect(pair.bob.closed).toEqual([])
    world.write(pair.alice, pair.out, Uint8Array.of(1))
    world.run(200)
    expect(pair.bob.closedPipe(pair.in)?.error).toEqual({ type: 'broken', detail: 'a message too large' })
    expect(pair.bob.received).toEqual([])
  })

  test('[C15] data, credit and close for circuits that are not there change nothing', () => {
    const world = new World()
    const { relay, double } = addDouble(world, 2_031)
    const pair = connect(world, relay)
    for (let circuit = 100; circuit < 200; circuit++) {
      double.sayBytes(frameTypes.circuitData, encodeCircuitData({ circuit, isLast: true, bytes: Uint8Array.of(1) }))
      double.say({ type: 'credit', circuit, bytes: 5 })
      double.say({ type: 'close', circuit, reason: 'bye' })
    }
    world.relayHandle(relay, { type: 'wake' })
    world.run(100)
    expect(pair.alice.circuits.counters()).toEqual({ 'unknown-circuit': 100 })
    greet(pair)
    expect(pair.alice.circuits.owns(pair.out)).toBe(true)
  })

  test('[C27] garbage in the frames of a relay: dropped and counted, and the relay is lost at the sixteenth', () => {
    const world = new World()
    const { relay, double } = addDouble(world, 2_032)
    const pair = connect(world, relay)
    for (let index = 0; index < 5; index++) {
      double.sayBytes(frameTypes.relayControl, Uint8Array.of(200, index))
      double.sayBytes(frameTypes.circuitData, Uint8Array.of(0, 0, 0, 1, 9, 9))
      double.sayBytes(frameTypes.directMessage, Uint8Array.of(1))
    }
    world.relayHandle(relay, { type: 'wake' })
    world.run(100)
    expect(pair.alice.circuits.counters()).toEqual({ 'bad-control': 10, 'bad-data': 5 })
    expect(pair.alice.circuits.owns(pair.out)).toBe(true)
    double.say({ type: 'reserve', request: 1 })
    world.relayHandle(relay, { type: 'wake' })
    world.run(100)
    expect(pair.alice.closed).toHaveLength(1)
    expect(pair.alice.circuits.counters()['links-faulty']).toBe(1)
  })

  test('[C27] a relay that answers nothing is left for the next of the list', () => {
    const world = new World()
    const { relay, double } = addDouble(world, 2_033)
    double.answer = () => []
    const honest = addService(world, 2_034)
    const bob = world.addPeer('bob', { reservationsMax: 1 })
    wants(world, bob, relay, honest)
    world.run(3_000)
    expect(bob.addresses.map(({ relay: { url } }) => url)).toEqual([honest.address.url])
  })

  test('[C24] [C27] a relay that never answers a dial ends it in time', () => {
    const world = new World()
    const { relay, double } = addDouble(world, 2_035)
    const pair = connect(world, relay)
    double.answer = (message) => (message.type === 'open' ? [] : undefined)
    const pipe = world.dial(pair.alice, pair.bob.way)
    world.run(defaultCircuitsLimits.answerTimeoutMs + 100)
    expect(pair.alice.closedPipe(pipe)?.error?.type).toBe('broken')
  })

  test('of several relays the honest one wins: the others lie, tamper or hang, and the talk goes on', () => {
    const world = new World()
    const liars = [2_040, 2_041, 2_042, 2_043].map((seed) => addDouble(world, seed))
    const honest = addService(world, 2_044)
    const [first, second, third, fourth] = liars.map(({ double }) => double)
    if (first !== undefined) first.passOn = () => []
    if (second !== undefined) second.answer = () => []
    if (third !== undefined) third.answer = (message) => (message.type === 'open' ? [] : undefined)
    if (fourth !== undefined) fourth.passOn = (chunk) => [{ ...chunk, bytes: new Uint8Array(chunk.bytes.length) }]
    const limits = { reservationsMax: 5 }
    const [alice, bob] = [world.addPeer('alice', limits), world.addPeer('bob', limits)]
    wants(world, bob, ...liars.map(({ relay }) => relay), honest)
    world.run(3_000)
    const address = bob.addresses.find(({ relay }) => relay.url === honest.address.url)
    expect(address).toBeDefined()
    // Every way is tried at once, as the connection manager does; the link of the devices decides.
    const ups: string[] = []
    for (const { relay, reservation } of bob.addresses) {
      const out = world.dial(alice, formatCircuitAddress({ relay, reservation }))
      const isOpen = world.run(1_000, () => alice.opened.some(({ pipe }) => pipe === out))
      world.run(100)
      const { wayIn } = bob
      if (!isOpen || wayIn === undefined) continue
      const ends = deviceLink({ world, relay: honest, alice, bob, out, in: wayIn })
      if (ends.alice.isUp && ends.bob.isUp) ups.push(relay.url)
    }
    expect(ups).toEqual([honest.address.url])
  })
})

describe('whatever a relay says, in any order', () => {
  test.each(Array.from({ length: 12 }, (_, seed) => seed))('[C27] seed %i: nothing throws, nothing grows', (seed) => {
    const world = new World(seed)
    const { relay, double } = addDouble(world, 2_100 + seed)
    const limits = { faultsMax: 200, circuitsPerRelayMax: 8, relaysMax: 4 }
    const [alice, bob] = [world.addPeer('alice', limits), world.addPeer('bob', limits)]
    wants(world, bob, relay)
    world.run(500)
    const { random } = world
    const number = () => random.below(12)
    const noise = (): void => {
      const messages: readonly RelayMessage[] = [
        { type: 'opened', request: number(), circuit: 1 + number(), window: random.below(400_000) },
        { type: 'incoming', circuit: 1 + number(), window: random.below(400_000) },
        { type: 'close', circuit: 1 + number(), reason: 'quota' },
        { type: 'credit', circuit: 1 + number(), bytes: random.below(100_000) },
        { type: 'refused', request: number(), reason: 'busy', retryIn: random.below(5) },
        { type: 'measured', request: number(), bytes: random.below(1_000_000) },
        { type: 'measure-up', request: number() },
      ]
      const choice = random.below(messages.length + 3)
      const message = messages[choice]
      if (message !== undefined) double.say(message)
      else if (choice % 2 === 0) double.sayBytes(frameTypes.relayControl, random.bytes(random.below(80)))
      else {
        const bytes = random.bytes(1 + random.below(3_000))
        double.sayBytes(
          frameTypes.circuitData,
          encodeCircuitData({ circuit: number(), isLast: random.chance(0.4), bytes }),
        )
      }
      world.relayHandle(relay, { type: 'wake' })
    }
    for (let step = 0; step < 400; step++) {
      if (random.chance(0.1) && bob.addresses.length > 0) world.dial(alice, bob.way)
      if (random.chance(0.02)) world.handle(alice, { type: 'network-changed' })
      if (random.chance(0.05)) world.handle(bob, { type: 'measure', id: step, relay: relay.address })
      for (const peer of [alice, bob]) {
        const open = peer.opened.at(-1)?.pipe
        if (open !== undefined && random.chance(0.3)) world.write(peer, open, random.bytes(1 + random.below(5_000)))
        if (open !== undefined && random.chance(0.05)) world.handle(peer, { type: 'close', pipe: open })
      }
      noise()
      world.run(random.below(50))
      for (const peer of [alice, bob]) {
        expect(peer.circuits.sizes().circuits).toBeLessThanOrEqual(20)
        expect(peer.circuits.sizes().links).toBeLessThanOrEqual(2)
        peer.circuits.views()
      }
    }
    for (const peer of [alice, bob]) {
      world.handle(peer, { type: 'stop' })
      expect(peer.circuits.sizes()).toEqual({ relays: 0, links: 0, circuits: 0 })
      // Every pipe that was told of has ended, once.
      const told = new Set(peer.closed.map(({ pipe }) => pipe))
      expect(told.size).toBe(peer.closed.length)
      for (const { pipe } of peer.opened) expect(told.has(pipe)).toBe(true)
    }
  })
})
