import type { Crypto } from '@miaou/crypto'
import type { CircuitData, RelayMessage } from '@miaou/protocol'
import { sampleBytes, sampleTime } from './samples.ts'

/** One example of everything that peers and relays say to each other: for vectors, codec tests and the fuzzer. */
export function createCircuitSamples(crypto: Crypto): {
  readonly messages: readonly RelayMessage[]
  readonly chunks: readonly CircuitData[]
} {
  const reservation = sampleBytes(crypto, 'reservation', 16)
  const limits = { circuitsMax: 64, bytesPerSecond: 1_000_000, bytesPerDay: 20_000_000_000 }
  const secret = { username: '1795222800:miaou', credential: 'c2VjcmV0' }
  const reserved = { type: 'reserved', request: 1, expiresIn: 3_600, timestamp: sampleTime, limits } as const
  return {
    messages: [
      { type: 'reserve', request: 1 },
      { type: 'release' },
      { ...reserved, observed: new Uint8Array(0), iceServers: [] },
      { ...reserved, observed: Uint8Array.of(203, 0, 113, 5, 0x0f, 0xa0), iceServers: [] },
      {
        ...reserved,
        observed: sampleBytes(crypto, 'observed', 18),
        iceServers: [
          { scheme: 'stun', port: 3478, transport: 'udp', username: '', credential: '' },
          { scheme: 'turn', port: 3478, transport: 'udp', ...secret },
          { scheme: 'turn', port: 3478, transport: 'tcp', ...secret },
          { scheme: 'turns', port: 5349, transport: 'tcp', ...secret },
        ],
      },
      { type: 'open', request: 0xffff_ffff, reservation },
      { type: 'opened', request: 2, circuit: 7, window: 262_144 },
      { type: 'incoming', circuit: 0xffff_ffff, window: 262_144 },
      { type: 'refused', request: 3, reason: 'no-reservation', retryIn: 1 },
      { type: 'refused', request: 3, reason: 'quota', retryIn: 86_400 },
      { type: 'close', circuit: 7, reason: 'bye' },
      { type: 'close', circuit: 7, reason: 'busy' },
      { type: 'credit', circuit: 7, bytes: 32_768 },
      { type: 'measure-down', request: 4, bytes: 524_288 },
      { type: 'measure-up', request: 5 },
      { type: 'measured', request: 5, bytes: 262_144 },
      { type: 'open-service', request: 6, url: 'wss://mail.example.org' },
      { type: 'refused', request: 6, reason: 'unreachable', retryIn: 60 },
    ],
    chunks: [
      { circuit: 7, isLast: true, bytes: sampleBytes(crypto, 'chunk', 40) },
      { circuit: 7, isLast: false, bytes: Uint8Array.of(1) },
      { circuit: 0, isLast: true, bytes: Uint8Array.of(0) },
    ],
  }
}
