import type { NatType } from '@miaou/network'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { NatWatch, type NatWatchOptions } from '../src/peer/nat-watch.ts'
import type { IceServer } from '../src/webrtc/options.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const stun = { urls: 'stun:203.0.113.5:3478' }
const turn = { urls: 'turn:203.0.113.5:3478?transport=udp', username: 'cat', credential: 'secret' }

type Discover = NonNullable<NatWatchOptions['discover']>

/** A watch whose questions the test answers. */
class Desk {
  servers: readonly IceServer[] = [stun]
  readonly asked: { readonly servers: readonly IceServer[]; readonly turn: string; answer: (type: NatType) => void }[] =
    []
  readonly watch: NatWatch

  constructor(isWatching = true) {
    const discover: Discover = (servers, turnToo) =>
      new Promise((resolve) => {
        const answer = (natType: NatType): void => {
          const names = [{ name: 'stun.example.org', state: 'ok', ms: 3, addresses: ['203.0.113.5'] }] as const
          const behaviour = { mapping: 'unknown', filtering: 'unknown' } as const
          const report = { candidates: [], optimalTransport: 'direct', servers: [], families: [] } as const
          // Of the report only the NAT's type counts here.
          resolve({ ...report, ...behaviour, natType, names } as never)
        }
        this.asked.push({ servers, turn: turnToo, answer })
      })
    this.watch = new NatWatch({ servers: () => this.servers, loopbackOnly: false, isWatching, discover })
  }

  /** Answers the latest question. */
  async answer(natType: NatType): Promise<void> {
    this.asked.at(-1)?.answer(natType)
    await vi.advanceTimersByTimeAsync(0)
  }
}

test('D13 new servers are asked once, a second later; TURN servers are left in peace', async () => {
  const desk = new Desk()
  desk.servers = [stun, turn]
  desk.watch.serversChanged()
  desk.watch.serversChanged()
  await vi.advanceTimersByTimeAsync(999)
  expect(desk.asked).toEqual([])
  await vi.advanceTimersByTimeAsync(1)
  expect(desk.asked).toMatchObject([{ servers: [{ urls: [stun.urls] }], turn: 'needed' }])
  expect(desk.watch.natType).toBe('unknown')
  await desk.answer('full-cone')
  expect(desk.watch.natType).toBe('full-cone')
  // Other passwords of the same servers change nothing.
  desk.servers = [stun, { ...turn, credential: 'another' }]
  desk.watch.serversChanged()
  await vi.advanceTimersByTimeAsync(2_000)
  expect(desk.asked).toHaveLength(1)
})

test('it is asked again each hour, and nothing is known once no server is left', async () => {
  const desk = new Desk()
  desk.watch.serversChanged()
  await vi.advanceTimersByTimeAsync(1_000)
  await desk.answer('symmetric')
  await vi.advanceTimersByTimeAsync(3_600_000)
  expect(desk.asked).toHaveLength(2)
  await desk.answer('full-cone')
  expect(desk.watch.natType).toBe('full-cone')
  desk.servers = []
  desk.watch.serversChanged()
  await vi.advanceTimersByTimeAsync(1_000)
  expect(desk.watch.natType).toBe('unknown')
  expect(desk.asked).toHaveLength(2)
  expect(await desk.watch.connectivity()).toEqual({ names: [] })
})

test('after a change of networks nothing is known, and an answer about the former one does not count', async () => {
  const desk = new Desk()
  desk.watch.serversChanged()
  await vi.advanceTimersByTimeAsync(1_000)
  await desk.answer('full-cone')
  const asking = desk.watch.connectivity()
  desk.watch.networkChanged()
  expect(desk.watch.natType).toBe('unknown')
  await desk.answer('full-cone')
  expect(await asking).toMatchObject({ report: { natType: 'full-cone' } })
  expect(desk.watch.natType).toBe('unknown')
  await vi.advanceTimersByTimeAsync(1_000)
  await desk.answer('symmetric')
  expect(desk.watch.natType).toBe('symmetric')
})

test('D11 I16 who asks hears of every server and of the names that were looked up', async () => {
  const desk = new Desk()
  desk.servers = [stun, turn]
  const asking = desk.watch.connectivity()
  expect(desk.asked).toMatchObject([{ servers: [stun, turn], turn: 'all' }])
  await desk.answer('port-restricted')
  expect(await asking).toEqual({
    report: expect.objectContaining({ natType: 'port-restricted' }),
    names: [{ name: 'stun.example.org', state: 'ok', ms: 3, address: '203.0.113.5' }],
  })
  expect(desk.watch.natType).toBe('port-restricted')
})

test('a peer that hides asks nobody by itself; one that has stopped asks nobody at all', async () => {
  const hidden = new Desk(false)
  hidden.watch.serversChanged()
  hidden.watch.networkChanged()
  await vi.advanceTimersByTimeAsync(7_200_000)
  expect(hidden.asked).toEqual([])
  const desk = new Desk()
  desk.watch.serversChanged()
  desk.watch.stop()
  desk.watch.networkChanged()
  await vi.advanceTimersByTimeAsync(7_200_000)
  expect(await desk.watch.connectivity()).toEqual({ names: [] })
  expect(desk.asked).toEqual([])
  expect(vi.getTimerCount()).toBe(0)
})
