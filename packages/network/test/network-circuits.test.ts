import { describe, expect, test } from 'vitest'
import { addressToTransport } from '../src/dialling.ts'
import { Link } from '../src/link.ts'
import { callingKey } from '../src/link-handshake.ts'
import type { PipeId } from '../src/ports.ts'
import { crypto } from './identities.ts'
import { alice, at, bob, linkOptions } from './link-pair.ts'
import { dialsOf, Host, signalled, typesOf } from './network-host.ts'

/** Ways to a peer through relays: `way(1, 2)` is its reservation 1 at relay 2. */
function way(reservation: number, relay: number): string {
  const id = (number: number) => `${'ABCDEFGH'[number]}${'A'.repeat(21)}`
  return `circuit:${id(reservation)}.${id(relay)}@ws://relay-${relay}:9000`
}

/** Bob answers on a pipe that the host dialled, up to the message with which he shows who he is. */
function answer(host: Host, pipe: number, transport: 'websocket' | 'circuit' = 'websocket') {
  const psk = transport === 'circuit' ? callingKey(crypto, bob.peerId) : undefined
  const remote = new Link(linkOptions({ role: 'responder', channels: 1, psk }), at(host.now))
  const [hello] = host.opened(pipe, 'out', { transport })
  const [ack] = remote.receive(at(host.now), 0, hello?.type === 'write' ? hello.bytes : new Uint8Array(0))
  const bytes = ack?.type === 'write' ? ack.bytes : new Uint8Array(0)
  return { remote, outputs: host.event({ type: 'message', pipe: pipe as PipeId, channel: 0, bytes }) }
}

describe('circuits among the addresses', () => {
  test('[L65] an address of a circuit is one when it has the form of one', () => {
    expect(addressToTransport(way(0, 0))).toBe('circuit')
    expect(addressToTransport('circuit:nonsense')).toBeUndefined()
    expect(addressToTransport('circuit:')).toBeUndefined()
    expect(addressToTransport('ws://x')).toBe('websocket')
  })

  test('[L61] straight addresses and circuits take turns', () => {
    const host = new Host()
    const dialled = dialsOf(host.connect(bob.peerId, 'ws://1', 'ws://2', 'ws://3', way(0, 0), way(0, 1)))
    for (let now = 250; now <= 1_000; now += 250) dialled.push(...dialsOf(host.wakeAt(now)))
    expect(dialled).toEqual(['ws://1', way(0, 0), 'ws://2', way(0, 1), 'ws://3'])
  })

  test('[L61] a circuit that wins leaves the straight dials alone; a WebSocket that wins ends the circuits', () => {
    const host = new Host()
    host.connect(bob.peerId, 'ws://1', 'ws://2', way(0, 0), way(0, 1))
    host.wakeAt(250)
    host.wakeAt(500)
    host.wakeAt(750)
    expect(typesOf(answer(host, 2, 'circuit').outputs)).toEqual(['close', 'write'])
    expect(host.network.sizes().pipes).toBe(3)
    expect(typesOf(answer(host, 1).outputs)).toEqual(['close', 'write'])
    // The circuit whose handshake is finished may be up at the other end already.
    expect(host.network.sizes().pipes).toBe(2)
  })

  test('[L35] over a circuit nobody learns who is there without knowing whom to call', () => {
    const host = new Host()
    host.opened(1, 'in', { transport: 'circuit' })
    for (const psk of [callingKey(crypto, bob.peerId), undefined]) {
      const caller = new Link(linkOptions({ identity: bob, channels: 1, psk }), at(0))
      const [hello] = caller.start(at(0))
      const bytes = hello?.type === 'write' ? hello.bytes : new Uint8Array(0)
      host.opened(2, 'in', { transport: 'circuit' })
      const answers = host.event({ type: 'message', pipe: 2 as PipeId, channel: 0, bytes })
      expect(typesOf(answers).filter((type) => type !== 'connection-error')).toEqual(['close'])
    }
    // Who knows it is answered.
    const known = host.admit(3, bob, { transport: 'circuit' })
    expect(known.remote.isUp).toBe(true)
    // A circuit is dialled to somebody, never to whoever may answer.
    expect(typesOf(host.do({ type: 'connect-address', address: way(0, 0) }))).toEqual(['connection-error'])
  })

  test('[L65] the newest circuits are not pushed out by what the LAN tells', () => {
    const host = new Host()
    host.do({ type: 'addresses', peerId: bob.peerId, addresses: [0, 1, 2, 3, 4].map((relay) => way(0, relay)) })
    for (let round = 0; round < 5; round++) {
      const addresses = Array.from({ length: 16 }, (_, i) => `ws://false-${round}-${i}`)
      host.do({ type: 'addresses', peerId: bob.peerId, addresses })
    }
    const addresses = host.network.view(bob.peerId)?.addresses ?? []
    expect(addresses).toHaveLength(16)
    expect(addresses.slice(-4)).toEqual([0, 1, 2, 3].map((relay) => way(0, relay)))
  })

  test('[L69] news of a straight way is dialled while a circuit stands, once a second at most', () => {
    const host = new Host()
    host.want([bob.peerId])
    host.admit(500, bob, { transport: 'circuit' })
    host.now = 5_000
    const learn = (...addresses: string[]) => dialsOf(host.do({ type: 'addresses', peerId: bob.peerId, addresses }))
    expect(learn('ws://1')).toEqual(['ws://1'])
    host.failed(1)
    expect(learn('ws://1')).toEqual([])
    expect(learn('ws://2')).toEqual([])
    expect(dialsOf(host.wakeAt(6_000))).toEqual(['ws://2'])
    expect(host.network.view(bob.peerId)).toMatchObject({ state: 'connected', transport: 'circuit' })
  })
})

describe('relays over which circuits broke', () => {
  /** A circuit over a relay comes in, stands for a second and breaks; what is dialled then. */
  function breakCircuit(host: Host, pipe: number, relay: number): string[] {
    host.admit(pipe, bob, { transport: 'circuit', remoteAddress: `ws://relay-${relay}:9000` })
    host.now += 1_000
    return dialsOf(host.failed(pipe))
  }

  test('[L85] the others are dialled at once; its own waits behind straight ones, and for circuits under way', () => {
    const host = new Host()
    host.do({ type: 'addresses', peerId: bob.peerId, addresses: [way(0, 0), way(0, 1), 'ws://1'] })
    host.admit(500, bob, { transport: 'circuit', remoteAddress: 'ws://relay-0:9000' })
    host.want([bob.peerId])
    host.now = 1_000
    // A link of less than ten seconds, and yet nobody waits.
    const dialled = dialsOf(host.failed(500))
    for (const now of [1_250, 1_500]) dialled.push(...dialsOf(host.wakeAt(now)))
    expect(dialled).toEqual(['ws://1', way(0, 1)])
    expect(host.network.deadline()).toBe(2_250)
    // The circuit under way fails: nothing is left to wait for.
    const circuit = 3
    expect(dialsOf(host.failed(circuit))).toEqual([way(0, 0)])
  })

  test('[L85] where every relay is doubted, the one that broke last comes last, after the wait of L63', () => {
    const host = new Host()
    host.want([bob.peerId, way(0, 0), way(0, 1)])
    host.failed(1)
    host.failed(2)
    expect(breakCircuit(host, 500, 0)).toEqual([way(0, 1)])
    expect(breakCircuit(host, 501, 1)).toEqual([])
    const dialled = dialsOf(host.wakeAt(host.network.deadline()))
    dialled.push(...dialsOf(host.wakeAt(host.now + 250)))
    expect(dialled).toEqual([way(0, 0), way(0, 1)])
  })

  test('[L85] doubt ends by itself, and when the network changes', () => {
    for (const ends of ['time', 'network'] as const) {
      const host = new Host()
      host.want([bob.peerId, way(0, 0), way(0, 1)])
      host.failed(1)
      host.failed(2)
      expect(breakCircuit(host, 500, 0)).toEqual([way(0, 1)])
      host.failed(host.network.sizes().pipes + 2)
      host.admit(501, bob, { transport: 'circuit' })
      if (ends === 'time') host.now += 600_000
      else host.do({ type: 'network-changed' })
      host.do({ type: 'disconnect', peerId: bob.peerId, reason: 'bye' })
      expect(dialsOf(host.connect(bob.peerId)), ends).toEqual([way(0, 0)])
    }
  })

  test('[L85] at the bound of addresses the oldest doubt is forgotten', () => {
    const host = new Host({ limits: { addressesMax: 2, circuitAddressesMin: 2 } })
    host.want([bob.peerId, way(0, 1), way(0, 0)])
    for (const relay of [0, 1, 2]) breakCircuit(host, 500 + relay, relay)
    host.do({ type: 'disconnect', peerId: bob.peerId, reason: 'bye' })
    host.now += 100_000
    // Relay 0 broke first: nothing of it is left, while relay 1 is doubted still.
    expect(dialsOf(host.connect(bob.peerId))).toEqual([way(0, 0)])
  })
})

describe('a changed network', () => {
  test('[L64] dials that left by the old network begin anew', () => {
    const host = new Host()
    host.want([bob.peerId, 'ws://1', 'ws://2'])
    host.wakeAt(250)
    host.now = 2_000
    const outputs = host.do({ type: 'network-changed' })
    expect(typesOf(outputs)).toEqual(['close', 'close', 'dial'])
    expect(dialsOf(outputs)).toEqual(['ws://1'])
    // A second change within the moment changes nothing.
    host.now = 2_100
    expect(host.do({ type: 'network-changed' })).toEqual([])
  })

  test('[L68] a link that answers its probe is not dialled beside; one that does not, is, after 100 ms', () => {
    const host = new Host()
    host.want([bob.peerId, 'ws://1'])
    const { remote } = host.admit(500, bob)
    const answersProbe = (outputs: ReturnType<Host['do']>) => {
      for (const output of outputs) {
        if (output.type !== 'write') continue
        for (const pong of remote.receive(at(host.now), 0, output.bytes)) {
          if (pong.type === 'write') host.event({ type: 'message', pipe: 500 as PipeId, channel: 0, bytes: pong.bytes })
        }
      }
    }
    host.now = 20_000
    const probes = host.do({ type: 'network-changed' })
    expect(host.network.view(bob.peerId)?.isSuspect).toBe(true)
    answersProbe(probes)
    expect(host.network.view(bob.peerId)?.isSuspect).toBeUndefined()
    expect(dialsOf(host.wakeAt(21_000))).toEqual([])
    const unheard = host.do({ type: 'network-changed' })
    expect(host.network.deadline()).toBe(21_100)
    const rescue = host.wakeAt(21_100)
    expect(dialsOf(rescue)).toEqual(['ws://1'])
    expect(typesOf(rescue), 'the next probe goes with the first dial').toContain('write')
    // It answers after all: the dial is taken back.
    answersProbe([...unheard, ...rescue])
    expect(host.network.sizes().pipes).toBe(1)
    expect(host.counter('rescues')).toBe(1)
    expect(host.network.view(bob.peerId)).toMatchObject({ state: 'connected' })
  })

  test('[L68] the way of the suspect link comes last, others by its relay before it', () => {
    const host = new Host()
    host.want([bob.peerId, way(0, 0), way(1, 0), way(0, 1)])
    const { remote, outputs } = answer(host, 1, 'circuit')
    const last = outputs.find(({ type }) => type === 'write')
    const up = remote.receive(at(0), 0, last?.type === 'write' ? last.bytes : new Uint8Array(0))
    for (const output of [...up, ...(up[0]?.type === 'proven' ? remote.accept(at(0)) : [])]) {
      if (output.type === 'write') host.event({ type: 'message', pipe: 1 as PipeId, channel: 0, bytes: output.bytes })
    }
    expect(host.network.view(bob.peerId)).toMatchObject({ transport: 'circuit', state: 'connected' })
    host.now = 1_000
    host.do({ type: 'network-changed' })
    const dialled = dialsOf(host.wakeAt(1_100))
    // [L85] The other relay has a start.
    expect(dialsOf(host.wakeAt(2_099))).toEqual([])
    for (const now of [2_100, 2_350]) dialled.push(...dialsOf(host.wakeAt(now)))
    expect(dialled).toEqual([way(0, 1), way(1, 0), way(0, 0)])
  })

  test('[L73] the offerer begins anew; the answerer says that what it told is no more true', () => {
    const { host } = signalled(alice, bob)
    host.now = 3_000
    const outputs = host.do({ type: 'network-changed' })
    expect(typesOf(outputs)).toContain('close')
    // Not on a suspect link: the offer would be lost.
    expect(typesOf(outputs)).not.toContain('offer')
    const other = signalled(bob, alice)
    other.signal({ type: 'offer', sdp: 'v=0', attempt: 7 })
    const told = other.host
      .do({ type: 'network-changed' })
      .flatMap((output) => (output.type === 'write' ? other.remote.receive(at(0), 0, output.bytes) : []))
      .flatMap((output) => (output.type === 'frame' ? [new TextDecoder().decode(output.payload)] : []))
    expect(told).toEqual([expect.stringContaining('"attempt":7,"reason":"network-changed"')])
  })

  test('[L73] an offer that was not answered when its link was lost is made anew on the next link', () => {
    const { host } = signalled(alice, bob)
    const closed = (pipe: number) =>
      host.event({ type: 'closed', pipe: pipe as PipeId, error: { type: 'broken', detail: 'reset' } })
    expect(typesOf(closed(500))).toContain('close')
    expect(host.admit(501, bob).outputs).toContainEqual({ type: 'offer', pipe: 2 })
    // One that was answered goes on: the agents find each other without the link.
    const other = signalled(alice, bob)
    other.signal({ type: 'answer', sdp: 'v=0' })
    other.host.event({ type: 'closed', pipe: 500 as PipeId, error: { type: 'broken', detail: 'reset' } })
    expect(typesOf(other.host.admit(501, bob).outputs)).not.toContain('offer')
  })

  test('[L73] an answerer whose network changed is offered to anew, 5 s after the last offer at the earliest', () => {
    const { host, signal } = signalled(alice, bob)
    const changed = { type: 'refuse', attempt: 0, reason: 'network-changed' }
    expect(typesOf(signal(changed))).toEqual(['close'])
    host.now = 4_999
    expect(typesOf(signal(changed))).not.toContain('offer')
    expect(typesOf(host.wakeAt(5_000))).toContain('offer')
    expect(host.network.views()[0]?.error).toBeUndefined()
  })
})

describe('what a view tells of the way', () => {
  test('[L55] the path: as told, or as kind and address tell', () => {
    const pathFrom = (remoteAddress: string, transport: 'websocket' | 'circuit' = 'websocket') => {
      const host = new Host()
      host.admit(500, bob, { remoteAddress, transport })
      return host.network.views()[0]?.path
    }
    expect(pathFrom('ws://192.168.1.7:5000')).toEqual({ kind: 'lan' })
    expect(pathFrom('ws://127.0.0.1:5000')).toEqual({ kind: 'lan' })
    expect(pathFrom('ws://203.0.113.7:5000')).toEqual({ kind: 'direct' })
    expect(pathFrom(way(0, 3), 'circuit')).toEqual({ kind: 'relayed', via: 'ws://relay-3:9000' })
    const inbound = 'circuit:AAAAAAAAAAAAAAAAAAAAAA@wss://relay.example.org'
    expect(pathFrom(inbound, 'circuit')).toEqual({ kind: 'relayed', via: 'wss://relay.example.org' })
    const host = new Host()
    host.admit(500, bob)
    const path = { kind: 'relayed', via: 'turn:x', localCandidate: 'relay udp 198.51.100.1:5' } as const
    host.event({ type: 'path', pipe: 500 as PipeId, path })
    expect(host.network.views()[0]?.path).toEqual(path)
  })

  test('[L55] why nothing better carries it, and when the next attempt is', () => {
    const { host, signal } = signalled(alice, bob)
    expect(host.network.views()[0]?.whyNotBetter).toEqual({ failures: 0 })
    signal({ type: 'refuse', reason: 'unavailable' })
    expect(host.network.views()[0]?.whyNotBetter).toEqual({
      failures: 1,
      error: { type: 'unreachable', detail: 'WebRTC refused: unavailable' },
      nextTryAt: 10_000,
    })
    const without = new Host()
    without.admit(500, bob)
    expect(without.network.views()[0]?.whyNotBetter?.error).toEqual({
      type: 'unreachable',
      detail: 'WebRTC is switched off here',
    })
  })
})
