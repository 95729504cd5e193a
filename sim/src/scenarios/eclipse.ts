import type { Goal } from '../report/result.ts'
import { summarise } from '../report/samples.ts'
import { honest } from '../world/adversary.ts'
import { watch } from '../world/checker.ts'
import type { World } from '../world/world.ts'
import { buildNetwork } from './network-builder.ts'
import {
  get,
  type Outcome,
  outcomesToFigures,
  outcomesToSeries,
  pickNode,
  putRecords,
  runOperations,
} from './operations.ts'
import { ResultBuilder, type Scenario } from './scenario.ts'

const defaultEvil = 0.2
const bootstrapContacts = 8
/** Of 8 contacts of the bootstrap list, so many are hostile. */
const hostileCounts = [0, 2, 4, 6, 7, 8]
/** Own choice: as long as half of the list is honest. */
const goal: Goal = { at: 'least', bound: 95 }
const hostileAccepted = 4
const getsPerNewcomer = 5

/** Newcomers whose bootstrap list is partly or wholly hostile; the hostile ones name only colluders. */
export const eclipse: Scenario = {
  name: 'eclipse',
  summary: 'newcomers whose 8 bootstrap contacts are partly hostile, among colluders (--evil, 0.2)',
  flags: ['--lookups', '--evil', '--paths'],
  short: { nodes: 1_000, lookups: 100 },
  run: (context) => {
    const { options, progress } = context
    const builder = new ResultBuilder('eclipse', options)
    const newcomers = Math.max(5, Math.ceil(options.lookups / getsPerNewcomer))
    for (const hostile of hostileCounts) {
      const world = buildNetwork(context, {
        nodes: options.nodes,
        spare: newcomers,
        adversaries: { role: 'colluding', share: options.evil ?? defaultEvil },
      })
      const checker = watch(world, 8)
      // What is put is put by honest nodes of old; what is measured is what newcomers see.
      const records = putRecords(world, 50, world.stream('puts'), 8).filter(({ isStored }) => isStored)
      const evilShares = joinThrough(world, newcomers, hostile)
      progress.step(`${newcomers} newcomers through ${hostile} hostile of ${bootstrapContacts}`)
      world.run(world.time + 30_000)
      const outcomes = runOperations(world, options.lookups, (i, end: (outcome: Outcome) => void) => {
        const record = records[i % records.length]
        if (record === undefined) return end({ isFound: false, cost: undefined })
        get(world, options.nodes + (i % newcomers), record, options.paths, end)
      })
      checker.check()
      const goals = hostile <= hostileAccepted ? { 'found %': goal } : {}
      const evil = summarise(evilShares()).mean
      builder.add({
        name: `${hostile} of ${bootstrapContacts} hostile`,
        figures: [
          ...outcomesToFigures(outcomes, goals),
          { name: 'colluders in table %', value: 100 * evil, digits: 1 },
        ],
        series: outcomesToSeries(outcomes),
      })
      builder.end(world)
    }
    return builder.build()
  },
}

/** Starts the newcomers; returns what tells the share of colluders in their tables. */
function joinThrough(world: World, newcomers: number, hostile: number): () => number[] {
  const random = world.stream(`eclipse ${hostile}`)
  const first = world.options.nodes - newcomers
  const pickEvil = () => {
    for (;;) {
      const node = random.below(first)
      if (world.roles[node] !== honest) return node
    }
  }
  runOperations(world, newcomers, (i, end) => {
    const list = Array.from({ length: bootstrapContacts }, (_, j) =>
      j < hostile ? pickEvil() : pickNode(world, random),
    )
    world.start(first + i)
    const contacts = list.map((node) => world.population.ref(node))
    world.command(first + i, { type: 'bootstrap', contacts }, () => end({ isFound: true, cost: undefined }))
  })
  return () =>
    Array.from({ length: newcomers }, (_, i) => {
      const table = world.engines[first + i]?.contacts() ?? []
      return table.filter((ref) => world.roles[ref] !== honest).length / Math.max(1, table.length)
    })
}
