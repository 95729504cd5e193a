import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { backends } from './backends.ts'
import { computeVectors } from './vectors.ts'

describe('frozen vectors', () => {
  for (const crypto of backends) {
    const computed = computeVectors(crypto)
    for (const name of Object.keys(computed)) {
      test(`vectors/${name} with ${crypto.name}`, () => {
        const frozen: unknown = JSON.parse(readFileSync(new URL(`../../../vectors/${name}`, import.meta.url), 'utf8'))
        expect(JSON.parse(JSON.stringify(computed[name]))).toEqual(frozen)
      })
    }
  }
})
