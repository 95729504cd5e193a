import type { Now } from '@miaou/core'
import { type Crypto, createLibsodiumCrypto, type KeyPair } from '@miaou/crypto'
import { SeededRandom as SeededJitter } from '../../../testkit/src/seeded.ts'
import { Gossip } from '../src/gossip/gossip.ts'
import type { GossipOptions } from '../src/gossip/gossip-options.ts'
import type { GossipInput, GossipOutput, NeighbourId } from '../src/gossip/interface.ts'
import { EventQueue } from './event-queue.ts'

export { SeededJitter }

/**
 * Hash and signature that cost nothing and bind every byte, for simulations of many nodes: "signature" = mixed hash of
 * key and message. Nothing else may be asked of it.
 */
const toys: Partial<Crypto> = {
  sha256: (data: Uint8Array) => mix(data, 0),
  ed25519KeyPair: (seed: Uint8Array): KeyPair => ({ publicKey: seed.slice(), secretKey: seed }),
  ed25519Sign: (message: Uint8Array, secretKey: Uint8Array) => toySignature(message, secretKey),
  ed25519Verify: (signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array) =>
    toySignature(message, publicKey).every((byte, at) => byte === signature[at]),
}

export const toyCrypto: Crypto = new Proxy(await createLibsodiumCrypto(), {
  get: (target, name) => Reflect.get(toys, name) ?? Reflect.get(target, name),
})

function toySignature(message: Uint8Array, key: Uint8Array): Uint8Array {
  const signature = new Uint8Array(64)
  signature.set(mix(message, (key[0] as number) * 256 + (key[1] as number)))
  signature.set(mix(key, 7), 32)
  return signature
}

function mix(data: Uint8Array, seed: number): Uint8Array {
  const lanes = new Uint32Array(8)
  for (let lane = 0; lane < 8; lane++) lanes[lane] = (seed + 1) * 0x9e3779b1 + lane * 0x85ebca6b
  for (let at = 0; at < data.length; at++) {
    const lane = at & 7
    lanes[lane] = Math.imul(((lanes[lane] as number) ^ (data[at] as number)) + at, 0x01000193)
  }
  for (let round = 0; round < 24; round++) {
    const lane = round & 7
    const next = (lane + 1) & 7
    const value = Math.imul((lanes[lane] as number) ^ ((lanes[lane] as number) >>> 15), 0x2c1b3c6d)
    lanes[next] = Math.imul((lanes[next] as number) ^ value ^ (value >>> 13), 0x297a2d39)
  }
  return new Uint8Array(lanes.buffer)
}

export interface NetworkOptions {
  readonly size: number
  readonly seed: number
  readonly engine?: Partial<GossipOptions>
  /** Share of the messages of a link that never arrive. */
  readonly lossShare?: number
  /** Pushes to everybody always: what flooding would do on the same links. */
  readonly floods?: boolean
  readonly crypto?: Crypto
}

export interface Node {
  readonly index: number
  readonly id: NeighbourId
  readonly hint: Uint8Array
  gossip: Gossip
  isUp: boolean
  /** Dead, and nobody has been told. */
  isSilent: boolean
  readonly links: Set<Node>
  /** When each message was delivered, virtual ms, by text of the payload. */
  readonly delivered: Map<string, number>
  wakeAt: number
  /** Watches or replaces what the engine sends; for adversaries. */
  onSend?: (output: Extract<GossipOutput, { type: 'send' }>) => Uint8Array | undefined
}

/** Engines on a virtual clock, links with a latency of their own, in order per direction. */
export class GossipNetwork {
  readonly nodes: Node[] = []
  readonly jitter: SeededJitter
  readonly violations: string[] = []
  readonly options: NetworkOptions
  now = 0
  dataSent = 0
  /** By nodes that live. */
  dataReceived = 0
  controlSent = 0
  bytesSent = 0
  /** FNV-1a over every delivery: the trace. */
  trace = 0x811c9dc5
  readonly #wall = 1_800_000_000_000
  readonly #events = new EventQueue()
  readonly #places: { readonly x: number; readonly y: number }[] = []
  readonly #lastAt = new Map<number, number>()
  readonly #unpublished = new Set<string>()
  #publishId = 0

  constructor(options: NetworkOptions) {
    this.options = options
    this.jitter = new SeededJitter(options.seed)
    for (let index = 0; index < options.size; index++) this.addNode()
  }

  get clock(): Now {
    return { mono: this.now, wall: this.#wall + this.now }
  }

  addNode(): Node {
    const index = this.nodes.length
    const hint = Uint8Array.of(index >>> 24, index >>> 16, index >>> 8, index)
    this.#places.push({ x: this.jitter.next(), y: this.jitter.next() })
    const node: Node = {
      index,
      id: String(index) as NeighbourId,
      hint,
      gossip: this.#engine(index, hint),
      isUp: true,
      isSilent: false,
      links: new Set(),
      delivered: new Map(),
      wakeAt: Number.POSITIVE_INFINITY,
    }
    this.nodes.push(node)
    return node
  }

  #engine(index: number, hint: Uint8Array): Gossip {
    const crypto = this.options.crypto ?? toyCrypto
    const seed = new SeededJitter(this.options.seed * 1_000_003 + index)
    return new Gossip({
      crypto,
      jitter: seed,
      key: crypto.ed25519KeyPair(seed.bytes(32)),
      hint,
      ...(this.options.engine === undefined ? {} : { options: this.options.engine }),
    })
  }

  /** One way, ms: the distance on a map of 100 ms by 100 ms and 5 ms for the last mile. */
  latency(a: Node, b: Node): number {
    const [p, q] = [this.#places[a.index], this.#places[b.index]]
    if (p === undefined || q === undefined) return 5
    return 5 + 100 * Math.hypot(p.x - q.x, p.y - q.y)
  }

  at(at: number, run: () => void): void {
    this.#events.push(at, run)
  }

  run(durationMs: number): void {
    const end = this.now + durationMs
    while (this.#events.nextAt <= end) {
      const { at, run } = this.#events.pop()
      this.now = at
      run()
    }
    this.now = end
  }

  handle(node: Node, input: GossipInput): GossipOutput[] {
    if (!node.isUp || node.isSilent) return []
    const outputs = node.gossip.handle(this.clock, input)
    for (const output of outputs) this.#act(node, output)
    this.#arm(node)
    return outputs
  }

  #arm(node: Node): void {
    const deadline = node.gossip.deadline()
    if (deadline >= node.wakeAt || deadline === Number.POSITIVE_INFINITY) return
    node.wakeAt = deadline
    this.at(Math.max(this.now, deadline), () => {
      if (node.wakeAt !== deadline) return
      node.wakeAt = Number.POSITIVE_INFINITY
      this.handle(node, { type: 'wake' })
    })
  }

  #act(node: Node, output: GossipOutput): void {
    switch (output.type) {
      case 'send':
        this.#send(node, output)
        return
      case 'connect': {
        const other = this.nodes[new DataView(output.hint.buffer, output.hint.byteOffset).getUint32(0)]
        if (other !== undefined) this.at(this.now + 2 * this.latency(node, other), () => this.link(node, other))
        return
      }
      case 'disconnect': {
        const other = this.nodes[Number(output.neighbour)]
        if (other !== undefined) this.unlink(node, other)
        return
      }
      case 'deliver':
        this.#deliver(node, output)
        return
      case 'reply':
        return
    }
  }

  #send(node: Node, output: Extract<GossipOutput, { type: 'send' }>): void {
    const other = this.nodes[Number(output.to)]
    const bytes = node.onSend === undefined ? output.bytes : node.onSend(output)
    if (other === undefined || bytes === undefined) return
    if (bytes[0] === 1) this.dataSent += 1
    else this.controlSent += 1
    this.bytesSent += bytes.length
    this.deliverBytes(node, other, bytes)
  }

  /** Puts bytes on the link from one node to another. */
  deliverBytes(node: Node, other: Node, bytes: Uint8Array): void {
    if (!node.links.has(other)) return
    if (this.options.lossShare !== undefined && this.jitter.next() < this.options.lossShare) return
    const route = node.index * 65_536 + other.index
    const at = Math.max(this.now + this.latency(node, other), this.#lastAt.get(route) ?? 0)
    this.#lastAt.set(route, at)
    this.at(at, () => {
      if (!other.links.has(node)) return
      if (bytes[0] === 1 && other.isUp && !other.isSilent) this.dataReceived += 1
      this.handle(other, { type: 'message', from: node.id, bytes })
    })
  }

  #deliver(node: Node, output: Extract<GossipOutput, { type: 'deliver' }>): void {
    const text = String.fromCharCode(...output.payload.subarray(0, 40))
    if (node.delivered.has(text)) this.violations.push(`${node.id}: ${text} was delivered twice`)
    if (!this.#unpublished.has(text)) this.violations.push(`${node.id}: ${text} was never published`)
    node.delivered.set(text, this.now)
    for (const part of [node.index, this.now | 0, text.length]) {
      this.trace = Math.imul(this.trace ^ part, 0x01000193) >>> 0
    }
  }

  link(a: Node, b: Node): void {
    if (a === b || a.links.has(b) || b.links.has(a) || !a.isUp || !b.isUp || a.isSilent || b.isSilent) return
    a.links.add(b)
    b.links.add(a)
    this.handle(a, { type: 'neighbour-up', neighbour: b.id, hint: b.hint, isOutgoing: true })
    this.handle(b, { type: 'neighbour-up', neighbour: a.id, hint: undefined, isOutgoing: false })
  }

  /** One end closes the link, orderly: what it sent before still arrives, what the other end sends is lost. */
  unlink(a: Node, b: Node): void {
    if (!a.links.delete(b)) return
    this.at(this.now, () => this.handle(a, { type: 'neighbour-down', neighbour: b.id }))
    const at = Math.max(this.now + this.latency(a, b), this.#lastAt.get(a.index * 65_536 + b.index) ?? 0)
    this.at(at, () => {
      if (b.links.delete(a)) this.handle(b, { type: 'neighbour-down', neighbour: a.id })
    })
  }

  /** Each node links with `degree / 2` others drawn at random. */
  linkRandomly(degree: number): void {
    for (const node of this.nodes) {
      for (let made = 0; made < degree / 2; ) {
        const other = this.nodes[this.jitter.below(this.nodes.length)] as Node
        if (other === node || node.links.has(other)) continue
        this.link(node, other)
        made += 1
      }
    }
  }

  subscribeAll(topic: string): void {
    for (const node of this.nodes) this.handle(node, { type: 'subscribe', topic })
  }

  publish(node: Node, topic: string, text: string): GossipOutput[] {
    const payload = new Uint8Array(text.length)
    for (let i = 0; i < text.length; i++) payload[i] = text.charCodeAt(i)
    this.#unpublished.add(text)
    return this.handle(node, { type: 'publish', id: this.#publishId++, topic, payload })
  }

  /** Dead, and nobody notices before `noticedMs` have passed. */
  kill(node: Node, noticedMs: number): void {
    node.isSilent = true
    this.at(this.now + noticedMs, () => {
      node.isUp = false
      for (const other of [...node.links]) this.unlink(node, other)
    })
  }

  live(): Node[] {
    return this.nodes.filter(({ isUp, isSilent }) => isUp && !isSilent)
  }

  /**
   * Share of the live nodes, without the publisher, that have a message; and when the last of them had it. `isCounted`:
   * which nodes could have it at all.
   */
  reach(
    text: string,
    publisher: Node,
    isCounted: (node: Node) => boolean = () => true,
  ): { readonly share: number; readonly lastAt: number } {
    let count = 0
    let all = 0
    let lastAt = 0
    for (const node of this.live()) {
      if (node === publisher || !isCounted(node)) continue
      all += 1
      const at = node.delivered.get(text)
      if (at === undefined) continue
      count += 1
      lastAt = Math.max(lastAt, at)
    }
    return { share: count / all, lastAt }
  }

  /** When flooding over the links as they stand would reach each live node, ms after the start; Infinity: never. */
  floodingTimes(from: Node): Float64Array {
    const arrivals = new Float64Array(this.nodes.length).fill(Number.POSITIVE_INFINITY)
    const flights = new EventQueue()
    const arrive = (node: Node, at: number): void => {
      if (at >= (arrivals[node.index] as number)) return
      arrivals[node.index] = at
      flights.push(at, () => {
        if (at > (arrivals[node.index] as number)) return
        for (const other of node.links) {
          if (other.isUp && !other.isSilent) arrive(other, at + this.latency(node, other))
        }
      })
    }
    arrive(from, 0)
    while (flights.nextAt < Number.POSITIVE_INFINITY) flights.pop().run()
    return arrivals
  }
}
