import { join } from 'node:path'
import { type Rival, rivals, rivalsFolder } from './contenders.ts'
import type { Section } from './goals.ts'
import { ownName } from './measurement.ts'

/** One process of the run. */
export interface Job {
  readonly section: Section
  /** For the person who waits: which contender does what. */
  readonly label: string
  /** Absolute path. */
  readonly program: string
  readonly flags: readonly string[]
  readonly isRival: boolean
  /** It runs in the first round alone. */
  readonly isOnce: boolean
  /** After this it hangs, ms. A guess: several times what it takes on two cores. */
  readonly timeoutMs: number
}

export interface PlanOptions {
  readonly nodes: number
  readonly seed: number
  readonly isShort: boolean
  readonly sections: readonly Section[]
  readonly withRivals: boolean
}

interface Sizes {
  readonly puts: number
  readonly gets: number
  readonly records: number
  readonly phaseSeconds: number
  readonly gossipMessages: number
  readonly searchMs: number
  readonly requests: number
}

const fullSizes: Sizes = {
  puts: 300,
  gets: 900,
  records: 1_000,
  phaseSeconds: 60,
  gossipMessages: 40,
  searchMs: 700,
  requests: 40_000,
}
/** Does everything still run? Nothing about speed. */
const shortSizes: Sizes = {
  puts: 6,
  gets: 12,
  records: 20,
  phaseSeconds: 5,
  gossipMessages: 4,
  searchMs: 20,
  requests: 500,
}

/** More nodes of libp2p in one process spend the run on each other. */
const gossipNodes = 64
const gossipNodesShort = 8
const slowNodesShort = 8

const own = (name: string): string => join(import.meta.dirname, `${name}.ts`)
const rivalProgram = (name: string): string => join(rivalsFolder, `${name}.mjs`)

/** The processes of one round, in their order: contenders of one figure one after the other. */
export function planRound(options: PlanOptions): Job[] {
  const sizes = options.isShort ? shortSizes : fullSizes
  const jobs = [...floorJobs(sizes), ...dhtJobs(options, sizes), ...gossipJobs(options, sizes), ...microJobs(sizes)]
  return jobs.filter(({ section, isRival }) => options.sections.includes(section) && (options.withRivals || !isRival))
}

function job(section: Section, label: string, program: string, rest: Partial<Job> & Pick<Job, 'flags'>): Job {
  return { section, label, program, isRival: false, isOnce: false, timeoutMs: 120_000, ...rest }
}

function floorJobs({ requests }: Sizes): Job[] {
  const flags = ['--requests', String(requests)]
  return [
    job('floor', 'floor of this machine', own('floor'), { flags }),
    job('floor', `${ownName}: one RPC between two nodes`, own('rpc'), { flags }),
  ]
}

function dhtJobs({ nodes, seed, isShort }: PlanOptions, sizes: Sizes): Job[] {
  const contenders: readonly Rival[] = [{ name: ownName, nodesMax: nodes, isSlow: false }, ...rivals]
  return contenders.flatMap(({ name, nodesMax, isSlow }) => {
    const isRival = name !== ownName
    const count = Math.min(nodes, isShort && isSlow ? slowNodesShort : nodesMax)
    const common = ['--peer', name, '--nodes', String(count), '--seed', String(seed)]
    const phase = ['--phase-seconds', String(sizes.phaseSeconds)]
    const rest = { isRival, isOnce: isSlow || isShort, timeoutMs: 900_000 }
    const scenario = [...common, ...phase, '--puts', String(sizes.puts), '--gets', String(sizes.gets)]
    const durability = [...common, ...phase, '--records', String(sizes.records)]
    return [
      job('dht', `${name}: DHT scenario, N ${count}`, own('dht'), { flags: scenario, ...rest }),
      ...(isRival
        ? []
        : [job('dht', `${name}: cold, N ${count}`, own('dht'), { flags: [...scenario, '--cold'], ...rest })]),
      // Among so few nodes everybody holds every record.
      ...(isSlow
        ? []
        : [
            job('dht', `${name}: 50 % dead, N ${count}`, own('durability'), {
              flags: durability,
              ...rest,
              isOnce: true,
            }),
          ]),
      job('dht', `${name}: start`, own('startup'), { flags: ['--peer', name], ...rest }),
    ]
  })
}

function gossipJobs({ seed, isShort }: PlanOptions, { gossipMessages }: Sizes): Job[] {
  const nodes = isShort ? gossipNodesShort : gossipNodes
  const flags = ['--nodes', String(nodes), '--messages', String(gossipMessages), '--seed', String(seed)]
  return [
    job('gossip', `${ownName}: gossip, N ${nodes}`, own('gossip'), { flags, timeoutMs: 300_000 }),
    job('gossip', `gossipsub, N ${nodes}`, rivalProgram('gossipsub'), {
      flags,
      isRival: true,
      isOnce: true,
      timeoutMs: 300_000,
    }),
  ]
}

function microJobs({ searchMs }: Sizes): Job[] {
  const flags = ['--milliseconds', String(searchMs)]
  return [
    job('micro', `${ownName}: routing table`, own('micro'), { flags }),
    job('micro', 'routing tables of the rivals', rivalProgram('micro'), { flags, isRival: true }),
  ]
}
