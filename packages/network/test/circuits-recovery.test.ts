import { type CircuitAddress, formatCircuitAddress } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { defaultCircuitsLimits } from '../src/circuit/circuits-limits.ts'
import { SilenceWatch } from '../src/circuit/circuits-silence.ts'
import { addDouble, addService } from './circuits-relays.ts'
import { connect, greet, numbered, violations, World, wants } from './circuits-world.ts'

const bytesOf = (received: readonly { readonly bytes: Uint8Array }[]) => received.map(({ bytes }) => bytes)

describe('a relay dies in silence', () => {
  test('[C21] [C23] its circuits end 1.2 s after the first unanswered frame, and the next relay carries on within 2 s', () => {
    for (let seed = 0; seed < 20; seed++) {
      const world = new World(seed)
      world.delay = 5 + 3 * seed
      const [first, second] = [addService(world, 1_000 + seed), addService(world, 1_100 + seed)]
      const [alice, bob] = [world.addPeer('alice'), world.addPeer('bob')]
      wants(world, bob, first, second)
      world.run(2_000)
      const [wayOne, wayTwo] = bob.circuits.views().map(({ relay }) => relay.url)
      expect([wayOne, wayTwo]).toEqual([first.address.url, second.address.url])
      const out = world.dial(alice, bob.way)
      world.run(15_000 + 997 * seed)
      expect(bob.opened).toHaveLength(1)
      first.isSilent = true
      const diedAt = world.mono
      world.write(alice, out, numbered(1))
      expect(world.run(3_000, () => alice.closedPipe(out) !== undefined)).toBe(true)
      const rtt = 2 * world.delay
      expect(world.mono - diedAt).toBeLessThanOrEqual(Math.max(500, 4 * rtt) + Math.max(700, 4 * rtt) + rtt)
      const other = world.dial(alice, formatCircuitAddress(bob.addresses.at(-1) as CircuitAddress))
      expect(world.run(2_000, () => alice.opened.some(({ pipe }) => pipe === other))).toBe(true)
      if (rtt <= 100) expect(world.mono - diedAt).toBeLessThan(2_000)
    }
  })

  test('[C23] nothing sent, nothing noticed before the keep-alive; then as fast', () => {
    const world = new World()
    const relay = addService(world, 1_001)
    const bob = world.addPeer('bob')
    wants(world, bob, relay)
    world.run(1_000)
    relay.isSilent = true
    world.run(28_000)
    expect(bob.circuits.counters()['links-silent'] ?? 0).toBe(0)
    world.run(5_000)
    expect(bob.circuits.counters()).toMatchObject({ 'links-silent': 1 })
  })

  test('[C22] the relay stalls and comes back: nothing has happened to the circuit', () => {
    const world = new World()
    const pair = connect(world, addDouble(world, 1_002).relay)
    const sent = [numbered(1), numbered(2)]
    world.write(pair.alice, pair.out, numbered(1))
    world.run(1_000)
    // Everything takes 400 ms longer each way for a while.
    world.delay = 410
    world.write(pair.alice, pair.out, numbered(2))
    world.run(600)
    expect(pair.relay.dials).toBe(3)
    world.run(500)
    world.delay = 10
    world.run(5_000)
    expect(violations(bytesOf(pair.bob.received), sent)).toEqual([])
    expect(pair.alice.closed).toEqual([])
    expect(pair.alice.circuits.sizes().links).toBe(1)
    expect(pair.alice.circuits.counters()).toEqual({})
  })

  test('[C23] a full uplink is not a dead relay', () => {
    const world = new World()
    const { relay } = addDouble(world, 1_003)
    const pair = connect(world, relay)
    const other = world.dial(pair.alice, pair.bob.way)
    world.run(500)
    // 200 kbit/s: a credit comes every 1.3 s, an answer to a ping after ten. Small talk goes on beside.
    world.upRate = 25
    const sent = Array.from({ length: 8 }, (_, index) => numbered(index, 65_536))
    for (const bytes of sent) world.write(pair.alice, pair.out, bytes)
    const large = () => pair.bob.received.filter(({ pipe }) => pipe === pair.in)
    for (let step = 0; step < 600 && large().length < sent.length; step++) {
      world.write(pair.alice, other, numbered(step))
      world.run(100)
    }
    expect(violations(bytesOf(large()), sent)).toEqual([])
    expect(pair.alice.closed).toEqual([])
    expect(pair.alice.circuits.counters()).toEqual({})
  })

  test('[C23] after a machine slept the relay has time to answer', () => {
    const limits = defaultCircuitsLimits
    const watch = new SilenceWatch(limits)
    watch.measured(20)
    watch.sent(0)
    // Asleep until 100,000.
    expect(watch.wake(100_000, 20, 0)).toBe('ping')
    watch.sent(100_000)
    watch.pinged(100_000)
    expect(watch.wake(100_000, 20, 0)).toBeUndefined()
    expect(watch.deadline(20, 0)).toBe(100_250)
    expect(watch.wake(100_250, 20, 0)).toBe('suspect')
    expect(watch.deadline(20, 0)).toBe(100_700)
    watch.pong(100_020, 20)
    expect(watch.isSuspect).toBe(false)
    expect(watch.deadline(20, 0)).toBe(Number.POSITIVE_INFINITY)
  })

  test('[C21] each bound of the watch, to the millisecond', () => {
    const watch = new SilenceWatch(defaultCircuitsLimits)
    watch.measured(20)
    watch.sent(0)
    expect(watch.wake(249, 20, 0)).toBeUndefined()
    expect(watch.wake(250, 20, 0)).toBe('ping')
    watch.sent(250)
    watch.pinged(250)
    expect(watch.wake(499, 20, 0)).toBeUndefined()
    expect(watch.wake(1_499, 20, 64_000)).toBeUndefined()
    expect(watch.wake(500, 20, 0)).toBe('suspect')
    expect(watch.wake(1_199, 20, 0)).toBeUndefined()
    expect(watch.wake(1_200, 20, 64_000)).toBeUndefined()
    expect(watch.wake(1_200, 20, 0)).toBe('silent')
    // Sooner than a round trip after the last frame: it says nothing about that one.
    const other = new SilenceWatch(defaultCircuitsLimits)
    other.measured(20)
    other.sent(0)
    other.heard(19)
    expect(other.deadline(20, 0)).toBe(19 + 250)
    other.heard(20)
    expect(other.deadline(20, 0)).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('the network changes', () => {
  test('[C22] the address is gone: a new link carries the reservation again, faster than any verdict', () => {
    const world = new World()
    const relay = addService(world, 1_010)
    const pair = connect(world, relay)
    greet(pair)
    world.run(20_000)
    world.moveAddress(pair.bob)
    const changedAt = world.mono
    world.handle(pair.bob, { type: 'network-changed' })
    expect(
      world.run(1_000, () => pair.bob.circuits.views()[0]?.state === 'reserved' && pair.bob.closed.length > 0),
    ).toBe(true)
    expect(world.mono - changedAt).toBeLessThan(200)
    expect(pair.bob.addressLists).toHaveLength(1)
    const again = world.dial(pair.alice, pair.bob.way)
    world.run(300)
    world.write(pair.alice, again, numbered(5))
    world.run(100)
    expect(bytesOf(pair.bob.received)).toEqual([numbered(5)])
  })

  test('[C22] the address is the same: the old link answers, the second is dropped, the circuit stands', () => {
    const world = new World()
    const relay = addService(world, 1_011)
    const pair = connect(world, relay)
    greet(pair)
    world.run(20_000)
    for (const peer of [pair.alice, pair.bob]) world.handle(peer, { type: 'network-changed' })
    world.write(pair.alice, pair.out, numbered(1))
    world.run(3_000)
    expect(bytesOf(pair.bob.received)).toEqual([numbered(1)])
    expect([...pair.alice.closed, ...pair.bob.closed]).toEqual([])
    expect(pair.bob.circuits.sizes().links).toBe(1)
    expect(relay.dials).toBe(4)
  })

  test('[C24] a circuit dialled at once waits for the new link', () => {
    const world = new World()
    const relay = addService(world, 1_012)
    const pair = connect(world, relay)
    greet(pair)
    world.run(20_000)
    world.moveAddress(pair.alice)
    world.handle(pair.alice, { type: 'network-changed' })
    const again = world.dial(pair.alice, pair.bob.way)
    world.run(300)
    expect(pair.alice.opened.at(-1)?.pipe).toBe(again)
    expect(pair.alice.closedPipe(pair.out)?.error?.type).toBe('broken')
  })

  test('[C22] a circuit asked for on the old link, before anybody knew, is asked for on the new one', () => {
    const world = new World()
    const relay = addService(world, 1_014)
    const pair = connect(world, relay)
    greet(pair)
    world.run(20_000)
    world.moveAddress(pair.alice)
    const again = world.dial(pair.alice, pair.bob.way)
    world.handle(pair.alice, { type: 'network-changed' })
    world.run(300)
    expect(pair.alice.opened.at(-1)?.pipe).toBe(again)
    expect(pair.alice.closed.map(({ pipe }) => pipe)).toEqual([pair.out])
  })

  test('[C25] every wait ends: also a dial under way is made anew', () => {
    const world = new World()
    const relay = addService(world, 1_013)
    const bob = world.addPeer('bob')
    bob.isCut = true
    wants(world, bob, relay)
    world.run(5_000)
    bob.isCut = false
    world.handle(bob, { type: 'network-changed' })
    world.run(300)
    expect(bob.circuits.views()[0]?.state).toBe('reserved')
  })
})
