import { keyToPeerId } from '@miaou/core'
import { type Crypto, createLibsodiumCrypto } from '@miaou/crypto'
import { signDeviceCertificate, signPseudonymCertificate } from '@miaou/protocol'
import { SeededRandom } from '../../../testkit/src/seeded.ts'
import type { LinkIdentity } from '../src/link-handshake.ts'

export { SeededRandom }

export const crypto: Crypto = await createLibsodiumCrypto()

export interface TestIdentity extends LinkIdentity {
  readonly deviceSecret: Uint8Array
  readonly accountKey: Uint8Array
  readonly sessionKey: Uint8Array
}

/** A device identity drawn from a seed. */
export function testIdentity(seed: number): TestIdentity {
  const random = new SeededRandom(seed * 7919 + 1)
  const device = crypto.ed25519KeyPair(random.bytes(32))
  const accountKey = crypto.ed25519KeyPair(random.bytes(32)).publicKey
  const linkKey = crypto.x25519KeyPair(random.bytes(32))
  const sessionKey = crypto.x25519KeyPair(random.bytes(32)).publicKey
  const fields = { accountKey, linkKey: linkKey.publicKey, sessionKey, createdAt: 1_700_000_000_000 }
  return {
    peerId: keyToPeerId(device.publicKey),
    certificate: signDeviceCertificate(crypto, device.secretKey, fields),
    linkKey,
    deviceSecret: device.secretKey,
    accountKey,
    sessionKey,
  }
}

export function testPseudonym(seed: number): LinkIdentity {
  const random = new SeededRandom(seed * 104_729 + 3)
  const key = crypto.ed25519KeyPair(random.bytes(32))
  const linkKey = crypto.x25519KeyPair(random.bytes(32))
  return {
    peerId: keyToPeerId(key.publicKey),
    certificate: signPseudonymCertificate(crypto, key.secretKey, { linkKey: linkKey.publicKey, createdAt: 1 }),
    linkKey,
  }
}

/** Two identities, the one with the smaller peer id first. */
export function orderedIdentities(seed: number): readonly [TestIdentity, TestIdentity] {
  const pair = [testIdentity(2 * seed), testIdentity(2 * seed + 1)] as const
  const isOrdered = crypto.ed25519KeyPair(pair[0].deviceSecret).publicKey
  const other = crypto.ed25519KeyPair(pair[1].deviceSecret).publicKey
  for (let i = 0; i < 32; i++) {
    const [a, b] = [isOrdered[i] ?? 0, other[i] ?? 0]
    if (a !== b) return a < b ? pair : [pair[1], pair[0]]
  }
  return pair
}
