import { type Jitter, keyToPeerId, type Random } from '@miaou/core'
import { type Crypto, createLibsodiumCrypto } from '@miaou/crypto'
import { signDeviceCertificate, signPseudonymCertificate } from '@miaou/protocol'
import type { LinkIdentity } from '../src/link-handshake.ts'

export const crypto: Crypto = await createLibsodiumCrypto()

/** Mulberry32: the same seed gives the same run. */
export class SeededRandom implements Random, Jitter {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  chance(share: number): boolean {
    return this.next() < share
  }

  bytes(size: number): Uint8Array {
    return Uint8Array.from({ length: size }, () => this.below(256))
  }
}

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
