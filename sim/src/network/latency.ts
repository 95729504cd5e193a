import { draw, queueing } from '../kernel/distribution.ts'
import type { RandomStream } from '../kernel/random-stream.ts'

/**
 * Round trips between regions, ms. Own choice, rounded from the matrix "Latency Between AWS Global Regions" (2017) where
 * it has the pair; Africa, India and the diagonal are guesses. Symmetric; one way is half.
 */
const roundTrips: readonly (readonly number[])[] = [
  // NA east, NA west, Europe, South America, Africa, India, East Asia, Oceania
  [30, 70, 85, 120, 230, 200, 170, 230],
  [70, 25, 150, 185, 290, 225, 110, 160],
  [85, 150, 30, 195, 160, 125, 230, 310],
  [120, 185, 195, 40, 340, 305, 265, 320],
  [230, 290, 160, 340, 60, 245, 330, 390],
  [200, 225, 125, 305, 245, 50, 115, 175],
  [170, 110, 230, 265, 330, 115, 45, 115],
  [230, 160, 310, 320, 390, 175, 115, 35],
]

/** Of 256 nodes, how many live in each region; own choice. */
const shares: readonly number[] = [56, 28, 84, 16, 8, 22, 34, 8]

/** Where nodes live and how long a datagram between two of them takes. */
export class Latency {
  readonly #regions: Uint8Array
  /** One way through the access line, quarters of a ms: 0 to 15 ms (guess). */
  readonly #access: Uint8Array
  readonly #oneWay: Float64Array
  readonly #random: RandomStream

  constructor(nodes: number, placement: RandomStream, random: RandomStream) {
    this.#regions = new Uint8Array(nodes)
    this.#access = new Uint8Array(nodes)
    this.#random = random
    const byShare = shares.flatMap((count, region) => new Array<number>(count).fill(region))
    for (let i = 0; i < nodes; i++) {
      this.#regions[i] = byShare[placement.below(256)] ?? 0
      // The smaller of two draws: most lines are short.
      this.#access[i] = Math.min(placement.below(61), placement.below(61))
    }
    this.#oneWay = Float64Array.from(roundTrips.flat(), (roundTrip) => roundTrip / 2)
  }

  /** ms without queues: what a datagram takes at least. */
  propagation(from: number, to: number): number {
    const pair = (this.#regions[from] as number) * 8 + (this.#regions[to] as number)
    return (this.#oneWay[pair] as number) + ((this.#access[from] as number) + (this.#access[to] as number)) / 4
  }

  /** ms of one datagram. */
  delay(from: number, to: number): number {
    const propagation = this.propagation(from, to)
    return propagation + propagation * draw(queueing, this.#random)
  }
}
