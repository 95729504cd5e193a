import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { keyToPeerId, type PeerId } from '@miaou/core'
import { createLibsodiumCrypto } from '@miaou/crypto'
import type { BoxStock, MailboxesInput, PipeId } from '@miaou/network'
import type { AddressScope, BoxAddress, MailboxAddress } from '@miaou/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SealedDocument } from '../src/overlay/sealed-document.ts'
import { KnownMailboxes, knownMailboxesSizeMax } from '../src/peer/known-mailboxes.ts'
import { MailboxUse } from '../src/peer/mailbox-use.ts'
import { systemRandom } from '../src/peer/system.ts'

const crypto = await createLibsodiumCrypto()
const stock: BoxStock = { tokens: 0, oneTimeBundles: 0, hasLastResort: false, waiting: 0 }
let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'miaou-mailbox-use-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function testPeerId(n: number): PeerId {
  return keyToPeerId(new Uint8Array(32).fill(n))
}

function mailbox(n: number, url = `wss://box${n}.example.org`): MailboxAddress {
  return { url, mailboxId: new Uint8Array(16).fill(n) }
}

function box(n: number, url?: string): BoxAddress {
  return { mailbox: mailbox(n, url), box: new Uint8Array(16).fill(100 + n) }
}

interface Dial {
  readonly url: string
  readonly nearest: AddressScope | undefined
}

/** The use of mailboxes by a home, which a second call starts anew, and all that it asks for. */
function use(options: { configured?: readonly number[]; own?: number; loopbackOnly?: boolean } = {}) {
  const document = { crypto, random: systemRandom, path: join(folder, 'mailboxes'), key: new Uint8Array(32) }
  const sealed = new SealedDocument({ ...document, magic: 'MMBX', bodySizeMax: knownMailboxesSizeMax })
  const known = new KnownMailboxes(sealed, { write: () => undefined })
  known.load()
  const lists: Extract<MailboxesInput, { type: 'mailboxes' }>['mailboxes'][] = []
  const dials: Dial[] = []
  const told: (readonly BoxAddress[])[] = []
  const subprotocols: string[] = []
  const mail = new MailboxUse({
    configured: (options.configured ?? []).map((n) => mailbox(n)),
    known,
    ownMailboxId: options.own === undefined ? undefined : mailbox(options.own).mailboxId,
    loopbackOnly: options.loopbackOnly ?? false,
    nearestRelay: () => 'public',
    adapters: { claim: () => undefined, release: () => undefined },
    nextPipe: () => 1 as PipeId,
    push: (input) => {
      if (input.type === 'mailboxes' && input.input.type === 'mailboxes') lists.push(input.input.mailboxes)
    },
    onBoxes: (boxes) => told.push(boxes),
  })
  mail.start({
    channel: ({ subprotocol }) => {
      subprotocols.push(subprotocol)
      return {
        dial: (_pipe, url, nearest) => dials.push({ url, nearest }),
        send: () => undefined,
        close: () => undefined,
        stop: async () => undefined,
      }
    },
  })
  const dial = (url: string): AddressScope | undefined => {
    mail.perform({ type: 'mailbox-dial', pipe: 2 as PipeId, url, throughRelay: false })
    return dials.at(-1)?.nearest
  }
  /** What the engine says where boxes are: those with a link have a stock. */
  const boxes = (registered: readonly number[], away: readonly number[] = []): void =>
    mail.perform({
      type: 'boxes',
      boxes: [
        ...registered.map((n) => ({ address: box(n), stock })),
        ...away.map((n) => ({ address: box(n), stock: undefined })),
      ],
    })
  const named = (): readonly (number | undefined)[] => (lists.at(-1) ?? []).map((entry) => entry.mailbox.mailboxId[0])
  const kept = (): readonly (number | undefined)[] =>
    (lists.at(-1) ?? []).flatMap((entry) => (entry.isKept ? [entry.mailbox.mailboxId[0]] : []))
  return { mail, known, lists, told, subprotocols, dial, boxes, named, kept }
}

describe('the mailboxes that a peer uses', () => {
  test('those added come first, then those of the configuration, then those of contacts', () => {
    const at = use({ configured: [1] })
    expect(at.subprotocols).toEqual(['miaou-mailbox-v0.2.0'])
    at.mail.learn(testPeerId(1), [box(7)])
    expect(at.named()).toEqual([1, 7])
    at.mail.add(mailbox(2))
    expect(at.named()).toEqual([2, 1])
    at.mail.remove(mailbox(2))
    expect(at.named()).toEqual([1, 7])
  })

  test('a list that did not change is not told again; no mailbox stands in it twice', () => {
    const at = use({ configured: [1] })
    at.mail.learn(testPeerId(1), [box(7), box(1, 'wss://elsewhere.example.org')])
    at.mail.learn(testPeerId(1), [box(7), box(1)])
    expect(at.lists).toHaveLength(2)
    expect(at.lists.at(-1)?.map((entry) => entry.mailbox)).toEqual([mailbox(1), mailbox(7)])
  })

  test('its own mailbox keeps nothing for it: it is away when this peer is', () => {
    const at = use({ configured: [1], own: 7 })
    at.mail.learn(testPeerId(1), [box(7), box(8)])
    expect(at.named()).toEqual([1, 8])
  })

  test('contacts take turns: none of them alone says where all boxes are, however many it names or how often', () => {
    const at = use()
    for (let round = 0; round < 20; round++) {
      at.mail.learn(
        testPeerId(1),
        [0, 1, 2, 3].map((n) => box(100 + 4 * round + n)),
      )
    }
    at.mail.learn(testPeerId(2), [box(1)])
    at.mail.learn(testPeerId(3), [box(2)])
    expect(at.named()).toEqual([176, 1, 2, 177, 178, 179])
  })

  test('what contacts name is bounded', () => {
    const at = use()
    for (let n = 1; n <= 40; n++)
      at.mail.learn(
        testPeerId(n),
        [0, 1, 2, 3].map((k) => box(4 * n + k)),
      )
    expect(at.named()).toHaveLength(16)
    expect(at.named()).toEqual(Array.from({ length: 16 }, (_, n) => 4 * (25 + n)))
  })

  test('what a person removed does not come back because a contact names it, until it is added again', () => {
    const at = use()
    at.mail.add(mailbox(7))
    at.mail.learn(testPeerId(1), [box(7)])
    expect(at.mail.remove(mailbox(7))).toEqual({ ok: true, value: true })
    at.mail.learn(testPeerId(1), [box(7), box(8)])
    expect(at.named()).toEqual([8])
    at.mail.add(mailbox(7))
    expect(at.named()).toEqual([7, 8])
    // It was never added: nothing is removed, and it is used as before.
    expect(at.mail.remove(mailbox(8))).toEqual({ ok: true, value: false })
    at.boxes([8])
    expect(at.mail.remove(mailbox(8))).toEqual({ ok: true, value: false })
    expect(at.named()).toEqual([7, 8])
    expect(at.known.kept).toEqual([mailbox(8)])
  })

  test('[MB62] boxes of the last run are taken up again, also those of contacts who have said nothing yet', () => {
    const before = use({ configured: [1] })
    before.mail.learn(testPeerId(1), [box(7)])
    before.boxes([1, 7])
    expect(before.told.at(-1)).toEqual([box(1), box(7)])
    const at = use({ configured: [1] })
    expect(at.named()).toEqual([1, 7])
    expect(at.kept()).toEqual([1, 7])
  })

  test('[MB62] a box that is not needed any more is reached once, before it is given back', () => {
    const before = use()
    before.mail.learn(testPeerId(1), [box(7)])
    before.boxes([7])
    // Meanwhile a person has chosen two; messages may wait in the old box.
    const at = use({ configured: [1, 2] })
    expect(at.named()).toEqual([1, 2, 7])
    at.boxes([1, 2], [7])
    expect(at.named()).toEqual([1, 2, 7])
    at.boxes([1, 2, 7])
    expect(at.named()).toEqual([1, 2])
    // The engine fetches what waits, gives it back, and tells of it no more.
    at.boxes([1, 2])
    expect(at.named()).toEqual([1, 2])
    expect(at.known.kept).toEqual([mailbox(1), mailbox(2)])
  })

  test('a contact cannot have this machine or its network dialled; what a person chose may be anywhere', () => {
    const at = use({ configured: [1] })
    at.mail.add(mailbox(2, 'ws://192.168.1.9:9999'))
    expect(at.dial('ws://192.168.1.9:9999')).toBeUndefined()
    expect(at.dial('wss://box1.example.org')).toBeUndefined()
    // Who uses one on its network may be told of others there, and a name stays as far away as it sounds.
    expect(at.dial('ws://192.168.1.10:9999')).toBe('private')
    expect(at.dial('wss://evil.example.org')).toBe('private')
    at.mail.remove(mailbox(2))
    expect(at.dial('ws://192.168.1.9:9999')).toBe('private')
    expect(at.dial('wss://evil.example.org')).toBe('public')
    expect(use({ loopbackOnly: true }).dial('ws://127.0.0.1:9999')).toBe('loopback')
  })

  test('a person is told who named each', () => {
    const at = use({ configured: [1] })
    at.mail.learn(testPeerId(1), [box(7)])
    const view = { state: 'connecting', box: new Uint8Array(16), throughRelay: false } as const
    const entries = at.mail.views([1, 7].map((n) => ({ ...view, mailbox: mailbox(n) })))
    expect(entries.map(({ source }) => source)).toEqual(['config', 'contact'])
  })
})
