import { createSocket, type Socket } from 'node:dgram'
import { type Crypto, createLibsodiumCrypto } from '@miaou/crypto'
import { OverlayNode } from '@miaou/peer/overlay'
import type { Endpoint } from '@miaou/protocol'
import { afterEach, describe, expect, test } from 'vitest'
import type { OverlayHost } from '../src/overlay/overlay-host.ts'
import type { OverlayHostOptions } from '../src/overlay/overlay-host-options.ts'
import { systemClock, systemJitter, systemRandom } from '../src/peer/system.ts'
import { bootstrapNodeOf, endpointOf, OverlayHome } from './overlay-hosts.ts'

const cleanups: (() => Promise<unknown> | unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function start(options: Partial<OverlayHostOptions> = {}): Promise<OverlayHost> {
  const home = await OverlayHome.create()
  cleanups.push(() => home.remove())
  const host = await home.start(options)
  cleanups.push(() => host.stop())
  return host
}

/** Three hosts that know each other, and a record that all of them find. */
async function network(): Promise<{
  readonly hosts: [OverlayHost, OverlayHost, OverlayHost]
  readonly key: Uint8Array
}> {
  const first = await start()
  const bootstrap = { primaryNodes: [bootstrapNodeOf(first)], fallbackNodes: [], communityNodes: [] }
  const hosts: [OverlayHost, OverlayHost, OverlayHost] = [first, await start({ bootstrap }), await start({ bootstrap })]
  await expect.poll(() => Math.min(...hosts.map((host) => host.info().contacts)), { timeout: 20_000 }).toBe(2)
  const put = await hosts[1].putValue(new Uint8Array(700).fill(1))
  if (!put.ok) throw new Error(put.error.type)
  return { hosts, key: put.value.key }
}

/** Sockets whose datagrams come from addresses of their own: every 127.x.y.z is one on Linux, elsewhere the ports differ. */
async function spoofers(count: number): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => createSocket('udp4'))
  for (const [index, socket] of sockets.entries()) {
    cleanups.push(() => new Promise<void>((resolve) => socket.close(() => resolve())))
    socket.on('message', () => undefined)
    const host = process.platform === 'linux' ? `127.${index + 1}.7.${(index % 250) + 1}` : '127.0.0.1'
    await new Promise<void>((resolve) => socket.bind(0, host, () => resolve()))
  }
  return sockets
}

/** First datagrams that are right in every byte, each of a key of its own: each would cost the receiver a handshake. */
function initiations(crypto: Crypto, count: number, publicKey: Uint8Array, endpoint: Endpoint): Uint8Array[] {
  return Array.from({ length: count }, (_, id) => {
    const keyPair = crypto.x25519KeyPair(systemRandom.bytes(32))
    const node = new OverlayNode({ crypto, random: systemRandom, jitter: systemJitter, keyPair, contactsMax: 64 })
    node.handle(systemClock.now(), { type: 'listening', endpoints: [{ host: '127.0.0.1', port: 1 }] })
    const contacts = [{ publicKey, endpoint }]
    const outputs = node.handle(systemClock.now(), { type: 'command', id, command: { type: 'bootstrap', contacts } })
    const [bytes] = outputs.flatMap((output) => (output.type === 'datagram' ? [output.bytes] : []))
    if (bytes === undefined) throw new Error('a bootstrap sends a first datagram')
    return bytes
  })
}

/** Sends `count` datagrams, a few each turn of the event loop, so that the receiver in this process runs between them. */
async function flood(sockets: readonly Socket[], to: Endpoint, count: number, datagram: (at: number) => Uint8Array) {
  const perTurn = 32
  for (let at = 0; at < count; at += perTurn) {
    for (let i = at; i < Math.min(count, at + perTurn); i++) {
      sockets[i % sockets.length]?.send(datagram(i), to.port, to.host)
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
}

describe('bad input at a real socket', () => {
  test('datagrams of garbage are counted, remembered by nobody, and hold up nothing', async () => {
    const { hosts, key } = await network()
    const [target, , asker] = hosts
    const before = target.info()
    const sockets = await spoofers(8)
    await flood(sockets, endpointOf(target), 2_000, (at) => {
      const bytes = systemRandom.bytes(at % 1_400)
      // The first byte tells the kind of a datagram: each of them, and some that are none.
      if (bytes.length > 0) bytes[0] = at % 7
      return bytes
    })
    expect(await asker.get(key)).toMatchObject({ ok: true })
    const after = target.info()
    const dropped = (of: typeof after) => Object.values(of.counters).reduce((sum, count) => sum + count, 0)
    expect(dropped(after) - dropped(before)).toBeGreaterThan(1_500)
    expect(after.counters['malformed']).toBeGreaterThan(0)
    expect(after).toMatchObject({ contacts: 2, sessions: before.sessions, records: before.records })
  })

  test('20,000 spoofed first datagrams: honest lookups all succeed, and a newcomer joins under them', async () => {
    const crypto = await createLibsodiumCrypto()
    const { hosts, key } = await network()
    const [target, , asker] = hosts
    const { publicKey } = target.info()
    const forged = initiations(crypto, 1_200, publicKey, endpointOf(target))
    const sockets = await spoofers(64)
    let isOver = false
    const flooding = flood(sockets, endpointOf(target), 20_000, (at) => forged[at % forged.length] as Uint8Array).then(
      () => {
        isOver = true
      },
    )
    let [asked, found] = [0, 0]
    const newcomer = start({
      bootstrap: { primaryNodes: [bootstrapNodeOf(target)], fallbackNodes: [], communityNodes: [] },
    })
    while (!isOver) {
      asked += 1
      if ((await asker.get(key)).ok && (await asker.ping(publicKey, endpointOf(target))).ok) found += 1
    }
    await flooding
    expect(asked).toBeGreaterThan(20)
    expect(found).toBe(asked)
    const joined = await newcomer
    await expect.poll(() => joined.info().contacts, { timeout: 20_000 }).toBeGreaterThanOrEqual(3)
    expect(await joined.get(key)).toMatchObject({ ok: true })
    // None of the forged keys got into the table: their addresses made no round trip.
    const { contacts, counters } = target.info()
    expect(contacts).toBe(3)
    expect(counters['cookie-demanded']).toBeGreaterThan(0)
  })
})
