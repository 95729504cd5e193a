import { bytesToText, textToBytes } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import {
  type CircuitAddress,
  type CircuitData,
  decodeCircuitData,
  decodeRelayMessage,
  encodeCircuitData,
  encodeRelayMessage,
  formatCircuitAddress,
  formatRelayAddress,
  parseCircuitAddress,
  parseRelayAddress,
  type RelayAddress,
  type RelayMessage,
} from '@miaou/protocol'
import { createCircuitSamples } from './circuit-samples.ts'
import { sampleBytes } from './samples.ts'
import { defineTarget, type FuzzTarget } from './target.ts'

const refused = { ok: false, error: { type: 'malformed' } } as const

/** Every decoder of circuits and relays. */
export function circuitTargets(crypto: Crypto): readonly FuzzTarget[] {
  const { messages, chunks } = createCircuitSamples(crypto)
  const relays: readonly RelayAddress[] = [
    'ws://192.0.2.1:9999',
    'wss://relay.example.org',
    'wss://[2001:db8::1]:1/a',
  ].map((url) => ({ url, relayId: sampleBytes(crypto, 'relay', 16) }))
  const reservation = sampleBytes(crypto, 'reservation', 16)
  return [
    defineTarget<RelayMessage>({
      name: 'relay-message',
      seeds: messages.map(encodeRelayMessage),
      decode: decodeRelayMessage,
      encode: encodeRelayMessage,
      sizeMax: 1_300,
      weight: 1,
    }),
    defineTarget<CircuitData>({
      name: 'circuit-data',
      seeds: chunks.map(encodeCircuitData),
      decode: decodeCircuitData,
      encode: encodeCircuitData,
      sizeMax: 16_300,
      weight: 0.5,
    }),
    defineTarget<RelayAddress>({
      name: 'relay-address',
      seeds: relays.map((relay) => textToBytes(formatRelayAddress(relay))),
      decode: (bytes) => toOutcome(parseRelayAddress(bytesToText(bytes) ?? '')),
      encode: (relay) => textToBytes(formatRelayAddress(relay)),
      sizeMax: 200,
      weight: 0.3,
      isText: true,
    }),
    defineTarget<CircuitAddress>({
      name: 'circuit-address',
      seeds: relays.map((relay) => textToBytes(formatCircuitAddress({ relay, reservation }))),
      decode: (bytes) => toOutcome(parseCircuitAddress(bytesToText(bytes) ?? '')),
      encode: (address) => textToBytes(formatCircuitAddress(address)),
      sizeMax: 240,
      weight: 0.3,
      isText: true,
    }),
  ]
}

function toOutcome<T>(value: T | undefined): { readonly ok: true; readonly value: T } | typeof refused {
  return value === undefined ? refused : { ok: true, value }
}
