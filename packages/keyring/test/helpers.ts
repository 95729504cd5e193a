import { createHash } from 'node:crypto'
import type { Random, Result } from '@miaou/core'

/** Distinct reproducible bytes: SHA-256 of a counter. */
export function countingRandom(): Random {
  let counter = 0
  return {
    bytes(size) {
      const output = new Uint8Array(size)
      for (let offset = 0; offset < size; offset += 32) {
        const block = createHash('sha256').update(`random ${counter++}`).digest()
        output.set(block.subarray(0, Math.min(32, size - offset)), offset)
      }
      return output
    },
  }
}

export function unwrap<T, E>(result: Result<T, E>): T {
  if (!result.ok) throw new Error(`unexpected error ${JSON.stringify(result.error)}`)
  return result.value
}
