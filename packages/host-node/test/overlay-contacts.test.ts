import type { OverlayHint, OwnOverlayNode } from '@miaou/peer'
import { afterEach, expect, test } from 'vitest'
import { ContactNodes } from '../src/overlay/contact-nodes.ts'
import type { OverlayHost } from '../src/overlay/overlay-host.ts'
import { parseOverlaySettings } from '../src/overlay/settings.ts'
import { endpointOf, OverlayHome } from './overlay-hosts.ts'

// What linked contacts tell each other of their nodes, as the host of a node takes it. On the links: packages/peer.

const cleanups: (() => Promise<unknown> | unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** A node that knows nobody, and what it wants its contacts to be told. */
async function start(tellsContacts = true): Promise<{ host: OverlayHost; told: OwnOverlayNode[] }> {
  const home = await OverlayHome.create()
  cleanups.push(() => home.remove())
  const told: OwnOverlayNode[] = []
  const host = await home.start({ tellsContacts })
  cleanups.push(() => host.stop())
  host.onOwnNode((node) => told.push(node))
  host.networkChanged()
  return { host, told }
}

function hint(byte: number, endpoint = { host: '127.0.0.1', port: 9_000 + byte }): OverlayHint {
  return { publicKey: new Uint8Array(32).fill(byte), endpoint }
}

test('[DN37] a node tells of itself before it is a server, and again when it has become one', async () => {
  const [{ host, told }, { host: other }] = await Promise.all([start(), start()])
  const { publicKey } = host.info()
  const self = { publicKey, endpoints: [endpointOf(host)] }
  other.hint([{ publicKey, endpoint: endpointOf(host) }])
  await expect.poll(() => told.at(-1)).toEqual({ ...self, observed: endpointOf(host), isServer: true })
  expect(told.filter((each, i) => i > 0 && JSON.stringify(each) === JSON.stringify(told[i - 1]))).toEqual([])
})

test('[DN38] two nodes that nobody else knows meet through what one contact was told', async () => {
  const [{ host }, { host: other }] = await Promise.all([start(), start()])
  other.hint([{ publicKey: host.info().publicKey, endpoint: endpointOf(host) }])
  await expect.poll(() => [host.info().contacts, other.info().contacts]).toEqual([1, 1])
  expect(other.info().counters['hints-of-contacts']).toBe(1)
})

test('[DN38] itself, and with loopbackOnly whatever is not loopback, is not asked', async () => {
  const { host } = await start()
  host.hint([{ publicKey: host.info().publicKey, endpoint: endpointOf(host) }])
  host.hint([hint(1, { host: '192.0.2.1', port: 9_999 })])
  expect(host.info().counters['hints-of-contacts']).toBeUndefined()
  await expect.poll(() => host.info().bootstrap).toEqual({ type: 'alone' })
})

test('[DN37] with "tellContacts": false nobody is told', async () => {
  const { host, told } = await start(false)
  host.networkChanged()
  expect(told).toEqual([])
  expect(parseOverlaySettings({ tellContacts: false })).toMatchObject({ ok: true, value: { tellContacts: false } })
  expect(parseOverlaySettings({ tellContacts: 'no' })).toEqual({
    ok: false,
    error: '"tellContacts" of "overlay" must be true or false',
  })
})

test('[DN38] 32 are remembered, the latest first, and take turns with those of the LAN', () => {
  const nodes = new ContactNodes()
  nodes.add(Array.from({ length: 33 }, (_, i) => hint(i)))
  nodes.add([hint(5)])
  expect(nodes.nodes()).toHaveLength(32)
  expect(nodes.nodes().map(({ publicKey }) => publicKey[0])).not.toContain(0)
  const lan = [hint(100), hint(101)]
  expect(
    nodes
      .besides(lan)
      .slice(0, 5)
      .map(({ publicKey }) => publicKey[0]),
  ).toEqual([5, 100, 32, 101, 31])
})
