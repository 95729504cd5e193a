import { createSocket } from 'node:dgram'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { textToBytes } from '@miaou/core'
import { afterEach, describe, expect, test } from 'vitest'
import type { BootstrapConfig } from '../src/overlay/bootstrap-config.ts'
import { parseBootstrapNode } from '../src/overlay/bootstrap-node.ts'
import type { OverlayHost } from '../src/overlay/overlay-host.ts'
import type { OverlayHostOptions } from '../src/overlay/overlay-host-options.ts'
import { systemRandom } from '../src/peer/system.ts'
import { bootstrapNodeOf, endpointOf, OverlayHome } from './overlay-hosts.ts'

const cleanups: (() => Promise<unknown> | unknown)[] = []
const salt = textToBytes('signing')

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function home(): Promise<OverlayHome> {
  const made = await OverlayHome.create()
  cleanups.push(() => made.remove())
  return made
}

async function start(at: OverlayHome, options: Partial<OverlayHostOptions> = {}, port = 0): Promise<OverlayHost> {
  const host = await at.start(options, port)
  cleanups.push(() => host.stop())
  return host
}

function through(...hosts: OverlayHost[]): { readonly bootstrap: BootstrapConfig } {
  return { bootstrap: { primaryNodes: hosts.map(bootstrapNodeOf), fallbackNodes: [], communityNodes: [] } }
}

/** `count` hosts, all but the first bootstrapping through it, each knowing all others. */
async function network(count: number): Promise<{ readonly homes: OverlayHome[]; readonly hosts: OverlayHost[] }> {
  const homes = await Promise.all(Array.from({ length: count }, home))
  const hosts: OverlayHost[] = []
  for (const each of homes) hosts.push(await start(each, hosts[0] === undefined ? {} : through(hosts[0])))
  await knowEachOther(hosts)
  return { homes, hosts }
}

async function knowEachOther(hosts: readonly OverlayHost[]): Promise<void> {
  const least = () => Math.min(...hosts.map((host) => host.info().contacts))
  await expect.poll(least, { timeout: 20_000 }).toBeGreaterThanOrEqual(hosts.length - 1)
}

describe('nodes of one network', () => {
  test('[C19] [C20] three find each other through one, share records, and keep them when one is gone', async () => {
    const { homes, hosts } = await network(3)
    const [first, second, third] = hosts as [OverlayHost, OverlayHost, OverlayHost]
    for (const host of hosts) {
      expect(host.info()).toMatchObject({
        state: { type: 'running' },
        bootstrap: { type: 'bootstrapped' },
        mode: 'server',
      })
      expect(host.info().observed).toEqual(endpointOf(host))
    }
    const value = textToBytes('a value of some length')
    const put = await second.putValue(value)
    expect(put).toMatchObject({ ok: true, value: { replicas: 2, size: value.length + 3, cost: { timeouts: 0 } } })
    const signed = await second.putSigned(salt, textToBytes('a key'))
    expect(signed).toMatchObject({ ok: true, value: { replicas: 2, isKept: true } })
    await first.stop()
    const publicKey = homes[1]?.deviceKey.publicKey as Uint8Array
    expect(await third.getSigned(publicKey, salt)).toMatchObject({
      ok: true,
      value: { record: { type: 'signed', publicKey, salt, value: textToBytes('a key') } },
    })
    if (!put.ok) throw new Error(put.error.type)
    expect(await third.get(put.value.key)).toMatchObject({ ok: true, value: { record: { type: 'value', value } } })
  })

  test('nodes are found and answer; what nobody has, and nobody who answers, is told', async () => {
    const { hosts } = await network(3)
    const [first, second] = hosts as [OverlayHost, OverlayHost]
    const found = await first.findNode(new Uint8Array(32))
    expect(found.ok && found.value.contacts.map(({ nodeId }) => nodeId).sort()).toEqual(
      hosts
        .slice(1)
        .map((host) => host.info().nodeId)
        .sort(),
    )
    expect(first.contacts().length).toBe(2)
    expect(first.contacts(1).length).toBe(1)
    const pong = await first.ping(second.info().publicKey, endpointOf(second))
    expect(pong).toEqual({ ok: true, value: { ms: expect.any(Number), observed: endpointOf(first) } })
    expect(await first.get(new Uint8Array(32).fill(9))).toMatchObject({ ok: false, error: { type: 'not-found' } })
    await second.stop()
    const silent = await first.ping(new Uint8Array(32).fill(3), endpointOf(first))
    expect(silent).toMatchObject({ ok: false, error: { type: 'timeout' } })
  })

  test('[DN35] bootstrap asked for by a person: through a node that is there, and one that is not', async () => {
    const [first, second] = [await start(await home()), await start(await home())]
    expect(first.info().bootstrap).toEqual({ type: 'alone' })
    expect(await first.putValue(salt)).toMatchObject({ ok: false, error: { type: 'no-contacts' } })
    expect(await second.bootstrap([bootstrapNodeOf(first)])).toMatchObject({ ok: true })
    await knowEachOther([first, second])
    const gone = parseBootstrapNode({ publicKey: 'A'.repeat(43), address: 'gone.invalid:1' })
    if (!gone.ok) throw new Error(gone.error)
    const refused = await second.bootstrap([gone.value])
    expect(refused).toEqual({ ok: false, error: { type: 'unresolved', address: 'gone.invalid:1' } })
  })

  test('records that cannot be are refused before anything is sent', async () => {
    const host = await start(await home())
    expect(await host.putValue(new Uint8Array(0))).toEqual({ ok: false, error: { type: 'empty-value' } })
    expect(await host.putValue(new Uint8Array(998))).toEqual({
      ok: false,
      error: { type: 'record-too-large', size: 1001, sizeMax: 1000 },
    })
    expect(await host.putSigned(salt, new Uint8Array(1000 - 112 - salt.length + 1))).toMatchObject({
      error: { type: 'record-too-large', size: 1001 },
    })
    const long = new Uint8Array(65)
    const tooLong = { ok: false, error: { type: 'salt-too-long', size: 65, sizeMax: 64 } }
    expect(await host.putSigned(long, salt)).toEqual(tooLong)
    expect(await host.getSigned(new Uint8Array(32), long)).toEqual(tooLong)
    expect(host.info().ownRecords).toBe(0)
  })
})

describe('what survives a restart', () => {
  test('[DN42] contacts: a node comes back without its bootstrap list', async () => {
    const { homes, hosts } = await network(3)
    const [, second] = homes as [OverlayHome, OverlayHome, OverlayHome]
    const { nodeId } = (hosts[1] as OverlayHost).info()
    await hosts[1]?.stop()
    const again = await start(second)
    expect(again.info().nodeId).toBe(nodeId)
    await knowEachOther([again, hosts[0] as OverlayHost])
    await expect.poll(() => again.info().contacts).toBe(2)
  })

  test('[DN43] signed records: published again under the sequence they had, and never under a lower one', async () => {
    const { homes, hosts } = await network(2)
    const [first, second] = homes as [OverlayHome, OverlayHome]
    const put = await (hosts[1] as OverlayHost).putSigned(salt, textToBytes('before'))
    if (!put.ok) throw new Error(put.error.type)
    for (const host of hosts) await host.stop()
    // Nobody has it any more: the node that comes back brings it.
    const fresh = await start(await home())
    const third = await start(await home(), through(fresh))
    await knowEachOther([fresh, third])
    const publicKey = second.deviceKey.publicKey
    expect(await third.getSigned(publicKey, salt)).toMatchObject({ error: { type: 'not-found' } })
    const again = await start(second, through(fresh))
    expect(again.info().ownRecords).toBe(1)
    await expect
      .poll(async () => {
        const got = await third.getSigned(publicKey, salt)
        return got.ok && got.value.record.type === 'signed' ? got.value.record.sequence : 0
      })
      .toBe(put.value.sequence)
    const next = await again.putSigned(salt, textToBytes('after'))
    expect(next.ok && next.value.sequence).toBeGreaterThan(put.value.sequence)
    expect(first.folder).not.toBe(second.folder)
  })

  test('a file of contacts that is damaged, or of another home, is put aside with a line in the log', async () => {
    const { homes, hosts } = await network(2)
    const [first, second] = homes as [OverlayHome, OverlayHome]
    const file = join(second.folder, 'overlay-contacts')
    const damages: ((bytes: Uint8Array) => Uint8Array)[] = [
      (bytes) => bytes.map((byte, at) => (at === bytes.length - 1 ? byte ^ 1 : byte)),
      (bytes) => bytes.subarray(0, 20),
      () => new Uint8Array(0),
      () => new Uint8Array(100_000),
      () => readFileSync(join(first.folder, 'overlay-contacts')),
    ]
    for (const host of hosts) await host.stop()
    const whole = new Uint8Array(readFileSync(file))
    for (const damage of damages) {
      writeFileSync(file, damage(whole))
      second.logged.splice(0)
      const again = await second.start()
      expect(second.logged).toContain('overlay-contacts-damaged')
      expect(again.info().state).toEqual({ type: 'running' })
      await expect.poll(() => again.info().bootstrap).toEqual({ type: 'alone' })
      await again.stop()
      expect(existsSync(`${file}.damaged`)).toBe(true)
    }
  })

  test('the files hold neither keys nor addresses in the clear, and no temporary one is left', async () => {
    const { homes, hosts } = await network(2)
    const [first, second] = homes as [OverlayHome, OverlayHome]
    await hosts[1]?.putSigned(salt, textToBytes('a value that would show'))
    const { publicKey } = (hosts[0] as OverlayHost).info()
    for (const host of hosts) await host.stop()
    expect(readdirSync(second.folder).sort()).toEqual(['overlay-contacts', 'overlay-records'])
    for (const name of readdirSync(second.folder)) {
      const bytes = readFileSync(join(second.folder, name))
      for (const secret of [
        Buffer.from(publicKey),
        'a value that would show',
        '127.0.0.1',
        Buffer.from(second.deviceKey.publicKey),
      ]) {
        expect(bytes.includes(secret)).toBe(false)
      }
    }
    expect(readdirSync(first.folder)).toEqual(['overlay-contacts'])
  })
})

describe('bad surroundings', () => {
  test('a list of dead nodes does not hold up the start, and says what it waits for', async () => {
    const dead = [1, 2, 3].map((port) => {
      const node = parseBootstrapNode({ publicKey: 'A'.repeat(43), address: `127.0.0.1:${port}` })
      if (!node.ok) throw new Error(node.error)
      return node.value
    })
    const lists = { primaryNodes: dead, fallbackNodes: [], communityNodes: [] }
    const host = await start(await home(), { bootstrap: lists })
    expect(host.info().bootstrap).toEqual({ type: 'trying', asked: expect.any(Number) })
    await expect.poll(() => host.info().bootstrap.type, { timeout: 20_000 }).toBe('failed')
    expect(host.info().bootstrap).toMatchObject({ asked: 3, unresolved: 0 })
  })

  test('a port in use costs nothing but its number', async () => {
    const socket = createSocket('udp4')
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', () => resolve()))
    const { port } = socket.address()
    const host = await start(await home(), {}, port)
    expect(endpointOf(host).port).toBeGreaterThan(port)
    const fixed = await start(await home(), { port: endpointOf(host).port + 1 }, port)
    expect(endpointOf(fixed).port).toBeGreaterThan(endpointOf(host).port)
    socket.close()
  })

  test('without any UDP the state says why, every question is refused, and nothing is thrown', async () => {
    const host = await start(await home(), { sockets: { families: [] } })
    const { state, endpoints } = host.info()
    expect(state).toMatchObject({ type: 'unavailable', detail: expect.stringContaining('UDP') })
    expect(endpoints).toEqual([])
    const refused = { ok: false, error: { type: 'overlay-off', reason: 'no-udp' } }
    expect(await host.putValue(salt)).toMatchObject(refused)
    expect(await host.get(new Uint8Array(32))).toMatchObject(refused)
    expect(await host.bootstrap([])).toMatchObject(refused)
    host.networkChanged()
    host.setDiscoverable(true)
  })

  test('after a stop everything is refused, what waited is answered, and port and timers are free', async () => {
    const { hosts } = await network(2)
    const [first, second] = hosts as [OverlayHost, OverlayHost]
    const { port } = endpointOf(first)
    await second.stop()
    const waiting = [first.get(new Uint8Array(32)), first.findNode(new Uint8Array(32))]
    await Promise.all([first.stop(), first.stop()])
    const stopped = { ok: false, error: { type: 'stopped' } }
    for (const answer of await Promise.all(waiting)) expect(answer).toEqual(stopped)
    expect(await first.putSigned(salt, salt)).toEqual(stopped)
    expect(first.info()).toMatchObject({ state: { type: 'stopped' }, endpoints: [] })
    const other = createSocket('udp4')
    await new Promise<void>((resolve) => other.bind(port, '127.0.0.1', () => resolve()))
    other.close()
    await expect.poll(() => process.getActiveResourcesInfo().filter((name) => name === 'UDPWrap')).toEqual([])
  })

  test('a bug of ours is told once, and everything is closed', async () => {
    const crashes: unknown[] = []
    let isBroken = false
    const random = {
      bytes: (size: number) => {
        if (isBroken) throw new Error('a bug of ours')
        return systemRandom.bytes(size)
      },
    }
    const host = await start(await home(), { random, onCrash: (error) => crashes.push(error) })
    const other = await start(await home())
    isBroken = true
    const waiting = host.bootstrap([bootstrapNodeOf(other)])
    expect(await waiting).toEqual({ ok: false, error: { type: 'stopped' } })
    expect(crashes).toMatchObject([{ message: 'a bug of ours' }])
    await host.stop()
    expect(host.info().state).toEqual({ type: 'stopped' })
  })

  test('a disk that refuses costs what would be kept, and a line in the log', async () => {
    const { homes, hosts } = await network(2)
    const [, second] = homes as [OverlayHome, OverlayHome]
    second.remove()
    const put = await hosts[1]?.putSigned(salt, textToBytes('not kept'))
    expect(put).toMatchObject({ ok: true, value: { isKept: false } })
    await hosts[1]?.stop()
    expect(second.logged).toContain('overlay-records-not-saved')
    expect(second.logged).toContain('overlay-contacts-not-saved')
  })
})
