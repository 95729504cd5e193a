import { keyToPeerId, type Now } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { defaultLinkLimits, Link, type LinkIdentity } from '@miaou/network'
import { signPseudonymCertificate } from '@miaou/protocol'
import { FuzzRandom } from './random.ts'
import { sampleBytes } from './samples.ts'

/** How a planted fault makes an engine worse: what it is asked after each input. Throws where the fault shows. */
export type EngineFault = (counters: Readonly<Record<string, number>>) => void

/** As whom an engine or one beside it shows itself: of that name always the same. */
export function samplePseudonym(crypto: Crypto, name: string): LinkIdentity & { readonly signingKey: Uint8Array } {
  const device = crypto.ed25519KeyPair(sampleBytes(crypto, `${name} device`, 32))
  const linkKey = crypto.x25519KeyPair(sampleBytes(crypto, `${name} link`, 32))
  const certificate = signPseudonymCertificate(crypto, device.secretKey, { linkKey: linkKey.publicKey, createdAt: 0 })
  return { peerId: keyToPeerId(device.publicKey), certificate, linkKey, signingKey: device.secretKey }
}

/** One end of a link that shows pseudonyms. */
export function newLink(
  crypto: Crypto,
  identity: LinkIdentity,
  role: 'initiator' | 'responder',
  now: Now,
  seed: number,
): Link {
  const options = { crypto, random: new FuzzRandom(seed), identity, features: [], role, padded: true } as const
  const none = { expected: undefined, binding: undefined } as const
  return new Link({ ...options, ...none, pseudonymsAdmitted: true, channels: 1, limits: defaultLinkLimits }, now)
}

/** Names of the counters that are another number than before. */
export function risen(after: Readonly<Record<string, number>>, before: Readonly<Record<string, number>>): string {
  return Object.keys(after)
    .filter((name) => after[name] !== before[name])
    .join(' ')
    .slice(0, 96)
}
