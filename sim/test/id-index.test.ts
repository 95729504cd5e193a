import { describe, expect, it } from 'vitest'
import { RandomStream } from '../src/kernel/random-stream.ts'
import { IdIndex } from '../src/world/id-index.ts'

function build(count: number, highBits: number) {
  const random = new RandomStream(1, `index ${count}`)
  const high = Uint32Array.from({ length: count }, () => (random.next() >>> (32 - highBits)) << (32 - highBits))
  const low = Uint32Array.from({ length: count }, () => random.next())
  return {
    high,
    low,
    index: new IdIndex(
      high,
      low,
      Uint32Array.from({ length: count }, (_, i) => i),
    ),
    random,
  }
}

describe('index of ids', () => {
  it.each([
    [1, 32],
    [500, 32],
    // Many equal high words, as ids ground near one target have.
    [500, 3],
  ])('finds the same closest of %i nodes as sorting all of them', (count, highBits) => {
    const { high, low, index, random } = build(count, highBits)
    for (let i = 0; i < 50; i++) {
      const targetHigh = random.next()
      const targetLow = random.next()
      const distance = (node: number) =>
        (BigInt(((high[node] as number) ^ targetHigh) >>> 0) << 32n) | BigInt(((low[node] as number) ^ targetLow) >>> 0)
      const byDistance = Array.from({ length: count }, (_, node) => node)
        .filter((node) => node % 3 !== 1)
        .sort((a, b) => (distance(a) < distance(b) ? -1 : 1))
      expect(index.closest(targetHigh, targetLow, 20, (node) => node % 3 !== 1)).toEqual(byDistance.slice(0, 20))
    }
  })

  it('is empty for no nodes', () => {
    const index = new IdIndex(new Uint32Array(0), new Uint32Array(0), new Uint32Array(0))
    expect(index.closest(1, 2, 20)).toEqual([])
  })
})
