import { once } from 'node:events'
import { get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { describeTransportContract, freshPipe, startRecorded } from '@miaou/testkit'
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { addressGroup, parseWebSocketAddress, webSocketAddress } from '../src/websocket/addresses.ts'
import { SocketRates } from '../src/websocket/socket-rates.ts'
import { WebSocketTransport, type WebSocketTransportOptions } from '../src/websocket/websocket-transport.ts'

const loopback = { host: '127.0.0.1', port: 0 } as const
const cleanups: (() => Promise<unknown> | unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function unusedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function listen(options: Partial<WebSocketTransportOptions> = {}) {
  const transport = new WebSocketTransport({ ...loopback, ...options })
  const { host, addresses } = await startRecorded(transport)
  cleanups.push(() => transport.stop())
  const address = addresses[0] ?? ''
  return { transport, host, address, port: Number(new URL(address).port) }
}

async function dialler() {
  const transport = new WebSocketTransport({ listens: false })
  const { host } = await startRecorded(transport)
  cleanups.push(() => transport.stop())
  return { transport, host }
}

/** A plain ws client that speaks the subprotocol. */
async function client(address: string, protocol = 'miaou-v0.2.0', headers: Record<string, string> = {}) {
  const socket = new WebSocket(address, protocol, { headers })
  cleanups.push(() => socket.terminate())
  return new Promise<{ socket: WebSocket; error?: string }>((resolve) => {
    socket.once('open', () => resolve({ socket }))
    socket.once('error', (error) => resolve({ socket, error: error.message }))
  })
}

async function silentSocket(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  cleanups.push(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

describeTransportContract('websocket', { kind: 'websocket', channels: 1, padded: true, bound: false }, async () => ({
  dialler: new WebSocketTransport({ listens: false }),
  listener: new WebSocketTransport(loopback),
  nobody: webSocketAddress('127.0.0.1', await unusedPort()),
}))

describe('websocket listener', () => {
  test('a port that is taken: the next free one, or address-in-use where it is exact', async () => {
    const first = await listen()
    const second = await listen({ port: first.port })
    expect(second.port).toBeGreaterThan(first.port)
    const exact = new WebSocketTransport({ ...loopback, port: first.port, portIsExact: true })
    const { emit, nextPipe } = first.host
    expect(await exact.start({ emit, nextPipe })).toEqual({
      ok: false,
      error: { type: 'address-in-use', address: first.address },
    })
    await exact.stop()
  })

  test('an address that is not of this machine is unavailable', async () => {
    const transport = new WebSocketTransport({ host: '203.0.113.7', port: 0 })
    const started = await transport.start({ emit: () => undefined, nextPipe: freshPipe })
    expect(started.ok ? '' : started.error.type).toBe('unavailable')
    await transport.stop()
  })

  test('listens on IPv6 and is dialled there', async () => {
    const { address, host } = await listen({ host: '::1' })
    expect(address).toMatch(/^ws:\/\/\[::1\]:\d+$/)
    const { transport, host: dialling } = await dialler()
    const pipe = freshPipe()
    transport.dial(pipe, address)
    await Promise.all([dialling.opened(pipe), host.opened()])
  })

  test('a plain HTTP request gets a short 426', async () => {
    const { port } = await listen()
    const [response] = await once(get({ port, host: '127.0.0.1', agent: false }), 'response')
    let body = ''
    for await (const chunk of response) body += String(chunk)
    expect(response.statusCode).toBe(426)
    expect(body.length).toBeLessThan(100)
  })

  test('web pages are refused unless their origin is allowed', async () => {
    const { address, host } = await listen({ origins: ['https://miaou.example'] })
    const origin = (value: string) => client(address, 'miaou-v0.2.0', { Origin: value })
    expect((await origin('https://evil.example')).error).toMatch('403')
    expect((await origin('null')).error).toMatch('403')
    expect(host.events).toEqual([])
    expect((await origin('https://miaou.example')).error).toBeUndefined()
  })

  test('another subprotocol is refused', async () => {
    const { address } = await listen()
    expect((await client(address, 'chat')).error).toMatch('400')
  })

  test('at the bound of pipes a further one is refused, and room is found again', async () => {
    const { address, host } = await listen({ pipesMax: 2 })
    const first = await client(address)
    await client(address)
    expect((await client(address)).error).toMatch('503')
    await host.until(() => host.ofType('opened').length === 2)
    first.socket.close()
    await host.closed((await host.opened()).pipe)
    expect((await client(address)).error).toBeUndefined()
  })

  test('a message above 64 KiB from the other end breaks its pipe only', async () => {
    const { address, host } = await listen()
    const [large, small] = [await client(address), await client(address)]
    await host.until(() => host.ofType('opened').length === 2)
    const [first, second] = host.ofType('opened').map((event) => event.pipe)
    large.socket.send(new Uint8Array(65_537))
    expect((await host.closed(first as never)).error?.type).toBe('broken')
    small.socket.send(new Uint8Array(65_536))
    expect((await host.received(second as never, 1))[0]?.length).toBe(65_536)
  })

  test('a text message breaks the pipe', async () => {
    const { address, host } = await listen()
    const { socket } = await client(address)
    socket.send('hello')
    expect((await host.closed((await host.opened()).pipe)).error?.type).toBe('broken')
    expect(host.ofType('message')).toEqual([])
  })

  test('bytes that are no WebSocket frame break the pipe', async () => {
    const { port, host } = await listen()
    const raw = await silentSocket(port)
    raw.write(
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: miaou-v0.2.0\r\n\r\n',
    )
    await host.opened()
    raw.write(Buffer.alloc(64, 0xff))
    expect((await host.closed((await host.opened()).pipe)).error?.type).toBe('broken')
  })

  test('a reader that does not read is given up at the bound', async () => {
    const { address, host, transport } = await listen({ bufferedMax: 1024 * 1024 })
    const { socket } = await client(address)
    socket.pause()
    const { pipe } = await host.opened()
    const message = new Uint8Array(65_536)
    // The kernel takes some megabytes before anything waits here.
    for (let i = 0; i < 1000 && host.closedEvent(pipe) === undefined; i++) {
      transport.send(pipe, 0, message)
      if (i % 50 === 49) await new Promise((resolve) => setImmediate(resolve))
    }
    expect((await host.closed(pipe)).error?.type).toBe('broken')
  })

  test('readers that do not read are given up when too much waits for all of them together', async () => {
    const limits = { bufferedMax: 64 * 1024 * 1024, bufferedTotalMax: 1024 * 1024 }
    const { address, host, transport } = await listen(limits)
    const clients = await Promise.all([client(address), client(address)])
    for (const { socket } of clients) socket.pause()
    await host.until(() => host.ofType('opened').length === 2)
    const pipes = host.ofType('opened').map(({ pipe }) => pipe)
    const isClosed = () => pipes.some((pipe) => host.closedEvent(pipe) !== undefined)
    for (let i = 0; i < 1000 && !isClosed(); i++) {
      for (const pipe of pipes) transport.send(pipe, 0, new Uint8Array(65_536))
      if (i % 50 === 49) await new Promise((resolve) => setImmediate(resolve))
    }
    await host.until(isClosed)
  })

  test('sockets of one address: some at once, then a few a second; others are not held up by it', () => {
    const rates = new SocketRates(3, 2)
    const take = (group: string, mono: number) => rates.take(group, mono)
    expect([1, 2, 3, 4].map(() => take('10.0.0.1', 0))).toEqual([true, true, true, false])
    expect(take('10.0.0.2', 0)).toBe(true)
    expect([take('10.0.0.1', 499), take('10.0.0.1', 500), take('10.0.0.1', 500)]).toEqual([false, true, false])
    expect([1, 2, 3, 4].map(() => take('10.0.0.1', 60_000))).toEqual([true, true, true, false])
    for (let i = 0; i < 10_000; i++) take(`group ${i}`, 60_000)
    expect(rates.size).toBe(4096)
  })

  test('silent sockets are bounded, the oldest makes room, and a real peer still gets in', async () => {
    const { address, port, host } = await listen({ unfinishedMax: 20 })
    const sockets: Socket[] = []
    let closedCount = 0
    for (let i = 0; i < 200; i++) {
      const socket = await silentSocket(port)
      socket.once('close', () => closedCount++)
      sockets.push(socket)
    }
    while (closedCount < 180) await new Promise((resolve) => setImmediate(resolve))
    expect((await client(address)).error).toBeUndefined()
    await host.opened()
    expect(sockets.at(-1)?.destroyed).toBe(false)
  })

  test('a socket that stays silent, or trickles, is ended', async () => {
    const { port } = await listen({ upgradeTimeoutMs: 50 })
    const silent = await silentSocket(port)
    const trickling = await silentSocket(port)
    const timer = setInterval(() => trickling.write('G'), 10)
    await Promise.all([once(silent, 'close'), once(trickling, 'close')])
    clearInterval(timer)
  })
})

describe('websocket dialling', () => {
  test('a server that never answers ends in a timeout', async () => {
    const server: Server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const accepted = once(server, 'connection')
    cleanups.push(async () => {
      ;(await accepted)[0].destroy()
      server.close()
    })
    const transport = new WebSocketTransport({ listens: false, dialTimeoutMs: 50 })
    const { host } = await startRecorded(transport)
    const pipe = freshPipe()
    transport.dial(pipe, webSocketAddress('127.0.0.1', (server.address() as AddressInfo).port))
    expect((await host.closed(pipe)).error).toEqual({ type: 'timeout', afterMs: 50 })
    await transport.stop()
  })

  test('a pipe whose other end vanishes is broken', async () => {
    const { host, address } = await listen()
    const { socket } = await client(address)
    const { pipe } = await host.opened()
    socket.terminate()
    expect((await host.closed(pipe)).error?.type).toBe('broken')
  })

  test('addresses are read strictly', () => {
    for (const good of ['ws://192.168.1.7:9999', 'wss://relay.example/miaou', 'ws://[fd00::2]:9999', 'ws://a']) {
      expect(parseWebSocketAddress(good)).toBeDefined()
    }
    const bad = [
      'http://a',
      'ws://',
      'ws://u:p@a',
      'ws://a?b',
      'ws://a#b',
      'ws://a:70000',
      'ws://a:0',
      `ws://${'a'.repeat(2050)}`,
    ]
    for (const one of bad) expect(parseWebSocketAddress(one)).toBeUndefined()
    expect(webSocketAddress('fd00::2', 1)).toBe('ws://[fd00::2]:1')
  })

  test('limits count an IPv6 host by its /64', () => {
    expect(addressGroup('2001:db8::1')).toBe(addressGroup('2001:db8:0:0:ffff::2'))
    expect(addressGroup('2001:db8:0:1::1')).not.toBe(addressGroup('2001:db8::1'))
    expect(addressGroup('::ffff:10.0.0.1')).toBe('10.0.0.1')
    expect(addressGroup('fe80::1%eth0')).toBe('fe80:0:0:0')
  })
})
