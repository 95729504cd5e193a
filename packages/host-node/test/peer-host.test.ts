import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Log, PeerId } from '@miaou/core'
import { afterEach, expect, test } from 'vitest'
import type { PeerHandle } from '../src/peer/handle.ts'
import { createHome } from '../src/peer/home.ts'
import { startPeer } from '../src/peer/peer-host.ts'

const cleanups: (() => Promise<unknown> | unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function start(log?: Log): Promise<PeerHandle> {
  const folder = mkdtempSync(join(tmpdir(), 'miaou-host-'))
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
  const home = join(folder, 'home')
  await createHome({ home, passphrase: undefined, name: 'Minette' })
  const options = { home, passphrase: undefined, port: 0, loopbackOnly: true, webrtc: 'werift' } as const
  const started = await startPeer(log === undefined ? options : { ...options, log })
  if (!started.ok) throw new Error(started.error.type)
  cleanups.push(() => started.value.stop())
  return started.value
}

/** A port at which nobody listens any more. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

test('a listener that throws is logged, the others hear of the event, and the peer lives on', async () => {
  const written: string[] = []
  const peer = await start({ write: (_level, event) => written.push(event) })
  const heard: string[] = []
  peer.onEvent(() => {
    throw new Error('a fault of a client')
  })
  peer.onEvent((event) => heard.push(event.type))
  for (const typing of [false, true]) {
    expect(await peer.command({ type: 'settings-set', settings: { typing } })).toMatchObject({ ok: true })
  }
  expect(heard).toEqual(['stored', 'stored'])
  expect(written.filter((event) => event === 'event-listener-failed')).toHaveLength(2)
})

test('a damaged entry of the key store shows in the diagnosis, and costs that key only', async () => {
  const peer = await start()
  const keysCheck = async () => (await peer.network.diagnostics()).find(({ name }) => name === 'keys')
  const entries = () => readdirSync(join(peer.home, 'keys')).sort()
  const before = entries()
  expect(peer.keys.generate('signing', 'mine')).toMatchObject({ ok: true })
  expect(await keysCheck()).toMatchObject({ state: 'ok' })
  const [entry = ''] = entries().filter((name) => !before.includes(name))
  const path = join(peer.home, 'keys', entry)
  const bytes = readFileSync(path)
  writeFileSync(path, bytes.subarray(0, bytes.length - 1))
  expect(await keysCheck()).toMatchObject({
    state: 'failed',
    code: 'keys-damaged',
    facts: { detail: expect.stringContaining('is damaged') },
  })
  expect(peer.keys.generate('signing', 'another')).toMatchObject({ ok: true })
})

test('an address where nobody answers fails at once, not at the time limit', async () => {
  const peer = await start()
  const anHourMs = 3_600_000
  const failed = await peer.network.connect(`ws://127.0.0.1:${await freePort()}`, anHourMs)
  expect(failed).toMatchObject({ ok: false, error: { type: 'unreachable' } })
  expect(await peer.network.connect('nonsense', anHourMs)).toMatchObject({ error: { type: 'unreachable' } })
})

test('a peer that has stopped says so to whatever is asked, and to what still waited', async () => {
  const peer = await start()
  const anHourMs = 3_600_000
  const somebody = '12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X' as PeerId
  const waiting = [peer.network.ping(somebody, anHourMs), peer.network.connect(somebody, anHourMs)]
  await peer.stop()
  const later = [
    peer.command({ type: 'identity' }),
    peer.network.ping(somebody, anHourMs),
    peer.network.connect(somebody, anHourMs),
  ]
  for (const answer of await Promise.all([...waiting, ...later])) {
    expect(answer).toEqual({ ok: false, error: { type: 'stopped' } })
  }
})

test('a stranger who has left is listed no more', async () => {
  const [own, other] = [await start(), await start()]
  const [address = ''] = other.network.info().addresses
  expect(await own.network.connect(address, 10_000)).toMatchObject({ ok: true })
  expect(own.network.peers().map(({ peerId }) => peerId)).toContain(other.peerId)
  await other.stop()
  await expect.poll(() => own.network.peers().map(({ peerId }) => peerId)).not.toContain(other.peerId)
})
