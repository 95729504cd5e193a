import { ByteReader, concatBytes } from '@miaou/core'
import { type Crypto, signLabelled } from '@miaou/crypto'
import {
  type ContactWays,
  type DeviceRecord,
  decodeContactWays,
  decodeDeviceRecord,
  decodeServiceRecord,
  deviceRecordUrlLengthMax,
  encodeContactWays,
  encodeWay,
  openDeviceRecord,
  readWay,
  type ServiceRecord,
  type SignedStructure,
  sealDeviceRecord,
  signDeviceRecord,
  signServiceRecord,
  verifyDeviceRecord,
  verifyRecord,
  verifyServiceRecord,
} from '@miaou/protocol'
import { createRecordSamples, type RecordSamples } from './record-samples.ts'
import { defineTarget, type FuzzTarget, type Outcome } from './target.ts'

const malformed = { ok: false, error: { type: 'malformed' } } as const

/** Every decoder of records and of what carries them. */
export function recordTargets(crypto: Crypto): readonly FuzzTarget[] {
  const samples = createRecordSamples(crypto)
  return [...deviceTargets(crypto, samples), ...serviceTargets(crypto, samples), ...wayTargets(samples)]
}

function deviceTargets(crypto: Crypto, samples: RecordSamples): readonly FuzzTarget[] {
  const { device, locator, nonce, signedDeviceRecords, sealedRecords } = samples
  const sign = (value: DeviceRecord): Uint8Array => signDeviceRecord(crypto, device.secretKey, value)
  const open = (bytes: Uint8Array): Outcome => {
    const verified = verifyRecord(crypto, bytes)
    return verified.ok ? openDeviceRecord(crypto, locator, verified.value.record, device.publicKey) : verified
  }
  return [
    defineTarget<SignedStructure<DeviceRecord>>({
      name: 'device-record',
      seeds: signedDeviceRecords,
      decode: decodeDeviceRecord,
      encode: ({ value }) => sign(value),
      comparable: ({ value }) => ({ ...value, deviceKey: undefined }),
      sizeMax: 900,
      weight: 1,
    }),
    defineTarget<DeviceRecord>({
      name: 'device-record-verified',
      seeds: signedDeviceRecords,
      decode: (bytes) => verifyDeviceRecord(crypto, bytes, device.publicKey),
      repair: (bytes) => resign(crypto, 'device-record', bytes, device.secretKey),
      isSealed: true,
      sizeMax: 900,
      weight: 0.1,
    }),
    {
      name: 'sealed-record',
      seeds: sealedRecords,
      decode: open,
      isSealed: true,
      sizeMax: 1_100,
      weight: 0.1,
    },
    {
      // What somebody writes who holds the locator key: anything, sealed and signed as it should be.
      name: 'sealed-record-inside',
      seeds: signedDeviceRecords,
      decode: (bytes) =>
        bytes.length > 844 ? malformed : open(sealDeviceRecord(crypto, locator, bytes, { nonce, sequence: 1 })),
      isSealed: true,
      sizeMax: 844,
      weight: 0.05,
    },
  ]
}

function serviceTargets(crypto: Crypto, { relay, signedServiceRecords, ...samples }: RecordSamples): FuzzTarget[] {
  return [
    defineTarget<SignedStructure<ServiceRecord>>({
      name: 'service-record',
      seeds: signedServiceRecords,
      decode: decodeServiceRecord,
      encode: ({ value }) => signServiceRecord(crypto, relay.secretKey, value),
      comparable: ({ value }) => ({ ...value, serviceKey: undefined }),
      sizeMax: 700,
      weight: 1,
    }),
    defineTarget<ServiceRecord>({
      name: 'service-record-verified',
      seeds: signedServiceRecords,
      decode: (bytes) => verifyServiceRecord(crypto, bytes),
      repair: (bytes) => resign(crypto, 'service-record', bytes, relay.secretKey),
      isSealed: true,
      sizeMax: 700,
      weight: 0.1,
    }),
    defineTarget<ContactWays>({
      name: 'contact-ways',
      seeds: samples.encodedContactWays,
      decode: decodeContactWays,
      encode: encodeContactWays,
      sizeMax: 4_200,
      weight: 1,
    }),
  ]
}

function wayTargets({ deviceRecords }: RecordSamples): readonly FuzzTarget[] {
  const ways = deviceRecords.flatMap((record) => record.ways)
  return [
    defineTarget<string>({
      name: 'way',
      seeds: ways.map(encodeWay),
      decode: (bytes) => {
        const reader = new ByteReader(bytes)
        const way = readWay(reader, deviceRecordUrlLengthMax)
        return way !== undefined && reader.finished() ? { ok: true, value: way } : malformed
      },
      encode: encodeWay,
      sizeMax: 300,
      weight: 0.5,
    }),
  ]
}

/** The signature made right again, so that mutations reach what lies behind it. */
function resign(crypto: Crypto, label: string, bytes: Uint8Array, secretKey: Uint8Array): Uint8Array {
  if (bytes.length < 64) return bytes
  const body = bytes.slice(0, bytes.length - 64)
  return concatBytes(body, signLabelled(crypto, label, body, secretKey))
}
