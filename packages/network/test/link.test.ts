import { peerIdToKey } from '@miaou/core'
import {
  encodeFragment,
  encodeFrame,
  encodeKeepAlive,
  type FrameType,
  frameTypes,
  protocolVersion,
} from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { Link, type LinkOptions, type LinkOutput } from '../src/link.ts'
import { LinkHandshake } from '../src/link-handshake.ts'
import { defaultLinkLimits } from '../src/link-limits.ts'
import { SealedChannel } from '../src/sealed-channel.ts'
import { crypto } from './identities.ts'
import {
  alice,
  at,
  bob,
  connectedPair,
  firstWrite,
  type LinkPair,
  linkOptions,
  othersOf,
  writesOf,
} from './link-pair.ts'

const message = frameTypes.directMessage

function sent(link: Link, now: number, text: string, fleeting = false): LinkOutput[] {
  return link.send(at(now), message, Buffer.from(text), fleeting) ?? []
}

function received(outputs: readonly LinkOutput[]): string[] {
  return outputs.flatMap((output) => (output.type === 'frame' ? [Buffer.from(output.payload).toString()] : []))
}

function refusals(outputs: readonly LinkOutput[]): string[] {
  return outputs.flatMap((output) => (output.type === 'refused' ? [output.error.type] : []))
}

/** An authenticated peer (alice) that sends whatever frame it likes to a link of bob's. */
class HostilePeer {
  readonly link: Link
  readonly #channels: readonly SealedChannel[]

  constructor(changes: Partial<LinkOptions> = {}, name: Uint8Array = peerIdToKey(alice.peerId)) {
    this.link = new Link(linkOptions({ role: 'responder', ...changes }), at(0))
    const options = { ...linkOptions(), bytesMax: 65_536 }
    const handshake = new LinkHandshake(options)
    handshake.receive(at(0), firstWrite(this.link.receive(at(0), 0, handshake.start(at(0)))))
    this.link.receive(at(0), 0, handshake.finish(at(0)))
    this.link.accept(at(0))
    const keys = handshake.split()
    this.#channels = ([0, 1] as const).map(
      (channel) =>
        new SealedChannel({
          crypto,
          keys,
          channel,
          padded: false,
          role: 'initiator',
          protocolVersion,
          replayWindow: 1024,
          localKey: name,
          remoteKey: peerIdToKey(bob.peerId),
        }),
    )
  }

  send(type: FrameType, payload: Uint8Array, now = 0, channel: 0 | 1 = 0): LinkOutput[] {
    const sealed = this.#channels[channel]?.seal(type, payload, 0) ?? new Uint8Array(0)
    return this.link.receive(at(now), channel, sealed)
  }
}

describe('sealed messages', () => {
  test('[L20] a pipe message is the sequence and the sealed frame: nothing else shows', () => {
    const pair = connectedPair()
    const bytes = firstWrite(sent(pair.a, 0, 'a quiet word'))
    expect(bytes.length).toBe(8 + 86 + 12 + 16)
    expect(Buffer.from(bytes).toString('latin1')).not.toContain('a quiet word')
    expect(Buffer.from(bytes).toString('hex')).not.toContain(
      Buffer.from(pair.a.peer?.certificate.deviceKey ?? []).toString('hex'),
    )
    expect(received(pair.deliver('b', 0, bytes))).toEqual(['a quiet word'])
  })

  test('[L21] on a padded pipe every size is a bucket', () => {
    const pair = connectedPair({ padded: true }, { padded: true })
    const sizes = [0, 100, 146, 147, 900, 914, 915, 4_000, 16_000, 48_000, 49_152].map((size) => {
      const bytes = firstWrite(pair.a.send(at(0), message, new Uint8Array(size), false) ?? [])
      expect(received(pair.deliver('b', 0, bytes))[0]?.length).toBe(size)
      return bytes.length
    })
    expect(sizes).toEqual([256, 256, 256, 1024, 1024, 1024, 4096, 16_384, 16_384, 49_408, 49_408])
  })

  test('[L20] a link that forgot who is at the other end goes on with both keys; a relay needs no more', () => {
    const pair = connectedPair()
    pair.a.forgetPeer()
    pair.b.forgetPeer()
    expect([pair.a.peer, pair.b.peer]).toEqual([undefined, undefined])
    expect(received(pair.deliver('b', 0, firstWrite(sent(pair.a, 0, 'still'))))).toEqual(['still'])
    expect(received(pair.deliver('a', 0, firstWrite(sent(pair.b, 0, 'there'))))).toEqual(['there'])
    expect(() => new Link(linkOptions(), at(0)).forgetPeer()).toThrow('forgotten')
  })

  test('[L22] each channel and direction has keys of its own', () => {
    const pair = connectedPair()
    const onFirst = firstWrite(sent(pair.a, 0, 'x'))
    expect(refusals(pair.deliver('b', 1, onFirst))).toEqual(['undecryptable'])
    expect(refusals(pair.deliver('a', 0, onFirst))).toEqual(['undecryptable'])
    expect(received(pair.deliver('b', 0, onFirst))).toEqual(['x'])
  })

  test('[L23] the ordered channel takes the next sequence only, and goes on after a refusal', () => {
    const pair = connectedPair()
    const [first, second, third] = ['1', '2', '3'].map((text) => firstWrite(sent(pair.a, 0, text)))
    if (first === undefined || second === undefined || third === undefined) throw new Error('three were sent')
    expect(refusals(pair.deliver('b', 0, second))).toEqual(['undecryptable'])
    expect(refusals(pair.deliver('b', 0, third))).toEqual(['undecryptable'])
    expect(received(pair.deliver('b', 0, first))).toEqual(['1'])
    expect(refusals(pair.deliver('b', 0, first))).toEqual(['undecryptable'])
    expect(received(pair.deliver('b', 0, second))).toEqual(['2'])
    const jumped = third.slice()
    jumped.fill(0xff, 0, 8)
    expect(refusals(pair.deliver('b', 0, jumped))).toEqual(['undecryptable'])
    expect(received(pair.deliver('b', 0, third))).toEqual(['3'])
  })

  test('[L24] the unordered channel takes any order within 1,024, each once', () => {
    const pair = connectedPair()
    const bytes = Array.from({ length: 1_100 }, (_, i) => firstWrite(sent(pair.a, 0, String(i), true)))
    const deliver = (index: number) => pair.deliver('b', 1, bytes[index] ?? new Uint8Array(0))
    expect(received(deliver(5))).toEqual(['5'])
    expect(received(deliver(3))).toEqual(['3'])
    expect(refusals(deliver(3))).toEqual(['undecryptable'])
    expect(refusals(deliver(5))).toEqual(['undecryptable'])
    expect(received(deliver(1_030))).toEqual(['1030'])
    expect(received(deliver(7))).toEqual(['7'])
    expect(refusals(deliver(6))).toEqual(['undecryptable'])
    expect(received(deliver(1_029))).toEqual(['1029'])
    expect(refusals(deliver(1_030))).toEqual(['undecryptable'])
    expect(pair.b.isUp).toBe(true)
  })

  test('[L25] row B23: a message cut or changed anywhere is reported, the link stays, the genuine one still passes', () => {
    for (const padded of [false, true]) {
      const limits = { ...defaultLinkLimits, badMessagesMax: 10_000 }
      const pair = connectedPair({ padded, limits }, { padded, limits })
      const bytes = firstWrite(sent(pair.a, 0, 'genuine'))
      for (let size = 0; size < bytes.length; size++) {
        expect(refusals(pair.deliver('b', 0, bytes.subarray(0, size)))).toEqual(['undecryptable'])
        const mutated = bytes.slice()
        mutated[size] = (mutated[size] ?? 0) ^ 1
        expect(refusals(pair.deliver('b', 0, mutated))).toEqual(['undecryptable'])
      }
      expect(refusals(pair.deliver('b', 0, new Uint8Array(65_537)))).toEqual(['undecryptable'])
      expect(received(pair.deliver('b', 0, bytes))).toEqual(['genuine'])
      expect(pair.b.badMessages).toBe(2 * bytes.length + 1)
    }
  })

  test('[L26] the 64th refused message ends the link', () => {
    const pair = connectedPair()
    for (let i = 1; i < 64; i++) expect(pair.deliver('b', 0, new Uint8Array(50)).length).toBe(1)
    const last = pair.deliver('b', 0, new Uint8Array(50))
    expect(last.map(({ type }) => type)).toEqual(['refused', 'write', 'ended'])
    expect(last.at(-1)).toEqual({
      type: 'ended',
      reason: 'protocol-error',
      error: { type: 'undecryptable', channel: 0 },
    })
    expect(pair.deliver('b', 0, new Uint8Array(50))).toEqual([])
  })

  test('[L27] a link that nears its last sequence number ends itself', () => {
    const limits = { ...defaultLinkLimits, sequenceMax: 5 }
    const pair = connectedPair({ limits })
    const outputs = [1, 2, 3, 4, 5].map((i) => (pair.a.isUp ? sent(pair.a, 0, String(i)).map(({ type }) => type) : []))
    expect(outputs.flat().filter((type) => type === 'ended').length).toBe(1)
    const last = outputs.findLast((types) => types.length > 0)
    expect(last).toEqual(['write', 'write', 'ended'])
  })

  test('[L28] authentic bytes that are no frame of that peer are refused, and the link stays', () => {
    const named = new HostilePeer({}, peerIdToKey(bob.peerId))
    expect(refusals(named.send(message, Buffer.from('as somebody else')))).toEqual(['bad-frame'])
    const peer = new HostilePeer()
    expect(refusals(peer.send(0x77 as FrameType, new Uint8Array(3)))).toEqual(['bad-frame'])
    expect(refusals(peer.send(frameTypes.handshake, new Uint8Array(3)))).toEqual(['bad-frame'])
    expect(refusals(peer.send(frameTypes.handshakeAck, new Uint8Array(3)))).toEqual(['bad-frame'])
    expect(refusals(peer.send(frameTypes.keepAlive, new Uint8Array(1)))).toEqual(['bad-frame'])
    expect(refusals(peer.send(frameTypes.disconnect, new Uint8Array(0)))).toEqual(['bad-frame'])
    expect(refusals(peer.send(frameTypes.fragment, new Uint8Array(9)))).toEqual(['bad-frame'])
    expect(received(peer.send(message, Buffer.from('still here')))).toEqual(['still here'])
    expect(peer.link.badMessages).toBe(6)
  })
})

describe('fragments', () => {
  test('[L30] what is larger than 48 KiB travels in fragments and arrives whole', () => {
    for (const size of [49_153, 65_536, 98_304, 98_305, 1_048_576]) {
      const pair = connectedPair()
      const payload = new Uint8Array(size).map((_, i) => i % 251)
      pair.carry('a', pair.a.send(at(0), message, payload, false) ?? [])
      expect(pair.said.a).toEqual([])
      expect(pair.said.b).toEqual([{ type: 'frame', channel: 0, frameType: message, payload }])
    }
    const whole = connectedPair()
    expect(whole.a.send(at(0), message, new Uint8Array(49_152), false)?.length).toBe(1)
  })

  test('[L31] at most four fragments are under way: a small frame waits behind no more', () => {
    const pair = connectedPair()
    const outputs = pair.a.send(at(0), message, new Uint8Array(1_048_576), false) ?? []
    expect(writesOf(outputs).filter(({ bytes }) => bytes.length > 40_000).length).toBe(4)
    const small = sent(pair.a, 0, 'small')
    expect(writesOf(small).length).toBe(1)
    pair.carry('a', [...outputs, ...small])
    expect(pair.said.b.map((output) => (output.type === 'frame' ? output.payload.length : 0))).toEqual([5, 1_048_576])
  })

  test('[L32] above 1 MiB, or when 8 MiB wait, a payload is refused', () => {
    const pair = connectedPair()
    expect(pair.a.send(at(0), message, new Uint8Array(1_048_577), false)).toBe(undefined)
    let taken = 0
    while (taken < 100 && pair.a.send(at(0), message, new Uint8Array(1_048_576), false) !== undefined) taken += 1
    // One is under way, eight wait.
    expect(taken).toBe(9)
    expect(pair.a.isUp).toBe(true)
  })

  test('[L33] a flood of fragments stays within 4 reassemblies and 1 MiB, and ends the link', () => {
    const peer = new HostilePeer()
    const types: string[] = []
    for (let id = 0; id < 200 && peer.link.isUp; id++) {
      const fragment = encodeFragment({ id, index: 0, count: 22, type: message, bytes: new Uint8Array(49_152) })
      types.push(...refusals(peer.send(frameTypes.fragment, fragment)))
    }
    expect(types.length).toBe(64)
    expect(peer.link.isUp).toBe(false)
  })

  test('[L33] fragments that never become whole are given up after 30 s', () => {
    const peer = new HostilePeer()
    const fragment = encodeFragment({ id: 1, index: 0, count: 2, type: message, bytes: new Uint8Array(49_152) })
    peer.send(frameTypes.fragment, fragment, 0)
    for (let now = 5_000; now <= 30_000; now += 5_000) {
      peer.send(frameTypes.keepAlive, encodeKeepAlive({ kind: 'ping', nonce: 1 }), now)
      peer.link.wake(at(now))
    }
    const rest = encodeFragment({ id: 1, index: 1, count: 2, type: message, bytes: new Uint8Array(5) })
    expect(received(peer.send(frameTypes.fragment, rest, 30_001))).toEqual([])
  })
})

describe('bundles', () => {
  const frames = (...sizes: number[]) =>
    sizes.map((size, i) => ({ frameType: message, payload: new Uint8Array(size).fill(i + 1) }))

  function carried(sizes: readonly number[]): { readonly writeCount: number; readonly sizes: number[] } {
    const pair = connectedPair()
    const { outputs, refusedCount } = pair.a.sendAll(at(0), frames(...sizes))
    expect(refusedCount).toBe(0)
    pair.carry('a', outputs)
    const said = pair.said.b.filter((output) => output.type === 'frame')
    expect(said.every(({ payload }) => payload.every((byte) => byte === payload[0]))).toBe(true)
    return { writeCount: writesOf(outputs).length, sizes: said.map(({ payload }) => payload.length) }
  }

  test('[L34] a burst travels in few messages and arrives one by one, in order', () => {
    const hundred = Array.from({ length: 100 }, (_, i) => 300 + i)
    expect(carried(hundred)).toEqual({ writeCount: 3, sizes: hundred })
    expect(carried([5])).toEqual({ writeCount: 1, sizes: [5] })
    expect(carried([])).toEqual({ writeCount: 0, sizes: [] })
    expect(carried([0, 0, 1])).toEqual({ writeCount: 1, sizes: [0, 0, 1] })
  })

  test('[L34] what does not fit a bundle travels alone, between those before and after it', () => {
    expect(carried([10, 10, 16_271, 16_272, 10, 10])).toEqual({
      writeCount: 4,
      sizes: [10, 10, 16_271, 16_272, 10, 10],
    })
  })

  test('[L34] a padded bundle fills its bucket and no more', () => {
    const pair = connectedPair({ padded: true }, { padded: true })
    const { outputs } = pair.a.sendAll(at(0), frames(8_134, 8_134))
    expect(writesOf(outputs).map(({ bytes }) => bytes.length)).toEqual([16_384])
  })

  test('[L34] a bundle is refused whole, and the link stays', () => {
    const peer = new HostilePeer()
    expect(refusals(peer.send(frameTypes.bundle, Uint8Array.of(message, 0, 1, 7)))).toEqual(['bad-frame'])
    const nested = Uint8Array.of(message, 0, 1, 7, frameTypes.bundle, 0, 1, 7)
    expect(refusals(peer.send(frameTypes.bundle, nested))).toEqual(['bad-frame'])
    expect(received(peer.send(frameTypes.bundle, Uint8Array.of(message, 0, 1, 65, message, 0, 1, 66)))).toEqual([
      'A',
      'B',
    ])
  })

  test('[L27] a link that ends in the middle of a burst counts what it could not send', () => {
    const pair = connectedPair({ limits: { ...defaultLinkLimits, sequenceMax: 3 } })
    const { outputs, refusedCount } = pair.a.sendAll(at(0), frames(16_000, 16_000, 16_000, 16_000, 16_000))
    expect(pair.a.isUp).toBe(false)
    const sentCount = writesOf(outputs).filter(({ bytes }) => bytes.length > 16_000).length
    expect(sentCount + refusedCount).toBe(5)
    expect(refusedCount).toBeGreaterThan(0)
  })
})

describe('keep-alive', () => {
  /** A pair that has settled: nothing unanswered, round trip 0. */
  function settledPair(): LinkPair {
    const pair = connectedPair()
    expect(pair.a.deadline()).toBe(30_000)
    return pair
  }

  test('[L40] after 30 s without a word a ping goes out, is answered on its channel, and the link is quiet again', () => {
    const pair = settledPair()
    expect(pair.a.wake(at(29_999))).toEqual([])
    pair.now = 30_000
    const outputs = pair.a.wake(at(30_000))
    expect(writesOf(outputs).map(({ channel }) => channel)).toEqual([0])
    pair.carry('a', outputs)
    expect(pair.a.deadline()).toBe(60_000)
    expect(pair.b.deadline()).toBe(60_000)
  })

  test('[L41] an unanswered frame is probed after 500 ms, 1, 2, 4, 7 s and the link is silent after 10 s', () => {
    const pair = settledPair()
    sent(pair.a, 1_000, 'lost')
    const wakes: number[] = []
    let last: LinkOutput[] = []
    for (let i = 0; i < 20 && pair.a.isUp; i++) {
      const now = pair.a.deadline()
      wakes.push(now)
      last = pair.a.wake(at(now))
    }
    expect(wakes).toEqual([1_500, 2_000, 3_000, 5_000, 8_000, 11_000])
    expect(last).toEqual([{ type: 'ended', reason: 'silent', error: { type: 'silent', forMs: 10_000 } }])
  })

  test('[L41] the probe waits four round trips where those are longer', () => {
    const pair = settledPair()
    const ping = pair.a.ping(at(0), 7) ?? []
    pair.now = 4_000
    const pong = pair.deliver('b', 0, firstWrite(ping))
    expect(othersOf(pair.deliver('a', 0, firstWrite(pong)))).toEqual([{ type: 'pong', id: 7, latencyMs: 4_000 }])
    // RFC 6298: 7/8 × 0 + 1/8 × 4000.
    expect(pair.a.latencyMs).toBe(500)
    sent(pair.a, 10_000, 'x')
    expect(pair.a.deadline()).toBe(12_000)
  })

  test('[L42] probes alternate between the channels, so that data in the way of one does not end the link', () => {
    const pair = settledPair()
    sent(pair.a, 0, 'lost')
    const channels: number[] = []
    for (let i = 0; i < 5; i++) {
      channels.push(...writesOf(pair.a.wake(at(pair.a.deadline()))).map(({ channel }) => channel))
    }
    expect(channels).toEqual([1, 0, 1, 0, 1])
  })

  test('[L43] what comes sooner than a round trip after a frame does not answer it', () => {
    const pair = settledPair()
    const ping = pair.a.ping(at(0), 1) ?? []
    pair.now = 800
    pair.deliver('a', 0, firstWrite(pair.deliver('b', 0, firstWrite(ping))))
    const word = firstWrite(sent(pair.b, 990, 'before'))
    sent(pair.a, 1_000, 'lost')
    pair.now = 1_001
    expect(received(pair.deliver('a', 0, word))).toEqual(['before'])
    expect(pair.a.deadline()).toBe(1_501)
  })

  test('[L44] a machine that slept probes first: no link is silent before three probes had their time', () => {
    const pair = settledPair()
    sent(pair.a, 1_000, 'x')
    const morning = 8 * 3_600_000
    const wakes: number[] = []
    expect(pair.a.wake(at(morning)).map(({ type }) => type)).toEqual(['write'])
    for (let i = 0; i < 9 && pair.a.isUp; i++) {
      wakes.push(pair.a.deadline() - morning)
      pair.a.wake(at(pair.a.deadline()))
    }
    expect(wakes).toEqual([500, 1_500, 3_500])
  })

  test('[L45] a changed network is answered by a probe at once', () => {
    const pair = settledPair()
    expect(writesOf(pair.a.doubt(at(5))).length).toBe(1)
  })

  test('[L46] pings have a bound', () => {
    const pair = settledPair()
    for (let id = 0; id < 64; id++) expect(pair.a.ping(at(0), id)?.length).toBe(1)
    expect(pair.a.ping(at(0), 64)).toBe(undefined)
  })

  test('[L40] an early wake changes nothing', () => {
    const pair = settledPair()
    const before = pair.a.deadline()
    expect(pair.a.wake(at(10))).toEqual([])
    expect(pair.a.deadline()).toBe(before)
  })
})

describe('the end of a link', () => {
  test.each(['bye', 'busy', 'shutdown', 'protocol-error'] as const)('[L47] %s is told', (reason) => {
    const pair = connectedPair()
    const outputs = pair.a.close(at(0), reason)
    expect(othersOf(outputs)).toEqual([{ type: 'ended', reason }])
    expect(pair.deliver('b', 0, firstWrite(outputs))).toEqual([
      { type: 'ended', reason, error: { type: 'refused', reason } },
    ])
    expect(pair.a.close(at(0), 'bye')).toEqual([])
  })

  test('[L80] a retired link says its last word, hands over what it had not begun, and still listens', () => {
    const pair = connectedPair()
    const large = new Uint8Array(600_000)
    const begun = pair.a.send(at(0), message, large, false) ?? []
    pair.a.send(at(0), message, new Uint8Array(60_000), false)
    pair.a.ping(at(0), 5)
    const { outputs, leftover } = pair.a.retire(at(0), 'upgraded')
    expect(leftover.messages.map(({ payload }) => payload.length)).toEqual([60_000])
    expect(leftover.pingIds).toEqual([5])
    // The ping of the manager was written between the two: the pipe keeps its order.
    expect(writesOf(begun).length + writesOf(outputs).length).toBe(8 + 9 + 1)
    const answer = sent(pair.b, 0, 'under way')
    expect(received(pair.deliver('a', 0, firstWrite(answer)))).toEqual(['under way'])
    expect(pair.a.deadline()).toBe(Number.POSITIVE_INFINITY)
  })

  test('[L80] the other end of a retired link may still send', () => {
    const pair = connectedPair()
    pair.carry('a', pair.a.retire(at(0), 'duplicate').outputs)
    expect(pair.said.b).toEqual([{ type: 'remote-retired', reason: 'duplicate' }])
    expect([pair.b.isUp, pair.b.isRemoteRetired]).toEqual([true, true])
    expect(received(pair.deliver('a', 0, firstWrite(sent(pair.b, 0, 'last'))))).toEqual(['last'])
  })
})

test('a frame of a link is bound to its pipe message: the checksum covers header and payload (row B05)', () => {
  const bytes = encodeFrame(
    { type: message, sequence: 1, peerId: new Uint8Array(32), timestamp: 5, payload: Uint8Array.of(1, 2) },
    (data) => crypto.blake3(data),
  )
  expect(Buffer.from(bytes.subarray(-32))).toEqual(Buffer.from(crypto.blake3(bytes.subarray(0, -32))))
})
