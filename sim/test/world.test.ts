import { describe, expect, it } from 'vitest'
import type {
  ContactRef,
  KademliaInput,
  KademliaMessage,
  KademliaOutput,
} from '../../packages/overlay/src/kademlia/interface.ts'
import { IdIndex } from '../src/world/id-index.ts'
import { longLivedContacts, longLivedContactsMax } from '../src/world/long-lived.ts'
import { type Engine, World, type WorldOptions } from '../src/world/world.ts'

const head = { transaction: 1, isServer: true } as const

/**
 * A stand-in for the engine that never changes with it: asks whom it was filled with, again every second, and answers.
 * What it shows is the kernel's.
 */
class Echo implements Engine {
  readonly heard: {
    readonly from: number
    readonly type: string
    readonly isProven: boolean
    readonly mono: number
  }[] = []
  wakes = 0
  isStopped = false
  #contacts: ContactRef[] = []
  #next = Number.POSITIVE_INFINITY

  handle(now: { readonly mono: number }, input: KademliaInput): readonly KademliaOutput[] {
    if (input.type === 'stop') this.isStopped = true
    if (input.type === 'command') this.#next = now.mono
    if (input.type === 'message') return this.#answer(now.mono, input)
    if (now.mono < this.#next) return []
    this.wakes++
    this.#next = now.mono + 1_000
    return this.#contacts.map((to) => ({ type: 'send', to, isReply: false, message: { ...head, type: 'ping' } }))
  }

  deadline(): number {
    return this.#next
  }

  fill(_now: number, contacts: ArrayLike<ContactRef>): void {
    this.#contacts = Array.from(contacts)
  }

  contacts(): ContactRef[] {
    return this.#contacts
  }

  info(): never {
    throw new Error('nobody inspects an echo')
  }

  #answer(mono: number, input: Extract<KademliaInput, { type: 'message' }>): readonly KademliaOutput[] {
    const { from, isProven, message } = input
    this.heard.push({ from, type: message.type, isProven, mono })
    if (message.type !== 'ping') return []
    return [{ type: 'send', to: from, isReply: true, message: { ...head, type: 'pong', observed: undefined } }]
  }
}

const calm = { loss: 0, duplication: 0, reorder: 0, reorderMs: 0 }

function build(nodes: number, options: Partial<WorldOptions> = {}): { world: World; echoes: Echo[] } {
  const echoes: Echo[] = []
  const world = new World({
    nodes,
    seed: 1,
    network: calm,
    createEngine: (_, node) => {
      const echo = new Echo()
      echoes[node] = echo
      return echo
    },
    ...options,
  })
  return { world, echoes }
}

function startAll(world: World): void {
  const { population } = world
  const members = Uint32Array.from({ length: population.count }, (_, node) => node)
  const index = new IdIndex(population.high, population.low, members)
  const contacts = new Uint32Array(longLivedContactsMax)
  const random = world.stream('tables')
  for (const node of members) {
    const count = longLivedContacts(index, population, node, random, contacts)
    world.start(node).fill(
      0,
      Array.from(contacts.subarray(0, count), (contact) => population.ref(contact)),
    )
  }
}

function ping(world: World, node: number): void {
  world.command(node, { type: 'ping', contact: world.population.ref(0) }, () => undefined)
  world.schedule(node)
}

describe('world', () => {
  it('gives the frozen trace: keys, regions, fill, delays, loss and wakes are the same on every machine', () => {
    const { world } = build(300, { network: {} })
    startAll(world)
    for (let node = 0; node < 20; node++) ping(world, node)
    world.run(10_000)
    expect([world.trace.digest(), world.trace.count, world.network.drops.lost]).toMatchInlineSnapshot(`
      [
        "752a48eacf3cd299",
        38505,
        392,
      ]
    `)
  })

  it('wakes engines at their deadlines, not before, and a later deadline costs no wake', () => {
    const { world, echoes } = build(2)
    startAll(world)
    ping(world, 0)
    world.run(10_500)
    expect(echoes[0]?.wakes).toBe(11)
    expect(echoes[1]?.wakes).toBe(0)
  })

  it('an engine that stays due is an error, not a loop', () => {
    const stuck = new Echo()
    stuck.deadline = () => 5
    const { world } = build(2, { createEngine: () => stuck })
    world.start(0)
    expect(() => world.run(10)).toThrow(/stays due/)
  })

  it('a sender is proven once it has answered or been answered, never before', () => {
    const { world, echoes } = build(2)
    startAll(world)
    ping(world, 0)
    world.run(5_000)
    const pings = echoes[1]?.heard.filter(({ type }) => type === 'ping') ?? []
    expect(pings.length).toBeGreaterThan(3)
    expect(pings.map(({ isProven }) => isProven)).toEqual(pings.map((_, i) => i > 0))
    expect(echoes[0]?.heard.every(({ type, isProven }) => type === 'pong' && isProven)).toBe(true)
  })

  it('a forged answer of a stranger is not proven', () => {
    const { world, echoes } = build(3)
    startAll(world)
    world.forge(2, 1, { ...head, type: 'pong', observed: undefined })
    world.run(1_000)
    expect(echoes[1]?.heard).toMatchObject([{ from: 2, type: 'pong', isProven: false }])
  })

  it('a crashed node hears nothing, its engine is stopped, and a new one can start', () => {
    const { world, echoes } = build(2)
    startAll(world)
    const first = echoes[1]
    world.crash(1)
    ping(world, 0)
    world.run(2_500)
    expect(first?.isStopped).toBe(true)
    expect(first?.heard).toEqual([])
    expect(world.network.drops.dead).toBeGreaterThan(0)
    world.start(1)
    world.run(4_000)
    expect(echoes[1]?.heard.length).toBeGreaterThan(0)
  })

  it('a clock that jumps wakes its engine early, and nobody else', () => {
    const { world, echoes } = build(2)
    startAll(world)
    ping(world, 0)
    world.run(500)
    world.jumpClock(0, 60_000, -3_600_000)
    world.run(600)
    expect(echoes[0]?.wakes).toBe(2)
    ping(world, 1)
    world.run(1_500)
    expect(echoes[0]?.heard.at(-1)?.mono).toBeGreaterThan(60_000)
    expect(echoes[1]?.heard.at(-1)?.mono).toBeLessThan(2_000)
  })

  it.each([
    ['silent', undefined, 0],
    ['lying', 'find-node-response', 20],
    ['colluding', 'find-node-response', 3],
  ] as const)('a %s node answers as it should', (role, type, contacts) => {
    const { world, echoes } = build(40)
    startAll(world)
    const answers: KademliaMessage[] = []
    world.watcher = { heard: (_, from, __, message) => from === 7 && answers.push(message) }
    for (const node of [7, 8, 9]) world.turn(node, role)
    world.adversary.setColluders(Uint32Array.of(7, 8, 9))
    world.network.send(0, 0, 7, 0, { ...head, type: 'find-node', target: new Uint8Array(32) })
    world.run(2_000)
    expect(answers.map((answer) => answer.type)).toEqual(type === undefined ? [] : [type])
    for (const answer of answers) if ('contacts' in answer) expect(answer.contacts).toHaveLength(contacts)
    expect(echoes[7]?.isStopped).toBe(true)
  })
})
