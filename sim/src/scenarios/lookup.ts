import type { Case, Goal } from '../report/result.ts'
import { watch } from '../world/checker.ts'
import type { World } from '../world/world.ts'
import { buildNetwork } from './network-builder.ts'
import {
  findNode,
  get,
  loadSeries,
  type Outcome,
  outcomesToFigures,
  outcomesToSeries,
  pickNode,
  putRecords,
  runOperations,
} from './operations.ts'
import { ResultBuilder, type Scenario, type ScenarioContext } from './scenario.ts'

/** Issue 3, goals. */
const foundGoal: Goal = { at: 'least', bound: 99.9 }
const getGoal: Goal = { at: 'most', bound: 9 }
const findNodeGoal: Goal = { at: 'most', bound: 26 }
/** Own choice: one request in fifty loses its question or its answer, and the engine does not ask a node twice. */
const overlapGoal: Goal = { at: 'least', bound: 97 }

/** Records put for the gets: each is got several times, from different nodes. */
const getsPerRecord = 10

export const lookup: Scenario = {
  name: 'lookup',
  summary: 'puts, gets and find-nodes in a quiet network; with --dead, again after killing that share at once',
  flags: ['--lookups', '--paths', '--dead'],
  short: { nodes: 2_000, lookups: 400, dead: 0.2 },
  run: (context) => {
    const { options, progress } = context
    const world = buildNetwork(context, { nodes: options.nodes })
    const builder = new ResultBuilder('lookup', options)
    const checker = watch(world, 16)
    const records = putRecords(world, Math.max(1, Math.ceil(options.lookups / getsPerRecord)), random(world))
    progress.step(`${records.length} puts`)
    builder.add({
      name: 'put',
      figures: outcomesToFigures(
        records.map(({ outcome }) => outcome),
        { 'found %': foundGoal },
      ),
      series: outcomesToSeries(records.map(({ outcome }) => outcome)),
    })
    builder.add(runGets(context, world, records, 'get', { 'found %': foundGoal, RPCs: getGoal }))
    builder.add(runFindNodes(context, world, 'find-node', { 'of 20 %': overlapGoal, RPCs: findNodeGoal }))
    if (options.dead !== undefined) {
      killShare(world, options.dead)
      const percent = `${Math.round(options.dead * 100)} % dead`
      builder.add(runGets(context, world, records, `get, ${percent}`, { 'found %': foundGoal }))
      builder.add(runFindNodes(context, world, `find-node, ${percent}`, {}))
    }
    checker.check()
    builder.end(world)
    return builder.build()
  },
}

/** Kills a share of the running honest nodes at once. */
export function killShare(world: World, share: number): void {
  const killing = world.stream('killing')
  for (let node = 0; node < world.options.nodes; node++) {
    if (world.isHonestUp(node) && killing.chance(share)) world.crash(node)
  }
}

/** `--lookups` gets of these records from random nodes. */
export function runGets(
  { options, progress }: ScenarioContext,
  world: World,
  records: Parameters<typeof get>[2][],
  name: string,
  goals: Readonly<Record<string, Goal>> = {},
  paths: number | undefined = options.paths,
): Case {
  const picking = world.stream(name)
  const before = world.received.slice()
  const outcomes = runOperations(world, options.lookups, (i, end) => {
    const record = records[i % records.length]
    if (record === undefined) return end({ isFound: false, cost: undefined })
    get(world, pickNode(world, picking), record, paths, end)
  })
  progress.step(`${outcomes.length} × ${name}`)
  return toCase(name, outcomes, goals, world, before)
}

function runFindNodes(
  { options, progress }: ScenarioContext,
  world: World,
  name: string,
  goals: Readonly<Record<string, Goal>>,
): Case {
  const picking = world.stream(name)
  const before = world.received.slice()
  const outcomes = runOperations(world, options.lookups, (_, end) => {
    findNode(world, pickNode(world, picking), picking.bytes(32), options.paths, end)
  })
  progress.step(`${outcomes.length} × ${name}`)
  return toCase(name, outcomes, goals, world, before)
}

function toCase(
  name: string,
  outcomes: readonly Outcome[],
  goals: Readonly<Record<string, Goal>>,
  world: World,
  before: Uint32Array,
): Case {
  const load = loadSeries(world, before)
  return { name, figures: outcomesToFigures(outcomes, goals), series: [...outcomesToSeries(outcomes), load] }
}

function random(world: World) {
  return world.stream('puts')
}
