import { textToBytes } from '@miaou/core'
import { decodeGossipMessage, encodeGossipMessage, type GossipMessage } from '@miaou/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Gossip } from '../src/gossip/gossip.ts'
import type { GossipOptions } from '../src/gossip/gossip-options.ts'
import type { GossipInput, GossipOutput, NeighbourId } from '../src/gossip/interface.ts'
import { SeededJitter, toyCrypto } from './gossip-network.ts'

const hintOf = (text: string): Uint8Array => textToBytes(`hint ${text}`)
const idOf = (text: string): NeighbourId => text as NeighbourId

class Bench {
  readonly gossip: Gossip
  mono = 0

  constructor(options: Partial<GossipOptions> = {}) {
    const key = toyCrypto.ed25519KeyPair(new Uint8Array(32).fill(9))
    this.gossip = new Gossip({ crypto: toyCrypto, jitter: new SeededJitter(3), key, hint: hintOf('own'), options })
  }

  handle(input: GossipInput): GossipOutput[] {
    return this.gossip.handle({ mono: this.mono, wall: 1e12 + this.mono }, input)
  }

  wake(mono: number): GossipOutput[] {
    this.mono = mono
    return this.handle({ type: 'wake' })
  }

  up(name: string, isOutgoing: boolean): GossipOutput[] {
    return this.handle({ type: 'neighbour-up', neighbour: idOf(name), hint: hintOf(name), isOutgoing })
  }

  hear(name: string, message: GossipMessage): GossipOutput[] {
    return this.handle({ type: 'message', from: idOf(name), bytes: encodeGossipMessage(message) })
  }

  link(name: string, isOutgoing: boolean, more: { isUrgent?: boolean; isJoining?: boolean } = {}): GossipOutput[] {
    const outputs = this.up(name, isOutgoing)
    const hello = { type: 'hello', isJoining: false, isUrgent: false, hint: undefined, interests: [], ...more } as const
    return [...outputs, ...this.hear(name, hello)]
  }

  active(): string[] {
    return this.gossip.info().active.map(({ neighbour }) => neighbour)
  }

  count(name: string): number {
    return this.gossip.counters()[name] ?? 0
  }
}

const sends = (outputs: readonly GossipOutput[]) =>
  outputs.flatMap((output) => {
    if (output.type !== 'send') return []
    const decoded = decodeGossipMessage(output.bytes)
    if (!decoded.ok) throw new Error('the engine sent what it cannot read')
    return [{ to: output.to, ...decoded.value }]
  })
const types = (outputs: readonly GossipOutput[]) => outputs.map(({ type }) => type)

describe('view', () => {
  test('[G17] those who dial us never take the places of those we dial', () => {
    const bench = new Bench({ activeMax: 5, outgoingReserved: 2 })
    for (const name of ['1', '2', '3']) bench.link(name, false)
    const refused = bench.link('4', false)
    expect(types(refused)).toEqual(['send', 'send', 'disconnect'])
    expect(refused.at(-1)).toEqual({ type: 'disconnect', neighbour: '4', reason: 'view-full' })
    expect(sends(refused).at(-1)?.type).toBe('leave')
    for (const name of ['5', '6']) bench.link(name, true)
    expect(bench.active()).toEqual(['1', '2', '3', '5', '6'])
    expect(types(bench.link('7', true))).toContain('disconnect')
  })

  test('[G17] an urgent newcomer takes the place of the worst incoming neighbour, not often, never of a dialled one', () => {
    const bench = new Bench({ activeMax: 4, outgoingReserved: 2, urgentMs: 1_000 })
    for (const name of ['out 1', 'out 2']) bench.link(name, true)
    for (const name of ['in 1', 'in 2']) bench.link(name, false)
    bench.handle({ type: 'message', from: idOf('in 2'), bytes: Uint8Array.of(0) })
    expect(bench.link('lonely', false, { isUrgent: true }).at(-1)).toEqual({
      type: 'disconnect',
      neighbour: 'in 2',
      reason: 'view-full',
    })
    expect(bench.active()).toEqual(['out 1', 'out 2', 'in 1', 'lonely'])
    bench.mono = 999
    expect(bench.link('lonely too', false, { isUrgent: true }).at(-1)).toMatchObject({ neighbour: 'lonely too' })
    bench.mono = 1_000
    bench.link('lonely three', false, { isUrgent: true })
    expect(bench.active()).toContain('lonely three')
    expect(bench.active()).toEqual(expect.arrayContaining(['out 1', 'out 2']))
  })

  test('[G17] who says no hello is let go, and links that wait for one are bounded', () => {
    const bench = new Bench({ activeMax: 1, greetingMax: 2, greetingMs: 500 })
    for (const name of ['1', '2', '3']) bench.up(name, false)
    expect(bench.up('4', false)).toEqual([{ type: 'disconnect', neighbour: '4', reason: 'view-full' }])
    expect(bench.gossip.deadline()).toBe(500)
    expect(bench.wake(499)).toEqual([])
    expect(types(bench.wake(500)).filter((type) => type === 'disconnect')).toHaveLength(3)
    expect(bench.gossip.info()).toMatchObject({ greetingCount: 0, active: [] })
  })

  test('[G18] a lost neighbour is replaced from the passive view; dials are bounded and expire', () => {
    const bench = new Bench({ activeTarget: 4, dialsMax: 2, dialMs: 1_000, promoteMs: 100 })
    bench.link('a', true)
    const hints = ['x', 'y', 'z'].map(hintOf)
    const outputs = bench.hear('a', { type: 'leave', hints })
    const connects = outputs.filter(({ type }) => type === 'connect')
    expect(connects).toHaveLength(2)
    for (const connect of connects) expect(hints).toContainEqual(connect.type === 'connect' && connect.hint)
    expect(bench.wake(900)).toEqual([])
    // The dials have failed: what is left is tried.
    expect(types(bench.wake(1_000))).toEqual(['connect'])
    expect(bench.gossip.info().passiveCount).toBe(0)
  })

  test('[G18] a link whose hint was dialled is outgoing, also when the host does not say so', () => {
    const bench = new Bench()
    bench.link('a', true)
    const [connect] = bench.hear('a', { type: 'leave', hints: [hintOf('x')] })
    expect(connect).toEqual({ type: 'connect', hint: hintOf('x') })
    bench.handle({ type: 'neighbour-up', neighbour: idOf('x'), hint: hintOf('x') })
    bench.hear('x', { type: 'hello', isJoining: false, isUrgent: false, hint: undefined, interests: [] })
    expect(bench.gossip.info().active).toMatchObject([{ neighbour: 'x', isOutgoing: true }])
  })

  test('[G18] a shuffle is answered; replies that nobody asked for and hasty shuffles teach nothing', () => {
    const bench = new Bench({ shuffleMs: 1_000, activeTarget: 1 })
    bench.link('a', true)
    bench.link('b', true)
    const asked = { type: 'shuffle', isReply: false, hints: [hintOf('x')] } as const
    expect(sends(bench.hear('a', asked))).toMatchObject([
      { to: 'a', type: 'shuffle', isReply: true, hints: [hintOf('own'), hintOf('b')] },
    ])
    expect(bench.hear('a', { ...asked, hints: [hintOf('y')] })).toEqual([])
    expect(bench.hear('a', { ...asked, isReply: true, hints: [hintOf('z')] })).toEqual([])
    expect(bench.gossip.info().passiveCount).toBe(1)
    expect(bench.count('dropped-shuffle')).toBe(2)
    const own = sends(bench.wake(1_250)).filter(({ type }) => type === 'shuffle')
    expect(own).toHaveLength(1)
    bench.hear(own[0]?.to ?? '', { ...asked, isReply: true, hints: [hintOf('z')] })
    expect(bench.gossip.info().passiveCount).toBe(2)
  })

  test('[G18] no neighbour fills more than its part of the passive view, whatever it offers', () => {
    const bench = new Bench({ passiveMax: 10, passivePerNeighbourMax: 4, shuffleMs: 0, activeTarget: 1 })
    bench.link('good', true)
    bench.link('bad', true)
    bench.hear('good', { type: 'shuffle', isReply: false, hints: ['1', '2', '3'].map(hintOf) })
    for (let round = 0; round < 1_000; round++) {
      bench.mono += 10
      const hints = Array.from({ length: 16 }, (_, at) => hintOf(`bad ${round} ${at}`))
      bench.hear('bad', { type: 'shuffle', isReply: false, hints })
    }
    expect(bench.gossip.info().passiveCount).toBe(7)
  })

  test('[G18] a newcomer is told of: its hint walks, is remembered on the way and dialled at the end', () => {
    const bench = new Bench({ activeTarget: 4 })
    bench.link('a', true)
    bench.link('b', true)
    const told = sends(bench.link('new', false, { isJoining: true })).filter(({ type }) => type === 'forward-join')
    expect(told).toEqual([
      { to: 'a', type: 'forward-join', ttl: 6, hint: hintOf('new') },
      { to: 'b', type: 'forward-join', ttl: 6, hint: hintOf('new') },
    ])
    const walk = (ttl: number, name: string) => bench.hear('a', { type: 'forward-join', ttl, hint: hintOf(name) })
    expect(sends(walk(255, 'v'))).toMatchObject([{ type: 'forward-join', ttl: 5 }])
    expect(walk(0, 'w')).toEqual([{ type: 'connect', hint: hintOf('w') }])
    expect(types(walk(6, 'own'))).toEqual([])
    const passive = new Bench({ activeTarget: 1 })
    passive.link('a', true)
    passive.link('b', true)
    passive.hear('a', { type: 'forward-join', ttl: 3, hint: hintOf('x') })
    passive.hear('a', { type: 'forward-join', ttl: 4, hint: hintOf('y') })
    expect(passive.gossip.info().passiveCount).toBe(1)
  })
})

describe('bad neighbours', () => {
  test('[G19] a graylisted neighbour is refused, and comes back after a while', () => {
    const bench = new Bench({ graylistMs: 1_000 })
    bench.link('bad', true)
    for (let at = 0; at < 4; at++) bench.handle({ type: 'message', from: idOf('bad'), bytes: Uint8Array.of(0) })
    expect(bench.active()).toEqual(['bad'])
    expect(bench.handle({ type: 'message', from: idOf('bad'), bytes: Uint8Array.of(0) })).toEqual([
      { type: 'disconnect', neighbour: 'bad', reason: 'graylisted' },
    ])
    bench.handle({ type: 'neighbour-down', neighbour: idOf('bad') })
    bench.mono = 999
    expect(bench.up('bad', true)).toEqual([{ type: 'disconnect', neighbour: 'bad', reason: 'graylisted' }])
    bench.mono = 1_000
    bench.link('bad', true)
    expect(bench.active()).toEqual(['bad'])
  })

  test('[G19] points halve: the same faults over a long time are forgiven', () => {
    const bench = new Bench({ scoreHalfLifeMs: 1_000 })
    bench.link('clumsy', true)
    for (let at = 0; at < 20; at++) {
      bench.mono += 1_000
      bench.handle({ type: 'message', from: idOf('clumsy'), bytes: Uint8Array.of(0) })
    }
    expect(bench.gossip.info().active[0]?.score).toBeGreaterThan(-41)
  })

  test('[G20] a flooding neighbour is dropped unread, then let go', () => {
    const bench = new Bench({ messagesBurst: 10, messagesPerSecond: 1 })
    bench.link('loud', true)
    const outputs = Array.from({ length: 110 }, () => bench.hear('loud', { type: 'prune', topic: 't' })).flat()
    expect(bench.count('dropped-rate')).toBe(100)
    expect(outputs).toEqual([{ type: 'disconnect', neighbour: 'loud', reason: 'graylisted' }])
    const bytes = new Bench({ bytesBurst: 100, bytesPerSecond: 1 })
    bytes.link('fat', true)
    bytes.handle({ type: 'message', from: idOf('fat'), bytes: new Uint8Array(101) })
    expect(bytes.count('dropped-rate')).toBe(1)
  })

  test('[G21] a million announced ids: bounded memory, and the announcer goes', () => {
    const bench = new Bench({ messagesBurst: 1e6, bytesBurst: 1e9, graylistScore: -1e9 })
    bench.handle({ type: 'subscribe', topic: 't' })
    bench.link('a', true)
    const jitter = new SeededJitter(5)
    for (let round = 0; round < 7_813; round++) {
      const announcements = Array.from({ length: 128 }, () => ({ shortId: jitterBytes(jitter), hops: 1 }))
      bench.hear('a', { type: 'announce', topic: 't', isPull: false, announcements })
    }
    expect(bench.gossip.info().missingCount).toBe(512)
    expect(bench.count('dropped-announcement')).toBe(7_813 * 128 - 512)
    const strict = new Bench()
    strict.handle({ type: 'subscribe', topic: 't' })
    strict.link('a', true)
    const announce = () =>
      strict.hear('a', {
        type: 'announce',
        topic: 't',
        isPull: false,
        announcements: Array.from({ length: 128 }, () => ({ shortId: jitterBytes(jitter), hops: 1 })),
      })
    expect(Array.from({ length: 5 }, announce).flat()).toEqual([
      { type: 'disconnect', neighbour: 'a', reason: 'graylisted' },
    ])
    expect(strict.gossip.info().missingCount).toBe(0)
  })

  test('[G22] strangers and those who have not said hello are not listened to', () => {
    const bench = new Bench()
    expect(bench.hear('nobody', { type: 'prune', topic: 't' })).toEqual([])
    bench.up('silent', true)
    expect(bench.hear('silent', { type: 'forward-join', ttl: 0, hint: hintOf('x') })).toEqual([])
    expect([bench.count('dropped-stranger'), bench.count('dropped-before-hello')]).toEqual([1, 1])
  })

  test('[G1] [G19] any bytes from anybody: nothing throws, everything stays bounded', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 40 }), (inputs) => {
        const bench = new Bench()
        bench.link('a', true)
        for (const bytes of inputs) {
          const kinds = bytes.length === 0 ? bytes : Uint8Array.of(((bytes[0] ?? 0) % 9) + 1, ...bytes.subarray(1))
          bench.handle({ type: 'message', from: idOf('a'), bytes: kinds })
          bench.mono += 50
          bench.handle({ type: 'wake' })
        }
        expect(bench.gossip.info().missingCount).toBeLessThanOrEqual(512)
      }),
      { numRuns: 200 },
    )
  })
})

function jitterBytes(jitter: SeededJitter): Uint8Array {
  const bytes = new Uint8Array(16)
  const view = new DataView(bytes.buffer)
  for (let at = 0; at < 16; at += 4) view.setUint32(at, jitter.next() * 0x1_0000_0000)
  return bytes
}
