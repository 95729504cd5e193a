import { GossipWorld } from '../gossip/gossip-world.ts'
import { RandomStream } from '../kernel/random-stream.ts'
import type { Case, Goal } from '../report/result.ts'
import { summarise } from '../report/samples.ts'
import { ResultBuilder, type Scenario, type ScenarioContext } from './scenario.ts'

/** Issue 3, goals. */
const copiesGoal: Goal = { at: 'most', bound: 1.3 }
const deliveryGoal: Goal = { at: 'least', bound: 100 }
const slownessGoal: Goal = { at: 'most', bound: 1.8 }

const topic = 'simulation'
const payloadBytes = 1_024
const defaultDead = 0.2
/** Virtual ms: between two joins, until the network has settled, between two messages, until the last has arrived. */
const joinEveryMs = 50
const settleMs = 120_000
const publishEveryMs = 1_000
const lastMs = 30_000
/** Messages before those that are measured: a broadcast tree is made by use. */
const warmUp = 20
const messagesMax = 200

/** Cases of which the issue says nothing about speed, and after kills nothing about copies. */
const killed = 'just after kills'
const healed = 'healed'

/** Everybody reads one topic; members publish 1 KiB at random; then some die at once and it goes on. */
export const gossip: Scenario = {
  name: 'gossip',
  summary:
    'broadcast among --nodes (at most 10,000): copies, delivery, last node against flooding; --dead (0.2) at once',
  flags: ['--lookups', '--dead'],
  short: { nodes: 150, lookups: 30 },
  run: (context) => {
    const { options, progress } = context
    const nodes = Math.min(options.nodes, 10_000)
    const world = new GossipWorld(nodes, options.seed)
    const random = new RandomStream(options.seed, 'gossip scenario')
    joinAll(world, random)
    progress.step(`${nodes} members`)
    const builder = new ResultBuilder('gossip', { ...options, nodes })
    const messages = Math.min(options.lookups, messagesMax)
    publish(world, random, warmUp)
    builder.add(measure(context, world, random, messages, 'settled'))
    publish(world, random, warmUp, 0)
    builder.add(measure(context, world, random, messages, 'one publisher', 0))
    for (let node = 1; node < nodes; node++) if (random.chance(options.dead ?? defaultDead)) world.kill(node)
    builder.add(measure(context, world, random, Math.min(messages, 10), killed))
    world.run(world.time + settleMs)
    publish(world, random, warmUp)
    builder.add(measure(context, world, random, messages, healed))
    checkState(world)
    builder.end(world)
    return builder.build()
  },
}

/** Each member is linked to one of those before it when it comes, as by its bootstrap list. */
function joinAll(world: GossipWorld, random: RandomStream): void {
  for (let node = 0; node < world.nodes; node++) {
    world.input(node, { type: 'subscribe', topic })
    if (node > 0) world.connect(node, random.below(node))
    world.run(world.time + joinEveryMs)
  }
  world.run(world.time + settleMs)
}

interface Publication {
  readonly origin: number
  readonly at: number
  /** By node, ms after publication. */
  readonly flooding: Float64Array
  readonly arrived: Map<number, number>
}

/** From random members, or from `only`. */
function publish(world: GossipWorld, random: RandomStream, count: number, only?: number): Publication[] {
  const byId = new Map<string, Publication>()
  const all: Publication[] = []
  world.onDeliver = (node, id, time) => byId.get(id)?.arrived.set(node, time)
  for (let i = 0; i < count; i++) {
    let origin = only ?? random.below(world.nodes)
    while (!world.isUp(origin)) origin = random.below(world.nodes)
    const publication: Publication = {
      origin,
      at: world.time,
      flooding: world.floodingTimes(origin),
      arrived: new Map(),
    }
    all.push(publication)
    const id = world.publish(origin, topic, random.bytes(payloadBytes))
    if (id !== undefined) byId.set(id, publication)
    world.run(world.time + publishEveryMs)
  }
  world.run(world.time + lastMs)
  return all
}

function measure(
  { progress }: ScenarioContext,
  world: GossipWorld,
  random: RandomStream,
  count: number,
  name: string,
  only?: number,
): Case {
  const before = countData(world)
  const publications = publish(world, random, count, only)
  const after = countData(world)
  progress.step(`${count} messages, ${name}`)
  const live = world.engines.filter((engine) => engine !== undefined).length
  const wanted = count * (live - 1)
  const delivered = publications.reduce((sum, { arrived }) => sum + arrived.size, 0)
  const last = publications.map(({ arrived, at }) => Math.max(0, ...arrived.values()) - at)
  const flooding = publications.map((one) => Math.max(...one.flooding.filter((time) => Number.isFinite(time))))
  const latency = summarise(last)
  return {
    name,
    figures: [
      { name: 'members', value: live, digits: 0 },
      { name: 'messages', value: count, digits: 0 },
      { name: 'delivered %', value: (100 * delivered) / wanted, digits: 3, goal: deliveryGoal },
      { name: 'copies', value: (after - before) / wanted, ...(name === killed ? {} : { goal: copiesGoal }) },
      { name: 'last ms p50', value: latency.p50, digits: 0 },
      { name: 'last ms p95', value: latency.p95, digits: 0 },
      { name: 'flooding ms p50', value: summarise(flooding).p50, digits: 0 },
      {
        name: 'times flooding',
        value: summarise(last).mean / summarise(flooding).mean,
        ...(name === killed || name === healed ? {} : { goal: slownessGoal }),
      },
      { name: 'links', value: summarise(world.links.map((links) => links.size)).mean, digits: 1 },
    ],
    series: [
      {
        name: 'latency',
        unit: 'ms',
        values: publications.flatMap(({ arrived, at }) => [...arrived.values()].map((time) => time - at)),
      },
      {
        name: 'load',
        unit: '',
        values: world.engines.flatMap((engine) => (engine === undefined ? [] : [dataOf(engine)])),
      },
    ],
  }
}

/** Data messages that arrived, first copies and later ones. */
function dataOf(engine: NonNullable<GossipWorld['engines'][number]>): number {
  const counters = engine.counters()
  return (counters['received'] ?? 0) + (counters['duplicates'] ?? 0)
}

function countData(world: GossipWorld): number {
  return world.engines.reduce((sum, engine) => sum + (engine === undefined ? 0 : dataOf(engine)), 0)
}

/** The engine's bounds hold on every member. */
function checkState(world: GossipWorld): void {
  for (const [node, engine] of world.engines.entries()) {
    if (engine === undefined) continue
    world.checks.looked('bounded-state')
    const { active, passiveCount, missingCount } = engine.info()
    if (active.length > 12 || passiveCount > 64 || missingCount > 4_096) {
      world.checks.violated(
        'bounded-state',
        world.time,
        `member ${node}: ${active.length} active, ${passiveCount} passive`,
      )
    }
  }
}
