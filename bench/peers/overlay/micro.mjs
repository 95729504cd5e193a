/**
 * Routing tables of the rivals in memory: contacts added a second, and closest-20 searches a second over 5,000 contacts,
 * by CPU time. k-bucket (MIT; bittorrent-dht's), kademlia-routing-table (MIT; hyperdht's) and libp2p's KBucket (Apache-2.0
 * OR MIT), each made to hold all 5,000. Prints measurements, one a line. `--milliseconds N` (700) a search, `--seed N`.
 */
import { createHash } from 'node:crypto'
import { parseArgs } from 'node:util'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import KBucket from 'k-bucket'
import RoutingTable from 'kademlia-routing-table'
import { printMeasurement } from '../../src/overlay/measurement.ts'
import { cpuUs } from '../../src/overlay/process-cost.ts'
import { drawBytes, seeded } from '../../src/overlay/seeded.ts'
import { named } from './versions.mjs'

const { values: flags } = parseArgs({
  options: {
    milliseconds: { type: 'string', default: '700' },
    contacts: { type: 'string', default: '5000' },
    seed: { type: 'string', default: '5' },
  },
})
const count = Number(flags.contacts)
const k = 20
const rounds = 3
const draw = seeded(Number(flags.seed))
const ids = Array.from({ length: count }, () => drawBytes(draw, 32))
const targets = Array.from({ length: 2_000 }, () => drawBytes(draw, 32))
const self = drawBytes(draw, 32)

function compareDistance(target, a, b) {
  for (let at = 0; at < target.length; at++) {
    const difference = (target[at] ^ a[at]) - (target[at] ^ b[at])
    if (difference !== 0) return difference
  }
  return 0
}

/** Ids as text, sorted: two answers with the same contacts are equal. */
function asSet(list) {
  return list
    .map((id) => Buffer.from(id).toString('hex'))
    .sort()
    .join()
}

/** Share of 100 searches that found exactly the 20 closest of all. */
function exactShare(all, closest) {
  const exact = targets.slice(0, 100).filter((target) => {
    const expected = all.toSorted((a, b) => compareDistance(target, a, b)).slice(0, k)
    return asSet(closest(target)) === asSet(expected)
  })
  return exact.length / 100
}

/** Most a second of `rounds`, by CPU time. */
async function addsPerSecond(list, create, add) {
  let best = 0
  let table
  for (let round = 0; round < rounds; round++) {
    table = await create()
    const startedAt = cpuUs()
    for (const item of list) await add(table, item)
    best = Math.max(best, (list.length / (cpuUs() - startedAt)) * 1e6)
  }
  return { best, table }
}

function searchesPerSecond(search) {
  for (let number = 0; number < 50; number++) search(targets[number])
  const startedAt = cpuUs()
  let done = 0
  let elapsedUs = 0
  while (elapsedUs < Number(flags.milliseconds) * 1000) {
    for (let burst = 0; burst < 20; burst++) search(targets[done++ % targets.length])
    elapsedUs = cpuUs() - startedAt
  }
  return (done / elapsedUs) * 1e6
}

/** No contact is ever in doubt here. */
async function* noPings() {
  yield* []
}

function print(peer, adds, searches, exact) {
  const note = `${exact * 100} % of its answers are exactly the 20 closest`
  const figure = { peer, samples: count }
  printMeasurement({ metric: 'table-adds-per-s', value: adds, ...figure })
  // An answer that is not the 20 closest is another, cheaper operation: it stays out of the comparison.
  const metric = exact === 1 ? 'table-closest-per-s' : 'table-closest-inexact-per-s'
  printMeasurement({ metric, value: searches, note, ...figure })
}

{
  const create = () => new KBucket({ localNodeId: self, numberOfNodesPerKBucket: count })
  const { best, table } = await addsPerSecond(ids, create, (into, id) => into.add({ id }))
  const closest = (target) => table.closest(target, k)
  const exact = exactShare(ids, (target) => closest(target).map(({ id }) => id))
  print(named('k-bucket'), best, searchesPerSecond(closest), exact)
}
{
  const create = () => new RoutingTable(self, { k: count })
  const { best, table } = await addsPerSecond(ids, create, (into, id) => into.add({ id }))
  const closest = (target) => table.closest(target, k)
  const exact = exactShare(ids, (target) => closest(target).map(({ id }) => id))
  print(named('kademlia-routing-table'), best, searchesPerSecond(closest), exact)
}
{
  // Not exported: read as a file of the package.
  const file = new URL('routing-table/k-bucket.js', import.meta.resolve('@libp2p/kad-dht'))
  const { KBucket: LibP2pBucket } = await import(file.href)
  const peerIds = []
  while (peerIds.length < count) peerIds.push(peerIdFromPrivateKey(await generateKeyPair('Ed25519')))
  const own = peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
  const create = async () => {
    const table = new LibP2pBucket(
      { peerId: own },
      // 12 bits of prefix: deep enough to keep all 5,000.
      { kBucketSize: k, prefixLength: 12, ping: noPings, verify: () => Promise.resolve(true) },
    )
    await table.start()
    return table
  }
  const { best, table } = await addsPerSecond(peerIds, create, (into, id) => into.add(id))
  const all = [...table.toIterable()].map(({ kadId }) => kadId)
  const closest = (target) => [...table.closest(target, { count: k })]
  const kadId = (id) => createHash('sha256').update(id.toMultihash().bytes).digest()
  const exact = exactShare(all, (target) => closest(target).map(kadId))
  print(`${named('@libp2p/kad-dht')} KBucket`, best, searchesPerSecond(closest), exact)
}
process.exit(0)
