/**
 * js-libp2p (Apache-2.0 OR MIT): `node libp2p.mjs relay ADDRESS` serves circuits on TCP, `node libp2p.mjs peer RELAY
 * STUN [PUBLICADDRESS]` keeps a reservation there. A peer dials another's circuit address, writes over it at once, lets DCUtR try (TCP)
 * and dials WebRTC with the signals on the circuit, as its documents have it.
 */
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { dcutr } from '@libp2p/dcutr'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { webRTC } from '@libp2p/webrtc'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { now, serve, tell, textBytes } from './harness.mjs'

const protocol = '/bench/connect/1.0.0'
const probe = '/bench/probe/1.0.0'
const [role, place, stun, publicAddress] = process.argv.slice(2)
const port = 4002

const common = {
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  connectionGater: { denyDialMultiaddr: () => false },
}

async function relay() {
  const node = await createLibp2p({
    ...common,
    addresses: { listen: [`/ip4/${place}/tcp/4001`] },
    transports: [tcp()],
    services: {
      identify: identify(),
      relay: circuitRelayServer({
        reservations: { maxReservations: 1_000, defaultDataLimit: 1n << 30n, defaultDurationLimit: 600_000 },
      }),
    },
  })
  tell({ type: 'ready', address: `/ip4/${place}/tcp/4001/p2p/${node.peerId}` })
  serve({})
}

async function peer() {
  const node = await createLibp2p({
    ...common,
    addresses: {
      listen: [`/ip4/0.0.0.0/tcp/${port}`, '/webrtc', `${place}/p2p-circuit`],
      // What AutoNAT would confirm in a network with enough servers: without it DCUtR knows of no public address.
      appendAnnounce: publicAddress === undefined ? [] : [`/ip4/${publicAddress}/tcp/${port}`],
    },
    transports: [
      tcp(),
      circuitRelayTransport(),
      webRTC({ rtcConfiguration: { iceServers: stun === undefined ? [] : [{ urls: stun }] } }),
    ],
    services: { identify: identify(), dcutr: dcutr() },
  })
  let other

  /** A connection without a relay: one over a relay has limits. */
  const isDirect = (connection) => connection.limits === undefined
  const wayOf = (connection) => {
    const address = String(connection.remoteAddr)
    if (!isDirect(connection)) return 'circuit'
    return address.includes('/webrtc') ? 'webrtc' : 'tcp'
  }

  // A connection opens before anything can go over it, and some never carry a byte: a path is one that has.
  const proven = new Set()
  node.addEventListener('connection:open', async ({ detail }) => {
    if (!isDirect(detail)) return
    const stream = await detail.newStream(probe).catch(() => undefined)
    stream?.send(new Uint8Array(1))
  })
  await node.handle(probe, (stream, connection) => {
    if (!isDirect(connection)) return
    stream.addEventListener('message', () => {
      if (String(connection.remotePeer) !== other || proven.has(connection.id)) return
      proven.add(connection.id)
      tell({ type: 'direct', at: now(), way: wayOf(connection) })
    })
  })

  await node.handle(
    protocol,
    (stream, connection) => {
      other ??= String(connection.remotePeer)
      let isFirst = true
      stream.addEventListener('message', ({ data }) => {
        if (isFirst) tell({ type: 'message', at: now(), way: wayOf(connection), isDirect: isDirect(connection) })
        isFirst = false
        tell({ type: 'received', bytes: data.byteLength })
      })
    },
    { runOnLimitedConnection: true },
  )

  async function write(connection, bytes) {
    const stream = await connection.newStream(protocol, { runOnLimitedConnection: true })
    for (let sent = 0; sent < bytes; sent += 10_000) {
      if (!stream.send(new Uint8Array(Math.min(10_000, bytes - sent))))
        await new Promise((resolve) => stream.addEventListener('drain', resolve, { once: true }))
    }
  }

  serve({
    expect({ peer }) {
      other = peer
    },
    async dial({ peer, address }) {
      other = peer
      const connection = await node.dial(multiaddr(address))
      await Promise.all([
        write(connection, textBytes),
        node.dial(multiaddr(address.replace('/p2p-circuit/', '/p2p-circuit/webrtc/')), {
          signal: AbortSignal.timeout(30_000),
          force: true,
        }),
      ])
    },
    async weigh({ bytes }) {
      const connections = node
        .getConnections()
        .filter((each) => String(each.remotePeer) === other && each.status === 'open')
      const best = connections.find(({ id }) => proven.has(id)) ?? connections.find((each) => !isDirect(each))
      tell({ type: 'weighing', way: wayOf(best) })
      await write(best, bytes)
    },
  })

  const announce = () => {
    const address = node
      .getMultiaddrs()
      .map(String)
      .find((each) => each.includes('/p2p-circuit') && !each.includes('/webrtc'))
    if (address === undefined) return
    node.removeEventListener('self:peer:update', announce)
    tell({ type: 'ready', peer: String(node.peerId), address })
  }
  node.addEventListener('self:peer:update', announce)
  announce()
}

await (role === 'relay' ? relay() : peer())
