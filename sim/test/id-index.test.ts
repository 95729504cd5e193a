import { describe, expect, it } from 'vitest'
import { RandomStream } from '../src/kernel/random-stream.ts'
import { IdIndex } from '../src/world/id-index.ts'
import { longLivedContacts, longLivedContactsMax } from '../src/world/long-lived.ts'
import { Population } from '../src/world/population.ts'
import { createSimCrypto } from '../src/world/sim-crypto.ts'

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

describe('tables of a long-lived network', () => {
  it('hold of each subtree up to 20 nodes, at most two of one network, the farthest first, never their owner', () => {
    const crypto = createSimCrypto()
    const ground = Array.from({ length: 40 }, (_, i) => ({ id: new Uint8Array(32).fill(i), prefix: 0 }))
    const population = new Population(600, ground, new RandomStream(1, 'keys'), crypto)
    const members = Uint32Array.from({ length: 600 }, (_, node) => node)
    const index = new IdIndex(population.high, population.low, members)
    const contacts = new Uint32Array(longLivedContactsMax)
    for (const node of [0, 17, 599]) {
      const count = longLivedContacts(index, population, node, new RandomStream(1, 'tables'), contacts)
      const table = [...contacts.subarray(0, count)]
      const distance = (other: number) => ((population.high[other] as number) ^ (population.high[node] as number)) >>> 0
      expect(table).not.toContain(node)
      expect(new Set(table).size).toBe(count)
      expect(table.map(distance)).toEqual(table.map(distance).sort((a, b) => b - a))
      const buckets = Map.groupBy(table, (other) => Math.clz32(distance(other)))
      for (const [, bucket] of buckets) {
        expect(bucket.length).toBeLessThanOrEqual(20)
        const prefixes = bucket.map((other) => population.contacts.prefix(population.ref(other)))
        for (const prefix of prefixes)
          expect(prefixes.filter((other) => other === prefix).length).toBeLessThanOrEqual(2)
      }
      expect(buckets.get(0)?.length).toBeGreaterThan(15)
    }
  })
})
