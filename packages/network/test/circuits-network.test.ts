import { formatCircuitAddress, frameTypes } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { Network } from '../src/connection-manager.ts'
import type { NetworkInput, NetworkOutput } from '../src/interface.ts'
import { addService } from './circuits-relays.ts'
import { numbered, World, type WorldPeer, wants } from './circuits-world.ts'
import { crypto, SeededRandom, type TestIdentity, testIdentity } from './identities.ts'

/** A peer with both engines, wired as the host does it. */
class Device {
  readonly identity: TestIdentity
  readonly network: Network
  readonly frames: Uint8Array[] = []
  readonly #world: World
  readonly #peer: WorldPeer

  constructor(world: World, peer: WorldPeer, seed: number) {
    this.#world = world
    this.#peer = peer
    this.identity = testIdentity(seed)
    const random = new SeededRandom(seed)
    const options = { crypto, random, jitter: random, identity: this.identity, features: [], webrtc: false }
    this.network = new Network(options, () => world.takePipe())
    peer.onEvent = (event) => this.handle({ type: 'transport', event })
  }

  get addresses(): string[] {
    return this.#peer.addresses.map(formatCircuitAddress)
  }

  get transport(): string | undefined {
    return this.network.views()[0]?.transport
  }

  handle(input: NetworkInput): void {
    for (const output of this.network.handle(this.#world.now, input)) this.#act(output)
  }

  send(to: Device, payload: Uint8Array): void {
    const { peerId } = to.identity
    this.handle({ type: 'send', peerId, frameType: frameTypes.directMessage, payload, fleeting: false })
  }

  #act(output: NetworkOutput): void {
    if (output.type === 'frame') this.frames.push(output.payload)
    if (output.type === 'dial') {
      this.#world.handle(this.#peer, { type: 'dial', pipe: output.pipe, address: output.address })
    }
    if (output.type === 'write' || output.type === 'close') this.#world.handle(this.#peer, output)
  }
}

/** Runs with the timers of the devices, until something holds. */
function run(
  world: World,
  devices: readonly Device[],
  durationMs: number,
  until: () => boolean = () => false,
): boolean {
  const end = world.mono + durationMs
  while (world.mono < end) {
    const due = Math.min(...devices.map(({ network }) => network.deadline()), end)
    if (world.run(Math.max(0, due - world.mono), until)) return true
    for (const device of devices) if (device.network.deadline() <= world.mono) device.handle({ type: 'wake' })
  }
  return until()
}

function twoDevices(seed: number) {
  const world = new World(seed)
  world.delay = 20
  const relays = [addService(world, 4_000 + seed), addService(world, 4_100 + seed)]
  const peers = [world.addPeer('ann'), world.addPeer('ben')] as const
  for (const peer of peers) wants(world, peer, ...relays)
  const [ann, ben] = [new Device(world, peers[0], 600 + 2 * seed), new Device(world, peers[1], 601 + 2 * seed)]
  world.run(1_000)
  for (const [from, to] of [
    [ann, ben],
    [ben, ann],
  ] as const) {
    from.handle({ type: 'wanted', peers: [{ peerId: to.identity.peerId, addresses: to.addresses }] })
  }
  const isUp = () => [ann, ben].every(({ network }) => network.views()[0]?.state === 'connected')
  return { world, relays, peers, ann, ben, isUp }
}

describe('two devices whose only ways are circuits', () => {
  test.each([1, 2, 3])('they are connected within a second, and talk (seed %i)', (seed) => {
    const { world, ann, ben, isUp } = twoDevices(seed)
    expect(run(world, [ann, ben], 1_000, isUp)).toBe(true)
    expect(ann.transport).toBe('circuit')
    ann.send(ben, numbered(1))
    ben.send(ann, numbered(2, 40_000))
    run(world, [ann, ben], 1_000)
    expect(ben.frames).toEqual([numbered(1)])
    expect(ann.frames).toEqual([numbered(2, 40_000)])
  })

  test.each([4, 5, 6])(
    'the relay in use falls silent: talking again within 2 s, over the other one (seed %i)',
    (seed) => {
      const { world, relays, ann, ben, isUp } = twoDevices(seed)
      run(world, [ann, ben], 15_000, () => false)
      expect(isUp()).toBe(true)
      const used = ann.network.remoteAddress(ben.identity.peerId) ?? ''
      const relay = relays.find(({ address }) => used.includes(address.url))
      expect(relay).toBeDefined()
      if (relay === undefined) return
      relay.isSilent = true
      const diedAt = world.mono
      // What is sent into the silence is sent again by the layers above: here, until it is there.
      let number = 0
      while (ben.frames.length === 0 && world.mono < diedAt + 5_000) {
        ann.send(ben, numbered(number++))
        run(world, [ann, ben], 100)
      }
      expect(world.mono - diedAt).toBeLessThan(2_000)
    },
  )

  test.each([7, 8])('an address changes: talking again within 3 s (seed %i)', (seed) => {
    const { world, peers, ann, ben, isUp } = twoDevices(seed)
    run(world, [ann, ben], 15_000)
    expect(isUp()).toBe(true)
    world.moveAddress(peers[0])
    const changedAt = world.mono
    ann.handle({ type: 'network-changed' })
    world.handle(peers[0], { type: 'network-changed' })
    let number = 0
    while (ben.frames.length === 0 && world.mono < changedAt + 6_000) {
      ann.send(ben, numbered(number++))
      run(world, [ann, ben], 100)
    }
    expect(world.mono - changedAt).toBeLessThan(3_000)
  })
})
