import type { Goal } from '../report/result.ts'
import type { Role } from '../world/adversary.ts'
import { watch } from '../world/checker.ts'
import { runGets } from './lookup.ts'
import { buildNetwork } from './network-builder.ts'
import { outcomesToFigures, outcomesToSeries, putRecords } from './operations.ts'
import { ResultBuilder, type Scenario, type ScenarioContext } from './scenario.ts'

/** Issue 3: found with 20 % colluding, at 8 paths at most. */
const goal: Goal = { at: 'least', bound: 99.9 }
const defaultEvil = 0.2
const pathCounts = [1, 2, 4, 8]
const getsPerRecord = 5

/**
 * A share of all nodes answers only with one another. Records are put while they do, then got, over 1, 2, 4 and 8
 * disjoint paths; each case is a fresh world, so that none learns from the one before. Beside it the same share of nodes
 * that are silent, or lie, with as many paths as the engine takes by itself.
 */
export const colluding: Scenario = {
  name: 'colluding',
  summary:
    'a share of nodes (--evil, 0.2) that name only one another, over 1, 2, 4 and 8 paths; also silent and lying ones',
  flags: ['--lookups', '--paths', '--evil'],
  short: { nodes: 1_000, lookups: 300 },
  run: (context) => {
    const { options } = context
    const builder = new ResultBuilder('colluding', options)
    for (const paths of options.paths === undefined ? pathCounts : [options.paths]) {
      runAmong(context, builder, 'colluding', `${paths} ${paths === 1 ? 'path' : 'paths'}`, paths)
    }
    for (const role of ['silent', 'lying'] as const) runAmong(context, builder, role, role, options.paths)
    return builder.build()
  },
}

function runAmong(
  context: ScenarioContext,
  builder: ResultBuilder,
  role: Role,
  name: string,
  paths: number | undefined,
): void {
  const { options, progress } = context
  progress.step(name)
  const share = options.evil ?? defaultEvil
  const world = buildNetwork(context, { nodes: options.nodes, adversaries: { role, share } })
  const checker = watch(world, 16)
  const records = putRecords(world, Math.ceil(options.lookups / getsPerRecord), world.stream('puts'), paths)
  const goals = paths === 8 ? { 'found %': goal } : {}
  const puts = records.map(({ outcome }) => outcome)
  builder.add({ name: `put, ${name}`, figures: outcomesToFigures(puts, goals), series: outcomesToSeries(puts) })
  const gets = runGets(context, world, records, `get, ${name}`, goals, paths)
  checker.check()
  builder.add(gets)
  builder.end(world)
}
