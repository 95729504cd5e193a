import { describe, expect, test } from 'vitest'
import { freshPipe, startRecorded } from '../src/contracts/recording-host.ts'
import { describeSignalledTransportContract, describeTransportContract } from '../src/contracts/transport.ts'
import { MemoryHub, type MemoryHubOptions } from '../src/memory-transport.ts'

describeTransportContract('memory', { kind: 'memory', channels: 2, padded: false, bound: false }, async () => {
  const hub = new MemoryHub({ flushesItself: true })
  return { dialler: hub.transport('a'), listener: hub.transport('b'), nobody: 'memory:nobody' }
})

describeSignalledTransportContract(
  'memory as webrtc',
  { kind: 'webrtc', channels: 2, padded: false, bound: true },
  async () => {
    const hub = new MemoryHub({ flushesItself: true })
    const options = { kind: 'webrtc', bound: true } as const
    return { a: hub.transport('a', options), b: hub.transport('b', options) }
  },
)

describeTransportContract(
  'memory as circuit',
  { kind: 'circuit', channels: 1, padded: true, bound: false },
  async () => {
    const hub = new MemoryHub({ flushesItself: true })
    const options = { kind: 'circuit', channels: 1, padded: true } as const
    const listener = hub.transport('b', { ...options, relays: ['relay-1', 'relay-2'] })
    const nobody = 'circuit:AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA@ws://relay-1'
    return { dialler: hub.transport('a', options), listener, nobody }
  },
)

async function openPair(options: Partial<MemoryHubOptions>) {
  const hub = new MemoryHub(options)
  const [transportA, transportB] = [hub.transport('a'), hub.transport('b', { pipesMax: 1 })]
  const { host: a } = await startRecorded(transportA)
  const { host: b } = await startRecorded(transportB)
  const pipeA = freshPipe()
  transportA.dial(pipeA, 'memory:b')
  hub.flush()
  const pipeB = (await b.opened()).pipe
  return { hub, transportA, transportB, a, b, pipeA, pipeB }
}

describe('memory hub', () => {
  test('a relay that falls silent carries nothing more, and tells nobody', async () => {
    const hub = new MemoryHub()
    const options = { kind: 'circuit', channels: 1, padded: true } as const
    const [transportA, transportB] = [
      hub.transport('a', options),
      hub.transport('b', { ...options, relays: ['x', 'y'] }),
    ]
    const { host: a } = await startRecorded(transportA)
    const { host: b, addresses } = await startRecorded(transportB)
    const [byX = '', byY = ''] = addresses
    const pipes = [byX, byY].map((address) => {
      const pipe = freshPipe()
      transportA.dial(pipe, address)
      hub.flush()
      return pipe
    })
    expect(b.ofType('opened').map(({ remoteAddress }) => remoteAddress)).toEqual(['ws://x', 'ws://y'])
    hub.silence('x')
    for (const pipe of pipes) transportA.send(pipe, 0, Uint8Array.of(7))
    const late = freshPipe()
    transportA.dial(late, byX)
    hub.flush()
    expect(b.ofType('message')).toHaveLength(1)
    expect(a.ofType('opened')).toHaveLength(2)
    expect(a.ofType('closed')).toHaveLength(0)
    transportA.close(pipes[0] ?? late)
    hub.flush()
    expect(a.ofType('closed')).toHaveLength(1)
    expect(b.ofType('closed')).toHaveLength(0)
  })

  test('nothing happens before a flush, and one event at a time with flushOne', async () => {
    const { hub, transportA, b, pipeA, pipeB } = await openPair({})
    transportA.send(pipeA, 0, Uint8Array.of(1))
    transportA.send(pipeA, 0, Uint8Array.of(2))
    expect(b.messages(pipeB)).toEqual([])
    expect(hub.flushOne()).toBe(true)
    expect(b.messages(pipeB)).toEqual([Uint8Array.of(1)])
    expect(hub.flush()).toBe(1)
    expect(hub.flushOne()).toBe(false)
  })

  test('channel 1 loses and reorders by the seed alone, channel 0 never', async () => {
    const run = async (seed: number) => {
      const share = { signalsLossShare: 0.2, signalsReorderShare: 0.3 }
      const { hub, transportA, b, pipeA, pipeB } = await openPair({ seed, ...share })
      for (let i = 0; i < 200; i++) {
        transportA.send(pipeA, 0, Uint8Array.of(i))
        transportA.send(pipeA, 1, Uint8Array.of(i))
      }
      hub.flush()
      const numbers = (channel: 0 | 1) => b.messages(pipeB, channel).map((bytes) => bytes[0] ?? -1)
      return [numbers(0), numbers(1)] as const
    }
    const [reliable, signals] = await run(7)
    expect(reliable).toEqual(Array.from({ length: 200 }, (_, i) => i))
    expect(signals.length).toBeGreaterThan(100)
    expect(signals.length).toBeLessThan(200)
    expect(signals).not.toEqual([...signals].sort((x, y) => x - y))
    expect(await run(7)).toEqual([reliable, signals])
    expect((await run(8))[1]).not.toEqual(signals)
  })

  test('a broken pipe ends in broken at both ends and loses what was under way', async () => {
    const { hub, transportA, a, b, pipeA, pipeB } = await openPair({})
    transportA.send(pipeA, 0, Uint8Array.of(1))
    transportA.break(pipeA)
    hub.flush()
    expect(a.closedEvent(pipeA)?.error?.type).toBe('broken')
    expect(b.closedEvent(pipeB)?.error?.type).toBe('broken')
    expect(b.messages(pipeB)).toEqual([])
  })

  test('a listener at its bound refuses a further pipe', async () => {
    const { hub, transportA, a } = await openPair({})
    const pipe = freshPipe()
    transportA.dial(pipe, 'memory:b')
    hub.flush()
    expect(a.closedEvent(pipe)?.error).toEqual({ type: 'too-many-pipes', pipesMax: 1 })
  })
})
