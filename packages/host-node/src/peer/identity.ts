import {
  ByteReader,
  ByteWriter,
  bytesToText,
  err,
  keyToPeerId,
  ok,
  type Random,
  type Result,
  textToBytes,
} from '@miaou/core'
import { type Crypto, deriveFromEntropy, type KeyPair } from '@miaou/crypto'
import type { Keyring, PutKeyError } from '@miaou/keyring'
import type { MessagingIdentity } from '@miaou/messaging'
import type { NetworkIdentity } from '@miaou/network'
import {
  deviceListEntriesMax,
  deviceListEntrySizeMax,
  signDeviceCertificate,
  signDeviceListEntry,
  verifyCertificate,
} from '@miaou/protocol'

/** Key ids of the peer's own secrets. `account` stands alone so that it can be taken out of the home. */
const keyIds = {
  account: 'self.account',
  capsule: 'self.capsule',
  device: 'self.device',
  link: 'self.link',
  session: 'self.session',
  certificate: 'self.certificate',
  deviceList: 'self.device-list',
  name: 'self.name',
} as const

export interface PeerIdentity {
  readonly network: NetworkIdentity
  readonly messaging: MessagingIdentity
}

export type IdentityError = { readonly type: 'damaged-identity'; readonly what: string }

/**
 * Makes an account from 32 bytes of entropy (its recovery words) and a first device with random keys, and puts both in
 * the keyring. `wallMs`: milliseconds since the Unix epoch. `name`: what contacts see, at most 64 bytes.
 */
export function createIdentity(
  crypto: Crypto,
  random: Random,
  keyring: Keyring,
  facts: { readonly entropy: Uint8Array; readonly name: string; readonly wallMs: number },
): Result<undefined, PutKeyError> {
  const { entropy, name, wallMs: createdAt } = facts
  const secrets = deriveFromEntropy(crypto, entropy)
  const account = crypto.ed25519KeyPair(secrets.accountSeed)
  const device = crypto.ed25519KeyPair(random.bytes(32))
  const link = crypto.x25519KeyPair(random.bytes(32))
  const session = crypto.x25519KeyPair(random.bytes(32))
  const certificate = signDeviceCertificate(crypto, device.secretKey, {
    accountKey: account.publicKey,
    linkKey: link.publicKey,
    sessionKey: session.publicKey,
    createdAt,
  })
  const firstEntry = signDeviceListEntry(crypto, account.secretKey, {
    action: 'add',
    accountKey: account.publicKey,
    deviceKey: device.publicKey,
    deviceName: name,
    height: 0,
    previous: new Uint8Array(32),
    signer: 'account',
    rights: [],
    createdAt,
  })
  const capsule = new ByteWriter(64).bytes(secrets.capsuleKey).bytes(secrets.locator).finish()
  const entries: [keyId: string, kind: string, secret: Uint8Array, publicKey?: Uint8Array][] = [
    [keyIds.account, 'account', account.secretKey, account.publicKey],
    [keyIds.capsule, 'capsule', capsule],
    [keyIds.device, 'device', device.secretKey, device.publicKey],
    [keyIds.link, 'link-static', link.secretKey, link.publicKey],
    [keyIds.session, 'session-identity', session.secretKey, session.publicKey],
    [keyIds.certificate, 'document', certificate],
    [keyIds.deviceList, 'document', encodeDeviceList([firstEntry])],
    [keyIds.name, 'document', textToBytes(name)],
  ]
  for (const [keyId, kind, secret, publicKey] of entries) {
    const put = keyring.put(keyId, kind, secret, publicKey === undefined ? { createdAt } : { createdAt, publicKey })
    if (!put.ok) return put
  }
  return ok(undefined)
}

/** The identity in an open keyring. The account key is not needed to run, and is not read. */
export function loadIdentity(crypto: Crypto, keyring: Keyring): Result<PeerIdentity, IdentityError> {
  const found = new Map<string, Uint8Array>()
  for (const keyId of [
    keyIds.device,
    keyIds.link,
    keyIds.session,
    keyIds.certificate,
    keyIds.deviceList,
    keyIds.name,
  ]) {
    const key = keyring.get(keyId)
    if (!key.ok) return err({ type: 'damaged-identity', what: keyId })
    found.set(keyId, key.value.secret)
  }
  const secret = (keyId: string): Uint8Array => found.get(keyId) ?? new Uint8Array(0)
  const device: KeyPair = crypto.ed25519KeyPair(secret(keyIds.device))
  const deviceList = decodeDeviceList(secret(keyIds.deviceList))
  const name = bytesToText(secret(keyIds.name))
  if (deviceList === undefined) return err({ type: 'damaged-identity', what: keyIds.deviceList })
  if (name === undefined) return err({ type: 'damaged-identity', what: keyIds.name })
  const bytes = secret(keyIds.certificate)
  const certificate = verifyCertificate(crypto, bytes)
  if (!certificate.ok || certificate.value.kind !== 'device')
    return err({ type: 'damaged-identity', what: keyIds.certificate })
  return ok({
    network: {
      peerId: keyToPeerId(device.publicKey),
      certificate: bytes,
      linkKey: crypto.x25519KeyPair(secret(keyIds.link)),
    },
    messaging: {
      accountKey: certificate.value.accountKey,
      deviceKey: device,
      certificate: bytes,
      sessionKey: crypto.x25519KeyPair(secret(keyIds.session)),
      deviceList,
      name,
    },
  })
}

/** One document, so that it changes as a whole: count (u16), then each entry (u16 length, bytes), oldest first. */
export function encodeDeviceList(entries: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter().u16(entries.length)
  for (const entry of entries) writer.bytes16(entry)
  return writer.finish()
}

export function decodeDeviceList(bytes: Uint8Array): Uint8Array[] | undefined {
  const reader = new ByteReader(bytes)
  const count = reader.u16()
  if (count > deviceListEntriesMax) return undefined
  const entries = Array.from({ length: count }, () => reader.bytes16(deviceListEntrySizeMax))
  return reader.finished() ? entries : undefined
}
