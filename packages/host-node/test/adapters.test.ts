import type { PipeId, TransportHost } from '@miaou/network'
import { expect, test } from 'vitest'
import { Adapters } from '../src/peer/adapters.ts'
import { SilentDiscovery, SilentTransport } from '../src/peer/offline.ts'

function adaptersOf(onWarmUp: () => void): Adapters {
  const webrtc = Object.assign(new SilentTransport('webrtc'), { warmUp: onWarmUp })
  const websocket = new SilentTransport('websocket')
  const discovery = new SilentDiscovery()
  return new Adapters({ websocket, webrtc, webrtcLibrary: 'wrtc', discovery })
}

const host: TransportHost = { emit: () => undefined, nextPipe: () => 1 as PipeId }
const opened = {
  type: 'opened',
  pipe: 1 as PipeId,
  transport: 'websocket',
  direction: 'in',
  channels: 1,
  padded: true,
  remoteAddress: '127.0.0.1',
} as const

test('WebRTC gets ready when a link is dialled or accepted, not before and not once it was stopped', async () => {
  let warmUps = 0
  const adapters = adaptersOf(() => warmUps++)
  const ofWebSocket = adapters.hostFor(adapters.websocket, host)
  expect(warmUps).toBe(0)
  adapters.dial(2 as PipeId, 'ws://127.0.0.1:9')
  expect(warmUps).toBe(1)
  ofWebSocket.emit(opened)
  expect(warmUps).toBe(2)
  await adapters.stop()
  ofWebSocket.emit(opened)
  adapters.dial(3 as PipeId, 'ws://127.0.0.1:9')
  expect(warmUps).toBe(2)
})

test('[W22] a name that others told of leads no nearer than it says, what a person typed leads anywhere', () => {
  const dials: unknown[] = []
  const websocket = Object.assign(new SilentTransport('websocket'), {
    dial: (_pipe: PipeId, address: string, nearest?: unknown) => void dials.push([address, nearest]),
  })
  const webrtc = new SilentTransport('webrtc')
  const adapters = new Adapters({ websocket, webrtc, webrtcLibrary: 'wrtc', discovery: new SilentDiscovery() })
  const addresses = ['wss://example.org', 'ws://192.168.1.7:9', 'ws://127.0.0.1:9', 'ws://cat.local:9']
  for (const address of addresses) adapters.dial(1 as PipeId, address)
  expect(dials).toEqual(addresses.map((address, at) => [address, ['public', 'private', 'loopback', 'private'][at]]))
  adapters.choose('wss://example.org')
  adapters.dial(1 as PipeId, 'wss://example.org')
  expect(dials.at(-1)).toEqual(['wss://example.org', undefined])
  for (let at = 0; at < 64; at++) adapters.choose(`ws://cat${at}.local:9`)
  adapters.dial(1 as PipeId, 'wss://example.org')
  expect(dials.at(-1)).toEqual(['wss://example.org', 'public'])
})
