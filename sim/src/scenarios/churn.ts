import { draw, sessionLengths } from '../kernel/distribution.ts'
import type { RandomStream } from '../kernel/random-stream.ts'
import type { Goal } from '../report/result.ts'
import { watch } from '../world/checker.ts'
import type { World } from '../world/world.ts'
import { buildNetwork } from './network-builder.ts'
import {
  get,
  loadSeries,
  type Outcome,
  outcomesToFigures,
  outcomesToSeries,
  type Placed,
  pickNode,
  putRecords,
  spacingMs,
} from './operations.ts'
import { ResultBuilder, type Scenario } from './scenario.ts'

/** Issue 3: 100k nodes with churn and 20 % adversaries keep 99.9 % of lookups. */
const goal: Goal = { at: 'least', bound: 99.9 }
const defaultEvil = 0.2
const defaultMinutes = 30

/** Median session, ms; own choice, see `sessionLengths` for the shape: a quarter of all sessions is under 6 minutes. */
const medianMs = 3_600_000

/** Nodes that are down and may come back, for each one that is up. */
const sparePerNode = 0.5

/** Contacts that a returning node still has from before, and those that a new one is given. */
const savedContacts = 20
const newContacts = 5

/**
 * Nodes come and go: whenever a session ends another node joins, so that the size stays. Honest nodes' clocks jump now
 * and then. A share of the nodes colludes throughout. Records are put before and got all the time.
 */
export const churn: Scenario = {
  name: 'churn',
  summary: 'nodes come and go (Weibull sessions, median 1 h) among colluders (--evil, 0.2) for --minutes (30)',
  flags: ['--lookups', '--paths', '--evil', '--minutes'],
  short: { nodes: 500, lookups: 300, minutes: 5 },
  run: (context) => {
    const { options, progress } = context
    const share = options.evil ?? defaultEvil
    const world = buildNetwork(context, {
      nodes: options.nodes,
      spare: Math.ceil(options.nodes * sparePerNode),
      adversaries: { role: 'colluding', share },
    })
    const checker = watch(world, 16)
    const builder = new ResultBuilder('churn', options)
    const records = putRecords(world, Math.ceil(options.lookups / 10), world.stream('puts'), options.paths)
    const puts = records.map(({ outcome }) => outcome)
    builder.add({ name: 'put', figures: outcomesToFigures(puts), series: outcomesToSeries(puts) })
    progress.step(`${records.length} puts`)
    const minutes = options.minutes ?? defaultMinutes
    const coming = startChurn(world)
    const before = world.received.slice()
    const outcomes = runOverTime(context, world, records, minutes, () => checker.check())
    checker.checkRecords(records)
    builder.add({
      name: `get, ${minutes} min`,
      figures: [
        ...outcomesToFigures(outcomes, { 'found %': goal }),
        { name: 'joins', value: coming.joins, digits: 0 },
        { name: 'leaves', value: coming.leaves, digits: 0 },
      ],
      series: [...outcomesToSeries(outcomes), loadSeries(world, before)],
    })
    builder.end(world)
    return builder.build()
  },
}

/** Gets spread over the virtual time; checkers look once a virtual minute. */
function runOverTime(
  { options, progress }: Parameters<Scenario['run']>[0],
  world: World,
  records: readonly Placed[],
  minutes: number,
  check: () => void,
): Outcome[] {
  const outcomes: Outcome[] = []
  const picking = world.stream('gets')
  const start = world.time
  for (let i = 0; i < options.lookups; i++) {
    const at = start + ((i + 0.5) / options.lookups) * minutes * 60_000
    world.at(at, () => {
      const record = records[i % records.length]
      const node = pickNode(world, picking)
      if (record === undefined) return
      get(world, node, record, options.paths, (outcome) => {
        // The asker left meanwhile: nobody waits for the answer.
        if (world.isHonestUp(node)) outcomes.push(outcome)
      })
    })
  }
  for (let minute = 1; minute <= minutes; minute++) {
    world.run(start + minute * 60_000)
    check()
    if (minute % 5 === 0) progress.step(`minute ${minute} of ${minutes}, ${world.events.toLocaleString('en')} events`)
  }
  world.run(world.time + 100 * spacingMs(world) + 20_000)
  return outcomes
}

/** Sessions end, others begin; runs for as long as the world does. */
function startChurn(world: World): { joins: number; leaves: number } {
  const random = world.stream('churn')
  const counts = { joins: 0, leaves: 0 }
  const away: number[] = []
  /** Contacts that nodes which are away still know from before. */
  const savedBy = new Map<number, readonly number[]>()
  for (let node = 0; node < world.options.nodes; node++) {
    if (world.up[node] === 0) away.push(node)
    else if (world.isHonestUp(node)) endAt(node, world.time + residualSession(random))
  }
  return counts

  function endAt(node: number, time: number): void {
    world.at(time, () => {
      counts.leaves++
      savedBy.set(node, world.engines[node]?.contacts().slice(0, savedContacts) ?? [])
      world.crash(node)
      away.push(node)
      const place = random.below(away.length)
      const next = away[place] ?? node
      away[place] = away.at(-1) ?? node
      away.pop()
      begin(next)
    })
  }

  function begin(node: number): void {
    counts.joins++
    const saved = savedBy.get(node) ?? []
    savedBy.delete(node)
    const known = saved.length > 0 ? saved : Array.from({ length: newContacts }, () => pickNode(world, random))
    const contacts = known.map((one) => world.population.ref(one))
    world.start(node)
    world.command(node, { type: 'bootstrap', contacts }, () => undefined)
    // One in a hundred machines slept or had its clock set.
    if (random.chance(0.01)) world.jumpClock(node, random.below(600_000), random.below(7_200_000) - 3_600_000)
    endAt(node, world.time + medianMs * draw(sessionLengths, random))
  }
}

/** What is left of the session of a node met at a random moment: sessions follow one another until one spans it. */
function residualSession(random: RandomStream): number {
  // Longer than most sessions: the first moments of a renewal process still show how it began.
  const moment = 20 * medianMs
  let end = 0
  while (end <= moment) end += medianMs * draw(sessionLengths, random)
  return end - moment
}
