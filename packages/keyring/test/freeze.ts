// Writes vectors/keyring.json: `node packages/keyring/test/freeze.ts`. A file that exists is left alone unless
// `--again` is given: frozen means that homes of earlier versions rely on it.
import { existsSync, writeFileSync } from 'node:fs'
import { createLibsodiumCrypto } from '@miaou/crypto'
import { keyringVectors } from './frozen.ts'

const file = new URL('../../../vectors/keyring.json', import.meta.url)
if (existsSync(file) && !process.argv.includes('--again')) {
  console.log('keyring.json: frozen already')
} else {
  writeFileSync(file, `${JSON.stringify(keyringVectors(await createLibsodiumCrypto()), null, 2)}\n`)
  console.log('keyring.json: written')
}
