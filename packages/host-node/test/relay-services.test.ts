import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { equalBytes } from '@miaou/core'
import type { PipeId, TransportEvent } from '@miaou/network'
import { freshPipe } from '@miaou/testkit'
import { afterEach, describe, expect, test } from 'vitest'
import { boundedLookup, defaultLookupLimits } from '../src/relay/bounded-lookup.ts'
import type { NameLookup } from '../src/websocket/dial-scope.ts'
import { type WebSocketChannel, WebSocketTransport } from '../src/websocket/websocket-transport.ts'
import { cleanUp, onCleanUp, RelayClient, serveRelay } from './relay-clients.ts'

afterEach(cleanUp)

/** A listener that takes sockets of one subprotocol and sends back what comes. */
async function echoAt(subprotocol: string): Promise<{ readonly url: string; readonly opened: PipeId[] }> {
  const websocket = new WebSocketTransport({ host: '127.0.0.1', port: 0 })
  const opened: PipeId[] = []
  const channel: WebSocketChannel = websocket.channel({
    subprotocol,
    accepts: true,
    host: {
      emit: (event: TransportEvent) => {
        if (event.type === 'opened') opened.push(event.pipe)
        if (event.type === 'message') channel.send(event.pipe, 0, event.bytes)
      },
      nextPipe: freshPipe,
    },
  })
  const started = await websocket.start({ emit: () => undefined, nextPipe: freshPipe })
  if (!started.ok) throw new Error(started.error.type)
  onCleanUp(() => websocket.stop())
  return { url: started.value[0] ?? '', opened }
}

/** A web server that notes what is asked of it, and sends everybody elsewhere. */
async function webServer(location: string): Promise<{ readonly url: string; readonly asked: string[] }> {
  const asked: string[] = []
  const server = createServer()
  const note = (path: string | undefined) => asked.push(path ?? '')
  server.on('request', ({ url }, response) => {
    note(url)
    response.writeHead(302, { location }).end()
  })
  server.on('upgrade', ({ url }, socket) => {
    note(url)
    socket.end(`HTTP/1.1 302 Found\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onCleanUp(() => new Promise((resolve) => server.close(resolve)))
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

async function dialService(client: RelayClient, url: string) {
  const pipe = freshPipe()
  client.push({ type: 'dial-service', pipe, url })
  return client.until(() => {
    const closed = client.events('closed').find((event) => event.pipe === pipe)
    const isOpen = client.events('opened').some((event) => event.pipe === pipe)
    return isOpen || closed !== undefined ? { pipe, isOpen, error: closed?.error } : undefined
  })
}

describe('services through a relay on real sockets', () => {
  test('[R62] [R65] messages of every size and 20 MB pass both ways; its end is told', async () => {
    const { relay, address } = await serveRelay()
    const mailbox = await echoAt('miaou-mailbox-v0.2.0')
    const client = new RelayClient(12)
    await client.reserve(address)
    const { pipe, isOpen } = await dialService(client, mailbox.url)
    expect(isOpen).toBe(true)
    const sizes = [1, 255, 16_350, 16_351, 65_502, 65_536, ...new Array<number>(305).fill(65_536)]
    const messages = sizes.map((size, at) => new Uint8Array(size).fill(at + 1))
    let sent = 0
    for (const bytes of messages) {
      client.push({ type: 'write', pipe, channel: 0, bytes })
      sent += bytes.length
      // As much under way as several windows, and less than a service may leave waiting.
      await client.until(() => (client.received() > sent - 700_000 ? true : undefined))
    }
    await client.until(() => (client.received() === sent ? true : undefined))
    client.events('message').forEach(({ bytes }, at) => {
      expect(equalBytes(bytes, messages[at] as Uint8Array)).toBe(true)
    })
    expect(relay.view()).toMatchObject({ services: 1, queuedBytes: 0 })
    client.push({ type: 'close', pipe })
    await client.until(() => (relay.view().services === 0 ? true : undefined))
    expect(relay.view().counters).toMatchObject({ 'services-opened': 1, 'services-closed': 1 })
  })

  test('[R62] what does not speak that subprotocol is unreachable, and no redirection is followed', async () => {
    const { relay, address } = await serveRelay()
    const [other, inside] = [await echoAt('miaou-v0.2.1'), await webServer('ws://127.0.0.1:1/')]
    const outside = await webServer(inside.url)
    const client = new RelayClient(13)
    await client.reserve(address)
    for (const url of [other.url, outside.url, address.url, 'ws://127.0.0.1:1024']) {
      expect((await dialService(client, url)).error, url).toMatchObject({ type: 'unreachable' })
    }
    expect(other.opened).toEqual([])
    expect(outside.asked).toHaveLength(1)
    expect(inside.asked).toEqual([])
    // Its own listener is no service either: nothing goes round in circles.
    expect(relay.view()).toMatchObject({ links: 1, services: 0 })
  })

  test('[R63] a public relay reaches nothing on its own machine, neither by address nor by a name that leads there', async () => {
    const inside = await webServer('ws://127.0.0.1:1/')
    const { port } = new URL(inside.url)
    const names: string[] = []
    // A name that says one thing and then another.
    const lookup: NameLookup = (host, _options, callback) => {
      names.push(host)
      const addresses = [
        { address: '127.0.0.1', family: 4 },
        { address: '::1', family: 6 },
        { address: '::ffff:127.0.0.1', family: 6 },
        { address: '10.0.0.1', family: 4 },
      ]
      callback(null, addresses)
    }
    const { relay, address } = await serveRelay({ publicUrl: 'wss://relay.example.org', lookup })
    const client = new RelayClient(14)
    await client.reserve(address)
    for (const url of [inside.url, `ws://localhost:${port}`, `ws://[::1]:${port}`, `ws://0x7f.1:${port}`]) {
      expect((await dialService(client, url)).error, url).toMatchObject({ type: 'unavailable' })
    }
    expect(names).toEqual([])
    const { error } = await dialService(client, `ws://rebinding.example.org:${port}`)
    expect(error).toMatchObject({ type: 'unreachable' })
    expect(names).toEqual(['rebinding.example.org'])
    expect(inside.asked).toEqual([])
    expect(relay.view().counters).toMatchObject({ 'services-refused': 4, 'services-unreachable': 1 })
    // The watch can fail: a relay that stays on this machine lets its own clients in there.
    const near = await serveRelay({ keyring: { storeKey: () => new Uint8Array(32).fill(9) }, lookup })
    const own = new RelayClient(15)
    await own.reserve(near.address)
    await dialService(own, inside.url)
    expect(inside.asked).toEqual(['/'])
  })

  test('[R68] stopping the relay closes what it dialled, and tells the client', async () => {
    const { relay, address } = await serveRelay()
    const mailbox = await echoAt('miaou-mailbox-v0.2.0')
    const client = new RelayClient(16)
    await client.reserve(address)
    const { pipe } = await dialService(client, mailbox.url)
    await relay.stop()
    await client.until(() => client.events('closed').find((event) => event.pipe === pipe))
    expect(relay.view()).toMatchObject({ links: 0, services: 0 })
  })
})

describe('names of services', () => {
  /** A resolver whose answers come when a test says so. */
  function slowResolver() {
    const running: { readonly host: string; readonly answer: () => void }[] = []
    const lookup: NameLookup = (host, _options, callback) => {
      running.push({ host, answer: () => callback(null, [{ address: '203.0.113.1', family: 4 }]) })
    }
    return { running, lookup }
  }

  test('[R64] few names are resolved at a time, in turn; beyond the bound, or too late, they fail', async () => {
    const { running, lookup } = slowResolver()
    let now = 0
    const bounded = boundedLookup(lookup, { lookupsMax: 2, lookupMs: 100, waitingMax: 3 }, () => now)
    const ended: string[] = []
    const ask = (host: string) =>
      bounded(host, { all: true }, (error) => ended.push(`${host} ${error === null ? 'found' : 'refused'}`))
    for (const host of ['a', 'b', 'c', 'd', 'e', 'f']) ask(host)
    await Promise.resolve()
    expect(ended).toEqual(['f refused'])
    expect(running.map(({ host }) => host)).toEqual(['a', 'b'])
    running[0]?.answer()
    expect(running.map(({ host }) => host)).toEqual(['a', 'b', 'c'])
    now = 100
    ask('g')
    running[1]?.answer()
    await Promise.resolve()
    expect(running.map(({ host }) => host)).toEqual(['a', 'b', 'c', 'g'])
    expect(ended).toEqual(['f refused', 'a found', 'b found', 'd refused', 'e refused'])
  })

  test('the specification names these bounds', () => {
    const spec = readFileSync(new URL('../../../spec/relay-service.md', import.meta.url), 'utf8')
    const rows = [...spec.matchAll(/^\| `lookup\.(\w+)` \| (\d+) \|/gm)]
    expect(rows.map(([, name, value]) => [name, Number(value)])).toEqual(Object.entries(defaultLookupLimits))
  })
})
