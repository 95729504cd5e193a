import { textToBytes } from '@miaou/core'
import type { Crypto, KeyPair } from '@miaou/crypto'
import {
  type BoxAddress,
  boxToEntry,
  type ContactWays,
  type DeviceRecord,
  deriveRecordLocator,
  encodeContactWays,
  formatCircuitAddress,
  type RecordLocator,
  recordLifetimeMs,
  type ServiceRecord,
  sealDeviceRecord,
  signDeviceRecord,
  signServiceRecord,
} from '@miaou/protocol'
import { sampleBytes, sampleTime } from './samples.ts'

/** One example of every record, from fixed seeds: for vectors, codec tests and the fuzzer. */
export interface RecordSamples {
  readonly device: KeyPair
  readonly relay: KeyPair
  readonly locatorKey: Uint8Array
  readonly locator: RecordLocator
  readonly nonce: Uint8Array
  readonly deviceRecords: readonly Omit<DeviceRecord, 'deviceKey'>[]
  readonly signedDeviceRecords: readonly Uint8Array[]
  /** The overlay's record of each of them. */
  readonly sealedRecords: readonly Uint8Array[]
  readonly serviceRecords: readonly Omit<ServiceRecord, 'serviceKey'>[]
  readonly signedServiceRecords: readonly Uint8Array[]
  readonly contactWays: readonly ContactWays[]
  readonly encodedContactWays: readonly Uint8Array[]
}

export function createRecordSamples(crypto: Crypto): RecordSamples {
  const device = crypto.ed25519KeyPair(sampleBytes(crypto, 'device', 32))
  const relay = crypto.ed25519KeyPair(sampleBytes(crypto, 'relay', 32))
  const locatorKey = sampleBytes(crypto, 'locator', 32)
  const locator = deriveRecordLocator(crypto, locatorKey, device.publicKey)
  const nonce = sampleBytes(crypto, 'record nonce', 24)
  const deviceRecords = sampleDeviceRecords(crypto)
  const signedDeviceRecords = deviceRecords.map((record) => signDeviceRecord(crypto, device.secretKey, record))
  const serviceRecords = sampleServiceRecords()
  const signedServiceRecords = serviceRecords.map((record) => signServiceRecord(crypto, relay.secretKey, record))
  const contactWays = [
    { locatorKey, record: new Uint8Array(0), services: [] },
    { locatorKey, record: signedDeviceRecords[1] ?? new Uint8Array(0), services: signedServiceRecords.slice(0, 2) },
  ]
  return {
    device,
    relay,
    locatorKey,
    locator,
    nonce,
    deviceRecords,
    signedDeviceRecords,
    sealedRecords: signedDeviceRecords.map((record, index) =>
      sealDeviceRecord(crypto, locator, record, { nonce, sequence: index + 1 }),
    ),
    serviceRecords,
    signedServiceRecords,
    contactWays,
    encodedContactWays: contactWays.map(encodeContactWays),
  }
}

/** One with nothing, one with each kind of part, one as full as may be, one behind a NAT. */
function sampleDeviceRecords(crypto: Crypto): readonly Omit<DeviceRecord, 'deviceKey'>[] {
  const circuit = (url: string, n: number): string => {
    const relayId = sampleBytes(crypto, `relay id ${n}`, 16)
    return formatCircuitAddress({ relay: { url, relayId }, reservation: sampleBytes(crypto, `reservation ${n}`, 16) })
  }
  const numbers = [1, 2, 3, 4, 5, 6]
  const contact = new Uint8Array(38)
  contact.set(sampleBytes(crypto, 'overlay key', 32))
  contact.set([198, 51, 100, 7, 39, 15], 32)
  const common = { createdAt: sampleTime, overlayContact: undefined, mailboxes: [], services: [] }
  return [
    { ...common, sequence: 1, ways: [] },
    {
      ...common,
      sequence: sampleTime,
      ways: [
        circuit('ws://203.0.113.7:9999', 1),
        circuit('ws://[2001:db8::7]:9999', 2),
        circuit('wss://relay.example.org', 3),
        'ws://192.0.2.7:9999',
        'ws://[2001:db8::8]:9999',
        'wss://miaou.example/link',
      ],
      overlayContact: { v4: contact, v6: new Uint8Array(0) },
      mailboxes: [{ kind: 1, bytes: textToBytes('a mailbox') }],
      services: [{ kind: 200, bytes: new Uint8Array(0) }],
    },
    {
      ...common,
      sequence: Number.MAX_SAFE_INTEGER,
      ways: [
        ...numbers.map((n) => circuit(`wss://${'relay'.repeat(8)}.example`, n)),
        ...numbers.map((n) => `ws://192.0.2.${n}:9999`),
      ],
    },
    {
      ...common,
      sequence: 2,
      ways: [circuit('ws://203.0.113.7:9999', 1)],
      overlayClient: {
        publicKey: sampleBytes(crypto, 'overlay key', 32),
        rendezvous: [
          { publicKey: sampleBytes(crypto, 'first rendezvous', 32), endpoint: { host: '198.51.100.7', port: 9999 } },
          { publicKey: sampleBytes(crypto, 'second rendezvous', 32), endpoint: { host: '2001:db8::7', port: 9999 } },
        ],
      },
    },
    {
      ...common,
      sequence: 3,
      ways: [],
      bundleKey: sampleBytes(crypto, 'bundle key', 32),
      mailboxes: [
        boxToEntry(sampleBox(crypto, 1, 'wss://mail.example.org')),
        boxToEntry(sampleBox(crypto, 2, 'ws://198.51.100.7:9999')),
      ],
    },
  ]
}

/** A box at a mailbox with that URL. */
export function sampleBox(crypto: Crypto, n: number, url: string): BoxAddress {
  const mailbox = { url, mailboxId: sampleBytes(crypto, `mailbox ${n}`, 16) }
  return { mailbox, box: sampleBytes(crypto, `box ${n}`, 16) }
}

function sampleServiceRecords(): readonly Omit<ServiceRecord, 'serviceKey'>[] {
  const common = { kind: 'relay', createdAt: sampleTime, expiresAt: sampleTime + recordLifetimeMs } as const
  return [
    {
      ...common,
      sequence: 1,
      urls: ['wss://relay.example.org'],
      terms: { circuitsMax: 0, bytesPerSecond: 0, bytesPerDay: 0 },
      capacity: 0,
      latency: 0,
      region: '',
    },
    {
      ...common,
      sequence: sampleTime,
      urls: ['wss://relay.example.org', 'ws://203.0.113.7:9999', 'ws://[2001:db8::7]:9999'],
      terms: { circuitsMax: 16, bytesPerSecond: 2_000_000, bytesPerDay: 10_000_000_000 },
      capacity: 1_000,
      latency: 3,
      region: 'eu-west-3',
    },
  ]
}
