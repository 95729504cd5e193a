/** bittorrent-dht (MIT): BEP 5 and BEP 44 over dgram, 160-bit ids, k 20, 16 requests at once, 2 s timeout, as shipped. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'bittorrent-dht'
import { named } from './versions.mjs'

/** A node that finds nobody within this counts as joined, ms. */
const joinMsMax = 10_000

async function start(bootstrap) {
  const node = new Client({ bootstrap: bootstrap ?? false, host: '127.0.0.1' })
  // Without a listener an 'error' would end the process; what went wrong shows in the operation that asked for it.
  node.on('error', () => undefined)
  node.on('warning', () => undefined)
  const ready = new Promise((resolve) => node.on('ready', resolve))
  await new Promise((resolve) => node.listen(0, '127.0.0.1', resolve))
  if (bootstrap !== undefined) await Promise.race([ready, sleep(joinMsMax)])
  return node
}

export async function build(count) {
  const nodes = [await start()]
  const bootstrap = [{ host: '127.0.0.1', port: nodes[0].address().port }]
  while (nodes.length < count) nodes.push(await start(bootstrap))
  let requests = 0
  for (const node of nodes) {
    // The one place through which every request leaves.
    const { socket } = node._rpc
    const query = socket.query.bind(socket)
    socket.query = (...args) => {
      requests += 1
      return query(...args)
    }
  }
  return {
    peer: named('bittorrent-dht'),
    requests: () => requests,
    put: (index, value) =>
      new Promise((resolve, reject) =>
        nodes[index].put({ v: Buffer.from(value) }, (error, key) => (error ? reject(error) : resolve(key))),
      ),
    get: (index, key) =>
      new Promise((resolve, reject) =>
        nodes[index].get(key, { cache: false }, (error, found) => (error ? reject(error) : resolve(found?.v))),
      ),
    kill: (index) => new Promise((resolve) => nodes[index].destroy(resolve)),
  }
}
