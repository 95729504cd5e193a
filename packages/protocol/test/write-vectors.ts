// Writes the frozen vectors: run it by hand, once, for a format that is new. A format in use never changes its vectors.
import { writeFileSync } from 'node:fs'
import { libsodium } from './backends.ts'
import { computeVectors } from './vectors.ts'

for (const [name, content] of Object.entries(computeVectors(libsodium))) {
  const path = new URL(`../../../vectors/${name}`, import.meta.url)
  writeFileSync(path, `${JSON.stringify(content, null, 2)}\n`)
}
