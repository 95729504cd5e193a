import {
  createLibsodiumCrypto,
  defaultSkippedLimits,
  MemorySkippedKeys,
  ratchetDecrypt,
  ratchetEncrypt,
  type SkippedKey,
  type SkippedLimits,
} from '@miaou/crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { planEvictions } from '../src/ratchet/skipped.ts'
import { createPair, type Pair, type Side, seededRandom } from './pqxdh.fixture.ts'

const crypto = await createLibsodiumCrypto()
const ad = new Uint8Array(8)
const plaintext = new Uint8Array(1)
const wall = 1_700_000_000_000

function createTalk(seed: string, limits: SkippedLimits = defaultSkippedLimits) {
  const random = seededRandom(crypto, seed)
  const pair: Pair = createPair(crypto, random)
  const encrypt = (from: Side): Uint8Array => {
    const { state, message } = ratchetEncrypt({ crypto, random, state: from.state, plaintext, ad })
    from.state = state
    return message
  }
  const receive = (to: Side, message: Uint8Array, at = wall): string => {
    const { state, skipped } = to
    const now = { mono: 0, wall: at }
    const result = ratchetDecrypt({ crypto, random, state, skipped, message, ad, now, limits })
    if (!result.ok) return result.error.type
    to.state = result.value.state
    skipped.apply(result.value)
    return 'ok'
  }
  return { alice: pair.initiator, bob: pair.responder, encrypt, receive }
}

function encryptMany(talk: ReturnType<typeof createTalk>, count: number): Uint8Array[] {
  return Array.from({ length: count }, () => talk.encrypt(talk.alice))
}

describe('bounds', () => {
  test('a jump of 1000 is followed, one of 1001 is not', () => {
    for (const [skip, outcome] of [
      [1000, 'ok'],
      [1001, 'too-many-skipped'],
    ] as const) {
      const fresh = createTalk(`new chain ${skip}`)
      expect(fresh.receive(fresh.bob, encryptMany(fresh, skip + 1)[skip] as Uint8Array)).toBe(outcome)
      const running = createTalk(`current chain ${skip}`)
      expect(running.receive(running.bob, running.encrypt(running.alice))).toBe('ok')
      expect(running.receive(running.bob, encryptMany(running, skip + 1)[skip] as Uint8Array)).toBe(outcome)
      expect(running.bob.skipped.size).toBe(outcome === 'ok' ? 1000 : 0)
    }
  })

  test('a chain keeps 1000 keys: the oldest go', () => {
    const talk = createTalk('chain')
    const messages = encryptMany(talk, 1201)
    expect(talk.receive(talk.bob, messages[1000] as Uint8Array)).toBe('ok')
    expect(talk.receive(talk.bob, messages[1200] as Uint8Array)).toBe('ok')
    expect(talk.bob.skipped.size).toBe(1000)
    expect(talk.receive(talk.bob, messages[198] as Uint8Array)).toBe('duplicate')
    expect(talk.receive(talk.bob, messages[199] as Uint8Array)).toBe('ok')
    expect(talk.receive(talk.bob, messages[1199] as Uint8Array)).toBe('ok')
  })

  test('a session keeps 2000 keys: the oldest chain gives way', () => {
    const talk = createTalk('session')
    const chains: Uint8Array[][] = []
    for (let chain = 0; chain < 3; chain++) {
      const messages = encryptMany(talk, 901)
      chains.push(messages)
      expect(talk.receive(talk.bob, messages[900] as Uint8Array)).toBe('ok')
      expect(talk.receive(talk.alice, talk.encrypt(talk.bob))).toBe('ok')
    }
    expect(talk.bob.skipped.size).toBe(2000)
    expect(talk.receive(talk.bob, chains[0]?.[699] as Uint8Array)).toBe('duplicate')
    for (const [chain, number] of [
      [0, 700],
      [0, 899],
      [1, 0],
      [2, 0],
    ] as const) {
      expect(talk.receive(talk.bob, chains[chain]?.[number] as Uint8Array)).toBe('ok')
    }
  })

  test('the number of chains with kept keys is bounded: the oldest chain gives way', () => {
    const talk = createTalk('chains', { ...defaultSkippedLimits, chainsMax: 3 })
    const lost: Uint8Array[] = []
    for (let chain = 0; chain < 5; chain++) {
      lost.push(talk.encrypt(talk.alice))
      expect(talk.receive(talk.bob, talk.encrypt(talk.alice))).toBe('ok')
      expect(talk.receive(talk.alice, talk.encrypt(talk.bob))).toBe('ok')
    }
    expect(talk.bob.skipped.chains().map(({ chain }) => chain)).toEqual([3, 4, 5])
    const outcomes = lost.map((message) => talk.receive(talk.bob, message))
    expect(outcomes).toEqual(['undecryptable', 'undecryptable', 'ok', 'ok', 'ok'])
  })

  test('more than 1000 messages lost at the end of a chain do not block the session', () => {
    const talk = createTalk('lost end')
    expect(talk.receive(talk.bob, talk.encrypt(talk.alice))).toBe('ok')
    const lost = encryptMany(talk, 1500)
    expect(talk.receive(talk.alice, talk.encrypt(talk.bob))).toBe('ok')
    expect(talk.receive(talk.bob, talk.encrypt(talk.alice))).toBe('ok')
    expect(talk.bob.skipped.size).toBe(1000)
    expect(talk.receive(talk.bob, lost[999] as Uint8Array)).toBe('ok')
    expect(talk.receive(talk.bob, lost[1000] as Uint8Array)).toBe('duplicate')
  })

  test('a kept key opens its message until it expires', () => {
    const talk = createTalk('expiry')
    const [first, second, third] = encryptMany(talk, 3) as [Uint8Array, Uint8Array, Uint8Array]
    expect(talk.receive(talk.bob, third)).toBe('ok')
    const { lifetimeMs } = defaultSkippedLimits
    expect(lifetimeMs).toBe(7 * 24 * 3600 * 1000 + 5 * 60 * 1000)
    expect(talk.receive(talk.bob, first, wall + lifetimeMs - 1)).toBe('ok')
    expect(talk.receive(talk.bob, second, wall + lifetimeMs)).toBe('duplicate')
    talk.bob.skipped.expire(wall + lifetimeMs)
    expect(talk.bob.skipped.size).toBe(0)
  })

  test('the store is not asked while messages come in order', () => {
    const talk = createTalk('in order')
    const asked: string[] = []
    const silent = {
      chains: () => {
        asked.push('chains')
        return []
      },
      find: () => {
        asked.push('find')
        return undefined
      },
    }
    for (let i = 0; i < 4; i++) {
      const message = talk.encrypt(talk.alice)
      const { state } = talk.bob
      const random = seededRandom(crypto, `${i}`)
      const result = ratchetDecrypt({ crypto, random, state, skipped: silent, message, ad, now: { mono: 0, wall } })
      if (result.ok) talk.bob.state = result.value.state
      expect(result.ok).toBe(true)
    }
    expect(asked).toEqual([])
  })
})

describe('evictions', () => {
  const key = (chain: number, number: number): SkippedKey => ({
    chain,
    number,
    messageKey: new Uint8Array(32),
    headerKey: new Uint8Array(32).fill(chain),
    expiresAt: 0,
  })

  test('whatever is added, every bound holds and nothing goes that need not', () => {
    const limits: SkippedLimits = { perChainMax: 4, perSessionMax: 9, chainsMax: 3, lifetimeMs: 1 }
    const keys = fc.uniqueArray(fc.tuple(fc.nat(5), fc.nat(8)), { maxLength: 30, selector: (pair) => pair.join() })
    fc.assert(
      fc.property(keys, fc.nat(30), (pairs, split) => {
        const all = pairs.map(([chain, number]) => key(chain, number))
        const kept = new MemorySkippedKeys(all.slice(0, split))
        const added = all.slice(split)
        const evicted = planEvictions(kept.chains(), added, limits)
        kept.apply({ skippedAdded: added, skippedUsed: undefined, skippedEvicted: evicted })
        if (added.length === 0) return
        const chains = kept.chains()
        expect(kept.size).toBeLessThanOrEqual(limits.perSessionMax)
        expect(chains.length).toBeLessThanOrEqual(limits.chainsMax)
        for (const { count } of chains) expect(count).toBeLessThanOrEqual(limits.perChainMax)
        expect(kept.all()).toEqual(expectedKeys(all, limits))
      }),
    )
  })

  /** The same rule written as a filter: the newest chains, the newest of each, the newest of all. */
  function expectedKeys(all: readonly SkippedKey[], limits: SkippedLimits): SkippedKey[] {
    const chains = [...new Set(all.map(({ chain }) => chain))].sort((a, b) => b - a).slice(0, limits.chainsMax)
    const newestFirst: SkippedKey[] = []
    for (const chain of chains) {
      const ofChain = all.filter((each) => each.chain === chain).sort((a, b) => b.number - a.number)
      newestFirst.push(...ofChain.slice(0, limits.perChainMax))
    }
    return newestFirst.slice(0, limits.perSessionMax).reverse()
  }
})
