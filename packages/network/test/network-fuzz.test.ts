import { encodeFrame, encodeSignal, type FrameType, frameTypes } from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { addressScope, filterSdp, hostOfAddress, parseCandidate } from '../src/candidates.ts'
import { Network } from '../src/connection-manager.ts'
import type { NetworkInput, NetworkOutput } from '../src/interface.ts'
import type { ChannelIndex, PipeId, TransportKind } from '../src/ports.ts'
import { crypto, SeededRandom, testIdentity } from './identities.ts'
import { alice, at, bob, carol } from './link-pair.ts'

const peers = [bob, carol, testIdentity(70), testIdentity(71)].map(({ peerId }) => peerId)
const transports: readonly TransportKind[] = ['websocket', 'webrtc', 'memory', 'circuit']

const circuit = 'circuit:AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA@ws://relay:9000'

/** Inputs in no order, from a host and peers without manners. */
class Chaos {
  readonly #random: SeededRandom
  readonly pipes: PipeId[] = []
  readonly heard: Uint8Array[] = []
  #inbound = 1_000_000

  constructor(random: SeededRandom) {
    this.#random = random
  }

  #pick<T>(values: readonly [T, ...T[]] | readonly T[]): T {
    return values[this.#random.below(values.length)] as T
  }

  #bytes(): Uint8Array {
    const random = this.#random
    const choice = random.below(4)
    if (choice === 0 && this.heard.length > 0) return this.#pick(this.heard)
    if (choice === 1 && this.heard.length > 0) {
      const bytes = this.#pick(this.heard).slice(0, 1 + random.below(600))
      bytes[random.below(bytes.length)] = random.below(256)
      return bytes
    }
    if (choice === 2) {
      const type = this.#pick(Object.values(frameTypes)) as FrameType
      const payload = random.bytes(random.below(120))
      const frame = { type, sequence: random.below(3), peerId: new Uint8Array(32), timestamp: 1, payload }
      return encodeFrame(frame, (data) => crypto.blake3(data))
    }
    return random.bytes(random.below(200))
  }

  next(): NetworkInput {
    const random = this.#random
    const peerId = this.#pick(peers)
    const addresses = Array.from({ length: random.below(4) }, () =>
      this.#pick(['ws://a', 'ws://b', 'x:', 'wss://c', circuit, 'circuit:']),
    )
    const choice = random.below(16)
    if (choice < 6) return { type: 'transport', event: this.#event() }
    if (choice === 6) return { type: 'wanted', peers: [{ peerId, addresses }] }
    if (choice === 7) return { type: 'addresses', peerId, addresses }
    if (choice === 8) return { type: 'connect', peerId, addresses }
    if (choice === 9) return { type: 'connect-address', address: this.#pick(['ws://a', '']) }
    if (choice === 10)
      return { type: 'disconnect', peerId, reason: this.#pick(['bye', 'blocked', 'silent', 'upgraded']) }
    if (choice === 11) return { type: 'ping', peerId, id: random.below(9) }
    if (choice === 12) return { type: 'network-changed' }
    if (choice === 13) {
      const payload = encodeSignal({
        type: 'offer',
        connectionId: `conn_${alice.peerId}_${peerId}`,
        attempt: random.below(3),
        sdp: 'v=0',
      })
      return { type: 'send', peerId, frameType: frameTypes.signal, payload, fleeting: random.chance(0.5) }
    }
    return { type: 'wake' }
  }

  #event(): Extract<NetworkInput, { type: 'transport' }>['event'] {
    const random = this.#random
    const pipe = this.pipes.length > 0 && random.chance(0.8) ? this.#pick(this.pipes) : (this.#inbound++ as PipeId)
    const choice = random.below(11)
    if (choice < 3) {
      this.pipes.push(pipe)
      const binding = random.chance(0.5) ? { binding: { local: random.bytes(32), remote: random.bytes(32) } } : {}
      return {
        type: 'opened',
        pipe,
        transport: this.#pick(transports),
        direction: random.chance(0.5) ? 'in' : 'out',
        channels: random.chance(0.5) ? 1 : 2,
        padded: random.chance(0.5),
        remoteAddress: 'ws://somebody',
        ...binding,
      }
    }
    if (choice < 7) return { type: 'message', pipe, channel: random.below(2) as ChannelIndex, bytes: this.#bytes() }
    if (choice === 7) return { type: 'closed', pipe }
    if (choice === 8) return { type: 'description', pipe, description: { type: 'offer', sdp: 'v=0' } }
    if (choice === 9) {
      const localCandidate = this.#pick(['relay udp 198.51.100.1:5', 'host udp 10.0.0.1:5', ''])
      return { type: 'path', pipe, path: { kind: this.#pick(['lan', 'direct', 'relayed']), localCandidate } }
    }
    return { type: 'candidate', pipe, candidate: { candidate: 'c', sdpMid: null, sdpMLineIndex: null } }
  }

  hear(outputs: readonly NetworkOutput[]): void {
    for (const output of outputs) {
      if (output.type === 'dial' || output.type === 'offer') this.pipes.push(output.pipe)
      if (output.type === 'write') this.heard.push(output.bytes)
    }
    this.heard.splice(0, this.heard.length - 50)
    this.pipes.splice(0, this.pipes.length - 80)
  }
}

describe('whatever comes in any order', () => {
  test.each(Array.from({ length: 10 }, (_, seed) => seed))('[L1] seed %i: nothing throws, nothing grows', (seed) => {
    const random = new SeededRandom(seed)
    const chaos = new Chaos(random)
    let nextPipe = 1
    const limits = { rememberedMax: 3, handshakesInMax: 8, wantedMax: 4 }
    const network = new Network(
      {
        crypto,
        random,
        jitter: random,
        identity: alice,
        features: [],
        webrtc: true,
        relayOnly: seed % 3 === 2,
        limits,
      },
      () => nextPipe++ as PipeId,
    )
    let mono = 0
    for (let step = 0; step < 1_500; step++) {
      mono += random.below(200)
      chaos.hear(network.handle(at(mono), chaos.next()))
      const sizes = network.sizes()
      expect(sizes.connections).toBeLessThanOrEqual(4)
      expect(sizes.handshakesIn).toBeLessThanOrEqual(8)
      expect(sizes.pipes).toBeLessThan(250)
      network.views()
    }
    network.handle(at(mono), { type: 'stop' })
    expect(network.sizes().pipes).toBe(0)
  })
})

describe('descriptions and candidates of others', () => {
  const good = [
    'v=0',
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
    'c=IN IP4 203.0.113.9',
    'a=candidate:1 1 udp 2122260223 203.0.113.9 4000 typ srflx raddr 10.0.0.1 rport 4000',
    'a=candidate:2 1 tcp 2122260223 [fe80::1%eth0] 9 typ host tcptype active',
    'a=candidate:3 1 udp 1 64:ff9b::7f00:1 4000 typ host',
  ].join('\r\n')

  test('[L75] [L77] whatever is cut, changed or put in: nothing throws, and no address passes but public ones', () => {
    const random = new SeededRandom(5)
    for (let round = 0; round < 3_000; round++) {
      let text = good
      for (let change = random.below(4); change >= 0; change--) {
        const offset = random.below(text.length)
        const kind = random.below(3)
        if (kind === 0) text = text.slice(0, offset)
        else if (kind === 1)
          text = text.slice(0, offset) + String.fromCharCode(random.below(300)) + text.slice(offset + 1)
        else text = `${text.slice(0, offset)}\na=candidate:${text.slice(random.below(offset + 1))}`
      }
      const admitted: string[] = []
      filterSdp(text, (candidate) => {
        const isPublic = parseCandidate(candidate)?.scope === 'public'
        if (isPublic) admitted.push(candidate)
        return isPublic ? candidate : undefined
      })
      for (const candidate of admitted) expect(candidate).not.toMatch(/ (fe80|10\.|64:ff9b::7f)\S* \d+ typ/i)
      hostOfAddress(text)
      addressScope(text)
    }
  })
})
