import type { Goal } from '../report/result.ts'
import { watch } from '../world/checker.ts'
import { killShare, runGets } from './lookup.ts'
import { buildNetwork } from './network-builder.ts'
import { outcomesToFigures, outcomesToSeries, putRecords } from './operations.ts'
import { ResultBuilder, type Scenario } from './scenario.ts'

/** Issue 3: 50 % of nodes killed at once, records still found. */
const goal: Goal = { at: 'least', bound: 99.9 }
const defaultDead = 0.5

/** Each record is put once, then a share of nodes dies at once, then each record is got once from a survivor. */
export const durability: Scenario = {
  name: 'durability',
  summary: 'one get of each of --lookups records after a share of nodes (--dead, 0.5) died at once',
  flags: ['--lookups', '--paths', '--dead'],
  short: { nodes: 1_000, lookups: 300 },
  run: (context) => {
    const { options, progress } = context
    const builder = new ResultBuilder('durability', options)
    const world = buildNetwork(context, { nodes: options.nodes })
    const checker = watch(world, 16)
    const records = putRecords(world, options.lookups, world.stream('puts'))
    progress.step(`${records.length} puts`)
    const puts = records.map(({ outcome }) => outcome)
    const stored = { name: 'stored by', value: records.reduce((sum, one) => sum + one.stored, 0) / records.length }
    builder.add({ name: 'put', figures: [...outcomesToFigures(puts), stored], series: outcomesToSeries(puts) })
    const dead = options.dead ?? defaultDead
    killShare(world, dead)
    const gets = runGets(context, world, records, `get, ${Math.round(dead * 100)} % dead`, { 'found %': goal })
    checker.check()
    checker.checkRecords(records)
    builder.add(gets)
    builder.end(world)
    return builder.build()
  },
}
