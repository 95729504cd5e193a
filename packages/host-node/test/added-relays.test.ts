import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Log } from '@miaou/core'
import { createLibsodiumCrypto } from '@miaou/crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { SeededRandom } from '../../../testkit/src/seeded.ts'
import { SealedDocument } from '../src/overlay/sealed-document.ts'
import { AddedRelays, addedRelaysMax, addedRelaysSizeMax } from '../src/peer/added-relays.ts'

const crypto = await createLibsodiumCrypto()
let folder = ''
let warnings: string[] = []
const log: Log = { write: (_level, event) => warnings.push(event) }

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'miaou-relays-'))
  warnings = []
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const relay = (id: number, url = 'wss://relay.example.org') => ({ url, relayId: new Uint8Array(16).fill(id) })

function open(): AddedRelays {
  const relays = new AddedRelays(
    new SealedDocument({
      crypto,
      random: new SeededRandom(1),
      path: join(folder, 'relays'),
      key: new Uint8Array(32).fill(7),
      magic: 'MRLY',
      bodySizeMax: addedRelaysSizeMax,
    }),
    log,
  )
  relays.load()
  return relays
}

test('relays that a person added are there after a restart, the last one first', () => {
  const relays = open()
  expect(relays.add(relay(1)).ok && relays.add(relay(2)).ok).toBe(true)
  expect(open().all).toEqual([relay(2), relay(1)])
  expect(readFileSync(join(folder, 'relays'), 'latin1')).not.toContain('example')
})

test('the same relay at another URL takes the place of the one there was', () => {
  const relays = open()
  relays.add(relay(1))
  relays.add(relay(1, 'ws://203.0.113.5:9999'))
  expect(open().all).toEqual([relay(1, 'ws://203.0.113.5:9999')])
})

test('a relay is removed once', () => {
  const relays = open()
  relays.add(relay(1))
  expect(relays.remove(relay(1))).toEqual({ ok: true, value: true })
  expect(relays.remove(relay(1))).toEqual({ ok: true, value: false })
  expect(open().all).toEqual([])
})

test('one more than the bound is refused, with the longest URLs too', () => {
  const relays = open()
  const url = `wss://${'a'.repeat(122)}`
  for (let id = 0; id < addedRelaysMax; id++) expect(relays.add(relay(id, url)).ok).toBe(true)
  expect(relays.add(relay(99))).toEqual({ ok: false, error: { type: 'too-many-relays', relaysMax: 8 } })
  expect(relays.add(relay(3)).ok).toBe(true)
  expect(open().all).toHaveLength(addedRelaysMax)
})

test('a damaged file is put aside and said', () => {
  open().add(relay(1))
  writeFileSync(join(folder, 'relays'), 'not this')
  expect(open().all).toEqual([])
  expect(warnings).toEqual(['relays-damaged'])
})
