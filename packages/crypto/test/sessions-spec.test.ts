import { createHash, createHmac, hkdfSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { bytesToHex } from '@miaou/core'
import { describe, expect, test } from 'vitest'
import * as crypto from '../src/index.ts'
import { libsodium, noble } from './backends.ts'
import { createPair, createPrekeys, seededRandom, unwrap } from './pqxdh.fixture.ts'
import { hex } from './published.ts'

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
const document = read('spec/sessions.md')
const constants = new Map(
  [...document.matchAll(/^\| `([\w.-]+)` \| (0x[\da-f]+|\d+|`[^`]+`) \|/gm)].map(([, name = '', value = '']) => [
    name,
    value.startsWith('`') ? value.slice(1, -1) : Number(value),
  ]),
)

function text(name: string): Buffer {
  const value = constants.get(name)
  if (typeof value !== 'string') throw new Error(`spec/sessions.md has no text ${name}`)
  return Buffer.from(value)
}

function number(name: string): number {
  const value = constants.get(name)
  if (typeof value !== 'number') throw new Error(`spec/sessions.md has no number ${name}`)
  return value
}

const nothing = new Uint8Array(0)
const sha256 = (...parts: Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts)).digest()
const hkdf = (secret: Uint8Array, salt: Uint8Array, info: Uint8Array, size: number) =>
  Buffer.from(hkdfSync('sha256', secret, salt, info, size))
const hmac = (key: Uint8Array, byte: number) => createHmac('sha256', key).update(Uint8Array.of(byte)).digest()
const agree = (secretKey: Uint8Array, publicKey: Uint8Array) => noble.x25519(secretKey, publicKey) ?? nothing

interface PqxdhVector {
  readonly initiatorIdentitySecret: string
  readonly responderIdentitySecret: string
  readonly signedPrekeySecret: string
  readonly oneTimePrekeySecret?: string
  readonly kemPrekeySeed: string
  readonly kemPrekeyPublic: string
  readonly associatedData: string
  readonly header: string
  readonly sessionId: string
  readonly secret: string
}

// Constants that the package keeps to itself are held by what it does with them, in the tests below.
const inside = [
  'pqxdhFlags.oneTimePrekey',
  'pqxdhFlags.kemOneTime',
  'pqxdhInfo',
  'sessionIdLabel',
  'ratchetStartLabel',
  'ratchetRootLabel',
  'messageKeyConstant',
  'chainKeyConstant',
  'sealedHeaderBytesMax',
  'generationFirst',
  'generationMax',
]

describe('spec/sessions.md says what the code does', () => {
  test('it has numbered rules and every constant of it is held', () => {
    const rules = [...document.matchAll(/\*\*\[R(\d+)\]\*\*/g)].map(([, rule]) => Number(rule))
    expect(rules).toEqual(rules.map((_, index) => index + 1))
    expect(constants.size).toBeGreaterThan(inside.length)
    for (const name of inside) expect(constants.has(name), name).toBe(true)
  })

  test.each([...constants].filter(([name]) => !inside.includes(name)))('%s = %s', (path, value) => {
    const [name = '', ...fields] = path.split('.')
    const found = fields.reduce<unknown>((at, field) => Reflect.get(Object(at), field), Reflect.get(crypto, name))
    expect(found).toBe(value)
  })

  test('[R2] the table of the header adds up, and its flags', () => {
    const table = document.slice(document.indexOf('**[R2]**')).split('\n\n')[1] ?? ''
    const sizes = [...table.matchAll(/^\s*\|\s*([\d+ ]+?)\s*\|/gm)].flatMap(([, size = '']) =>
      size.split('+').map(Number),
    )
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(crypto.pqxdhHeaderBytes)
    const header = unwrap(crypto.decodePqxdhHeader(hex(pqxdhVectors[0]?.header ?? '')))
    const flagsOf = (change: object) => crypto.encodePqxdhHeader({ ...header, ...change })[2]
    expect(flagsOf({ oneTimePrekeyId: 1, kemOneTime: false })).toBe(number('pqxdhFlags.oneTimePrekey'))
    expect(flagsOf({ oneTimePrekeyId: undefined, kemOneTime: true })).toBe(number('pqxdhFlags.kemOneTime'))
  })

  const pqxdhVectors: PqxdhVector[] = JSON.parse(read('vectors/pqxdh.json')).cases
  test.each(pqxdhVectors)('[R3] [R4] [R8] $name, as the document writes it', (vector) => {
    const header = hex(vector.header)
    const decoded = unwrap(crypto.decodePqxdhHeader(header))
    const publicOf = (secret: string) => noble.x25519KeyPair(hex(secret)).publicKey
    const oneTime = decoded.oneTimePrekeyId === undefined ? undefined : vector.oneTimePrekeySecret
    const kem = noble.mlkem768KeyPair(hex(vector.kemPrekeySeed))
    const material = Buffer.concat([
      Buffer.alloc(32, 0xff),
      agree(hex(vector.signedPrekeySecret), decoded.identityKey),
      agree(hex(vector.responderIdentitySecret), decoded.ephemeralKey),
      agree(hex(vector.signedPrekeySecret), decoded.ephemeralKey),
      ...(oneTime === undefined ? [] : [agree(hex(oneTime), decoded.ephemeralKey)]),
      noble.mlkem768Decapsulate(decoded.kemCiphertext, kem.secretKey),
    ])
    const transcript = sha256(
      header,
      publicOf(vector.responderIdentitySecret),
      publicOf(vector.signedPrekeySecret),
      oneTime === undefined ? Buffer.alloc(32) : publicOf(oneTime),
      hex(vector.kemPrekeyPublic),
      hex(vector.associatedData),
    )
    const secret = hkdf(material, nothing, Buffer.concat([text('pqxdhInfo'), transcript]), 32)
    expect(secret.toString('hex')).toBe(vector.secret)
    expect(sha256(text('sessionIdLabel'), header).subarray(0, 16).toString('hex')).toBe(vector.sessionId)
  })

  test('[R9]–[R13] the first message opens with keys derived as the document writes it', () => {
    const vector = JSON.parse(read('vectors/ratchet.json'))
    const first = hex(vector.messages[0].message)
    const start = hkdf(hex(vector.secret), nothing, text('ratchetStartLabel'), 96)
    const [root, headerKey] = [start.subarray(0, 32), start.subarray(32, 64)]
    const sealedEnd = 28 + Buffer.from(first).readUInt16BE(2)
    const header = noble.xchacha20Poly1305Open(
      headerKey,
      first.subarray(4, 28),
      first.subarray(0, 4),
      first.subarray(28, sealedEnd),
    )
    if (header === undefined) throw new Error('the header did not open')
    expect([header.length, ...header.subarray(32)]).toEqual([40, 0, 0, 0, 0, 0, 0, 0, 0])
    const agreement = agree(hex(vector.responderRatchetSecret), header.subarray(0, 32))
    const chainKey = hkdf(agreement, root, text('ratchetRootLabel'), 96).subarray(32, 64)
    const open = (bytes: Uint8Array, key: Uint8Array) =>
      noble.xchacha20Poly1305Open(
        hmac(key, number('messageKeyConstant')),
        bytes.subarray(sealedEnd, sealedEnd + 24),
        Buffer.concat([bytes.subarray(0, sealedEnd), hex(vector.associatedData)]),
        bytes.subarray(sealedEnd + 24),
      )
    const expected = Buffer.from(vector.messages[0].plaintext).toString('hex')
    expect(bytesToHex(open(first, chainKey) ?? nothing)).toBe(expected)
    expect(first.length - Buffer.from(vector.messages[0].plaintext).length).toBe(number('ratchetOverheadBytes'))

    const random = seededRandom(libsodium, 'second message')
    const { initiator } = createPair(libsodium, random)
    const { sending } = initiator.state
    if (sending === undefined) throw new Error('an initiator can send')
    const encrypted = crypto.ratchetEncrypt({
      crypto: libsodium,
      random,
      state: initiator.state,
      plaintext: nothing,
      ad: nothing,
    })
    const next = hmac(sending.chainKey, number('chainKeyConstant')).toString('hex')
    expect(bytesToHex(encrypted.state.sending?.chainKey ?? nothing)).toBe(next)
  })

  test('[R12] the largest sealed header', () => {
    const random = seededRandom(libsodium, 'large header')
    const { responder } = createPair(libsodium, random)
    const errorOf = (size: number): string => {
      const message = new Uint8Array(4 + 24 + size + 24 + 16)
      message.set([crypto.ratchetMessageVersion, crypto.ratchetSuite, size >> 8, size & 0xff])
      const options = { crypto: libsodium, random, ...responder, message, ad: nothing }
      const result = crypto.ratchetDecrypt({ ...options, now: { mono: 0, wall: 0 } })
      return result.ok ? 'ok' : result.error.type
    }
    expect(errorOf(number('sealedHeaderBytesMax'))).toBe('undecryptable')
    expect(errorOf(number('sealedHeaderBytesMax') + 1)).toBe('malformed')
  })

  test('[R22] the first and the last generation', () => {
    const facts = { id: crypto.pqxdhSessionId(libsodium, createPair(libsodium, seededRandom(libsodium, 'id')).header) }
    const last = number('generationMax')
    expect(crypto.nextGeneration([])).toBe(number('generationFirst'))
    expect(crypto.nextGeneration([{ ...facts, generation: 7, confirmed: false }])).toBe(8)
    expect(crypto.nextGeneration([{ ...facts, generation: last, confirmed: false }])).toBe(last)
    const random = seededRandom(libsodium, 'generation')
    const { bundle, identity } = createPrekeys(libsodium, random)
    const start = crypto.pqxdhInitiate({ crypto: libsodium, random, identity, bundle, associatedData: nothing })
    expect(unwrap(start).header.generation).toBe(number('generationFirst'))
  })

  test('every error of the code is in its table', () => {
    const errors = [...(document.split('## Errors')[1] ?? '').matchAll(/^\| `([\w-]+)` \|/gm)].map(([, name]) => name)
    const sources = ['pqxdh/header.ts', 'pqxdh/pqxdh.ts', 'ratchet/decrypt.ts', 'ratchet/message.ts']
    const code = sources.map((path) => read(`packages/crypto/src/${path}`)).join('\n')
    const types = new Set([...code.matchAll(/readonly type: '([\w-]+)'/g)].map(([, name]) => name))
    expect(types.size).toBeGreaterThan(5)
    for (const type of types) expect(errors).toContain(type)
  })
})
