import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CutWindow } from '../src/gossip/cut-window.ts'
import { chooseFanOut } from '../src/gossip/fan-out.ts'
import { MessageCache } from '../src/gossip/message-cache.ts'
import { SeenSet } from '../src/gossip/seen-set.ts'
import { SeededJitter } from './gossip-network.ts'

/** 16 bytes; few values collide in the low bits on purpose. */
const idOf = (number: number): Uint8Array => {
  const id = new Uint8Array(16)
  new DataView(id.buffer).setUint32(number % 3 === 0 ? 0 : 12, number)
  return id
}

describe('seen set', () => {
  test('[G7] behaves as a list with a bound and a life', () => {
    const steps = fc.array(fc.record({ id: fc.nat(60), waitMs: fc.nat(40) }), { maxLength: 400 })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), steps, (sizeMax, list) => {
        const seen = new SeenSet(sizeMax, 300)
        let model: { readonly id: number; readonly at: number; readonly ordinal: number }[] = []
        let now = 0
        let ordinal = 0
        for (const { id, waitMs } of list) {
          now += waitMs
          if (!seen.has(idOf(id))) {
            model = model.filter(({ at }) => at + 300 > now)
            if (model.length >= sizeMax) model.shift()
            model.push({ id, at: now, ordinal })
            expect(seen.add(now, idOf(id))).toBe(ordinal++)
          }
          expect(seen.size).toBe(model.length)
          for (const entry of model) expect(seen.ordinal(idOf(entry.id))).toBe(entry.ordinal)
        }
        for (let id = 0; id <= 60; id++) expect(seen.has(idOf(id))).toBe(model.some((entry) => entry.id === id))
      }),
      { numRuns: 150 },
    )
  })

  test('[G7] a million ids keep memory at its bound', () => {
    const seen = new SeenSet(4_096, 1e9)
    const id = new Uint8Array(20)
    const view = new DataView(id.buffer)
    for (let number = 0; number < 1_000_000; number++) {
      view.setUint32(4, Math.imul(number, 0x9e3779b1))
      view.setUint32(8, number)
      seen.add(number, id, 4)
    }
    expect(seen.size).toBe(4_096)
    expect(seen.has(id, 4)).toBe(true)
  })
})

describe('fan-out', () => {
  test('[G10] E24: a random subset without the excluded, all where there are few, an empty list where none', () => {
    const peers = Array.from({ length: 20 }, (_, at) => at)
    const jitter = new SeededJitter(1)
    const counts = new Map<number, number>()
    for (let round = 0; round < 2_000; round++) {
      const chosen = chooseFanOut(peers, 4, jitter, (peer) => peer === 7)
      expect(new Set(chosen).size).toBe(4)
      for (const peer of chosen) counts.set(peer, (counts.get(peer) ?? 0) + 1)
    }
    expect(counts.has(7)).toBe(false)
    // 2,000 × 4 / 19 = 421 each; six standard deviations are 110.
    for (const count of counts.values()) expect(Math.abs(count - 421)).toBeLessThan(110)
    expect(chooseFanOut(peers, 50, jitter, (peer) => peer > 2).toSorted()).toEqual([0, 1, 2])
    expect(chooseFanOut([1], 4, jitter, () => true)).toEqual([])
  })
})

describe('cache and cuts', () => {
  test('[G14] the cache is bounded by bytes and by age, the oldest goes first', () => {
    const cache = new MessageCache(100, 1_000)
    const add = (key: string, size: number, at: number) =>
      cache.add({ key, shortId: idOf(1), topic: 't', bytes: new Uint8Array(size), hops: 0, from: undefined, at })
    add('a', 40, 0)
    add('b', 60, 1)
    expect([cache.size, cache.bytes]).toEqual([2, 100])
    add('c', 1, 2)
    expect([cache.get('a'), cache.size, cache.bytes]).toEqual([undefined, 2, 61])
    add('d', 1, 1_001)
    expect([...cache.values()].map(({ key }) => key)).toEqual(['c', 'd'])
    cache.delete('c')
    cache.delete('unknown')
    expect([cache.size, cache.bytes]).toEqual([1, 1])
  })

  test('[G11] of the messages of a window the one with the lowest id may cut', () => {
    const window = new CutWindow(500)
    window.add(0, 'b')
    expect(window.mayCut(0, 'b')).toBe(true)
    window.add(100, 'a')
    window.add(200, 'c')
    expect(['a', 'b', 'c'].map((key) => window.mayCut(300, key))).toEqual([true, false, false])
    expect(window.mayCut(600, 'c')).toBe(false)
    expect(window.mayCut(601, 'c')).toBe(true)
  })
})
