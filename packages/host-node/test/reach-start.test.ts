import { createSocket } from 'node:dgram'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLibsodiumCrypto } from '@miaou/crypto'
import type { PipeId } from '@miaou/network'
import type { RelayAddress } from '@miaou/protocol'
import { freshPipe } from '@miaou/testkit'
import { afterEach, describe, expect, test } from 'vitest'
import { Adapters } from '../src/peer/adapters.ts'
import { SilentDiscovery, SilentTransport } from '../src/peer/offline.ts'
import type { ReachSettings } from '../src/peer/reach-settings.ts'
import { chosenRelaysMax, createRelaying, reachSettingsOfRun } from '../src/peer/reach-start.ts'
import { WebSocketTransport } from '../src/websocket/websocket-transport.ts'

const crypto = await createLibsodiumCrypto()
const home = '/nowhere'
const cleanups: (() => Promise<unknown> | unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const relay = (id: number, url = 'wss://relay.example.org'): RelayAddress => ({
  url,
  relayId: new Uint8Array(16).fill(id),
})

function merged(configured: ReachSettings, run: ReachSettings): ReachSettings {
  const settings = reachSettingsOfRun(home, configured, run)
  if (!settings.ok) throw new Error(settings.error.detail)
  return settings.value
}

describe('what is configured, and what one run is told', () => {
  test('relays of both, those of the run first, each once at the URL named first', () => {
    const settings = merged({ relays: [relay(1), relay(2)] }, { relays: [relay(3), relay(2, 'ws://203.0.113.5:9999')] })
    expect(settings.relays).toEqual([relay(3), relay(2, 'ws://203.0.113.5:9999'), relay(1)])
    expect(merged({}, {}).relays).toEqual([])
  })

  test('no more than twice what a configuration may name', () => {
    const many = Array.from({ length: chosenRelaysMax }, (_, id) => relay(id))
    expect(merged({}, { relays: many }).relays).toHaveLength(chosenRelaysMax)
    expect(reachSettingsOfRun(home, { relays: [relay(99)] }, { relays: many })).toMatchObject({
      error: { type: 'bad-config', detail: expect.stringContaining('16 relays') },
    })
  })

  test('a run that says that it serves keeps the quotas and TURN servers of the configuration', () => {
    const turn = [{ scheme: 'turn', port: 3478, transport: 'udp', secret: 'shared' }] as const
    const configured = { serve: { relay: { circuits: 5, bytesPerDay: 10, turn } } }
    expect(merged(configured, { serve: { relay: {} } }).serve).toEqual(configured.serve)
    expect(merged(configured, { serve: { relay: { circuits: 7 } } }).serve).toEqual({
      relay: { circuits: 7, bytesPerDay: 10, turn },
    })
    expect(merged(configured, {}).serve).toEqual(configured.serve)
  })

  test('what the run says holds elsewhere', () => {
    const configured = { publicUrl: 'wss://one.example.org', stunPort: 1, portMapping: true }
    const run = { publicUrl: 'wss://two.example.org', stunPort: 0, portMapping: false }
    expect(merged(configured, run)).toMatchObject(run)
    expect(merged(configured, {})).toMatchObject(configured)
  })

  test.each([
    [{ relayOnly: true }, { serve: { relay: {} } }],
    [{ serve: { relay: {} } }, { relayOnly: true }],
    [{ serve: { relay: {} }, relayOnly: true }, {}],
  ])('a relay that hides is refused, wherever each was said', (configured, run) => {
    expect(reachSettingsOfRun(home, configured, run)).toMatchObject({
      ok: false,
      error: { type: 'bad-config', path: `${home}/config.json`, detail: expect.stringContaining('relayOnly') },
    })
  })
})

describe('what is made of it', () => {
  const warnings: string[] = []
  const log = { write: (_level: string, event: string) => void warnings.push(event) }
  const keyring = { storeKey: (purpose: string) => crypto.sha256(new TextEncoder().encode(purpose)) }

  async function create(settings: Parameters<typeof createRelaying>[0]['settings']) {
    const websocket = new WebSocketTransport({ host: '127.0.0.1', port: 0 })
    const adapters = new Adapters({
      websocket,
      webrtc: new SilentTransport('webrtc'),
      webrtcLibrary: 'werift',
      discovery: new SilentDiscovery(),
    })
    const relaying = await createRelaying({
      settings,
      home: mkdtempSync(join(tmpdir(), 'miaou-reach-')),
      keyring,
      log,
      adapters,
    })
    cleanups.push(async () => {
      await relaying.stun?.stop()
      await relaying.relayHost?.stop()
      await adapters.stop()
    })
    return { ...relaying, websocket }
  }

  /** A UDP port of this machine that is taken. */
  async function takenPort(): Promise<number> {
    const socket = createSocket('udp4')
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
    cleanups.push(() => new Promise<void>((resolve) => socket.close(() => resolve())))
    return socket.address().port
  }

  test('STUN without a free port: said, and the relay runs without', async () => {
    const stunPort = await takenPort()
    const { stun, relayHost, websocket } = await create({ serve: { relay: {} }, stunPort, loopbackOnly: true })
    expect(stun).toBeUndefined()
    expect(warnings).toContain('stun-not-started')
    relayHost?.start()
    const started = await websocket.start({ emit: () => undefined, nextPipe: freshPipe })
    expect(started.ok).toBe(true)
    expect(relayHost?.view()).toMatchObject({ reservations: 0 })
  })

  test('STUN at the port asked for, and none at port 0', async () => {
    // Another process may take a port that was free a moment ago.
    for (let tries = 0; tries < 10; tries++) {
      const probe = createSocket('udp4')
      await new Promise<void>((resolve) => probe.bind(0, '127.0.0.1', resolve))
      const { port } = probe.address()
      await new Promise<void>((resolve) => probe.close(() => resolve()))
      const { stun } = await create({ serve: { relay: {} }, stunPort: port, loopbackOnly: true })
      if (stun === undefined) continue
      expect(stun.port).toBe(port)
      break
    }
    expect((await create({ serve: { relay: {} }, stunPort: 0, loopbackOnly: true })).stun).toBeUndefined()
  })

  test('who serves nobody has no relay; who is offline has nothing', async () => {
    const { relayHost, stun, createCircuits } = await create({ loopbackOnly: true })
    expect([relayHost, stun]).toEqual([undefined, undefined])
    expect(createCircuits?.(() => 1 as PipeId).views()).toEqual([])
    const offline = await create({ offline: true, serve: { relay: {} } })
    expect(offline).toMatchObject({ relayHost: undefined, stun: undefined, createCircuits: undefined })
    expect(offline.createPortMapper).toBeUndefined()
  })

  test.each([
    [{}, true],
    [{ portMapping: true }, true],
    [{ portMapping: false }, false],
    [{ loopbackOnly: true }, false],
    [{ relayOnly: true }, false],
  ])('a router is asked with %j: %s', async (settings, isAsked) => {
    expect((await create(settings)).createPortMapper !== undefined).toBe(isAsked)
  })
})
