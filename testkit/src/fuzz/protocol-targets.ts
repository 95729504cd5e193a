import { concatBytes, textToBytes } from '@miaou/core'
import { type Crypto, signLabelled } from '@miaou/crypto'
import {
  type BundledFrame,
  type Content,
  type DeviceCertificate,
  type DeviceListEntry,
  type Disconnect,
  decodeBundle,
  decodeCertificate,
  decodeContent,
  decodeDeviceListEntry,
  decodeDisconnect,
  decodeEnvelope,
  decodeFragment,
  decodeFrame,
  decodeHandshakeMessage,
  decodeKeepAlive,
  decodePeerAnnouncement,
  decodePeerQuery,
  decodePeerResponse,
  decodePrekeyBundle,
  decodeSignal,
  decodeStatus,
  decodeTyping,
  type Envelope,
  encodeBundle,
  encodeContent,
  encodeDisconnect,
  encodeEnvelope,
  encodeFragment,
  encodeFrame,
  encodeHandshakeMessage,
  encodeInvite,
  encodeKeepAlive,
  encodePeerAnnouncement,
  encodePeerQuery,
  encodePeerResponse,
  encodeSignal,
  encodeStatus,
  encodeTyping,
  type Fragment,
  type Frame,
  fragmentPayload,
  frameTypes,
  type HandshakeMessage,
  type Invite,
  invitePrefix,
  type KeepAlive,
  type PeerAnnouncement,
  type PeerQuery,
  type PeerResponse,
  type PseudonymCertificate,
  parseInvite,
  Reassembler,
  type Signal,
  type SignedPrekeyBundle,
  type SignedStructure,
  type Status,
  signDeviceCertificate,
  signDeviceListEntry,
  signPrekeyBundle,
  signPseudonymCertificate,
  type Typing,
  verifyCertificate,
  verifyDeviceList,
  verifyPrekeyBundle,
} from '@miaou/protocol'
import { circuitTargets } from './circuit-targets.ts'
import { mailboxTargets } from './mailbox-targets.ts'
import { overlayTargets } from './overlay-targets.ts'
import { createWireSamples, type WireSamples } from './samples.ts'
import { stunTargets } from './stun-targets.ts'
import { defineTarget, type FuzzTarget, type Outcome } from './target.ts'

/** Every decoder of the protocol package. */
export function protocolTargets(crypto: Crypto): readonly FuzzTarget[] {
  const samples = createWireSamples(crypto)
  return [
    ...frameTargets(crypto, samples),
    ...signedTargets(crypto, samples),
    ...structureTargets(samples),
    ...smallTargets(),
    ...textTargets(crypto, samples),
    reassemblyTarget(crypto),
    deviceListTarget(crypto, samples),
    ...overlayTargets(crypto),
    ...stunTargets(),
    ...circuitTargets(crypto),
    ...mailboxTargets(crypto),
  ]
}

function frameTargets(crypto: Crypto, samples: WireSamples): readonly FuzzTarget[] {
  const blake3 = (bytes: Uint8Array) => crypto.blake3(bytes)
  const seeds = samples.frames.map((frame) => encodeFrame(frame, blake3))
  /** Recomputes the checksum where the payload size says it is, as far as there is room for it. */
  const repair = (bytes: Uint8Array) => {
    if (bytes.length < 86) return bytes
    const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(50)
    if (54 + size + 32 > bytes.length) return bytes
    const repaired = bytes.slice()
    repaired.set(blake3(repaired.subarray(0, 54 + size)), 54 + size)
    return repaired
  }
  const common = { encode: (frame: Frame) => encodeFrame(frame, blake3), repair, sizeMax: 65_536, weight: 1 }
  const padded = seeds.map((seed) => concatBytes(seed, new Uint8Array(40)))
  return [
    defineTarget<Frame>({ name: 'frame', seeds, decode: (bytes) => decodeFrame(bytes, blake3), ...common }),
    defineTarget<Frame>({
      name: 'padded-frame',
      seeds: [...seeds, ...padded],
      decode: (bytes) => decodeFrame(bytes, blake3, { padded: true }),
      ...common,
    }),
  ]
}

type Certificate = DeviceCertificate | PseudonymCertificate

/** The same structure signed anew by a key of ours: what `decodeX` reads from it must be what was read before. */
function signedTargets(crypto: Crypto, samples: WireSamples): readonly FuzzTarget[] {
  const { device, deviceCertificate, pseudonymCertificate, prekeyBundles, deviceList } = samples
  const { secretKey } = device
  const certificates = [deviceCertificate, pseudonymCertificate]
  const signCertificate = (certificate: Certificate) =>
    certificate.kind === 'device'
      ? signDeviceCertificate(crypto, secretKey, certificate)
      : signPseudonymCertificate(crypto, secretKey, certificate)
  const fieldsOf = ({ value }: SignedStructure<Certificate | SignedPrekeyBundle>) => ({ ...value, deviceKey: 0 })
  const resign = (label: string) => (bytes: Uint8Array) => {
    if (bytes.length < 64) return bytes
    const body = bytes.slice(0, bytes.length - 64)
    return concatBytes(body, signLabelled(crypto, label, body, secretKey))
  }
  return [
    defineTarget<SignedStructure<Certificate>>({
      name: 'certificate',
      seeds: certificates,
      decode: decodeCertificate,
      encode: ({ value }) => signCertificate(value),
      comparable: fieldsOf,
      sizeMax: 1100,
      weight: 1,
    }),
    defineTarget<Certificate>({
      name: 'certificate-verified',
      seeds: [deviceCertificate],
      decode: (bytes) => verifyCertificate(crypto, bytes),
      encode: signCertificate,
      comparable: ({ deviceKey: _, ...fields }) => fields,
      repair: resign('device-certificate'),
      isSealed: true,
      sizeMax: 1100,
      weight: 0.3,
    }),
    defineTarget<SignedStructure<SignedPrekeyBundle>>({
      name: 'prekey-bundle',
      seeds: prekeyBundles,
      decode: decodePrekeyBundle,
      encode: ({ value }) => signPrekeyBundle(crypto, secretKey, value),
      comparable: fieldsOf,
      sizeMax: 8300,
      weight: 0.5,
    }),
    defineTarget<SignedPrekeyBundle>({
      name: 'prekey-bundle-verified',
      seeds: prekeyBundles,
      decode: (bytes) => verifyPrekeyBundle(crypto, bytes, device.publicKey),
      encode: (bundle) => signPrekeyBundle(crypto, secretKey, bundle),
      repair: resign('prekey-bundle'),
      isSealed: true,
      sizeMax: 8300,
      weight: 0.3,
    }),
    defineTarget<SignedStructure<DeviceListEntry>>({
      name: 'device-list-entry',
      seeds: deviceList,
      decode: decodeDeviceListEntry,
      encode: ({ value }) => signDeviceListEntry(crypto, secretKey, value),
      comparable: ({ value }) => value,
      sizeMax: 600,
      weight: 1,
    }),
  ]
}

/** A whole list from one input: entries behind u16 sizes, the last one signed anew by the account. */
function deviceListTarget(crypto: Crypto, samples: WireSamples): FuzzTarget {
  const { account, deviceList } = samples
  const pack = (entries: readonly Uint8Array[]) =>
    concatBytes(...entries.flatMap((entry) => [Uint8Array.of(entry.length >> 8, entry.length & 0xff), entry]))
  const unpack = (bytes: Uint8Array) => {
    const entries: Uint8Array[] = []
    for (let at = 0; at + 2 <= bytes.length && entries.length < 80; ) {
      const size = (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0)
      entries.push(bytes.slice(at + 2, at + 2 + size))
      at += 2 + size
    }
    return entries
  }
  return {
    name: 'device-list-verified',
    seeds: deviceList.map((_, index) => pack(deviceList.slice(0, index + 1))),
    decode: (bytes) => verifyDeviceList(crypto, account.publicKey, unpack(bytes)),
    repair: (bytes) => {
      const entries = unpack(bytes)
      const last = entries.at(-1)
      if (last === undefined || last.length < 64) return bytes
      const body = last.slice(0, last.length - 64)
      const signed = concatBytes(body, signLabelled(crypto, 'device-list-entry', body, account.secretKey))
      return pack([...entries.slice(0, -1), signed])
    },
    sizeMax: 20_000,
    weight: 0.3,
  }
}

function structureTargets(samples: WireSamples): readonly FuzzTarget[] {
  const { handshakes, announcements, envelopes, contents } = samples
  return [
    defineTarget<HandshakeMessage>({
      name: 'handshake-message',
      seeds: handshakes.map(encodeHandshakeMessage),
      decode: decodeHandshakeMessage,
      encode: encodeHandshakeMessage,
      sizeMax: 8300,
      weight: 1,
    }),
    defineTarget<PeerAnnouncement>({
      name: 'peer-announcement',
      seeds: announcements.map(encodePeerAnnouncement),
      decode: decodePeerAnnouncement,
      encode: encodePeerAnnouncement,
      sizeMax: 41_000,
      weight: 0.5,
    }),
    defineTarget<Envelope>({
      name: 'envelope',
      seeds: envelopes.map(encodeEnvelope),
      decode: (bytes) => decodeEnvelope(bytes, { acceptNextHop: true }),
      encode: encodeEnvelope,
      sizeMax: 65_500,
      weight: 1,
    }),
    defineTarget<Content>({
      name: 'content',
      seeds: contents.map(encodeContent),
      decode: decodeContent,
      encode: encodeContent,
      sizeMax: 61_500,
      weight: 2,
    }),
  ]
}

function smallTargets(): readonly FuzzTarget[] {
  const queries: readonly PeerQuery[] = [
    { requestId: 7, want: 'prekey-bundle' },
    { requestId: 8, want: 'unknown', tag: 200 },
  ]
  const responses: readonly PeerResponse[] = [
    { requestId: 7, body: Uint8Array.of(1, 2, 3) },
    { requestId: 8, body: undefined },
  ]
  const common = { sizeMax: 100, weight: 0.5 }
  const pieces = fragmentPayload(9, frameTypes.directMessage, new Uint8Array(49_152 + 5))
  return [
    defineTarget<KeepAlive>({
      name: 'keep-alive',
      seeds: [encodeKeepAlive({ kind: 'ping', nonce: 1 }), encodeKeepAlive({ kind: 'pong', nonce: 0xffff_ffff })],
      decode: decodeKeepAlive,
      encode: encodeKeepAlive,
      ...common,
    }),
    defineTarget<Disconnect>({
      name: 'disconnect',
      seeds: [encodeDisconnect({ reason: 'bye' }), encodeDisconnect({ reason: 'shutdown' })],
      decode: decodeDisconnect,
      encode: encodeDisconnect,
      ...common,
    }),
    defineTarget<Status>({
      name: 'status',
      seeds: [encodeStatus({ presence: 'away' })],
      decode: decodeStatus,
      encode: encodeStatus,
      ...common,
    }),
    defineTarget<Typing>({
      name: 'typing',
      seeds: [encodeTyping({ typing: true })],
      decode: decodeTyping,
      encode: encodeTyping,
      ...common,
    }),
    defineTarget<PeerQuery>({
      name: 'peer-query',
      seeds: queries.map(encodePeerQuery),
      decode: decodePeerQuery,
      encode: encodePeerQuery,
      ...common,
    }),
    defineTarget<PeerResponse>({
      name: 'peer-response',
      seeds: responses.map(encodePeerResponse),
      decode: decodePeerResponse,
      encode: encodePeerResponse,
      sizeMax: 8300,
      weight: 0.5,
    }),
    defineTarget<readonly BundledFrame[]>({
      name: 'bundle',
      seeds: [
        encodeBundle([
          { type: frameTypes.directMessage, payload: new Uint8Array(20) },
          { type: frameTypes.deliveryReceipt, payload: new Uint8Array(0) },
        ]),
      ],
      decode: decodeBundle,
      encode: encodeBundle,
      sizeMax: 16_400,
      weight: 0.2,
    }),
    defineTarget<Fragment>({
      name: 'fragment',
      seeds: [
        ...pieces,
        encodeFragment({ id: 1, index: 0, count: 1, type: frameTypes.signal, bytes: new Uint8Array(9) }),
      ],
      decode: decodeFragment,
      encode: encodeFragment,
      sizeMax: 49_300,
      weight: 0.2,
    }),
  ]
}

function textTargets(crypto: Crypto, samples: WireSamples): readonly FuzzTarget[] {
  const sha256 = (bytes: Uint8Array) => crypto.sha256(bytes)
  const links = samples.invites.map((invite) => encodeInvite(invite, sha256))
  const payloads = links.map((link) => new Uint8Array(Buffer.from(link.slice(invitePrefix.length), 'base64url')))
  const toLink = (bytes: Uint8Array) => invitePrefix + Buffer.from(bytes).toString('base64url')
  const toBytes = (text: string) => textToBytes(text)
  return [
    defineTarget<Signal>({
      name: 'signal',
      seeds: samples.signals.map(encodeSignal),
      decode: decodeSignal,
      encode: encodeSignal,
      sizeMax: 49_200,
      weight: 1,
      isText: true,
    }),
    defineTarget<Invite>({
      name: 'invite-text',
      seeds: links.map(toBytes),
      decode: (bytes) => parseInvite(Buffer.from(bytes).toString('utf8'), sha256),
      encode: (invite) => toBytes(encodeInvite(invite, sha256)),
      sizeMax: 4200,
      weight: 0.5,
      isText: true,
    }),
    defineTarget<Invite>({
      name: 'invite-payload',
      seeds: payloads,
      decode: (bytes) => parseInvite(toLink(bytes), sha256),
      encode: (invite) =>
        new Uint8Array(Buffer.from(encodeInvite(invite, sha256).slice(invitePrefix.length), 'base64url')),
      repair: (bytes) => {
        if (bytes.length < 5) return bytes
        const payload = bytes.slice(0, bytes.length - 4)
        return concatBytes(payload, sha256(payload).subarray(0, 4))
      },
      sizeMax: 260,
      weight: 0.5,
    }),
  ]
}

/** Sequences of fragments (8 bytes each describe one) into one reassembler: it must stay within its bounds. */
function reassemblyTarget(crypto: Crypto): FuzzTarget {
  const size = 8
  const seed = crypto.sha256(textToBytes('fragments')).slice(0, 32)
  const limits = { reassembliesMax: 4, bytesMax: 4096, timeoutMs: 100 }
  const decode = (bytes: Uint8Array): Outcome => {
    const reassembler = new Reassembler(limits)
    let now = 0
    for (let at = 0; at + size <= bytes.length; at += size) {
      const [id = 0, index = 0, count = 0, length = 0, elapsed = 0] = bytes.subarray(at, at + size)
      now += elapsed & 15
      const pieces = 1 + (count % 22)
      reassembler.add(now, {
        id: id % 8,
        index: index % pieces,
        count: pieces,
        type: frameTypes.directMessage,
        bytes: bytes.slice(0, 1 + length),
      })
      const isBounded = reassembler.size <= limits.bytesMax && reassembler.count <= limits.reassembliesMax
      const isCounted = reassembler.count > 0 || reassembler.size === 0
      if (!isBounded || !isCounted) throw new Error('the reassembler left its bounds')
    }
    return { ok: true, value: { held: reassembler.count } }
  }
  return {
    name: 'reassembler',
    seeds: [seed, seed.slice(0, 8)],
    decode,
    sizeMax: 512,
    weight: 0.5,
    slackBytes: 1 << 20,
  }
}
