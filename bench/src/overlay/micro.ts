/**
 * Our routing table in memory, as `bench/peers/overlay/micro.mjs` measures the rivals': contacts added a second and
 * closest-20 searches a second, by CPU time, in a table made to hold 5,000 contacts, and which share of the answers is
 * exact. Beside it what only we print: adds offered to a table with k = 20, as in life, and bytes a table.
 * `npm run bench:overlay -- --only micro` prints the rivals and the ratios too. Alone it needs `node --expose-gc`.
 * `--milliseconds N` (700) a search, `--contacts N` (5,000), `--tables N` (20,000), `--seed N` (5).
 */
import { createHash } from 'node:crypto'
import { parseArgs } from 'node:util'
import { type ContactRef, ContactTable, RoutingTable } from '@miaou/overlay'
import { type Measurement, ownName, printMeasurement } from './measurement.ts'
import { cpuUs } from './process-cost.ts'
import { type Draw, drawBytes, sample, seeded } from './seeded.ts'

export interface MicroOptions {
  readonly milliseconds: number
  readonly contacts: number
  readonly tables: number
  readonly seed: number
}

const k = 20
const rounds = 7
const warmSearches = 60_000
/** Contacts of a node among a million: 17 full buckets. */
const contactsPerTable = 340
const sha256 = (data: Uint8Array): Uint8Array => createHash('sha256').update(data).digest()

/** The measurements of our table, in the terms of `Measurement`. */
export function measureTables({ milliseconds, contacts: count, tables, seed }: MicroOptions): Measurement[] {
  const draw = seeded(seed)
  const contacts = new ContactTable({ crypto: { sha256 }, contactsMax: count, salt: drawBytes(draw, 8) })
  contacts.reserve(count)
  const refs = Array.from({ length: count }, (_, i) => contacts.internKey(drawBytes(draw, 32), endpointOf(i)))
  const self = drawBytes(draw, 32)
  const targets = Array.from({ length: 2000 }, () => drawBytes(draw, 32))
  const holding = timeAdds(refs, () => new RoutingTable({ self, contacts, k: count, prefixMax: count }))
  const offered = timeAdds(refs, () => new RoutingTable({ self, contacts }))
  const note = `${exactShare(contacts, holding.table, targets) * 100} % of its answers are exactly the 20 closest, in order`
  const figure = { peer: ownName, samples: count }
  const bytes = { peer: ownName, samples: tables }
  const held = `${contactsPerTable} contacts; JS objects included`
  const { filled, measured } = bytesPerTable(contacts, refs, draw, tables)
  return [
    { metric: 'table-adds-per-s', value: holding.best, ...figure },
    { metric: 'table-closest-per-s', value: timeSearches(holding.table, targets, milliseconds), note, ...figure },
    { metric: 'table-offered-adds-per-s', value: offered.best, note: `k = 20, keeps ${offered.table.size}`, ...figure },
    { metric: 'table-bytes', value: filled, note: `filled: ${held}`, ...bytes },
    { metric: 'table-measured-bytes', value: measured, note: `after a first measurement: ${held}`, ...bytes },
  ]
}

/** Each in a network of its own: what the diversity filter sees of most nodes. */
function endpointOf(i: number): { host: string; port: number } {
  return { host: `${20 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.1`, port: 4000 }
}

/** Most a second of `rounds`. */
function timeAdds(refs: readonly ContactRef[], create: () => RoutingTable): { best: number; table: RoutingTable } {
  let table = create()
  let best = 0
  for (let round = 0; round < rounds; round++) {
    table = create()
    const startedAt = cpuUs()
    for (const ref of refs) table.add(ref, 1000)
    best = Math.max(best, (refs.length / (cpuUs() - startedAt)) * 1e6)
  }
  return { best, table }
}

function timeSearches(table: RoutingTable, targets: readonly Uint8Array[], milliseconds: number): number {
  const out: ContactRef[] = []
  // Until it is compiled: V8 does so after some ten thousand searches, which a short run would be half made of.
  for (let i = 0; i < warmSearches; i++) table.closest(targets[i % targets.length] as Uint8Array, k, out)
  const startedAt = cpuUs()
  let done = 0
  let elapsedUs = 0
  while (elapsedUs < milliseconds * 1000) {
    for (const target of targets) table.closest(target, k, out)
    done += targets.length
    elapsedUs = cpuUs() - startedAt
  }
  return (done / elapsedUs) * 1e6
}

function exactShare(contacts: ContactTable, table: RoutingTable, targets: readonly Uint8Array[]): number {
  const all = table.all()
  const out: ContactRef[] = []
  const exact = targets.slice(0, 100).filter((target) => {
    table.closest(target, k, out)
    const expected = all.toSorted((a, b) => contacts.compareDistances(target, a, b)).slice(0, k)
    return expected.every((ref, i) => ref === out[i]) && out.length === expected.length
  })
  return exact.length / 100
}

/** Heap and buffers a table, after collection: filled, and once something was measured of a contact. */
function bytesPerTable(
  contacts: ContactTable,
  refs: readonly ContactRef[],
  draw: Draw,
  count: number,
): { filled: number; measured: number } {
  // One owner and one choice for all tables: ids and contacts are another figure.
  const self = drawBytes(draw, 32)
  const offered = new RoutingTable({ self, contacts, k: contactsPerTable, prefixMax: refs.length })
  for (const ref of sample(draw, refs, contactsPerTable)) offered.add(ref, 0)
  const chosen = offered.all()
  const before = usedBytes()
  const tables = Array.from({ length: count }, () => {
    const table = new RoutingTable({ self, contacts, k: contactsPerTable })
    table.fill(chosen, 0)
    return table
  })
  const filled = usedBytes()
  for (const table of tables) table.touch(chosen[0] as ContactRef, 1000)
  const measured = usedBytes()
  // Alive until here.
  const kept = tables.length
  return { filled: (filled - before) / kept, measured: (measured - before) / kept }
}

function usedBytes(): number {
  if (globalThis.gc === undefined) throw new Error('start node with --expose-gc')
  globalThis.gc()
  globalThis.gc()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

if (import.meta.main) {
  const { values: flags } = parseArgs({
    options: {
      milliseconds: { type: 'string', default: '700' },
      contacts: { type: 'string', default: '5000' },
      tables: { type: 'string', default: '20000' },
      seed: { type: 'string', default: '5' },
    },
  })
  const measurements = measureTables({
    milliseconds: Number(flags.milliseconds),
    contacts: Number(flags.contacts),
    tables: Number(flags.tables),
    seed: Number(flags.seed),
  })
  for (const measurement of measurements) printMeasurement(measurement)
}
