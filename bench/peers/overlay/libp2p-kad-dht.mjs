/**
 * js-libp2p's kad-dht (Apache-2.0 OR MIT) over TCP, Noise and Yamux, with alpha 3 and one path as in plain Kademlia: as
 * shipped (10 and 10 disjoint paths) it costs a third more. Its nodes die by resetting their connections, so that the
 * others learn of it at once, where a UDP node just falls silent: that favours libp2p in the phase with dead nodes.
 */
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { kadDHT } from '@libp2p/kad-dht'
import { createNode } from './libp2p-node.mjs'
import { named } from './versions.mjs'

/** The network counts as built when nearly every table is full, or after this, ms. */
const readyMsMax = 120_000
const shareFull = 0.95

async function untilTablesAreFull(dhts) {
  const want = Math.min(dhts.length - 1, 20) * 0.9
  const endAt = performance.now() + readyMsMax
  while (performance.now() < endAt) {
    const full = dhts.filter((dht) => dht.routingTable.size >= want).length
    if (full >= dhts.length * shareFull) return
    await sleep(250)
  }
}

/** Ends what a walk found, its events thrown away. */
async function walkTo(dht, key) {
  const signal = AbortSignal.timeout(20_000)
  for await (const event of dht.getClosestPeers(key, { signal })) if (event === undefined) return
}

async function put(dht, value) {
  // A key without a namespace that has a validator is refused by every node.
  const key = Buffer.from(`/v/${createHash('sha256').update(value).digest('hex')}`)
  let stored = 0
  for await (const event of dht.put(key, value)) {
    if (event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE') stored += 1
  }
  // It ends without an error even when everybody refused.
  if (stored === 0) throw new Error('no replica stored it')
  return key
}

async function get(dht, key) {
  let value
  for await (const event of dht.get(key)) if (event.name === 'VALUE') value = event.value
  return value
}

export async function build(count) {
  const nodes = []
  for (let index = 0; index < count; index++) {
    nodes.push(
      await createNode({
        dht: kadDHT({
          protocol: '/bench/kad/1.0.0',
          clientMode: false,
          peerInfoMapper: (peer) => peer,
          kBucketSize: 20,
          validators: { v: () => Promise.resolve() },
          selectors: { v: () => 0 },
          alpha: 3,
          disjointPaths: 1,
        }),
      }),
    )
  }
  for (let index = 1; index < count; index++) {
    await nodes[index].dial(nodes[0].getMultiaddrs())
    // A second contact, so that not everything hangs on node 0.
    if (index > 1) await nodes[index].dial(nodes[1 + ((index * 7) % (index - 1))].getMultiaddrs())
  }
  const dhts = nodes.map((node) => node.services.dht)
  if (count > 1) {
    await untilTablesAreFull(dhts)
    const key = nodes[0].peerId.toMultihash().bytes
    await Promise.allSettled(dhts.map((dht) => walkTo(dht, key)))
  }
  let requests = 0
  for (const { network } of dhts) {
    const send = network.sendRequest.bind(network)
    network.sendRequest = (...args) => {
      requests += 1
      return send(...args)
    }
  }
  return {
    peer: `${named('@libp2p/kad-dht')} (libp2p ${named('libp2p').split(' ')[1]})`,
    requests: () => requests,
    put: (index, value) => put(dhts[index], value),
    get: (index, cid) => get(dhts[index], cid),
    kill: async (index) => {
      for (const connection of nodes[index].getConnections()) connection.abort(new Error('killed'))
      await Promise.race([nodes[index].stop(), sleep(10_000)])
    },
  }
}
