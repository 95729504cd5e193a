import type { KademliaReply, LookupCost } from '../../../packages/overlay/src/kademlia/interface.ts'
import type { RandomStream } from '../kernel/random-stream.ts'
import type { Figure, Goal, Series } from '../report/result.ts'
import { summarise } from '../report/samples.ts'
import { contentRecord } from '../world/records.ts'
import type { World } from '../world/world.ts'

/** How one operation ended. */
export interface Outcome {
  readonly isFound: boolean
  /** Of the nearest 20 live honest nodes, how many a find-node returned; undefined for others. */
  readonly overlap?: number
  readonly cost: LookupCost | undefined
}

/** Virtual ms between the starts of two operations: 50 a second, more where there are more than 10,000 nodes. */
export function spacingMs({ population }: World): number {
  return Math.min(20, 200_000 / population.count)
}

/** Longest an operation may take before the run goes on without it, virtual ms; far above any timeout. */
const patienceMs = 600_000

/** Runs `count` operations, begun `spacingMs` of the world apart, and the world until the last has ended. */
export function runOperations(
  world: World,
  count: number,
  begin: (i: number, end: (outcome: Outcome) => void) => void,
): Outcome[] {
  const outcomes: Outcome[] = []
  const start = world.time
  const spacing = spacingMs(world)
  for (let i = 0; i < count; i++) {
    world.at(start + i * spacing, () => begin(i, (outcome) => outcomes.push(outcome)))
  }
  world.run(start + count * spacing + patienceMs, () => outcomes.length >= count)
  // What never answered was not found.
  while (outcomes.length < count) outcomes.push({ isFound: false, cost: undefined })
  return outcomes
}

/** A random running honest node. */
export function pickNode(world: World, random: RandomStream): number {
  for (;;) {
    const node = random.below(world.options.nodes)
    if (world.isHonestUp(node) && !world.network.isBehindNat(node)) return node
  }
}

/** A record that was put, and whether its put said so. */
export interface Placed {
  readonly record: Uint8Array
  readonly key: Uint8Array
  readonly isStored: boolean
  /** Nodes that took it, when all 20 closest had been asked. */
  stored: number
  /** Found: the quorum took it. Time until the quorum, requests until all 20 closest were asked to store. */
  outcome: Outcome
}

/** Stores records by real puts from random nodes and waits until all 20 closest were asked. */
export function putRecords(world: World, count: number, random: RandomStream, paths?: number): Placed[] {
  const placed: Placed[] = []
  let finished = 0
  const first = nextRecord(world, count)
  runOperations(world, count, (i, end) => {
    const record = contentRecord(first + i)
    const key = world.crypto.sha256(record)
    const command = { type: 'put', record, republish: false, ...(paths === undefined ? {} : { paths }) } as const
    const one: Placed = { record, key, isStored: false, stored: 0, outcome: { isFound: false, cost: undefined } }
    const reply = (answer: KademliaReply) => {
      const isStored = answer.type === 'stored'
      placed.push(Object.assign(one, { isStored, outcome: { isFound: isStored, cost: costOf(answer) } }))
      end(one.outcome)
    }
    world.command(pickNode(world, random), command, reply, ({ stored, cost }) => {
      finished++
      one.stored = stored
      if (one.outcome.cost === undefined) return
      const { requests, timeouts } = cost
      one.outcome = { ...one.outcome, cost: { ...one.outcome.cost, requests, timeouts } }
    })
  })
  // The walks have ended, the last stores are still on their way.
  world.run(world.time + 10_000, () => finished >= count)
  return placed
}

/** One get of a record that was put. */
export function get(
  world: World,
  node: number,
  { key, record }: Pick<Placed, 'key' | 'record'>,
  paths: number | undefined,
  end: (outcome: Outcome) => void,
): void {
  world.command(node, { type: 'get', key, ...(paths === undefined ? {} : { paths }) }, (reply) => {
    const isFound = reply.type === 'found-value' && world.crypto.equal(reply.record, record)
    end({ isFound, cost: costOf(reply) })
  })
}

/** One find-node; found when the nearest live honest node heads the answer. */
export function findNode(
  world: World,
  node: number,
  target: Uint8Array,
  paths: number | undefined,
  end: (outcome: Outcome) => void,
): void {
  world.command(node, { type: 'find-node', target, ...(paths === undefined ? {} : { paths }) }, (reply) => {
    const wanted = world
      .nearest(target, 21)
      .filter((one) => one !== node)
      .slice(0, 20)
    const got: number[] = reply.type === 'found-nodes' ? [...reply.contacts] : []
    const overlap = wanted.filter((one) => got.includes(one)).length / Math.max(1, wanted.length)
    end({ isFound: wanted[0] !== undefined && got.includes(wanted[0]), overlap, cost: costOf(reply) })
  })
}

/** What operations took, as figures. `goals` by figure name. */
export function outcomesToFigures(outcomes: readonly Outcome[], goals: Readonly<Record<string, Goal>> = {}): Figure[] {
  const costs = outcomes.flatMap(({ cost }) => (cost === undefined ? [] : [cost]))
  const requests = summarise(costs.map((cost) => cost.requests))
  const hops = summarise(costs.map((cost) => cost.hops))
  const ms = summarise(costs.map((cost) => cost.ms))
  const overlaps = outcomes.flatMap(({ overlap }) => (overlap === undefined ? [] : [overlap]))
  const found = outcomes.filter(({ isFound }) => isFound).length
  const figures: Figure[] = [
    { name: 'operations', value: outcomes.length, digits: 0 },
    { name: 'found %', value: (100 * found) / Math.max(1, outcomes.length), digits: 3 },
    ...(overlaps.length === 0 ? [] : [{ name: 'of 20 %', value: 100 * summarise(overlaps).mean }]),
    { name: 'RPCs', value: requests.mean },
    { name: 'RPCs p95', value: requests.p95, digits: 0 },
    { name: 'hops', value: hops.mean },
    { name: 'ms p50', value: ms.p50, digits: 0 },
    { name: 'ms p95', value: ms.p95, digits: 0 },
    { name: 'timeouts', value: summarise(costs.map((cost) => cost.timeouts)).mean },
  ]
  return figures.map((figure) => {
    const goal = goals[figure.name]
    return goal === undefined ? figure : { ...figure, goal }
  })
}

export function outcomesToSeries(outcomes: readonly Outcome[]): Series[] {
  const costs = outcomes.flatMap(({ cost }) => (cost === undefined ? [] : [cost]))
  return [
    { name: 'hops', unit: '', values: costs.map((cost) => cost.hops) },
    { name: 'latency', unit: 'ms', values: costs.map((cost) => cost.ms) },
  ]
}

/** Messages each node received since `before`. */
export function loadSeries(world: World, before: Uint32Array): Series {
  const values: number[] = []
  for (let node = 0; node < before.length; node++) {
    if (world.isHonestUp(node)) values.push((world.received[node] as number) - (before[node] as number))
  }
  return { name: 'load', unit: '', values }
}

function costOf(reply: KademliaReply): LookupCost | undefined {
  if ('cost' in reply) return reply.cost
  return reply.type === 'failed' && 'cost' in reply.error ? reply.error.cost : undefined
}

/** Records of one world never repeat. */
const recordCounters = new WeakMap<World, number>()

function nextRecord(world: World, count: number): number {
  const first = recordCounters.get(world) ?? 0
  recordCounters.set(world, first + count)
  return first
}
