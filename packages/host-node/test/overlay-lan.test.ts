import { bytesToHex, textToBytes } from '@miaou/core'
import { afterEach, describe, expect, test } from 'vitest'
import { MdnsBrowser } from '../src/mdns/mdns-browser.ts'
import { overlayService, overlayServiceToText } from '../src/mdns/overlay-service.ts'
import { readSightings } from '../src/mdns/packets.ts'
import { peerService } from '../src/mdns/service.ts'
import { LanNodes } from '../src/overlay/lan-nodes.ts'
import type { OverlayHost } from '../src/overlay/overlay-host.ts'
import { ownNetworks } from '../src/overlay/own-networks.ts'
import { systemRandom } from '../src/peer/system.ts'
import { OverlayHome } from './overlay-hosts.ts'

const cleanups: (() => Promise<unknown> | unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function lan(publicKey: Uint8Array, peersMax?: number): Promise<{ nodes: LanNodes; news: () => number }> {
  let news = 0
  const browser = { newsIntervalMs: 1, ...(peersMax === undefined ? {} : { peersMax }) }
  const onNews = () => {
    news += 1
  }
  const nodes = new LanNodes({ publicKey, random: systemRandom, loopbackOnly: true, onNews, browser })
  cleanups.push(() => nodes.stop())
  expect(await nodes.start()).toBeUndefined()
  return { nodes, news: () => news }
}

const key = () => systemRandom.bytes(32)

describe('[DN30] the service of the overlay', () => {
  test('its name is its own, and its text is read back', () => {
    expect(overlayService.name).toBe('_miaou-overlay._udp.local')
    const publicKey = key()
    const text = overlayServiceToText({ version: '0.2.0', publicKey })
    expect(Object.keys(text)).toEqual(['version', 'key'])
    const strings = Object.entries(text).map(([name, value]) => textToBytes(`${name}=${value}`))
    expect(overlayService.parseText(strings)).toEqual({ version: '0.2.0', publicKey })
  })

  test.each([
    ['nothing', []],
    ['no key', ['version=1']],
    ['no version', [`key=${'A'.repeat(43)}`]],
    ['a short key', ['version=1', 'key=AAAA']],
    ['a key that is no base64url', ['version=1', `key=${'!'.repeat(43)}`]],
  ])('%s is refused', (_, lines) => {
    expect(overlayService.parseText(lines.map(textToBytes))).toBeUndefined()
  })

  test('the services do not mix: a peer is no node, a node no peer', () => {
    const text = overlayServiceToText({ version: '0.2.0', publicKey: key() })
    const name = `abc.${overlayService.name}`
    const packet = {
      answers: [
        { name, type: 'SRV', ttl: 120, data: { port: 9, target: 'h.local' } },
        { name, type: 'TXT', ttl: 120, data: Object.entries(text).map(([k, value]) => textToBytes(`${k}=${value}`)) },
      ],
    }
    expect(readSightings(overlayService, packet, '192.0.2.1')).toMatchObject([{ type: 'seen', port: 9 }])
    expect(readSightings(peerService, packet, '192.0.2.1')).toEqual([])
  })
})

describe('[DN31] nodes on the LAN', () => {
  test('who tells is found with key and UDP port; who falls silent is gone', async () => {
    const [own, other] = [key(), key()]
    const [here, there] = [await lan(own), await lan(other)]
    await there.nodes.tell(4321)
    const of = (publicKey: Uint8Array) =>
      here.nodes.nodes().filter((node) => bytesToHex(node.publicKey) === bytesToHex(publicKey))
    await expect.poll(() => of(other)).toEqual([{ publicKey: other, endpoint: { host: '127.0.0.1', port: 4321 } }])
    expect(here.news()).toBeGreaterThan(0)
    await there.nodes.tell(undefined)
    await expect.poll(() => of(other)).toEqual([])
  })

  test('nobody meets itself, also under another name', async () => {
    const own = key()
    const [here, twin] = [await lan(own), await lan(own)]
    await twin.nodes.tell(4321)
    const other = await lan(key())
    await other.nodes.tell(4322)
    await expect.poll(() => here.nodes.nodes().some(({ endpoint }) => endpoint.port === 4322)).toBe(true)
    expect(here.nodes.nodes().some(({ endpoint }) => endpoint.port === 4321)).toBe(false)
  })

  test('public addresses of other networks are not asked: anybody on the LAN can name them', () => {
    const isMeant = ownNetworks([
      { address: '192.168.1.7', family: 4, isLoopback: false, cidr: '192.168.1.7/24' },
      { address: '203.0.113.7', family: 4, isLoopback: false, cidr: '203.0.113.7/26' },
      { address: '2001:db8:1::7', family: 6, isLoopback: false, cidr: '2001:db8:1::7/64' },
    ])
    const meant = ['192.168.1.9', '10.0.0.1', '127.0.0.1', '203.0.113.62', '2001:db8:1::9', 'fd00::1', '169.254.3.4']
    const others = ['203.0.113.65', '198.51.100.1', '2001:db8:1:1::9', '8.8.8.8']
    expect(meant.filter((host) => !isMeant({ host, port: 1 }))).toEqual([])
    expect(others.filter((host) => isMeant({ host, port: 1 }))).toEqual([])
  })

  test('nodes beyond the bound are not remembered', async () => {
    const here = await lan(key(), 2)
    for (let i = 0; i < 4; i++) await (await lan(key())).nodes.tell(5000 + i)
    await expect.poll(() => here.nodes.nodes().length).toBe(2)
  })

  test('the name told is random at each start and names nothing', async () => {
    const own = key()
    const names: string[] = []
    const browser = new MdnsBrowser(overlayService, { loopbackOnly: true, newsIntervalMs: 1 })
    cleanups.push(() => browser.stop())
    await browser.start(undefined)
    for (let i = 0; i < 2; i++) {
      const { nodes } = await lan(own)
      await nodes.tell(6000 + i)
      const named = () => {
        browser.collect()
        const found = browser.instances().find(({ addresses }) => addresses.some(({ port }) => port === 6000 + i))
        return found?.instanceName
      }
      await expect.poll(named).toMatch(/^[0-9a-f]{16}$/)
      names.push(named() ?? '')
    }
    expect(names[0]).not.toBe(names[1])
  })

  test('[C20] two hosts with no list find each other where both may be found, and not where one is silent', async () => {
    const start = async (isTold: boolean): Promise<OverlayHost> => {
      const home = await OverlayHome.create()
      cleanups.push(() => home.remove())
      const host = await home.start({ lan: true })
      cleanups.push(() => host.stop())
      host.setDiscoverable(isTold)
      return host
    }
    const first = await start(true)
    const second = await start(true)
    const silent = await start(false)
    const keyOf = (host: OverlayHost) => bytesToHex(host.info().publicKey)
    const knows = (host: OverlayHost, other: OverlayHost) =>
      host.contacts(200).some(({ publicKey }) => bytesToHex(publicKey) === keyOf(other))
    await expect.poll(() => knows(first, second) && knows(second, first), { timeout: 20_000 }).toBe(true)
    // Silent does not mean alone: it hears the others and asks them.
    await expect.poll(() => knows(silent, first), { timeout: 20_000 }).toBe(true)
    silent.setDiscoverable(true)
    silent.setDiscoverable(false)
  })
})
