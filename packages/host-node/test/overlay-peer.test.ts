import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bytesToHex, peerIdToKey, textToBytes } from '@miaou/core'
import { signingRecordSalt } from '@miaou/protocol'
import { afterEach, describe, expect, test } from 'vitest'
import { bootstrapText } from '../src/overlay/bootstrap-node.ts'
import type { PeerHandle } from '../src/peer/handle.ts'
import { createHome } from '../src/peer/home.ts'
import { type StartPeerOptions, startPeer } from '../src/peer/peer-host.ts'

const cleanups: (() => Promise<unknown> | unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function makeHome(config?: object): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'miaou-overlay-peer-'))
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
  const home = join(folder, 'home')
  await createHome({ home, passphrase: undefined, name: 'Minette' })
  if (config !== undefined) writeFileSync(join(home, 'config.json'), JSON.stringify(config))
  return home
}

async function start(home: string, options: Partial<StartPeerOptions> = {}): Promise<PeerHandle> {
  const started = await startPeer({
    home,
    passphrase: undefined,
    port: 0,
    loopbackOnly: true,
    webrtc: 'werift',
    ...options,
  })
  if (!started.ok) throw new Error(JSON.stringify(started.error))
  cleanups.push(() => started.value.stop())
  return started.value
}

/** How others name a peer's node in their lists. */
function listed(peer: PeerHandle): string {
  const { publicKey, endpoints } = peer.overlay.info()
  const [endpoint] = endpoints
  if (endpoint === undefined) throw new Error('the node has no socket')
  return bootstrapText(publicKey, endpoint)
}

describe('the overlay of a peer', () => {
  test('[C14] it runs beside the chat on the same port number, under a key that is not the identity’s', async () => {
    const home = await makeHome()
    const peer = await start(home)
    const { state, endpoints, nodeId, publicKey } = peer.overlay.info()
    expect(state).toEqual({ type: 'running' })
    const [address = ''] = peer.network.info().addresses
    expect(endpoints[0]).toEqual({ host: '127.0.0.1', port: Number(new URL(address).port) })
    expect(bytesToHex(publicKey)).not.toBe(bytesToHex(peerIdToKey(peer.peerId)))
    await peer.stop()
    expect(await peer.overlay.putValue(textToBytes('late'))).toEqual({ ok: false, error: { type: 'stopped' } })
    expect((await start(home)).overlay.info().nodeId).toBe(nodeId)
  })

  test('[I07] [I08] a record signed by one device is found by its peer id, through a list in config.json', async () => {
    const first = await start(await makeHome())
    const second = await start(await makeHome({ overlay: { bootstrap: [listed(first)] } }))
    await expect.poll(() => second.overlay.info().bootstrap.type, { timeout: 20_000 }).toBe('bootstrapped')
    await expect.poll(() => first.overlay.info().contacts, { timeout: 20_000 }).toBeGreaterThan(0)
    const value = new Uint8Array(32).fill(5)
    const put = await second.overlay.putSigned(signingRecordSalt, value)
    expect(put).toMatchObject({ ok: true, value: { publicKey: peerIdToKey(second.peerId), isKept: true } })
    const got = await first.overlay.getSigned(peerIdToKey(second.peerId), signingRecordSalt)
    expect(got).toMatchObject({ ok: true, value: { record: { type: 'signed', value } } })
  })

  test('config.json turns it off, and sets its port and mode', async () => {
    const off = await start(await makeHome({ overlay: { enabled: false } }))
    expect(off.overlay.info().state).toEqual({ type: 'off', reason: 'disabled' })
    const refused = { ok: false, error: { type: 'overlay-off', reason: 'disabled' } }
    const { overlay } = off
    const answers = [
      overlay.putValue(textToBytes('a')),
      overlay.putSigned(textToBytes('a'), textToBytes('b')),
      overlay.get(new Uint8Array(32)),
      overlay.getSigned(new Uint8Array(32), textToBytes('a')),
      overlay.findNode(new Uint8Array(32)),
      overlay.ping(new Uint8Array(32), { host: '127.0.0.1', port: 1 }),
      overlay.bootstrap([]),
    ]
    for (const answer of await Promise.all(answers)) expect(answer).toMatchObject(refused)
    expect(overlay.contacts()).toEqual([])
    await off.stop()
    expect(off.overlay.info().state).toEqual({ type: 'stopped' })
    const server = await start(await makeHome({ overlay: { mode: 'server', port: 0 } }))
    expect(server.overlay.info().mode).toBe('server')
  })

  test('a peer started for its store alone opens no socket', async () => {
    const peer = await start(await makeHome(), { offline: true })
    const { state, endpoints, nodeId } = peer.overlay.info()
    expect(state).toEqual({ type: 'off', reason: 'offline' })
    expect(endpoints).toEqual([])
    expect(nodeId).toMatch(/^[0-9a-f]{64}$/)
  })

  test('a list that is hostile or absent does not keep a peer from starting', async () => {
    const key = 'A'.repeat(43)
    const lists = {
      primaryNodes: [`${key}@does-not-exist.invalid:9999`, `${key}@127.0.0.1:1`],
      fallbackNodes: 'absent.json',
      communityNodes: [`${key}@[::1]:1`],
    }
    const written: string[] = []
    const log = { write: (_level: string, event: string) => written.push(event) }
    const peer = await start(await makeHome({ overlay: { bootstrap: lists } }), { log })
    expect(written).toContain('bad-bootstrap-list')
    expect(peer.overlay.info().state).toEqual({ type: 'running' })
    expect(await peer.command({ type: 'identity' })).toMatchObject({ ok: true })
  })
})
