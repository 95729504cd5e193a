import type { Endpoint } from '@miaou/protocol'
import { afterEach, expect, test } from 'vitest'
import { defaultUdpSocketsOptions, UdpSockets } from '../src/overlay/udp-sockets.ts'
import { closeEnds, occupyPort, openSockets } from './udp-ends.ts'

afterEach(closeEnds)

const v4 = { families: [4] } as const

test('a datagram arrives whole, in memory of its own that is no Buffer, from the endpoint that it names', async () => {
  const [own, other] = [await openSockets(0, v4), await openSockets(0, v4)]
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

test('[DN36] a port in use is no error: the next one that both families have is taken', async () => {
  const taken = (await occupyPort('udp4', '127.0.0.1')).address().port
  const { sockets } = await openSockets(taken)
  expect(sockets.port).toBeGreaterThan(taken)
  expect(sockets.port).toBeLessThan(taken + defaultUdpSocketsOptions.portsTried)
})

test('with every port that may be tried in use, the reason is told and nothing stays open', async () => {
  const taken = (await occupyPort('udp4', '127.0.0.1')).address().port
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
  const { sockets } = await openSockets(0, v4)
  sockets.send({ host: '::1', port: 9 }, new Uint8Array(1))
  expect(Object.fromEntries(sockets.counters())).toEqual({ 'udp-no-socket-of-family': 1 })
})

test('what the system refuses to send is counted by its code, and nothing is thrown', async () => {
  const { sockets } = await openSockets(0, v4)
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
  const own = await openSockets(0, v4)
  const other = await openSockets(0, v4)
  const [to] = other.sockets.endpoints()
  await other.sockets.stop()
  for (let i = 0; i < 10; i++) own.sockets.send(to as Endpoint, new Uint8Array(8))
  const third = await openSockets(0, v4)
  third.sockets.send({ host: '127.0.0.1', port: own.sockets.port }, new Uint8Array(8))
  await expect.poll(() => own.heard.length).toBe(1)
})

test('after a stop the port is free again, and sending only counts', async () => {
  const { sockets } = await openSockets(0, v4)
  const { port } = sockets
  await Promise.all([sockets.stop(), sockets.stop()])
  expect(sockets.port).toBe(0)
  sockets.send({ host: '127.0.0.1', port: 9 }, new Uint8Array(1))
  expect(Object.fromEntries(sockets.counters())).toEqual({ 'udp-no-socket-of-family': 1 })
  await occupyPort('udp4', '127.0.0.1', port)
})

test('a flood leaves room for others: one turn hands on at most what Node reads from a socket at once', async () => {
  const own = await openSockets(0, v4)
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
  await sockets.start(0)
  const [to] = sockets.endpoints()
  for (let i = 0; i < 500; i++) own.sockets.send(to as Endpoint, new Uint8Array(100))
  // Loopback may drop what its buffer does not hold; most of it arrives.
  await expect.poll(() => turns.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(64)
  expect(Math.max(...turns)).toBeLessThanOrEqual(32)
  await sockets.stop()
})
