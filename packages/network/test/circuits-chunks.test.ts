import {
  bundledFrameOverhead,
  circuitChunkSizeMax,
  circuitChunkSizeSmall,
  circuitDataHeaderSize,
  circuitDataOverhead,
  circuitWindowSize,
  frameTypes,
} from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { CircuitPace } from '../src/circuit/circuit-pace.ts'
import { CircuitPipe } from '../src/circuit/circuit-pipe.ts'
import { defaultCircuitsLimits } from '../src/circuit/circuits-limits.ts'
import type { RelayLink } from '../src/circuit/circuits-link.ts'
import { paddingBuckets } from '../src/link-limits.ts'
import type { PipeId } from '../src/ports.ts'
import { at, connectedPair } from './link-pair.ts'

const message = frameTypes.gossip
const link = {} as RelayLink

function openPipe(window = circuitWindowSize): CircuitPipe {
  const options = { direction: 'out', address: '', reservation: undefined, startedAt: 0, endBy: 0 } as const
  const pipe = new CircuitPipe({ ...options, pipe: 1 as PipeId }, defaultCircuitsLimits)
  pipe.open(link, 1, window)
  return pipe
}

/** Sizes of the chunks sent at `now` for one message of 64 KiB. */
function chunkSizes(pipe: CircuitPipe, now: number): number[] {
  pipe.push(new Uint8Array(65_536))
  return pipe.takeChunks(now).map(({ length }) => length - circuitDataHeaderSize)
}

/** Messages of 64 KiB, one every `intervalMs`, each credited at once; the largest chunk of the last. */
function largestOf(pipe: CircuitPipe, intervalMs: number, count: number, from = 0): number {
  let sizes: number[] = []
  for (let at = 0; at < count; at++) {
    sizes = chunkSizes(pipe, from + at * intervalMs)
    expect(pipe.credit(from + at * intervalMs, pipe.uncreditedBytes)).toBe(true)
  }
  return Math.max(...sizes)
}

const small = [circuitChunkSizeSmall, circuitChunkSizeSmall, circuitChunkSizeSmall, circuitChunkSizeSmall, 136]

describe('sizes of chunks', () => {
  test('[C11] a circuit begins with small chunks and has full ones once credits come fast', () => {
    const pipe = openPipe()
    expect(chunkSizes(pipe, 0)).toEqual(small)
    pipe.credit(0, pipe.uncreditedBytes)
    expect(largestOf(pipe, 40, 10)).toBe(circuitChunkSizeMax)
    expect(chunkSizes(pipe, 401)).toEqual([circuitChunkSizeMax, 34])
  })

  test('[C11] a slow circuit has small chunks only, and so has a fast one that rested or became slow', () => {
    expect(largestOf(openPipe(), 60, 30)).toBe(circuitChunkSizeSmall)
    const rested = openPipe()
    expect(largestOf(rested, 40, 10)).toBe(circuitChunkSizeMax)
    expect(chunkSizes(rested, 1_000)).toEqual(small)
    const slowed = openPipe()
    largestOf(slowed, 40, 10)
    expect(largestOf(slowed, 90, 5, 400)).toBe(circuitChunkSizeMax)
    expect(largestOf(slowed, 110, 5, 850)).toBe(circuitChunkSizeSmall)
  })

  test('[C12] a window with room for less than two full chunks carries small ones', () => {
    expect(largestOf(openPipe(2 * circuitChunkSizeMax), 40, 10)).toBe(circuitChunkSizeMax)
    expect(largestOf(openPipe(2 * circuitChunkSizeMax - 1), 40, 10)).toBe(circuitChunkSizeSmall)
  })

  test('[C11] the rate is that of the last tenth of a second or more, from the second credit on', () => {
    const pace = new CircuitPace(1_000)
    pace.credited(0, 1_000_000)
    expect(pace.isFast(0)).toBe(false)
    pace.credited(99, 50_000)
    expect(pace.isFast(99)).toBe(false)
    pace.credited(100, 50_000)
    expect(pace.isFast(100)).toBe(true)
    expect(pace.isFast(599)).toBe(true)
    expect(pace.isFast(600)).toBe(false)
    pace.credited(200, 50_000)
    expect(pace.isFast(200)).toBe(true)
    pace.credited(300, 49_999)
    expect(pace.isFast(300)).toBe(false)
    pace.credited(400, 99_999)
    expect(pace.isFast(400)).toBe(false)
    pace.credited(500, 100_000)
    expect(pace.isFast(500)).toBe(true)
    pace.credited(1_000, 10_000_000)
    expect(pace.isFast(1_000)).toBe(false)
  })
})

describe('messages of links on circuits', () => {
  const reserved = circuitDataOverhead
  const pair = () => connectedPair({ padded: true, reserved }, { padded: true, reserved })
  const sizesOf = (outputs: readonly { readonly type: string; readonly bytes?: Uint8Array }[]) =>
    outputs.flatMap(({ type, bytes }) => (type === 'write' && bytes !== undefined ? [bytes.length] : []))

  test('[C10] [L21] each fills a bucket with what the links with the relay put around it', () => {
    const { a } = pair()
    const sizes = [0, 112, 113, 4_000, 16_000, 49_000].map(
      (size) => sizesOf(a.send(at(0), message, new Uint8Array(size), false) ?? [])[0] ?? 0,
    )
    expect(sizes).toEqual([222, 222, 990, 16_350, 16_350, 49_374])
    for (const size of sizes) expect(paddingBuckets).toContain(size + reserved)
  })

  test('[C10] [L21] a fragment of a file fills its bucket, so that it travels as one chunk', () => {
    const { a } = pair()
    expect(sizesOf(a.send(at(0), message, new Uint8Array(100_000), false) ?? []).filter((size) => size > 990)).toEqual([
      49_374, 49_374, 4_062,
    ])
  })

  test('[C10] [L34] a full bundle stays within the bucket of 16 KiB', () => {
    const { a } = pair()
    // 25 of them are 16,250 bytes: a bundle elsewhere.
    const payload = new Uint8Array(650 - bundledFrameOverhead)
    const frames = Array.from({ length: 50 }, () => ({ frameType: message, payload }))
    const sizes = sizesOf(a.sendAll(at(0), frames).outputs)
    expect(Math.max(...sizes)).toBe(16_350)
    expect(sizes.length).toBe(3)
  })
})
