import type { KademliaConfig } from '../../../packages/overlay/src/kademlia/interface.ts'
import { RandomStream } from '../kernel/random-stream.ts'
import type { Goal } from '../report/result.ts'
import { type GroundNode, Population } from '../world/population.ts'
import { contentRecord } from '../world/records.ts'
import { createSimCrypto } from '../world/sim-crypto.ts'
import type { World } from '../world/world.ts'
import { buildNetwork } from './network-builder.ts'
import { get, type Outcome, outcomesToFigures, outcomesToSeries, pickNode, runOperations } from './operations.ts'
import { ResultBuilder, type Scenario, type ScenarioContext } from './scenario.ts'

/** Own choice, for attackers in one network; the issue asks for the figures of the others, not for a bound. */
const goal: Goal = { at: 'least', bound: 95 }

/** Records attacked in one world, each by a cluster of its own. */
const targetsMax = 40

/**
 * How much nearer to the target than the expected nearest honest node the ground ids lie. Own choice: an attacker who
 * grinds 8 × nodes keys for each id gets this.
 */
const nearerBy = 8

interface Attack {
  readonly ids: number
  readonly prefixes: number
}

const attacks: readonly Attack[] = [
  { ids: 20, prefixes: 1 },
  { ids: 20, prefixes: 50 },
  { ids: 200, prefixes: 1 },
  { ids: 200, prefixes: 50 },
]

interface Defence {
  readonly name: string
  readonly config: Partial<KademliaConfig>
}

/** The product's own, the same without covering the dense region, and without any limit on prefixes either. */
const defences: readonly Defence[] = [
  { name: 'product', config: {} },
  { name: 'no region cover', config: { regionMax: 20 } },
  { name: 'neither', config: { regionMax: 20, contactsPerPrefixMax: 20 } },
]

/**
 * Ids ground near a record's key, from few or many networks. For each record: an honest node puts it during the attack,
 * then others get it. The attacker's nodes take every record, keep none, and name only one another.
 */
export const sybil: Scenario = {
  name: 'sybil',
  summary: '20 and 200 ids ground near a key, from 1 and 50 prefixes, with and without the defences',
  flags: ['--lookups', '--paths'],
  short: { nodes: 1_000, lookups: 60 },
  run: (context) => {
    const { options } = context
    const builder = new ResultBuilder('sybil', options)
    for (const attack of attacks) for (const defence of defences) runAttack(context, builder, attack, defence)
    return builder.build()
  },
}

function runAttack(context: ScenarioContext, builder: ResultBuilder, attack: Attack, { name, config }: Defence): void {
  const { options, progress } = context
  const targets = Math.min(targetsMax, Math.ceil(options.lookups / 5))
  const records = Array.from({ length: targets }, (_, i) => {
    const record = contentRecord(0x80000000 + i)
    return { record, key: createSimCrypto().sha256(record) }
  })
  const ground = records.flatMap(({ key }, i) => grind(key, options.nodes, attack, options.seed + i))
  const world = buildNetwork(context, { nodes: options.nodes, ground, config })
  const label = `${attack.ids} ids, ${attack.prefixes} /24, ${name}`
  progress.step(label)
  const picking = world.stream('sybil')
  let honestHolders = 0
  const puts = runOperations(world, targets, (i, end) => {
    const { record } = records[i] ?? { record: contentRecord(0) }
    world.command(pickNode(world, picking), { type: 'put', record, republish: false, ...paths(options) }, (reply) => {
      end({ isFound: reply.type === 'stored', cost: 'cost' in reply ? reply.cost : undefined })
    })
  })
  world.run(world.time + 10_000)
  for (const { key } of records) honestHolders += countHolders(world, key)
  const gets = runOperations(world, options.lookups, (i, end: (outcome: Outcome) => void) => {
    const record = records[i % records.length]
    if (record === undefined) return end({ isFound: false, cost: undefined })
    get(world, pickNode(world, picking), record, options.paths, end)
  })
  const goals = name === 'product' && attack.prefixes === 1 ? { 'found %': goal } : {}
  builder.add({
    name: label,
    figures: [
      ...outcomesToFigures(gets, goals),
      { name: 'put RPCs', value: mean(puts.map(({ cost }) => cost?.requests ?? 0)) },
      { name: 'honest holders', value: honestHolders / targets },
    ],
    series: outcomesToSeries(gets),
  })
  builder.end(world)
}

/** Honest nodes that hold the record, of the hundred nearest: a put reaches no farther. */
function countHolders(world: World, key: Uint8Array): number {
  return world.nearest(key, 100).filter((node) => world.holds(node, key)).length
}

/** Ids nearer to the key than honest ones are expected to lie, spread evenly there, over the attack's prefixes. */
function grind(key: Uint8Array, nodes: number, { ids, prefixes }: Attack, seed: number): GroundNode[] {
  const random = new RandomStream(seed, 'grinding')
  const [high, low] = Population.words(key)
  // Leading bits in common with the key, then whatever came.
  const common = Math.ceil(bitsOf(nodes * nearerBy))
  return Array.from({ length: ids }, (_, i) => {
    const id = random.bytes(32)
    const view = new DataView(id.buffer)
    const keptHigh = common >= 32 ? 0xffffffff : (0xffffffff << (32 - common)) >>> 0
    const keptLow = common <= 32 ? 0 : (0xffffffff << (64 - common)) >>> 0
    view.setUint32(0, ((high & keptHigh) | (view.getUint32(0) & ~keptHigh)) >>> 0)
    view.setUint32(4, ((low & keptLow) | (view.getUint32(4) & ~keptLow)) >>> 0)
    return { id, prefix: i % prefixes }
  })
}

/** Bits that a number needs: whole, so the same on every machine. */
function bitsOf(number: number): number {
  let bits = 0
  while (2 ** bits < number) bits++
  return bits
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
}

function paths({ paths: count }: { readonly paths: number | undefined }): { paths?: number } {
  return count === undefined ? {} : { paths: count }
}
