import type { KademliaReply } from '../../../packages/overlay/src/kademlia/interface.ts'
import type { Goal } from '../report/result.ts'
import { summarise } from '../report/samples.ts'
import { type Checker, watch } from '../world/checker.ts'
import type { World } from '../world/world.ts'
import { runGets } from './lookup.ts'
import { buildNetwork } from './network-builder.ts'
import { type Outcome, outcomesToFigures, outcomesToSeries, pickNode, putRecords, runOperations } from './operations.ts'
import { ResultBuilder, type Scenario } from './scenario.ts'

/** Own choice: everybody who joins must be found by others afterwards (row C20, mutant E). */
const goal: Goal = { at: 'least', bound: 99 }

/** Of ten newcomers one sits behind a NAT and joins in client mode. */
const clientEvery = 10
const bootstrapContacts = 3

/** Virtual ms between a node's join and others looking for it. */
const settleMs = 30_000

export const join: Scenario = {
  name: 'join',
  summary: '--lookups newcomers (at most a tenth of --nodes) bootstrap through 3 nodes; others then find them',
  flags: ['--lookups'],
  short: { nodes: 1_000, lookups: 100 },
  run: (context) => {
    const { options, progress } = context
    const count = Math.max(1, Math.min(options.lookups, Math.floor(options.nodes / 10)))
    const world = buildNetwork(context, { nodes: options.nodes, spare: count })
    const checker = watch(world, 16)
    const builder = new ResultBuilder('join', options)
    const records = putRecords(world, 50, world.stream('puts'))
    const newcomers = Array.from({ length: count }, (_, i) => options.nodes + i)
    const joins = joinAll(world, newcomers, checker)
    progress.step(`${count} joins`)
    world.run(world.time + settleMs)
    const tables = newcomers.map((node) => world.engines[node]?.info().contacts ?? 0)
    builder.add({
      name: 'join',
      figures: [
        ...outcomesToFigures(joins, { 'found %': goal }),
        { name: 'contacts', value: summarise(tables).mean, digits: 1 },
      ],
      series: outcomesToSeries(joins),
    })
    const found = findNewcomers(world, newcomers)
    builder.add({
      name: 'found by others',
      figures: outcomesToFigures(found, { 'found %': goal }),
      series: outcomesToSeries(found),
    })
    builder.add(runGets(context, world, records, 'get, by all', { 'found %': goal }))
    checker.check()
    builder.end(world)
    return builder.build()
  },
}

function isClient(i: number): boolean {
  return i % clientEvery === clientEvery - 1
}

/** Newcomers that are watched, from their first datagram on: who has proven itself before would be missed. */
const newcomersWatched = 16

function joinAll(world: World, newcomers: readonly number[], checker: Checker): Outcome[] {
  const random = world.stream('joins')
  return runOperations(world, newcomers.length, (i, end) => {
    const node = newcomers[i] ?? 0
    const contacts = Array.from({ length: bootstrapContacts }, () => world.population.ref(pickNode(world, random)))
    if (isClient(i)) world.network.putBehindNat(node)
    world.start(node, isClient(i) ? 'client' : 'server')
    if (i < newcomersWatched) checker.watch(node)
    world.command(node, { type: 'bootstrap', contacts }, (reply: KademliaReply) => {
      end({ isFound: reply.type === 'bootstrapped', cost: reply.type === 'bootstrapped' ? reply.cost : undefined })
    })
  })
}

/** Askers of one newcomer: a lost datagram at one of them says nothing about the newcomer. */
const askers = 3

/** Up to three others look for the id of each newcomer; clients must not turn up, the others must. */
function findNewcomers(world: World, newcomers: readonly number[]): Outcome[] {
  const random = world.stream('finding')
  return runOperations(world, newcomers.length, (i, end) => {
    const wanted = newcomers[i] ?? 0
    const target = world.population.contacts.id(world.population.ref(wanted)).slice()
    const ask = (attempt: number) => {
      world.command(pickNode(world, random), { type: 'find-node', target }, (reply) => {
        const isThere = reply.type === 'found-nodes' && reply.contacts.some((ref) => ref === wanted)
        const cost = reply.type === 'found-nodes' ? reply.cost : undefined
        if (isThere || attempt === askers) end({ isFound: isThere !== isClient(i), cost })
        else world.at(world.time, () => ask(attempt + 1))
      })
    }
    ask(1)
  })
}
