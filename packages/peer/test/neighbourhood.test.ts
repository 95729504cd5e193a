import { keyToPeerId, type PeerId } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import type { MessagingOutput } from '@miaou/messaging'
import type { Advertisement, DiscoveredPeer } from '@miaou/network'
import { describe, expect, test } from 'vitest'
import { Neighbourhood } from '../src/neighbourhood.ts'
import { crypto, SeededRandom } from './ports.ts'

type Visibility = Extract<MessagingOutput, { readonly type: 'visibility' }>

const off: Visibility = { type: 'visibility', discoverable: 'off', hintKeys: [], recognise: [] }
const hintPattern = /^[0-9a-f]{12}$/

function peerIdOf(seed: number): PeerId {
  return keyToPeerId(crypto.ed25519KeyPair(new Uint8Array(32).fill(seed)).publicKey)
}

function keyOf(seed: number): Uint8Array {
  return new Uint8Array(32).fill(seed)
}

function neighbourhood(seed: number, suite: Crypto = crypto): Neighbourhood {
  return new Neighbourhood(suite, new SeededRandom(seed), {
    peerId: peerIdOf(seed),
    features: ['chat'],
    version: '0.2.0',
  })
}

/** What others find of an advertisement. */
function found(advertisement: Advertisement | undefined, addresses: readonly string[] = ['ws://10.0.0.1:9999']) {
  if (advertisement === undefined) throw new Error('expected an advertisement')
  const { port: _, ...rest } = advertisement
  return { ...rest, addresses } satisfies DiscoveredPeer
}

/** The advertisement of a peer that is to be recognised by whoever has one of `hintKeys`. */
function hidden(seed: number, hintKeys: readonly Uint8Array[]): Advertisement {
  const one = neighbourhood(seed)
  one.listening(9999)
  const { advertisement } = one.setVisibility({ ...off, discoverable: 'contacts', hintKeys })
  if (advertisement === undefined) throw new Error('expected an advertisement')
  return advertisement
}

describe('what the LAN learns of us', () => {
  test('nothing before we listen, nothing when discoverable is off', () => {
    const one = neighbourhood(1)
    expect(one.setVisibility({ ...off, discoverable: 'everyone' }).advertisement).toBeUndefined()
    expect(one.listening(9999)).toBeDefined()
    expect(one.setVisibility(off).advertisement).toBeUndefined()
    expect(neighbourhood(1).listening(9999)).toBeUndefined()
  })

  test('[C04] everyone: the peer id as name, and no hints', () => {
    const one = neighbourhood(1)
    one.setVisibility({ ...off, discoverable: 'everyone', hintKeys: [keyOf(1)] })
    expect(one.listening(1234)).toEqual({
      instanceName: peerIdOf(1),
      peerId: peerIdOf(1),
      version: '0.2.0',
      features: ['chat'],
      port: 1234,
      hints: [],
    })
  })

  test('contacts: a random name of this start, and neither peer id nor order of contacts', () => {
    const advertisement = hidden(1, [keyOf(1), keyOf(2)])
    expect(advertisement.peerId).toBeUndefined()
    expect(advertisement.instanceName).toMatch(/^[0-9a-f]{16}$/)
    expect(hidden(2, [keyOf(1), keyOf(2)]).instanceName).not.toBe(advertisement.instanceName)
    expect(hidden(1, [keyOf(2), keyOf(1)]).hints).toEqual(advertisement.hints)
    expect(advertisement.hints).toEqual([...advertisement.hints].sort())
  })

  test.each([
    [0, 16],
    [1, 16],
    [15, 16],
    [16, 16],
    [17, 32],
    [32, 32],
    [33, 48],
    [48, 48],
    [49, 48],
    [1000, 48],
  ])('the hints of %i contacts are filled up to %i, each once', (contactCount, hintCount) => {
    const keys = Array.from({ length: contactCount }, (_, i) =>
      Uint8Array.from({ length: 32 }, (__, j) => (j < 2 ? (i >> (8 * j)) & 255 : 7)),
    )
    const { hints } = hidden(1, keys)
    expect(new Set(hints).size).toBe(hintCount)
    expect(hints.every((hint) => hintPattern.test(hint))).toBe(true)
  })

  test('advertised again, the padding stays: what changes does not tell which hints are real', () => {
    const one = neighbourhood(1)
    one.listening(9999)
    const contacts = { ...off, discoverable: 'contacts', hintKeys: [keyOf(1)] } as const
    const before = one.setVisibility(contacts).advertisement
    expect(one.setVisibility(contacts).advertisement).toEqual(before)
    expect(one.listening(9999)).toEqual(before)
    const after = one.setVisibility({ ...contacts, hintKeys: [keyOf(1), keyOf(2)] }).advertisement
    expect(after?.hints.filter((hint) => !before?.hints.includes(hint))).toHaveLength(1)
  })
})

describe('whom we recognise', () => {
  const advertisement = hidden(2, [keyOf(1), keyOf(3)])

  test.each([
    ['one contact', keyOf(1), true],
    ['another contact', keyOf(3), true],
    ['a stranger', keyOf(4), false],
    ['the zero key', keyOf(0), false],
  ])('%s of the advertiser', (_, key, isRecognised) => {
    const other = neighbourhood(9)
    other.setVisibility({ ...off, recognise: [{ key, peerId: peerIdOf(2) }] })
    expect(other.update([found(advertisement)]).seen.map(({ peerId }) => peerId)).toEqual(
      isRecognised ? [peerIdOf(2)] : [],
    )
  })

  test('hints copied under another name are nobody', () => {
    const other = neighbourhood(9)
    other.setVisibility({ ...off, recognise: [{ key: keyOf(1), peerId: peerIdOf(2) }] })
    const copy = { ...found(advertisement), instanceName: 'ffffffffffffffff' }
    expect(other.update([copy]).seen).toEqual([])
  })

  test('own advertisements are nobody, open or hidden', () => {
    const one = neighbourhood(1)
    one.listening(9999)
    const visibility = { ...off, hintKeys: [keyOf(1)], recognise: [{ key: keyOf(1), peerId: peerIdOf(1) }] }
    for (const discoverable of ['everyone', 'contacts'] as const) {
      const own = one.setVisibility({ ...visibility, discoverable }).advertisement
      expect(one.update([found(own)])).toEqual({ seen: [], changed: [], gone: [] })
    }
    expect(one.seenPeers()).toEqual([])
  })

  test('a key that comes after its advertisement makes its peer news, once; without the key it is gone', () => {
    const other = neighbourhood(9)
    expect(other.update([found(advertisement)]).seen).toEqual([])
    const known = { ...off, recognise: [{ key: keyOf(1), peerId: peerIdOf(2) }] }
    expect(other.setVisibility(known).seen).toEqual([
      { peerId: peerIdOf(2), addresses: ['ws://10.0.0.1:9999'], features: ['chat'] },
    ])
    expect(other.setVisibility(known).seen).toEqual([])
    expect(other.update([found(advertisement)]).seen).toEqual([])
    expect(other.setVisibility(off).gone).toEqual([peerIdOf(2)])
  })

  test('an instance is compared with the keys once, however often the LAN makes news', () => {
    let macCount = 0
    const counting = new Proxy(crypto, {
      get(target, name: keyof Crypto) {
        if (name === 'hmacSha256') {
          return (key: Uint8Array, data: Uint8Array) => {
            macCount += 1
            return target.hmacSha256(key, data)
          }
        }
        const value = target[name]
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const other = neighbourhood(9, counting)
    const recognise = Array.from({ length: 20 }, (_, i) => ({ key: keyOf(100 + i), peerId: peerIdOf(100 + i) }))
    other.setVisibility({ ...off, recognise })
    for (let round = 0; round < 10; round++) other.update([found(advertisement, [`ws://10.0.0.1:${1000 + round}`])])
    expect(macCount).toBe(20)
  })
})

describe('who comes, changes and goes', () => {
  const bob = found(
    (() => {
      const one = neighbourhood(2)
      one.setVisibility({ ...off, discoverable: 'everyone' })
      return one.listening(9999)
    })(),
  )

  test('seen, unchanged, changed, gone', () => {
    const alice = neighbourhood(1)
    const view = { peerId: peerIdOf(2), addresses: ['ws://10.0.0.1:9999'], features: ['chat'] }
    expect(alice.update([bob])).toEqual({ seen: [view], changed: [], gone: [] })
    expect(alice.seenPeers()).toEqual([view])
    expect(alice.update([bob])).toEqual({ seen: [], changed: [], gone: [] })
    const moved = { ...view, addresses: ['ws://10.0.0.2:9999'] }
    expect(alice.update([{ ...bob, addresses: moved.addresses }])).toEqual({ seen: [], changed: [moved], gone: [] })
    expect(alice.update([])).toEqual({ seen: [], changed: [], gone: [peerIdOf(2)] })
    expect(alice.seenPeers()).toEqual([])
  })

  test('whoever claims a peer under another name does not push out its addresses', () => {
    const alice = neighbourhood(1)
    const liars = Array.from({ length: 20 }, (_, i) => ({
      ...bob,
      instanceName: `liar-${i}`,
      addresses: [`ws://10.0.1.${i}:9999`],
    }))
    for (const list of [
      [...liars, bob],
      [bob, ...liars],
    ]) {
      alice.update(list)
      const [seen, ...others] = alice.seenPeers()
      expect(others).toEqual([])
      expect(seen?.addresses[0]).toBe('ws://10.0.0.1:9999')
      expect(seen?.addresses).toHaveLength(16)
    }
  })
})
