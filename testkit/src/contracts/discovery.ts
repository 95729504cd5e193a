import { keyToPeerId, type PeerId } from '@miaou/core'
import type { Advertisement, DiscoveredPeer, Discovery } from '@miaou/network'
import { afterEach, describe, expect, test } from 'vitest'

/** An advertisement under a fresh peer id: tests on one machine must not take each other for theirs. */
export function freshAdvertisement(port = 9999): Advertisement & { readonly peerId: PeerId } {
  const peerId = keyToPeerId(crypto.getRandomValues(new Uint8Array(32)))
  return { instanceName: peerId, peerId, version: '0.2.0', features: ['chat', 'files'], port, hints: [] }
}

/** Resolves once the discovery lists what the condition asks for; it is asked again after each news. */
export async function untilPeers(
  discovery: Discovery,
  isDone: (peers: readonly DiscoveredPeer[]) => boolean,
): Promise<readonly DiscoveredPeer[]> {
  for (;;) {
    const news = new Promise<void>((resolve) => discovery.onNews(resolve))
    discovery.collectPeers()
    const peers = discovery.discoveredPeers()
    if (isDone(peers)) return peers
    await news
  }
}

/** Waits for one peer, by the name it is advertised under. */
export async function untilSeen(discovery: Discovery, { instanceName }: Advertisement): Promise<DiscoveredPeer> {
  const isIt = (peer: DiscoveredPeer) => peer.instanceName === instanceName
  const peers = await untilPeers(discovery, (all) => all.some(isIt))
  return peers.find(isIt) as DiscoveredPeer
}

export async function untilGone(discovery: Discovery, { instanceName }: Advertisement): Promise<void> {
  await untilPeers(discovery, (all) => all.every((peer) => peer.instanceName !== instanceName))
}

/** Contract of the port `Discovery` (rows C01, C05, C06). `make`: a discovery on the same network each time. */
export function describeDiscoveryContract(name: string, make: () => Promise<Discovery>): void {
  const started: Discovery[] = []
  const start = async (self: Advertisement | undefined): Promise<Discovery> => {
    const discovery = await make()
    expect(await discovery.start(self)).toEqual({ ok: true, value: undefined })
    started.push(discovery)
    return discovery
  }

  describe(`Discovery contract: ${name}`, () => {
    afterEach(async () => {
      await Promise.all(started.splice(0).map((discovery) => discovery.stop()))
    })

    test('two peers find each other, whoever starts first', async () => {
      const [selfA, selfB] = [freshAdvertisement(9001), freshAdvertisement(9002)]
      const a = await start(selfA)
      const b = await start(selfB)
      const [seenB, seenA] = await Promise.all([untilSeen(a, selfB), untilSeen(b, selfA)])
      for (const [seen, self] of [
        [seenA, selfA],
        [seenB, selfB],
      ] as const) {
        const { peerId, version, features, hints, instanceName } = self
        expect(seen).toMatchObject({ instanceName, peerId, version, features, hints })
        expect(seen.addresses.length).toBeGreaterThan(0)
        expect(seen.addresses.length).toBeLessThanOrEqual(16)
        expect(seen.addresses.every((address) => address.endsWith(`:${self.port}`))).toBe(true)
      }
    })

    test('nobody finds oneself', async () => {
      const [selfA, selfB] = [freshAdvertisement(), freshAdvertisement()]
      const a = await start(selfA)
      await start(selfB)
      await untilSeen(a, selfB)
      expect(a.discoveredPeers().map((peer) => peer.instanceName)).not.toContain(selfA.instanceName)
    })

    test('discovered peers change only when they are collected', async () => {
      const self = freshAdvertisement()
      const a = await start(undefined)
      const news = new Promise<void>((resolve) => a.onNews(resolve))
      await start(self)
      await news
      const listed = () => a.discoveredPeers().some((peer) => peer.instanceName === self.instanceName)
      expect(listed()).toBe(false)
      await untilSeen(a, self)
      expect(listed()).toBe(true)
    })

    test('who is not discoverable sees and is not seen', async () => {
      const [selfB, selfC] = [freshAdvertisement(), freshAdvertisement()]
      const hidden = await start(undefined)
      const b = await start(selfB)
      await start(selfC)
      await Promise.all([untilSeen(hidden, selfB), untilSeen(hidden, selfC), untilSeen(b, selfC)])
      const names = b.discoveredPeers().map((peer) => peer.instanceName)
      expect(names.filter((one) => one === selfB.instanceName || one === selfC.instanceName)).toEqual([
        selfC.instanceName,
      ])
    })

    test('a peer that stops is gone', async () => {
      const self = freshAdvertisement()
      const a = await start(undefined)
      const b = await start(self)
      await untilSeen(a, self)
      await b.stop()
      await untilGone(a, self)
    })

    test('what is advertised can be replaced and withdrawn', async () => {
      const self = freshAdvertisement()
      const hints = ['0123456789ab', 'ba9876543210']
      const other: Advertisement = {
        instanceName: self.instanceName.slice(-16).toLowerCase(),
        version: '0.2.1',
        features: [],
        port: 1234,
        hints,
      }
      const a = await start(undefined)
      const b = await start(self)
      await untilSeen(a, self)
      await b.advertise(other)
      const seen = await untilSeen(a, other)
      await untilGone(a, self)
      expect(seen.peerId).toBeUndefined()
      expect(seen).toMatchObject({ version: '0.2.1', features: [], hints })
      await b.advertise(undefined)
      await untilGone(a, other)
    })

    test('news never come within a call', async () => {
      const self = freshAdvertisement()
      let isInCall = false
      let violations = 0
      const a = await make()
      a.onNews(() => {
        if (isInCall) violations++
      })
      started.push(a)
      isInCall = true
      const starting = a.start(freshAdvertisement())
      isInCall = false
      await starting
      await start(self)
      await untilSeen(a, self)
      isInCall = true
      a.collectPeers()
      a.discoveredPeers()
      const stopping = a.stop()
      isInCall = false
      await stopping
      expect(violations).toBe(0)
    })

    test('after stop nobody is listed', async () => {
      const self = freshAdvertisement()
      const a = await start(undefined)
      await start(self)
      await untilSeen(a, self)
      await a.stop()
      a.collectPeers()
      expect(a.discoveredPeers()).toEqual([])
    })
  })
}
