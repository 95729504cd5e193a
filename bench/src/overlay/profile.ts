/**
 * Where an RPC of ours spends its CPU time, both ends, by part and by function: `node bench/src/overlay/profile.ts`.
 * `--kind ping` (one session, 16 in flight), `cold` (first ping between two nodes), `put`, `get` (warm, after a walk to the
 * same place). `--count N`, `--nodes N` (128; of put and get), `--top N` (25), `--seed N`.
 * V8 samples this process; what its idle samples say is left out, and the rest is scaled to the CPU time used.
 */
import { Session } from 'node:inspector/promises'
import { parseArgs } from 'node:util'
import { createNodeCrypto } from '../../../packages/host-node/src/crypto/node-crypto.ts'
import { build, forget, startNodes } from './own-network.ts'
import type { OwnNode } from './own-node.ts'
import { cpuUs } from './process-cost.ts'
import { type Frame, sumProfile } from './profile-sum.ts'
import { drawBytes, pick, seeded } from './seeded.ts'

const { values: flags } = parseArgs({
  options: {
    kind: { type: 'string', default: 'put' },
    count: { type: 'string' },
    nodes: { type: 'string', default: '128' },
    top: { type: 'string', default: '25' },
    seed: { type: 'string', default: '7' },
  },
})
const seed = Number(flags.seed)

/** What is profiled, ready to run; resolves with the RPCs it made. */
type Work = () => Promise<number>

async function ping(from: OwnNode, to: OwnNode): Promise<void> {
  await from.ask({ type: 'ping', contact: to.contact }, 'pong')
}

async function preparePings(count: number): Promise<Work> {
  const [from, to] = await startNodes(2, seed, await createNodeCrypto())
  if (from === undefined || to === undefined) throw new Error('two nodes')
  const run = async (requests: number): Promise<number> => {
    let left = requests
    const worker = async (): Promise<void> => {
      while (left-- > 0) await ping(from, to)
    }
    await Promise.all(Array.from({ length: 16 }, worker))
    return requests
  }
  await ping(from, to)
  await run(5_000)
  return () => run(count)
}

async function prepareCold(count: number): Promise<Work> {
  const nodes = await startNodes(160, seed, await createNodeCrypto())
  const run = async (requests: number): Promise<number> => {
    for (let index = 0; index < requests; index++) {
      const [from, to] = [nodes[index % 80], nodes[80 + (index % 80)]]
      if (from === undefined || to === undefined) throw new Error('160 nodes')
      await Promise.all([forget(from), forget(to)])
      await ping(from, to)
    }
    return requests
  }
  await run(count)
  return () => run(count)
}

async function prepareOperations(kind: 'put' | 'get', count: number): Promise<Work> {
  const nodes = Number(flags.nodes)
  const network = await build(nodes, seed)
  const draw = seeded(seed)
  const all = Array.from({ length: nodes }, (_, index) => index)
  const puts = Array.from({ length: count }, () => ({ by: pick(draw, all), value: drawBytes(draw, 100) }))
  const put = async (): Promise<{ by: number; key: unknown }[]> => {
    const gets: { by: number; key: unknown }[] = []
    for (const { by, value } of puts) {
      gets.push({ by: pick(draw, all), key: await network.put(by, value) })
      await network.settle?.()
    }
    return gets
  }
  for (const { by, value } of puts) await network.touch?.(by, value)
  if (kind === 'put') {
    return async () => {
      const before = network.requests()
      await put()
      return network.requests() - before
    }
  }
  const gets = await put()
  const get = async (): Promise<number> => {
    const before = network.requests()
    for (const { by, key } of gets) await network.get(by, key)
    return network.requests() - before
  }
  await get()
  return get
}

function prepare(): Promise<Work> {
  const { kind, count } = flags
  if (kind === 'ping') return preparePings(Number(count ?? 50_000))
  if (kind === 'cold') return prepareCold(Number(count ?? 1_000))
  if (kind === 'put' || kind === 'get') return prepareOperations(kind, Number(count ?? 200))
  throw new Error('--kind is ping, cold, put or get')
}

/** By the file of the innermost frame that meets one of them. */
const parts: readonly (readonly [part: string, url: RegExp, name?: RegExp])[] = [
  ['garbage collector', /^$/, /^\(garbage collector\)$/],
  ['socket', /^node:(internal\/)?dgram|overlay\/udp-sockets/],
  ['cryptography: X25519', /node:internal\/crypto|x25519-keys/],
  ['cryptography: AEAD, hash, HKDF', /crypto\/src|libsodium|^wasm:|host-node\/src\/crypto/],
  ['datagrams: sessions, handshakes', /network\/src/],
  ['codec', /protocol\/src|peer\/src\/overlay-codec/],
  ['engine', /packages\/overlay\/src/],
  ['node', /peer\/src/],
  ['drive loop, clock, timers', /host-node\/src|^node:internal\/(timers|process)|^node:timers/],
  ['the bench itself', /bench\/src/],
]

function partOf(frames: readonly Frame[]): string {
  for (const { url, name } of frames) {
    const rule = parts.find(([, byUrl, byName]) => byUrl.test(url) && (byName?.test(name) ?? true))
    if (rule !== undefined) return rule[0]
  }
  return 'Node itself'
}

const work = await prepare()
const session = new Session()
session.connect()
await session.post('Profiler.enable')
await session.post('Profiler.setSamplingInterval', { interval: 200 })
await session.post('Profiler.start')
const startedAt = cpuUs()
const requests = await work()
const usedUs = cpuUs() - startedAt
const { profile } = await session.post('Profiler.stop')

const sum = sumProfile(profile, partOf)
const scale = usedUs / sum.totalUs / requests
const list = (title: string, times: ReadonlyMap<string, number>, top: number): void => {
  console.log(`\n${title}, µs of CPU an RPC (${(usedUs / requests).toFixed(1)} in all, ${Math.round(requests)} RPCs)`)
  for (const [name, us] of [...times].sort(([, a], [, b]) => b - a).slice(0, top)) {
    console.log(
      `${(us * scale).toFixed(2).padStart(8)}  ${((100 * us) / sum.totalUs).toFixed(1).padStart(5)} %  ${name}`,
    )
  }
}
list('By part', sum.byPart, 99)
list('By function, self time', sum.byFunction, Number(flags.top))
process.exit(0)
