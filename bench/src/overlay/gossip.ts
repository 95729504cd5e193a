/**
 * Our gossip with signed messages of 1 KiB: N nodes in this process on a random graph over WebSocket and Noise, the
 * scenario of `peers/overlay/gossipsub.mjs`. `--nodes N` (64), `--messages N` (40), `--rate PER-SECOND` (2), `--dial N`
 * (4: degree 8, as large as gossipsub's mesh), `--seed N` (11). Prints measurements, one a line. The same messages are then
 * flooded over the same links, for the latency that nothing on these links could beat.
 *
 * What differs from gossipsub's run: WebSocket with padded frames instead of TCP and Yamux; 8 links a node where gossipsub has
 * 12 and a mesh of about 8 of them; no heartbeat goes by before the first message, so that the copies which make the tree
 * (7 for the first message, 6 whenever it is made anew) count. Equal: draws, sizes, signatures by every node, one process,
 * CPU of the whole process from the first message until nothing more comes.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createNodeCrypto } from '../../../packages/host-node/src/crypto/node-crypto.ts'
import { GossipNode } from './gossip-nodes.ts'
import { ownName, printMeasurement, quantile } from './measurement.ts'
import { cpuUs, residentMb } from './process-cost.ts'
import { type Draw, pick, sample, seeded } from './seeded.ts'

/** What one run measured. */
interface Run {
  readonly delivered: number
  readonly copies: number
  readonly controls: number
  readonly cpuUs: number
  readonly lastNodeMs: readonly number[]
}

const size = 1024
/** Links are up and interests exchanged well within it, ms. */
const settleMs = 4_000
/** All that still comes after the last message comes within this of the one before, ms. */
const quietMs = 3_000

const { values: flags } = parseArgs({
  options: {
    nodes: { type: 'string', default: '64' },
    messages: { type: 'string', default: '40' },
    rate: { type: 'string', default: '2' },
    dial: { type: 'string', default: '4' },
    seed: { type: 'string', default: '11' },
    json: { type: 'boolean', default: true },
  },
})
const count = Number(flags.nodes)
const messages = Number(flags.messages)

/** The nodes of a random graph, linked: each dials up to `dial` earlier ones. */
async function startGraph(draw: Draw): Promise<readonly GossipNode[]> {
  const crypto = await createNodeCrypto()
  const nodes = Array.from({ length: count }, () => new GossipNode(crypto))
  await Promise.all(nodes.map((node) => node.start()))
  let links = 0
  for (const [index, node] of nodes.entries()) {
    for (const other of sample(draw, nodes.slice(0, index), Number(flags.dial))) {
      node.connect(other)
      links += 1
    }
    // One node after the other: 64 nodes that shake hands at once would wait for each other.
    while (nodes.reduce((sum, { linkCount }) => sum + linkCount, 0) < 2 * links) await sleep(1)
  }
  return nodes
}

/** Publishes at the rate asked for, from nodes drawn by lot, and waits until nothing more comes. */
async function run(nodes: readonly GossipNode[], draw: Draw, first: number): Promise<Run> {
  const seen = Array.from({ length: messages }, () => new Map<GossipNode, number>())
  let lastAt = performance.now()
  for (const node of nodes) {
    node.copies = 0
    node.controls = 0
    node.onDeliver = (payload) => {
      lastAt = performance.now()
      const number = new DataView(payload.buffer, payload.byteOffset).getUint32(0) - first
      const times = seen[number]
      if (times === undefined || times.has(node)) throw new Error('a message came twice')
      times.set(node, lastAt)
    }
  }
  const cpuAtStart = cpuUs()
  const startedAt = performance.now()
  const sentAt: number[] = []
  for (let number = 0; number < messages; number++) {
    const waitMs = startedAt + (number * 1000) / Number(flags.rate) - performance.now()
    if (waitMs > 0) await sleep(waitMs)
    const payload = new Uint8Array(size).fill(number)
    new DataView(payload.buffer).setUint32(0, first + number)
    sentAt.push(performance.now())
    pick(draw, nodes).publish(payload)
  }
  lastAt = performance.now()
  while (performance.now() - lastAt < quietMs) await sleep(100)
  return {
    cpuUs: cpuUs() - cpuAtStart,
    delivered: seen.reduce((sum, times) => sum + times.size, 0),
    copies: nodes.reduce((sum, { copies }) => sum + copies, 0),
    controls: nodes.reduce((sum, { controls }) => sum + controls, 0),
    lastNodeMs: seen.map((times, number) => Math.max(...times.values()) - (sentAt[number] ?? 0)),
  }
}

const draw = seeded(Number(flags.seed))
const beforeMb = await residentMb()
const nodes = await startGraph(draw)
await sleep(settleMs)
const nodeMb = ((await residentMb()) - beforeMb) / count
const own = await run(nodes, draw, 0)
for (const node of nodes) node.floods = true
const flooding = await run(nodes, draw, messages)
const due = messages * (count - 1)
const lastNodeMs = quantile(own.lastNodeMs, 0.5)
const floodingMs = quantile(flooding.lastNodeMs, 0.5)
const figures = {
  'gossip-delivery': own.delivered / due,
  'gossip-copies': own.copies / due,
  'gossip-controls': own.controls / due,
  'gossip-cpu-per-delivered-us': own.cpuUs / own.delivered,
  'gossip-last-node-p50-ms': lastNodeMs,
  'gossip-last-node-over-flooding': lastNodeMs / floodingMs,
  'gossip-flooding-last-node-p50-ms': floodingMs,
  'gossip-flooding-copies': flooding.copies / due,
  'gossip-flooding-cpu-per-delivered-us': flooding.cpuUs / flooding.delivered,
  'gossip-node-mb': nodeMb,
}
for (const [metric, value] of Object.entries(figures)) {
  printMeasurement({ metric, peer: ownName, value, nodes: count, samples: messages })
}
process.exit(0)
