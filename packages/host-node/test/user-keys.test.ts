import { textToBytes } from '@miaou/core'
import { createLibsodiumCrypto } from '@miaou/crypto'
import { createKeyring, MemoryStorage } from '@miaou/keyring'
import { beforeEach, describe, expect, test } from 'vitest'
import { systemRandom } from '../src/peer/system.ts'
import { openUserKeys, type UserKeys } from '../src/peer/user-keys.ts'

let keys: UserKeys
const message = textToBytes('miaou')

beforeEach(async () => {
  const crypto = await createLibsodiumCrypto()
  const keyring = createKeyring({ crypto, random: systemRandom, storage: new MemoryStorage(), passphrase: undefined })
  if (!keyring.ok) throw new Error('expected a keyring')
  keyring.value.put('self.device', 'device', new Uint8Array(32).fill(1), { createdAt: 1 })
  keys = openUserKeys(crypto, systemRandom, keyring.value, () => 42)
})

function must<T>(
  result: { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown },
): T {
  if (!result.ok) throw new Error(JSON.stringify(result.error))
  return result.value
}

describe('[I09, I10] signing keys', () => {
  test('a signature verifies, and not over other bytes', () => {
    const key = must(keys.generate('signing', 'letters'))
    expect(key).toMatchObject({ keyId: 'letters', kind: 'signing', createdAt: 42 })
    const signature = must(keys.sign('letters', message))
    const publicKey = key.publicKey ?? new Uint8Array(0)
    expect(must(keys.verify(publicKey, message, signature))).toBe(true)
    expect(must(keys.verify(publicKey, textToBytes('miaoo'), signature))).toBe(false)
    expect(keys.verify(publicKey, message, signature.subarray(1))).toMatchObject({ error: { type: 'bad-size' } })
  })

  test('every kind is made, listed and removed', () => {
    for (const kind of ['signing', 'agreement', 'aead'] as const) keys.generate(kind)
    const listed = must(keys.list())
    expect(listed.map(({ kind }) => kind).sort()).toEqual(['aead', 'agreement', 'signing'])
    for (const { keyId } of listed) expect(keys.remove(keyId).ok).toBe(true)
    expect(must(keys.list())).toEqual([])
  })
})

describe('[I11] sealing', () => {
  test('with a kept key and with a given one', () => {
    must(keys.generate('aead', 'box'))
    const nonce = new Uint8Array(12).fill(1)
    const ad = textToBytes('for Bob')
    const sealed = must(keys.aeadEncrypt('box', nonce, ad, message))
    expect(must(keys.aeadDecrypt(must(keys.exportSecret('box')), nonce, ad, sealed))).toEqual(message)
    expect(keys.aeadDecrypt('box', nonce, message, sealed)).toMatchObject({ error: { type: 'undecryptable' } })
    expect(keys.aeadEncrypt('box', nonce.subarray(1), ad, message)).toMatchObject({ error: { type: 'bad-size' } })
    expect(keys.aeadEncrypt(new Uint8Array(31), nonce, ad, message)).toMatchObject({ error: { type: 'bad-size' } })
  })
})

describe('misuse', () => {
  test('is refused with the reason', () => {
    must(keys.generate('aead', 'box'))
    expect(keys.sign('box', message)).toMatchObject({ error: { type: 'wrong-kind', kind: 'aead', wanted: 'signing' } })
    expect(keys.sign('nobody', message)).toMatchObject({ error: { type: 'unknown-key' } })
    expect(keys.generate('aead', 'box')).toMatchObject({ error: { type: 'key-exists' } })
    expect(keys.generate('aead', 'Box!')).toMatchObject({ error: { type: 'bad-key-id' } })
    expect(keys.remove('nobody')).toMatchObject({ error: { type: 'unknown-key' } })
  })

  test("the peer's own keys cannot be named", () => {
    expect(must(keys.list())).toEqual([])
    for (const keyId of ['self.device', 'device', '../self.device']) {
      expect(keys.exportSecret(keyId)).toMatchObject({ error: { type: 'unknown-key' } })
      expect(keys.remove(keyId)).toMatchObject({ error: { type: 'unknown-key' } })
    }
  })
})

test('a disk that refuses is an error of the call, not the end of the daemon', async () => {
  class RefusingStorage extends MemoryStorage {
    isRefusing = false

    override store(name: string, bytes: Uint8Array): void {
      if (this.isRefusing) throw new Error('ENOSPC: no space left on device')
      super.store(name, bytes)
    }

    override remove(name: string): void {
      if (this.isRefusing) throw new Error('EROFS: read-only file system')
      super.remove(name)
    }
  }
  const crypto = await createLibsodiumCrypto()
  const storage = new RefusingStorage()
  const keyring = must(createKeyring({ crypto, random: systemRandom, storage, passphrase: undefined }))
  const userKeys = openUserKeys(crypto, systemRandom, keyring, () => 42)
  must(userKeys.generate('signing', 'kept'))
  storage.isRefusing = true
  expect(userKeys.generate('signing', 'new')).toEqual({
    ok: false,
    error: { type: 'keyring', detail: 'ENOSPC: no space left on device' },
  })
  expect(userKeys.remove('kept')).toMatchObject({ error: { type: 'keyring' } })
  expect(must(userKeys.list())).toHaveLength(1)
})

test('after the peer stopped, keys are neither made nor used', async () => {
  const crypto = await createLibsodiumCrypto()
  const storage = new MemoryStorage()
  const keyring = must(createKeyring({ crypto, random: systemRandom, storage, passphrase: undefined }))
  const userKeys = openUserKeys(crypto, systemRandom, keyring, () => 42)
  must(userKeys.generate('signing', 'kept'))
  keyring.close()
  const names = storage.names()
  expect(userKeys.generate('signing', 'late')).toMatchObject({ error: { type: 'keyring' } })
  expect(userKeys.sign('kept', message)).toMatchObject({ error: { type: 'keyring' } })
  expect(userKeys.list()).toMatchObject({ error: { type: 'keyring' } })
  expect(storage.names()).toEqual(names)
})
