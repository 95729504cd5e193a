import { createSocket, type Socket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import { type Endpoint, formatEndpoint, parseEndpoint } from '@miaou/protocol'
import { afterEach, expect, test } from 'vitest'
import { defaultUdpSocketsOptions, UdpSockets, type UdpSocketsOptions } from '../src/overlay/udp-sockets.ts'

const cleanups: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

interface Opened {
  readonly sockets: UdpSockets
  readonly heard: { readonly from: Endpoint; readonly bytes: Uint8Array }[]
}

async function open(port = 0, options: Partial<UdpSocketsOptions> = {}): Promise<Opened> {
  const heard: Opened['heard'] = []
  const sockets = new UdpSockets({ loopbackOnly: true, ...options }, (from, bytes) => heard.push({ from, bytes }))
  cleanups.push(() => sockets.stop())
  expect(await sockets.start(port)).toEqual({ ok: true, value: undefined })
  return { sockets, heard }
}

/** Somebody else's socket. */
async function occupy(type: 'udp4' | 'udp6', address: string, port = 0): Promise<Socket> {
  const socket = createSocket({ type, ipv6Only: type === 'udp6' })
  cleanups.push(() => new Promise<void>((resolve) => socket.close(() => resolve())))
  await new Promise<void>((resolve) => socket.bind(port, address, () => resolve()))
  return socket
}

/** Why a test of IPv6 cannot run here; undefined in CI, where a machine without it must fail instead. */
function whyNoIpv6(): string | undefined {
  const has = Object.values(networkInterfaces()).some((list) => list?.some(({ address }) => address === '::1'))
  return has || process.env['CI'] === 'true' ? undefined : 'this machine has no ::1'
}

const v4 = { families: [4] } as const

test('a datagram arrives whole, in memory of its own that is no Buffer, from the endpoint that it names', async () => {
  const [own, other] = [await open(0, v4), await open(0, v4)]
  const [to] = other.sockets.endpoints()
  for (const size of [0, 1, 1200]) own.sockets.send(to as Endpoint, new Uint8Array(size).fill(size))
  await expect.poll(() => other.heard.length).toBe(3)
  const bySize = other.heard.map(({ bytes }) => bytes).sort((a, b) => a.length - b.length)
  expect(bySize).toEqual([new Uint8Array(0), new Uint8Array([1]), new Uint8Array(1200).fill(1200)])
  for (const bytes of bySize) {
    // A Buffer's `slice` would share memory; a pool would hand the same memory to the next datagram.
    expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype)
    expect(bytes.buffer.byteLength).toBe(bytes.length)
  }
  expect(other.heard[0]?.from).toEqual({ host: '127.0.0.1', port: own.sockets.port })
})

test('both families share one port, and each answers in its own', async (context) => {
  const reason = whyNoIpv6()
  if (reason !== undefined) context.skip(reason)
  const [own, other] = [await open(), await open()]
  expect(own.sockets.endpoints()).toEqual([
    { host: '127.0.0.1', port: own.sockets.port },
    { host: '::1', port: own.sockets.port },
  ])
  for (const to of other.sockets.endpoints()) own.sockets.send(to, new Uint8Array(8))
  await expect.poll(() => other.heard.length).toBe(2)
  for (const { from } of other.heard) {
    expect(from.port).toBe(own.sockets.port)
    expect(parseEndpoint(formatEndpoint(from))).toEqual(from)
  }
  expect(other.heard.map(({ from }) => from.host).sort()).toEqual(['127.0.0.1', '::1'])
})

test('a port in use is no error: the next one that both families have is taken', async () => {
  const taken = (await occupy('udp4', '127.0.0.1')).address().port
  const { sockets } = await open(taken)
  expect(sockets.port).toBeGreaterThan(taken)
  expect(sockets.port).toBeLessThan(taken + defaultUdpSocketsOptions.portsTried)
})

test('a port that only IPv6 lacks is left alone: one number is shown to people', async (context) => {
  const reason = whyNoIpv6()
  if (reason !== undefined) context.skip(reason)
  const taken = (await occupy('udp6', '::1')).address().port
  const { sockets } = await open(taken)
  expect(sockets.port).toBeGreaterThan(taken)
  expect(sockets.endpoints()).toHaveLength(2)
})

test('with every port that may be tried in use, the reason is told and nothing stays open', async () => {
  const taken = (await occupy('udp4', '127.0.0.1')).address().port
  const sockets = new UdpSockets({ loopbackOnly: true, portsTried: 1 }, () => undefined)
  expect(await sockets.start(taken)).toEqual({
    ok: false,
    error: { type: 'ports-in-use', port: taken, portsTried: 1 },
  })
  expect(sockets.port).toBe(0)
  await sockets.stop()
})

test('a machine without UDP, or of one family, is told from a port in use', async () => {
  const none = new UdpSockets({ families: [] }, () => undefined)
  expect(await none.start(0)).toMatchObject({ ok: false, error: { type: 'unavailable' } })
  const { sockets } = await open(0, v4)
  sockets.send({ host: '::1', port: 9 }, new Uint8Array(1))
  expect(Object.fromEntries(sockets.counters())).toEqual({ 'udp-no-socket-of-family': 1 })
})

test('what the system refuses to send is counted by its code, and nothing is thrown', async () => {
  const { sockets } = await open(0, v4)
  const to = { host: '127.0.0.1', port: 9 }
  sockets.send(to, new Uint8Array(70_000))
  // Bound to loopback, a socket reaches nothing else.
  sockets.send({ host: '192.0.2.1', port: 9 }, new Uint8Array(1))
  sockets.send({ host: 'a name', port: 9 }, new Uint8Array(1))
  sockets.send({ host: '127.0.0.1', port: 70_000 }, new Uint8Array(1))
  await expect.poll(() => [...sockets.counters().values()].reduce((sum, count) => sum + count, 0)).toBe(4)
  const reasons = [...sockets.counters().keys()]
  expect(reasons).toContain('udp-send-EMSGSIZE')
  for (const reason of reasons) expect(reason).toMatch(/^udp-send-E[A-Z_]+$/)
})

test('an answer to a port where nobody listens any more ends nothing', async () => {
  const own = await open(0, v4)
  const other = await open(0, v4)
  const [to] = other.sockets.endpoints()
  await other.sockets.stop()
  for (let i = 0; i < 10; i++) own.sockets.send(to as Endpoint, new Uint8Array(8))
  const third = await open(0, v4)
  third.sockets.send({ host: '127.0.0.1', port: own.sockets.port }, new Uint8Array(8))
  await expect.poll(() => own.heard.length).toBe(1)
})

test('after a stop the port is free again, and sending only counts', async () => {
  const { sockets } = await open(0, v4)
  const { port } = sockets
  await Promise.all([sockets.stop(), sockets.stop()])
  expect(sockets.port).toBe(0)
  sockets.send({ host: '127.0.0.1', port: 9 }, new Uint8Array(1))
  expect(Object.fromEntries(sockets.counters())).toEqual({ 'udp-no-socket-of-family': 1 })
  await occupy('udp4', '127.0.0.1', port)
})

test('a flood leaves room for others: one turn hands on at most what Node reads from a socket at once', async () => {
  const own = await open(0, v4)
  const turns: number[] = []
  let inTurn = 0
  const sockets = new UdpSockets({ loopbackOnly: true, ...v4 }, () => {
    if (inTurn === 0) {
      setImmediate(() => {
        turns.push(inTurn)
        inTurn = 0
      })
    }
    inTurn += 1
  })
  cleanups.push(() => sockets.stop())
  await sockets.start(0)
  const [to] = sockets.endpoints()
  for (let i = 0; i < 500; i++) own.sockets.send(to as Endpoint, new Uint8Array(100))
  // Loopback may drop what its buffer does not hold; most of it arrives.
  await expect.poll(() => turns.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(64)
  expect(Math.max(...turns)).toBeLessThanOrEqual(32)
})
