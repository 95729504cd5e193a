/**
 * The DHT scenario of one contender, in this process: `node --expose-gc bench/src/overlay/dht.ts --peer miaou`.
 * `--peer NAME` (of `contenders.ts`), `--nodes N`, `--puts N`, `--gets N`, `--seed N`, `--phase-seconds N`,
 * `--cold` (that phase alone).
 * Prints measurements, one a line.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { loadContender } from './contenders.ts'
import { printMeasurement } from './measurement.ts'
import { residentMb } from './process-cost.ts'
import { DhtScenario, defaultScenarioOptions } from './scenario.ts'

const defaults = defaultScenarioOptions
const { values: flags } = parseArgs({
  options: {
    peer: { type: 'string', default: 'miaou' },
    nodes: { type: 'string', default: String(defaults.nodes) },
    puts: { type: 'string', default: String(defaults.puts) },
    gets: { type: 'string', default: String(defaults.gets) },
    seed: { type: 'string', default: String(defaults.seed) },
    cold: { type: 'boolean', default: false },
    'phase-seconds': { type: 'string', default: String(defaults.phaseMsMax / 1000) },
  },
})

/** After the last node has joined, ms: what joins leave running (refreshes, pings) ends. A guess, the same for everybody. */
const restMs = 1_500

const contender = await loadContender(flags.peer)
const beforeMb = await residentMb()
const startedAt = performance.now()
const nodes = Number(flags.nodes)
const network = await contender.build(nodes, Number(flags.seed))
const buildMs = performance.now() - startedAt
await sleep(restMs)

const scenario = new DhtScenario(network, {
  ...defaults,
  nodes,
  puts: Number(flags.puts),
  gets: Number(flags.gets),
  seed: Number(flags.seed),
  phaseMsMax: Number(flags['phase-seconds']) * 1000,
})
if (!flags.cold) printMeasurement({ metric: 'build-ms', peer: network.peer, value: buildMs, nodes })
const measurements = flags.cold ? await scenario.runCold() : await scenario.run(beforeMb)
for (const measurement of measurements) printMeasurement(measurement)
// Sockets and timers of a whole network: nothing is worth closing one by one.
process.exit(0)
