import type { RandomStream } from '../kernel/random-stream.ts'
import type { IdIndex } from './id-index.ts'
import type { Population } from './population.ts'

/** Contacts a bucket holds: k of the product. */
const bucketSize = 20

/** Bits of an id that the index can tell apart. */
const bitsMax = 64

/**
 * The contacts that a node of a long-lived network knows: of each of its subtrees up to 20 nodes, spread evenly over the
 * subtree with a random one of each part, the farthest contact first. What years of traffic leave in the tables, without
 * the years; written to `target`, the number of contacts is returned.
 */
export function longLivedContacts(
  index: IdIndex,
  population: Population,
  node: number,
  random: RandomStream,
  target: Uint32Array,
): number {
  const high = population.high[node] as number
  const low = population.low[node] as number
  let start = 0
  let end = index.size
  let count = 0
  for (let bit = 0; bit < bitsMax && end - start > 1; bit++) {
    const middle = index.split(start, end, bit)
    const isRight = ((bit < 32 ? high : low) & (0x80000000 >>> (bit & 31))) !== 0
    const from = isRight ? start : middle
    const to = isRight ? middle : end
    if (isRight) start = middle
    else end = middle
    const size = to - from
    const first = count
    for (let part = 0; part < Math.min(size, bucketSize); part++) {
      const parts = Math.min(size, bucketSize)
      const partFrom = Math.floor((part * size) / parts)
      const partSize = Math.floor(((part + 1) * size) / parts) - partFrom
      target[count++] = index.at(from + partFrom + random.below(partSize))
    }
    count = limitPrefixes(population, target, first, count)
    sortFarthestFirst(population.high, high, target, first, count)
  }
  return count
}

/** Contacts of one /24 that a bucket of the product admits. */
const perPrefixMax = 2

/** Drops from a bucket what the product's limit on prefixes would not have let in; returns the bucket's new end. */
function limitPrefixes({ contacts, ref }: Population, target: Uint32Array, first: number, end: number): number {
  let kept = first
  for (let i = first; i < end; i++) {
    const node = target[i] as number
    const prefix = contacts.prefix(ref(node))
    let same = 0
    for (let j = first; j < kept; j++) if (contacts.prefix(ref(target[j] as number)) === prefix) same++
    if (same < perPrefixMax) target[kept++] = node
  }
  return kept
}

/** By the top 32 bits of the distance, in place: a few insertions are cheaper than a sort of the whole table. */
function sortFarthestFirst(highs: Uint32Array, high: number, target: Uint32Array, first: number, end: number): void {
  for (let i = first + 1; i < end; i++) {
    const node = target[i] as number
    const distance = ((highs[node] as number) ^ high) >>> 0
    let at = i
    while (at > first && ((highs[target[at - 1] as number] as number) ^ high) >>> 0 < distance) {
      target[at] = target[at - 1] as number
      at--
    }
    target[at] = node
  }
}

/** Most contacts that `longLivedContacts` writes. */
export const longLivedContactsMax: number = bucketSize * bitsMax
