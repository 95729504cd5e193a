import { createHash } from 'node:crypto'
import { textToBytes } from '@miaou/core'
import { type Argon2Cost, createLibsodiumCrypto } from '@miaou/crypto'
import { describe, expect, test } from 'vitest'
import { costMax, createKeyring, type Keyring, MemoryStorage, openKeyring } from '../src/index.ts'
import { countingRandom, unwrap } from './helpers.ts'

const crypto = await createLibsodiumCrypto()
const cost = { memoryKiB: 8, passes: 1, parallelism: 1 } as const
const passphrase = textToBytes('passphrase')
const secret = new Uint8Array(32).fill(7)

// Argon2id stands aside here: what is tested is the format, and a flipped cost must not cost a gigabyte a case.
let stretched: Argon2Cost[] = []
function stretch(bytes: Uint8Array, salt: Uint8Array, asked: Argon2Cost): Uint8Array {
  stretched.push(asked)
  return crypto.hkdfSha256(bytes, salt, textToBytes(JSON.stringify(asked)), 32)
}

function make(withPassphrase: boolean) {
  const storage = new MemoryStorage()
  const base = {
    crypto,
    random: countingRandom(),
    storage,
    stretch,
    passphrase: withPassphrase ? passphrase : undefined,
  }
  const keyring = unwrap(createKeyring({ ...base, cost }))
  unwrap(keyring.put('account', 'account', secret, { createdAt: 1 }))
  unwrap(keyring.put('device', 'device', new Uint8Array(32).fill(8), { createdAt: 2 }))
  return { base, storage, keyring }
}

/** Every truncation of the bytes, then every single flipped bit. */
function* mutations(bytes: Uint8Array): Generator<Uint8Array> {
  for (let size = 0; size < bytes.length; size++) yield bytes.slice(0, size)
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = bytes.slice()
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    yield flipped
  }
  yield new Uint8Array([...bytes, 0])
}

function withChecksum(bytes: Uint8Array): Uint8Array {
  const body = bytes.slice(0, -32)
  return new Uint8Array([...body, ...createHash('sha256').update(body).digest()])
}

function isRightKey(keyring: Keyring): boolean {
  const key = keyring.get('account')
  return key.ok && crypto.equal(key.value.secret, secret)
}

describe('[A19] damaged files', () => {
  for (const withPassphrase of [true, false]) {
    const files = withPassphrase ? ['keyring-lock'] : ['keyring-lock', 'keyring-plain-key']
    test.each(files)(
      `${withPassphrase ? 'with' : 'without'} passphrase: every damage of %s is told as damage`,
      (name) => {
        const { base, storage } = make(withPassphrase)
        for (const bytes of mutations(storage.load(name) ?? new Uint8Array(0))) {
          storage.store(name, bytes)
          expect(openKeyring(base)).toEqual({ ok: false, error: { type: 'damaged', what: name } })
        }
      },
    )
  }

  test('a lock crafted with a right checksum gives an error, never a throw, another key or an unbounded cost', () => {
    const { base, storage } = make(true)
    const types = new Set<string>()
    stretched = []
    for (const bytes of mutations(storage.load('keyring-lock') ?? new Uint8Array(0))) {
      storage.store('keyring-lock', withChecksum(bytes))
      const result = openKeyring(base)
      // Bits flipped in the checksum are made good again: that file opens.
      if (result.ok) expect(isRightKey(result.value)).toBe(true)
      else types.add(result.error.type)
    }
    expect([...types].sort()).toEqual(['cost-refused', 'damaged', 'unsupported-version', 'wrong-passphrase'])
    expect(stretched.every((asked) => asked.memoryKiB <= costMax.memoryKiB && asked.passes <= costMax.passes)).toBe(
      true,
    )
  })

  test('every damage of an entry is told, and costs that entry only', () => {
    const { storage, keyring } = make(true)
    const names = storage.names().filter((name) => name.startsWith('key-'))
    expect(names).toHaveLength(2)
    for (const name of names) {
      const bytes = storage.load(name) ?? new Uint8Array(0)
      for (const mutation of mutations(bytes)) {
        for (const stored of [mutation, withChecksum(mutation)]) {
          if (Buffer.compare(stored, bytes) === 0) continue
          storage.store(name, stored)
          expect(keyring.list()).toHaveLength(1)
          const [problem] = keyring.problems()
          expect(problem?.what).toBe(name)
          expect(['damaged', 'unsupported-version']).toContain(problem?.type)
        }
      }
      storage.store(name, bytes)
    }
    expect(keyring.list()).toHaveLength(2)
  })

  test('entries cannot be swapped, nor copied from another keyring', () => {
    const { storage, keyring } = make(true)
    const [one = '', two = ''] = storage.names().filter((name) => name.startsWith('key-'))
    const [first, second] = [storage.load(one), storage.load(two)]
    if (first === undefined || second === undefined) throw new Error('two entries were put')
    storage.store(one, second)
    storage.store(two, first)
    for (const keyId of ['account', 'device']) {
      expect(keyring.get(keyId)).toMatchObject({ ok: false, error: { type: 'damaged' } })
    }
    expect(keyring.remove('account')).toBe(true)
  })

  test('a cost outside the bounds is refused on creation too', () => {
    for (const bad of [
      { memoryKiB: 7, passes: 1 },
      { memoryKiB: costMax.memoryKiB + 1, passes: 1 },
      { memoryKiB: 8, passes: 0 },
      { memoryKiB: 8, passes: costMax.passes + 1 },
      { memoryKiB: 8.5, passes: 1 },
    ]) {
      const base = { crypto, random: countingRandom(), storage: new MemoryStorage(), passphrase }
      expect(createKeyring({ ...base, cost: { ...bad, parallelism: 1 } })).toMatchObject({
        error: { type: 'cost-refused' },
      })
      expect(base.storage.names()).toEqual([])
    }
  })

  test('a machine without the memory says so', () => {
    const storage = new MemoryStorage()
    const failing = () => {
      throw new Error('allocation failed')
    }
    expect(
      createKeyring({ crypto, random: countingRandom(), storage, passphrase, cost, stretch: failing }),
    ).toMatchObject({ error: { type: 'out-of-memory', memoryKiB: 8 } })
    expect(storage.names()).toEqual([])
  })
})
