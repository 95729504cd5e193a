import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { backends } from './backends.ts'
import { frozenVectors } from './frozen.ts'

describe('frozen vectors', () => {
  for (const crypto of backends) {
    test.each(Object.entries(frozenVectors))(`%s is what ${crypto.name} computes`, (name, compute) => {
      const frozen = readFileSync(new URL(`../../../vectors/${name}`, import.meta.url), 'utf8')
      expect(compute(crypto)).toEqual(JSON.parse(frozen))
    })
  }
})
