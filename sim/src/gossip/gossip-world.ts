import { createNobleCrypto } from '../../../packages/crypto/src/noble.ts'
import { Gossip } from '../../../packages/overlay/src/gossip/gossip.ts'
import type { GossipConfig } from '../../../packages/overlay/src/gossip/gossip-options.ts'
import type { GossipInput, NeighbourId } from '../../../packages/overlay/src/gossip/interface.ts'
import { EventHeap } from '../kernel/event-heap.ts'
import { Flights } from '../kernel/flights.ts'
import { RandomStream } from '../kernel/random-stream.ts'
import { Trace } from '../kernel/trace.ts'
import { Latency } from '../network/latency.ts'
import { Checks } from '../world/checks.ts'
import { createSimCrypto } from '../world/sim-crypto.ts'
import { runCost } from '../world/world.ts'

/** What travels: bytes over a link, or the news that a link stands or has ended. */
type Parcel =
  | { readonly type: 'bytes'; readonly bytes: Uint8Array }
  | { readonly type: 'up'; readonly isOutgoing: boolean }
  | { readonly type: 'down' }

const kinds: Readonly<Record<Parcel['type'], number>> = { bytes: 0, up: 1, down: 2 }

/** Unix ms at virtual 0. */
const epochMs = 1_767_225_600_000

/** ms after which a link to a dead node ends: keep-alive of the link engine (spec/link: silent for 10 s). */
const silentMs = 10_000

/** Round trips that a dial takes: TCP or ICE, then the handshake. */
const dialRoundTrips = 2

/** Two parcels of one link never change places: each arrives so much later than any sent before it, ms. */
const orderStep = 2 ** -24

export type Delivered = (node: number, messageId: string, time: number) => void

/** Gossip engines on nodes that are linked pair by pair: reliable, ordered links under one virtual clock. */
export class GossipWorld {
  readonly nodes: number
  readonly trace: Trace = new Trace()
  readonly checks: Checks = new Checks()
  readonly engines: (Gossip | undefined)[] = []
  readonly links: Set<number>[] = []
  /** Inputs of all engines. */
  events = 0
  onDeliver: Delivered = () => undefined
  readonly #latency: Latency
  readonly #flights = new Flights<Parcel>()
  readonly #timers = new EventHeap()
  readonly #wakes: Float64Array
  readonly #config: (node: number) => GossipConfig
  #published: string | undefined
  #time = 0
  #sent = 0

  constructor(nodes: number, seed: number) {
    this.nodes = nodes
    this.#latency = new Latency(nodes, new RandomStream(seed, 'regions'), new RandomStream(seed, 'queues'))
    this.#wakes = new Float64Array(nodes).fill(Number.POSITIVE_INFINITY)
    const jitter = new RandomStream(seed, 'gossip')
    const crypto = createGossipCrypto()
    this.#config = (node) => ({
      crypto,
      jitter: { next: () => jitter.fraction() },
      key: { publicKey: numberToBytes(node, 32), secretKey: numberToBytes(node, 32) },
      hint: numberToBytes(node, 4),
    })
    for (let node = 0; node < nodes; node++) {
      this.engines.push(new Gossip(this.#config(node)))
      this.links.push(new Set())
    }
  }

  get time(): number {
    return this.#time
  }

  isUp(node: number): boolean {
    return this.engines[node] !== undefined
  }

  input(node: number, input: GossipInput): void {
    this.#handle(node, input)
  }

  /** The message's id, undefined when the engine refused it. */
  publish(node: number, topic: string, payload: Uint8Array): string | undefined {
    this.#published = undefined
    this.#handle(node, { type: 'publish', id: 0, topic, payload })
    return this.#published
  }

  /** Opens a link that `from` asked for; both learn of it. */
  connect(from: number, to: number): void {
    const delay = 2 * dialRoundTrips * this.#latency.propagation(from, to)
    this.#send(this.#time + delay, to, from, { type: 'up', isOutgoing: true })
    this.#send(this.#time + delay, from, to, { type: 'up', isOutgoing: false })
  }

  /** The node vanishes; its neighbours notice when their links have been silent for too long. */
  kill(node: number): void {
    this.engines[node] = undefined
    this.#wakes[node] = Number.POSITIVE_INFINITY
    for (const other of this.links[node] ?? []) this.#send(this.#time + silentMs, node, other, { type: 'down' })
  }

  run(until: number): void {
    const before = process.cpuUsage()
    this.#loop(until)
    const { user, system } = process.cpuUsage(before)
    runCost.microseconds += user + system
    this.#time = until
  }

  #loop(until: number): void {
    for (;;) {
      const flight = this.#flights.peek()
      const timer = this.#timers.peek()
      const next = Math.min(flight, timer)
      if (next > until || next === Number.POSITIVE_INFINITY) break
      this.#time = next
      if (flight <= timer) this.#deliver()
      else this.#wake(this.#timers.pop())
    }
  }

  /** When a message that everybody forwards to everybody at once would reach each node: shortest paths, ms. */
  floodingTimes(origin: number): Float64Array {
    const times = new Float64Array(this.nodes).fill(Number.POSITIVE_INFINITY)
    const heap = new EventHeap()
    heap.push(0, origin)
    times[origin] = 0
    while (heap.size > 0) {
      const node = heap.pop()
      if (heap.time > (times[node] as number)) continue
      for (const other of this.links[node] ?? []) {
        const at = heap.time + this.#latency.propagation(node, other)
        if (!this.isUp(other) || at >= (times[other] as number)) continue
        times[other] = at
        heap.push(at, other)
      }
    }
    return times
  }

  #send(at: number, from: number, to: number, parcel: Parcel): void {
    this.#flights.push(at + ++this.#sent * orderStep, from, to, 0, parcel)
  }

  #deliver(): void {
    this.#flights.take()
    const { from, to, message: parcel } = this.#flights
    if (parcel === undefined || !this.isUp(to)) return
    this.trace.add(this.#time, from, to, kinds[parcel.type])
    const links = this.links[to] ?? new Set()
    const neighbour = nameOf(from)
    if (parcel.type === 'bytes') {
      if (links.has(from)) this.#handle(to, { type: 'message', from: neighbour, bytes: parcel.bytes })
    } else if (parcel.type === 'down') {
      if (links.delete(from)) this.#handle(to, { type: 'neighbour-down', neighbour })
    } else if (this.isUp(from) && !links.has(from)) {
      links.add(from)
      const hint = parcel.isOutgoing ? numberToBytes(from, 4) : undefined
      this.#handle(to, { type: 'neighbour-up', neighbour, hint, isOutgoing: parcel.isOutgoing })
    }
  }

  #wake(node: number): void {
    if (this.#wakes[node] !== this.#timers.time) return
    this.#wakes[node] = Number.POSITIVE_INFINITY
    const engine = this.engines[node]
    if (engine === undefined) return
    if (engine.deadline() > this.#time) this.#schedule(node)
    else this.#handle(node, { type: 'wake' })
  }

  #schedule(node: number): void {
    const deadline = this.engines[node]?.deadline() ?? Number.POSITIVE_INFINITY
    if (deadline >= (this.#wakes[node] as number)) return
    const at = Math.max(deadline, this.#time)
    this.#wakes[node] = at
    this.#timers.push(at, node)
  }

  #handle(node: number, input: GossipInput): void {
    const engine = this.engines[node]
    if (engine === undefined) return
    this.events++
    for (const output of engine.handle({ mono: this.#time, wall: epochMs + this.#time }, input)) {
      if (output.type === 'send') {
        const to = Number(output.to)
        this.#send(this.#time + this.#latency.propagation(node, to), node, to, { type: 'bytes', bytes: output.bytes })
      } else if (output.type === 'reply') this.#published = output.result.ok ? output.result.messageId : undefined
      else if (output.type === 'deliver') this.onDeliver(node, output.messageId, this.#time)
      else if (output.type === 'connect') this.#dial(node, bytesToNumber(output.hint))
      else if (output.type === 'disconnect') this.#disconnect(node, Number(output.neighbour))
    }
    this.#schedule(node)
  }

  #dial(node: number, to: number): void {
    if (to < this.nodes && this.isUp(to) && to !== node) this.connect(node, to)
  }

  #disconnect(node: number, other: number): void {
    if (this.links[node]?.delete(other) !== true) return
    this.#send(this.#time + this.#latency.propagation(node, other), node, other, { type: 'down' })
  }
}

function nameOf(node: number): NeighbourId {
  return `${node}` as NeighbourId
}

function numberToBytes(number: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  new DataView(bytes.buffer).setUint32(0, number)
  return bytes
}

function bytesToNumber(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0)
}

/** Real SHA-256; signatures that only name their key: nobody forges in this simulation. */
function createGossipCrypto(): GossipConfig['crypto'] {
  const { sha256, equal } = createSimCrypto()
  const sign = (key: Uint8Array) => {
    const signature = new Uint8Array(64)
    signature.set(key)
    return signature
  }
  return {
    ...createNobleCrypto(),
    sha256,
    ed25519Sign: (_message, secretKey) => sign(secretKey),
    ed25519Verify: (signature, _message, publicKey) => equal(signature, sign(publicKey)),
  }
}
