import type { Random } from '@miaou/core'
import { concatBytes } from '@miaou/core'
import {
  type Crypto,
  createLibsodiumCrypto,
  defaultSkippedLimits,
  encodeRatchetState,
  ratchetDecrypt,
  ratchetEncrypt,
  ratchetMessageBytesMax,
  ratchetOverheadBytes,
  ratchetPlaintextBytesMax,
  type SkippedLimits,
} from '@miaou/crypto'
import { createNobleCrypto } from '@miaou/crypto/noble'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { sealHead } from '../src/ratchet/message.ts'
import { createPair, type Pair, type Side, seededRandom } from './pqxdh.fixture.ts'

const libsodium = await createLibsodiumCrypto()
const noble = createNobleCrypto()
const ad = new TextEncoder().encode('alice/phone bob/laptop suite 1')
const start = { mono: 0, wall: 1_700_000_000_000 }

function textToBytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** Two sides that talk through this test's hands. */
class Conversation {
  readonly pair: Pair
  readonly random: Random
  readonly crypto: Crypto
  now = start
  limits: SkippedLimits = defaultSkippedLimits

  constructor(seed: string, crypto: Crypto = libsodium) {
    this.crypto = crypto
    this.random = seededRandom(libsodium, seed)
    this.pair = createPair(libsodium, this.random)
  }

  get alice(): Side {
    return this.pair.initiator
  }

  get bob(): Side {
    return this.pair.responder
  }

  encrypt(from: Side, text: string): Uint8Array {
    const { crypto, random } = this
    const { state, message } = ratchetEncrypt({ crypto, random, state: from.state, plaintext: textToBytes(text), ad })
    from.state = state
    return message
  }

  /** Tries a message and commits what it changes. */
  receive(to: Side, message: Uint8Array, binding: Uint8Array = ad) {
    const { crypto, random, now, limits } = this
    const { state, skipped } = to
    const result = ratchetDecrypt({ crypto, random, state, skipped, message, ad: binding, now, limits })
    if (result.ok) {
      to.state = result.value.state
      skipped.apply(result.value)
    }
    return result
  }

  decrypt(to: Side, message: Uint8Array): string {
    const result = this.receive(to, message)
    return result.ok ? new TextDecoder().decode(result.value.plaintext) : result.error.type
  }

  pass(from: Side, to: Side, text: string): void {
    expect(this.decrypt(to, this.encrypt(from, text))).toBe(text)
  }
}

function snapshot(side: Side): unknown {
  return { state: encodeRatchetState(side.state), skipped: side.skipped.all() }
}

describe('conversation', () => {
  test('both ways, in order', () => {
    const talk = new Conversation('in order')
    const { alice, bob } = talk
    for (let turn = 0; turn < 5; turn++) {
      for (let i = 0; i < 3; i++) talk.pass(alice, bob, `a${turn}.${i}`)
      for (let i = 0; i < 2; i++) talk.pass(bob, alice, `b${turn}.${i}`)
    }
    expect(alice.skipped.size + bob.skipped.size).toBe(0)
  })

  test('any order within and across chains, each message once', () => {
    const talk = new Conversation('any order')
    const { alice, bob } = talk
    const first = ['a0', 'a1', 'a2', 'a3'].map((text) => talk.encrypt(alice, text))
    expect(talk.decrypt(bob, first[2] as Uint8Array)).toBe('a2')
    talk.pass(bob, alice, 'b0')
    const second = ['a4', 'a5'].map((text) => talk.encrypt(alice, text))
    expect(talk.decrypt(bob, second[1] as Uint8Array)).toBe('a5')
    expect(bob.skipped.size).toBe(4)
    for (const [i, text] of [...['a3', 'a0', 'a1'].entries()].reverse()) {
      const message = first[[3, 0, 1][i] as number] as Uint8Array
      expect(talk.decrypt(bob, message)).toBe(text)
    }
    expect(talk.decrypt(bob, second[0] as Uint8Array)).toBe('a4')
    expect(bob.skipped.size).toBe(0)
  })

  test('a second copy is a duplicate, in the current chain and in one with kept keys', () => {
    const talk = new Conversation('duplicate')
    const { alice, bob } = talk
    const [m0, m1, m2] = [talk.encrypt(alice, '0'), talk.encrypt(alice, '1'), talk.encrypt(alice, '2')]
    expect(talk.decrypt(bob, m2)).toBe('2')
    expect(talk.receive(bob, m2)).toEqual({ ok: false, error: { type: 'duplicate', chain: 1, number: 2 } })
    expect(talk.decrypt(bob, m1)).toBe('1')
    expect(talk.decrypt(bob, m1)).toBe('duplicate')
    talk.pass(bob, alice, 'answer')
    talk.pass(alice, bob, 'next chain')
    expect(talk.decrypt(bob, m1)).toBe('duplicate')
    expect(talk.decrypt(bob, m0)).toBe('0')
    // The last kept key of that chain is gone, and its header key with it.
    expect(talk.decrypt(bob, m0)).toBe('undecryptable')
  })

  test('one side on libsodium, the other on noble, any schedule', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 8 }), fc.array(fc.nat(99), { maxLength: 25 }), (seed, schedule) => {
        const talk = new Conversation(seed)
        const sides = [talk.alice, talk.bob] as const
        const cryptos = [libsodium, noble] as const
        const flying: { to: 0 | 1; text: string; message: Uint8Array }[] = []
        const send = (from: 0 | 1, text: string) => {
          if (sides[from].state.sending === undefined) return
          Object.assign(talk, { crypto: cryptos[from] })
          flying.push({ to: from === 0 ? 1 : 0, text, message: talk.encrypt(sides[from], text) })
        }
        const take = (at: number) => {
          const [packet] = flying.splice(at % flying.length, 1)
          if (packet === undefined) return
          Object.assign(talk, { crypto: cryptos[packet.to] })
          expect(talk.decrypt(sides[packet.to], packet.message)).toBe(packet.text)
        }
        for (const [step, choice] of schedule.entries()) {
          if (choice < 25) send(0, `a${step}`)
          else if (choice < 50) send(1, `b${step}`)
          else if (flying.length > 0) take(choice)
        }
        while (flying.length > 0) take(7)
        expect(talk.alice.skipped.size + talk.bob.skipped.size).toBe(0)
      }),
      { numRuns: 20 },
    )
  })

  test('an empty plaintext and the largest one', () => {
    const talk = new Conversation('sizes')
    const empty = talk.encrypt(talk.alice, '')
    expect(empty.length).toBe(ratchetOverheadBytes)
    expect(talk.decrypt(talk.bob, empty)).toBe('')
    const text = 'x'.repeat(ratchetPlaintextBytesMax)
    const message = talk.encrypt(talk.alice, text)
    expect(message.length).toBe(ratchetMessageBytesMax)
    expect(talk.decrypt(talk.bob, message)).toBe(text)
    expect(() => talk.encrypt(talk.alice, `${text}x`)).toThrow('a ratchet plaintext is within its bound')
    expect(talk.decrypt(talk.bob, concatBytes(message, Uint8Array.of(0)))).toBe('malformed')
  })

  test('a responder does not send before it has heard', () => {
    const talk = new Conversation('silent')
    expect(() => talk.encrypt(talk.bob, 'too early')).toThrow('a responder decrypts before it encrypts')
  })
})

describe('what is refused changes nothing', () => {
  /** Bob has a chain with kept keys behind him and expects a message of each kind. */
  function prepare(seed: string): { talk: Conversation; messages: Uint8Array[] } {
    const talk = new Conversation(seed)
    const { alice, bob } = talk
    const late = talk.encrypt(alice, 'late')
    talk.pass(alice, bob, 'first')
    const next = talk.encrypt(alice, 'next')
    const afterNext = talk.encrypt(alice, 'after next')
    talk.pass(bob, alice, 'answer')
    const turned = talk.encrypt(alice, 'turned')
    return { talk, messages: [late, next, afterNext, turned] }
  }

  test('every mutated byte, truncation and wrong binding; afterwards the originals still decrypt', () => {
    const { talk, messages } = prepare('mutation')
    const before = snapshot(talk.bob)
    for (const message of messages) {
      for (let at = 0; at < message.length; at++) {
        const changed = message.map((byte, i) => (i === at ? byte ^ 0x10 : byte))
        expect(talk.receive(talk.bob, changed).ok).toBe(false)
        expect(talk.receive(talk.bob, message.subarray(0, at)).ok).toBe(false)
      }
      expect(talk.receive(talk.bob, concatBytes(message, Uint8Array.of(0))).ok).toBe(false)
      const elsewhere = talk.receive(talk.bob, message, textToBytes('alice/phone carol'))
      expect(elsewhere).toEqual({ ok: false, error: { type: 'undecryptable' } })
    }
    expect(snapshot(talk.bob)).toEqual(before)
    expect(messages.map((message) => talk.decrypt(talk.bob, message))).toEqual(['late', 'next', 'after next', 'turned'])
  })

  test('the body of one message under the head of another', () => {
    const { talk, messages } = prepare('splice')
    const headBytes = ratchetOverheadBytes - 24 - 16
    const before = snapshot(talk.bob)
    for (const head of messages) {
      for (const body of messages) {
        if (head === body) continue
        const spliced = concatBytes(head.subarray(0, headBytes), body.subarray(headBytes))
        expect(talk.decrypt(talk.bob, spliced)).toBe('undecryptable')
      }
    }
    expect(snapshot(talk.bob)).toEqual(before)
  })

  test('a message of another session, one of ours sent back, and bytes of another version', () => {
    const { talk } = prepare('other')
    const other = prepare('another').messages
    for (const message of other) expect(talk.decrypt(talk.bob, message)).toBe('undecryptable')
    expect(talk.decrypt(talk.bob, talk.encrypt(talk.bob, 'mine'))).toBe('undecryptable')
    expect(talk.receive(talk.bob, Uint8Array.of(2, 1, 0))).toEqual({
      ok: false,
      error: { type: 'unsupported', version: 2, suite: 1 },
    })
    expect(talk.decrypt(talk.bob, new Uint8Array(0))).toBe('malformed')
  })
})

/** Counts what the primitives are asked for. */
function countingCrypto(crypto: Crypto): { crypto: Crypto; calls: Map<string, number> } {
  const calls = new Map<string, number>()
  const counting = new Proxy(crypto, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      return (...args: unknown[]) => {
        calls.set(String(name), (calls.get(String(name)) ?? 0) + 1)
        return Reflect.apply(member, target, args)
      }
    },
  })
  return { crypto: counting, calls }
}

/** A message with a genuine header of the sender's choice and a body that nobody can open. */
function craft(
  from: Side,
  random: Random,
  header: { ratchetKey?: Uint8Array; number: number; previousCount?: number },
) {
  const { sending, ratchetKey } = from.state
  if (sending === undefined) throw new Error('the crafting side has a sending chain')
  const head = sealHead(libsodium, sending.headerKey, random.bytes(24), {
    ratchetKey: header.ratchetKey ?? ratchetKey.publicKey,
    previousCount: header.previousCount ?? 0,
    number: header.number,
  })
  return concatBytes(head, random.bytes(24 + 16 + 10))
}

describe('hostile headers cost bounded work', () => {
  test('a number of 2^32 - 1, in the current chain and in a new one', () => {
    const talk = new Conversation('far')
    const { alice, bob, random } = talk
    const counting = countingCrypto(libsodium)
    Object.assign(talk, { crypto: counting.crypto })
    const first = craft(alice, random, { number: 0xffff_ffff })
    expect(talk.decrypt(bob, first)).toBe('too-many-skipped')
    Object.assign(talk, { crypto: libsodium })
    talk.pass(alice, bob, 'hello')
    Object.assign(talk, { crypto: counting.crypto })
    expect(talk.decrypt(bob, craft(alice, random, { number: 0xffff_ffff }))).toBe('too-many-skipped')
    expect([...counting.calls]).toEqual([['xchacha20Poly1305Open', 2]])
  })

  test('a forged body after the longest jump costs a thousand chain steps and no key pair', () => {
    const talk = new Conversation('jump')
    const { alice, bob, random } = talk
    talk.pass(alice, bob, 'hello')
    talk.pass(bob, alice, 'hello')
    const counting = countingCrypto(libsodium)
    Object.assign(talk, { crypto: counting.crypto })
    const before = snapshot(bob)
    const message = craft(alice, random, { number: 1000, previousCount: 0xffff_ffff })
    expect(talk.decrypt(bob, message)).toBe('undecryptable')
    expect(counting.calls.get('hmacSha256')).toBe(2001)
    expect(counting.calls.get('x25519')).toBe(1)
    expect(counting.calls.get('x25519KeyPair')).toBeUndefined()
    expect(snapshot(bob)).toEqual(before)
  })

  test('the counter of a chain ends before it wraps', () => {
    const talk = new Conversation('end of chain')
    const { alice, bob, random } = talk
    talk.pass(alice, bob, 'hello')
    const { sending } = alice.state
    const { receiving } = bob.state
    if (sending === undefined || receiving === undefined) throw new Error('both have a chain by now')
    alice.state = { ...alice.state, sending: { ...sending, number: 0xffff_fffe } }
    bob.state = { ...bob.state, receiving: { ...receiving, number: 0xffff_fffe } }
    expect(talk.decrypt(bob, craft(alice, random, { number: 0xffff_ffff }))).toBe('too-many-skipped')
    talk.pass(alice, bob, 'last')
    expect(() => talk.encrypt(alice, 'one more')).toThrow('a sending chain ends before its counter does')
    expect(talk.decrypt(bob, craft(alice, random, { number: 0xffff_ffff }))).toBe('too-many-skipped')
    expect(encodeRatchetState(bob.state).length).toBe(311)
  })

  test('an authenticated peer with a small-order ratchet key is told from damage', () => {
    const talk = new Conversation('weak')
    const message = craft(talk.alice, talk.random, { number: 0, ratchetKey: new Uint8Array(32) })
    expect(talk.decrypt(talk.bob, message)).toBe('weak-ratchet-key')
  })

  test('fields that a later version appends to the header are skipped', () => {
    const talk = new Conversation('extension')
    const { alice, bob, random } = talk
    talk.pass(alice, bob, 'hello')
    const { sending, ratchetKey } = alice.state
    if (sending === undefined) throw new Error('an initiator has a sending chain')
    const plaintext = concatBytes(ratchetKey.publicKey, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1), random.bytes(32))
    const prefix = Uint8Array.of(1, 1, 0, plaintext.length + 16)
    const nonce = random.bytes(24)
    const head = concatBytes(
      prefix,
      nonce,
      libsodium.xchacha20Poly1305Seal(sending.headerKey, nonce, prefix, plaintext),
    )
    const messageKey = libsodium.hmacSha256(sending.chainKey, Uint8Array.of(1))
    const body = libsodium.xchacha20Poly1305Seal(messageKey, nonce, concatBytes(head, ad), textToBytes('later'))
    expect(talk.decrypt(bob, concatBytes(head, nonce, body))).toBe('later')
  })
})

describe('forward secrecy', () => {
  test('neither a used message key nor one of its chain stays in the state', () => {
    const talk = new Conversation('forward')
    const { alice, bob } = talk
    talk.pass(alice, bob, 'hello')
    const chainKey = alice.state.sending?.chainKey ?? new Uint8Array(0)
    const used = [
      chainKey,
      libsodium.hmacSha256(chainKey, Uint8Array.of(1)),
      bob.state.receiving?.chainKey ?? new Uint8Array(0),
    ]
    talk.pass(alice, bob, 'secret')
    for (const side of [alice, bob]) {
      const stored = Buffer.from(encodeRatchetState(side.state))
      for (const key of used) expect(stored.includes(Buffer.from(key))).toBe(false)
      expect(side.skipped.size).toBe(0)
    }
  })

  test('healing: after one exchange a stolen state opens nothing any more', () => {
    const talk = new Conversation('healing')
    const { alice, bob } = talk
    talk.pass(alice, bob, 'a')
    const stolen: Side = { state: bob.state, skipped: bob.skipped }
    talk.pass(bob, alice, 'b')
    talk.pass(alice, bob, 'c')
    talk.pass(bob, alice, 'd')
    expect(talk.decrypt(stolen, talk.encrypt(alice, 'e'))).toBe('undecryptable')
  })
})
