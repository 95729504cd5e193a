/**
 * Records that are still found after half of the nodes fell silent at once: `node --expose-gc
 * bench/src/overlay/durability.ts --peer miaou`. Nobody republishes in between: what is left is what the put spread.
 * `--nodes N` (256), `--records N` (1000), `--seed N`, `--phase-seconds N` (60): neither puts nor gets go on for longer.
 */
import { parseArgs } from 'node:util'
import { loadContender } from './contenders.ts'
import { printMeasurement, quantile } from './measurement.ts'
import { drawBytes, pick, sample, seeded } from './seeded.ts'
import { Tally } from './tally.ts'

const { values: flags } = parseArgs({
  options: {
    peer: { type: 'string', default: 'miaou' },
    nodes: { type: 'string', default: '256' },
    records: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '7' },
    'phase-seconds': { type: 'string', default: '60' },
  },
})
const nodes = Number(flags.nodes)
const records = Number(flags.records)
const phaseMs = Number(flags['phase-seconds']) * 1000
const operationMsMax = 30_000
const deadShare = 0.5

const contender = await loadContender(flags.peer)
const network = await contender.build(nodes, Number(flags.seed))
const draw = seeded(Number(flags.seed))
const all = Array.from({ length: nodes }, (_, index) => index)

const stored: { key: unknown; value: Uint8Array }[] = []
const putEndAt = performance.now() + phaseMs
while (stored.length < records && performance.now() < putEndAt) {
  const value = drawBytes(draw, 100)
  stored.push({ key: await network.put(pick(draw, all), value), value })
  await network.settle?.()
}
const dead = new Set(sample(draw, all.slice(1), Math.floor(nodes * deadShare)))
await Promise.all([...dead].map((index) => network.kill(index)))
const alive = all.filter((index) => !dead.has(index))

const tally = new Tally()
const getEndAt = performance.now() + phaseMs
for (const { key, value } of stored) {
  if (performance.now() > getEndAt) break
  const startedAt = performance.now()
  const get = async (): Promise<number> => {
    const found = await network.get(pick(draw, alive), key)
    if (found === undefined || Buffer.compare(found, value) !== 0) throw new Error('not found')
    return performance.now() - startedAt
  }
  await tally.take(get(), operationMsMax)
}
const { peer } = network
const note = tally.fault === undefined ? {} : { note: `${tally.asked - tally.done} lost: ${tally.fault}` }
const share = tally.done / tally.asked
printMeasurement({ metric: 'durability-found', peer, value: share, nodes, samples: tally.asked, ...note })
if (tally.done > 0) {
  const value = quantile(tally.ms, 0.5)
  printMeasurement({ metric: 'durability-get-p50-ms', peer, value, nodes, samples: tally.done })
}
process.exit(0)
