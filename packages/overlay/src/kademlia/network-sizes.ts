import type { Core } from './core.ts'
import { estimateNetworkSize } from './network-size.ts'

/** Lookups whose densities are kept: guess; the median of 15 errs by about 8 %. */
const samplesMax = 15
/** Distances are numbers of 53 bits. */
const space = 2 ** 53

/** How many nodes there are, from the densities that walks met at their ends within a refresh interval, and the own table. */
export class NetworkSizes {
  readonly #core: Core
  /** `own`: what the own table said at the time. */
  #samples: { readonly size: number; readonly own: number; readonly at: number }[] | undefined
  /** Sizes of the samples of the interval, in ascending order: good until a sample comes, or one is too old. */
  #sizes: readonly number[] = []
  #sizesUntil = Number.POSITIVE_INFINITY

  constructor(core: Core) {
    this.#core = core
  }

  /** A walk ended with `rank` nodes (≥ 3) up to `distance` (53 bits). */
  observe(distance: number, rank: number): void {
    this.#samples ??= []
    const own = this.#core.table.estimateNetworkSize()
    this.#samples.push({ size: 1 + estimateNetworkSize(distance / space, rank), own, at: this.#core.mono })
    if (this.#samples.length > samplesMax) this.#samples.shift()
    this.#sort()
  }

  /**
   * The median of the samples and the own table: nodes that crowd at one target move one value. Own node included. For
   * people: samples from when the own table said half as many or less, or twice as many or more, are of another network.
   * Walks are judged by all of them (`range`), or who crowds round this node would make them forget what they saw.
   */
  estimate(): number {
    const own = this.#core.table.estimateNetworkSize()
    const { mono, config } = this.#core
    const values = [own]
    for (const sample of this.#samples ?? []) {
      const isFresh = mono - sample.at < config.refreshIntervalMs
      if (isFresh && sample.own < 2 * own && own < 2 * sample.own) values.push(sample.size)
    }
    values.sort((a, b) => a - b)
    return values[values.length >> 1] as number
  }

  /** The smaller and the larger of what the own table and the median say: in a network that grows, samples are old. */
  range(): { readonly least: number; readonly most: number } {
    const own = this.#core.table.estimateNetworkSize()
    const median = this.#median(own)
    return { least: Math.min(own, median), most: Math.max(own, median) }
  }

  #median(own: number): number {
    if (this.#core.mono >= this.#sizesUntil) this.#sort()
    // With the own value in its place: the middle is that, or one of its neighbours there.
    const middle = (this.#sizes.length + 1) >> 1
    const below = this.#sizes[middle - 1] ?? own
    return Math.max(below, Math.min(own, this.#sizes[middle] ?? own))
  }

  #sort(): void {
    const { mono, config } = this.#core
    const fresh = (this.#samples ?? []).filter(({ at }) => mono - at < config.refreshIntervalMs)
    this.#sizes = fresh.map(({ size }) => size).sort((a, b) => a - b)
    const [oldest] = fresh
    this.#sizesUntil = oldest === undefined ? Number.POSITIVE_INFINITY : oldest.at + config.refreshIntervalMs
  }
}

/** How many of `size` nodes are expected nearer than `distance` (53 bits) to any point. */
export function expectedWithin(distance: number, size: number): number {
  return (size * distance) / space
}

/** The distance (53 bits) within which `count` of `size` nodes are expected. */
export function distanceOf(count: number, size: number): number {
  return Math.min(space, (count / size) * space)
}
