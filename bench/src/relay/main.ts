/**
 * `node bench/src/relay/main.ts`: what a relay costs, in real processes on loopback. CPU time for each GB carried beside
 * coturn's in the same run, memory of idle circuits, and how evenly busy circuits share. One JSON line a figure.
 * `--seconds N` (10) of load, `--megabytes N` (400) through coturn, `--busy N` (100), `--idle N` (1000), `--short`.
 */
import { parseArgs } from 'node:util'
import { printFigure } from '../figure.ts'
import { Remote } from '../processes.ts'
import type { FromClients, ToClients } from './clients-process.ts'
import { measureCoturn } from './coturn.ts'
import type { FromRelay, ToRelay } from './relay-process.ts'

const { values: flags } = parseArgs({
  options: {
    seconds: { type: 'string' },
    megabytes: { type: 'string' },
    busy: { type: 'string' },
    idle: { type: 'string' },
    short: { type: 'boolean', default: false },
  },
})
const [seconds, megabytes, busy, idle] = flags.short
  ? [Number(flags.seconds ?? 1), Number(flags.megabytes ?? 10), Number(flags.busy ?? 10), Number(flags.idle ?? 20)]
  : [
      Number(flags.seconds ?? 10),
      Number(flags.megabytes ?? 400),
      Number(flags.busy ?? 100),
      Number(flags.idle ?? 1_000),
    ]
const { short } = flags
const command = 'node bench/src/relay/main.ts'
const unlimited = { circuitBytesPerSecond: 0, clientBytesPerSecond: 0, groupBytesPerDay: 0, bytesPerDay: 0 }
/** What all circuits together may carry where the relay is what is scarce, bytes a second. */
const scarce = 5_000_000

/** What a link on a circuit makes of a fragment of a file: 48 KiB, padded. */
const fileMessage = 49_374
/** One chunk each, so that shares are counted finely. */
const smallMessage = 16_350

type Relay = Remote<ToRelay, FromRelay>
type Clients = Remote<ToClients, FromClients>

/** Runs a bench between a relay and its clients. */
async function between<T>(limits: object, run: (relay: Relay, clients: Clients) => Promise<T>): Promise<T> {
  const relay: Relay = new Remote(
    './relay/relay-process.ts',
    [JSON.stringify({ ...unlimited, ...limits })],
    ['--expose-gc'],
  )
  const { address } = await relay.hear('listening')
  const clients: Clients = new Remote('./relay/clients-process.ts', [address], [])
  try {
    return await run(relay, clients)
  } finally {
    relay.kill()
    clients.kill()
  }
}

async function costOf(relay: Relay, memory = false) {
  relay.tell({ type: 'cost', memory })
  return await relay.hear('cost')
}

async function connect(clients: Clients, pairs: number, each = 1): Promise<void> {
  clients.tell({ type: 'connect', pairs, each })
  await clients.hear('connected')
}

async function carry(
  clients: Clients,
  pairs: number,
  messageSize: number,
  forSeconds = seconds,
): Promise<{ readonly bytes: readonly number[]; readonly ms: number }> {
  clients.tell({ type: 'carry', pairs, ms: forSeconds * 1_000, settleMs: 2_000, messageSize })
  return await clients.hear('carried')
}

async function cpuPerGb(pairs: number): Promise<number> {
  return await between({}, async (relay, clients) => {
    await connect(clients, pairs)
    const before = await costOf(relay)
    const { bytes, ms } = await carry(clients, pairs, fileMessage)
    const after = await costOf(relay)
    const gb = (after.bytesPassed - before.bytesPassed) / 1e9
    const value = (after.cpuMs - before.cpuMs) / 1_000 / gb
    const rate = Math.round((bytes.reduce((sum, each) => sum + each, 0) / ms) * 1_000) / 1e6
    process.stderr.write(`${pairs} circuits: ${value.toFixed(2)} s/GB, ${rate.toFixed(1)} MB/s\n`)
    return value
  })
}

/**
 * How far the circuit that got least and the one that got most are from the mean, per cent. Over three times as long: a
 * busy machine carries a few windows of 256 KiB in 10 s on each of 100 circuits, and one more or less is no share.
 */
async function unevenness(limits: object): Promise<{ readonly percent: number; readonly megabytesPerSecond: number }> {
  return await between(limits, async (_relay, clients) => {
    await connect(clients, busy)
    const { bytes, ms } = await carry(clients, busy, smallMessage, 3 * seconds)
    const mean = bytes.reduce((sum, each) => sum + each, 0) / bytes.length
    const percent = Math.max(...bytes.map((each) => Math.abs(each - mean) / mean)) * 100
    return { percent, megabytesPerSecond: (mean * bytes.length) / ms / 1_000 }
  })
}

/** Memory of 1,000 circuits, so many of them on each pair of links, beyond the first 100: those make the engine warm. */
async function idleMegabytes(each: number): Promise<number> {
  return await between({}, async (relay, clients) => {
    const first = short ? 1 : Math.ceil(100 / each)
    await connect(clients, first, each)
    const before = await costOf(relay, true)
    await connect(clients, first + Math.ceil(idle / each), each)
    const after = await costOf(relay, true)
    return ((after.residentMb - before.residentMb) / (after.circuits - before.circuits)) * 1_000
  })
}

const round = (value: number): number => Math.round(value * 100) / 100

const coturn = await measureCoturn(megabytes)
if (coturn === undefined) process.stderr.write('coturn is not installed: no ratio\n')
else {
  const detail = `UDP, packets of 1,200 bytes, ${coturn.megabytes} MB`
  printFigure({
    name: 'coturn: CPU for each GB carried',
    value: round(coturn.cpuSecondsPerGb),
    unit: 's',
    command,
    detail,
  })
}
for (const pairs of [1, 10]) {
  const value = await cpuPerGb(pairs)
  printFigure({ name: `relay: CPU for each GB carried, ${pairs} circuits`, value: round(value), unit: 's', command })
  if (coturn !== undefined) {
    const ratio = round(value / coturn.cpuSecondsPerGb)
    printFigure({
      name: `relay beside coturn, ${pairs} circuits`,
      value: ratio,
      unit: 'times',
      goal: { atMost: 1.5 },
      command,
    })
  }
}
for (const [name, limits] of [
  ['the rate of the relay is scarce', { bytesPerSecond: scarce }],
  ['the processor is scarce', {}],
] as const) {
  const { percent, megabytesPerSecond } = await unevenness(limits)
  const detail = `${busy} circuits, ${round(megabytesPerSecond)} MB/s`
  const value = round(percent)
  printFigure({
    name: `furthest from an equal share, ${name}`,
    value,
    unit: '%',
    goal: { atMost: 10 },
    command,
    detail,
  })
}
for (const each of [8, 1]) {
  const value = round(await idleMegabytes(each))
  const detail = `${idle} circuits, ${each} on each pair of links`
  printFigure({ name: 'memory of 1,000 idle circuits', value, unit: 'MB', goal: { atMost: 20 }, command, detail })
}
