import type { AddressScope } from '@miaou/protocol'
import { expect, test } from 'vitest'
import { OfferedServers } from '../src/peer/offered-servers.ts'
import type { NameLookup } from '../src/websocket/dial-scope.ts'

/** A name server that the test turns round, and the relays' hosts that a person chose. */
class Desk {
  addresses: Record<string, readonly string[]> = { 'relay.example.org': ['203.0.113.5'] }
  readonly asked: string[] = []
  changes = 0
  readonly #waiting: (() => void)[] = []
  readonly servers: OfferedServers

  constructor(chosen: readonly string[] = [], nearest: AddressScope = 'public') {
    const lookup: NameLookup = (name, _options, callback) => {
      this.asked.push(name)
      const found = this.addresses[name]
      const answer = (found ?? []).map((address) => ({ address, family: 4 }))
      this.#waiting.push(() => callback(found === undefined ? new Error('ENOTFOUND') : null, answer))
    }
    this.servers = new OfferedServers({
      nearestFor: (host) => (chosen.includes(host) ? undefined : nearest),
      lookup,
      onChange: () => this.changes++,
    })
  }

  async answer(): Promise<void> {
    for (const each of this.#waiting.splice(0)) each()
    for (let turn = 0; turn < 4; turn++) await Promise.resolve()
  }

  urls(): string[] {
    return this.servers.all.map(({ urls }) => urls)
  }
}

const stun = { urls: 'stun:relay.example.org:3478' }
const turn = { urls: 'turn:relay.example.org:3478?transport=udp', username: 'cat', credential: 'secret' }
const turns = { urls: 'turns:relay.example.org:5349?transport=tcp', username: 'cat', credential: 'secret' }

test('[W22] a name that others named is used by its address, once that is known; TLS keeps the name', async () => {
  const desk = new Desk()
  desk.servers.set([stun, turn, turns])
  expect(desk.urls()).toEqual([])
  await desk.answer()
  expect(desk.servers.all).toEqual([
    { urls: 'stun:203.0.113.5:3478' },
    { ...turn, urls: 'turn:203.0.113.5:3478?transport=udp' },
    turns,
  ])
  expect([desk.asked, desk.changes]).toEqual([['relay.example.org'], 1])
})

test.each([
  ['this machine', ['127.0.0.1']],
  ['our network', ['192.168.1.1', '169.254.169.254']],
  ['nowhere', ['0.0.0.0']],
  ['nothing', []],
])('[W22] servers of a name that leads to %s are not used, over TLS neither', async (_where, addresses) => {
  const desk = new Desk()
  desk.addresses = { 'relay.example.org': addresses }
  desk.servers.set([stun, turn, turns])
  await desk.answer()
  expect(desk.urls()).toEqual([])
})

test('one that leads to our network later is not used from then on; a name that is gone neither', async () => {
  const desk = new Desk()
  desk.servers.set([stun])
  await desk.answer()
  desk.addresses = { 'relay.example.org': ['10.0.0.1', '203.0.113.9'] }
  void desk.servers.refresh()
  expect(desk.urls()).toEqual(['stun:203.0.113.5:3478'])
  await desk.answer()
  expect(desk.urls()).toEqual(['stun:203.0.113.9:3478'])
  desk.addresses = {}
  void desk.servers.refresh()
  await desk.answer()
  expect(desk.urls()).toEqual([])
  expect(desk.changes).toBe(3)
})

test('addresses are of use at once where they are far enough, and the host of a chosen relay wherever it is', () => {
  const desk = new Desk(['relay.lan', '192.168.1.5'])
  const servers = ['stun:203.0.113.7:1', 'stun:10.0.0.1:1', 'stun:[::1]:1', 'stun:192.168.1.5:1', 'stun:relay.lan:1']
  desk.servers.set([...servers, 'stun:no/url'].map((urls) => ({ urls })))
  expect(desk.urls()).toEqual(['stun:203.0.113.7:1', 'stun:192.168.1.5:1', 'stun:relay.lan:1'])
  expect(desk.asked).toEqual([])
})

test('an answer that comes after the end, or to an older question, is no news', async () => {
  const desk = new Desk()
  desk.servers.set([stun])
  desk.servers.set([turn])
  desk.servers.stop()
  await desk.answer()
  expect([desk.urls(), desk.changes]).toEqual([[], 0])
})
