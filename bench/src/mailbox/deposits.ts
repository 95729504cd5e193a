/**
 * Deposits a second that one mailbox process accepts, each durable when it is answered, beside nats-server with the same
 * payloads, publishers and window, in turns.
 * `--rounds N` (3), `--count N` (20000), `--nats-count N` (4000: of NATS with every message on the disk), `--links N` (16),
 * `--window N` (64), `--size BYTES` (2048), `--dir FOLDER` (of the files; the system's folder for temporary ones),
 * `--profile FOLDER` (V8 CPU profiles of the mailbox), `--without-nats`.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { printFigure, spread } from '../figure.ts'
import { cpuMsOf, Remote } from '../processes.ts'
import type { FromDepositors, ToDepositors } from './depositors-process.ts'
import type { FromMailbox, ToMailbox } from './mailbox-process.ts'
import { type Durability, NatsServer, prepareNats } from './nats.ts'

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    count: { type: 'string', default: '20000' },
    'nats-count': { type: 'string', default: '4000' },
    links: { type: 'string', default: '16' },
    window: { type: 'string', default: '64' },
    size: { type: 'string', default: '2048' },
    dir: { type: 'string', default: tmpdir() },
    profile: { type: 'string' },
    'without-nats': { type: 'boolean', default: false },
  },
})
const [rounds, count, natsCount] = [Number(flags.rounds), Number(flags.count), Number(flags['nats-count'])]
const [links, window, size] = [Number(flags.links), Number(flags.window), Number(flags.size)]
const command = `node bench/src/mailbox/deposits.ts --rounds ${rounds} --count ${count} --links ${links} --window ${window}`

interface Round {
  readonly perSecond: number
  /** CPU of the server's process for each message, µs. */
  readonly cpuUs: number
}

type Senders = Remote<ToDepositors, FromDepositors>

async function send(senders: Senders, serverPid: number, messages: number): Promise<Round> {
  senders.tell({ type: 'prepare', count: messages, size, links, window })
  await senders.hear('ready')
  const before = cpuMsOf([serverPid])
  senders.tell({ type: 'go' })
  const { ms, accepted, refused } = await senders.hear('done')
  const cpuMs = cpuMsOf([serverPid]) - before
  if (refused > 0) throw new Error(`${refused} of ${messages} were refused`)
  return { perSecond: (accepted / ms) * 1_000, cpuUs: (cpuMs / accepted) * 1_000 }
}

async function inFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(flags.dir, 'miaou-bench-mailbox-'))
  try {
    return await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A new mailbox each round, as NATS gets a new stream. */
function ours(): Promise<Round> {
  return inFolder(async (folder) => {
    const profiled = flags.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${flags.profile}`]
    const mailbox = new Remote<ToMailbox, FromMailbox>('./mailbox/mailbox-process.ts', [folder], profiled)
    const { url } = await mailbox.hear('listening')
    const depositors: Senders = new Remote('./mailbox/depositors-process.ts', [url])
    try {
      const round = await send(depositors, mailbox.pid, count)
      depositors.tell({ type: 'stop' })
      mailbox.tell({ type: 'stop' })
      await Promise.all([depositors.ended(), mailbox.ended()])
      return round
    } finally {
      depositors.kill()
      mailbox.kill()
    }
  })
}

function theirs(durability: Durability): Promise<Round | undefined> {
  return inFolder(async (folder) => {
    const server = await NatsServer.start(folder, durability)
    if (server === undefined) return undefined
    const publishers: Senders = new Remote('../peers/nats/publish.mjs', [server.url])
    try {
      return await send(publishers, server.pid, durability === 'as shipped' ? count : natsCount)
    } finally {
      publishers.kill()
      await server.stop()
    }
  })
}

const version = flags['without-nats'] ? undefined : prepareNats()
const measured = { ours: [] as Round[], durable: [] as Round[], shipped: [] as Round[] }
const ratios: number[] = []
const shippedRatios: number[] = []
for (let round = 0; round < rounds; round++) {
  const own = await ours()
  measured.ours.push(own)
  if (version === undefined) continue
  const durable = await theirs('each on the disk')
  if (durable === undefined) process.stderr.write('NATS: no way to have every message on the disk here\n')
  else {
    measured.durable.push(durable)
    ratios.push(own.perSecond / durable.perSecond)
  }
  const shipped = await theirs('as shipped')
  if (shipped === undefined) continue
  measured.shipped.push(shipped)
  shippedRatios.push(own.perSecond / shipped.perSecond)
}

const how = `${links} links, ${window} under way on each, ${size} bytes`
const print = (name: string, all: readonly Round[], detail: string, goal?: { readonly atLeast: number }): void => {
  if (all.length === 0) return
  const rates = spread(all.map(({ perSecond }) => perSecond))
  printFigure({ name, ...rates, unit: '1/s', ...(goal === undefined ? {} : { goal }), command, detail })
  const cpu = spread(all.map(({ cpuUs }) => cpuUs))
  printFigure({ name: `${name}-cpu`, ...cpu, unit: 'µs of its process', command })
}
print('deposits-accepted', measured.ours, `${how}; durable when answered`, { atLeast: 5_000 })
print('nats-durable', measured.durable, `nats-server ${version}, ${how}; every message on the disk when answered`)
if (ratios.length > 0) {
  const detail = 'within each round; NATS with every message on the disk when answered'
  printFigure({
    name: 'deposits-beside-nats-durable',
    ...spread(ratios),
    unit: 'times',
    goal: { atLeast: 0.5 },
    command,
    detail,
  })
}
print('nats-as-shipped', measured.shipped, `nats-server ${version}, ${how}; in the system’s cache when answered`)
if (shippedRatios.length > 0) {
  const detail = 'within each round; NATS answers before the disk has it: not the same promise'
  printFigure({ name: 'deposits-beside-nats-as-shipped', ...spread(shippedRatios), unit: 'times', command, detail })
}
