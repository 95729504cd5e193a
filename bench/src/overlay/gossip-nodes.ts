import { keyToPeerId, type Now, type PeerId, peerIdToKey, type Result } from '@miaou/core'
import { type Crypto, type KeyPair, verifyLabelled } from '@miaou/crypto'
import { systemClock, systemJitter, systemRandom, WebSocketTransport } from '@miaou/host-node'
import { Network, type NetworkOutput, type PipeId, type TransportEvent } from '@miaou/network'
import { Gossip, type GossipInput, type GossipOutput, gossipLabel, type NeighbourId, SeenSet } from '@miaou/overlay'
import {
  decodeGossipMessage,
  frameTypes,
  gossipBody,
  peekGossipId,
  signPseudonymCertificate,
  withGossipHop,
} from '@miaou/protocol'

/** Nodes a bench makes may have so many neighbours as its graph gives them. */
const neighboursMax = 256
const topic = 'bench'

/** A node with real links: Noise over WebSocket on loopback, as the daemon makes them, and the gossip engine above. */
export class GossipNode {
  readonly peerId: PeerId
  readonly network: Network
  address = ''
  linkCount = 0
  /** Data messages that came, first ones and copies. */
  copies = 0
  controls = 0
  /** Instead of the engine: what comes first is passed to everybody else. */
  floods = false
  onDeliver: (payload: Uint8Array) => void = () => undefined
  readonly #crypto: Crypto
  readonly #gossip: Gossip
  readonly #seen = new SeenSet(65_536, 600_000)
  readonly #peers = new Set<PeerId>()
  readonly #transport = new WebSocketTransport({ host: '127.0.0.1', port: 0 })
  readonly #dialled = new Set<PeerId>()
  #timer: NodeJS.Timeout | undefined
  #timerAt = Number.POSITIVE_INFINITY
  #pipes = 0

  constructor(crypto: Crypto) {
    const key = crypto.ed25519KeyPair(systemRandom.bytes(32))
    const linkKey = crypto.x25519KeyPair(systemRandom.bytes(32))
    this.#crypto = crypto
    this.peerId = keyToPeerId(key.publicKey)
    const certificate = signPseudonymCertificate(crypto, key.secretKey, {
      linkKey: linkKey.publicKey,
      createdAt: Date.now(),
    })
    this.network = new Network(
      {
        crypto,
        random: systemRandom,
        jitter: systemJitter,
        identity: { peerId: this.peerId, certificate, linkKey },
        features: ['gossip'],
        webrtc: false,
        pseudonymsAdmitted: true,
      },
      () => this.#nextPipe(),
    )
    this.#gossip = engine(crypto, key)
  }

  async start(): Promise<void> {
    const host = {
      emit: (event: TransportEvent) => this.#network({ type: 'transport', event }),
      nextPipe: () => this.#nextPipe(),
    }
    this.address = must(await this.#transport.start(host))[0] ?? ''
    this.gossip({ type: 'subscribe', topic })
  }

  connect(to: GossipNode): void {
    this.#dialled.add(to.peerId)
    this.#network({ type: 'connect', peerId: to.peerId, addresses: [to.address] })
  }

  publish(payload: Uint8Array): void {
    const outputs = this.gossip({ type: 'publish', id: 0, topic, payload })
    for (const output of outputs) {
      if (output.type === 'reply' && !output.result.ok) throw new Error(output.result.error.type)
    }
  }

  counters(): Readonly<Record<string, number>> {
    return this.#gossip.counters()
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#transport.stop()
  }

  gossip(input: GossipInput): GossipOutput[] {
    const outputs = this.#gossip.handle(systemClock.now(), input)
    for (const output of outputs) this.#act(output)
    this.#arm()
    return outputs
  }

  #act(output: GossipOutput): void {
    if (output.type === 'deliver') this.onDeliver(output.payload)
    else if (output.type === 'send') this.#send(output.to as string as PeerId, output.bytes)
    else if (output.type === 'disconnect') throw new Error(`a neighbour was refused: ${output.reason}`)
  }

  #send(peerId: PeerId, payload: Uint8Array): void {
    this.#network({ type: 'send', peerId, frameType: frameTypes.gossip, payload, fleeting: false })
  }

  #frame(from: PeerId, bytes: Uint8Array): void {
    const isData = peekGossipId(bytes) !== undefined
    if (isData) this.copies += 1
    else this.controls += 1
    if (this.floods) {
      // The engine sees none of this data: what neighbours announce of it would count as promises that nobody keeps.
      if (isData) this.#flood(from, bytes)
    } else this.gossip({ type: 'message', from: from as string as NeighbourId, bytes })
  }

  #flood(from: PeerId, bytes: Uint8Array): void {
    const id = peekGossipId(bytes)
    if (id === undefined || this.#seen.has(id)) return
    const decoded = decodeGossipMessage(bytes)
    if (!decoded.ok || decoded.value.type !== 'data') return
    const { origin, signature, payload, ttl, hops } = decoded.value
    // The publisher has it from itself.
    if (peerIdToKey(this.peerId).every((byte, at) => byte === origin[at])) return
    const hash = this.#crypto.sha256(gossipBody(bytes))
    if (!verifyLabelled(this.#crypto, gossipLabel, hash, signature, origin)) return
    this.#seen.add(performance.now(), id)
    this.onDeliver(payload)
    const forwarded = withGossipHop(bytes, ttl - 1, hops + 1)
    for (const peer of this.#peers) if (peer !== from) this.#send(peer, forwarded)
  }

  #network(input: Parameters<Network['handle']>[1]): void {
    for (const output of this.network.handle(systemClock.now(), input)) this.#perform(output)
    this.#arm()
  }

  #perform(output: NetworkOutput): void {
    switch (output.type) {
      case 'dial':
        this.#transport.dial(output.pipe, output.address)
        return
      case 'write':
        this.#transport.send(output.pipe, output.channel, output.bytes)
        return
      case 'close':
        this.#transport.close(output.pipe)
        return
      case 'link-up': {
        this.linkCount += 1
        this.#peers.add(output.peerId)
        const neighbour = output.peerId as string as NeighbourId
        const isOutgoing = this.#dialled.has(output.peerId)
        this.gossip({ type: 'neighbour-up', neighbour, hint: undefined, isOutgoing })
        return
      }
      case 'frame':
        this.#frame(output.peerId, output.payload)
        return
      default:
        return
    }
  }

  #arm(): void {
    const deadline = Math.min(this.#gossip.deadline(), this.network.deadline())
    if (deadline === this.#timerAt) return
    clearTimeout(this.#timer)
    this.#timerAt = deadline
    if (deadline === Number.POSITIVE_INFINITY) return
    const now: Now = systemClock.now()
    this.#timer = setTimeout(() => this.#wake(), Math.min(2 ** 31 - 1, Math.max(0, Math.ceil(deadline - now.mono))))
  }

  #wake(): void {
    this.#timerAt = Number.POSITIVE_INFINITY
    this.gossip({ type: 'wake' })
    this.#network({ type: 'wake' })
  }

  #nextPipe(): PipeId {
    this.#pipes += 1
    return this.#pipes as PipeId
  }
}

function engine(crypto: Crypto, key: KeyPair): Gossip {
  const options = { activeMax: neighboursMax, outgoingReserved: 0 }
  return new Gossip({ crypto, jitter: systemJitter, key, options })
}

function must<T, E>(result: Result<T, E>): T {
  if (!result.ok) throw new Error(JSON.stringify(result.error))
  return result.value
}
