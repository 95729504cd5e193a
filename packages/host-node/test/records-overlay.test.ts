import { keyToPeerId } from '@miaou/core'
import type { OwnWays } from '@miaou/peer'
import { formatCircuitAddress, serviceRecordKey, verifyServiceRecord } from '@miaou/protocol'
import { afterEach, expect, test } from 'vitest'
import type { OverlayHost } from '../src/overlay/overlay-host.ts'
import { systemClock, systemJitter, systemRandom } from '../src/peer/system.ts'
import { type FoundWays, RecordsHost, type RecordsHostOptions } from '../src/records/records-host.ts'
import { bootstrapNodeOf, OverlayHome } from './overlay-hosts.ts'

const cleanups: (() => Promise<unknown> | unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** Three nodes of an overlay on this machine. */
async function network(): Promise<{ readonly home: OverlayHome; readonly host: OverlayHost }[]> {
  const nodes: { readonly home: OverlayHome; readonly host: OverlayHost }[] = []
  for (let n = 0; n < 3; n++) {
    const home = await OverlayHome.create()
    cleanups.push(() => home.remove())
    const primaryNodes = nodes.slice(0, 1).map(({ host }) => bootstrapNodeOf(host))
    const host = await home.start({ bootstrap: { primaryNodes, fallbackNodes: [], communityNodes: [] } })
    cleanups.push(() => host.stop())
    nodes.push({ home, host })
  }
  const least = () => Math.min(...nodes.map(({ host }) => host.info().contacts))
  await expect.poll(least, { timeout: 20_000 }).toBeGreaterThanOrEqual(2)
  return nodes
}

function records(home: OverlayHome, host: OverlayHost, options: Partial<RecordsHostOptions> = {}): RecordsHost {
  const made = new RecordsHost({
    crypto: home.crypto,
    random: systemRandom,
    jitter: systemJitter,
    clock: systemClock,
    log: home.log,
    home: home.folder,
    keyring: home,
    deviceKey: home.deviceKey,
    overlay: {
      isReady: () => host.info().contacts > 0,
      putRecord: (record) => host.putRecord(record),
      get: (key) => host.get(key),
    },
    usesOverlay: true,
    showsAddresses: true,
    loopbackOnly: true,
    configuredRelays: () => [],
    connection: () => undefined,
    relays: () => [],
    onOwnWays: () => undefined,
    onFound: () => undefined,
    onCandidates: () => undefined,
    limits: { settleMs: 0, gapMs: 0 },
    ...options,
  })
  made.start()
  cleanups.push(() => made.stop())
  return made
}

test('[W5] [W9] two who lost each other meet again through the overlay, and a relay is found by its key', async () => {
  const [ann, ben, hub] = await network()
  if (ann === undefined || ben === undefined || hub === undefined) throw new Error('three nodes')
  const { crypto } = ann.home
  const locatorKey = systemRandom.bytes(32)
  const told: OwnWays[] = []
  const published = records(ann.home, ann.host, { onOwnWays: (ways) => told.push(ways) })
  const circuit = {
    relay: { url: 'ws://127.0.0.1:9999', relayId: systemRandom.bytes(16) },
    reservation: systemRandom.bytes(16),
  }
  const relayKey = crypto.ed25519KeyPair(systemRandom.bytes(32))
  const terms = { circuitsMax: 8, bytesPerSecond: 0, bytesPerDay: 0 }
  published.setCircuits([circuit])
  published.setService({ key: relayKey, urls: ['ws://127.0.0.1:9998'], terms, capacity: 9, latency: 0, region: '' })
  published.setWanted([], locatorKey)
  await expect.poll(() => published.info().publishedAt, { timeout: 20_000 }).toBeDefined()

  const found: FoundWays[] = []
  const peerId = keyToPeerId(ann.home.deviceKey.publicKey)
  const looking = records(ben.home, ben.host, { onFound: (ways) => found.push(ways) })
  looking.setWanted([{ peerId, addresses: [], locatorKey, waysSequence: 0 }], systemRandom.bytes(32))
  await expect.poll(() => found, { timeout: 20_000 }).toHaveLength(1)
  expect(found).toEqual([{ peerId, sequence: published.info().sequence, addresses: [formatCircuitAddress(circuit)] }])

  const service = await hub.host.get(serviceRecordKey(crypto, relayKey.publicKey))
  expect(service.ok && verifyServiceRecord(crypto, service.value.record.value)).toMatchObject({
    ok: true,
    value: { urls: ['ws://127.0.0.1:9998'], capacity: 9 },
  })
  expect(told.at(-1)?.services).toHaveLength(1)
})
