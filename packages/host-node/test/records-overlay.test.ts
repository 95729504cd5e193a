import { keyToPeerId } from '@miaou/core'
import type { OwnWays } from '@miaou/peer'
import {
  formatCircuitAddress,
  recordLifetimeMs,
  relayIdOf,
  serviceRecordKey,
  signServiceRecord,
  verifyServiceRecord,
} from '@miaou/protocol'
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
  const addresses = [formatCircuitAddress(circuit)]
  expect(found).toEqual([{ peerId, sequence: published.info().sequence, addresses, mailboxes: [] }])

  const service = await hub.host.get(serviceRecordKey(crypto, relayKey.publicKey))
  expect(service.ok && verifyServiceRecord(crypto, service.value.record.value)).toMatchObject({
    ok: true,
    value: { urls: ['ws://127.0.0.1:9998'], capacity: 9 },
  })
  expect(told.at(-1)?.services).toHaveLength(1)
})

test('[O65] [O66] [W21] a node learns of relays from others: their own, and one that they know', async () => {
  const [ann, hub, ben] = await network()
  if (ann === undefined || ben === undefined || hub === undefined) throw new Error('three nodes')
  const { crypto } = ann.home
  const [annsKey, othersKey] = [5, 6].map((n) => crypto.ed25519KeyPair(new Uint8Array(32).fill(n)))
  if (annsKey === undefined || othersKey === undefined) throw new Error('two keys')
  const terms = { circuitsMax: 8, bytesPerSecond: 0, bytesPerDay: 0 }
  const facts = { terms, capacity: 9, latency: 0, region: '' }
  const tells = ({ host }: typeof ann, told: number[]): Partial<RecordsHostOptions> => ({
    serviceSource: host,
    onServices: (own, known) => {
      host.setServices(own, known)
      told.push((own === undefined ? 0 : 1) + known.length)
    },
  })
  const [toldByAnn, toldByHub]: [number[], number[]] = [[], []]
  const annsRecords = records(ann.home, ann.host, tells(ann, toldByAnn))
  annsRecords.setService({ key: annsKey, urls: ['ws://127.0.0.1:9998'], ...facts })
  annsRecords.setWanted([], systemRandom.bytes(32))
  const createdAt = systemClock.now().wall
  const others = { sequence: createdAt, createdAt, expiresAt: createdAt + recordLifetimeMs, ...facts }
  const service = signServiceRecord(crypto, othersKey.secretKey, {
    kind: 'relay',
    urls: ['ws://127.0.0.1:9997'],
    ...others,
  })
  const peerId = keyToPeerId(ben.home.deviceKey.publicKey)
  const heard = { peerId, locatorKey: systemRandom.bytes(32), sequence: 0, addresses: [], mailboxes: [] }
  records(hub.home, hub.host, tells(hub, toldByHub)).heard({ ...heard, services: [service] })
  await expect.poll(() => [toldByAnn.at(-1), toldByHub.at(-1)], { timeout: 20_000 }).toEqual([1, 1])

  // Whoever knows none asks at once.
  const learning = records(ben.home, ben.host, { serviceSource: ben.host })
  const idOf = (publicKey: Uint8Array) => relayIdOf(publicKey, (bytes) => crypto.sha256(bytes))
  const byUrl = () => [...learning.relayCandidates()].sort((a, b) => b.relay.url.localeCompare(a.relay.url))
  await expect.poll(byUrl, { timeout: 20_000 }).toEqual([
    { relay: { url: 'ws://127.0.0.1:9998', relayId: idOf(annsKey.publicKey) }, source: 'overlay' },
    { relay: { url: 'ws://127.0.0.1:9997', relayId: idOf(othersKey.publicKey) }, source: 'overlay' },
  ])
})
