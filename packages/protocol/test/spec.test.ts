import { readFileSync } from 'node:fs'
import * as crypto from '@miaou/crypto'
import * as protocol from '@miaou/protocol'
import { describe, expect, test } from 'vitest'
import { createMailboxSamples } from '../../../testkit/src/fuzz/mailbox-samples.ts'
import { createRecordSamples } from '../../../testkit/src/fuzz/record-samples.ts'
import { createWireSamples } from '../../../testkit/src/fuzz/samples.ts'
import { libsodium } from './backends.ts'

const documents = [
  'frames',
  'handshake',
  'identity',
  'prekeys',
  'messages',
  'signals',
  'invite',
  'overlay',
  'circuits',
  'records',
  'sealed',
  'mailbox',
]
/** What follows a heading "Engine" has constants of another package. */
const read = (name: string) =>
  readFileSync(new URL(`../../../spec/${name}.md`, import.meta.url), 'utf8').split('\n## Engine\n')[0] ?? ''

/** `a.b` looks up `b` in the exported object `a`. */
function lookUp(path: string): unknown {
  const [name = '', ...fields] = path.split('.')
  // What seals is in the crypto package, and documented where it is used.
  const start: unknown = Reflect.get(protocol, name) ?? Reflect.get(crypto, name)
  return fields.reduce<unknown>((value, field) => Reflect.get(Object(value), field), start)
}

/** Sum of the sizes in the byte table that follows a rule's heading; texts like `2 + n` count with `n` = 0. */
function tableSize(document: string, rule: string, n: readonly number[] = []): number {
  const from = document.slice(document.indexOf(`**[${rule}]**`))
  const rows = [...(from.split('\n\n')[1] ?? '').matchAll(/^\s*\|\s*([\d+ n]+?)\s*\|/gm)].map(([, size = '']) => size)
  const extra = [...n]
  const parts = rows.flatMap((row) => row.split('+').map((part) => part.trim()))
  return parts.reduce((sum, part) => sum + (part === 'n' ? (extra.shift() ?? 0) : Number(part)), 0)
}

describe('the specification says what the code does', () => {
  for (const name of documents) {
    const rows = [...read(name).matchAll(/^\| `([\w.-]+)` \| (0x[\da-f]+|\d+) \|/gm)]
    test.each(rows.map(([, constant = '', value = '']) => [constant, value]))(
      `${name}.md: %s = %s`,
      (constant, value) => {
        expect(lookUp(constant)).toBe(Number(value))
      },
    )
    test(`${name}.md has a table of constants and numbered rules`, () => {
      expect(rows.length).toBeGreaterThan(2)
      expect(read(name)).toMatch(/\*\*\[[A-Z]+\d+\]\*\*/)
    })
  }

  test.each([
    'frameTypes',
    'disconnectReasons',
    'presences',
    'contentTags',
    'receiptStatuses',
    'refusalReasons',
    'overlayMessageTypes',
    'storeStatuses',
    'rendezvousStatuses',
    'punchStatuses',
    'recordKinds',
    'wayForms',
    'serviceKinds',
    'contactWaysTags',
    'deviceRecordTags',
    'announcementTags',
    'contentExtensionTags',
    'prekeyBundleTags',
    'mailboxMessageKinds',
    'mailboxRefusals',
    'mailboxTokenStatuses',
    'relayMessageKinds',
    'relayRefusals',
    'circuitCloseReasons',
    'relayIceSchemes',
    'relayIceTransports',
  ])('every code of %s is in the specification', (table) => {
    const text = documents.map(read).join('\n')
    for (const name of Object.keys(Object(lookUp(table)))) expect(text).toContain(`\`${table}.${name}\``)
  })

  test('byte tables add up to the sizes on the wire', () => {
    const samples = createWireSamples(libsodium)
    const identity = read('identity')
    expect(tableSize(identity, 'I3')).toBe(samples.deviceCertificate.length)
    expect(tableSize(identity, 'I4')).toBe(samples.pseudonymCertificate.length)
    expect(tableSize(identity, 'I6', ['laptop'.length]) - 32).toBe(samples.deviceList[0]?.length)
    expect(tableSize(read('prekeys'), 'P1')).toBe(samples.prekeyBundles[1]?.length)
    expect(tableSize(read('overlay'), 'O5')).toBe(protocol.overlayHeaderSize)
    expect(tableSize(read('overlay'), 'O14')).toBe(protocol.valueRecordOverhead)
    expect(tableSize(read('overlay'), 'O15')).toBe(protocol.signedRecordOverhead)
    const records = createRecordSamples(libsodium)
    expect(tableSize(read('records'), 'W1')).toBe(records.signedDeviceRecords[0]?.length)
    const { contents, documents } = createMailboxSamples(libsodium)
    const [content] = contents
    const envelope = content?.envelopes[0]?.length ?? 0
    if (content === undefined) throw new Error('no sample')
    const envelopeSize = protocol.sealedEnvelopeOverhead + envelope
    expect(tableSize(read('sealed'), 'SE8') + envelopeSize).toBe(protocol.encodeSealedContent(content).length)
    expect(tableSize(read('sealed'), 'SE8')).toBe(protocol.sealedContentOverhead)
    expect(tableSize(read('sealed'), 'SE2')).toBe(crypto.sealedHeaderSize + 16)
    const { bundle, certificate, announcement } = documents.document
    const parts = [bundle, certificate, announcement].map(({ length }) => length)
    expect(tableSize(read('prekeys'), 'P6', parts)).toBe(protocol.encodePrekeyDocument(documents.document).length)
    const url = 1 + 'relay.example.org'.length + 1
    expect(tableSize(read('records'), 'W8', [url])).toBe(records.signedServiceRecords[0]?.length)
  })

  test('[SE9] what a text of 100 bytes becomes', () => {
    const keyed = new Uint8Array(32)
    const body = { type: 'text', text: 'x'.repeat(100), receiptRequested: true } as const
    const content = protocol.encodeContent({ messageId: keyed.slice(16), sentAt: 1, body })
    const message = new Uint8Array(content.length + crypto.ratchetOverheadBytes)
    const envelope = protocol.encodeEnvelope({ kind: 'ratchet', sessionId: keyed.slice(16), message })
    const size = protocol.sealedContentSize(0, [envelope.length])
    expect([envelope.length, size, crypto.sealedMessageSize(size)]).toEqual([283, 359, 2_166])
    expect(crypto.sealedMessageSize(size) - crypto.sealedHeaderSize - 16).toBe(1_024)
    for (const number of ['283', '359', '1,024', '2,166', '1,142']) expect(read('sealed')).toContain(number)
  })

  test('[H2] the prologue', () => {
    const text = 'Miaou-v0.2.0-handshake'
    expect(text.length).toBe(22)
    expect(protocol.handshakePrologue(2)).toEqual(Uint8Array.from([...Buffer.from(text), 2]))
  })
})
