import type { Goal } from '../report/result.ts'
import { watch } from '../world/checker.ts'
import { signedRecord } from '../world/records.ts'
import type { World } from '../world/world.ts'
import { runGets } from './lookup.ts'
import { buildNetwork } from './network-builder.ts'
import { type Outcome, outcomesToFigures, outcomesToSeries, pickNode, putRecords, runOperations } from './operations.ts'
import { ResultBuilder, type Scenario } from './scenario.ts'

/** Own choice: what was there before the cut must be found after it. */
const goal: Goal = { at: 'least', bound: 99.9 }
/** Own choice: a newer record, put on one side during the cut, is got from either side once it was put again. */
const freshGoal: Goal = { at: 'least', bound: 99 }

const defaultMinutes = 10

/**
 * The network falls into two halves, each goes on by itself, and they meet again. Records of before are got during and
 * after; signed records get a newer sequence on one side, which everybody must see after the owners republished.
 */
export const partition: Scenario = {
  name: 'partition',
  summary: 'two halves for --minutes (10), then healed: old records, and newer ones put on one side',
  flags: ['--lookups', '--minutes'],
  short: { nodes: 1_000, lookups: 200, minutes: 2 },
  run: (context) => {
    const { options } = context
    const world = buildNetwork(context, { nodes: options.nodes })
    const checker = watch(world, 16)
    const builder = new ResultBuilder('partition', options)
    const records = putRecords(world, Math.max(1, Math.ceil(options.lookups / 5)), world.stream('puts'))
    const owners = Math.max(1, Math.ceil(options.lookups / 10))
    putSigned(world, owners, 1, () => true)
    const halves = world.stream('halves')
    const sides = Uint8Array.from({ length: world.population.count }, () => halves.below(2))
    world.network.partition((node) => (sides[node] === 0 ? 0 : 1))
    builder.add(runGets(context, world, records, 'get, parted'))
    putSigned(world, owners, 2, (node) => sides[node] === 0)
    world.run(world.time + (options.minutes ?? defaultMinutes) * 60_000)
    world.network.heal()
    builder.add(runGets(context, world, records, 'get, healed', { 'found %': goal }))
    builder.add(getSigned(world, owners, options.lookups, 'newer, healed', {}))
    putSigned(world, owners, 2, (node) => sides[node] === 0)
    builder.add(getSigned(world, owners, options.lookups, 'newer, put again', { 'found %': freshGoal }))
    checker.check()
    checker.checkRecords(records)
    builder.end(world)
    return builder.build()
  },
}

/** Each owner puts its record at a sequence, from a node for which `isThere`. */
function putSigned(world: World, owners: number, sequence: number, isThere: (node: number) => boolean): void {
  const picking = world.stream(`owners ${sequence}`)
  runOperations(world, owners, (i, end) => {
    let node = pickNode(world, picking)
    while (!isThere(node)) node = pickNode(world, picking)
    world.command(node, { type: 'put', record: signedRecord(i, sequence), republish: false }, (reply) => {
      end({ isFound: reply.type === 'stored', cost: 'cost' in reply ? reply.cost : undefined })
    })
  })
  world.run(world.time + 10_000)
}

/** Found when the newest sequence came. */
function getSigned(world: World, owners: number, lookups: number, name: string, goals: Readonly<Record<string, Goal>>) {
  const picking = world.stream(name)
  const outcomes: Outcome[] = runOperations(world, lookups, (i, end) => {
    const newest = signedRecord(i % owners, 2)
    const key = world.records.check(newest)?.key ?? newest
    world.command(pickNode(world, picking), { type: 'get', key }, (reply) => {
      const isFound = reply.type === 'found-value' && world.crypto.equal(reply.record, newest)
      end({ isFound, cost: 'cost' in reply ? reply.cost : undefined })
    })
  })
  return { name, figures: outcomesToFigures(outcomes, goals), series: outcomesToSeries(outcomes) }
}
