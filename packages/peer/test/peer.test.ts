import { StoreFailure } from '@miaou/messaging'
import type { Advertisement } from '@miaou/network'
import { describe, expect, test } from 'vitest'
import type { PeerOutput } from '../src/index.ts'
import { befriend, type Home, refuseText, replyTo, Town, unwrap } from './town.ts'

function friends(): { town: Town; alice: Home; bob: Home } {
  const town = new Town()
  const alice = town.add('alice')
  const bob = town.add('bob')
  befriend(town, alice, bob)
  return { town, alice, bob }
}

function count(outputs: readonly PeerOutput[], type: PeerOutput['type']): number {
  return outputs.filter((output) => output.type === type).length
}

function advertisements(home: Home): (Advertisement | undefined)[] {
  return home.outputs.flatMap((output) => (output.type === 'advertise' ? [output.advertisement] : []))
}

describe('two peers', () => {
  test('meet by an invite, link, and a text arrives with its receipt', () => {
    const { town, alice, bob } = friends()
    expect(alice.peer.connections().map(({ peerId, state }) => ({ peerId, state }))).toEqual([
      { peerId: bob.peerId, state: 'connected' },
    ])
    expect(alice.peer.contactsByDevice().get(bob.peerId)).toEqual({ account: bob.account, name: 'bob' })
    unwrap(alice.ask({ type: 'message-send', account: bob.account, text: 'hello' }))
    town.settle()
    expect(bob.texts(alice)).toEqual(['hello'])
    const [message] = unwrap(alice.ask({ type: 'messages-list', account: bob.account }))
    expect(message?.state).toBe('delivered')
  })

  test('a contact that hides its name is recognised on the LAN by its contacts and by nobody else', () => {
    const { town, alice, bob } = friends()
    const carol = town.add('carol')
    for (const home of [alice, bob]) unwrap(home.ask({ type: 'settings-set', settings: { discoverable: 'contacts' } }))
    const advertisement = advertisements(bob).at(-1)
    expect(advertisement?.peerId).toBeUndefined()
    const discovered = { ...advertisement, addresses: ['ws://bob:9999'] } as Advertisement & { addresses: string[] }
    const seen = alice.handle({ type: 'discovered', peers: [discovered] })
    expect(seen).toContainEqual({ type: 'event', event: { type: 'peer-seen', peerId: bob.peerId } })
    const block = (blocked: boolean) =>
      alice.handle(alice.input({ type: 'contact-block', account: bob.account, blocked }))
    // The LAN told nothing new meanwhile: it is the key that goes and comes.
    expect(block(true)).toContainEqual({ type: 'event', event: { type: 'peer-gone', peerId: bob.peerId } })
    expect(block(false)).toContainEqual({ type: 'event', event: { type: 'peer-seen', peerId: bob.peerId } })
    expect(carol.handle({ type: 'discovered', peers: [discovered] })).toEqual([])
    befriend(town, bob, carol)
    // Bob's hints have changed with his contacts: what Carol saw before was of no use to her, the next is.
    const next = { ...discovered, hints: advertisements(bob).at(-1)?.hints ?? [] }
    expect(carol.handle({ type: 'discovered', peers: [next] })).toContainEqual({
      type: 'event',
      event: { type: 'peer-seen', peerId: bob.peerId },
    })
  })

  test('the LAN is told only what differs from what it was told last', () => {
    const { alice, bob } = friends()
    for (const home of [alice, bob]) {
      const told = advertisements(home).map((advertisement) => JSON.stringify(advertisement))
      expect(told).toHaveLength(new Set(told).size)
      expect(home.handle({ type: 'listening', port: 9999 })).toEqual([])
    }
  })
})

describe('a batch', () => {
  test('is one transaction, and its outputs are in the order of its inputs', () => {
    const { alice, bob } = friends()
    const before = alice.store.transactionCount
    const inputs = ['one', 'two', 'three'].map((text) =>
      alice.input({ type: 'message-send', account: bob.account, text }),
    )
    const outputs = alice.handle(...inputs)
    expect(alice.store.transactionCount).toBe(before + 1)
    expect(outputs.flatMap((output) => (output.type === 'reply' ? [output.id] : []))).toEqual(
      inputs.map(({ id }) => id),
    )
    expect(count(outputs, 'write')).toBeGreaterThan(0)
  })

  test('nothing leaves before the commit: where it fails, nothing is sent, answered as done or kept', () => {
    const { town, alice, bob } = friends()
    alice.store.commitFailure = new StoreFailure('io', 'the disk is gone')
    const input = alice.input({ type: 'message-send', account: bob.account, text: 'lost' })
    const outputs = alice.handle(input)
    expect(outputs).toEqual([
      {
        type: 'reply',
        id: input.id,
        result: { ok: false, error: { type: 'store-failed', detail: 'the disk is gone' } },
      },
    ])
    alice.store.commitFailure = undefined
    town.advance(2000)
    town.settle()
    expect(alice.texts(bob)).toEqual([])
    expect(bob.texts(alice)).toEqual([])
    expect(alice.peer.counters()['store-io']).toBe(1)
  })

  test('[disk full] each input is tried alone: the one that finds no room is told so, the others succeed', () => {
    const { town, alice, bob } = friends()
    alice.store.refuses = refuseText('poison')
    const inputs = ['one', 'poison', 'two'].map((text) =>
      alice.input({ type: 'message-send', account: bob.account, text }),
    )
    const outputs = alice.handle(...inputs)
    const [one, poison, two] = inputs.map(({ id }) => replyTo(outputs, id))
    expect(one?.ok).toBe(true)
    expect(poison).toEqual({ ok: false, error: { type: 'disk-full' } })
    expect(two?.ok).toBe(true)
    town.settle()
    expect(bob.texts(alice)).toEqual(['one', 'two'])
    expect(alice.texts(bob)).toEqual(['one', 'two'])
    expect(alice.peer.counters()['store-full']).toBe(2)
  })

  test('[disk full] where nothing finds room any more, a batch is not tried to its last input', () => {
    const { alice, bob } = friends()
    alice.store.refuses = refuseText('poison')
    const before = alice.store.transactionCount
    const inputs = Array.from({ length: 100 }, () =>
      alice.input({ type: 'message-send', account: bob.account, text: 'poison' }),
    )
    const outputs = alice.handle(...inputs)
    expect(alice.store.transactionCount).toBe(before + 1 + 8)
    for (const { id } of inputs) expect(replyTo(outputs, id)).toEqual({ ok: false, error: { type: 'disk-full' } })
    expect(alice.texts(bob)).toEqual([])
  })

  test('[disk full] a database at its real limit refuses the text that does not fit and takes the ones that do', () => {
    const town = new Town()
    const alice = town.add('alice', 120)
    const bob = town.add('bob')
    befriend(town, alice, bob)
    const large = 'x'.repeat(30_000)
    let accepted = 0
    for (let tries = 0; tries < 50; tries++) {
      const sent = alice.ask({ type: 'message-send', account: bob.account, text: large })
      if (!sent.ok) {
        expect(sent.error).toEqual({ type: 'disk-full' })
        break
      }
      accepted += 1
    }
    expect(accepted).toBeLessThan(50)
    const inputs = ['small', large].map((text) => alice.input({ type: 'message-send', account: bob.account, text }))
    const outputs = alice.handle(...inputs)
    expect(inputs.map(({ id }) => replyTo(outputs, id).ok)).toEqual([true, false])
    expect(alice.texts(bob)).toHaveLength(accepted + 1)
  })

  test('[disk full] what a peer sends and cannot be stored gets no receipt, and comes again when there is room', () => {
    const { town, alice, bob } = friends()
    bob.store.refuses = refuseText('poison')
    const sent = unwrap(alice.ask({ type: 'message-send', account: bob.account, text: 'poison' }))
    town.settle()
    expect(bob.texts(alice)).toEqual([])
    expect(unwrap(alice.ask({ type: 'message-get', id: sent.id })).state).toBe('sent')
    bob.store.refuses = () => undefined
    for (let tries = 0; tries < 20 && bob.texts(alice).length === 0; tries++) {
      town.advance(5000)
      town.settle()
    }
    expect(bob.texts(alice)).toEqual(['poison'])
    town.settle()
    expect(unwrap(alice.ask({ type: 'message-get', id: sent.id })).state).toBe('delivered')
  })

  test('after a failure the next wake is not in the past: a full disk does not spin', () => {
    const { alice, town } = friends()
    alice.store.commitFailure = new StoreFailure('full', 'full')
    alice.handle({ type: 'wake' })
    expect(alice.peer.deadline()).toBeGreaterThan(town.now.mono)
  })

  test('a bug of ours is not taken for a full disk: it is thrown on', () => {
    const { alice, bob } = friends()
    alice.store.refuses = () => new TypeError('a bug')
    expect(() => alice.ask({ type: 'message-send', account: bob.account, text: 'x' })).toThrow(TypeError)
  })
})

describe('ways to contacts', () => {
  const wantedOf = (home: Home) => home.outputs.filter((output) => output.type === 'wanted')

  test('[W17] a record found elsewhere gives an address to dial, is told to the host as wanted, and outlives the process', () => {
    const { town, alice, bob } = friends()
    const found = 'ws://203.0.113.9:9999'
    bob.kill()
    town.settle()
    const before = wantedOf(alice).length
    const ways = { type: 'device-ways', peerId: bob.peerId, sequence: 7, addresses: [found], mailboxes: [] } as const
    alice.handle(ways)
    expect(wantedOf(alice)).toHaveLength(before + 1)
    const told = wantedOf(alice)
      .at(-1)
      ?.peers.find(({ peerId }) => peerId === bob.peerId)
    expect(told).toMatchObject({ waysSequence: 7, addresses: expect.arrayContaining([found]) })
    expect(alice.peer.connection(bob.peerId)?.addresses).toContain(found)
    // What is older, and the same once more, is no news.
    alice.handle({ ...ways, sequence: 6, addresses: ['ws://203.0.113.10:9999'] })
    alice.handle(ways)
    expect(wantedOf(alice)).toHaveLength(before + 1)
    alice.restart()
    town.settle()
    const again = wantedOf(alice).at(-1)
    expect(again?.peers).toContainEqual(expect.objectContaining({ peerId: bob.peerId, waysSequence: 7 }))
    expect(again?.ownLocatorKey).toEqual(wantedOf(alice)[0]?.ownLocatorKey)
  })

  test('a record of somebody who is no contact changes nothing', () => {
    const { town, alice } = friends()
    const carol = town.add('carol')
    const before = wantedOf(alice).length
    alice.handle({
      type: 'device-ways',
      peerId: carol.peerId,
      sequence: 7,
      addresses: ['ws://203.0.113.9:9999'],
      mailboxes: [],
    })
    town.settle()
    expect(wantedOf(alice)).toHaveLength(before)
    expect(alice.peer.connection(carol.peerId)?.addresses ?? []).toEqual([])
  })

  test('[disk full] where ways cannot be stored nobody is told of them, and the next record counts', () => {
    const { alice, bob } = friends()
    const before = wantedOf(alice).length
    const ways = {
      type: 'device-ways',
      peerId: bob.peerId,
      sequence: 7,
      addresses: ['ws://203.0.113.9:9999'],
      mailboxes: [],
    } as const
    alice.store.commitFailure = new StoreFailure('full', 'full')
    alice.handle(ways)
    expect(wantedOf(alice)).toHaveLength(before)
    alice.store.commitFailure = undefined
    alice.handle(ways)
    expect(wantedOf(alice)).toHaveLength(before + 1)
  })
})

describe('what messaging asks of the network', () => {
  test('a blocked contact is unlinked in the same call, messaging hears of it, and the loop ends', () => {
    const { town, alice, bob } = friends()
    const before = alice.store.transactionCount
    const outputs = alice.handle(alice.input({ type: 'contact-block', account: bob.account, blocked: true }))
    expect(count(outputs, 'close')).toBe(1)
    // The block in one transaction, the lost link in a second one, and no third.
    expect(alice.store.transactionCount).toBe(before + 2)
    town.settle()
    expect(alice.peer.connections().filter(({ state }) => state === 'connected')).toEqual([])
    bob.ask({ type: 'message-send', account: alice.account, text: 'hello?' })
    town.advance(60_000)
    town.settle()
    expect(alice.texts(bob)).toEqual([])
  })

  test('who is blocked no more comes back, and what both wrote meanwhile arrives', () => {
    const { town, alice, bob } = friends()
    unwrap(alice.ask({ type: 'contact-block', account: bob.account, blocked: true }))
    town.settle()
    unwrap(bob.ask({ type: 'message-send', account: alice.account, text: 'are you there?' }))
    for (let i = 0; i < 20; i++) {
      town.advance(60_000)
      town.settle()
    }
    expect(alice.texts(bob)).toEqual([])
    unwrap(alice.ask({ type: 'contact-block', account: bob.account, blocked: false }))
    unwrap(alice.ask({ type: 'message-send', account: bob.account, text: 'again' }))
    for (let i = 0; i < 10; i++) {
      town.advance(60_000)
      town.settle()
    }
    expect(alice.texts(bob).sort()).toEqual(['again', 'are you there?'])
    expect(bob.texts(alice).sort()).toEqual(['again', 'are you there?'])
  })

  test('a wake with nothing to do opens one transaction and says nothing', () => {
    const { town, alice } = friends()
    town.advance(10)
    const before = alice.store.transactionCount
    expect(alice.handle({ type: 'wake' })).toEqual([])
    expect(alice.store.transactionCount).toBe(before + 1)
  })

  test('an input of the network alone opens no transaction', () => {
    const { alice, bob } = friends()
    const before = alice.store.transactionCount
    expect(count(alice.handle({ type: 'network', input: { type: 'ping', peerId: bob.peerId, id: 1 } }), 'write')).toBe(
      1,
    )
    expect(alice.store.transactionCount).toBe(before)
  })
})
