import { bytesToText, textToBytes } from '@miaou/core'
import { type Crypto, openSealed, sealMessage } from '@miaou/crypto'
import {
  type BoxAddress,
  type BundleManifest,
  boxToEntry,
  decodeBundleManifest,
  decodeMailboxMessage,
  decodePrekeyDocument,
  decodeSealedContent,
  decodeStartMark,
  encodeMailboxMessage,
  encodePrekeyDocument,
  encodeSealedContent,
  encodeStartMark,
  entryToBox,
  formatBoxAddress,
  type MailboxMessage,
  openBundle,
  type PrekeyDocument,
  parseBoxAddress,
  type SealedContent,
  type SignedStartMark,
  splitBundle,
} from '@miaou/protocol'
import { createMailboxSamples } from './mailbox-samples.ts'
import { sampleBox } from './record-samples.ts'
import { createWireSamples, sampleBytes, sampleStartMark } from './samples.ts'
import { defineTarget, type FuzzTarget, type Outcome } from './target.ts'

/** Every decoder of mailboxes and of what is sealed. */
export function mailboxTargets(crypto: Crypto): readonly FuzzTarget[] {
  return [...messageTargets(crypto), ...documentTargets(crypto), ...addressTargets(crypto), ...sealedTargets(crypto)]
}

function messageTargets(crypto: Crypto): readonly FuzzTarget[] {
  const { messages, contents } = createMailboxSamples(crypto)
  const { device } = createWireSamples(crypto)
  return [
    defineTarget<MailboxMessage>({
      name: 'mailbox-message',
      seeds: messages.map(encodeMailboxMessage),
      decode: decodeMailboxMessage,
      encode: encodeMailboxMessage,
      sizeMax: 66_000,
      weight: 1,
    }),
    defineTarget<SealedContent>({
      name: 'sealed-content',
      seeds: contents.map(encodeSealedContent),
      decode: decodeSealedContent,
      encode: encodeSealedContent,
      sizeMax: 64_000,
      weight: 1,
    }),
    defineTarget<SignedStartMark>({
      name: 'start-mark',
      seeds: [1, 7].map((counter) => encodeStartMark(sampleStartMark(crypto, device, counter))),
      decode: (bytes) => toOutcome(decodeStartMark(bytes)),
      encode: encodeStartMark,
      sizeMax: 100,
      weight: 0.3,
    }),
  ]
}

function documentTargets(crypto: Crypto): readonly FuzzTarget[] {
  const { locatorKey, device, document, sealed } = createMailboxSamples(crypto).documents
  return [
    defineTarget<PrekeyDocument>({
      name: 'prekey-document',
      seeds: [encodePrekeyDocument(document)],
      decode: decodePrekeyDocument,
      encode: encodePrekeyDocument,
      sizeMax: 14_000,
      weight: 0.5,
    }),
    defineTarget<PrekeyDocument>({
      name: 'sealed-bundle',
      seeds: [sealed],
      decode: (bytes) => openBundle(crypto, locatorKey, device.publicKey, bytes),
      isSealed: true,
      sizeMax: 15_000,
      weight: 0.2,
    }),
    defineTarget<BundleManifest>({
      name: 'bundle-manifest',
      seeds: [sealed, sealed.slice(0, 900)].map((bytes) => splitBundle(crypto, bytes).manifest),
      decode: decodeBundleManifest,
      sizeMax: 1_000,
      weight: 0.3,
    }),
  ]
}

function addressTargets(crypto: Crypto): readonly FuzzTarget[] {
  const boxes = ['ws://192.0.2.1:9999', 'wss://mail.example.org'].map((url, n) => sampleBox(crypto, n, url))
  return [
    defineTarget<BoxAddress>({
      name: 'box-address',
      seeds: boxes.map((box) => textToBytes(formatBoxAddress(box))),
      decode: (bytes) => toOutcome(parseBoxAddress(bytesToText(bytes) ?? '')),
      encode: (box) => textToBytes(formatBoxAddress(box)),
      sizeMax: 240,
      weight: 0.3,
      isText: true,
    }),
    defineTarget<BoxAddress>({
      name: 'box-entry',
      seeds: boxes.map((box) => boxToEntry(box).bytes),
      decode: (bytes) => toOutcome(entryToBox({ kind: 1, bytes })),
      encode: (box) => boxToEntry(box).bytes,
      sizeMax: 255,
      weight: 0.3,
    }),
  ]
}

function sealedTargets(crypto: Crypto): readonly FuzzTarget[] {
  const { publicKey, secretKey } = crypto.xwingKeyPair(sampleBytes(crypto, 'sealing', 32))
  let drawn = 0
  const random = { bytes: (size: number) => sampleBytes(crypto, `seal ${drawn++}`, size) }
  const seeds = [0, 700].flatMap((size) => {
    const content = sampleBytes(crypto, 'content', size)
    const sealed = sealMessage({ crypto, random, publicKey, keyId: 7, content })
    return sealed.ok ? [sealed.value] : []
  })
  return [
    {
      name: 'sealed-message',
      seeds,
      decode: (bytes) => openSealed(crypto, (id) => (id === 7 ? secretKey : undefined), bytes),
      isSealed: true,
      sizeMax: 4_000,
      weight: 0.1,
    },
  ]
}

function toOutcome<T>(
  value: T | undefined,
): Outcome & ({ readonly ok: true; readonly value: T } | { readonly ok: false }) {
  return value === undefined ? { ok: false, error: { type: 'malformed' } } : { ok: true, value }
}
