import { describe, expect, test } from 'vitest'
import { RelayService } from '../src/circuit/relay-service.ts'
import { numbered, violations, World, type WorldPeer, type WorldRelay } from './circuits-world.ts'
import { crypto, SeededRandom, testPseudonym } from './identities.ts'
import { RelayDouble } from './relay-double.ts'

export function realRelay(world: World, seed: number): WorldRelay {
  const identity = testPseudonym(seed)
  return world.addRelay(identity, new RelayService({ crypto, random: new SeededRandom(seed), identity }))
}

function wants(world: World, peer: WorldPeer, ...relays: readonly WorldRelay[]): void {
  world.handle(peer, { type: 'relays', relays: relays.map(({ address }) => address) })
}

describe.each(['double', 'service'])('with a relay (%s)', (kind) => {
  const addRelay = (world: World, seed: number) =>
    kind === 'service'
      ? realRelay(world, seed)
      : world.addRelay(testPseudonym(seed), new RelayDouble(testPseudonym(seed)))

  test('[C30] a reservation is made, and a circuit to who holds it', () => {
    const world = new World()
    const relay = addRelay(world, 900)
    const [alice, bob] = [world.addPeer('alice'), world.addPeer('bob')]
    wants(world, bob, relay)
    expect(world.run(1_000, () => bob.addresses.length === 1)).toBe(true)
    const pipe = world.dial(alice, bob.way)
    expect(world.run(1_000, () => bob.wayIn !== undefined && alice.opened.length === 1)).toBe(true)
    expect(alice.circuits.owns(pipe)).toBe(true)
    const sent = [numbered(1, 20), numbered(2, 65_536), numbered(3, 16_269), numbered(4, 16_270)]
    for (const bytes of sent) world.write(alice, pipe, bytes)
    world.run(1_000)
    expect(
      violations(
        bob.received.map(({ bytes }) => bytes),
        sent,
      ),
    ).toEqual([])
    world.write(bob, bob.wayIn as never, numbered(9, 300))
    world.run(100)
    expect(alice.received.map(({ bytes }) => bytes)).toEqual([numbered(9, 300)])
    world.handle(alice, { type: 'close', pipe })
    world.run(100)
    expect(bob.closed).toHaveLength(1)
    expect(bob.closed[0]?.error).toBeUndefined()
  })
})
