import type { Random } from '@miaou/core'
import type { Crypto, KeyPair } from '@miaou/crypto'
import {
  boxIdOf,
  depositToken,
  encodeEnvelope,
  encodePeerAnnouncement,
  encodePrekeyDocument,
  inviteDepositSecret,
  type MailboxMessage,
  type PrekeyDocument,
  type SealedContent,
  sealBundle,
  signMailboxAck,
  tokenHash,
} from '@miaou/protocol'
import { createWireSamples, sampleBytes, sampleTime } from './samples.ts'

/** One example of everything that peers and mailboxes say to each other, and of what is sealed: from fixed seeds. */
export interface MailboxSamples {
  /** The pseudonym that keeps the box. */
  readonly owner: KeyPair
  readonly box: Uint8Array
  readonly acknowledgement: { readonly ids: readonly number[]; readonly signature: Uint8Array }
  readonly messages: readonly MailboxMessage[]
  readonly contents: readonly SealedContent[]
  readonly tokens: {
    readonly secret: Uint8Array
    readonly inviteToken: Uint8Array
    readonly inviteSecret: Uint8Array
    readonly tokens: readonly { readonly number: number; readonly token: Uint8Array; readonly hash: Uint8Array }[]
  }
  readonly documents: {
    readonly locatorKey: Uint8Array
    readonly device: KeyPair
    readonly nonce: Uint8Array
    readonly document: PrekeyDocument
    readonly sealed: Uint8Array
  }
}

export function createMailboxSamples(crypto: Crypto): MailboxSamples {
  const bytes = (name: string, size = 32): Uint8Array => sampleBytes(crypto, name, size)
  const owner = crypto.ed25519KeyPair(bytes('box owner'))
  const box = boxIdOf(owner.publicKey, (input) => crypto.sha256(input))
  const ids = [1, 2, Number.MAX_SAFE_INTEGER]
  const acknowledgement = { ids, signature: signMailboxAck(crypto, owner.secretKey, box, ids) }
  const secret = bytes('deposit secret')
  const inviteToken = bytes('token', 16)
  const tokens = [0, 1, 0xffff_ffff].map((number) => {
    const token = depositToken(crypto, secret, box, number)
    return { number, token, hash: tokenHash(crypto, token) }
  })
  const documents = sampleDocuments(crypto)
  return {
    owner,
    box,
    acknowledgement,
    messages: sampleMessages(crypto, box, acknowledgement),
    contents: sampleContents(crypto),
    tokens: { secret, inviteToken, inviteSecret: inviteDepositSecret(crypto, inviteToken), tokens },
    documents,
  }
}

function sampleMessages(
  crypto: Crypto,
  box: Uint8Array,
  acknowledgement: MailboxSamples['acknowledgement'],
): readonly MailboxMessage[] {
  const bytes = (name: string, size: number): Uint8Array => sampleBytes(crypto, name, size)
  const stock = { tokens: 2_048, oneTimeBundles: 32, hasLastResort: true, waiting: 7 }
  const empty = { tokens: 0, oneTimeBundles: 0, hasLastResort: false, waiting: 0 }
  const start = { counter: 7, nonce: bytes('start 7', 16) }
  const sealed = bytes('sealed message', 60)
  const token = bytes('delivery token', 16)
  const hash = bytes('delivery token hash', 16)
  const document = bytes('sealed document', 50)
  return [
    { type: 'register', request: 1, start },
    { type: 'registered', request: 1, stock, staleSince: undefined, timestamp: sampleTime },
    { type: 'registered', request: 1, stock: empty, staleSince: 8, timestamp: sampleTime },
    { type: 'tokens', request: 2, reset: true, hashes: [hash, bytes('other hash', 16)] },
    { type: 'tokens', request: 2, reset: false, hashes: [] },
    { type: 'bundles', request: 3, reset: true, oneTime: [document, document], lastResort: undefined },
    { type: 'bundles', request: 3, reset: false, oneTime: [], lastResort: document },
    { type: 'done', request: 0xffff_ffff, stock },
    { type: 'envelope', id: 1, acceptedAt: sampleTime, tokenHash: hash, bytes: sealed },
    { type: 'envelope', id: 2, acceptedAt: sampleTime, tokenHash: undefined, bytes: sealed },
    { type: 'acknowledge', ...acknowledgement },
    { type: 'release' },
    { type: 'deposit', request: 4, box, token, bytes: sealed },
    { type: 'deposit', request: 5, box, token: undefined, bytes: sealed },
    { type: 'accepted', request: 4, until: sampleTime + 604_800_000, timestamp: sampleTime },
    { type: 'refused', request: 5, reason: 'token-unknown' },
    { type: 'refused', request: 5, reason: 'too-large' },
    { type: 'check', request: 6, box, tokens: [token, token] },
    { type: 'statuses', request: 6, statuses: ['held', 'taken', 'unknown'] },
    { type: 'take-bundle', request: 7, box },
    { type: 'bundle', request: 7, bytes: document },
    { type: 'bundle', request: 7, bytes: undefined },
  ]
}

function sampleContents(crypto: Crypto): readonly SealedContent[] {
  const { account, device, announcements, envelopes } = createWireSamples(crypto)
  const [announcement] = announcements.map(encodePeerAnnouncement)
  const keys = { accountKey: account.publicKey, deviceKey: device.publicKey }
  const encoded = envelopes.map(encodeEnvelope)
  return [
    { ...keys, announcement: new Uint8Array(0), envelopes: encoded.slice(0, 1) },
    { ...keys, announcement: announcement ?? new Uint8Array(0), envelopes: encoded },
  ]
}

function sampleDocuments(crypto: Crypto): MailboxSamples['documents'] {
  const { device, deviceCertificate, prekeyBundles, announcements } = createWireSamples(crypto)
  const [announcement = new Uint8Array(0)] = announcements.map(encodePeerAnnouncement)
  const locatorKey = sampleBytes(crypto, 'locator', 32)
  const nonce = sampleBytes(crypto, 'bundle nonce', 24)
  const random: Random = { bytes: () => nonce }
  const bundle = prekeyBundles[2] ?? new Uint8Array(0)
  const document = { bundle, certificate: deviceCertificate, announcement }
  const sealed = sealBundle(crypto, random, locatorKey, device.publicKey, encodePrekeyDocument(document))
  return { locatorKey, device, nonce, document, sealed }
}
