import { concatBytes, keyToPeerId, textToBytes } from '@miaou/core'
import type { Crypto, KeyPair } from '@miaou/crypto'
import {
  type Content,
  connectionId,
  type DeviceListEntry,
  type Envelope,
  type Frame,
  frameTypes,
  type HandshakeMessage,
  hashDeviceListEntry,
  type Invite,
  type PeerAnnouncement,
  type Signal,
  type SignedPrekeyBundle,
  type SignedStartMark,
  signDeviceCertificate,
  signDeviceListEntry,
  signPrekeyBundle,
  signPseudonymCertificate,
  signStartMark,
} from '@miaou/protocol'

/** One example of everything that crosses a wire, from fixed seeds: for vectors, codec tests and the fuzzer. */
export interface WireSamples {
  readonly account: KeyPair
  readonly device: KeyPair
  readonly secondDevice: KeyPair
  readonly pseudonym: KeyPair
  readonly linkKey: Uint8Array
  readonly sessionKey: Uint8Array
  readonly deviceCertificate: Uint8Array
  readonly pseudonymCertificate: Uint8Array
  /** Entries of one chain: add (account), add with rights (account), delegate (device), revoke (device). */
  readonly deviceListEntries: readonly DeviceListEntry[]
  readonly deviceList: readonly Uint8Array[]
  readonly bundles: readonly Omit<SignedPrekeyBundle, 'deviceKey'>[]
  readonly prekeyBundles: readonly Uint8Array[]
  readonly frames: readonly Frame[]
  readonly handshakes: readonly HandshakeMessage[]
  readonly announcements: readonly PeerAnnouncement[]
  readonly envelopes: readonly Envelope[]
  readonly contents: readonly Content[]
  readonly signals: readonly Signal[]
  readonly invites: readonly Invite[]
}

/** Wall-clock time of every sample: 2026-11-21T00:00:00Z. */
export const sampleTime = 1_795_219_200_000

/** `size` bytes that a name stands for: SHA-256 in counter mode, the same on every backend. */
export function sampleBytes(crypto: Crypto, name: string, size: number): Uint8Array {
  const blocks: Uint8Array[] = []
  for (let index = 0; index * 32 < size; index++) {
    blocks.push(crypto.sha256(textToBytes(`Miaou sample ${name} ${index}`)))
  }
  return concatBytes(...blocks).slice(0, size)
}

export function createWireSamples(crypto: Crypto): WireSamples {
  const key = (name: string) => sampleBytes(crypto, name, 32)
  const account = crypto.ed25519KeyPair(key('account'))
  const device = crypto.ed25519KeyPair(key('device'))
  const secondDevice = crypto.ed25519KeyPair(key('second device'))
  const pseudonym = crypto.ed25519KeyPair(key('pseudonym'))
  const linkKey = crypto.x25519KeyPair(key('link')).publicKey
  const sessionKey = crypto.x25519KeyPair(key('session')).publicKey
  const deviceCertificate = signDeviceCertificate(crypto, device.secretKey, {
    accountKey: account.publicKey,
    linkKey,
    sessionKey,
    createdAt: sampleTime,
  })
  const pseudonymCertificate = signPseudonymCertificate(crypto, pseudonym.secretKey, {
    linkKey,
    createdAt: sampleTime,
  })
  const keys = { account, device, secondDevice, pseudonym, linkKey, sessionKey, deviceCertificate }
  const chain = sampleDeviceList(crypto, account, device, secondDevice)
  const bundles = sampleBundles(crypto, sessionKey)
  return {
    ...keys,
    pseudonymCertificate,
    ...chain,
    bundles,
    prekeyBundles: bundles.map((bundle) => signPrekeyBundle(crypto, device.secretKey, bundle)),
    frames: sampleFrames(crypto, device.publicKey),
    handshakes: sampleHandshakes(crypto, device.publicKey, deviceCertificate, pseudonym, pseudonymCertificate),
    announcements: [
      { accountKey: account.publicKey, deviceList: chain.deviceList, name: 'Zoé' },
      { accountKey: account.publicKey, deviceList: [], name: '' },
      {
        accountKey: account.publicKey,
        deviceList: [],
        name: 'Zoé',
        startMark: sampleStartMark(crypto, device, 7),
        laterMark: sampleStartMark(crypto, secondDevice, 8),
      },
    ],
    envelopes: sampleEnvelopes(crypto, deviceCertificate),
    contents: [...sampleContents(crypto), ...sampleLaterContents(crypto, device)],
    signals: sampleSignals(device, secondDevice),
    invites: sampleInvites(crypto, account, device),
  }
}

function sampleDeviceList(
  crypto: Crypto,
  account: KeyPair,
  device: KeyPair,
  secondDevice: KeyPair,
): Pick<WireSamples, 'deviceListEntries' | 'deviceList'> {
  const third = crypto.ed25519KeyPair(sampleBytes(crypto, 'third device', 32))
  const steps: readonly (Pick<DeviceListEntry, 'action' | 'deviceKey' | 'deviceName' | 'signer' | 'rights'> & {
    readonly secretKey: Uint8Array
  })[] = [
    {
      action: 'add',
      deviceKey: device.publicKey,
      deviceName: 'laptop',
      signer: 'account',
      rights: ['manage-devices'],
      secretKey: account.secretKey,
    },
    {
      action: 'add',
      deviceKey: secondDevice.publicKey,
      deviceName: 'téléphone',
      signer: device.publicKey,
      rights: [],
      secretKey: device.secretKey,
    },
    {
      action: 'delegate',
      deviceKey: secondDevice.publicKey,
      deviceName: '',
      signer: 'account',
      rights: ['manage-devices'],
      secretKey: account.secretKey,
    },
    {
      action: 'revoke',
      deviceKey: device.publicKey,
      deviceName: '',
      signer: secondDevice.publicKey,
      rights: [],
      secretKey: secondDevice.secretKey,
    },
    {
      action: 'add',
      deviceKey: third.publicKey,
      deviceName: 'tablet',
      signer: 'account',
      rights: [],
      secretKey: account.secretKey,
    },
  ]
  const deviceListEntries: DeviceListEntry[] = []
  const deviceList: Uint8Array[] = []
  let previous: Uint8Array = new Uint8Array(32)
  for (const [height, { secretKey, ...step }] of steps.entries()) {
    const entry = { ...step, accountKey: account.publicKey, height, previous, createdAt: sampleTime + height }
    const encoded = signDeviceListEntry(crypto, secretKey, entry)
    deviceListEntries.push(entry)
    deviceList.push(encoded)
    previous = hashDeviceListEntry(crypto, encoded)
  }
  return { deviceListEntries, deviceList }
}

function sampleBundles(crypto: Crypto, sessionKey: Uint8Array): WireSamples['bundles'] {
  const x25519 = (name: string) => crypto.x25519KeyPair(sampleBytes(crypto, name, 32)).publicKey
  const kemKey = crypto.mlkem768KeyPair(sampleBytes(crypto, 'kem prekey', 64)).publicKey
  const signedPrekey = { id: 1, publicKey: x25519('signed prekey') }
  return [
    {
      sessionKey,
      signedPrekey,
      kemPrekey: { id: 3, publicKey: kemKey, oneTime: false },
      createdAt: sampleTime,
    },
    {
      sessionKey,
      signedPrekey,
      oneTimePrekey: { id: 0xffff_fffe, publicKey: x25519('one-time prekey') },
      kemPrekey: { id: 4, publicKey: kemKey, oneTime: true },
      sealingKey: crypto.xwingKeyPair(sampleBytes(crypto, 'sealing', 32)).publicKey,
      createdAt: sampleTime,
    },
    {
      sessionKey,
      signedPrekey,
      kemPrekey: { id: 5, publicKey: kemKey, oneTime: true },
      sealingKey: crypto.xwingKeyPair(sampleBytes(crypto, 'sealing', 32)).publicKey,
      sealingKeyId: 0xffff_fffd,
      createdAt: sampleTime,
    },
  ]
}

function sampleFrames(crypto: Crypto, peerId: Uint8Array): readonly Frame[] {
  const timestamp = sampleTime
  return [
    { type: frameTypes.handshake, sequence: 0, peerId: new Uint8Array(32), timestamp, payload: new Uint8Array(0) },
    { type: frameTypes.directMessage, sequence: 1, peerId, timestamp, payload: sampleBytes(crypto, 'payload', 100) },
    {
      type: frameTypes.typing,
      sequence: Number.MAX_SAFE_INTEGER,
      peerId,
      timestamp: Number.MAX_SAFE_INTEGER,
      payload: Uint8Array.of(1),
    },
  ]
}

function sampleHandshakes(
  crypto: Crypto,
  peerId: Uint8Array,
  certificate: Uint8Array,
  pseudonym: KeyPair,
  pseudonymCertificate: Uint8Array,
): readonly HandshakeMessage[] {
  const local = sampleBytes(crypto, 'local fingerprint', 32)
  const remote = sampleBytes(crypto, 'remote fingerprint', 32)
  return [
    {
      protocolVersion: 2,
      peerId,
      certificate,
      features: ['chat', 'files', 'groups'],
      timestamp: sampleTime,
      binding: { local, remote },
    },
    {
      protocolVersion: 2,
      peerId: pseudonym.publicKey,
      certificate: pseudonymCertificate,
      features: [],
      timestamp: sampleTime,
    },
  ]
}

function sampleEnvelopes(crypto: Crypto, certificate: Uint8Array): readonly Envelope[] {
  const sessionId = sampleBytes(crypto, 'session id', 16)
  const message = sampleBytes(crypto, 'ratchet message', 200)
  const header = sampleBytes(crypto, 'pqxdh header', 1171)
  const nextHop = {
    peerId: sampleBytes(crypto, 'next hop', 32),
    layer: sampleBytes(crypto, 'layer', 64),
  }
  return [
    { kind: 'initial', sessionId, certificate, header, message },
    { kind: 'ratchet', sessionId, message },
    { kind: 'ratchet', sessionId, message, nextHop },
  ]
}

function sampleContents(crypto: Crypto): readonly Content[] {
  const messageId = sampleBytes(crypto, 'message id', 16)
  const sentAt = sampleTime
  const other = sampleBytes(crypto, 'other message id', 16)
  const hintKey = sampleBytes(crypto, 'hint key', 32)
  return [
    { messageId, sentAt, body: { type: 'text', text: 'Miaou ! 猫 🐈', receiptRequested: true } },
    { messageId, sentAt, body: { type: 'text', text: '', receiptRequested: false } },
    { messageId, sentAt, body: { type: 'receipt', status: 'delivered', messageIds: [other, messageId] } },
    { messageId, sentAt, body: { type: 'receipt', status: 'read', messageIds: [other] } },
    { messageId, sentAt, body: { type: 'receipt', status: 'refused', reason: 'blocked', messageIds: [other] } },
    {
      messageId,
      sentAt,
      body: { type: 'hello', name: 'Zoé', hintKey, inviteToken: sampleBytes(crypto, 'token', 16), accepted: false },
    },
    { messageId, sentAt, body: { type: 'hello', name: '', hintKey, accepted: true } },
    { messageId, sentAt, body: { type: 'unknown', tag: 200 } },
  ]
}

/** Those that came with mailboxes, behind the older ones, whose vectors are frozen. */
function sampleLaterContents(crypto: Crypto, device: KeyPair): readonly Content[] {
  const messageId = sampleBytes(crypto, 'message id', 16)
  const sentAt = sampleTime
  const after = sampleBytes(crypto, 'other message id', 16)
  const hello = { type: 'hello', name: 'Zoé', hintKey: sampleBytes(crypto, 'hint key', 32), accepted: false } as const
  const depositSecret = sampleBytes(crypto, 'deposit secret', 32)
  return [
    { messageId, sentAt, body: { type: 'text', text: 'second', receiptRequested: true }, after },
    { messageId, sentAt, body: { type: 'receipt', status: 'missing', messageIds: [after] } },
    { messageId, sentAt, body: { type: 'cover', size: 100 } },
    { messageId, sentAt, body: { type: 'cover', size: 0 } },
    { messageId, sentAt, body: { ...hello, depositSecret } },
    {
      messageId,
      sentAt,
      body: {
        ...hello,
        inviteToken: sampleBytes(crypto, 'token', 16),
        depositSecret,
        locatorKey: sampleBytes(crypto, 'locator', 32),
        deviceRecord: sampleBytes(crypto, 'device record', 300),
        sealingKey: { id: 7, key: crypto.xwingKeyPair(sampleBytes(crypto, 'sealing', 32)).publicKey },
        note: 'Salut, c’est Zoé 🐈',
        startMark: sampleStartMark(crypto, device, 7),
        laterMark: sampleStartMark(crypto, device, 8),
      },
      after,
    },
  ]
}

/** A start of a device, signed by it. */
export function sampleStartMark(crypto: Crypto, device: KeyPair, counter: number): SignedStartMark {
  return signStartMark(crypto, device.secretKey, { counter, nonce: sampleBytes(crypto, `start ${counter}`, 16) })
}

function sampleSignals(device: KeyPair, secondDevice: KeyPair): readonly Signal[] {
  const id = connectionId(keyToPeerId(device.publicKey), keyToPeerId(secondDevice.publicKey))
  const candidate = 'candidate:1 1 UDP 2130706431 192.0.2.7 50000 typ host'
  return [
    { type: 'offer', connectionId: id, attempt: 0, sdp: 'v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n' },
    { type: 'answer', connectionId: id, attempt: 1, sdp: 'v=0\r\n' },
    { type: 'candidate', connectionId: id, attempt: 0, candidate, sdpMid: '0', sdpMLineIndex: 0 },
    { type: 'candidate', connectionId: id, attempt: 0, candidate: '', sdpMid: null, sdpMLineIndex: null },
    { type: 'refuse', connectionId: id, attempt: 3, reason: 'busy' },
  ]
}

function sampleInvites(crypto: Crypto, account: KeyPair, device: KeyPair): readonly Invite[] {
  const common = {
    accountKey: account.publicKey,
    deviceKey: device.publicKey,
    locatorKey: sampleBytes(crypto, 'locator', 32),
    token: sampleBytes(crypto, 'token', 16),
  }
  const numbers = [1, 2, 3, 4, 5, 6]
  return [
    { ...common, name: '', addresses: [] },
    {
      ...common,
      name: 'Zoé',
      addresses: ['ws://192.0.2.7:9999', 'wss://miaou.example/link', 'ws://[2001:db8::1]:9999'],
    },
    { ...common, name: 'a name of thirty bytes, I said', addresses: numbers.map((n) => `ws://192.0.2.${n}:9999`) },
    { ...common, name: 'Zoé', addresses: [`wss://${'a'.repeat(50)}.example`] },
  ]
}
