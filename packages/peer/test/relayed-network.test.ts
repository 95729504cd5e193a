import { keyToPeerId, type Now } from '@miaou/core'
import {
  type CircuitsEngine,
  type CircuitsInput,
  type CircuitsOutput,
  Network,
  type NetworkIdentity,
  type PipeId,
} from '@miaou/network'
import { formatCircuitAddress, signPseudonymCertificate } from '@miaou/protocol'
import { expect, test } from 'vitest'
import { RelayedNetwork } from '../src/relayed-network.ts'
import { crypto, SeededRandom } from './ports.ts'

const now: Now = { mono: 0, wall: 1_800_000_000_000 }
const relay = { url: 'ws://203.0.113.5:9999', relayId: new Uint8Array(16).fill(5) }
const address = formatCircuitAddress({ relay, reservation: new Uint8Array(16).fill(6) })
const other = keyToPeerId(crypto.ed25519KeyPair(new Uint8Array(32).fill(9)).publicKey)

/** Answers every input with what the test says, and remembers what it was told. */
class ScriptedCircuits implements CircuitsEngine {
  readonly inputs: CircuitsInput[] = []
  readonly owned = new Set<PipeId>()
  answer: (input: CircuitsInput) => CircuitsOutput[] = () => []

  handle(_now: Now, input: CircuitsInput): CircuitsOutput[] {
    this.inputs.push(input)
    if (input.type === 'dial') this.owned.add(input.pipe)
    return this.answer(input)
  }
  deadline(): number {
    return 700
  }
  owns(pipe: PipeId): boolean {
    return this.owned.has(pipe)
  }
  views() {
    return []
  }
  counters() {
    return { 'made-up': 3 }
  }
}

function identity(): NetworkIdentity {
  const device = crypto.ed25519KeyPair(new Uint8Array(32).fill(1))
  const linkKey = crypto.x25519KeyPair(new Uint8Array(32).fill(2))
  const certificate = signPseudonymCertificate(crypto, device.secretKey, { linkKey: linkKey.publicKey, createdAt: 1 })
  return { peerId: keyToPeerId(device.publicKey), certificate, linkKey }
}

function network(circuits: CircuitsEngine | undefined): RelayedNetwork {
  let pipes = 0
  const random = new SeededRandom(1)
  const options = { crypto, random, jitter: { next: () => 0.5 }, identity: identity(), features: [], webrtc: false }
  return new RelayedNetwork(new Network(options, () => ++pipes as PipeId), circuits)
}

test('a circuit is dialled by its engine; its opening brings a handshake that is written through it', () => {
  const circuits = new ScriptedCircuits()
  circuits.answer = (input) => {
    if (input.type !== 'dial') return []
    const { pipe } = input
    const event = { type: 'opened', pipe, transport: 'circuit', direction: 'out', channels: 1, padded: true } as const
    return [{ type: 'event', event: { ...event, remoteAddress: input.address } }]
  }
  const outputs = network(circuits).handle(now, { type: 'connect', peerId: other, addresses: [address] })
  expect(circuits.inputs.map(({ type }) => type)).toEqual(['dial', 'write'])
  expect(circuits.inputs[0]).toMatchObject({ address })
  expect(outputs.filter(({ type }) => type === 'dial' || type === 'write')).toEqual([])
})

test('what the circuits engine wants of the host passes, with the writes of its own pipes', () => {
  const circuits = new ScriptedCircuits()
  const outputs: CircuitsOutput[] = [
    { type: 'relay-dial', pipe: 77 as PipeId, url: relay.url },
    { type: 'write', pipe: 77 as PipeId, channel: 0, bytes: new Uint8Array(3) },
    { type: 'reservations', addresses: [] },
  ]
  circuits.answer = () => outputs
  expect(network(circuits).handleCircuits(now, { type: 'relays', relays: [relay] })).toEqual(outputs)
})

test('a last word on a circuit is written before the engine is stopped; both hear of a changed network', () => {
  const circuits = new ScriptedCircuits()
  const relayed = network(circuits)
  relayed.handle(now, { type: 'network-changed' })
  relayed.handle(now, { type: 'connect', peerId: other, addresses: [address] })
  relayed.handle(now, { type: 'stop' })
  expect(circuits.inputs.map(({ type }) => type)).toEqual(['network-changed', 'dial', 'close', 'stop'])
})

test('a circuit that is given up before its dial had its turn is closed by its engine', () => {
  const circuits = new ScriptedCircuits()
  const relayed = network(circuits)
  const wanted = { type: 'wanted', peers: [{ peerId: other, addresses: [address] }] } as const
  expect(relayed.handle(now, wanted).filter(({ type }) => type === 'dial')).toEqual([])
  const outputs = relayed.handle(now, { type: 'disconnect', peerId: other, reason: 'bye' })
  expect(outputs.filter(({ type }) => type === 'close')).toEqual([])
  expect(circuits.inputs.map(({ type }) => type)).toEqual(['dial', 'close'])
})

test('without relays a circuit fails with its reason', () => {
  const relayed = network(undefined)
  const outputs = relayed.handle(now, { type: 'connect', peerId: other, addresses: [address] })
  expect(outputs).toContainEqual({
    type: 'event',
    event: expect.objectContaining({
      type: 'connection-error',
      error: { type: 'unreachable', detail: 'this peer uses no relays' },
    }),
  })
})

test('deadlines and counters are those of both', () => {
  const relayed = network(new ScriptedCircuits())
  expect(relayed.deadline()).toBe(700)
  expect(relayed.counters()).toEqual({ 'circuits-made-up': 3 })
})
