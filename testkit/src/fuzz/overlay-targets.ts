import { bytesToText, concatBytes, textToBytes } from '@miaou/core'
import { type Crypto, signLabelled } from '@miaou/crypto'
import {
  decodeOverlayClient,
  decodeOverlayContact,
  decodeOverlayMessage,
  decodeRecord,
  type Endpoint,
  encodeOverlayClient,
  encodeOverlayContact,
  encodeOverlayMessage,
  encodeRecord,
  formatEndpoint,
  type OverlayClient,
  type OverlayMessage,
  type OverlayRecord,
  type PackedContacts,
  packEndpoint,
  parseEndpoint,
  signRecord,
  unpackEndpoint,
  type VerifiedRecord,
  verifyRecord,
} from '@miaou/protocol'
import { createOverlaySamples, type OverlaySamples } from './overlay-samples.ts'
import { defineTarget, type FuzzTarget } from './target.ts'

/** Every decoder of the overlay's formats. */
export function overlayTargets(crypto: Crypto): readonly FuzzTarget[] {
  const samples = createOverlaySamples(crypto)
  return [
    defineTarget<OverlayMessage>({
      name: 'overlay-message',
      seeds: samples.messages.map(encodeOverlayMessage),
      decode: decodeOverlayMessage,
      encode: encodeOverlayMessage,
      sizeMax: 1300,
      weight: 2,
    }),
    defineTarget<PackedContacts>({
      name: 'overlay-contact',
      seeds: samples.ownContacts.map(encodeOverlayContact),
      decode: decodeOverlayContact,
      encode: encodeOverlayContact,
      sizeMax: 200,
      weight: 0.5,
    }),
    defineTarget<OverlayClient>({
      name: 'overlay-client',
      seeds: samples.clients.map(encodeOverlayClient),
      decode: decodeOverlayClient,
      encode: encodeOverlayClient,
      sizeMax: 300,
      weight: 0.5,
    }),
    ...endpointTargets(samples),
    ...recordTargets(crypto, samples),
  ]
}

const refused = { ok: false, error: { type: 'malformed' } } as const

function endpointTargets({ endpoints }: OverlaySamples): readonly FuzzTarget[] {
  const toOutcome = (value: Endpoint | undefined) => (value === undefined ? refused : ({ ok: true, value } as const))
  return [
    defineTarget<Endpoint>({
      name: 'endpoint-text',
      seeds: endpoints.map((endpoint) => textToBytes(formatEndpoint(endpoint))),
      decode: (bytes) => toOutcome(parseEndpoint(bytesToText(bytes) ?? '')),
      encode: (endpoint) => textToBytes(formatEndpoint(endpoint)),
      sizeMax: 80,
      weight: 0.5,
      isText: true,
    }),
    defineTarget<Endpoint>({
      name: 'endpoint-packed',
      seeds: endpoints.map((endpoint) => packEndpoint(endpoint) ?? new Uint8Array(0)),
      decode: (bytes) => toOutcome(unpackEndpoint(bytes)),
      encode: (endpoint) => packEndpoint(endpoint) ?? new Uint8Array(0),
      sizeMax: 24,
      weight: 0.5,
    }),
  ]
}

function recordTargets(crypto: Crypto, { records, signer }: OverlaySamples): readonly FuzzTarget[] {
  const signed = records.filter((record) => record[2] === 2)
  return [
    defineTarget<OverlayRecord>({
      name: 'overlay-record',
      seeds: records,
      decode: decodeRecord,
      encode: encodeRecord,
      sizeMax: 1100,
      weight: 1,
    }),
    defineTarget<VerifiedRecord>({
      name: 'overlay-record-verified',
      seeds: signed,
      decode: (bytes) => {
        const verified = verifyRecord(crypto, bytes)
        // Any bytes are a valid value, under a key of their own: only signed records promise more.
        return verified.ok && verified.value.record.type === 'value' ? refused : verified
      },
      encode: ({ record }) => {
        if (record.type === 'value') return encodeRecord(record)
        const { type: _type, signature: _signature, publicKey: _publicKey, ...fields } = record
        return signRecord(crypto, { ...signer, ...fields })
      },
      comparable: ({ record }) => ({ ...record, signature: 0 }),
      repair: (bytes) => {
        if (bytes.length < 64) return bytes
        const body = bytes.slice(0, bytes.length - 64)
        return concatBytes(body, signLabelled(crypto, 'overlay-record', body, signer.secretKey))
      },
      isSealed: true,
      sizeMax: 1100,
      weight: 0.3,
    }),
  ]
}
