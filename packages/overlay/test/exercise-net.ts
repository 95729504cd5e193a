import { createLibsodiumCrypto } from '@miaou/crypto'
import { withGossipHop } from '@miaou/protocol'
import { exercise } from '../src/index.ts'
import { SeededJitter } from './gossip-network.ts'

export const crypto = await createLibsodiumCrypto()

/** Nodes of the exercise whose network is a map: requests arrive at once, and those to the dead have no answer. */
export class ExerciseNet {
  readonly nodes: exercise.P2PNode[] = []
  /** Texts of ids whose node neither answers nor hears. */
  readonly dead = new Set<string>()
  /** Texts of ids to which the operating system refuses to send. */
  readonly unreachable = new Set<string>()
  /** What each node was delivered, by its place in `nodes`. */
  readonly delivered: exercise.GossipMessage[][] = []
  /** Requests made, by type. */
  readonly requests: string[] = []
  readonly random: SeededJitter
  readonly #byId = new Map<string, exercise.P2PNode>()
  readonly #config: Partial<exercise.P2PConfig>
  /** Requests are never settled. */
  hangs = false
  /** Where gossip goes instead of to its receiver. */
  caught: Uint8Array[] | undefined
  now = { mono: 1000, wall: 1_700_000_000_000 }

  constructor(size: number, seed = 1, config: Partial<exercise.P2PConfig> = {}) {
    this.random = new SeededJitter(seed)
    this.#config = config
    for (let i = 0; i < size; i++) this.addNode()
  }

  addNode(): exercise.P2PNode {
    const place = this.nodes.length
    this.delivered.push([])
    const node: exercise.P2PNode = new exercise.P2PNode({
      crypto,
      random: this.random,
      jitter: this.random,
      clock: { now: () => this.now },
      key: crypto.ed25519KeyPair(this.random.bytes(32)),
      addr: { host: '127.0.0.1', port: 10_000 + place },
      config: this.#config,
      deliver: (message) => this.delivered[place]?.push(message),
      network: {
        request: async (to, message) => {
          this.requests.push(message.type)
          const id = to.id.toString()
          if (this.hangs) return new Promise(() => undefined)
          if (this.unreachable.has(id)) throw new Error('ENETUNREACH')
          return this.dead.has(id) ? undefined : this.#byId.get(id)?.handleDhtMessage(message, node.info())
        },
        gossip: (to, bytes) => {
          const id = to.id.toString()
          if (this.caught !== undefined) this.caught.push(bytes)
          else if (!this.dead.has(id)) this.#byId.get(id)?.handleGossip(bytes, node.info())
        },
      },
    })
    this.nodes.push(node)
    this.#byId.set(node.id.toString(), node)
    return node
  }

  node(place: number): exercise.P2PNode {
    const node = this.nodes[place]
    if (node === undefined) throw new Error(`no node ${place}`)
    return node
  }

  /** Each node joins through the first. */
  async join(): Promise<void> {
    for (const node of this.nodes.slice(1)) await node.bootstrap([this.node(0).info()])
    this.run(20_000)
  }

  /** Lets time pass, every node doing what is due, in steps of 50 ms. */
  run(ms: number): void {
    for (let passed = 0; passed < ms; passed += 50) {
      this.now = { mono: this.now.mono + 50, wall: this.now.wall + 50 }
      for (const node of this.nodes) if (node.deadline() <= this.now.mono) node.maintenance()
    }
  }
}

/** The bytes of a node's first message, with this ttl, and another node to give them to. */
export async function firstGossip(
  ttl: number,
): Promise<{ bytes: Uint8Array; from: exercise.PeerInfo; to: exercise.P2PNode }> {
  const net = new ExerciseNet(2, 17)
  await net.join()
  net.caught = []
  net.node(0).gossip(Uint8Array.of(1))
  const [bytes] = net.caught
  if (bytes === undefined) throw new Error('nothing was sent')
  net.caught = undefined
  return { bytes: withGossipHop(bytes, ttl, 1), from: net.node(0).info(), to: net.node(1) }
}

/** An id with this first and last byte, and zeros between. */
export function id(first: number, last = 0): exercise.NodeId {
  const bytes = new Uint8Array(32)
  bytes[0] = first
  bytes[31] = last
  return exercise.NodeId.fromBytes(bytes)
}

export function peer(peerId: exercise.NodeId, port = 9999, lastSeen = 0): exercise.PeerInfo {
  return { id: peerId, addr: { host: '127.0.0.1', port }, lastSeen }
}
