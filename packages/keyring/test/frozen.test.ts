import { readFileSync } from 'node:fs'
import { bytesToHex, hexToBytes, textToBytes } from '@miaou/core'
import { createLibsodiumCrypto } from '@miaou/crypto'
import { createNobleCrypto } from '@miaou/crypto/noble'
import { describe, expect, test } from 'vitest'
import { MemoryStorage, openKeyring } from '../src/index.ts'
import { keyringVectors } from './frozen.ts'
import { countingRandom, unwrap } from './helpers.ts'

interface KeyringVector {
  passphrase: string | null
  entries: { keyId: string; kind: string; secret: string; createdAt: number }[]
  files: Record<string, string>
  databaseKey: string
}

const frozen: KeyringVector[] = JSON.parse(
  readFileSync(new URL('../../../vectors/keyring.json', import.meta.url), 'utf8'),
)

const backends = [await createLibsodiumCrypto(), createNobleCrypto()]

describe('[A19] frozen keyring', () => {
  for (const crypto of backends) {
    test(`${crypto.name} writes the frozen files`, () => {
      expect(keyringVectors(crypto)).toEqual(frozen)
    })

    test(`${crypto.name} opens the frozen files`, () => {
      for (const { passphrase, entries, files, databaseKey } of frozen) {
        const storage = new MemoryStorage()
        for (const [name, text] of Object.entries(files)) storage.store(name, hexToBytes(text) ?? new Uint8Array(0))
        const bytes = passphrase === null ? undefined : textToBytes(passphrase)
        const keyring = unwrap(openKeyring({ crypto, random: countingRandom(), storage, passphrase: bytes }))
        expect(keyring.list()).toEqual(entries.map(({ secret, ...description }) => description))
        for (const { keyId, secret } of entries) expect(bytesToHex(unwrap(keyring.get(keyId)).secret)).toBe(secret)
        expect(bytesToHex(keyring.storeKey('database'))).toBe(databaseKey)
      }
    })
  }
})
