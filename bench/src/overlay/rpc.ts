/**
 * One RPC of ours between two nodes in this process, over UDP on 127.0.0.1, by CPU time of both ends: warm (16 pings in
 * flight over one session) and cold (the first ping between two nodes, handshake included). `--requests N` (40000).
 */
import { parseArgs } from 'node:util'
import { createNodeCrypto } from '../../../packages/host-node/src/crypto/node-crypto.ts'
import { ownName, printMeasurement } from './measurement.ts'
import { forget, startNodes } from './own-network.ts'
import type { OwnNode } from './own-node.ts'
import { cpuUs } from './process-cost.ts'

const { values: flags } = parseArgs({
  options: { requests: { type: 'string', default: '40000' }, seed: { type: 'string', default: '7' } },
})
const requests = Number(flags.requests)
const pairs = Math.min(80, Math.ceil(requests / 10))
const rounds = requests < 5_000 ? 2 : 20
const window = 16

async function ping(from: OwnNode, to: OwnNode): Promise<void> {
  await from.ask({ type: 'ping', contact: to.contact }, 'pong')
}

async function warmUs(from: OwnNode, to: OwnNode): Promise<number> {
  let left = Math.floor(requests / 8)
  const worker = async (): Promise<void> => {
    while (left-- > 0) await ping(from, to)
  }
  const run = (): Promise<unknown> => Promise.all(Array.from({ length: window }, worker))
  // One request makes the session: before it, only four wait for one.
  await ping(from, to)
  // Compiles it.
  await run()
  left = requests
  const startedAt = cpuUs()
  await run()
  return (cpuUs() - startedAt) / requests
}

/**
 * Between nodes that have no session, over and over: both have slept until they forgot theirs. More pairs than keys are
 * remembered, so that each handshake makes its key objects anew, as with a stranger.
 */
async function coldUs(nodes: readonly OwnNode[]): Promise<number> {
  const half = nodes.length / 2
  let usedUs = 0
  let timed = 0
  for (let round = 0; round < rounds; round++) {
    for (const node of nodes) await forget(node)
    const startedAt = cpuUs()
    for (let index = 0; index < half; index++) {
      const [from, to] = [nodes[index], nodes[half + index]]
      if (from === undefined || to === undefined) throw new Error('an odd number of nodes')
      await ping(from, to)
    }
    // The first half compiles it.
    if (round < rounds / 2) continue
    usedUs += cpuUs() - startedAt
    timed += half
  }
  return usedUs / timed
}

const nodes = await startNodes(2 * pairs, Number(flags.seed), await createNodeCrypto())
const [from, to] = nodes
if (from === undefined || to === undefined) throw new Error('too few requests')
const cold = await coldUs(nodes)
printMeasurement({ metric: 'rpc-cold-cpu-us', peer: ownName, value: cold, samples: (pairs * rounds) / 2 })
printMeasurement({ metric: 'rpc-warm-cpu-us', peer: ownName, value: await warmUs(from, to), samples: requests })
process.exit(0)
