import { createLibsodiumCrypto } from '@miaou/crypto'
import { decodeRecord, encodeRecord } from '@miaou/protocol'
import { ownName } from './measurement.ts'
import { OwnNode } from './own-node.ts'
import type { DhtNetwork } from './scenario.ts'
import { drawBytes, seeded } from './seeded.ts'

/** Longer than a session may lie idle (10 min), ms. */
const forgetMs = 601_000

const crypto = await createLibsodiumCrypto()

/** `count` nodes of ours, each joined through the first or not at all. */
export async function startNodes(count: number, seed: number, isJoined = true): Promise<OwnNode[]> {
  const draw = seeded(seed)
  const nodes: OwnNode[] = []
  for (let index = 0; index < count; index++) {
    const node = new OwnNode(crypto, drawBytes(draw, 32))
    await node.start()
    const [first] = nodes
    if (isJoined && first !== undefined)
      await node.ask({ type: 'bootstrap', contacts: [first.contact] }, 'bootstrapped')
    nodes.push(node)
  }
  return nodes
}

/** A content-addressed record, and the key under which it is found. */
function recordOf(value: Uint8Array): { readonly key: Uint8Array; readonly record: Uint8Array } {
  return { key: crypto.sha256(value), record: encodeRecord({ type: 'value', value }) }
}

export async function build(count: number, seed: number): Promise<DhtNetwork> {
  const nodes = await startNodes(count, seed)
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
      const { key } = await last.ask({ type: 'put', record: recordOf(value).record, republish: false }, 'stored')
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
      await at(index).ask({ type: 'find-node', target: recordOf(value).key }, 'found-nodes')
    },
    forget: (index) => at(index).sleep(forgetMs),
    facts: () => ({
      'sessions a node': Math.round(nodes.reduce((sum, node) => sum + node.info().sessions, 0) / count),
    }),
  }
}
