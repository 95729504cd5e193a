import { expect, test } from 'vitest'
import { TokenBucket } from '../src/index.ts'

test('gives its burst, then its rate, and nothing for a clock that jumps back', () => {
  const bucket = new TokenBucket(10, 3)
  expect([1, 2, 3, 4].map(() => bucket.take(0))).toEqual([true, true, true, false])
  expect(bucket.waitMs()).toBe(100)
  expect(bucket.take(99)).toBe(false)
  expect(bucket.take(100)).toBe(true)
  expect(bucket.take(50)).toBe(false)
})

test('never holds more than its burst, and takes several or none', () => {
  const bucket = new TokenBucket(10, 3)
  expect(bucket.take(100_000, 4)).toBe(false)
  expect(bucket.take(100_000, 3)).toBe(true)
  bucket.giveBack()
  expect(bucket.take(100_000)).toBe(true)
  expect(bucket.take(100_000)).toBe(false)
  for (let i = 0; i < 9; i++) bucket.giveBack()
  expect(bucket.take(100_000, 4)).toBe(false)
  expect(bucket.take(100_000, 3)).toBe(true)
})
