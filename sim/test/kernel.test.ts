import { describe, expect, it } from 'vitest'
import { draw, quantile, sessionLengths } from '../src/kernel/distribution.ts'
import { EventHeap } from '../src/kernel/event-heap.ts'
import { Flights } from '../src/kernel/flights.ts'
import { RandomStream } from '../src/kernel/random-stream.ts'
import { Trace } from '../src/kernel/trace.ts'

describe('event heap', () => {
  it('gives back what was pushed in the order of times', () => {
    const random = new RandomStream(1, 'heap')
    const heap = new EventHeap(4)
    const times = Array.from({ length: 5_000 }, () => random.below(2_000))
    times.forEach((time, i) => {
      heap.push(time, i)
    })
    const popped: number[] = []
    while (heap.size > 0) {
      expect(heap.peek()).toBe(times[heap.pop()])
      popped.push(heap.time)
    }
    expect(popped).toEqual([...times].sort((a, b) => a - b))
    expect(heap.peek()).toBe(Number.POSITIVE_INFINITY)
  })

  it('keeps its order while pushes and pops alternate', () => {
    const random = new RandomStream(2, 'heap')
    const heap = new EventHeap(4)
    let now = 0
    for (let i = 0; i < 20_000; i++) {
      heap.push(now + random.below(100), i)
      if (heap.size > 50) {
        heap.pop()
        expect(heap.time).toBeGreaterThanOrEqual(now)
        now = heap.time
      }
    }
  })
})

describe('flights', () => {
  it('hand out each message once, with its ends, earliest first, beyond the first capacity', () => {
    const flights = new Flights<string>(2)
    for (let i = 0; i < 100; i++) flights.push(100 - i, i, i + 1, i & 1, `message ${i}`)
    for (let i = 99; i >= 0; i--) {
      flights.take()
      expect([flights.time, flights.from, flights.to, flights.flags, flights.message]).toEqual([
        100 - i,
        i,
        i + 1,
        i & 1,
        `message ${i}`,
      ])
    }
    expect(flights.size).toBe(0)
    flights.push(1, 2, 3, 0, 'again')
    flights.take()
    expect(flights.message).toBe('again')
  })
})

describe('random streams', () => {
  it('are the same for the same seed and purpose and differ for others', () => {
    const take = (seed: number, purpose: string) => {
      const random = new RandomStream(seed, purpose)
      return Array.from({ length: 4 }, () => random.next())
    }
    expect(take(7, 'network')).toEqual(take(7, 'network'))
    expect(take(7, 'network')).not.toEqual(take(8, 'network'))
    expect(take(7, 'network')).not.toEqual(take(7, 'keys'))
    expect(take(7, 'network')).not.toEqual(take(7 + 2 ** 32, 'network'))
  })

  it('give the frozen first numbers on every machine', () => {
    const random = new RandomStream(1, 'frozen')
    expect(Array.from({ length: 4 }, () => random.next())).toMatchInlineSnapshot(`
      [
        4197225927,
        1915578523,
        2808860004,
        702008233,
      ]
    `)
  })

  it('sample without repetition and keep to their bounds', () => {
    const random = new RandomStream(3, 'sample')
    const sample = random.sample(50, 50)
    expect(new Set(sample).size).toBe(50)
    expect(random.sample(3, 10)).toHaveLength(3)
    for (let i = 0; i < 1_000; i++) expect(random.fraction()).toBeLessThan(1)
    expect(random.chance(0)).toBe(false)
    expect(random.chance(1)).toBe(true)
    expect(random.bytes(33)).toHaveLength(33)
  })
})

describe('distributions', () => {
  it('have their quantiles and lie between the ends', () => {
    expect(quantile(sessionLengths, 0.5)).toBe(1)
    expect(quantile(sessionLengths, 0.75)).toBe(4)
    const random = new RandomStream(4, 'sessions')
    const values = Array.from({ length: 4_000 }, () => draw(sessionLengths, random)).sort((a, b) => a - b)
    expect(values[0]).toBeGreaterThanOrEqual(0)
    expect(values.at(-1)).toBeLessThanOrEqual(99.317)
    expect(values[2_000]).toBeGreaterThan(0.9)
    expect(values[2_000]).toBeLessThan(1.1)
  })
})

describe('trace', () => {
  it('tells apart times, ends, kinds and order', () => {
    const digest = (...entries: [number, number, number, number][]) => {
      const trace = new Trace()
      for (const entry of entries) trace.add(...entry)
      return trace.digest()
    }
    const digests = [
      digest([1, 2, 3, 4]),
      digest([1.001, 2, 3, 4]),
      digest([1, 3, 2, 4]),
      digest([1, 2, 3, 5]),
      digest([1, 2, 3, 4], [2, 2, 3, 4]),
      digest([2, 2, 3, 4], [1, 2, 3, 4]),
      digest([5_000_000, 2, 3, 4]),
    ]
    expect(new Set(digests).size).toBe(digests.length)
    expect(digest([1, 2, 3, 4])).toMatch(/^[0-9a-f]{16}$/)
    expect(digest([1, 2, 3, 4])).toMatchInlineSnapshot(`"93ef37db4cb1515a"`)
  })
})
