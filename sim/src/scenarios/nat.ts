import { RandomStream } from '../kernel/random-stream.ts'
import { canPunch, type NatKind, natKinds } from '../nat/nat-box.ts'
import { type NatFault, NatWorld } from '../nat/nat-world.ts'
import type { Case, Figure } from '../report/result.ts'
import { ResultBuilder, type Scenario } from './scenario.ts'

/** Of 20 nodes, how many stand behind what. Own choice: more are restricted than not, as in the field. */
const shares: Readonly<Record<NatKind, number>> = { open: 8, full: 2, addr: 2, port: 5, sym: 2, wall: 1 }

/** Real handshakes under virtual time cost real ones: the network is no larger than this. */
const nodesMax = 120
const joinEveryMs = 2_000
const defaultMinutes = 30
/** Punches measured for each pair of kinds. */
const punchesPerPairMax = 20
const defaultLoss = 0.01

/**
 * Whole nodes in mode `auto` behind NATs of all kinds find out by probes whether strangers reach them; those that cannot
 * be reached keep rendezvous, and are punched through to.
 */
export const nat: Scenario = {
  name: 'nat',
  summary: `nodes behind NATs tell servers from clients, and punch through to each other (at most ${nodesMax} nodes)`,
  flags: ['--lookups', '--minutes'],
  short: { nodes: 60, lookups: 150 },
  run: ({ options, progress }) => {
    const { seed, minutes = defaultMinutes, loss = defaultLoss, plant } = options
    const random = new RandomStream(seed, 'nat')
    const kinds = drawKinds(Math.min(options.nodes, nodesMax), random)
    const world = new NatWorld({ kinds, seed, loss, fault: faultOf(plant) })
    const builder = new ResultBuilder('nat', { ...options, nodes: kinds.length })
    for (let index = 1; index < kinds.length; index++) {
      world.ask(index, { type: 'bootstrap', contacts: [world.contactOf(random.below(Math.min(index, 3)))] })
      world.run(world.time + joinEveryMs)
    }
    progress.step('join')
    for (let minute = 0; minute < minutes; minute++) {
      world.run(world.time + 60_000)
      world.check()
    }
    progress.step('settle')
    builder.add(serversCase(world))
    for (const one of punchCases(world, options.lookups, random)) builder.add(one)
    world.check()
    builder.end(world)
    return builder.build()
  },
}

/** The first ones are open: somebody has to begin. */
function drawKinds(count: number, random: RandomStream): NatKind[] {
  const all = natKinds.flatMap((kind) => new Array<NatKind>(shares[kind]).fill(kind))
  return Array.from({ length: count }, (_, index) => (index < 3 ? 'open' : (all[random.below(all.length)] ?? 'open')))
}

function faultOf(plant: string | undefined): NatFault | undefined {
  return plant === 'opener-flood' || plant === 'restricted-server' ? plant : undefined
}

/** How many of each kind are servers, and have rendezvous. */
function serversCase(world: NatWorld): Case {
  const figures = natKinds.flatMap((kind): Figure[] => {
    const nodes = world.nodes.filter((node) => node.kind === kind)
    if (nodes.length === 0) return []
    const servers = nodes.filter(({ node }) => node.info().kademlia.isServer)
    const value = (100 * servers.length) / nodes.length
    if (kind === 'open') return [{ name: 'open: servers %', value, digits: 0, goal: { at: 'least', bound: 90 } }]
    if (kind === 'full') return [{ name: 'full: servers %', value, digits: 0 }]
    const reachable = nodes.filter(({ node }) => node.rendezvous().length > 0)
    return [
      { name: `${kind}: servers %`, value, digits: 0, goal: { at: 'most', bound: 0 } },
      {
        name: `${kind}: with rendezvous %`,
        value: (100 * reachable.length) / nodes.length,
        digits: 0,
        goal: { at: 'least', bound: 100 },
      },
    ]
  })
  return { name: 'mode auto', figures, series: [] }
}

interface Tally {
  tried: number
  reached: number
  ms: number[]
}

/** Punches between nodes that are not reached without, one after the other. */
function punchCases(world: NatWorld, punches: number, random: RandomStream): Case[] {
  const tallies: Record<'possible' | 'impossible', Tally> = {
    possible: { tried: 0, reached: 0, ms: [] },
    impossible: { tried: 0, reached: 0, ms: [] },
  }
  const targets = world.nodes.filter(({ node }) => node.rendezvous().length > 0)
  const byPair = new Map<string, number>()
  for (let i = 0; i < 50 * punches && tallies.possible.tried + tallies.impossible.tried < punches; i++) {
    const asker = world.at(random.below(world.nodes.length))
    const target = targets[random.below(targets.length)]
    if (target === undefined || target === asker) continue
    const pair = `${asker.kind} ${target.kind}`
    const count = byPair.get(pair) ?? 0
    if (count >= punchesPerPairMax) continue
    byPair.set(pair, count + 1)
    const tally = tallies[canPunch(asker.kind, target.kind) ? 'possible' : 'impossible']
    tally.tried++
    for (const rendezvous of target.node.rendezvous()) {
      const reply = world.ask(asker.index, { type: 'punch', publicKey: target.publicKey, rendezvous })
      tally.ms.push(reply.type === 'punched' ? reply.ms : 0)
      if (reply.type !== 'punched') continue
      tally.reached++
      break
    }
    world.run(world.time + 5_000)
  }
  return [
    pairCase('punches, pairs that allow it', tallies.possible, { at: 'least', bound: 98 }),
    pairCase('punches, pairs that do not', tallies.impossible, { at: 'most', bound: 0 }),
  ]
}

function pairCase(name: string, { tried, reached, ms }: Tally, goal: NonNullable<Figure['goal']>): Case {
  const times = ms.filter((each) => each > 0).sort((a, b) => a - b)
  const figures: Figure[] = [
    { name: 'punches', value: tried, digits: 0 },
    {
      name: 'reached %',
      value: tried === 0 ? 0 : (100 * reached) / tried,
      digits: 1,
      ...(tried === 0 ? {} : { goal }),
    },
  ]
  if (times.length > 0) figures.push({ name: 'median ms', value: times[times.length >> 1] ?? 0, digits: 0 })
  return { name, figures, series: [{ name: 'latency', unit: 'ms', values: times }] }
}
