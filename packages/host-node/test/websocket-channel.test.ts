import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { freshPipe, RecordingHost, startRecorded } from '@miaou/testkit'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { forwardedAddress } from '../src/websocket/forwarded.ts'
import { tlsFromFiles, toSecureContext } from '../src/websocket/tls-files.ts'
import {
  defaultWebSocketChannelLimits,
  type WebSocketChannelOptions,
  WebSocketTransport,
  type WebSocketTransportOptions,
} from '../src/websocket/websocket-transport.ts'

const subprotocol = 'miaou-relay-v0.2.0'
const folder = mkdtempSync(join(tmpdir(), 'miaou-tls-'))
const cleanups: (() => Promise<unknown> | unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
afterAll(() => rmSync(folder, { recursive: true }))

/** A certificate for `localhost` that nobody signed. */
function certificate(name: string): { cert: string; key: string } {
  const [cert, key] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)]
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  execFileSync('openssl', ['req', ...kind, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' })
  return { cert, key }
}

async function listen(options: Partial<WebSocketTransportOptions> = {}) {
  const transport = new WebSocketTransport({ host: '127.0.0.1', port: 0, ...options })
  const { host, addresses } = await startRecorded(transport)
  cleanups.push(() => transport.stop())
  const address = addresses[0] ?? ''
  return { transport, host, address, port: Number(new URL(address).port) }
}

function channel(transport: WebSocketTransport, options: Partial<WebSocketChannelOptions> = {}) {
  const host = new RecordingHost()
  return { host, ...transport.channel({ subprotocol, accepts: false, host, ...options }) }
}

/** Resolves to the HTTP error or undefined when it opened. */
async function client(address: string, headers: Record<string, string> = {}, protocol = subprotocol, ca?: string) {
  const socket = new WebSocket(address, protocol, { headers, ...(ca === undefined ? {} : { ca }) })
  cleanups.push(() => socket.terminate())
  return new Promise<string | undefined>((resolve) => {
    socket.once('open', () => resolve(undefined))
    socket.once('error', (error) => resolve(error.message))
  })
}

describe('a second subprotocol on the listener', () => {
  test('[R1] pipes go to the owner of their subprotocol, both ways', async () => {
    const { transport, host: deviceHost, address } = await listen()
    const service = channel(transport, { accepts: true })
    const other = await listen()
    const dialling = channel(other.transport)
    const pipe = freshPipe()
    dialling.dial(pipe, address)
    const [, accepted] = await Promise.all([dialling.host.opened(pipe), service.host.opened()])
    dialling.send(pipe, 0, Uint8Array.of(1, 2))
    service.send(accepted.pipe, 0, Uint8Array.of(3))
    expect((await service.host.received(accepted.pipe, 1))[0]).toEqual(Uint8Array.of(1, 2))
    expect((await dialling.host.received(pipe, 1))[0]).toEqual(Uint8Array.of(3))
    dialling.close(pipe)
    await service.host.closed(accepted.pipe)
    expect(deviceHost.events).toEqual([])
    expect(other.host.events).toEqual([])
  })

  test('[R1] where no channel accepts, the socket is refused with an answer', async () => {
    const { transport, address } = await listen()
    channel(transport)
    expect(await client(address)).toMatch('400')
    const service = channel(transport, { accepts: true })
    expect(await client(address)).toBeUndefined()
    await service.stop()
    expect(await client(address)).toMatch('400')
    expect(await client(address, {}, 'miaou-v0.2.0')).toBeUndefined()
  })

  test('[R10] each channel has bounds of its own', async () => {
    const { transport, address } = await listen({ pipesMax: 1 })
    channel(transport, { accepts: true, limits: { pipesMax: 2 } })
    expect(await client(address)).toBeUndefined()
    expect(await client(address)).toBeUndefined()
    expect(await client(address)).toMatch('503')
    expect(await client(address, {}, 'miaou-v0.2.0')).toBeUndefined()
    expect(await client(address, {}, 'miaou-v0.2.0')).toMatch('503')
  })

  test('[R10] its numbers are those of the specification', () => {
    const spec = readFileSync(new URL('../../../spec/relay-service.md', import.meta.url), 'utf8')
    const rows = [...spec.matchAll(/^\| `channel\.(\w+)` \| (\d+) \|/gm)]
    const written = rows.map(([, name = '', value]) => [name, Number(value)] as const)
    expect(Object.fromEntries(written)).toEqual(defaultWebSocketChannelLimits)
  })

  test('[R12] the owner is told once what was sent no longer waits', async () => {
    const { transport, address } = await listen()
    const drained: number[] = []
    const service = channel(transport, { accepts: true, onDrained: (pipe) => drained.push(pipe), drainedMark: 1000 })
    const socket = new WebSocket(address, subprotocol)
    cleanups.push(() => socket.terminate())
    await once(socket, 'open')
    const { pipe } = await service.host.opened()
    service.send(pipe, 0, new Uint8Array(10))
    while (drained.length === 0) await new Promise((resolve) => setImmediate(resolve))
    expect(drained).toEqual([pipe])
    socket.pause()
    // The kernel takes some megabytes before anything waits here.
    let told = -1
    for (let sent = 0; sent < 400 && told !== drained.length; sent++) {
      told = drained.length
      service.send(pipe, 0, new Uint8Array(65_536))
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(told).toBe(drained.length)
    socket.resume()
    while (told === drained.length) await new Promise((resolve) => setImmediate(resolve))
  })
})

describe('behind a proxy', () => {
  const trustedProxies = ['127.0.0.1']

  test('[R11] X-Forwarded-For is believed from a trusted proxy only, and only its last entry', async () => {
    const trusting = await listen({ trustedProxies })
    const service = channel(trusting.transport, { accepts: true })
    await client(trusting.address, { 'X-Forwarded-For': '198.51.100.7, 203.0.113.5' })
    expect((await service.host.opened()).remoteAddress).toBe('ws://203.0.113.5:0')
    const plain = await listen()
    const other = channel(plain.transport, { accepts: true })
    await client(plain.address, { 'X-Forwarded-For': '203.0.113.5' })
    expect((await other.host.opened()).remoteAddress).toMatch(/^ws:\/\/127\.0\.0\.1:[1-9]\d*$/)
  })

  test('[R11] limits count the forwarded address', async () => {
    const { transport, address } = await listen({ trustedProxies })
    channel(transport, { accepts: true, limits: { socketsPerAddressMax: 1 } })
    const from = (forwarded: string) => client(address, { 'X-Forwarded-For': forwarded })
    expect(await from('203.0.113.5')).toBeUndefined()
    expect(await from('203.0.113.5')).toMatch('429')
    expect(await from('203.0.113.6')).toBeUndefined()
    expect(await from('2001:db8::1')).toBeUndefined()
    expect(await from('2001:db8::2')).toMatch('429')
  })

  test('[R11] a header is read strictly', () => {
    const read = (header: string | undefined) => forwardedAddress(header, ['127.0.0.1', '10.0.0.2'])
    expect(read('203.0.113.5')).toBe('203.0.113.5')
    expect(read('203.0.113.5, 10.0.0.2')).toBe('203.0.113.5')
    expect(read('203.0.113.5:4711')).toBe('203.0.113.5')
    expect(read('[2001:db8::1]:4711')).toBe('2001:db8::1')
    for (const bad of [undefined, '', 'unknown', '203.0.113.5, x', '10.0.0.2', '1.2.3.4.5:6', '[]', ',']) {
      expect(read(bad), bad).toBeUndefined()
    }
  })
})

describe('TLS on the same port', () => {
  const first = certificate('first')

  test('[R2] wss and ws both open, on both subprotocols', async () => {
    const { transport, address, host } = await listen({ tls: tlsFromFiles(first.cert, first.key) })
    const service = channel(transport, { accepts: true })
    const secure = address.replace('ws://', 'wss://')
    const ca = readFileSync(first.cert, 'utf8')
    expect(await client(secure, {}, subprotocol, ca)).toBeUndefined()
    expect(await client(address)).toBeUndefined()
    expect(await client(secure, {}, 'miaou-v0.2.0', ca)).toBeUndefined()
    await host.opened()
    await service.host.until(() => service.host.ofType('opened').length === 2)
    expect(
      service.host.ofType('opened').every(({ remoteAddress }) => remoteAddress.startsWith('ws://127.0.0.1:')),
    ).toBe(true)
  })

  test('[R2] a certificate that nobody trusts is refused by who dials', async () => {
    const { address } = await listen({ tls: tlsFromFiles(first.cert, first.key) })
    expect(await client(address.replace('ws://', 'wss://'), {}, 'miaou-v0.2.0')).toMatch('certificate')
  })

  test('[R3] a renewed certificate is taken; a bad one is told once and the former stays', async () => {
    const second = certificate('second')
    const [cert, key] = [join(folder, 'live.crt'), join(folder, 'live.key')]
    const install = (pair: { cert: string; key: string }) => {
      writeFileSync(cert, readFileSync(pair.cert))
      writeFileSync(key, readFileSync(pair.key))
    }
    install(first)
    const errors: string[] = []
    const onTlsError = (detail: string) => errors.push(detail)
    const { port } = await listen({ tls: tlsFromFiles(cert, key), tlsPollMs: 5, onTlsError })
    const shown = async (): Promise<string> => {
      const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false })
      socket.on('error', () => undefined)
      await once(socket, 'secureConnect')
      const name = String(socket.getPeerCertificate().subject.CN)
      socket.destroy()
      return name
    }
    expect(await shown()).toBe('first')
    writeFileSync(key, readFileSync(second.key))
    while (errors.length === 0) await new Promise((resolve) => setImmediate(resolve))
    expect(await shown()).toBe('first')
    expect(errors).toEqual(['the TLS key is not that of the certificate'])
    install(second)
    while ((await shown()) !== 'second') await new Promise((resolve) => setImmediate(resolve))
  })

  test('[R3] files that cannot be used stop the start with a sentence', async () => {
    const other = certificate('other')
    const encrypted = join(folder, 'encrypted.key')
    execFileSync('openssl', ['pkcs8', '-topk8', '-in', first.key, '-out', encrypted, '-passout', 'pass:secret'])
    const start = async (cert: string, key: string) => {
      const transport = new WebSocketTransport({ host: '127.0.0.1', port: 0, tls: tlsFromFiles(cert, key) })
      const started = await transport.start(new RecordingHost())
      await transport.stop()
      return started.ok ? 'started' : 'detail' in started.error ? started.error.detail : started.error.type
    }
    expect(await start(join(folder, 'absent.crt'), first.key)).toMatch(
      /the TLS certificate .*absent.crt does not exist/,
    )
    expect(await start(first.cert, join(folder, 'absent.key'))).toMatch(/the TLS key .*absent.key does not exist/)
    expect(await start(first.cert, folder)).toMatch(/cannot be read: EISDIR/)
    expect(await start(first.key, first.key)).toMatch('the TLS certificate is not in PEM form')
    expect(await start(first.cert, first.cert)).toMatch('the TLS key is not in PEM form')
    expect(await start(first.cert, other.key)).toMatch('the TLS key is not that of the certificate')
    expect(await start(first.cert, encrypted)).toMatch('the TLS key has a passphrase')
    const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
    expect(toSecureContext({ cert: broken, key: readFileSync(first.key, 'utf8') }).ok).toBe(false)
  })

  test('[R2] bytes that are neither TLS nor HTTP, and a broken handshake, end their socket only', async () => {
    const { port, address } = await listen({ tls: tlsFromFiles(first.cert, first.key) })
    for (const bytes of [Buffer.alloc(64, 0xff), Buffer.alloc(64, 0x16)]) {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => undefined)
      await once(socket, 'connect')
      socket.write(bytes)
      await once(socket, 'close')
    }
    expect(await client(address, {}, 'miaou-v0.2.0')).toBeUndefined()
  })
})
