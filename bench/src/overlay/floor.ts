/**
 * What one RPC costs in Node on this machine whoever sends it, by CPU time, both ends in this process: a plain UDP request
 * of 120 bytes with an answer of 900, and the cryptography that sealing adds. `--requests N` (40000).
 */
import { createSocket, type Socket } from 'node:dgram'
import { parseArgs } from 'node:util'
import { createNodeCrypto } from '../../../packages/host-node/src/crypto/node-crypto.ts'
import { printMeasurement } from './measurement.ts'
import { cpuUs } from './process-cost.ts'

const { values: flags } = parseArgs({ options: { requests: { type: 'string', default: '40000' } } })
const requests = Number(flags.requests)
const requestBytes = 120
const answerBytes = 900
/** In flight, as in a lookup or two. */
const window = 16
const peer = 'floor'

function bind(): Promise<Socket> {
  const socket = createSocket('udp4')
  return new Promise((resolve) => socket.bind(0, '127.0.0.1', () => resolve(socket)))
}

/** CPU of one plain request and its answer, µs. */
async function udpRpcUs(): Promise<number> {
  const [client, server] = await Promise.all([bind(), bind()])
  const request = Buffer.alloc(requestBytes, 1)
  const answer = Buffer.alloc(answerBytes, 2)
  server.on('message', (_, { port, address }) => server.send(answer, port, address))
  const { port } = server.address()
  const ask = (): void => client.send(request, port, '127.0.0.1')
  /** Before these it is not compiled yet. */
  const warmUp = Math.floor(requests / 8)
  let answered = 0
  let startedAt = 0
  const us = await new Promise<number>((resolve) => {
    client.on('message', () => {
      answered += 1
      if (answered === warmUp) startedAt = cpuUs()
      if (answered === requests) resolve((cpuUs() - startedAt) / (requests - warmUp))
      else ask()
    })
    for (let index = 0; index < window; index++) ask()
  })
  client.close()
  server.close()
  return us
}

/** CPU of one call, µs. */
function callUs(calls: number, call: () => unknown): number {
  for (let index = 0; index < calls / 10; index++) call()
  const startedAt = cpuUs()
  for (let index = 0; index < calls; index++) call()
  return (cpuUs() - startedAt) / calls
}

const crypto = await createNodeCrypto()
const pair = crypto.x25519KeyPair(new Uint8Array(32).fill(1))
const other = crypto.x25519KeyPair(new Uint8Array(32).fill(2))
const value = new Uint8Array(answerBytes)
const calls = Math.max(100, requests / 10)

printMeasurement({ metric: 'udp-rpc-cpu-us', peer, value: await udpRpcUs(), samples: requests })
const x25519Us = callUs(calls / 4, () => crypto.x25519(pair.secretKey, other.publicKey))
printMeasurement({ metric: 'x25519-cpu-us', peer, value: x25519Us, samples: calls / 4 })
printMeasurement({
  metric: 'sha256-900-cpu-us',
  peer,
  value: callUs(calls, () => crypto.sha256(value)),
  samples: calls,
})
