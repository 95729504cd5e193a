import type { Core } from './core.ts'
import { estimateNetworkSize } from './network-size.ts'

/** Lookups whose densities are kept: guess; the median of 15 errs by about 8 %. */
const samplesMax = 15
/** Distances are numbers of 53 bits. */
const space = 2 ** 53

/** How many nodes there are, from the densities that walks met at their ends within a refresh interval, and the own table. */
export class NetworkSizes {
  readonly #core: Core
  #samples: { readonly size: number; readonly at: number }[] | undefined

  constructor(core: Core) {
    this.#core = core
  }

  /** A walk ended with `rank` nodes (≥ 3) up to `distance` (53 bits). */
  observe(distance: number, rank: number): void {
    this.#samples ??= []
    this.#samples.push({ size: 1 + estimateNetworkSize(distance / space, rank), at: this.#core.mono })
    if (this.#samples.length > samplesMax) this.#samples.shift()
  }

  /** The median of the samples and the own table: nodes that crowd at one target move one value. Own node included. */
  estimate(): number {
    return this.#median(this.#core.table.estimateNetworkSize())
  }

  /** The smaller and the larger of what the own table and the median say: in a network that grows, samples are old. */
  range(): { readonly least: number; readonly most: number } {
    const own = this.#core.table.estimateNetworkSize()
    const median = this.#median(own)
    return { least: Math.min(own, median), most: Math.max(own, median) }
  }

  #median(own: number): number {
    if (this.#samples === undefined) return own
    const { mono, config } = this.#core
    const values = [own]
    for (const { size, at } of this.#samples) if (mono - at < config.refreshIntervalMs) values.push(size)
    values.sort((a, b) => a - b)
    return values[values.length >> 1] as number
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
