import { concatBytes } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { defaultDatagramsLimits, SecureDatagrams } from '@miaou/network'
import { OverlayNode, type OverlayNodeCommand, type OverlayNodeOutput } from '@miaou/peer/overlay'
import { type Endpoint, encodeOverlayMessage, type OverlayMessage } from '@miaou/protocol'
import { repairMac } from './datagram-targets.ts'
import { createOverlaySamples, sampleContacts } from './overlay-samples.ts'
import { FuzzRandom } from './random.ts'
import { sampleBytes, sampleTime } from './samples.ts'
import type { FuzzTarget, Outcome } from './target.ts'

/** A peer with a valid key that says what the fuzzer wants, over sessions that are in order. */
interface Peer {
  readonly datagrams: SecureDatagrams
  readonly key: Uint8Array
  readonly endpoint: Endpoint
  /** Requests of the node that wait for an answer: session and message. */
  readonly asked: { readonly session: number; readonly payload: Uint8Array }[]
  /** Write token that the node gave it last. */
  token: Uint8Array | undefined
}

/** First byte of an input: what is done with the rest. */
const deeds = { raw: 0, sealed: 1, answer: 2, first: 3, command: 4, pause: 5 } as const
const deedCount = Object.keys(deeds).length
const headerSize = 3
const ping = encodeOverlayMessage({ type: 'ping', transaction: 1, isServer: true })
/** Answers of each peer that wait for the fuzzer's choice; older ones are answered as an honest node would. */
const askedMax = 8
/** Longest pause of one input, ms: sessions and tokens grow old in it. */
const pauseMs = [1, 20, 400, 1_000, 5_001, 61_000, 600_000, 3_700_000] as const
const self: Endpoint = { host: '198.51.100.7', port: 9999 }
const hosts = [
  '203.0.113.5',
  '192.0.2.9',
  '10.0.0.8',
  '127.0.0.1',
  '2001:db8:5::1',
  'fe80::7',
  '192.168.7.9',
  '8.8.4.4',
]

/**
 * A whole node of the overlay with live sessions: any bytes from anywhere, well-sealed messages of any content, wrong
 * answers to what it asks, first datagrams, commands and pauses. Throws where a bound or a promise is broken. Accepted is
 * all: what the corpus tells apart is which counters rose and what came out.
 */
export function overlayNodeTarget(crypto: Crypto): FuzzTarget {
  const samples = createOverlaySamples(crypto)
  const payloads = samples.messages.map(encodeOverlayMessage)
  const many = [sampleContacts(crypto, 20, 0), sampleContacts(crypto, 0, 20)].map((contacts): OverlayMessage => {
    const token = sampleBytes(crypto, 'token', 8)
    return { type: 'find-node-response', transaction: 1, isServer: true, token, contacts }
  })
  const all = [...payloads, ...many.map(encodeOverlayMessage)]
  const input = (deed: number, peer: number, detail: number, rest: Uint8Array = new Uint8Array(0)) =>
    concatBytes(Uint8Array.of(deed, peer, detail), rest)
  const seeds = [
    ...all.flatMap((payload, at) =>
      [deeds.sealed, deeds.answer, deeds.first].map((deed) => input(deed, at, 0, payload)),
    ),
    ...[1, 2, 3, 4, 5, 6].map((type) =>
      input(deeds.raw, type, 0, sampleBytes(crypto, `raw ${type}`, 60).fill(type, 0, 1)),
    ),
    input(deeds.raw, 6, 0, concatBytes(Uint8Array.of(6), sampleBytes(crypto, 'nonce of a punch', 8))),
    ...[0, 1, 2, 3, 4, 5].map((kind) => input(deeds.command, 1, kind, samples.records[kind % 5])),
    ...pauseMs.map((_, at) => input(deeds.pause, 0, at)),
  ]
  const run = new NodeRun(crypto)
  return {
    name: 'overlay-node',
    seeds,
    decode: (bytes) => run.play(bytes),
    repair: (bytes) => {
      if (bytes[0] !== deeds.raw) return bytes
      return concatBytes(bytes.subarray(0, headerSize), repairMac(crypto, run.key, bytes.subarray(headerSize)))
    },
    sizeMax: 1_300,
    weight: 0.2,
    // Tables of the node and of its peers grow now and then.
    slackBytes: 16 * 1024 * 1024,
  }
}

class NodeRun {
  readonly key: Uint8Array
  readonly #crypto: Crypto
  readonly #random: FuzzRandom
  readonly #node: OverlayNode
  readonly #peers: Peer[]
  #mono = 1
  #nextId = 1
  #pauses = 0

  constructor(crypto: Crypto) {
    this.#crypto = crypto
    this.#random = new FuzzRandom(1)
    const keyPair = crypto.x25519KeyPair(sampleBytes(crypto, 'fuzzed node', 32))
    this.key = keyPair.publicKey
    const jitter = { next: () => this.#random.below(1_000) / 1_000 }
    // Few agreements a second: the fuzzer's time is to be spent behind the handshake.
    const datagrams = { handshakesPerSecond: 20, cookieHandshakesPerSecond: 20 }
    const contactsMax = 512
    this.#node = new OverlayNode({ crypto, random: this.#random, jitter, keyPair, datagrams, contactsMax })
    this.#peers = hosts.map((host, at) => this.#peer(`fuzzing peer ${at}`, { host, port: 4_000 + at }))
    const endpoints = [self, { host: '2001:db8::7', port: 9999 }]
    this.#perform(this.#node.handle(this.#now(), { type: 'listening', endpoints }))
    for (let round = 0; round < 2; round++) for (const peer of this.#peers) this.#perform(this.#say(peer, ping, true))
  }

  play(bytes: Uint8Array): Outcome {
    this.#mono += 1
    const before = this.#node.info().counters
    const [deed = 0, who = 0, detail = 0] = bytes
    const rest = bytes.subarray(headerSize)
    const peer = this.#peers[who % this.#peers.length]
    const outputs = peer === undefined ? [] : this.#do(deed % deedCount, peer, who, detail, rest)
    this.#perform(outputs)
    if (this.#node.deadline() <= this.#mono) this.#perform(this.#node.handle(this.#now(), { type: 'wake' }))
    this.#answerOld()
    this.#check()
    const after = this.#node.info().counters
    const rose = Object.keys(after).filter((name) => after[name] !== before[name])
    const sent = outputs.map((output) => (output.type === 'datagram' ? `sent-${output.bytes[0]}` : output.type))
    return {
      ok: true,
      value: {
        deed: `deed-${'abcdef'[deed % deedCount]}`,
        rose: rose.join(' ').slice(0, 64),
        sent: sent.join(' ').slice(0, 64),
      },
    }
  }

  #do(deed: number, peer: Peer, who: number, detail: number, rest: Uint8Array): readonly OverlayNodeOutput[] {
    switch (deed) {
      case deeds.raw:
        return this.#raw(peer, who, rest)
      case deeds.sealed:
        return this.#say(peer, withToken(rest, detail < 192 ? peer.token : undefined), [1, 3, 5].includes(rest[1] ?? 0))
      case deeds.answer:
        return this.#reply(peer, detail, rest)
      case deeds.first: {
        const stranger = this.#peer(`stranger ${detail}`, { host: `${20 + detail}.7.7.7`, port: 1 + who })
        return this.#say(stranger, rest, true)
      }
      case deeds.command:
        return this.#node.handle(this.#now(), {
          type: 'command',
          id: this.#nextId++,
          command: this.#command(peer, detail, rest),
        })
      default:
        this.#pause(detail)
        return this.#node.handle(this.#now(), { type: 'wake' })
    }
  }

  /** Seldom a long one: sessions have to live for what is said in them to be heard. */
  #pause(detail: number): void {
    const ms = pauseMs[detail % pauseMs.length] ?? 1
    this.#mono += this.#pauses++ % 64 === 0 ? ms : Math.min(ms, 400)
  }

  /** From the peer's address, or from one that nobody was heard from. */
  #raw({ endpoint }: Peer, who: number, bytes: Uint8Array): readonly OverlayNodeOutput[] {
    const from = who < 128 ? endpoint : { host: `${who}.1.2.3`, port: 77 }
    const outputs = this.#node.handle(this.#now(), { type: 'datagram', from, bytes })
    const sent = outputs.reduce((sum, output) => sum + (output.type === 'datagram' ? output.bytes.length : 0), 0)
    if (who >= 128 && sent > bytes.length) throw new Error('an answer is larger than its question')
    return outputs
  }

  /** A payload in a session of the peer's, else inside (`opens`) or behind its first datagram. */
  #say(peer: Peer, payload: Uint8Array, opens: boolean): readonly OverlayNodeOutput[] {
    const send = { type: 'send', key: this.key, endpoint: self, payload, opens, token: 1 } as const
    return this.#hand(peer, peer.datagrams.handle(this.#now(), send))
  }

  /** A payload as the answer to something that the node has asked: with its transaction, mostly. */
  #reply(peer: Peer, detail: number, payload: Uint8Array): readonly OverlayNodeOutput[] {
    const request = peer.asked.shift()
    if (request === undefined) return []
    const answer = payload.slice()
    if (detail < 192 && answer.length >= 6) answer.set(request.payload.subarray(2, 6), 2)
    return this.#hand(
      peer,
      peer.datagrams.handle(this.#now(), { type: 'answer', session: request.session, payload: answer }),
    )
  }

  #command(peer: Peer, detail: number, rest: Uint8Array): OverlayNodeCommand {
    const target = new Uint8Array(32)
    target.set(rest.subarray(0, 32))
    const contact = { publicKey: peer.key, endpoint: peer.endpoint }
    const paths = 1 + (detail >> 5)
    switch (detail % 6) {
      case 0:
        return { type: 'put', record: rest, republish: detail > 128, paths }
      case 1:
        return { type: 'get', key: target, paths }
      case 2:
        return { type: 'find-node', target, paths }
      case 3:
        return { type: 'ping', contact }
      case 4:
        return { type: 'punch', publicKey: target, rendezvous: contact }
      default:
        return { type: 'bootstrap', contacts: [contact, { publicKey: target, endpoint: peer.endpoint }] }
    }
  }

  /** Hands a peer's datagrams to the node. Gives what the last one led to. */
  #hand(peer: Peer, sent: ReturnType<SecureDatagrams['handle']>): readonly OverlayNodeOutput[] {
    let outputs: readonly OverlayNodeOutput[] = []
    for (const output of sent) {
      if (output.type !== 'datagram') continue
      this.#perform(outputs)
      outputs = this.#node.handle(this.#now(), { type: 'datagram', from: peer.endpoint, bytes: output.bytes })
    }
    return outputs
  }

  /** What the node sends reaches the peers, who keep its questions. */
  #perform(outputs: readonly OverlayNodeOutput[]): void {
    for (const output of outputs) {
      if (output.type !== 'datagram') continue
      if (output.bytes.length > 1_200) throw new Error('a datagram is too large')
      const peer = this.#peers.find(
        ({ endpoint }) => endpoint.host === output.to.host && endpoint.port === output.to.port,
      )
      if (peer === undefined) continue
      const heard = peer.datagrams.handle(this.#now(), { type: 'datagram', from: self, bytes: output.bytes })
      for (const message of heard) {
        if (message.type !== 'message') continue
        const type = message.payload[1] ?? 0
        if (type === 4 || type === 6) peer.token = message.payload.slice(6, 14)
        if ([1, 3, 5, 7, 9, 12, 14].includes(type))
          peer.asked.push({ session: message.session, payload: message.payload })
      }
      this.#perform(this.#hand(peer, heard))
    }
  }

  #answerOld(): void {
    for (const peer of this.#peers) {
      while (peer.asked.length > askedMax) this.#perform(this.#reply(peer, 0, honestAnswer(peer.asked[0]?.payload[1])))
      if (peer.datagrams.deadline() <= this.#mono) {
        this.#perform(this.#hand(peer, peer.datagrams.handle(this.#now(), { type: 'wake' })))
      }
    }
  }

  #check(): void {
    const { sessions, kademlia } = this.#node.info()
    const { sessionsMax, unprovenMax } = defaultDatagramsLimits
    if (sessions > sessionsMax + unprovenMax) throw new Error('too many sessions')
    if (kademlia.contacts > 512 || kademlia.requestsInFlight > 1_024 || kademlia.operations > 64) {
      throw new Error('too much is held')
    }
    if (Number.isNaN(this.#node.deadline())) throw new Error('no deadline')
  }

  #peer(name: string, endpoint: Endpoint): Peer {
    const staticKey = this.#crypto.x25519KeyPair(sampleBytes(this.#crypto, name, 32))
    const datagrams = new SecureDatagrams({ crypto: this.#crypto, random: this.#random, staticKey, opens: () => true })
    return { datagrams, key: staticKey.publicKey, endpoint, asked: [], token: undefined }
  }

  #now(): { readonly mono: number; readonly wall: number } {
    return { mono: this.#mono, wall: sampleTime + this.#mono }
  }
}

/** A store with a token that is good. */
function withToken(payload: Uint8Array, token: Uint8Array | undefined): Uint8Array {
  if (token === undefined || payload[1] !== 7 || payload.length < 14) return payload
  const good = payload.slice()
  good.set(token, 6)
  return good
}

/** What an honest node that knows nobody answers; the transaction is set by the caller. */
function honestAnswer(type: number | undefined): Uint8Array {
  const [none, common] = [new Uint8Array(0), { transaction: 0, isServer: true }]
  const [token, contacts] = [new Uint8Array(8), { v4: none, v6: none }]
  switch (type) {
    case 1:
      return encodeOverlayMessage({ ...common, type: 'pong', observed: none })
    case 3:
      return encodeOverlayMessage({ ...common, type: 'find-node-response', token, contacts })
    case 5:
      return encodeOverlayMessage({ ...common, type: 'find-value-response', token, record: undefined, contacts })
    case 7:
      return encodeOverlayMessage({ ...common, type: 'store-response', status: 'stored' })
    case 12:
      return encodeOverlayMessage({ ...common, type: 'rendezvous-response', status: 'accepted', observed: none })
    case 14:
      return encodeOverlayMessage({ ...common, type: 'punch-response', status: 'unknown', endpoint: none })
    default:
      return encodeOverlayMessage({ ...common, type: 'reach-response' })
  }
}
