import { concatBytes, textToBytes } from '@miaou/core'
import type { Crypto, KeyPair } from '@miaou/crypto'
import {
  contactSizeV4,
  contactSizeV6,
  type Endpoint,
  encodeRecord,
  type OverlayClient,
  type OverlayMessage,
  type OverlayRecord,
  type PackedContacts,
  packEndpoint,
  signingRecordSalt,
  signRecord,
} from '@miaou/protocol'
import { sampleBytes } from './samples.ts'

/** One example of everything that the overlay's datagrams carry, from fixed seeds. */
export interface OverlaySamples {
  /** Signs the records. */
  readonly signer: KeyPair
  readonly endpoints: readonly Endpoint[]
  readonly messages: readonly OverlayMessage[]
  /** Encoded: two values, three signed records. */
  readonly records: readonly Uint8Array[]
  /** What an `overlayContact` frame carries. */
  readonly ownContacts: readonly PackedContacts[]
  /** Nodes behind NATs. */
  readonly clients: readonly OverlayClient[]
}

const none = new Uint8Array(0)

export function createOverlaySamples(crypto: Crypto): OverlaySamples {
  const signer = crypto.ed25519KeyPair(sampleBytes(crypto, 'record signer', 32))
  const endpoints: readonly Endpoint[] = [
    { host: '203.0.113.5', port: 4000 },
    { host: '127.0.0.1', port: 1 },
    { host: '192.168.7.9', port: 65_535 },
    { host: '2001:db8::1', port: 4000 },
    { host: '2001:db8:0:1:1:1:1:1', port: 50_000 },
    { host: '::1', port: 9 },
    { host: 'fe80::1', port: 9999 },
  ]
  const records = sampleRecords(crypto, signer)
  const key = sampleBytes(crypto, 'own overlay key', 32)
  const [v4, v6] = [packed({ host: '203.0.113.5', port: 4000 }), packed({ host: '2001:db8::1', port: 4000 })]
  const server = (name: string, host: string) => ({
    publicKey: sampleBytes(crypto, name, 32),
    endpoint: { host, port: 4000 },
  })
  return {
    signer,
    endpoints,
    messages: sampleMessages(crypto, records),
    records,
    ownContacts: [
      { v4: concatBytes(key, v4), v6: none },
      { v4: concatBytes(key, v4), v6: concatBytes(key, v6) },
    ],
    clients: [
      { publicKey: key, rendezvous: [server('first server', '203.0.113.5')] },
      { publicKey: key, rendezvous: [server('first server', '203.0.113.5'), server('second server', '2001:db8::1')] },
    ],
  }
}

/** `countV4` contacts with IPv4 and `countV6` with IPv6, each with a key of its own. */
export function sampleContacts(crypto: Crypto, countV4: number, countV6: number): PackedContacts {
  const contacts = (name: string, count: number, host: (index: number) => string) =>
    Array.from({ length: count }, (_, index) =>
      concatBytes(sampleBytes(crypto, `${name} ${index}`, 32), packed({ host: host(index), port: 4000 + index })),
    )
  const v4 = contacts('contact v4', countV4, (index) => `203.0.113.${index + 1}`)
  const v6 = contacts('contact v6', countV6, (index) => `2001:db8::${(index + 1).toString(16)}`)
  return { v4: concatBytes(...v4), v6: concatBytes(...v6) }
}

function sampleMessages(crypto: Crypto, records: readonly Uint8Array[]): readonly OverlayMessage[] {
  const common = { transaction: 0x0102_0304, isServer: true }
  const token = sampleBytes(crypto, 'write token', 8)
  const id = sampleBytes(crypto, 'target', 32)
  const nonce = sampleBytes(crypto, 'nonce of a punch', 8)
  const [value = none, , signed = none] = records
  const mixed = sampleContacts(crypto, 2, 1)
  const nobody = sampleContacts(crypto, 0, 0)
  const probed = sampleContacts(crypto, 1, 1)
  return [
    { type: 'ping', transaction: 0, isServer: false },
    { type: 'ping', transaction: 0xffff_ffff, isServer: true },
    { ...common, type: 'pong', observed: packed({ host: '203.0.113.5', port: 4000 }) },
    { ...common, type: 'pong', observed: packed({ host: '2001:db8::1', port: 4000 }) },
    { ...common, type: 'pong', observed: none },
    { ...common, type: 'find-node', target: id },
    { ...common, type: 'find-node-response', token, contacts: mixed },
    { ...common, type: 'find-node-response', token, contacts: sampleContacts(crypto, 0, 20) },
    { ...common, type: 'find-node-response', token, contacts: nobody },
    { ...common, type: 'find-value', key: id },
    { ...common, type: 'find-value-response', token, record: signed, contacts: nobody },
    { ...common, type: 'find-value-response', token, record: undefined, contacts: mixed },
    { ...common, type: 'store', token, record: value, ageMinutes: 0 },
    { ...common, type: 'store', token, record: signed, ageMinutes: 65_535 },
    { ...common, type: 'store-response', status: 'stored' },
    { ...common, type: 'store-response', status: 'stale' },
    { ...common, type: 'reach' },
    { ...common, type: 'reach-response' },
    { ...common, type: 'probe', contact: { v4: probed.v4.slice(0, contactSizeV4), v6: none } },
    { ...common, type: 'probe', contact: { v4: none, v6: probed.v6.slice(0, contactSizeV6) } },
    { ...common, type: 'rendezvous' },
    {
      ...common,
      type: 'rendezvous-response',
      status: 'accepted',
      observed: packed({ host: '203.0.113.5', port: 4000 }),
    },
    { ...common, type: 'rendezvous-response', status: 'refused', observed: none },
    { ...common, type: 'punch', nonce, target: id },
    { ...common, type: 'punch-response', status: 'passed', endpoint: packed({ host: '2001:db8::1', port: 4000 }) },
    { ...common, type: 'punch-response', status: 'unknown', endpoint: none },
    { ...common, type: 'punch-response', status: 'refused', endpoint: none },
    { ...common, type: 'knock', nonce, endpoint: packed({ host: '203.0.113.5', port: 4000 }) },
    { ...common, type: 'knock', nonce, endpoint: packed({ host: '2001:db8::1', port: 4000 }) },
    { ...common, type: 'services' },
    { ...common, type: 'services-response', records: [] },
    { ...common, type: 'services-response', records: [sampleBytes(crypto, 'largest service record', 592)] },
    {
      ...common,
      type: 'services-response',
      records: [sampleBytes(crypto, 'own service record', 255), sampleBytes(crypto, 'known service record', 256)],
    },
  ]
}

function sampleRecords(crypto: Crypto, signer: KeyPair): readonly Uint8Array[] {
  const values: readonly OverlayRecord[] = [
    { type: 'value', value: textToBytes('miaou') },
    { type: 'value', value: sampleBytes(crypto, 'largest value', 997) },
  ]
  return [
    ...values.map(encodeRecord),
    signRecord(crypto, {
      ...signer,
      salt: signingRecordSalt,
      sequence: 1_795_219_200_000,
      value: sampleBytes(crypto, 'published key', 32),
    }),
    signRecord(crypto, {
      ...signer,
      salt: sampleBytes(crypto, 'salt', 64),
      sequence: Number.MAX_SAFE_INTEGER,
      value: sampleBytes(crypto, 'largest signed value', 824),
    }),
    signRecord(crypto, { ...signer, salt: none, sequence: 0, value: none }),
  ]
}

function packed(endpoint: Endpoint): Uint8Array {
  const bytes = packEndpoint(endpoint)
  if (bytes === undefined) throw new Error(`${endpoint.host} is no address of a node`)
  return bytes
}
