import type { ContactRef, KademliaConfig } from '../../../packages/overlay/src/kademlia/interface.ts'
import type { NetworkOptions } from '../network/network.ts'
import type { Role } from '../world/adversary.ts'
import { createFaultyEngine, isFault } from '../world/faults.ts'
import { IdIndex } from '../world/id-index.ts'
import { createKademlia } from '../world/kademlia-engine.ts'
import { longLivedContacts, longLivedContactsMax } from '../world/long-lived.ts'
import type { GroundNode } from '../world/population.ts'
import { World } from '../world/world.ts'
import type { ScenarioContext } from './scenario.ts'

export interface NetworkPlan {
  /** Nodes of the long-lived network. */
  readonly nodes: number
  /** More nodes that exist and are down. */
  readonly spare?: number
  /** Nodes with ground ids; they run and collude. */
  readonly ground?: readonly GroundNode[]
  /** Share of the nodes that behave so from the start. */
  readonly adversaries?: { readonly role: Role; readonly share: number }
  readonly config?: Partial<KademliaConfig>
  readonly network?: Partial<NetworkOptions>
}

/** Contacts of an old table were heard at some time within this, ms: their refreshes are spread over the same time. */
const heardWithinMs = 3_600_000

/** Virtual time at which a filled world begins: later than what its tables heard. */
export const startMs: number = heardWithinMs

/** A world of servers whose tables are those of a long-lived network; adversaries are in them as everybody else. */
export function buildNetwork({ options, progress }: ScenarioContext, plan: NetworkPlan): World {
  const { nodes, spare = 0, ground = [] } = plan
  const create =
    options.plant !== undefined && isFault(options.plant) ? createFaultyEngine(options.plant) : createKademlia
  const world = new World({
    nodes: nodes + spare,
    seed: options.seed,
    createEngine: create,
    ground,
    config: { mode: 'server', ...plan.config },
    network: { ...plan.network, ...(options.loss === undefined ? {} : { loss: options.loss }) },
  })
  progress.step(`${world.population.count.toLocaleString('en')} keys and ids`)
  const members = Uint32Array.from({ length: nodes + ground.length }, (_, i) => (i < nodes ? i : i + spare))
  const index = new IdIndex(world.population.high, world.population.low, members)
  turnAdversaries(world, members, plan)
  fillAll(world, index, members)
  progress.step(`${members.length.toLocaleString('en')} engines with the tables of a long-lived network`)
  world.run(startMs)
  return world
}

function turnAdversaries(world: World, members: Uint32Array, { adversaries, ground = [] }: NetworkPlan): void {
  const random = world.stream('roles')
  const colluders: number[] = []
  const firstGround = world.population.count - ground.length
  for (const node of members) {
    const isGround = node >= firstGround
    if (!isGround && (adversaries === undefined || !random.chance(adversaries.share))) continue
    const role = isGround ? 'colluding' : (adversaries?.role ?? 'silent')
    world.turn(node, role)
    if (role === 'colluding') colluders.push(node)
  }
  world.adversary.setColluders(Uint32Array.from(colluders))
}

function fillAll(world: World, index: IdIndex, members: Uint32Array): void {
  const random = world.stream('tables')
  const { population } = world
  const contacts = new Uint32Array(longLivedContactsMax)
  for (const node of members) {
    if (world.up[node] === 1) continue
    const count = longLivedContacts(index, population, node, random, contacts)
    const engine = world.start(node)
    const refs: ContactRef[] = []
    for (let i = count - 1; i >= 0; i--) refs.push(population.ref(contacts[i] as number))
    engine.fill(random.below(heardWithinMs), refs)
    world.schedule(node)
  }
}
