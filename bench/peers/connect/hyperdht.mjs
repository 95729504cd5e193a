/**
 * hyperdht (MIT): `node hyperdht.mjs nodes ADDRESS [BOOTSTRAP]` runs four nodes of the table on a public address, the
 * first of all being the bootstrap, and a blind relay; `node hyperdht.mjs peer BOOTSTRAP RELAYKEY` listens and connects.
 * Hole punching and the relay are both tried at once, as it does by itself where it is given a relay.
 */
import { Server } from 'blind-relay'
import HyperDHT from 'hyperdht'
import { now, serve, tell, textBytes } from './harness.mjs'

const [role, ...words] = process.argv.slice(2)
const port = 49_737

function bootstrapOf(address) {
  return [{ host: address, port }]
}

async function nodes(address, bootstrap) {
  const first = bootstrap === undefined ? [HyperDHT.bootstrapper(port, address)] : []
  const seeds = bootstrapOf(bootstrap ?? address)
  await Promise.all(first.map((node) => node.fullyBootstrapped()))
  const others = Array.from({ length: 4 }, (_, index) => {
    const rest = { host: address, port: port + 1 + index, bootstrap: seeds, ephemeral: false, firewalled: false }
    return new HyperDHT(rest)
  })
  for (const node of others) await node.fullyBootstrapped()
  const relay = new Server({ createStream: (options) => others[0].createRawStream({ ...options, framed: true }) })
  const server = others[0].createServer((socket) => {
    socket.on('error', () => undefined)
    relay.accept(socket, { id: socket.remotePublicKey }).on('error', () => undefined)
  })
  await server.listen()
  tell({ type: 'ready', address, relay: Buffer.from(server.publicKey).toString('hex') })
  serve({})
}

async function peer(bootstrap, relayKey, ...publicAddresses) {
  const dht = new HyperDHT({ bootstrap: bootstrapOf(bootstrap) })
  await dht.fullyBootstrapped()
  const relayThrough = Buffer.from(relayKey, 'hex')
  let current

  /** A connection whose packets go to no public host of the bench goes directly. */
  const isDirect = (socket) => {
    const host = socket.rawStream?.remoteHost
    return host !== undefined && host !== null && !publicAddresses.includes(host)
  }

  function follow(socket) {
    current = socket
    let isFirst = true
    socket.on('error', (error) => tell({ type: 'fault', error: error.message }))
    socket.on('data', (data) => {
      if (isFirst)
        tell({ type: 'message', at: now(), way: isDirect(socket) ? 'udx' : 'blind relay', isDirect: isDirect(socket) })
      isFirst = false
      tell({ type: 'received', bytes: data.byteLength })
    })
    let timer
    // Open: the other end's first packet has come, on whatever way.
    socket.once('open', () => {
      timer = setInterval(() => {
        if (!isDirect(socket)) return
        clearInterval(timer)
        tell({ type: 'direct', at: now(), way: 'udx' })
      }, 1)
    })
    socket.on('close', () => clearInterval(timer))
  }

  const server = dht.createServer({ relayThrough }, follow)
  await server.listen()
  tell({ type: 'ready', peer: Buffer.from(server.publicKey).toString('hex') })
  serve({
    expect() {
      return undefined
    },
    dial({ peer: key }) {
      const socket = dht.connect(Buffer.from(key, 'hex'), { relayThrough })
      follow(socket)
      socket.write(Buffer.alloc(textBytes))
    },
    weigh({ bytes }) {
      tell({ type: 'weighing', way: isDirect(current) ? 'udx' : 'blind relay' })
      current.write(Buffer.alloc(bytes))
    },
  })
}

await (role === 'nodes' ? nodes(...words) : peer(...words))
