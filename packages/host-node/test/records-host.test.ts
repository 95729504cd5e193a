import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bytesToHex, err, keyToPeerId, ok, type PeerId } from '@miaou/core'
import { type Crypto, createLibsodiumCrypto } from '@miaou/crypto'
import type { WantedPeer } from '@miaou/messaging'
import type { ConnectionView, RelayView } from '@miaou/network'
import type { OwnWays } from '@miaou/peer'
import {
  type CircuitAddress,
  decodeDeviceRecord,
  deriveRecordLocator,
  formatCircuitAddress,
  openDeviceRecord,
  type RelayAddress,
  recordLifetimeMs,
  recordSizeMax,
  relayIdOf,
  sealDeviceRecord,
  serviceRecordKey,
  serviceRecordSalt,
  signDeviceRecord,
  signRecord,
  signServiceRecord,
  verifyDeviceRecord,
  verifyRecord,
  verifyServiceRecord,
} from '@miaou/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SeededRandom } from '../../../testkit/src/seeded.ts'
import type { RecordOverlay } from '../src/records/ports.ts'
import {
  type FoundWays,
  type OwnService,
  RecordsHost,
  type RecordsHostOptions,
  type RelayCandidate,
} from '../src/records/records-host.ts'

const crypto: Crypto = await createLibsodiumCrypto()
const startWall = 1_795_219_200_000
const device = crypto.ed25519KeyPair(new Uint8Array(32).fill(1))
const friend = crypto.ed25519KeyPair(new Uint8Array(32).fill(2))
const friendId = keyToPeerId(friend.publicKey)
const relayKey = crypto.ed25519KeyPair(new Uint8Array(32).fill(3))
const ownLocator = new Uint8Array(32).fill(4)
const friendLocator = new Uint8Array(32).fill(5)
let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'miaou-records-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

function relay(n: number, url = `wss://relay${n}.example${n}.org`): RelayAddress {
  return { url, relayId: new Uint8Array(16).fill(n) }
}

function circuit(n: number): CircuitAddress {
  return { relay: relay(n), reservation: new Uint8Array(16).fill(100 + n) }
}

function wanted(more: Partial<WantedPeer> = {}): WantedPeer {
  return { peerId: friendId, addresses: [], locatorKey: friendLocator, waysSequence: 0, ...more }
}

/** An overlay of one shelf, which takes and gives what is valid. */
class Shelf implements RecordOverlay {
  readonly records = new Map<string, Uint8Array>()
  readonly puts: Uint8Array[] = []
  gets = 0
  ready = true
  isFull = false

  isReady(): boolean {
    return this.ready
  }

  async putRecord(record: Uint8Array): ReturnType<RecordOverlay['putRecord']> {
    this.puts.push(record)
    const verified = verifyRecord(crypto, record)
    if (this.isFull || !verified.ok) return err({ type: 'refused' })
    this.records.set(bytesToHex(verified.value.key), record)
    return ok(undefined)
  }

  async get(key: Uint8Array): ReturnType<RecordOverlay['get']> {
    this.gets += 1
    const found = this.records.get(bytesToHex(key))
    const verified = found && verifyRecord(crypto, found)
    return verified?.ok ? ok({ record: verified.value.record }) : err({ type: 'not-found' })
  }
}

/** A records host on a clock and an overlay that a test moves. */
class Desk {
  readonly overlay = new Shelf()
  readonly told: OwnWays[] = []
  readonly found: FoundWays[] = []
  readonly candidates: (readonly RelayCandidate[])[] = []
  readonly views = new Map<PeerId, ConnectionView>()
  relays: RelayView[] = []
  services: Uint8Array[] = []
  now = { mono: 0, wall: startWall }
  host: RecordsHost
  readonly #options: Partial<RecordsHostOptions>

  constructor(options: Partial<RecordsHostOptions> = {}) {
    this.#options = options
    this.host = this.open()
  }

  open(): RecordsHost {
    const random = new SeededRandom(7)
    this.host = new RecordsHost({
      crypto,
      random,
      jitter: { next: () => 0.5 },
      clock: { now: () => this.now },
      log: { write: () => undefined },
      home: folder,
      keyring: { storeKey: (purpose) => crypto.sha256(new TextEncoder().encode(purpose)) },
      deviceKey: device,
      overlay: this.overlay,
      serviceSource: { services: async () => this.services },
      usesOverlay: true,
      showsAddresses: true,
      configuredRelays: () => [],
      connection: (peerId) => this.views.get(peerId),
      relays: () => this.relays,
      onOwnWays: (ways) => this.told.push(ways),
      onFound: (found) => this.found.push(found),
      onCandidates: (candidates) => this.candidates.push(candidates),
      ...this.#options,
    })
    this.host.start()
    return this.host
  }

  /** Lets time pass and everything that is due happen. */
  async pass(ms: number): Promise<void> {
    this.now = { mono: this.now.mono + ms, wall: this.now.wall + ms }
    this.host.care()
    for (let turn = 0; turn < 8; turn++) await Promise.resolve()
  }

  waysTold(): readonly string[] {
    const record = decodeDeviceRecord(this.told.at(-1)?.record ?? new Uint8Array(0))
    return record.ok ? record.value.value.ways : []
  }

  stored(locatorKey = ownLocator): ReturnType<typeof openDeviceRecord> | undefined {
    const locator = deriveRecordLocator(crypto, locatorKey, device.publicKey)
    const found = this.overlay.records.get(bytesToHex(locator.key))
    const verified = found && verifyRecord(crypto, found)
    return verified?.ok ? openDeviceRecord(crypto, locator, verified.value.record, device.publicKey) : undefined
  }
}

function friendRecord(sequence: number, ways: readonly string[], more: { createdAt?: number } = {}): Uint8Array {
  const createdAt = more.createdAt ?? startWall
  const rest = { overlayContact: undefined, mailboxes: [], services: [] }
  return signDeviceRecord(crypto, friend.secretKey, { sequence, createdAt, ways, ...rest })
}

/** Puts a record where that of the friend is looked for. */
async function shelve(overlay: Shelf, record: Uint8Array, locatorKey = friendLocator): Promise<void> {
  const locator = deriveRecordLocator(crypto, locatorKey, friend.publicKey)
  await overlay.putRecord(sealDeviceRecord(crypto, locator, record, { nonce: new Uint8Array(24), sequence: 1 }))
}

function view(more: Partial<ConnectionView>): ConnectionView {
  const stats = { bytesSent: 0, bytesReceived: 0, messagesSent: 0, messagesReceived: 0, currentState: 'idle' } as const
  return { peerId: friendId, state: 'waiting', addresses: ['ws://192.0.2.1:9'], features: [], stats, ...more }
}

const unreachable = { type: 'unreachable', detail: 'no answer' } as const

function service(more: Partial<OwnService> = {}): OwnService {
  const terms = { circuitsMax: 8, bytesPerSecond: 0, bytesPerDay: 0 }
  return { key: relayKey, urls: ['wss://me.example.org'], terms, capacity: 50, latency: 0, region: '', ...more }
}

function serviceRecord(n: number, url: string, sequence = startWall): Uint8Array {
  return signServiceRecord(crypto, new Uint8Array(32).fill(n), {
    kind: 'relay',
    sequence,
    createdAt: startWall,
    expiresAt: startWall + recordLifetimeMs,
    urls: [url],
    terms: { circuitsMax: 8, bytesPerSecond: 0, bytesPerDay: 0 },
    capacity: 1,
    latency: 0,
    region: '',
  })
}

describe('[W15] the own record', () => {
  test('what changes together is told once, and stored sealed where contacts look', async () => {
    const desk = new Desk()
    desk.host.setWanted([], ownLocator)
    desk.host.setCircuits([circuit(1)])
    desk.host.setAddresses(['ws://192.0.2.9:9999'])
    await desk.pass(499)
    expect(desk.told).toEqual([])
    await desk.pass(1)
    const ways = [formatCircuitAddress(circuit(1)), 'ws://192.0.2.9:9999']
    expect(desk.waysTold()).toEqual(ways)
    expect(verifyDeviceRecord(crypto, desk.told[0]?.record ?? new Uint8Array(0), device.publicKey).ok).toBe(true)
    expect(desk.overlay.puts.map(({ length }) => length)).toEqual([recordSizeMax])
    expect(desk.stored()).toMatchObject({ ok: true, value: { ways } })
    await desk.pass(1_000)
    expect([desk.told.length, desk.overlay.puts.length]).toEqual([1, 1])
  })

  test('it is signed and stored anew each hour', async () => {
    const desk = new Desk()
    desk.host.setWanted([], ownLocator)
    desk.host.setCircuits([circuit(1)])
    await desk.pass(2_000)
    await desk.pass(3_599_999)
    expect(desk.told).toHaveLength(1)
    await desk.pass(1)
    expect([desk.told.length, desk.overlay.puts.length]).toEqual([2, 2])
  })

  test('[W13] four changes are told as they come, those that follow one in 10 s', async () => {
    const desk = new Desk()
    desk.host.setWanted([], ownLocator)
    for (let change = 1; change <= 4; change++) {
      desk.host.setCircuits([circuit(change)])
      await desk.pass(500)
      expect(desk.told).toHaveLength(change)
    }
    desk.host.setCircuits([circuit(5)])
    // The first of the four came 1.5 s before the last.
    await desk.pass(8_499)
    expect(desk.told).toHaveLength(4)
    await desk.pass(1)
    expect(desk.told).toHaveLength(5)
    desk.host.setCircuits([circuit(6)])
    await desk.pass(9_999)
    expect(desk.told).toHaveLength(5)
    await desk.pass(1)
    expect(desk.told).toHaveLength(6)
  })

  test('without a way nothing is stored, without the overlay nothing either; contacts are told all the same', async () => {
    const desk = new Desk()
    desk.host.setWanted([], ownLocator)
    await desk.pass(2_000)
    expect([desk.told.length, desk.overlay.puts.length]).toEqual([1, 0])
    desk.overlay.ready = false
    desk.host.setCircuits([circuit(1)])
    await desk.pass(20_000)
    expect([desk.told.length, desk.overlay.puts.length]).toEqual([2, 0])
    desk.overlay.ready = true
    await desk.pass(1_000)
    expect(desk.overlay.puts).toHaveLength(1)
    const off = new Desk({ usesOverlay: false })
    off.host.setWanted([wanted()], ownLocator)
    off.host.setCircuits([circuit(1)])
    await off.pass(20_000)
    expect([off.told.length, off.overlay.puts.length, off.overlay.gets]).toEqual([1, 0, 0])
  })

  test.each([
    ['a day back', -86_400_000],
    ['a day on, as after a sleep', 86_400_000],
    ['ten years on', 315_360_000_000],
  ])('when the wall clock jumps %s it is signed by the new time, and counts as newer', async (_what, jumpMs) => {
    const desk = new Desk()
    desk.host.setWanted([], ownLocator)
    desk.host.setCircuits([circuit(1)])
    await desk.pass(2_000)
    await desk.pass(10_000)
    desk.now = { mono: desk.now.mono, wall: desk.now.wall + jumpMs }
    await desk.pass(1_000)
    await desk.pass(2_000)
    const records = desk.told.map(({ record }) => verifyDeviceRecord(crypto, record, device.publicKey))
    expect(records).toHaveLength(2)
    const [before, after] = records.map((record) => (record.ok ? record.value : undefined))
    expect(after?.createdAt).toBe(desk.now.wall)
    expect(after?.sequence).toBeGreaterThan(before?.sequence ?? Number.POSITIVE_INFINITY)
    // A clock that is set right by seconds is no jump.
    desk.now = { mono: desk.now.mono, wall: desk.now.wall + 5_000 }
    await desk.pass(20_000)
    expect(desk.told).toHaveLength(2)
  })

  test('a peer that hides its addresses names circuits only', async () => {
    const desk = new Desk({ showsAddresses: false })
    desk.host.setWanted([], ownLocator)
    desk.host.setCircuits([circuit(1)])
    desk.host.setAddresses(['ws://192.0.2.9:9999'])
    await desk.pass(2_000)
    expect(desk.waysTold()).toEqual([formatCircuitAddress(circuit(1))])
  })

  test('a new locator key moves it, and the old place keeps the old record', async () => {
    const desk = new Desk()
    desk.host.setWanted([], ownLocator)
    desk.host.setCircuits([circuit(1)])
    await desk.pass(2_000)
    const renewed = new Uint8Array(32).fill(9)
    desk.host.setWanted([], renewed)
    desk.host.setCircuits([circuit(2)])
    await desk.pass(20_000)
    expect(desk.stored()).toMatchObject({ value: { ways: [formatCircuitAddress(circuit(1))] } })
    expect(desk.stored(renewed)).toMatchObject({ value: { ways: [formatCircuitAddress(circuit(2))] } })
  })

  test('its sequence grows over restarts, also when the clock went back', async () => {
    const desk = new Desk()
    desk.host.setWanted([], ownLocator)
    await desk.pass(2_000)
    const { sequence } = desk.host.info()
    desk.host.stop()
    desk.now = { mono: 0, wall: startWall - 1_000_000 }
    desk.open()
    desk.host.setWanted([], ownLocator)
    await desk.pass(2_000)
    expect(desk.host.info().sequence).toBe(sequence + 1)
  })

  test('a record that could not be stored is tried again, with longer and longer waits', async () => {
    const desk = new Desk()
    desk.overlay.isFull = true
    desk.host.setWanted([], ownLocator)
    desk.host.setCircuits([circuit(1)])
    await desk.pass(2_000)
    for (const [ms, puts] of [
      [29_999, 1],
      [1, 2],
      [59_999, 2],
      [1, 3],
    ] as const) {
      await desk.pass(ms)
      expect(desk.overlay.puts).toHaveLength(puts)
    }
    expect(desk.host.info()).toMatchObject({ publishedAt: undefined, counters: { 'publish-failed': 3 } })
    desk.overlay.isFull = false
    await desk.pass(120_000)
    expect(desk.host.info().publishedAt).toBe(desk.now.wall)
  })

  test("a relay announces itself under its own key, never the device's, and keeps no reservation with itself", async () => {
    const desk = new Desk()
    desk.host.setWanted([], ownLocator)
    desk.host.setService(service())
    await desk.pass(2_000)
    const [put] = desk.overlay.puts
    const verified = put && verifyRecord(crypto, put)
    expect(verified).toMatchObject({ value: { key: serviceRecordKey(crypto, relayKey.publicKey) } })
    const inside = verified?.ok ? verifyServiceRecord(crypto, verified.value.record.value) : undefined
    expect(inside).toMatchObject({ value: { urls: ['wss://me.example.org'], capacity: 50 } })
    expect(desk.told.at(-1)?.services).toHaveLength(1)
    for (const bytes of [put, ...(desk.told.at(-1)?.services ?? [])]) {
      expect(bytesToHex(bytes ?? new Uint8Array(0))).not.toContain(bytesToHex(device.publicKey))
    }
    const relayId = relayIdOf(relayKey.publicKey, (bytes) => crypto.sha256(bytes))
    desk.host.setWanted([wanted({ addresses: [`circuit:${'A'.repeat(22)}.${formatRelay(relayId)}`] })], ownLocator)
    expect(desk.host.relayCandidates()).toEqual([])
  })
})

function formatRelay(relayId: Uint8Array): string {
  return `${Buffer.from(relayId).toString('base64url')}@wss://me.example.org`
}

describe('[W17] a contact who cannot be reached is looked up', () => {
  const ways = [formatCircuitAddress(circuit(3)), 'ws://192.168.1.1:80', 'ws://203.0.113.5:9']

  test('and what its record names for us is handed on', async () => {
    const desk = new Desk()
    await shelve(desk.overlay, friendRecord(5, ways))
    desk.host.setWanted([wanted()], ownLocator)
    await desk.pass(1_000)
    expect(desk.found).toEqual([{ peerId: friendId, sequence: 5, addresses: [ways[0], ways[2]], mailboxes: [] }])
  })

  test('not while a link stands or is being made, nor while its ways are still being tried', async () => {
    const desk = new Desk()
    await shelve(desk.overlay, friendRecord(5, ways))
    desk.host.setWanted([wanted()], ownLocator)
    for (const state of ['connected', 'upgrading', 'dialing', 'handshaking'] as const) {
      desk.views.set(friendId, view({ state, error: unreachable }))
      await desk.pass(5_000)
    }
    desk.views.set(friendId, view({ state: 'waiting' }))
    await desk.pass(5_000)
    expect(desk.overlay.gets).toBe(0)
    desk.views.set(friendId, view({ state: 'waiting', error: unreachable }))
    await desk.pass(5_000)
    expect(desk.found).toHaveLength(1)
    desk.views.set(friendId, view({ state: 'idle', addresses: [] }))
    desk.host.networkChanged()
    await desk.pass(5_000)
    expect(desk.found).toHaveLength(2)
  })

  test('again after 15 s, then later and later, half an hour at most; at once when the network changed', async () => {
    const desk = new Desk()
    desk.host.setWanted([wanted()], ownLocator)
    await desk.pass(1_000)
    for (const [ms, gets] of [
      [14_999, 1],
      [1, 2],
      [29_999, 2],
      [1, 3],
    ] as const) {
      await desk.pass(ms)
      expect(desk.overlay.gets).toBe(gets)
    }
    for (let i = 0; i < 20; i++) await desk.pass(1_800_000)
    expect(desk.overlay.gets).toBe(23)
    desk.host.networkChanged()
    await desk.pass(2_000)
    expect(desk.overlay.gets).toBe(24)
  })

  test('one in two seconds, each in turn', async () => {
    const desk = new Desk()
    const peers = Array.from({ length: 5 }, (_, n) => wanted({ peerId: keyToPeerId(crypto.sha256(Uint8Array.of(n))) }))
    desk.host.setWanted(peers, ownLocator)
    for (let second = 1; second <= 10; second++) {
      await desk.pass(1_000)
      expect(desk.overlay.gets).toBe(Math.ceil(second / 2))
    }
  })

  test.each([
    ['an old one, played again', friendRecord(4, ways), 'lookup-stale'],
    ['the one we have', friendRecord(5, ways), 'lookup-stale'],
    ['an expired one', friendRecord(9, ways, { createdAt: startWall - recordLifetimeMs }), 'lookup-expired'],
    ['one of the future', friendRecord(9, ways, { createdAt: startWall + 3_700_000 }), 'lookup-expired'],
    ["another device's", otherRecord(), 'lookup-wrong-device'],
    ['a forged one', forged(), 'lookup-invalid-signature'],
    ['what is no record', new Uint8Array(10), 'lookup-malformed'],
  ])('%s changes nothing', async (_name, record, reason) => {
    const desk = new Desk()
    await shelve(desk.overlay, record)
    desk.host.setWanted([wanted({ waysSequence: 5 })], ownLocator)
    await desk.pass(1_000)
    expect(desk.found).toEqual([])
    expect(desk.host.info().counters[reason]).toBe(1)
  })

  function otherRecord(): Uint8Array {
    const rest = { overlayContact: undefined, mailboxes: [], services: [] }
    return signDeviceRecord(crypto, device.secretKey, { sequence: 9, createdAt: startWall, ways, ...rest })
  }

  function forged(): Uint8Array {
    const record = friendRecord(9, ways)
    return record.with(40, (record[40] as number) ^ 1)
  }
})

describe('[W18] relays to keep reservations at', () => {
  test('those a person chose come first, then those of contacts and invites, then those of strangers', async () => {
    const desk = new Desk({ configuredRelays: () => [relay(9)] })
    desk.services = [serviceRecord(40, 'wss://relay.stranger.org')]
    const ways = (n: number) => [formatCircuitAddress(circuit(n)), 'ws://192.0.2.1:9']
    const invited = wanted({ addresses: ways(2), peerId: keyToPeerId(crypto.sha256(Uint8Array.of(1))) })
    desk.host.setWanted([wanted({ addresses: ways(1), waysSequence: 5 }), invited], ownLocator)
    await desk.pass(1_000)
    expect(desk.candidates.at(-1)?.map(({ relay: { url }, source }) => [source, url])).toEqual([
      ['config', relay(9).url],
      ['contact', relay(1).url],
      ['invite', relay(2).url],
      ['overlay', 'wss://relay.stranger.org'],
    ])
  })

  test('a contact passes on what served it: taken when good, and passed on in turn only when it served us', async () => {
    const desk = new Desk()
    const record = serviceRecord(40, 'wss://relay.stranger.org')
    const heard = { peerId: friendId, locatorKey: friendLocator, sequence: 1, addresses: [], mailboxes: [] }
    desk.host.heard({ ...heard, services: [record, new Uint8Array(5), serviceRecord(41, 'ws://10.0.0.1:80')] })
    expect(desk.host.info().counters).toEqual({ 'relay-learnt': 1, 'relay-refused': 2 })
    desk.host.setWanted([], ownLocator)
    await desk.pass(2_000)
    expect(desk.told.at(-1)?.services).toEqual([])
    const [candidate] = desk.host.relayCandidates()
    if (candidate === undefined) throw new Error('the relay is known')
    desk.relays = [{ relay: candidate.relay, state: 'reserved', circuits: 0 }]
    await desk.pass(3_600_000)
    expect(desk.told.at(-1)?.services).toEqual([record])
    desk.host.stop()
    desk.open()
    expect(desk.host.relayCandidates()).toEqual([candidate])
  })

  test('three reservations are enough; a relay that was lost is looked up under its own key', async () => {
    const desk = new Desk()
    desk.host.heard({
      peerId: friendId,
      locatorKey: friendLocator,
      sequence: 1,
      addresses: [],
      mailboxes: [],
      services: [serviceRecord(40, 'wss://relay.stranger.org')],
    })
    const key = crypto.ed25519KeyPair(new Uint8Array(32).fill(40))
    const value = serviceRecord(40, 'wss://moved.stranger.org', startWall + 1)
    await desk.overlay.putRecord(signRecord(crypto, { ...key, salt: serviceRecordSalt, sequence: 1, value }))
    desk.relays = [1, 2, 3].map((n) => ({ relay: relay(n), state: 'reserved', circuits: 0 }))
    desk.host.setWanted([], ownLocator)
    await desk.pass(400_000)
    expect(desk.overlay.gets).toBe(0)
    desk.relays = desk.relays.slice(1)
    await desk.pass(1_000)
    expect(desk.host.relayCandidates().map(({ relay: { url } }) => url)).toEqual(['wss://moved.stranger.org'])
    await desk.pass(299_000)
    expect(desk.overlay.gets).toBe(1)
    await desk.pass(1_000)
    expect(desk.overlay.gets).toBe(2)
  })

  test('a relay of the own network counts where a person chose the invite that names it', () => {
    const desk = new Desk()
    const url = 'ws://192.168.1.5:9999'
    const near = formatCircuitAddress({ ...circuit(1), relay: relay(1, url) })
    desk.host.setWanted([wanted({ addresses: [near] })], ownLocator)
    expect(desk.host.relayCandidates()).toEqual([{ relay: relay(1, url), source: 'invite' }])
  })

  test('16 at most', () => {
    const desk = new Desk({ configuredRelays: () => Array.from({ length: 20 }, (_, n) => relay(n)) })
    expect(desk.host.relayCandidates()).toHaveLength(16)
  })
})
