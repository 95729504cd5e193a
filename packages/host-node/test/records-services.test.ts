import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { err, keyToPeerId, ok } from '@miaou/core'
import { type Crypto, createLibsodiumCrypto } from '@miaou/crypto'
import type { RelayView } from '@miaou/network'
import type { OwnWays } from '@miaou/peer'
import {
  decodeDeviceRecord,
  deriveRecordLocator,
  type OverlayClient,
  recordLifetimeMs,
  relayIdOf,
  sealDeviceRecord,
  signDeviceRecord,
  signServiceRecord,
  verifyRecord,
  verifyServiceRecord,
} from '@miaou/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { SeededRandom } from '../../../testkit/src/seeded.ts'
import { RecordsHost, type RecordsHostOptions } from '../src/records/records-host.ts'

const crypto: Crypto = await createLibsodiumCrypto()
const startWall = 1_795_219_200_000
const device = crypto.ed25519KeyPair(new Uint8Array(32).fill(1))
const friend = crypto.ed25519KeyPair(new Uint8Array(32).fill(2))
const friendId = keyToPeerId(friend.publicKey)
const locatorKey = new Uint8Array(32).fill(4)
const terms = { circuitsMax: 8, bytesPerSecond: 0, bytesPerDay: 0 }
const facts = { terms, capacity: 9, latency: 0, region: '' }
let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'miaou-services-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

function service(n: number, urls: readonly string[], createdAt = startWall): Uint8Array {
  const times = { sequence: createdAt, createdAt, expiresAt: createdAt + recordLifetimeMs }
  return signServiceRecord(crypto, new Uint8Array(32).fill(n), { kind: 'relay', urls, ...times, ...facts })
}

function client(n: number, host = '203.0.113.5'): OverlayClient {
  const server = { publicKey: new Uint8Array(32).fill(n), endpoint: { host, port: 4000 } }
  return { publicKey: new Uint8Array(32).fill(99), rendezvous: [server] }
}

/** A records host whose overlay holds one record at most. */
class Desk {
  readonly told: OwnWays[] = []
  readonly services: { own: Uint8Array | undefined; known: readonly Uint8Array[] }[] = []
  readonly clients: OverlayClient[] = []
  shelf: Uint8Array | undefined
  asked = 0
  relays: RelayView[] = []
  now = { mono: 0, wall: startWall }
  readonly host: RecordsHost

  constructor(options: Partial<RecordsHostOptions> = {}) {
    this.host = new RecordsHost({
      crypto,
      random: new SeededRandom(7),
      jitter: { next: () => 0.5 },
      clock: { now: () => this.now },
      log: { write: () => undefined },
      home: folder,
      keyring: { storeKey: (purpose) => crypto.sha256(new TextEncoder().encode(purpose)) },
      deviceKey: device,
      overlay: {
        isReady: () => true,
        putRecord: async () => ok(undefined),
        get: async () => {
          const verified = this.shelf && verifyRecord(crypto, this.shelf)
          return verified?.ok ? ok({ record: verified.value.record }) : err({ type: 'not-found' })
        },
      },
      serviceSource: {
        services: async () => {
          this.asked += 1
          return []
        },
      },
      usesOverlay: true,
      showsAddresses: true,
      configuredRelays: () => [],
      connection: () => undefined,
      relays: () => this.relays,
      onServices: (own, known) => void this.services.push({ own, known }),
      onOverlayClient: (each) => void this.clients.push(each),
      onOwnWays: (ways) => void this.told.push(ways),
      onFound: () => undefined,
      onCandidates: () => undefined,
      ...options,
    })
    this.host.setWanted([], locatorKey)
  }

  async pass(ms: number): Promise<void> {
    this.now = { mono: this.now.mono + ms, wall: this.now.wall + ms }
    this.host.care()
    for (let turn = 0; turn < 8; turn++) await Promise.resolve()
  }

  hear(services: readonly Uint8Array[], overlayClient?: OverlayClient): void {
    this.host.heard({
      peerId: friendId,
      locatorKey,
      sequence: 1,
      addresses: [],
      mailboxes: [],
      services,
      overlayClient,
    })
  }

  clientTold(): OverlayClient | undefined {
    const record = decodeDeviceRecord(this.told.at(-1)?.record ?? new Uint8Array(0))
    return record.ok ? record.value.value.overlayClient : undefined
  }
}

test('[O65] who asks in the overlay is told the own relay and those known, while their records are good', async () => {
  const desk = new Desk()
  const key = crypto.ed25519KeyPair(new Uint8Array(32).fill(9))
  desk.host.setService({ key, urls: ['wss://own.example.org'], ...facts })
  const known = [service(5, ['wss://a.example.org']), service(6, ['ws://203.0.113.9:9999'])]
  desk.hear([...known, new Uint8Array(50)])
  await desk.pass(2_000)
  const told = desk.services.at(-1)
  expect(told?.known).toEqual(known)
  const own = verifyServiceRecord(crypto, told?.own ?? new Uint8Array(0))
  expect(own).toMatchObject({ ok: true, value: { urls: ['wss://own.example.org'], serviceKey: key.publicKey } })
  await desk.pass(recordLifetimeMs)
  expect(desk.services.at(-1)?.known).toEqual([])
})

test('[O65] strangers hear nothing of relays in a network of ours', async () => {
  const desk = new Desk({
    configuredRelays: () => [{ url: 'ws://192.168.1.7:9999', relayId: new Uint8Array(16).fill(3) }],
  })
  const key = crypto.ed25519KeyPair(new Uint8Array(32).fill(9))
  desk.host.setService({ key, urls: ['ws://192.168.1.8:9999'], ...facts })
  // Learnt, since a relay that near is in use; of use to nobody outside.
  desk.hear([service(5, ['ws://192.168.1.9:9999'])])
  await desk.pass(2_000)
  const relayId = relayIdOf(crypto.ed25519KeyPair(new Uint8Array(32).fill(5)).publicKey, (bytes) =>
    crypto.sha256(bytes),
  )
  expect(desk.host.relayCandidates().map(({ relay }) => relay.relayId)).toContainEqual(relayId)
  expect(desk.services.at(-1)).toEqual({ own: undefined, known: [] })
})

test('[W1] the own record names the node behind a NAT, anew when it is reached otherwise; a hidden one never', async () => {
  const desk = new Desk()
  desk.host.setOverlayClient(client(5))
  await desk.pass(2_000)
  expect(desk.clientTold()).toEqual(client(5))
  desk.host.setOverlayClient(client(5))
  await desk.pass(60_000)
  expect(desk.told).toHaveLength(1)
  desk.host.setOverlayClient(client(6))
  await desk.pass(10_000)
  expect(desk.clientTold()).toEqual(client(6))
  desk.host.setOverlayClient(undefined)
  await desk.pass(10_000)
  expect(desk.clientTold()).toBeUndefined()
  const hidden = new Desk({ showsAddresses: false })
  hidden.host.setOverlayClient(client(5))
  await hidden.pass(2_000)
  expect([hidden.told.length, hidden.clientTold()]).toEqual([1, undefined])
})

test('D16: how a contact behind a NAT is reached is handed on, whether a link told it or the overlay', async () => {
  const desk = new Desk()
  desk.hear([], client(5))
  expect(desk.clients).toEqual([client(5)])
  const lists = { overlayContact: undefined, mailboxes: [], services: [] }
  const record = signDeviceRecord(crypto, friend.secretKey, {
    ...lists,
    sequence: 7,
    createdAt: startWall,
    ways: [],
    overlayClient: client(6),
  })
  const locator = deriveRecordLocator(crypto, locatorKey, friend.publicKey)
  desk.shelf = sealDeviceRecord(crypto, locator, record, { nonce: new Uint8Array(24), sequence: 1 })
  desk.host.setWanted([{ peerId: friendId, addresses: [], locatorKey, waysSequence: 0 }], locatorKey)
  await desk.pass(1_000)
  expect(desk.clients).toEqual([client(5), client(6)])
})

test('[W21] without any relay the overlay is asked at once, then later and later; with one each five minutes', async () => {
  const desk = new Desk()
  const askedIn = async (seconds: number): Promise<number> => {
    const before = desk.asked
    for (let n = 0; n < seconds; n++) await desk.pass(1_000)
    return desk.asked - before
  }
  expect(await askedIn(14)).toBe(1)
  expect(await askedIn(2)).toBe(1)
  expect(await askedIn(28)).toBe(0)
  expect(await askedIn(3)).toBe(1)
  expect(await askedIn(3_600)).toBeLessThan(16)
  desk.host.networkChanged()
  expect(await askedIn(20)).toBe(2)
  const relay = { url: 'wss://a.example.org', relayId: new Uint8Array(16).fill(3) }
  desk.relays = [{ relay, state: 'reserved' } as RelayView]
  await askedIn(60)
  expect(await askedIn(600)).toBe(2)
})
