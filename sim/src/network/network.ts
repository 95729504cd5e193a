import type { Flights } from '../kernel/flights.ts'
import type { RandomStream } from '../kernel/random-stream.ts'
import type { Latency } from './latency.ts'
import { PairCache } from './pair-cache.ts'

/** What the path between two nodes does to datagrams; shares in [0, 1]. */
export interface NetworkOptions {
  readonly loss: number
  /** Arrives twice. */
  readonly duplication: number
  /** Held back by up to `reorderMs` more, so that later ones overtake it. */
  readonly reorder: number
  readonly reorderMs: number
}

/** Own choice: a bad day of the public internet. */
export const defaultNetworkOptions: NetworkOptions = { loss: 0.01, duplication: 0.001, reorder: 0.01, reorderMs: 200 }

/** ms for which a NAT lets a peer's datagrams in after one went out to it: RFC 4787 REQ-5 (at least two minutes). */
const natMappingMs = 120_000

/** Places of pairs remembered behind NATs. Guess: more than such nodes talk to within the lifetime of a mapping. */
const natPairs = 1 << 18

/** Why datagrams did not arrive. */
export interface NetworkDrops {
  lost: number
  partitioned: number
  nat: number
  dead: number
}

/** Datagrams between nodes: delay, loss, duplication, reorder, NATs and partitions. */
export class Network<M> {
  readonly drops: NetworkDrops = { lost: 0, partitioned: 0, nat: 0, dead: 0 }
  readonly #options: NetworkOptions
  readonly #flights: Flights<M>
  readonly #latency: Latency
  readonly #random: RandomStream
  readonly #behindNat: Uint8Array
  readonly #sides: Uint8Array
  #natted: PairCache | undefined
  #isPartitioned = false

  constructor(nodes: number, flights: Flights<M>, latency: Latency, random: RandomStream, options: NetworkOptions) {
    this.#flights = flights
    this.#latency = latency
    this.#random = random
    this.#options = options
    this.#behindNat = new Uint8Array(nodes)
    this.#sides = new Uint8Array(nodes)
  }

  /** From now on only those whom it wrote to reach this node. */
  putBehindNat(node: number): void {
    this.#behindNat[node] = 1
    this.#natted ??= new PairCache(this.#behindNat.length, natPairs)
  }

  isBehindNat(node: number): boolean {
    return this.#behindNat[node] === 1
  }

  /** Cuts the network in two; datagrams between the sides are dropped until `heal`. */
  partition(sideOf: (node: number) => 0 | 1): void {
    for (let node = 0; node < this.#sides.length; node++) this.#sides[node] = sideOf(node)
    this.#isPartitioned = true
  }

  heal(): void {
    this.#isPartitioned = false
  }

  areParted(a: number, b: number): boolean {
    return this.#isPartitioned && this.#sides[a] !== this.#sides[b]
  }

  send(now: number, from: number, to: number, flags: number, message: M): void {
    const random = this.#random
    const options = this.#options
    if (this.#natted !== undefined && this.#behindNat[from] === 1) this.#natted.note(from, to, now)
    if (random.chance(options.loss)) {
      this.drops.lost++
      return
    }
    let at = now + this.#latency.delay(from, to)
    if (random.chance(options.reorder)) at += options.reorderMs * random.fraction()
    this.#flights.push(at, from, to, flags, message)
    if (random.chance(options.duplication)) {
      this.#flights.push(at + this.#latency.delay(from, to), from, to, flags, message)
    }
  }

  /** Whether a datagram that has arrived gets through; counted when not. */
  admits(now: number, from: number, to: number): boolean {
    if (this.#isPartitioned && this.#sides[from] !== this.#sides[to]) {
      this.drops.partitioned++
      return false
    }
    if (this.#behindNat[to] === 1 && now - (this.#natted?.timeOf(to, from) ?? 0) > natMappingMs) {
      this.drops.nat++
      return false
    }
    return true
  }
}
