import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLibsodiumCrypto } from '@miaou/crypto'
import { formatMailboxAddress, type MailboxAddress } from '@miaou/protocol'
import { afterEach, describe, expect, test } from 'vitest'
import { SealedDocument } from '../src/overlay/sealed-document.ts'
import { addedMailboxesMax, KnownMailboxes, knownMailboxesSizeMax } from '../src/peer/known-mailboxes.ts'
import { systemRandom } from '../src/peer/system.ts'

const crypto = await createLibsodiumCrypto()
const folder = mkdtempSync(join(tmpdir(), 'miaou-mailboxes-'))
const path = join(folder, 'mailboxes')
const warnings: string[] = []

afterEach(() => {
  rmSync(path, { force: true })
  warnings.length = 0
})

function mailbox(n: number, url = `wss://box${n}.example.org`): MailboxAddress {
  return { url, mailboxId: new Uint8Array(16).fill(n) }
}

function open(): KnownMailboxes {
  const options = { crypto, random: systemRandom, path, key: new Uint8Array(32), magic: 'MMBX' }
  const document = new SealedDocument({ ...options, bodySizeMax: knownMailboxesSizeMax })
  const known = new KnownMailboxes(document, { write: (_level, event) => void warnings.push(event) })
  known.load()
  return known
}

describe('mailboxes of a home', () => {
  test('what was added and where boxes were kept outlive a restart, sealed', () => {
    const known = open()
    expect(known.add(mailbox(1)).ok && known.add(mailbox(2)).ok).toBe(true)
    known.keep([mailbox(3), mailbox(1)])
    const again = open()
    expect(again.added.map(formatMailboxAddress)).toEqual([mailbox(2), mailbox(1)].map(formatMailboxAddress))
    expect(again.kept.map(formatMailboxAddress)).toEqual([mailbox(3), mailbox(1)].map(formatMailboxAddress))
    expect(readFileSync(path).includes('example')).toBe(false)
  })

  test('the same mailbox at another URL takes the place of the one there was; removing tells whether it was there', () => {
    const known = open()
    known.add(mailbox(1))
    known.add(mailbox(1, 'wss://elsewhere.example.org'))
    expect(known.added).toEqual([mailbox(1, 'wss://elsewhere.example.org')])
    expect(known.remove(mailbox(1))).toEqual({ ok: true, value: true })
    expect(known.remove(mailbox(1))).toEqual({ ok: true, value: false })
  })

  test('no more than may be, with the longest URLs', () => {
    const known = open()
    for (let n = 1; n <= addedMailboxesMax; n++) expect(known.add(mailbox(n, `wss://${'x'.repeat(122)}`)).ok).toBe(true)
    expect(known.add(mailbox(99))).toEqual({ ok: false, error: { type: 'too-many-mailboxes', mailboxesMax: 8 } })
    known.keep(Array.from({ length: 20 }, (_, n) => mailbox(n, `wss://${'y'.repeat(122)}`)))
    expect(open().kept).toHaveLength(8)
  })

  test('a damaged document is put aside and told, and the peer goes on without', () => {
    open().add(mailbox(1))
    writeFileSync(path, 'no document')
    const known = open()
    expect(known.added).toEqual([])
    expect(warnings).toEqual(['mailboxes-damaged'])
    expect(known.add(mailbox(2)).ok).toBe(true)
  })
})
