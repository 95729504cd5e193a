// Writes our own vectors: `node packages/crypto/test/freeze.ts`. A file that exists is left alone unless `--again` is
// given: frozen means that peers of earlier versions rely on it.
import { existsSync, writeFileSync } from 'node:fs'
import { libsodium } from './backends.ts'
import { frozenVectors } from './frozen.ts'

for (const [name, compute] of Object.entries(frozenVectors)) {
  const file = new URL(`../../../vectors/${name}`, import.meta.url)
  if (existsSync(file) && !process.argv.includes('--again')) {
    console.log(`${name}: frozen already`)
    continue
  }
  writeFileSync(file, `${JSON.stringify(compute(libsodium), null, 2)}\n`)
  console.log(`${name}: written`)
}
