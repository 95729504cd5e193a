import type { ContactRef, KademliaMessage } from '../../../packages/overlay/src/kademlia/interface.ts'
import type { RandomStream } from '../kernel/random-stream.ts'
import type { Goal } from '../report/result.ts'
import { watch } from '../world/checker.ts'
import type { World } from '../world/world.ts'
import { runGets } from './lookup.ts'
import { buildNetwork } from './network-builder.ts'
import { putRecords } from './operations.ts'
import { ResultBuilder, type Scenario } from './scenario.ts'

/** Issue 3, bad input: honest lookups still succeed. */
const goal: Goal = { at: 'least', bound: 99.9 }

const flooders = 4
/** Victims of each flooder, datagrams a second to each. */
const victims = 8
const perSecond = 500
/** Contacts that nobody answers at, offered again and again. */
const phantoms = 20_000

/**
 * Some nodes send their victims hundreds of datagrams a second that nobody asked for: answers with forged transactions
 * full of contacts that do not exist, stores with false tokens, probes against third parties, requests. The others' gets
 * go on, some of them from the victims.
 */
export const flood: Scenario = {
  name: 'flood',
  summary: `${flooders} nodes send ${victims} victims each ${perSecond} hostile datagrams a second; gets of the others go on`,
  flags: ['--lookups'],
  short: { nodes: 500, lookups: 200 },
  run: (context) => {
    const { options, progress } = context
    const offered = Math.min(phantoms, 2 * options.nodes)
    const world = buildNetwork(context, {
      nodes: options.nodes,
      spare: offered,
      adversaries: { role: 'honest', share: 0 },
    })
    const builder = new ResultBuilder('flood', options)
    const records = putRecords(world, 50, world.stream('puts'))
    builder.add(runGets(context, world, records, 'get, before', { 'found %': goal }))
    const random = world.stream('flood')
    const attacked: number[] = []
    for (let i = 0; i < flooders; i++) world.turn(i, 'flooding')
    for (let i = 0; i < flooders * victims; i++) attacked.push(flooders + random.below(options.nodes - flooders))
    const checker = watch(world, 8)
    for (const node of attacked) checker.watch(node)
    const stop = floodVictims(world, attacked, random, offered)
    world.run(world.time + 5_000)
    progress.step('flood')
    const during = runGets(context, world, records, 'get, flooded', { 'found %': goal })
    stop()
    checker.check()
    const received = attacked.map((node) => world.received[node] as number)
    builder.add({
      ...during,
      figures: [...during.figures, { name: 'datagrams to a victim', value: Math.max(...received), digits: 0 }],
    })
    builder.end(world)
    return builder.build()
  },
}

/** Sends until told to stop. */
function floodVictims(world: World, attacked: readonly number[], random: RandomStream, offered: number): () => void {
  let isOver = false
  const tick = () => {
    if (isOver) return
    for (const [i, victim] of attacked.entries()) {
      const from = Math.floor(i / victims)
      for (let burst = 0; burst < perSecond / 100; burst++)
        world.forge(from, victim, hostileMessage(world, random, offered))
    }
    world.at(world.time + 10, tick)
  }
  world.at(world.time, tick)
  return () => {
    isOver = true
  }
}

function hostileMessage(world: World, random: RandomStream, offered: number): KademliaMessage {
  const head = { transaction: random.next(), isServer: true }
  const first = world.options.nodes - offered
  const contacts = (): ContactRef[] =>
    Array.from({ length: 20 }, () => world.population.ref(first + random.below(offered)))
  switch (random.below(6)) {
    case 0:
      return { ...head, type: 'find-node-response', token: random.bytes(8), contacts: contacts() }
    case 1:
      return {
        ...head,
        type: 'find-value-response',
        token: random.bytes(8),
        record: random.bytes(100),
        contacts: contacts(),
      }
    case 2:
      return { ...head, type: 'store', token: random.bytes(8), record: random.bytes(100), ageMinutes: 0 }
    case 3:
      return { ...head, type: 'probe', contact: world.population.ref(random.below(first)) }
    case 4:
      return { ...head, type: 'find-node', target: random.bytes(32) }
    default:
      return { ...head, type: 'ping' }
  }
}
