import fc from 'fast-check'
import { expect, test } from 'vitest'
import { pooledRandom, systemRandom } from '../src/peer/system.ts'

/** Fills with bytes that count up, so that each one given can be told. */
function counting(): { readonly fill: (target: Uint8Array) => void; readonly pools: Uint8Array[] } {
  const pools: Uint8Array[] = []
  let next = 0
  return {
    pools,
    fill: (target) => {
      pools.push(target)
      for (let at = 0; at < target.length; at++) target[at] = (next++ % 255) + 1
    },
  }
}

test('small draws come from one filling, each byte once, and are gone from the pool when given', () => {
  const { fill, pools } = counting()
  const random = pooledRandom(fill)
  expect([...random.bytes(3)]).toEqual([1, 2, 3])
  expect([...random.bytes(2)]).toEqual([4, 5])
  expect(pools).toHaveLength(1)
  expect([...(pools[0] ?? []).slice(0, 7)]).toEqual([0, 0, 0, 0, 0, 6, 7])
})

test('what is given is a copy: writing into it changes no later draw', () => {
  const random = pooledRandom(counting().fill)
  random.bytes(4).fill(99)
  expect([...random.bytes(2)]).toEqual([5, 6])
})

test('any row of draws has the sizes asked and no zero left from a wiped place', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 200 }), (sizes) => {
      const random = pooledRandom(counting().fill)
      for (const size of sizes) {
        const bytes = random.bytes(size)
        expect(bytes).toHaveLength(size)
        expect(bytes.includes(0)).toBe(false)
      }
    }),
  )
})

test('the system generator does not repeat itself across fillings', () => {
  const seen = new Set(Array.from({ length: 2000 }, () => Buffer.from(systemRandom.bytes(16)).toString('hex')))
  expect(seen.size).toBe(2000)
})
