import type { Goal } from '../report/result.ts'
import { watch } from '../world/checker.ts'
import { runGets } from './lookup.ts'
import { buildNetwork } from './network-builder.ts'
import { outcomesToFigures, outcomesToSeries, putRecords } from './operations.ts'
import { ResultBuilder, type Scenario } from './scenario.ts'

/** Issue 3: found with 20 % colluding, at 8 paths at most. */
const goal: Goal = { at: 'least', bound: 99.9 }
const defaultEvil = 0.2
const pathCounts = [1, 2, 4, 8]
const getsPerRecord = 5

/**
 * A share of all nodes answers only with one another. Records are put while they do, then got, over 1, 2, 4 and 8
 * disjoint paths; each case is a fresh world, so that none learns from the one before.
 */
export const colluding: Scenario = {
  name: 'colluding',
  summary: 'a share of nodes (--evil, 0.2) that answer only with one another; puts and gets over 1, 2, 4 and 8 paths',
  flags: ['--lookups', '--paths', '--evil'],
  short: { nodes: 1_000, lookups: 300 },
  run: (context) => {
    const { options, progress } = context
    const builder = new ResultBuilder('colluding', options)
    const share = options.evil ?? defaultEvil
    for (const paths of options.paths === undefined ? pathCounts : [options.paths]) {
      progress.step(`${paths} paths`)
      const world = buildNetwork(context, { nodes: options.nodes, adversaries: { role: 'colluding', share } })
      const checker = watch(world, 16)
      const records = putRecords(world, Math.ceil(options.lookups / getsPerRecord), world.stream('puts'), paths)
      const goals = paths === 8 ? { 'found %': goal } : {}
      const puts = records.map(({ outcome }) => outcome)
      builder.add({
        name: `put, ${paths} paths`,
        figures: outcomesToFigures(puts, goals),
        series: outcomesToSeries(puts),
      })
      const gets = runGets(context, world, records, `get, ${paths} paths`, goals, paths)
      checker.check()
      builder.add(gets, world)
    }
    return builder.build()
  },
}
