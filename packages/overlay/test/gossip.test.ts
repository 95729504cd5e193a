import { bytesToHex, textToBytes } from '@miaou/core'
import { createLibsodiumCrypto, signLabelled } from '@miaou/crypto'
import {
  decodeGossipMessage,
  encodeGossipBody,
  encodeGossipData,
  encodeGossipMessage,
  type GossipData,
  type GossipMessage,
  gossipDataOverhead,
  withGossipHop,
} from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { Gossip } from '../src/gossip/gossip.ts'
import type { GossipOptions } from '../src/gossip/gossip-options.ts'
import type { GossipInput, GossipOutput, NeighbourId } from '../src/gossip/interface.ts'
import { SeededJitter } from './gossip-network.ts'

const crypto = await createLibsodiumCrypto()
const wall = 1_800_000_000_000
const topic = 't'
const publisher = crypto.ed25519KeyPair(new Uint8Array(32).fill(7))
const [a, b, c] = ['a', 'b', 'c'] as NeighbourId[] as [NeighbourId, NeighbourId, NeighbourId]
const hintOf = (text: string): Uint8Array => textToBytes(`hint ${text}`)

/** An engine and what one says to it. */
class Bench {
  readonly gossip: Gossip
  mono = 0

  constructor(options: Partial<GossipOptions> = {}) {
    const key = crypto.ed25519KeyPair(new Uint8Array(32).fill(9))
    this.gossip = new Gossip({ crypto, jitter: new SeededJitter(3), key, hint: hintOf('own'), options })
  }

  handle(input: GossipInput): GossipOutput[] {
    return this.gossip.handle({ mono: this.mono, wall: wall + this.mono }, input)
  }

  wake(mono: number): GossipOutput[] {
    this.mono = mono
    return this.handle({ type: 'wake' })
  }

  hear(from: NeighbourId, message: GossipMessage | Uint8Array): GossipOutput[] {
    const bytes = message instanceof Uint8Array ? message : encodeGossipMessage(message)
    return this.handle({ type: 'message', from, bytes })
  }

  /** A neighbour that wants the topic, with the greeting done. */
  link(
    neighbour: NeighbourId,
    more: Partial<Extract<GossipMessage, { type: 'hello' }>> & { isOutgoing?: boolean } = {},
  ) {
    const { isOutgoing = true, ...hello } = more
    const up = this.handle({ type: 'neighbour-up', neighbour, hint: hintOf(neighbour), isOutgoing })
    const interests = [{ topic, distance: 0 }]
    return [
      ...up,
      ...this.hear(neighbour, {
        type: 'hello',
        isJoining: false,
        isUrgent: false,
        hint: undefined,
        interests,
        ...hello,
      }),
    ]
  }

  count(name: string): number {
    return this.gossip.counters()[name] ?? 0
  }
}

function subscribed(options: Partial<GossipOptions> = {}, neighbours: readonly NeighbourId[] = [a, b, c]): Bench {
  const bench = new Bench(options)
  bench.handle({ type: 'subscribe', topic })
  for (const neighbour of neighbours) bench.link(neighbour)
  return bench
}

function message(
  text: string,
  more: Partial<Pick<GossipData, 'ttl' | 'hops' | 'timestamp' | 'topic' | 'renews'>> = {},
) {
  const { ttl = 6, hops = 1, timestamp = wall, topic: name = topic, renews = false } = more
  const fields = { origin: publisher.publicKey, timestamp, sequence: 1, topic: name, payload: textToBytes(text) }
  const body = encodeGossipBody(fields)
  const id = crypto.sha256(body)
  const signature = signLabelled(crypto, 'gossip', id, publisher.secretKey)
  return { bytes: encodeGossipData(body, { ttl, hops, renews, id, signature }), id, shortId: id.slice(0, 16) }
}

const sends = (outputs: readonly GossipOutput[]) =>
  outputs.flatMap((output) => {
    if (output.type !== 'send') return []
    const decoded = decodeGossipMessage(output.bytes)
    if (!decoded.ok) throw new Error('the engine sent what it cannot read')
    return [{ to: output.to, ...decoded.value }]
  })
const kinds = (outputs: readonly GossipOutput[]) => sends(outputs).map(({ to, type }) => `${type} to ${to}`)

describe('delivery', () => {
  test('[G4] E22: first sight delivers and is passed on to all but where it came from; a second copy to nobody', () => {
    const bench = subscribed()
    const { bytes, id } = message('miaou')
    const outputs = bench.hear(a, bytes)
    expect(outputs).toEqual([
      { type: 'send', to: b, bytes: withGossipHop(bytes, 5, 2) },
      { type: 'send', to: c, bytes: withGossipHop(bytes, 5, 2) },
      {
        type: 'deliver',
        messageId: bytesToHex(id),
        topic,
        origin: publisher.publicKey,
        payload: textToBytes('miaou'),
        from: a,
      },
    ])
    expect(bench.hear(a, bytes).filter(({ type }) => type === 'deliver')).toEqual([])
    expect(kinds(bench.hear(b, bytes))).toEqual(['prune to b'])
    expect(bench.count('duplicates')).toBe(2)
  })

  test('[G4] a forger who names an honest id suppresses nothing and is not heard for long', () => {
    const bench = subscribed()
    const { bytes } = message('honest')
    const forged = bytes.slice()
    forged[90] = (forged[90] ?? 0) ^ 1
    expect(bench.hear(b, forged)).toEqual([])
    const unsigned = bytes.slice()
    unsigned[unsigned.length - 1] = (unsigned.at(-1) ?? 0) ^ 1
    expect(bench.hear(b, unsigned)).toEqual([])
    expect([bench.count('dropped-id'), bench.count('dropped-signature')]).toEqual([1, 1])
    expect(bench.hear(a, bytes).filter(({ type }) => type === 'deliver')).toHaveLength(1)
    expect(bench.hear(b, { type: 'prune', topic })).toEqual([])
    const last = bench.hear(
      b,
      message('other').bytes.map((byte, at) => (at === 90 ? byte ^ 1 : byte)),
    )
    expect(last).toEqual([{ type: 'disconnect', neighbour: b, reason: 'graylisted' }])
  })

  test('[G4] duplicates are recognised without hash or signature', () => {
    let hashes = 0
    const watched = new Proxy(crypto, {
      get: (target, name) => {
        if (name === 'sha256' || name === 'ed25519Verify') hashes += 1
        const value = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const gossip = new Gossip({ crypto: watched, jitter: new SeededJitter(1), key: publisher })
    const now = { mono: 0, wall }
    gossip.handle(now, { type: 'subscribe', topic })
    gossip.handle(now, { type: 'neighbour-up', neighbour: a, hint: undefined, isOutgoing: true })
    const hello = { type: 'hello', isJoining: false, isUrgent: false, hint: undefined, interests: [] } as const
    gossip.handle(now, { type: 'message', from: a, bytes: encodeGossipMessage(hello) })
    for (let copy = 0; copy < 5; copy++) {
      gossip.handle(now, { type: 'message', from: a, bytes: message('once').bytes })
      expect(hashes).toBe(2)
    }
  })

  test('[G5] an own message that comes back is a second copy', () => {
    const bench = subscribed()
    const outputs = bench.handle({ type: 'publish', id: 1, topic, payload: textToBytes('mine') })
    expect(kinds(outputs)).toEqual(['data to a', 'data to b', 'data to c'])
    const [first] = outputs
    if (first?.type !== 'send') throw new Error('nothing was sent')
    expect(sends(outputs)[0]).toMatchObject({ ttl: 32, hops: 1, payload: textToBytes('mine') })
    const reply = outputs.at(-1)
    expect(reply).toMatchObject({ type: 'reply', id: 1, result: { ok: true, neighbours: 3 } })
    expect(bench.hear(a, first.bytes).filter(({ type }) => type === 'deliver')).toEqual([])
  })

  test('[G2] E21: the same payload can be published twice', () => {
    const bench = subscribed()
    const publish = () => bench.handle({ type: 'publish', id: 1, topic, payload: textToBytes('again') }).at(-1)
    expect(publish()).not.toEqual(publish())
  })

  test('[G6] E23: ttl 0 is dropped, ttl 1 is delivered and announced for asking at once', () => {
    const bench = subscribed()
    expect(bench.hear(a, message('spent', { ttl: 0 }).bytes)).toEqual([])
    expect(bench.count('dropped-ttl')).toBe(1)
    const { bytes, shortId } = message('last hop', { ttl: 1, hops: 6 })
    const outputs = bench.hear(a, bytes)
    const announce = { type: 'announce', topic, isPull: true, announcements: [{ shortId, hops: 6 }] }
    expect(sends(outputs)).toEqual([
      { to: b, ...announce },
      { to: c, ...announce },
    ])
    expect(outputs.at(-1)?.type).toBe('deliver')
    const [answer] = sends(bench.hear(b, { type: 'graft', topic, isEager: true, shortIds: [shortId] }))
    expect(answer).toMatchObject({ to: b, type: 'data', ttl: 32, hops: 7 })
  })

  test('[G6] an announcement for asking is answered at once', () => {
    const bench = subscribed()
    const { shortId } = message('far')
    const outputs = bench.hear(a, { type: 'announce', topic, isPull: true, announcements: [{ shortId, hops: 6 }] })
    expect(sends(outputs)).toEqual([{ to: a, type: 'graft', topic, isEager: true, shortIds: [shortId] }])
  })

  test('[G6] a ttl above the bound counts as the bound', () => {
    const bench = subscribed()
    expect(sends(bench.hear(a, message('x', { ttl: 255 }).bytes))[0]).toMatchObject({ ttl: 63 })
  })

  test('[G8] too old and from the future, at the bounds', () => {
    const bench = subscribed()
    const delivers = (text: string, timestamp: number) =>
      bench.hear(a, message(text, { timestamp }).bytes).some(({ type }) => type === 'deliver')
    expect(delivers('old', wall - 600_000)).toBe(true)
    expect(delivers('older', wall - 600_001)).toBe(false)
    expect(delivers('soon', wall + 300_000)).toBe(true)
    expect(delivers('later', wall + 300_001)).toBe(false)
    expect([bench.count('dropped-late'), bench.count('dropped-future')]).toEqual([1, 1])
  })

  test('[G9] publishing is bounded in size, name and rate', () => {
    const bench = new Bench({ publishBurst: 3, publishPerSecond: 10 })
    const publish = (name: string, size: number) => {
      const reply = bench.handle({ type: 'publish', id: 5, topic: name, payload: new Uint8Array(size) }).at(-1)
      return reply?.type === 'reply' ? reply.result : undefined
    }
    const sizeMax = 65_536 - gossipDataOverhead - 1
    expect(publish('t', sizeMax)).toMatchObject({ ok: true, neighbours: 0 })
    expect(publish('t', sizeMax + 1)).toEqual({ ok: false, error: { type: 'too-large', size: sizeMax + 1, sizeMax } })
    expect(publish('no spaces', 1)).toEqual({ ok: false, error: { type: 'bad-topic', topic: 'no spaces' } })
    expect([publish('t', 1)?.ok, publish('t', 1)?.ok]).toEqual([true, true])
    expect(publish('t', 1)).toEqual({ ok: false, error: { type: 'too-fast', retryAfterMs: 100 } })
  })
})

describe('trees', () => {
  test('[G11] a pruned branch gets announcements, gathered, and a graft makes it eager again', () => {
    const bench = subscribed()
    bench.hear(a, message('one').bytes)
    bench.hear(b, { type: 'prune', topic })
    const second = message('two')
    expect(kinds(bench.hear(a, second.bytes))).toEqual(['data to c'])
    expect(bench.gossip.deadline()).toBeLessThanOrEqual(250)
    const announced = sends(bench.wake(250))
    expect(announced).toEqual([
      { to: b, type: 'announce', topic, isPull: false, announcements: [{ shortId: second.shortId, hops: 1 }] },
    ])
    const [answer] = sends(bench.hear(b, { type: 'graft', topic, isEager: true, shortIds: [second.shortId] }))
    expect(answer).toMatchObject({ to: b, type: 'data', ttl: 32 })
    expect(kinds(bench.hear(a, message('three').bytes))).toEqual(['data to b', 'data to c'])
  })

  test('[G12] what a neighbour has announced is not announced to it', () => {
    const bench = subscribed()
    bench.hear(b, { type: 'prune', topic })
    const { bytes, shortId } = message('known')
    bench.hear(a, bytes)
    bench.hear(b, { type: 'announce', topic, isPull: false, announcements: [{ shortId, hops: 2 }] })
    expect(bench.wake(250)).toEqual([])
  })

  test('[G12] what is announced and not pushed is asked for, then of the next announcer, and given up in the end', () => {
    const bench = subscribed({ graftTriesMax: 3 })
    const { bytes, shortId } = message('missing')
    const announce = { type: 'announce', topic, isPull: false, announcements: [{ shortId, hops: 1 }] } as const
    expect(bench.hear(a, announce)).toEqual([])
    bench.hear(b, announce)
    expect(bench.gossip.deadline()).toBe(480)
    expect(kinds(bench.wake(480))).toEqual(['graft to a'])
    expect(kinds(bench.wake(980))).toEqual(['graft to b'])
    expect(kinds(bench.wake(1_480))).toEqual(['graft to a'])
    expect(bench.wake(1_980)).toEqual([])
    expect([bench.count('missing-given-up'), bench.count('fault-silent')]).toEqual([1, 3])
    expect(bench.gossip.info().missingCount).toBe(0)
    // It may still come.
    expect(bench.hear(c, bytes).some(({ type }) => type === 'deliver')).toBe(true)
  })

  test('[G12] a push in time is not asked for, and its lag is learnt', () => {
    const bench = subscribed()
    const { bytes, shortId } = message('late push')
    bench.hear(a, { type: 'announce', topic, isPull: false, announcements: [{ shortId, hops: 1 }] })
    bench.mono = 470
    bench.hear(b, bytes)
    expect(bench.gossip.info().graftWaitMs).toBe(470 * 1.2)
    expect(kinds(bench.wake(10_000)).filter((kind) => kind.startsWith('graft'))).toEqual([])
  })

  test('[G12] who was held up itself reads its links before it asks', () => {
    const bench = subscribed()
    const [first, second] = [message('first'), message('second')]
    const announcements = [first, second].map(({ shortId }) => ({ shortId, hops: 1 }))
    bench.hear(a, { type: 'announce', topic, isPull: false, announcements })
    expect(bench.wake(580)).toEqual([])
    expect(bench.gossip.deadline()).toBe(680)
    bench.hear(b, first.bytes)
    const [graft] = sends(bench.wake(680)).filter(({ type }) => type === 'graft')
    expect(graft).toMatchObject({ to: a, shortIds: [second.shortId] })
  })

  test('[G19] who gives something new while it is asked is slow, not silent', () => {
    const bench = subscribed()
    const { shortId } = message('missing')
    bench.hear(a, { type: 'announce', topic, isPull: true, announcements: [{ shortId, hops: 1 }] })
    bench.mono = 10
    bench.hear(a, message('other').bytes)
    bench.wake(500)
    expect(bench.count('fault-silent')).toBe(0)
    bench.wake(1_000)
    expect(bench.count('fault-silent')).toBe(1)
  })

  test('[G12] when the asked neighbour goes, the next is asked at once', () => {
    const bench = subscribed()
    const { shortId } = message('missing')
    const announce = { type: 'announce', topic, isPull: true, announcements: [{ shortId, hops: 1 }] } as const
    bench.hear(a, announce)
    bench.hear(b, announce)
    expect(kinds(bench.handle({ type: 'neighbour-down', neighbour: a }))).toContain('graft to b')
  })

  test('[G11] of two messages under way only the one with the lower id cuts', () => {
    const bench = subscribed()
    const pair = [message('one'), message('two')].toSorted((x, y) => (bytesToHex(x.id) < bytesToHex(y.id) ? -1 : 1))
    const [low, high] = pair
    if (low === undefined || high === undefined) throw new Error('two messages')
    bench.hear(a, low.bytes)
    bench.hear(a, high.bytes)
    expect(bench.hear(b, high.bytes)).toEqual([])
    expect(bench.count('spared-cuts')).toBe(1)
    expect(kinds(bench.hear(b, low.bytes))).toEqual(['prune to b'])
  })

  test('[G13] what makes the tree anew goes to everybody, and joins the branch that it came on', () => {
    const bench = subscribed({ renewMs: 100, renewMessagesMin: 2, settleMs: 0 })
    bench.hear(a, message('one').bytes)
    bench.hear(b, { type: 'prune', topic })
    bench.mono = 200
    const anew = message('two', { renews: true }).bytes
    const outputs = sends(bench.hear(b, anew))
    expect(outputs.map(({ type, to }) => `${type} to ${to}`)).toEqual(['graft to b', 'data to a', 'data to c'])
    expect(outputs[0]).toMatchObject({ isEager: true, shortIds: [] })
    expect(outputs[1]).toMatchObject({ renews: true })
    // The old way is cut; what crosses on a branch that is none says nothing.
    expect(kinds(bench.hear(a, anew))).toEqual(['prune to a'])
    expect(bench.hear(a, anew)).toEqual([])
    expect(kinds(bench.hear(c, message('three').bytes))).toEqual(['data to b'])
  })

  test('[G13] asked for too soon, it is a message like others', () => {
    const bench = subscribed({ renewMs: 1_000, renewMessagesMin: 4 })
    bench.hear(a, message('one').bytes)
    bench.hear(b, { type: 'prune', topic })
    const anew = (text: string, mono: number) => {
      bench.mono = mono
      const outputs = bench.hear(a, message(text, { renews: true }).bytes)
      return kinds(outputs).filter((kind) => kind.startsWith('data'))
    }
    expect([anew('two', 499), anew('three', 499), anew('four', 500)]).toEqual([
      ['data to c'],
      ['data to c'],
      ['data to b', 'data to c'],
    ])
    expect([anew('five', 1_000), anew('six', 1_000)]).toEqual([['data to c'], ['data to b', 'data to c']])
  })

  test('[G13] an own message makes it anew when it is old or doubtful and this node stands in the middle', () => {
    const bench = subscribed({ renewMs: 100, renewMessages: 6, renewMessagesMin: 3, settleMs: 50 })
    const publish = (): boolean => {
      bench.mono += 100
      const [first] = sends(bench.handle({ type: 'publish', id: 1, topic, payload: textToBytes('mine') }))
      return first?.type === 'data' && first.renews
    }
    // The first tree has its middle where somebody happened to speak first: it counts as doubtful.
    expect(Array.from({ length: 5 }, publish)).toEqual([false, false, false, false, true])
    expect(Array.from({ length: 7 }, publish)).toEqual([false, false, false, false, false, false, true])
    bench.hear(a, { type: 'prune', topic })
    bench.hear(b, { type: 'prune', topic })
    expect(Array.from({ length: 25 }, publish).indexOf(true)).toBe(24)
  })

  test('[G13] while a tree settles only the message that made it shapes it', () => {
    const bench = subscribed()
    bench.hear(a, message('one').bytes)
    bench.hear(b, { type: 'prune', topic })
    bench.mono = 600
    const crossing = message('two').bytes
    bench.hear(a, crossing)
    expect(bench.hear(c, crossing)).toEqual([])
    const { shortId } = message('three')
    const asked = bench.hear(b, { type: 'announce', topic, isPull: true, announcements: [{ shortId, hops: 1 }] })
    expect(sends(asked)).toEqual([{ to: b, type: 'graft', topic, isEager: false, shortIds: [shortId] }])
    expect(bench.gossip.info().topics[0]?.eager).toBe(2)
    bench.mono = 2_000
    const later = message('five').bytes
    bench.hear(a, later)
    expect(kinds(bench.hear(c, later))).toEqual(['prune to c'])
  })

  test('[G14] a new neighbour hears of what was said while it had none', () => {
    const bench = subscribed({}, [a])
    const { bytes, shortId } = message('before')
    bench.hear(a, bytes)
    bench.link(b)
    expect(sends(bench.wake(250))).toEqual([
      { to: b, type: 'announce', topic, isPull: false, announcements: [{ shortId, hops: 1 }] },
    ])
    // A tree that stands takes it in as a lazy branch, unless it has nobody else.
    bench.link(c, { isUrgent: true })
    expect(kinds(bench.hear(a, message('after').bytes))).toEqual(['data to c'])
  })

  test('[G10] E24: the first message goes to a random part of many neighbours', () => {
    const many = Array.from({ length: 12 }, (_, at) => `n${at}` as NeighbourId)
    const bench = subscribed({ fanOut: 3 }, many)
    const first = kinds(bench.hear(many[0] ?? a, message('x').bytes))
    expect(first).toHaveLength(3)
    expect(first).not.toContain('data to n0')
    expect(bench.gossip.info().topics).toEqual([{ topic, isSubscribed: true, neighbours: 12, eager: 4 }])
  })
})

describe('topics', () => {
  test('[G15] nothing of a topic goes to a neighbour that does not want it', () => {
    const bench = subscribed({}, [a])
    bench.link(b, { interests: [] })
    expect(bench.hear(a, message('x').bytes).filter(({ type }) => type === 'send')).toEqual([])
    expect(bench.hear(a, message('y', { topic: 'other' }).bytes)).toEqual([])
    expect(bench.count('dropped-unwanted')).toBe(1)
  })

  test('[G15] a topic is relayed for others: asked for, passed on and not delivered', () => {
    const bench = new Bench()
    bench.link(a, { interests: [{ topic, distance: 1 }] })
    const [hello] = sends(bench.link(b, { interests: [{ topic, distance: 0 }] }))
    expect(hello).toMatchObject({ type: 'hello', interests: [{ topic, distance: 2 }] })
    expect(kinds(bench.hear(a, message('x').bytes))).toEqual(['data to b'])
    expect(bench.count('delivered')).toBe(0)
    // Without the subscriber the neighbour at distance 1 is told, and one at distance 2 is too far to relay for.
    expect(sends(bench.handle({ type: 'neighbour-down', neighbour: b }))).toEqual([
      { to: a, type: 'topics', isFull: false, interests: [{ topic, distance: undefined }] },
    ])
    bench.hear(a, { type: 'topics', isFull: true, interests: [{ topic, distance: 2 }] })
    expect(bench.hear(a, message('y').bytes)).toEqual([])
  })

  test('[G15] subscribing and unsubscribing is told once', () => {
    const bench = new Bench()
    bench.link(a, { interests: [] })
    const told = (input: GossipInput) =>
      sends(bench.handle(input)).map((sent) => sent.type === 'topics' && sent.interests)
    expect(told({ type: 'subscribe', topic })).toEqual([[{ topic, distance: 0 }]])
    expect(told({ type: 'subscribe', topic })).toEqual([])
    expect(told({ type: 'unsubscribe', topic })).toEqual([[{ topic, distance: undefined }]])
    expect(told({ type: 'unsubscribe', topic })).toEqual([])
  })

  test('[G16] topics are bounded, own ones and those of a neighbour', () => {
    const bench = new Bench({ topicsMax: 2, topicsPerNeighbourMax: 3 })
    for (const name of ['x', 'y', 'z', 'no spaces']) bench.handle({ type: 'subscribe', topic: name })
    expect(bench.gossip.info().topics.map(({ topic: name }) => name)).toEqual(['x', 'y'])
    expect([bench.count('dropped-topics-max'), bench.count('bad-topic')]).toEqual([1, 1])
    bench.link(a, { interests: ['1', '2', '3', '4'].map((name) => ({ topic: name, distance: 0 })) })
    expect(bench.gossip.info().topics).toHaveLength(5)
  })
})
