import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { createLibp2p } from 'libp2p'

/** A libp2p node on 127.0.0.1 whose limits do not stand in the way of a whole network in one process. */
export function createNode(services) {
  return createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionGater: { denyDialMultiaddr: () => false },
    connectionManager: {
      maxConnections: 1_000,
      inboundConnectionThreshold: 10_000,
      maxIncomingPendingConnections: 10_000,
    },
    connectionMonitor: { enabled: false },
    services: { identify: identify(), ping: ping(), ...services },
  })
}
