import { expect, test } from 'vitest'
import { SeededRandom, seededNumbers } from '../src/seeded.ts'

test('the same seed gives the same numbers on every machine', () => {
  const next = seededNumbers(7)
  expect([next(), next(), next()].map((number) => Math.floor(number * 2 ** 32))).toEqual([
    50271532, 266108690, 4195786334,
  ])
  const [one, other] = [new SeededRandom(7), new SeededRandom(7)]
  expect(one.bytes(16)).toEqual(other.bytes(16))
  expect(one.below(10)).toBe(other.below(10))
  expect(new SeededRandom(8).bytes(16)).not.toEqual(new SeededRandom(7).bytes(16))
})

test('numbers keep to their bounds', () => {
  const random = new SeededRandom(1)
  const drawn = Array.from({ length: 1_000 }, () => random.below(6))
  expect(new Set(drawn)).toEqual(new Set([0, 1, 2, 3, 4, 5]))
  expect([random.chance(0), random.chance(1)]).toEqual([false, true])
})
