import { bytesToHex, textToBytes } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { createKeyring, MemoryStorage } from '../src/index.ts'
import { countingRandom, unwrap } from './helpers.ts'

// Cheap enough for the oracle, dear enough to use several blocks and passes of Argon2id.
const cost = { memoryKiB: 64, passes: 3, parallelism: 1 } as const
const entries = [
  { keyId: 'account', kind: 'account', secret: '11'.repeat(32), createdAt: 1_700_000_000_000 },
  { keyId: '12D3KooWdevice', kind: 'device', secret: '22'.repeat(32), createdAt: 1_700_000_000_001 },
] as const

/**
 * The files of two keyrings, with and without passphrase, from `countingRandom`. Frozen in vectors/keyring.json by
 * `node packages/keyring/test/freeze.ts`: a difference means that homes written before no longer open.
 */
export function keyringVectors(crypto: Crypto): unknown {
  return ['correct horse', undefined].map((passphrase) => {
    const storage = new MemoryStorage()
    const bytes = passphrase === undefined ? undefined : textToBytes(passphrase)
    const keyring = unwrap(createKeyring({ crypto, random: countingRandom(), storage, passphrase: bytes, cost }))
    for (const { keyId, kind, secret, createdAt } of entries) {
      unwrap(keyring.put(keyId, kind, Buffer.from(secret, 'hex'), { createdAt }))
    }
    const files = storage.names().map((name) => [name, bytesToHex(storage.load(name) ?? new Uint8Array(0))])
    const databaseKey = bytesToHex(keyring.storeKey('database'))
    return { passphrase: passphrase ?? null, cost, entries, files: Object.fromEntries(files), databaseKey }
  })
}
