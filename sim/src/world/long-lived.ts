import type { RandomStream } from '../kernel/random-stream.ts'
import type { IdIndex } from './id-index.ts'
import type { Population } from './population.ts'

/** Contacts a bucket holds: k of the product. */
const bucketSize = 20

/** Bits of an id that the index can tell apart. */
const bitsMax = 64

/**
 * The contacts that a node of a long-lived network knows: of each of its subtrees up to 20 nodes, spread evenly over the
 * subtree with a random one of each part, nearest subtree last. What years of traffic leave in the tables, without the
 * years; written to `target`, the number of contacts is returned.
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
    if (size <= bucketSize) {
      for (let at = from; at < to; at++) target[count++] = index.at(at)
    } else {
      for (let part = 0; part < bucketSize; part++) {
        target[count++] = index.at(from + Math.floor(((part + random.fraction()) * size) / bucketSize))
      }
    }
  }
  return count
}

/** Most contacts that `longLivedContacts` writes. */
export const longLivedContactsMax: number = bucketSize * bitsMax
