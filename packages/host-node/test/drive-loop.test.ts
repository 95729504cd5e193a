import type { Now } from '@miaou/core'
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

function loopOf(peer: CountingPeer): DriveLoop {
  return new DriveLoop({
    // The loop calls these two and nothing else.
    peer: peer as Pick<Peer, 'handle' | 'deadline'> as Peer,
    clock: { now: () => ({ mono: 0, wall: 0 }) },
    log: { write: () => undefined },
    perform: () => undefined,
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
