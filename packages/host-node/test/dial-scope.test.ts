import { createServer } from 'node:net'
import type { PipeId } from '@miaou/network'
import type { AddressScope } from '@miaou/protocol'
import { freshPipe, RecordingHost } from '@miaou/testkit'
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { networkOf } from '../src/records/known-relays.ts'
import { dialScope, isAddressWithin, type NameLookup, whyTooNear } from '../src/websocket/dial-scope.ts'
import { WebSocketTransport } from '../src/websocket/websocket-transport.ts'

const cleanups: (() => Promise<unknown> | unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

test.each([
  ['wss://relay.example.org', 'public', 'public'],
  ['wss://relay.example.org', 'private', 'private'],
  ['ws://192.168.1.5:9999', 'public', 'private'],
  ['ws://relay.lan', 'public', 'private'],
  ['ws://127.0.0.1:22', 'public', 'private'],
  ['ws://localhost:22', 'private', 'private'],
  ['ws://localhost:22', 'loopback', 'loopback'],
  ['wss://relay.example.org', 'loopback', 'loopback'],
] as const)('[W22] what others name as %s, where we use the %s net: no nearer than %s', (url, own, nearest) => {
  expect(dialScope(url, own)).toBe(nearest)
})

test.each([
  ['203.0.113.5', 'public'],
  ['2001:db8::1', 'public'],
  ['192.168.1.1', 'private'],
  ['169.254.169.254', 'private'],
  ['100.64.0.1', 'private'],
  ['fe80::1%eth0', 'private'],
  ['fd00::1', 'private'],
  ['::ffff:10.0.0.1', 'private'],
  ['127.0.0.53', 'loopback'],
  ['[::1]', 'loopback'],
  ['::ffff:127.0.0.1', 'loopback'],
  ['0.0.0.0', undefined],
  ['::', undefined],
  ['224.0.0.1', undefined],
  ['255.255.255.255', undefined],
] as const)('%s is %s', (address, scope) => {
  const scopes = ['loopback', 'private', 'public'] as const
  const within = scopes.filter((nearest) => isAddressWithin(address, nearest))
  expect(within).toEqual(scope === undefined ? [] : scopes.slice(0, scopes.indexOf(scope) + 1))
})

/** Dials a name or address on this machine, at a port that counts who knocks. */
async function knock(host: string, nearest: AddressScope | undefined, addresses: readonly string[] = []) {
  let knocks = 0
  const server = createServer((socket) => {
    knocks += 1
    socket.on('error', () => undefined)
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => new Promise((resolve) => server.close(resolve)))
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0
  const lookup: NameLookup = (_host, _options, callback) =>
    callback(
      null,
      addresses.map((address) => ({ address, family: 4 })),
    )
  const transport = new WebSocketTransport({ listens: false, lookup })
  const recorded = new RecordingHost()
  const channel = transport.channel({ subprotocol: 'miaou-relay-v0.2.0', accepts: false, host: recorded })
  cleanups.push(() => transport.stop())
  const pipe: PipeId = freshPipe()
  channel.dial(pipe, `ws://${host}:${port}`, nearest)
  const { error } = await recorded.closed(pipe)
  return { knocks, error }
}

test.each([
  ['a name that is ours', 'relay.example.org', 'public', ['127.0.0.1']],
  ['a name of our network', 'relay.example.org', 'public', ['192.168.1.1', '169.254.169.254']],
  ['a local name that is this machine', 'relay.lan', 'private', ['127.0.0.1']],
  ['a name that is nowhere', 'relay.example.org', 'loopback', ['0.0.0.0']],
  ['an address', '127.0.0.1', 'private', []],
  ['an address in another spelling', '0x7f.1', 'private', []],
  ['an address of IPv6', '[::ffff:127.0.0.1]', 'public', []],
] as const)('[W22] %s: nobody there hears of it, and the reason is told', async (_what, host, nearest, addresses) => {
  const { knocks, error } = await knock(host, nearest, addresses)
  expect(error).toMatchObject({ type: 'unreachable', detail: expect.stringMatching(/this machine or its network/) })
  expect(knocks).toBe(0)
})

test('[W22] of the addresses of a name those that are far enough are dialled', async () => {
  const { knocks } = await knock('relay.lan', 'loopback', ['0.0.0.0', '127.0.0.1'])
  expect(knocks).toBe(1)
})

test('any text that passes for a way is judged without an exception', () => {
  const way = fc.stringMatching(/^wss?:\/\/(\[[0-9a-fx:.%]{0,20}\]|[A-Za-z0-9.:[\]%_~-]{1,30})(:[0-9]{1,6})?$/)
  fc.assert(
    fc.property(way, (url) => {
      expect(['public', 'private']).toContain(dialScope(url, 'public'))
      expect(typeof networkOf(url)).toBe('string')
      if (URL.canParse(url)) whyTooNear(new URL(url).hostname, 'public')
    }),
    { numRuns: 2_000 },
  )
})

test('what a person chose is dialled wherever it is', async () => {
  expect((await knock('127.0.0.1', undefined)).knocks).toBe(1)
  expect((await knock('localhost', undefined)).knocks).toBe(1)
})
