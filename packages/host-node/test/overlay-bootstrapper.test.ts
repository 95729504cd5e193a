import { bytesToBase64url } from '@miaou/core'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { type BootstrapConfig, defaultBootstrapConfig } from '../src/overlay/bootstrap-config.ts'
import { type BootstrapNode, parseBootstrapNode } from '../src/overlay/bootstrap-node.ts'
import { Bootstrapper, type BootstrapperOptions } from '../src/overlay/bootstrapper.ts'
import { resolveNodes } from '../src/overlay/resolve.ts'
import type { NodeAddress } from '../src/overlay/saved-contacts.ts'

const key = (fill: number) => new Uint8Array(32).fill(fill)

function node(fill: number, addresses: string | readonly string[], reliabilityScore = 0.5): BootstrapNode {
  const list = typeof addresses === 'string' ? [addresses] : addresses
  const parsed = parseBootstrapNode({ publicKey: bytesToBase64url(key(fill)), addresses: list, reliabilityScore })
  if (!parsed.ok) throw new Error(parsed.error)
  return parsed.value
}

const address = (fill: number): NodeAddress => ({
  publicKey: key(fill),
  endpoint: { host: '127.0.0.1', port: 1000 + fill },
})

/** A bootstrapper on a clock of the test's, with nodes that answer where `alive` says so. */
class World {
  readonly asked: number[][] = []
  readonly alive = new Set<number>()
  readonly saved: NodeAddress[] = []
  readonly met: NodeAddress[] = []
  contacts = 0
  readonly logged: string[] = []
  readonly bootstrapper: Bootstrapper

  constructor(nodes: Partial<BootstrapConfig> = {}, options: Partial<BootstrapperOptions> = {}) {
    this.bootstrapper = new Bootstrapper({
      nodes: { ...defaultBootstrapConfig, ...nodes },
      saved: () => this.saved,
      met: () => this.met,
      resolve: (list) => resolveNodes(list, { lookup: () => Promise.reject(new Error('no such name')) }),
      join: async (addresses) => {
        const ports = addresses.map(({ endpoint }) => endpoint.port - 1000)
        this.asked.push(ports)
        const answered = ports.filter((port) => this.alive.has(port))
        this.contacts += answered.length
        return answered.length > 0
      },
      contactsCount: () => this.contacts,
      clock: { now: () => ({ mono: Date.now(), wall: Date.now() }) },
      jitter: { next: () => 0.5 },
      log: { write: (_level, event) => this.logged.push(event) },
      ...options,
    })
  }
}

describe('[DN33] resolving bootstrap nodes', () => {
  const lookup = async (host: string) => {
    if (host === 'two.org') return ['192.0.2.1', '2001:DB8:0:0::1', '192.0.2.1']
    if (host === 'silent.org') return new Promise<string[]>(() => undefined)
    if (host === 'hostile.org') return ['0.0.0.0', '224.0.0.1', 'fe80::1%eth0', 'nonsense', '::']
    if (host === 'many.org') return Array.from({ length: 50 }, (_, i) => `192.0.2.${i}`)
    if (host === 'localhost') return ['127.0.0.1', '::1']
    throw new Error('no such name')
  }

  test('names give every address behind them once, in canonical form; the most reliable come first', async () => {
    const nodes = [node(1, 'two.org:7', 0.1), node(2, ['192.0.2.9:8', '[2001:db8::9]:8'], 0.9)]
    const { addresses, unresolved } = await resolveNodes(nodes, { lookup })
    expect(unresolved).toBe(0)
    expect(addresses.map(({ endpoint }) => endpoint)).toEqual([
      { host: '192.0.2.9', port: 8 },
      { host: '2001:db8::9', port: 8 },
      { host: '192.0.2.1', port: 7 },
      { host: '2001:db8::1', port: 7 },
    ])
    expect(addresses.map(({ publicKey }) => publicKey[0])).toEqual([2, 2, 1, 1])
  })

  test('names that do not exist, stay silent or give addresses that no node can have are counted', async () => {
    const nodes = [node(1, 'gone.org:1'), node(2, 'silent.org:1'), node(3, 'hostile.org:1'), node(4, 'two.org:1')]
    const { addresses, unresolved } = await resolveNodes(nodes, { lookup, timeoutMs: 1 })
    expect(unresolved).toBe(3)
    expect(addresses).toHaveLength(2)
  })

  test('one name gives four addresses at most, all together as many as asked for', async () => {
    expect((await resolveNodes([node(1, 'many.org:1')], { lookup })).addresses).toHaveLength(4)
    const all = Array.from({ length: 8 }, (_, i) => node(1, `192.0.2.${i + 1}:1`))
    expect((await resolveNodes(all, { addressesMax: 5 })).addresses).toHaveLength(5)
  })

  test('on loopback only, no name but localhost is looked up and no other address used', async () => {
    const asked: string[] = []
    const counting = (host: string) => {
      asked.push(host)
      return lookup(host)
    }
    const nodes = [node(1, 'two.org:1'), node(2, '192.0.2.1:1'), node(3, 'localhost:1'), node(4, '[::1]:2')]
    const { addresses, unresolved } = await resolveNodes(nodes, { lookup: counting, loopbackOnly: true })
    expect(asked).toEqual(['localhost'])
    expect(unresolved).toBe(2)
    expect(addresses.map(({ endpoint }) => endpoint.host)).toEqual(['127.0.0.1', '::1', '::1'])
  })
})

describe('[C19] joining the overlay', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  test('with nobody to ask it is alone, and asks nobody', async () => {
    const world = new World()
    await world.bootstrapper.run()
    expect(world.asked).toEqual([])
    expect(world.bootstrapper.state()).toEqual({ type: 'alone' })
  })

  test('[DN32] nodes met before and on the LAN are asked first, the configured ones in any case', async () => {
    const world = new World({ primaryNodes: [node(3, '127.0.0.1:1003')], fallbackNodes: [node(4, '127.0.0.1:1004')] })
    world.saved.push(address(1))
    world.met.push(address(2))
    world.alive.add(1)
    await world.bootstrapper.run()
    expect(world.asked).toEqual([[2, 1], [3]])
    expect(world.bootstrapper.state()).toEqual({ type: 'bootstrapped' })
  })

  test('[DN32] the fallback is asked when no primary answers, the community when no fallback does', async () => {
    const lists = {
      primaryNodes: [node(1, '127.0.0.1:1001')],
      fallbackNodes: [node(2, '127.0.0.1:1002')],
      communityNodes: [node(3, '127.0.0.1:1003')],
    }
    const world = new World(lists)
    world.alive.add(3)
    await world.bootstrapper.run()
    expect(world.asked).toEqual([[1], [2], [3]])
    const other = new World(lists)
    other.alive.add(2)
    await other.bootstrapper.run()
    expect(other.asked).toEqual([[1], [2]])
  })

  test('[DN34] a dead list is told with its numbers, and tried again at growing intervals until somebody answers', async () => {
    vi.useFakeTimers()
    const world = new World({
      primaryNodes: [node(1, '127.0.0.1:1001'), node(2, 'gone.org:1'), node(3, '127.0.0.1:1003')],
    })
    await world.bootstrapper.run()
    expect(world.bootstrapper.state()).toEqual({ type: 'failed', asked: 2, unresolved: 1, nextTryInMs: 10_000 })
    await vi.advanceTimersByTimeAsync(4_000)
    expect(world.bootstrapper.state()).toMatchObject({ nextTryInMs: 6_000 })
    await vi.advanceTimersByTimeAsync(6_000)
    expect(world.asked).toHaveLength(2)
    expect(world.bootstrapper.state()).toMatchObject({ type: 'failed', nextTryInMs: 20_000 })
    for (let i = 0; i < 20; i++) await vi.advanceTimersByTimeAsync(600_000)
    expect(world.bootstrapper.state()).toMatchObject({ type: 'failed' })
    world.alive.add(3)
    await vi.advanceTimersByTimeAsync(600_000)
    expect(world.bootstrapper.state()).toEqual({ type: 'bootstrapped' })
    expect(world.logged.at(-1)).toBe('overlay-bootstrapped')
    world.bootstrapper.stop()
  })

  test('[DN32] a node heard of on the LAN is asked while few are known, and only then', async () => {
    const world = new World({}, { limits: { contactsWanted: 2, heardIntervalMs: 0 } })
    await world.bootstrapper.run()
    world.met.push(address(1))
    world.alive.add(1)
    await world.bootstrapper.heard()
    expect(world.bootstrapper.state()).toEqual({ type: 'bootstrapped' })
    world.met.push(address(2))
    await world.bootstrapper.heard()
    expect(world.asked).toEqual([[1], [1, 2]])
    world.contacts = 2
    await world.bootstrapper.heard()
    expect(world.asked).toHaveLength(2)
  })

  test('[DN32] a LAN full of claims makes it ask at intervals, and never bring a planned try forward', async () => {
    vi.useFakeTimers()
    const world = new World({ primaryNodes: [node(9, '127.0.0.1:1009')] })
    await world.bootstrapper.run()
    for (let i = 1; i <= 100; i++) {
      world.met.push(address(i))
      void world.bootstrapper.heard()
      await vi.advanceTimersByTimeAsync(10)
    }
    // Within one second: the first at once, no other before the interval has passed.
    expect(world.asked).toEqual([[9], [1]])
    await vi.advanceTimersByTimeAsync(2_000)
    expect(world.asked).toHaveLength(3)
    expect(world.asked[2]).toHaveLength(16)
    world.bootstrapper.stop()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(world.asked).toHaveLength(3)
  })

  test('[DN34] a table that ran empty is filled again, at once when the network changed', async () => {
    vi.useFakeTimers()
    const world = new World({ primaryNodes: [node(1, '127.0.0.1:1001')] })
    world.alive.add(1)
    await world.bootstrapper.run()
    await world.bootstrapper.check()
    expect(world.asked).toHaveLength(1)
    world.contacts = 0
    world.alive.clear()
    await world.bootstrapper.check()
    expect(world.asked).toHaveLength(2)
    // A try is planned: looking again does not bring it forward, a new network does.
    await world.bootstrapper.check()
    expect(world.asked).toHaveLength(2)
    await world.bootstrapper.check(true)
    expect(world.asked).toHaveLength(3)
    world.bootstrapper.stop()
    await vi.advanceTimersByTimeAsync(3_600_000)
    expect(world.asked).toHaveLength(3)
  })

  test('one join asks so many at most; of many saved ones each try asks others', async () => {
    const world = new World({}, { limits: { askedMax: 8 } })
    for (let i = 1; i <= 10; i++) world.saved.push(address(i))
    for (let i = 100; i < 120; i++) world.met.push(address(i))
    for (let i = 0; i < 4; i++) await world.bootstrapper.run()
    const savedAsked = world.asked.map((ports) => ports.filter((port) => port < 100))
    expect(savedAsked).toEqual([
      [1, 2, 3, 4],
      [5, 6, 7, 8],
      [9, 10],
      [1, 2, 3, 4],
    ])
    for (const ports of world.asked) expect(ports.length).toBeLessThanOrEqual(8)
    world.bootstrapper.stop()
  })
})
