import { type OwnOverlayNode, ownClientForWorld } from '@miaou/peer'
import { afterEach, expect, test } from 'vitest'
import { ClientNodes, clientNodesMax } from '../src/overlay/client-nodes.ts'
import { OffOverlay } from '../src/overlay/off.ts'
import type { OverlayHost } from '../src/overlay/overlay-host.ts'
import { OwnNode } from '../src/overlay/own-node.ts'
import { endpointOf, OverlayHome } from './overlay-hosts.ts'

const cleanups: (() => Promise<unknown> | unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function start(): Promise<OverlayHost> {
  const home = await OverlayHome.create()
  cleanups.push(() => home.remove())
  const host = await home.start({ mode: 'server' })
  cleanups.push(() => host.stop())
  return host
}

const server = { publicKey: new Uint8Array(32).fill(2), endpoint: { host: '203.0.113.5', port: 4000 } }

test('[O62] D16: the rendezvous are asked one after the other, and the last reason is told', async () => {
  const [host, other] = [await start(), await start()]
  const rendezvous = { publicKey: other.info().publicKey, endpoint: endpointOf(other) }
  const nobody = new Uint8Array(32).fill(9)
  const unknown = { type: 'punch-failed', reason: 'unknown-target' }
  expect(await host.punch(nobody, [rendezvous, rendezvous])).toEqual({ ok: false, error: unknown })
  expect(await host.punch(nobody, [])).toEqual({ ok: false, error: unknown })
  expect(host.rendezvous()).toEqual([])
})

test('D16: a ping of a client that stays silent asks its rendezvous, and says timeout where that leads nowhere', async () => {
  const [host, other] = [await start(), await start()]
  const publicKey = new Uint8Array(32).fill(9)
  const rendezvous = [{ publicKey: other.info().publicKey, endpoint: endpointOf(other) }]
  const punches = async () => {
    const result = await host.ping(publicKey, { host: '127.0.0.1', port: 9 })
    expect(result).toEqual({ ok: false, error: { type: 'timeout' } })
    return other.info().sessions
  }
  expect(await punches()).toBe(0)
  host.addClients([{ publicKey, rendezvous }])
  // It was asked: it has a session with the asker.
  expect(await punches()).toBe(1)
})

test('D16: after the end, and without an overlay, a punch is refused', async () => {
  const host = await start()
  await host.stop()
  expect(await host.punch(server.publicKey, [server])).toEqual({ ok: false, error: { type: 'stopped' } })
  const why = { type: 'overlay-off', reason: 'offline', detail: '' } as const
  const off = new OffOverlay(why, new Uint8Array(32), new Uint8Array(32))
  expect(await off.punch()).toEqual({ ok: false, error: why })
  expect(off.rendezvous()).toEqual([])
})

test('clients known: the latest claim about a key counts, and the oldest make room', () => {
  const clients = new ClientNodes()
  const keyOf = (n: number) =>
    new Uint8Array(32)
      .fill(1)
      .with(0, n >> 8)
      .with(1, n)
  const others = [{ ...server, publicKey: new Uint8Array(32).fill(3) }]
  clients.add([{ publicKey: keyOf(0), rendezvous: [server] }])
  clients.add([{ publicKey: keyOf(0), rendezvous: others }])
  expect(clients.rendezvousOf(keyOf(0))).toBe(others)
  expect(clients.rendezvousOf(keyOf(1))).toEqual([])
  for (let n = 1; n <= clientNodesMax; n++) clients.add([{ publicKey: keyOf(n), rendezvous: [server] }])
  expect(clients.rendezvousOf(keyOf(0))).toEqual([])
  expect(clients.rendezvousOf(keyOf(1))).toEqual([server])
})

test('D16: a change of rendezvous is news of the own node, and the world is told of public ones alone', () => {
  const told: OwnOverlayNode[] = []
  const own = new OwnNode(true)
  own.onNews((node) => told.push(node))
  const node = { publicKey: new Uint8Array(32).fill(1), endpoints: [], observed: undefined, isServer: false }
  const atHome = { ...server, publicKey: new Uint8Array(32).fill(3), endpoint: { host: '192.168.1.5', port: 4000 } }
  for (const rendezvous of [[], [server], [server], [server, atHome], [atHome]]) own.update({ ...node, rendezvous })
  const clients = told.map(ownClientForWorld)
  const client = { publicKey: node.publicKey, rendezvous: [server] }
  expect(clients).toEqual([undefined, client, client, undefined])
})
