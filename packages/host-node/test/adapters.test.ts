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
