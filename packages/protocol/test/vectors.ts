import { bytesToHex } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import {
  decodeRecord,
  encodeCircuitData,
  encodeContactWays,
  encodeContent,
  encodeDisconnect,
  encodeEnvelope,
  encodeFragment,
  encodeFrame,
  encodeHandshakeMessage,
  encodeInvite,
  encodeKeepAlive,
  encodeMailboxMessage,
  encodeOverlayClient,
  encodeOverlayContact,
  encodeOverlayMessage,
  encodePeerAnnouncement,
  encodePeerQuery,
  encodePeerResponse,
  encodePrekeyDocument,
  encodeRelayMessage,
  encodeSealedContent,
  encodeSignal,
  encodeStatus,
  encodeTyping,
  encodeWay,
  formatCircuitAddress,
  formatRelayAddress,
  frameTypes,
  hashDeviceListEntry,
  overlayClientToTexts,
  packEndpoint,
  recordKey,
  relayIdOf,
  reservationIdOf,
  splitBundle,
} from '@miaou/protocol'
import { createCircuitSamples } from '../../../testkit/src/fuzz/circuit-samples.ts'
import { createMailboxSamples } from '../../../testkit/src/fuzz/mailbox-samples.ts'
import { createOverlaySamples } from '../../../testkit/src/fuzz/overlay-samples.ts'
import { createRecordSamples } from '../../../testkit/src/fuzz/record-samples.ts'
import { createWireSamples } from '../../../testkit/src/fuzz/samples.ts'

/** One value and its bytes (hexadecimal; links as text). Byte arrays inside the value are hexadecimal too. */
interface Vector {
  readonly value: unknown
  readonly encoded: string
}

/** The frozen vectors of `vectors/`, by file name, computed with one backend. */
export function computeVectors(crypto: Crypto): Readonly<Record<string, unknown>> {
  const samples = createWireSamples(crypto)
  const { account, device, secondDevice, pseudonym } = samples
  const blake3 = (bytes: Uint8Array) => crypto.blake3(bytes)
  const sha256 = (bytes: Uint8Array) => crypto.sha256(bytes)
  const keys = toPlain({ account, device, secondDevice, pseudonym })
  return {
    'frames.json': {
      about: 'spec/frames.md. The trailer is BLAKE3.',
      frames: samples.frames.map((frame) => vector(frame, encodeFrame(frame, blake3))),
    },
    'certificates.json': {
      about: 'spec/identity.md I3, I4. Ed25519 secret keys are seeds.',
      keys,
      device: {
        linkKey: bytesToHex(samples.linkKey),
        sessionKey: bytesToHex(samples.sessionKey),
        encoded: bytesToHex(samples.deviceCertificate),
      },
      pseudonym: { linkKey: bytesToHex(samples.linkKey), encoded: bytesToHex(samples.pseudonymCertificate) },
    },
    'device-list.json': {
      about: 'spec/identity.md I5 to I7: one chain, oldest entry first.',
      keys,
      entries: samples.deviceListEntries.map((entry, index) => {
        const encoded = samples.deviceList[index] ?? new Uint8Array(0)
        return { ...vector(entry, encoded), hash: bytesToHex(hashDeviceListEntry(crypto, encoded)) }
      }),
    },
    'prekey-bundle.json': {
      about: 'spec/prekeys.md, signed by the device.',
      keys: toPlain({ device }),
      bundles: samples.bundles.map((bundle, index) =>
        vector(bundle, samples.prekeyBundles[index] ?? new Uint8Array(0)),
      ),
    },
    'invite.json': {
      about: 'spec/invite.md.',
      invites: samples.invites.map((invite) => ({ value: toPlain(invite), encoded: encodeInvite(invite, sha256) })),
    },
    'content.json': {
      about: 'spec/handshake.md H4, spec/messages.md, spec/signals.md.',
      handshake: samples.handshakes.map((message) => vector(message, encodeHandshakeMessage(message))),
      announcements: samples.announcements.map((value) => vector(value, encodePeerAnnouncement(value))),
      envelopes: samples.envelopes.map((envelope) => vector(envelope, encodeEnvelope(envelope))),
      contents: samples.contents.map((content) => vector(content, encodeContent(content))),
      signals: samples.signals.map((signal) => vector(signal, encodeSignal(signal))),
      small: smallVectors(),
    },
    'overlay.json': overlayVectors(crypto),
    'records.json': recordVectors(crypto),
    'mailbox.json': mailboxVectors(crypto),
    'circuits.json': circuitVectors(crypto, samples.pseudonym.publicKey, samples.device.publicKey),
  }
}

function overlayVectors(crypto: Crypto): unknown {
  const { signer, endpoints, messages, records, ownContacts, clients } = createOverlaySamples(crypto)
  return {
    about: 'spec/overlay.md. The Ed25519 secret key is a seed; `key` is where a record is stored.',
    keys: toPlain({ signer }),
    endpoints: endpoints.map((endpoint) => vector(endpoint, packEndpoint(endpoint) ?? new Uint8Array(0))),
    messages: messages.map((message) => vector(message, encodeOverlayMessage(message))),
    contacts: ownContacts.map((contacts) => vector(contacts, encodeOverlayContact(contacts))),
    clients: clients.map((client) => ({
      ...vector(client, encodeOverlayClient(client)),
      texts: overlayClientToTexts(client),
    })),
    records: records.map((encoded) => {
      const record = decodeRecord(encoded)
      if (!record.ok) throw new Error('a sample is a record')
      return { ...vector(record.value, encoded), key: bytesToHex(recordKey(crypto, record.value)) }
    }),
  }
}

/** `relayKey`, `pseudonymKey`: Ed25519 public keys. */
function circuitVectors(crypto: Crypto, relayKey: Uint8Array, pseudonymKey: Uint8Array): unknown {
  const { messages, chunks } = createCircuitSamples(crypto)
  const sha256 = (bytes: Uint8Array) => crypto.sha256(bytes)
  const relay = { url: 'wss://relay.example.org', relayId: relayIdOf(relayKey, sha256) }
  const reservation = reservationIdOf(pseudonymKey, sha256)
  return {
    about: 'spec/circuits.md. Keys are Ed25519 public keys.',
    names: {
      relayKey: bytesToHex(relayKey),
      relay: formatRelayAddress(relay),
      pseudonymKey: bytesToHex(pseudonymKey),
      circuit: formatCircuitAddress({ relay, reservation }),
    },
    messages: messages.map((message) => vector(message, encodeRelayMessage(message))),
    chunks: chunks.map((chunk) => vector(chunk, encodeCircuitData(chunk))),
  }
}

function recordVectors(crypto: Crypto): unknown {
  const samples = createRecordSamples(crypto)
  const { device, relay, locatorKey, locator, nonce, deviceRecords, signedDeviceRecords, sealedRecords } = samples
  const [invite] = createWireSamples(crypto).invites
  const ways = deviceRecords[1]?.ways ?? []
  const withCircuits = invite && { ...invite, name: 'Zoé', addresses: [ways[0] ?? '', 'ws://192.0.2.7:9999'] }
  return {
    about:
      'spec/records.md, spec/invite.md V2. Secret keys are seeds; `key` is where the overlay stores what is sealed; ' +
      'sequences of the sealed ones are 1, 2, 3.',
    keys: toPlain({ device, relay, locatorKey, locator, nonce }),
    ways: ways.map((way) => vector(way, encodeWay(way))),
    device: deviceRecords.map((record, index) => ({
      ...vector(record, signedDeviceRecords[index] ?? new Uint8Array(0)),
      sealed: bytesToHex(sealedRecords[index] ?? new Uint8Array(0)),
    })),
    service: samples.serviceRecords.map((record, index) =>
      vector(record, samples.signedServiceRecords[index] ?? new Uint8Array(0)),
    ),
    contactWays: samples.contactWays.map((value) => vector(value, encodeContactWays(value))),
    invite: withCircuits && {
      value: toPlain(withCircuits),
      encoded: encodeInvite(withCircuits, (bytes) => crypto.sha256(bytes)),
    },
  }
}

function mailboxVectors(crypto: Crypto): unknown {
  const { owner, box, acknowledgement, messages, contents, tokens, documents } = createMailboxSamples(crypto)
  const { locatorKey, device, nonce, document, sealed } = documents
  const { parts, manifest, bundleKey } = splitBundle(crypto, sealed)
  return {
    about: 'spec/mailbox.md, spec/sealed.md SE8, spec/prekeys.md P5 to P9. Secret keys are seeds.',
    keys: toPlain({ owner, box, locatorKey, device, nonce }),
    messages: messages.map((message) => vector(message, encodeMailboxMessage(message))),
    acknowledgement: toPlain(acknowledgement),
    contents: contents.map((content) => vector(content, encodeSealedContent(content))),
    tokens: toPlain(tokens),
    document: {
      ...vector(document, encodePrekeyDocument(document)),
      ...Object.fromEntries(Object.entries({ sealed, manifest, bundleKey }).map(([name, b]) => [name, toPlain(b)])),
      parts: parts.map(({ length }) => length),
    },
  }
}

function smallVectors(): Readonly<Record<string, readonly Vector[]>> {
  const ping = { kind: 'ping', nonce: 0x01020304 } as const
  const disconnect = { reason: 'upgraded' } as const
  const status = { presence: 'away' } as const
  const query = { requestId: 7, want: 'prekey-bundle' } as const
  const responses = [
    { requestId: 7, body: Uint8Array.of(1, 2, 3) },
    { requestId: 7, body: undefined },
  ]
  const fragment = { id: 9, index: 0, count: 1, type: frameTypes.directMessage, bytes: Uint8Array.of(1, 2, 3) }
  return {
    keepAlive: [vector(ping, encodeKeepAlive(ping))],
    disconnect: [vector(disconnect, encodeDisconnect(disconnect))],
    status: [vector(status, encodeStatus(status))],
    typing: [vector({ typing: true }, encodeTyping({ typing: true }))],
    peerQuery: [vector(query, encodePeerQuery(query))],
    peerResponse: responses.map((response) => vector(response, encodePeerResponse(response))),
    fragment: [vector(fragment, encodeFragment(fragment))],
  }
}

function vector(value: unknown, encoded: Uint8Array): Vector {
  return { value: toPlain(value), encoded: bytesToHex(encoded) }
}

function toPlain(value: unknown): unknown {
  if (value instanceof Uint8Array) return bytesToHex(value)
  if (Array.isArray(value)) return value.map(toPlain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, toPlain(field)]))
}
