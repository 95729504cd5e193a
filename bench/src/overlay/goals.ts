import { ownName, type Summary } from './measurement.ts'

/** A row of the goals table of the overlay: what is asked for, and of which measurement. */
export interface Goal {
  readonly label: string
  readonly metric: string
  readonly goal: { readonly atMost: number } | { readonly atLeast: number }
  readonly unit: string
  /** Digits behind the point. */
  readonly digits: number
  readonly section: Section
}

export const sections = ['floor', 'dht', 'gossip', 'micro'] as const
export type Section = (typeof sections)[number]

/** Of the issue "The overlay", in its order. */
export const goals: readonly Goal[] = [
  row('dht', 'CPU per RPC, both ends, sealed, warm', 'warm-cpu-per-request-us', { atMost: 50 }, 'µs', 1),
  row('floor', 'CPU of the first RPC to a contact, both ends', 'rpc-cold-cpu-us', { atMost: 500 }, 'µs', 0),
  row('dht', 'requests a put, until all 20 are asked', 'warm-put-requests', { atMost: 45 }, '', 1),
  row('dht', 'requests a get', 'warm-get-requests', { atMost: 7 }, '', 1),
  row('dht', 'put p50, warm', 'warm-put-p50-ms', { atMost: 4 }, 'ms', 2),
  row('dht', 'get p50, warm', 'warm-get-p50-ms', { atMost: 1 }, 'ms', 2),
  row('dht', '20 % dead: put p95', 'dead-put-p95-ms', { atMost: 400 }, 'ms', 1),
  row('dht', '20 % dead: get p95', 'dead-get-p95-ms', { atMost: 10 }, 'ms', 1),
  row('dht', '20 % dead: puts that succeed', 'dead-put-success', { atLeast: 1 }, '', 4),
  row('dht', '20 % dead: gets that succeed', 'dead-get-success', { atLeast: 1 }, '', 4),
  row('dht', 'memory per node in one process, joined', 'node-mb', { atMost: 0.2 }, 'MB', 3),
  row('dht', '50 % dead: records still found', 'durability-found', { atLeast: 0.999 }, '', 4),
  row('micro', 'exact closest 20 of 5,000 contacts', 'table-closest-per-s', { atLeast: 1e6 }, '/s', 0),
  row('micro', 'contacts added', 'table-adds-per-s', { atLeast: 2e6 }, '/s', 0),
  row('gossip', 'gossip: copies per node and message', 'gossip-copies', { atMost: 1.3 }, '', 2),
  row('gossip', 'gossip: delivery', 'gossip-delivery', { atLeast: 1 }, '', 4),
  row('gossip', 'gossip: CPU per delivered signed 1 KiB', 'gossip-cpu-per-delivered-us', { atMost: 250 }, 'µs', 0),
  row('gossip', 'gossip: last node, against flooding', 'gossip-last-node-over-flooding', { atMost: 1.8 }, '×', 2),
]

function row(section: Section, label: string, metric: string, goal: Goal['goal'], unit: string, digits: number): Goal {
  return { section, label, metric, goal, unit, digits }
}

/** A goal with what was measured. */
export interface Outcome {
  readonly goal: Goal
  readonly own: Summary | undefined
  /** The best of those that were measured with as many nodes as we were. */
  readonly rival: Summary | undefined
  /** How many times better we are than the best rival: above 1 is ahead. Undefined where one of the two is missing or 0. */
  readonly ratio: number | undefined
  /** Of our median; undefined where we were not measured. */
  readonly isMet: boolean | undefined
}

function isBetter(goal: Goal, one: number, other: number): boolean {
  return 'atMost' in goal.goal ? one < other : one > other
}

/** What came out for each goal of these sections. */
export function judge(summaries: readonly Summary[], asked: readonly Section[] = sections): Outcome[] {
  return goals
    .filter(({ section }) => asked.includes(section))
    .map((goal) => {
      const found = summaries.filter(({ metric }) => metric === goal.metric)
      const own = found.find(({ peer }) => peer === ownName)
      const rival = found
        .filter(({ peer, nodes }) => peer !== ownName && (own === undefined || nodes === own.nodes))
        .reduce<Summary | undefined>(
          (best, each) => (best === undefined || isBetter(goal, each.value, best.value) ? each : best),
          undefined,
        )
      return { goal, own, rival, ratio: ratioOf(goal, own?.value, rival?.value), isMet: isMet(goal, own?.value) }
    })
}

function ratioOf(goal: Goal, own: number | undefined, rival: number | undefined): number | undefined {
  if (own === undefined || rival === undefined || own === 0 || rival === 0) return undefined
  return 'atMost' in goal.goal ? rival / own : own / rival
}

function isMet(goal: Goal, own: number | undefined): boolean | undefined {
  if (own === undefined) return undefined
  return 'atMost' in goal.goal ? own <= goal.goal.atMost : own >= goal.goal.atLeast
}
