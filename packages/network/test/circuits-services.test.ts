import { equalBytes } from '@miaou/core'
import { circuitDataOverhead, frameTypes } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { defaultCircuitsLimits } from '../src/circuit/circuits-limits.ts'
import { Link, type LinkOutput } from '../src/link.ts'
import { defaultLinkLimits } from '../src/link-limits.ts'
import type { PipeId } from '../src/ports.ts'
import { addDouble, addService } from './circuits-relays.ts'
import {
  numbered,
  violations,
  World,
  type WorldMailbox,
  type WorldMailboxPipe,
  type WorldPeer,
  type WorldRelay,
  wants,
} from './circuits-world.ts'
import { crypto, SeededRandom, testPseudonym } from './identities.ts'

const url = 'ws://198.51.100.9:9999'

/** A peer that has a reservation at each of these relays, and a mailbox. */
function worldWith(...addRelays: ((world: World) => WorldRelay)[]): {
  readonly world: World
  readonly alice: WorldPeer
  readonly relays: readonly WorldRelay[]
  readonly mailbox: WorldMailbox
} {
  const world = new World()
  const relays = addRelays.map((add) => add(world))
  const alice = world.addPeer('alice')
  const mailbox = world.addMailbox(url)
  wants(world, alice, ...relays)
  const isReserved = world.run(2_000, () => alice.addresses.length === relays.length)
  if (!isReserved) throw new Error('the relays are not linked')
  return { world, alice, relays, mailbox }
}

const service =
  (seed: number, options = {}) =>
  (world: World) =>
    addService(world, seed, options)
/** One that offers no services. */
const old = (seed: number) => service(seed, { services: undefined })

/** Runs until the dial is over; returns its error, undefined where it opened. */
function settle(world: World, peer: WorldPeer, pipe: PipeId) {
  const isOpen = () => peer.opened.some((event) => event.pipe === pipe)
  world.run(60_000, () => isOpen() || peer.closedPipe(pipe) !== undefined)
  return isOpen() ? undefined : peer.closedPipe(pipe)?.error
}

/** Echoes what comes. */
function echo(world: World, mailbox: WorldMailbox): void {
  mailbox.onOpen = (pipe) => {
    pipe.onMessage = (bytes) => world.mailboxSays(pipe, bytes)
  }
}

/** One end of the link of a client with its mailbox. */
class EndOfLink {
  readonly frames: Uint8Array[] = []
  isUp = false
  ended: string | undefined
  readonly #world: World
  readonly #write: (bytes: Uint8Array) => void
  readonly #link: Link

  constructor(world: World, role: 'initiator' | 'responder', seed: number, write: (bytes: Uint8Array) => void) {
    this.#world = world
    this.#write = write
    const random = new SeededRandom(seed)
    const fixed = { crypto, random, features: [], expected: undefined, binding: undefined, channels: 1 } as const
    this.#link = new Link(
      {
        ...fixed,
        identity: testPseudonym(seed),
        role,
        padded: true,
        reserved: circuitDataOverhead,
        pseudonymsAdmitted: true,
        limits: defaultLinkLimits,
      },
      world.now,
    )
  }

  start(): void {
    this.#take(this.#link.start(this.#world.now))
  }

  receive(bytes: Uint8Array): void {
    this.#take(this.#link.receive(this.#world.now, 0, bytes))
  }

  send(payload: Uint8Array): void {
    this.#take(this.#link.send(this.#world.now, frameTypes.mailboxControl, payload, false) ?? [])
  }

  get peerId(): string | undefined {
    return this.#link.peer?.peerId
  }

  #take(outputs: readonly LinkOutput[]): void {
    for (const output of outputs) if (output.type === 'write') this.#write(output.bytes)
    for (const output of outputs) {
      if (output.type === 'proven') this.#take(this.#link.accept(this.#world.now))
      if (output.type === 'up') this.isUp = true
      if (output.type === 'frame') this.frames.push(output.payload)
      if (output.type === 'ended') this.ended = output.reason
    }
  }
}

describe('a way to a service through a relay', () => {
  test('[C50] opens as a circuit does, and carries messages of every size, both ways, in order', () => {
    const { world, alice, relays, mailbox } = worldWith(service(900))
    echo(world, mailbox)
    const pipe = world.dialService(alice, url)
    expect(alice.circuits.owns(pipe)).toBe(true)
    expect(settle(world, alice, pipe)).toBeUndefined()
    const events = alice.outputs.flatMap((output) => (output.type === 'event' ? [output.event] : []))
    const how = { transport: 'circuit', direction: 'out', channels: 1, padded: true, remoteAddress: url }
    expect(events).toEqual([
      { type: 'opened', pipe, ...how },
      { type: 'path', pipe, path: { kind: 'relayed', via: relays[0]?.address.url } },
    ])
    const sent = [8, 255, 256, 16_350, 16_351, 65_502, 65_536].map((size, at) => numbered(at, size))
    // More than the windows of both directions hold.
    for (let at = sent.length; at < 60; at++) sent.push(numbered(at, 30_000))
    for (const bytes of sent) world.write(alice, pipe, bytes)
    world.run(20_000, () => alice.received.length === sent.length)
    expect(
      violations(
        alice.received.map(({ bytes }) => bytes),
        sent,
      ),
    ).toEqual([])
    expect(alice.circuits.counters()).toEqual({})
    world.handle(alice, { type: 'close', pipe })
    world.run(1_000)
    expect(alice.closedPipe(pipe)).toEqual({ pipe, error: undefined, at: expect.any(Number) })
    expect(mailbox.pipes.size).toBe(0)
    expect(alice.circuits.sizes().circuits).toBe(0)
  })

  test('[C50] a link runs inside, and what the relay passes on shows neither its frames nor who is there', () => {
    const { world, alice, mailbox } = worldWith(service(900))
    let far: EndOfLink | undefined
    const seen: Uint8Array[] = []
    mailbox.onOpen = (pipe: WorldMailboxPipe) => {
      const end = new EndOfLink(world, 'responder', 71, (bytes) => world.mailboxSays(pipe, bytes))
      far = end
      pipe.onMessage = (bytes) => {
        seen.push(bytes)
        end.receive(bytes)
      }
    }
    const pipe = world.dialService(alice, url)
    expect(settle(world, alice, pipe)).toBeUndefined()
    const near = new EndOfLink(world, 'initiator', 72, (bytes) => world.write(alice, pipe, bytes))
    alice.onEvent = (event) => {
      if (event.type === 'message' && event.pipe === pipe) near.receive(event.bytes)
    }
    near.start()
    world.run(1_000, () => near.isUp && far?.isUp === true)
    expect(far?.peerId).toBe(testPseudonym(72).peerId)
    const payloads = [numbered(1, 40), numbered(2, 65_280)]
    for (const payload of payloads) near.send(payload)
    for (const payload of payloads) far?.send(payload)
    world.run(2_000)
    expect(violations(far?.frames ?? [], payloads)).toEqual([])
    expect(violations(near.frames, payloads)).toEqual([])
    const isSeen = (needle: Uint8Array) =>
      seen.some((bytes) => bytes.some((_, at) => equalBytes(bytes.slice(at, at + needle.length), needle)))
    expect(isSeen(numbered(1, 40))).toBe(false)
    // The search itself finds what is there.
    expect(isSeen((seen.at(-1) ?? new Uint8Array(0)).slice(100, 140))).toBe(true)
  })

  test('[C51] a relay on another host than the service is asked first, whatever its place in the list', () => {
    const sameHost = (world: World) => {
      const identity = testPseudonym(901)
      const made = addService(world, 901)
      world.relays.pop()
      return world.addRelay(identity, made.engine, 'ws://198.51.100.9:7000')
    }
    const { world, alice, relays, mailbox } = worldWith(sameHost, service(902))
    echo(world, mailbox)
    const via = () => [...mailbox.pipes.values()].at(-1)?.relay
    expect(settle(world, alice, world.dialService(alice, url))).toBeUndefined()
    expect(via()).toBe(relays[1])
    // Better that one than none.
    world.kill(relays[1] as WorldRelay)
    world.run(100)
    expect(settle(world, alice, world.dialService(alice, url))).toBeUndefined()
    expect(via()).toBe(relays[0])
  })

  test('[C51] a dial waits for a relay that is just being linked, and for no other', () => {
    const world = new World()
    const relay = addService(world, 900)
    const alice = world.addPeer('alice')
    echo(world, world.addMailbox(url))
    const early = world.dialService(alice, url)
    expect(alice.closedPipe(early)?.error).toEqual({ type: 'unavailable', detail: 'no relay is linked' })
    wants(world, alice, relay)
    expect(settle(world, alice, world.dialService(alice, url))).toBeUndefined()
    world.kill(relay)
    world.run(60_000)
    const late = world.dialService(alice, url)
    expect(settle(world, alice, late)?.type).toBe('unavailable')
    expect(alice.circuits.sizes().circuits).toBe(0)
  })

  test('[C52] a relay that does not offer it hands over to the next, and is not asked again', () => {
    const { world, alice, relays, mailbox } = worldWith(old(900), service(901))
    echo(world, mailbox)
    for (let at = 0; at < 3; at++) expect(settle(world, alice, world.dialService(alice, url))).toBeUndefined()
    expect([...mailbox.pipes.values()].map(({ relay }) => relay)).toEqual([relays[1], relays[1], relays[1]])
    expect(alice.circuits.counters()['services-elsewhere']).toBe(1)
  })

  test('[C52] one that says nothing loses the dial, not its link; what it says later is closed again', () => {
    const silent = addDouble
    const world = new World()
    const { relay: first, double } = silent(world, 900)
    const second = addService(world, 901)
    double.answer = (message) => (message.type === 'open-service' ? [] : undefined)
    const alice = world.addPeer('alice')
    echo(world, world.addMailbox(url))
    wants(world, alice, first, second)
    world.run(2_000, () => alice.addresses.length === 2)
    const from = world.mono
    expect(settle(world, alice, world.dialService(alice, url))).toBeUndefined()
    expect(world.mono - from).toBeGreaterThanOrEqual(defaultCircuitsLimits.serviceAnswerTimeoutMs)
    expect(alice.addresses).toHaveLength(2)
    const asked = double.heard.findLast((message) => message.type === 'open-service')
    const request = asked?.type === 'open-service' ? asked.request : 0
    double.say({ type: 'opened', request, circuit: 55, window: 262_144 })
    world.relayHandle(first, { type: 'wake' })
    world.run(500)
    expect(double.heard.at(-1)).toEqual({ type: 'close', circuit: 55, reason: 'bye' })
    expect(alice.circuits.counters()['unasked']).toBeUndefined()
  })

  test('[C52] a relay that is lost while it dials: the next one is asked; one that is open is broken', () => {
    const { world, alice, relays, mailbox } = worldWith(service(900), service(901))
    echo(world, mailbox)
    const pipe = world.dialService(alice, url)
    world.run(15)
    world.kill(relays[0] as WorldRelay)
    expect(settle(world, alice, pipe)).toBeUndefined()
    expect([...mailbox.pipes.values()].at(-1)?.relay).toBe(relays[1])
    world.kill(relays[1] as WorldRelay)
    world.run(1_000)
    expect(alice.closedPipe(pipe)?.error?.type).toBe('broken')
  })

  test('[C52] a relay whose link does not come about, or that has its fill of circuits, hands over to the next', () => {
    const world = new World()
    const [first, second] = [addService(world, 900), addService(world, 901)]
    const alice = world.addPeer('alice', { circuitsPerRelayMax: 2 })
    const mailbox = world.addMailbox(url)
    echo(world, mailbox)
    first.isDown = true
    wants(world, alice, first)
    const pipe = world.dialService(alice, url)
    // Known only after the first one was asked.
    wants(world, alice, first, second)
    expect(settle(world, alice, pipe)).toBeUndefined()
    const via = () => [...mailbox.pipes.values()].map(({ relay }) => relay)
    expect(via()).toEqual([second])
    first.isDown = false
    world.run(60_000, () => alice.addresses.length === 2)
    for (let at = 0; at < 3; at++) expect(settle(world, alice, world.dialService(alice, url))).toBeUndefined()
    expect(via().filter((relay) => relay === first)).toHaveLength(2)
    expect(settle(world, alice, world.dialService(alice, url))).toEqual({ type: 'too-many-pipes', pipesMax: 2 })
  })

  test('[C53] nobody there, refused everywhere, or no answer at all: the error says which', () => {
    const { world, alice, mailbox } = worldWith(service(900), old(901))
    mailbox.isDown = true
    expect(settle(world, alice, world.dialService(alice, url))).toEqual({
      type: 'unreachable',
      detail: 'the relay finds no such service there',
    })
    expect(settle(world, alice, world.dialService(alice, 'ws://127.0.0.1:9999'))).toEqual({
      type: 'unavailable',
      detail: 'no relay leads there: the relay refuses: not-allowed',
    })
    for (const bad of ['http://a.b', 'ws://a/?q', '', 'x'.repeat(400)]) {
      const pipe = world.dialService(alice, bad)
      expect(alice.closedPipe(pipe)?.error).toEqual({ type: 'bad-address', address: bad.slice(0, 256) })
    }
    const bare = worldWith(old(902))
    expect(settle(bare.world, bare.alice, bare.world.dialService(bare.alice, url))).toMatchObject({
      type: 'unavailable',
    })
    expect(bare.alice.circuits.counters()['services-failed']).toBe(1)
  })

  test('[C53] relays that all say nothing: the dial ends in time; a dial that is closed or stopped ends at once', () => {
    const world = new World()
    const doubles = [900, 901, 902, 903].map((seed) => addDouble(world, seed))
    for (const { double } of doubles) double.answer = (message) => (message.type === 'open-service' ? [] : undefined)
    const alice = world.addPeer('alice', { reservationsMax: 4 })
    wants(world, alice, ...doubles.map(({ relay }) => relay))
    world.run(2_000, () => alice.addresses.length === 4)
    const pipe = world.dialService(alice, url)
    const closed = world.dialService(alice, url)
    world.handle(alice, { type: 'close', pipe: closed })
    expect(alice.closedPipe(closed)?.error).toBeUndefined()
    const error = settle(world, alice, pipe)
    expect(error).toEqual({ type: 'timeout', afterMs: defaultCircuitsLimits.serviceDialTimeoutMs })
    expect(alice.addresses).toHaveLength(4)
    const last = world.dialService(alice, url)
    world.handle(alice, { type: 'stop' })
    expect(alice.circuits.owns(last)).toBe(false)
    const after = world.dialService(alice, url)
    expect(alice.closedPipe(after)?.error).toEqual({ type: 'unavailable', detail: 'stopped' })
    expect(alice.circuits.sizes()).toEqual({ relays: 0, links: 0, circuits: 0 })
  })

  test('[C16] [C50] more ways than circuits are admitted are refused; those that are there go on', () => {
    const world = new World()
    const relay = addService(world, 900)
    const alice = world.addPeer('alice', { circuitsMax: 4, circuitsPerRelayMax: 3 })
    echo(world, world.addMailbox(url))
    wants(world, alice, relay)
    world.run(2_000, () => alice.addresses.length === 1)
    const pipes = Array.from({ length: 1_000 }, () => world.dialService(alice, url))
    const errors = pipes.map((pipe) => settle(world, alice, pipe)?.type)
    expect(errors.filter((type) => type === undefined)).toHaveLength(3)
    expect(new Set(errors)).toEqual(new Set([undefined, 'too-many-pipes']))
    world.write(alice, pipes[0] as PipeId, numbered(1))
    world.run(1_000)
    expect(alice.received).toHaveLength(1)
  })
})
