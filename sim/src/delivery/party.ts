import { type AccountId, keyToAccountId, keyToPeerId, type PeerId } from '@miaou/core'
import { createNodeCrypto } from '@miaou/host-node'
import type { MessagingIdentity, MessagingInput } from '@miaou/messaging'
import {
  type BoxAddress,
  boxToEntry,
  signDeviceCertificate,
  signDeviceListEntry,
  signDeviceRecord,
} from '@miaou/protocol'
import { SeededRandom } from '../../../testkit/src/seeded.ts'

export const crypto: Awaited<ReturnType<typeof createNodeCrypto>> = await createNodeCrypto()

/** Wall-clock ms at which every schedule begins: any date. */
export const startWall = 1_760_000_000_000

/** A person with one device. */
export interface Party {
  readonly identity: MessagingIdentity
  readonly account: AccountId
  readonly peerId: PeerId
}

export function createParty(index: number): Party {
  const random = new SeededRandom(1000 + index)
  const account = crypto.ed25519KeyPair(random.bytes(32))
  const deviceKey = crypto.ed25519KeyPair(random.bytes(32))
  const sessionKey = crypto.x25519KeyPair(random.bytes(32))
  const linkKey = crypto.x25519KeyPair(random.bytes(32)).publicKey
  const accountKey = account.publicKey
  const entry = signDeviceListEntry(crypto, account.secretKey, {
    action: 'add',
    accountKey,
    deviceKey: deviceKey.publicKey,
    deviceName: `device ${index}`,
    height: 0,
    previous: new Uint8Array(32),
    createdAt: startWall,
    signer: 'account',
    rights: [],
  })
  const certified = { accountKey, linkKey, sessionKey: sessionKey.publicKey, createdAt: startWall }
  const certificate = signDeviceCertificate(crypto, deviceKey.secretKey, certified)
  const name = `person ${index}`
  return {
    identity: { accountKey, deviceKey, certificate, sessionKey, deviceList: [entry], name },
    account: keyToAccountId(accountKey),
    peerId: keyToPeerId(deviceKey.publicKey),
  }
}

/** What the other end of a link hears when it stands. */
export function linkUp({ identity, peerId }: Party): MessagingInput {
  const { accountKey, sessionKey, certificate } = identity
  return { type: 'link-up', peerId, accountKey, sessionKey: sessionKey.publicKey, certificate }
}

/** The record in which a device names its boxes. */
export function recordOf({ identity }: Party, boxes: readonly BoxAddress[]): Uint8Array {
  return signDeviceRecord(crypto, identity.deviceKey.secretKey, {
    sequence: 1,
    createdAt: startWall,
    ways: [],
    overlayContact: undefined,
    mailboxes: boxes.map(boxToEntry),
    services: [],
  })
}
