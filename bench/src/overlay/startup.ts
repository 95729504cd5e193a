/**
 * One node in a fresh process: `node --expose-gc bench/src/overlay/startup.ts --peer miaou`. Loading the library, and
 * from there to a node that listens on 127.0.0.1 with nobody to join. Ours is read as TypeScript, whose types Node strips
 * as it loads; the rivals are JavaScript.
 */
import { parseArgs } from 'node:util'
import { loadContender } from './contenders.ts'
import { printMeasurement } from './measurement.ts'
import { cpuUs, residentMb } from './process-cost.ts'

const { values: flags } = parseArgs({ options: { peer: { type: 'string', default: 'miaou' } } })

const beforeMb = await residentMb()
const cpuAtStart = cpuUs()
const startedAt = performance.now()
const contender = await loadContender(flags.peer)
const loadedAt = performance.now()
const { peer } = await contender.build(1, 1)
const readyAt = performance.now()
const cpuMs = (cpuUs() - cpuAtStart) / 1000
printMeasurement({ metric: 'import-ms', peer, value: loadedAt - startedAt })
printMeasurement({ metric: 'start-ms', peer, value: readyAt - loadedAt })
printMeasurement({ metric: 'import-and-start-cpu-ms', peer, value: cpuMs })
printMeasurement({ metric: 'one-node-mb', peer, value: (await residentMb()) - beforeMb })
process.exit(0)
