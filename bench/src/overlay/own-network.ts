import type { Crypto } from '@miaou/crypto'
import { decodeRecord, encodeRecord } from '@miaou/protocol'
import { createNodeCrypto } from '../../../packages/host-node/src/crypto/node-crypto.ts'
import { ownName } from './measurement.ts'
import { OwnNode } from './own-node.ts'
import type { DhtNetwork } from './scenario.ts'
import { drawBytes, seeded } from './seeded.ts'

/** Longer than a session may lie idle (10 min), ms. */
const forgetMs = 601_000

/** Drops the sessions of a node, its contacts stay. */
export async function forget(node: OwnNode): Promise<void> {
  await node.sleep(forgetMs)
}

/** `count` nodes of ours, none of which knows another. */
export async function startNodes(count: number, seed: number, crypto: Crypto): Promise<OwnNode[]> {
  const draw = seeded(seed)
  const nodes = Array.from({ length: count }, () => new OwnNode(crypto, drawBytes(draw, 32)))
  await Promise.all(nodes.map((node) => node.start()))
  return nodes
}

/** Joins them one after the other through the first. */
async function join([first, ...others]: readonly OwnNode[]): Promise<void> {
  if (first === undefined) return
  for (const node of others) await node.ask({ type: 'bootstrap', contacts: [first.contact] }, 'bootstrapped')
}

/** A content-addressed record, and the key under which it is found. */
function recordOf(crypto: Crypto, value: Uint8Array): { readonly key: Uint8Array; readonly record: Uint8Array } {
  return { key: crypto.sha256(value), record: encodeRecord({ type: 'value', value }) }
}

export async function build(count: number, seed: number): Promise<DhtNetwork> {
  // The daemon's, one for all nodes of the process: hence room for the keys of many handshakes at once.
  const crypto = await createNodeCrypto({ publicKeysMax: 1_024 })
  const nodes = await startNodes(count, seed, crypto)
  await join(nodes)
  const at = (index: number): OwnNode => {
    const node = nodes[index]
    if (node === undefined) throw new Error(`there is no node ${index}`)
    return node
  }
  let last: OwnNode | undefined
  return {
    peer: ownName,
    // A request and its answer are a datagram each, handshake or not; a request that nobody answers counts half.
    requests: () => nodes.reduce((sum, { sent }) => sum + sent, 0) / 2,
    async put(index, value) {
      last = at(index)
      const { key } = await last.ask(
        { type: 'put', record: recordOf(crypto, value).record, republish: false },
        'stored',
      )
      return key
    },
    async get(index, key) {
      if (!(key instanceof Uint8Array)) throw new Error('not a key of ours')
      const { record } = await at(index).ask({ type: 'get', key }, 'found-value')
      const decoded = decodeRecord(record)
      return decoded.ok ? decoded.value.value : undefined
    },
    kill: (index) => at(index).kill(),
    settle: async () => last?.allAsked(),
    async touch(index, value) {
      await at(index).ask({ type: 'find-node', target: recordOf(crypto, value).key }, 'found-nodes')
    },
    forget: (index) => forget(at(index)),
    facts() {
      const infos = nodes.map((node) => node.info())
      return {
        'sessions a node': Math.round(infos.reduce((sum, { sessions }) => sum + sessions, 0) / count),
        handshakes: infos.reduce((sum, { counters }) => sum + (counters['initiated'] ?? 0), 0),
      }
    },
  }
}
