import { describe, expect, it } from 'vitest'
import { Flights } from '../src/kernel/flights.ts'
import { RandomStream } from '../src/kernel/random-stream.ts'
import { Latency } from '../src/network/latency.ts'
import { Network } from '../src/network/network.ts'
import { PairCache } from '../src/network/pair-cache.ts'

const quiet = { loss: 0, duplication: 0, reorder: 0, reorderMs: 0 }

function build(options: Partial<typeof quiet> = {}) {
  const flights = new Flights<number>()
  const latency = new Latency(64, new RandomStream(1, 'regions'), new RandomStream(1, 'queues'))
  const network = new Network(64, flights, latency, new RandomStream(1, 'network'), { ...quiet, ...options })
  return { flights, latency, network }
}

describe('latency', () => {
  it('is symmetric but for queues, and never below propagation nor above twice of it', () => {
    const { latency } = build()
    for (let a = 0; a < 64; a++) {
      const b = (a * 7 + 1) % 64
      expect(latency.propagation(a, b)).toBe(latency.propagation(b, a))
      const delay = latency.delay(a, b)
      expect(delay).toBeGreaterThanOrEqual(latency.propagation(a, b))
      expect(delay).toBeLessThanOrEqual(2 * latency.propagation(a, b))
    }
  })
})

describe('network', () => {
  it('delivers every datagram once when nothing goes wrong', () => {
    const { flights, network } = build()
    for (let i = 0; i < 100; i++) network.send(0, 1, 2, 0, i)
    expect(flights.size).toBe(100)
    expect(network.drops.lost).toBe(0)
  })

  it('loses, duplicates and overtakes in about the shares it was given', () => {
    const { flights, network } = build({ loss: 0.2, duplication: 0.1, reorder: 0.1, reorderMs: 500 })
    for (let i = 0; i < 10_000; i++) network.send(i * 10, 1, 2, 0, i)
    expect(network.drops.lost).toBeGreaterThan(1_800)
    expect(network.drops.lost).toBeLessThan(2_200)
    const seen: number[] = []
    while (flights.size > 0) {
      flights.take()
      seen.push(flights.message ?? -1)
    }
    expect(seen.length - new Set(seen).size).toBeGreaterThan(600)
    expect(seen.some((value, i) => value < (seen[i - 1] ?? 0))).toBe(true)
  })

  it('lets only those into a NAT whom the node wrote to in the last two minutes', () => {
    const { network } = build()
    network.putBehindNat(5)
    expect(network.admits(0, 1, 5)).toBe(false)
    network.send(0, 5, 1, 0, 0)
    expect(network.admits(120_000, 1, 5)).toBe(true)
    expect(network.admits(120_001, 1, 5)).toBe(false)
    expect(network.admits(0, 2, 5)).toBe(false)
    expect(network.drops.nat).toBe(3)
  })

  it('cuts the network in two until it heals', () => {
    const { network } = build()
    network.partition((node) => (node < 32 ? 0 : 1))
    expect(network.admits(0, 1, 2)).toBe(true)
    expect(network.admits(0, 1, 40)).toBe(false)
    expect(network.drops.partitioned).toBe(1)
    network.heal()
    expect(network.admits(0, 1, 40)).toBe(true)
  })
})

describe('pair cache', () => {
  it('knows ordered pairs, and forgets some once full rather than growing', () => {
    const cache = new PairCache(1_000, 16)
    cache.note(1, 2, 5)
    expect(cache.timeOf(1, 2)).toBe(5)
    expect(cache.timeOf(2, 1)).toBe(Number.NEGATIVE_INFINITY)
    for (let i = 0; i < 1_000; i++) cache.note(i, 999 - i, i)
    let known = 0
    for (let i = 0; i < 1_000; i++) if (cache.timeOf(i, 999 - i) === i) known++
    expect(known).toBeGreaterThan(0)
    expect(known).toBeLessThanOrEqual(16)
  })
})
