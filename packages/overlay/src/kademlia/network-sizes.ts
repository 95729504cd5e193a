import type { Core } from './core.ts'
import { estimateNetworkSize } from './network-size.ts'

/** Lookups whose densities are kept: guess; the median of 15 errs by about 8 %. */
const samplesMax = 15
/** Distances are numbers of 53 bits. */
const space = 2 ** 53

/** How many nodes there are, from the densities that walks met at their ends and from the own table. */
export class NetworkSizes {
  readonly #core: Core
  #samples: number[] | undefined

  constructor(core: Core) {
    this.#core = core
  }

  /** A walk ended with `rank` nodes (≥ 3) up to `distance` (53 bits). */
  observe(distance: number, rank: number): void {
    this.#samples ??= []
    this.#samples.push(1 + estimateNetworkSize(distance / space, rank))
    if (this.#samples.length > samplesMax) this.#samples.shift()
  }

  /** The median: nodes that crowd at one target move one sample. Own node included. */
  estimate(): number {
    const values = [...(this.#samples ?? []), this.#core.table.estimateNetworkSize()]
    values.sort((a, b) => a - b)
    return values[values.length >> 1] as number
  }

  /** How many nodes are expected nearer than `distance` (53 bits) to any point. */
  expectedWithin(distance: number): number {
    return (this.estimate() * distance) / space
  }

  /** The distance (53 bits) within which `count` nodes are expected. */
  distanceOf(count: number): number {
    return Math.min(space, (count / this.estimate()) * space)
  }
}
