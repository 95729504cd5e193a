import { concatBytes, equalBytes, hexToBytes } from '@miaou/core'
import {
  decodeRatchetState,
  encodePqxdhHeader,
  encodeRatchetState,
  pqxdhInitiate,
  pqxdhSessionId,
  type RatchetState,
  ratchetEncrypt,
  sealMessage,
  startRatchetInitiator,
} from '@miaou/crypto'
import type { MessagingInput, MessagingOutput } from '@miaou/messaging'
import type { BoxStock, BoxSupply, FetchedEnvelope } from '@miaou/network'
import {
  type BoxAddress,
  type Content,
  encodeContent,
  encodeEnvelope,
  encodePeerAnnouncement,
  encodeSealedContent,
  openBundle,
  verifyPrekeyBundle,
} from '@miaou/protocol'
import { crypto, type Home, type Party, sealAs, seededRandom, unwrap } from './fixture.ts'

const random = seededRandom('mail of tests')

/** A box at a mailbox on the internet. */
export function boxAddress(seed: number): BoxAddress {
  const url = `wss://mail${seed}.example.org`
  return { mailbox: { url, mailboxId: new Uint8Array(16).fill(seed) }, box: new Uint8Array(16).fill(100 + seed) }
}

/** What an honest mailbox holds for one box, as the owner's supplies make it. */
export class TestBox {
  readonly address: BoxAddress
  readonly hashes = new Map<string, Uint8Array>()
  readonly supplies: BoxSupply[] = []
  bundles: Uint8Array[] = []
  lastResort: Uint8Array | undefined
  waiting = 0
  #nextId = 0

  constructor(seed: number) {
    this.address = boxAddress(seed)
  }

  get stock(): BoxStock {
    const { hashes, bundles, lastResort, waiting } = this
    return { tokens: hashes.size, oneTimeBundles: bundles.length, hasLastResort: lastResort !== undefined, waiting }
  }

  /** Applies the supplies among the outputs of a home. */
  take(outputs: readonly MessagingOutput[]): void {
    for (const output of outputs) {
      if (output.type !== 'supply' || !equalBytes(output.box, this.address.box)) continue
      const { supply } = output
      this.supplies.push(supply)
      if (supply.resetTokens) this.hashes.clear()
      for (const hash of supply.tokenHashes) this.hashes.set(String(hash), hash)
      if (supply.resetBundles) this.bundles = []
      this.bundles.push(...supply.oneTimeBundles)
      this.lastResort = supply.lastResortBundle ?? this.lastResort
    }
  }

  /** One envelope as the owner fetches it; its token is spent. */
  envelope(bytes: Uint8Array, tokenHash?: Uint8Array): FetchedEnvelope {
    if (tokenHash) this.hashes.delete(String(tokenHash))
    this.#nextId += 1
    return { id: this.#nextId, bytes, tokenHash, acceptedAt: 0 }
  }
}

/** Tells a home of its boxes, and lets them have what it supplies. Returns the outputs. */
export function tellBoxes(home: Home, ...boxes: readonly TestBox[]): MessagingOutput[] {
  const outputs = home.batch({ type: 'boxes', boxes: boxes.map(({ address, stock }) => ({ address, stock })) })
  for (const box of boxes) box.take(outputs)
  return outputs
}

export function fetched(box: TestBox, ...envelopes: readonly FetchedEnvelope[]): MessagingInput {
  return { type: 'fetched', box: box.address.box, envelopes }
}

/** Ids acknowledged in the outputs. */
export function acknowledged(outputs: readonly MessagingOutput[]): number[] {
  return outputs.flatMap((output) => (output.type === 'acknowledge' ? output.ids : []))
}

function sealingKeyOf(home: Home): { readonly keyId: number; readonly publicKey: Uint8Array } {
  const row = home.store.get('SELECT id, public_key FROM prekeys WHERE kind = 5 ORDER BY id DESC LIMIT 1')
  return { keyId: Number(row?.['id']), publicKey: row?.['public_key'] as Uint8Array }
}

export function announcementOf(party: Party, name: string): Uint8Array {
  const { accountKey, deviceList } = party.identity
  return encodePeerAnnouncement({ accountKey, deviceList, name })
}

/** Envelopes, sealed for a home as a mailbox gets them. */
export function sealFor(
  to: Home,
  from: Party,
  envelopes: readonly Uint8Array[],
  announcement: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const { accountKey, deviceKey } = from.identity
  const parts = { accountKey, deviceKey: deviceKey.publicKey, announcement, envelopes }
  return unwrap(sealMessage({ crypto, random, ...sealingKeyOf(to), content: encodeSealedContent(parts) }))
}

/** Any bytes, sealed for a home. */
export function sealBytes(to: Home, content: Uint8Array): Uint8Array {
  return unwrap(sealMessage({ crypto, random, ...sealingKeyOf(to), content }))
}

/** The envelope of a content, sealed in the session of two homes. */
export function envelopeOf(from: Home, to: Home, content: Content): Uint8Array {
  const input = sealAs(from, to, content)
  if (input.type !== 'frame') throw new Error('a frame')
  return input.payload
}

/** One content by mail, in the session of two homes. */
export function mailOf(from: Home, to: Home, content: Content): Uint8Array {
  return sealFor(to, from.party, [envelopeOf(from, to, content)])
}

/** A text with an id of 16 times `seed`. */
export function textOf(home: Home, seed: number, text: string, after?: number): Content {
  const id = (byte: number): Uint8Array => new Uint8Array(16).fill(byte)
  return {
    messageId: id(seed),
    sentAt: home.clock.wall,
    body: { type: 'text', text, receiptRequested: true },
    ...(after !== undefined && { after: id(after) }),
  }
}

/** Somebody who starts a session with a document of a home: its first envelopes, as many as contents. */
export function initialEnvelopes(
  from: Party,
  to: Home,
  document: Uint8Array,
  contents: readonly Content[],
  locatorKey: Uint8Array = locatorKeyOf(to),
): Uint8Array[] {
  const { identity } = to.party
  const opened = unwrap(openBundle(crypto, locatorKey, identity.deviceKey.publicKey, document))
  const bundle = unwrap(verifyPrekeyBundle(crypto, opened.bundle, identity.deviceKey.publicKey))
  const associatedData = concatBytes(
    Uint8Array.of(1, 1),
    from.identity.accountKey,
    from.identity.deviceKey.publicKey,
    identity.accountKey,
    identity.deviceKey.publicKey,
  )
  const { sessionKey: identityKey, signedPrekey, oneTimePrekey, kemPrekey } = bundle
  const { secret, header } = unwrap(
    pqxdhInitiate({
      crypto,
      random,
      identity: from.identity.sessionKey,
      bundle: { identityKey, signedPrekey, oneTimePrekey, kemPrekey },
      associatedData,
      generation: 1,
    }),
  )
  let state: RatchetState = startRatchetInitiator({ crypto, random, secret, remoteRatchetKey: signedPrekey.publicKey })
  return contents.map((content) => {
    const sealed = ratchetEncrypt({ crypto, random, state, plaintext: encodeContent(content), ad: associatedData })
    state = unwrap(decodeRatchetState(encodeRatchetState(sealed.state)))
    return encodeEnvelope({
      kind: 'initial',
      sessionId: hexToBytes(pqxdhSessionId(crypto, header)) ?? new Uint8Array(16),
      certificate: from.identity.certificate,
      header: encodePqxdhHeader(header),
      message: sealed.message,
    })
  })
}

export function locatorKeyOf(home: Home): Uint8Array {
  const row = home.store.get("SELECT value FROM settings WHERE name = 'locatorKey'")
  return hexToBytes(String(row?.['value'])) ?? new Uint8Array(32)
}

/** The last-resort document that a home tells the overlay. */
export function lastResortOf(outputs: readonly MessagingOutput[]): Uint8Array {
  const told = outputs.findLast((output) => output.type === 'last-resort')
  if (!told) throw new Error('no last-resort document was told')
  return told.bytes
}
