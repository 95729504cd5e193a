/** HyperDHT (MIT): Kademlia over UDP (udx-native), persistent nodes as its own test network makes them. */
import createTestnet from '@hyperswarm/testnet'
import { named } from './versions.mjs'

export async function build(count) {
  const { nodes } = await createTestnet(count)
  return {
    peer: named('hyperdht'),
    requests: () => nodes.reduce((sum, node) => sum + node.stats.requests.total, 0),
    // Resolves when all of the closest nodes have confirmed.
    put: async (index, value) => (await nodes[index].immutablePut(Buffer.from(value))).hash,
    get: async (index, key) => (await nodes[index].immutableGet(key))?.value,
    kill: (index) => nodes[index].destroy({ force: true }),
  }
}
