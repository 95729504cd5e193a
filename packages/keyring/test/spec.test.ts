import { createHash, createHmac, hkdfSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hexToBytes, textToBytes } from '@miaou/core'
import { createLibsodiumCrypto } from '@miaou/crypto'
import { describe, expect, test } from 'vitest'
import * as entry from '../src/entry.ts'
import { createKeyring, MemoryStorage } from '../src/index.ts'
import * as lock from '../src/lock.ts'
import * as sealedFile from '../src/sealed-file.ts'
import { countingRandom, unwrap } from './helpers.ts'

const crypto = await createLibsodiumCrypto()
const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
const document = read('spec/keyring.md')
const constants = new Map(
  [...document.matchAll(/^\| `([\w.-]+)` \| (\d+|`[^`]+`) \|/gm)].map(([, name = '', value = '']) => [
    name,
    value.startsWith('`') ? value.slice(1, -1) : Number(value),
  ]),
)

function text(name: string): string {
  const value = constants.get(name)
  if (typeof value !== 'string') throw new Error(`spec/keyring.md has no text ${name}`)
  return value
}

function number(name: string): number {
  const value = constants.get(name)
  if (typeof value !== 'number') throw new Error(`spec/keyring.md has no number ${name}`)
  return value
}

// Constants that the package keeps to itself are held by what it does with them, in the tests below.
const inside = [
  'lockMagic',
  'plainKeyMagic',
  'entryMagic',
  'entryPrefix',
  'subkeyLabel',
  'entryLabel',
  'exportPrefix',
  'memoryKiBMin',
  'keysMax',
]

/** `a.b` looks up `b` in the exported object `a`. */
function lookUp(path: string): unknown {
  const [name = '', ...fields] = path.split('.')
  return fields.reduce<unknown>(
    (at, field) => Reflect.get(Object(at), field),
    Reflect.get({ ...entry, ...lock, ...sealedFile }, name),
  )
}

/** Sizes of the fields in the byte table that follows a rule's heading, `n` left out. */
function tableSizes(rule: string): number[] {
  const table = document.slice(document.indexOf(`**[${rule}]**`)).split('\n\n')[1] ?? ''
  return [...table.matchAll(/^\s*\|\s*([\d+ n]+?)\s*\|/gm)].map(([, size = '']) =>
    size.split('+').reduce((sum, part) => sum + (part.trim() === 'n' ? 0 : Number(part)), 0),
  )
}

const subkey = (key: Uint8Array, name: string) =>
  new Uint8Array(hkdfSync('sha256', key, new Uint8Array(0), `${text('subkeyLabel')}${name}`, 32))

interface KeyringVector {
  readonly passphrase: string | null
  readonly cost: { readonly memoryKiB: number; readonly passes: number; readonly parallelism: 1 }
  readonly entries: readonly { keyId: string; kind: string; secret: string }[]
  readonly files: Readonly<Record<string, string>>
  readonly databaseKey: string
}

const vectors: KeyringVector[] = JSON.parse(read('vectors/keyring.json'))

function bytesOf(vector: KeyringVector, name: string): Buffer {
  const file = vector.files[name]
  if (file === undefined) throw new Error(`no file ${name}`)
  return Buffer.from(hexToBytes(file) ?? [])
}

/** K2: the body of a file, its frame compared with the document. */
function bodyOf(vector: KeyringVector, name: string, magic: string): Buffer {
  const bytes = bytesOf(vector, name)
  const checked = bytes.subarray(0, -32)
  expect(createHash('sha256').update(checked).digest()).toEqual(bytes.subarray(-32))
  expect(checked.subarray(0, 4).toString()).toBe(text(magic))
  expect([...checked.subarray(4, 6)]).toEqual([number('formatVersion'), number('formatSuite')])
  return checked.subarray(6)
}

describe('spec/keyring.md says what the code does', () => {
  test('it has numbered rules and every constant of it is held', () => {
    const rules = [...document.matchAll(/\*\*\[K(\d+)\]\*\*/g)].map(([, rule]) => Number(rule))
    expect(rules).toEqual(rules.map((_, index) => index + 1))
    for (const name of inside) expect(constants.has(name), name).toBe(true)
  })

  test.each([...constants].filter(([name]) => !inside.includes(name)))('%s = %s', (path, value) => {
    expect(lookUp(path)).toBe(value)
  })

  test.each(vectors)('[K3]–[K13] the frozen files, opened as the document writes it', (vector) => {
    const body = bodyOf(vector, text('lockName'), 'lockMagic')
    const sizes = tableSizes('K4')
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(body.length)
    const at = sizes.map((_, index) => sizes.slice(0, index).reduce((sum, size) => sum + size, 0))
    const field = (index: number) => body.subarray(at[index] ?? 0, (at[index] ?? 0) + (sizes[index] ?? 0))
    const { passphrase, cost } = vector
    expect(body[0]).toBe(passphrase === null ? 0 : 1)
    expect([field(1).readUInt32BE(), field(2).readUInt32BE(), body[9]]).toEqual([cost.memoryKiB, cost.passes, 1])
    const rootKey =
      passphrase === null
        ? bodyOf(vector, text('plainKeyName'), 'plainKeyMagic')
        : crypto.argon2id(textToBytes(passphrase), field(4), cost, 32)
    expect(Buffer.from(subkey(rootKey, 'commitment'))).toEqual(field(5))
    const header = body.subarray(0, at[6])
    const dataKey = crypto.xchacha20Poly1305Open(subkey(rootKey, 'encryption'), field(6), header, field(7))
    if (dataKey === undefined) throw new Error('the data key did not open')
    expect(Buffer.from(subkey(dataKey, 'store/database')).toString('hex')).toBe(vector.databaseKey)
    for (const { keyId, kind, secret } of vector.entries) {
      const mac = createHmac('sha256', subkey(dataKey, 'names')).update(keyId).digest('hex')
      const name = `${text('entryPrefix')}${mac.slice(0, 32)}`
      const sealed = bodyOf(vector, name, 'entryMagic')
      const kindEnd = 2 + sealed.readUInt16BE()
      expect(sealed.subarray(2, kindEnd).toString()).toBe(kind)
      const plaintext = crypto.xchacha20Poly1305Open(
        subkey(dataKey, `entry/${kind}`),
        sealed.subarray(kindEnd, kindEnd + 24),
        Buffer.from(`${text('entryLabel')}\0${name}/${kind}`),
        sealed.subarray(kindEnd + 24),
      )
      const inner = Buffer.from(plaintext ?? [])
      expect(inner.subarray(2, 2 + inner.readUInt16BE()).toString()).toBe(keyId)
      expect(inner.subarray(-32).toString('hex')).toBe(secret)
    }
  })

  test('[K5] the least memory', () => {
    const least = number('memoryKiBMin')
    expect(lock.isCostAllowed({ memoryKiB: least, passes: 1, parallelism: 1 })).toBe(true)
    expect(lock.isCostAllowed({ memoryKiB: least - 1, passes: 1, parallelism: 1 })).toBe(false)
  })

  test('[K12] the most keys, [K14] an exported key', () => {
    const storage = new MemoryStorage()
    const keyring = unwrap(createKeyring({ crypto, random: countingRandom(), storage, passphrase: undefined }))
    const secret = new Uint8Array(32).fill(7)
    unwrap(keyring.put('key', 'device', secret, { createdAt: 1 }))
    const prefix = `${text('exportPrefix')}:device:`
    const sum = createHash('sha256').update(prefix).update(secret).digest().subarray(0, 4)
    const line = `${prefix}${Buffer.concat([secret, sum]).toString('base64url')}`
    expect(unwrap(keyring.exportKey('key'))).toBe(line)

    const most = number('keysMax')
    for (let count = 1; count < most; count++) storage.store(`${text('entryPrefix')}${count}`, new Uint8Array(0))
    const put = keyring.put('one more', 'device', secret, { createdAt: 1 })
    expect(put).toEqual({ ok: false, error: { type: 'keyring-full', keysMax: most } })
  })
})
