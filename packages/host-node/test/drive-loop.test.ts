import type { Clock, Now } from '@miaou/core'
import type { Peer, PeerInput, PeerOutput } from '@miaou/peer'
import { expect, test } from 'vitest'
import { DriveLoop } from '../src/peer/drive-loop.ts'

/** A peer that only counts what it is given. */
class CountingPeer implements Pick<Peer, 'handle' | 'deadline'> {
  readonly batchSizes: number[] = []
  readonly inputs: PeerInput[] = []

  handle(_now: Now, inputs: readonly PeerInput[]): PeerOutput[] {
    this.batchSizes.push(inputs.length)
    this.inputs.push(...inputs)
    return []
  }

  deadline(): number {
    return Number.POSITIVE_INFINITY
  }
}

function loopOf(
  peer: CountingPeer,
  clock: Clock = { now: () => ({ mono: 0, wall: 0 }) },
  onSlept: () => void = () => undefined,
): DriveLoop {
  return new DriveLoop({
    // The loop calls these two and nothing else.
    peer: peer as Pick<Peer, 'handle' | 'deadline'> as Peer,
    clock,
    log: { write: () => undefined },
    perform: () => undefined,
    onSlept,
    onCrash: (error) => {
      throw error
    },
  })
}

test('one turn handles all that it found, in batches of at most 256: the queue cannot grow from turn to turn', () => {
  const peer = new CountingPeer()
  const loop = loopOf(peer)
  for (let i = 0; i < 1000; i++) loop.push({ type: 'wake' })
  loop.drain()
  expect(peer.batchSizes).toEqual([256, 256, 256, 232])
  loop.stop()
})

test('a stop pushed behind a long queue is handled by the last drain', () => {
  const peer = new CountingPeer()
  const loop = loopOf(peer)
  for (let i = 0; i < 1000; i++) loop.push({ type: 'wake' })
  loop.push({ type: 'network', input: { type: 'stop' } })
  loop.drain()
  loop.stop()
  expect(peer.inputs.at(-1)).toEqual({ type: 'network', input: { type: 'stop' } })
})

test('a sleep during which the monotonic clock stood still is seen by the wall clock: every link is asked', () => {
  const peer = new CountingPeer()
  const now = { mono: 1000, wall: 5_000_000 }
  let slept = 0
  const loop = loopOf(peer, { now: () => ({ ...now }) }, () => slept++)
  const pass = (mono: number, wall: number) => {
    now.mono += mono
    now.wall += wall
    loop.checkClocks()
    loop.drain()
  }
  pass(5000, 5000)
  pass(5000, 24_000)
  // A clock set back is no sleep.
  pass(5000, -86_400_000)
  expect(peer.inputs).toEqual([])
  pass(5000, 3_600_000)
  expect(peer.inputs).toEqual([{ type: 'network', input: { type: 'network-changed' } }, { type: 'wake' }])
  // What runs beside the peer hears of it too.
  expect(slept).toBe(1)
  pass(5000, 5000)
  expect(peer.inputs).toHaveLength(2)
  loop.stop()
})
