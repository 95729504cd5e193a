/**
 * js-libp2p's gossipsub (Apache-2.0 OR MIT) with signed messages of 1 KiB: N nodes in this process on a random graph over
 * TCP, Noise and Yamux. `--nodes N` (64), `--messages N` (40), `--rate PER-SECOND` (2), `--dial N` (6), `--seed N` (11).
 * Prints measurements, one a line. The rate is low enough that one core is not the limit: latency beyond it says nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { gossipsub } from '@libp2p/gossipsub'
import { printMeasurement, quantile } from '../../src/overlay/measurement.ts'
import { cpuUs, residentMb } from '../../src/overlay/process-cost.ts'
import { sample, seeded } from '../../src/overlay/seeded.ts'
import { createNode } from './libp2p-node.mjs'
import { named } from './versions.mjs'

const { values: flags } = parseArgs({
  options: {
    nodes: { type: 'string', default: '64' },
    messages: { type: 'string', default: '40' },
    rate: { type: 'string', default: '2' },
    dial: { type: 'string', default: '6' },
    seed: { type: 'string', default: '11' },
  },
})
const count = Number(flags.nodes)
const messages = Number(flags.messages)
const topic = 'bench'
const size = 1024
/** A few heartbeats of one second: the mesh forms. */
const meshMs = 4_000
/** All that still comes after the last message comes within this of the one before, ms. */
const quietMs = 3_000

const draw = seeded(Number(flags.seed))
const beforeMb = await residentMb()
const nodes = []
for (let index = 0; index < count; index++) {
  // All nodes share 127.0.0.1: with the shipped score for many peers of one address they graylist each other.
  nodes.push(await createNode({ pubsub: gossipsub({ scoreParams: { IPColocationFactorWeight: 0 } }) }))
}
for (let index = 1; index < count; index++) {
  const earlier = sample(draw, [...Array(index).keys()], Number(flags.dial))
  for (const other of earlier) await nodes[index].dial(nodes[other].getMultiaddrs())
}

let copies = 0
let lastAt = performance.now()
/** For each message, when each node had it first. */
const seen = Array.from({ length: messages }, () => new Map())
nodes.forEach((node, index) => {
  const { pubsub } = node.services
  const handle = pubsub.handleReceivedMessage.bind(pubsub)
  pubsub.handleReceivedMessage = (from, message) => {
    if (message.topic === topic) copies += 1
    return handle(from, message)
  }
  pubsub.subscribe(topic)
  pubsub.addEventListener('message', ({ detail }) => {
    if (detail.topic !== topic) return
    const number = Buffer.from(detail.data.buffer, detail.data.byteOffset).readUInt32LE(0)
    lastAt = performance.now()
    if (!seen[number].has(index)) seen[number].set(index, lastAt)
  })
})
await sleep(meshMs)
const nodeMb = ((await residentMb()) - beforeMb) / count

copies = 0
const cpuAtStart = cpuUs()
const startedAt = performance.now()
const sent = []
for (let number = 0; number < messages; number++) {
  const waitMs = startedAt + (number * 1000) / Number(flags.rate) - performance.now()
  if (waitMs > 0) await sleep(waitMs)
  const by = Math.floor(draw() * count)
  const payload = Buffer.alloc(size, number)
  payload.writeUInt32LE(number, 0)
  sent.push({ by, at: performance.now() })
  await nodes[by].services.pubsub.publish(topic, payload)
}
lastAt = performance.now()
while (performance.now() - lastAt < quietMs) await sleep(100)
const cpu = cpuUs() - cpuAtStart

let delivered = 0
const lastNodeMs = sent.map(({ by, at }, number) => {
  seen[number].delete(by)
  delivered += seen[number].size
  return Math.max(...seen[number].values()) - at
})
const due = messages * (count - 1)
const figures = {
  'gossip-delivery': delivered / due,
  'gossip-copies': copies / due,
  'gossip-cpu-per-delivered-us': cpu / delivered,
  'gossip-last-node-p50-ms': quantile(lastNodeMs, 0.5),
  'gossip-node-mb': nodeMb,
}
for (const [metric, value] of Object.entries(figures)) {
  printMeasurement({ metric, peer: named('@libp2p/gossipsub'), value, nodes: count, samples: messages })
}
process.exit(0)
