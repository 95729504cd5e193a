import { createHash, createHmac } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import {
  decodeStunMessage,
  encodeStunMessage,
  type StunAttribute,
  type StunMessage,
  stunAttribute,
  stunAttributes,
  stunChangeRequest,
  stunEndpointAttribute,
  stunErrorAttribute,
  stunMappedAddress,
  stunMethods,
} from '@miaou/protocol'
import { afterEach, describe, expect, test } from 'vitest'
import { detectNatType, discoverConnectivity } from '../src/nat/discover-connectivity.ts'
import { parseIceUrl } from '../src/nat/ice-url.ts'
import { StunAnswerer, type StunAnswererOptions } from '../src/nat/stun-answerer.ts'
import { checkTurn } from '../src/nat/turn-check.ts'

const cleanups: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const text = (value: string) => new TextEncoder().encode(value)
const transaction = Uint8Array.from({ length: 12 }, (_, index) => index)
const binding: StunMessage = { class: 'request', method: 1, transaction, attributes: [], hasFingerprint: false }
/** Short times: nothing is lost on loopback. */
const nat = { rtoMs: 20, requestsMax: 2 }

async function answerer(options: Partial<StunAnswererOptions> = {}, now?: () => number): Promise<StunAnswerer> {
  const one = new StunAnswerer({ loopbackOnly: true, families: [4], ...options }, now)
  const started = await one.start(0)
  if (!started.ok) throw new Error(started.error.type)
  cleanups.push(() => one.stop())
  return one
}

async function udp(): Promise<Socket> {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  cleanups.push(() => new Promise<void>((resolve) => socket.close(() => resolve())))
  return socket
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

describe('the STUN answerer', () => {
  const total = (one: StunAnswerer) => [...one.counters().values()].reduce((sum, count) => sum + count, 0)

  test('[NT50] tells who asks the address it is seen from, in 32 bytes', async () => {
    const one = await answerer()
    const client = await udp()
    client.send(encodeStunMessage(binding), one.port, '127.0.0.1')
    const [bytes] = await once(client, 'message')
    const answer = decodeStunMessage(bytes)
    expect(answer.ok && stunMappedAddress(answer.value)).toEqual({ host: '127.0.0.1', port: client.address().port })
    expect(answer.ok && answer.value.transaction).toEqual(transaction)
    expect(bytes).toHaveLength(32)
    expect(one.counters().get('answered')).toBe(1)
  })

  test('[NT50] over IPv6 in 44 bytes', async () => {
    const one = await answerer({ families: [6] })
    const client = createSocket('udp6')
    client.bind(0, '::1')
    await once(client, 'listening')
    cleanups.push(() => new Promise<void>((resolve) => client.close(() => resolve())))
    client.send(encodeStunMessage(binding), one.port, '::1')
    const [bytes] = await once(client, 'message')
    const answer = decodeStunMessage(bytes)
    expect(answer.ok && stunMappedAddress(answer.value)?.host).toBe('::1')
    expect(bytes).toHaveLength(44)
  })

  test.each<[string, Uint8Array, string]>([
    ['no STUN', text('hello, who are you out there?'), 'no-binding-request'],
    ['nothing', new Uint8Array(0), 'no-binding-request'],
    ['an answer', encodeStunMessage({ ...binding, class: 'success' }), 'no-binding-request'],
    ['an indication', encodeStunMessage({ ...binding, class: 'indication' }), 'no-binding-request'],
    ['another method', encodeStunMessage({ ...binding, method: stunMethods.allocate }), 'no-binding-request'],
    ['a request with a byte too much', Uint8Array.from([...encodeStunMessage(binding), 0]), 'malformed'],
    [
      'a change request',
      encodeStunMessage({ ...binding, attributes: [stunChangeRequest({ host: true, port: true })] }),
      'unknown-attribute',
    ],
    [
      'a connectivity check of ICE',
      encodeStunMessage({ ...binding, attributes: [{ type: stunAttributes.username, value: text('a:b') }] }),
      'unknown-attribute',
    ],
  ])('[NT51] %s gets no answer', async (_, bytes, reason) => {
    const one = await answerer()
    const client = await udp()
    const heard: unknown[] = []
    client.on('message', (message) => heard.push(message))
    client.send(bytes, one.port, '127.0.0.1')
    await until(() => total(one) === 1)
    expect([...one.counters()]).toEqual([[reason, 1]])
    expect(heard).toEqual([])
  })

  test('[NT52] one address group gets its burst, then its rate', async () => {
    let now = 0
    const one = await answerer({ groupBurst: 3, groupPerSecond: 1 }, () => now)
    const client = await udp()
    const ask = async (count: number) => {
      const before = total(one)
      for (let i = 0; i < count; i++) client.send(encodeStunMessage(binding), one.port, '127.0.0.1')
      await until(() => total(one) === before + count)
    }
    await ask(5)
    expect(Object.fromEntries(one.counters())).toEqual({ answered: 3, 'group-rate': 2 })
    now = 1_000
    await ask(2)
    expect(Object.fromEntries(one.counters())).toEqual({ answered: 4, 'group-rate': 3 })
  })

  test('[NT52] everybody together gets the rate of all', async () => {
    const one = await answerer({ burst: 2, perSecond: 1 }, () => 0)
    const client = await udp()
    for (let i = 0; i < 5; i++) client.send(encodeStunMessage(binding), one.port, '127.0.0.1')
    await until(() => total(one) === 5)
    expect(Object.fromEntries(one.counters())).toEqual({ answered: 2, rate: 3 })
  })

  test('[NT52] groups are remembered up to the bound', async () => {
    const one = await answerer({ groupsMax: 2 })
    const clients = await Promise.all(
      ['127.0.0.1', '127.0.0.2', '127.0.0.3'].map(async (host) => {
        const socket = createSocket('udp4')
        socket.bind(0, host)
        await once(socket, 'listening')
        cleanups.push(() => new Promise<void>((resolve) => socket.close(() => resolve())))
        return socket
      }),
    )
    for (const client of clients) client.send(encodeStunMessage(binding), one.port, '127.0.0.1')
    await until(() => total(one) === 3)
    expect(one.groupCount).toBe(2)
  })

  test('a port that is taken is told', async () => {
    const first = await answerer()
    const second = new StunAnswerer({ loopbackOnly: true, families: [4] })
    expect(await second.start(first.port)).toMatchObject({ ok: false, error: { type: 'ports-in-use' } })
    expect(second.port).toBe(0)
  })
})

describe('[D11] discover_connectivity', () => {
  test('[NT60] against two answerers: no NAT, host candidates first, each server with its time', async () => {
    const [a, b] = [await answerer(), await answerer()]
    const urls = [a, b].map(({ port }) => `stun:127.0.0.1:${port}`)
    const report = await discoverConnectivity({ iceServers: [{ urls }], loopbackOnly: true, nat })
    expect(report).toMatchObject({ natType: 'none', mapping: 'none', optimalTransport: 'direct', names: [] })
    expect(report.servers.map(({ url, state }) => [url, state])).toEqual(urls.map((url) => [url, 'ok']))
    for (const { ms } of report.servers) expect(ms).toBeGreaterThanOrEqual(0)
    expect(report.candidates[0]).toMatchObject({ type: 'host', endpoint: { host: '127.0.0.1' } })
  })

  test('[NT60] D15: a server that is silent, and a name without an address, are reported and skipped', async () => {
    const live = await answerer()
    const silent = (await udp()).address().port
    const urls = [`stun:127.0.0.1:${silent}`, 'stun:nobody.invalid', `stun:localhost:${live.port}`]
    const report = await discoverConnectivity({
      iceServers: [{ urls }],
      loopbackOnly: true,
      nat,
      lookup: async () => ['127.0.0.1'],
    })
    expect(report.natType).toBe('none')
    const states = Object.fromEntries(report.servers.map(({ url, state, detail }) => [url, [state, detail]]))
    expect(states).toEqual({
      [urls[0] as string]: ['failed', 'no answer'],
      'stun:nobody.invalid:3478': ['failed', 'no address for nobody.invalid'],
      [urls[2] as string]: ['ok', undefined],
    })
    expect(report.names.map(({ name, state }) => [name, state])).toEqual([
      ['nobody.invalid', 'failed'],
      ['localhost', 'ok'],
    ])
  })

  test('[NT60] a resolver that stays silent holds nothing up', async () => {
    const report = await discoverConnectivity({
      iceServers: [{ urls: 'stun:slow.example.net' }],
      nat,
      dnsTimeoutMs: 10,
      lookup: () => new Promise(() => undefined),
    })
    expect(report).toMatchObject({ natType: 'unknown', servers: [{ state: 'failed' }], names: [{ state: 'failed' }] })
  })

  test('[NT60] without a server nobody is asked', async () => {
    const report = await discoverConnectivity({ loopbackOnly: true })
    expect(report).toMatchObject({ natType: 'unknown', servers: [], names: [] })
    expect(report.candidates.every(({ type }) => type === 'host')).toBe(true)
  })

  test('[NT61] D11: a relay is asked for only where the NAT needs it, or for a diagnosis', async () => {
    const stun = await answerer()
    const turn = await turnServer()
    const iceServers = [
      { urls: `stun:127.0.0.1:${stun.port}` },
      { urls: `turn:127.0.0.1:${turn.port}?transport=udp`, username: 'ann', credential: 'pw' },
    ]
    const needed = await discoverConnectivity({ iceServers, loopbackOnly: true, nat })
    expect(needed.servers).toHaveLength(1)
    const all = await discoverConnectivity({ iceServers, loopbackOnly: true, nat, turn: 'all' })
    expect(all.servers[1]).toMatchObject({ url: iceServers[1]?.urls, state: 'ok' })
    expect(all.candidates.every(({ type }) => type !== 'relayed')).toBe(true)
    await stun.stop()
    const blocked = await discoverConnectivity({ iceServers, loopbackOnly: true, nat })
    expect(blocked).toMatchObject({ natType: 'blocked', optimalTransport: 'relay' })
    expect(blocked.candidates.at(-1)).toMatchObject({
      type: 'relayed',
      endpoint: { host: '198.51.100.7', port: 50_000 },
    })
  })

  test('[D17] detect_nat_type(stun_servers)', async () => {
    const [a, b] = [await answerer(), await answerer()]
    const servers = [`127.0.0.1:${a.port}`, `stun:127.0.0.1:${b.port}`]
    expect(await detectNatType(servers, { loopbackOnly: true, nat })).toBe('none')
    expect(await detectNatType([])).toBe('unknown')
  })
})

describe('a check of a TURN server', () => {
  const way = (port: number, transport: string) => parseIceUrl(`turn:127.0.0.1:${port}?transport=${transport}`)
  const check = async (port: number, credential = 'pw', transport = 'udp', timeoutMs = 5_000) => {
    const url = way(port, transport)
    if (url === undefined) throw new Error('no URL')
    return checkTurn(url, '127.0.0.1', { username: 'ann', credential }, { timeoutMs, rtoMs: 20 })
  }

  test.each(['udp', 'tcp'])('[NT62] over %s: a relay is given, and given back', async (transport) => {
    const turn = await turnServer(transport === 'tcp')
    const result = await check(turn.port, 'pw', transport)
    expect(result).toMatchObject({ ok: true, relayed: { host: '198.51.100.7', port: 50_000 } })
    await until(() => turn.refreshes === 1)
  })

  test.each(['udp', 'tcp'])('[NT62] over %s: wrong credentials are named', async (transport) => {
    const turn = await turnServer(transport === 'tcp')
    expect(await check(turn.port, 'guessed', transport)).toEqual({ ok: false, detail: 'wrong username or password' })
  })

  test('[NT62] nothing there is named', async () => {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    await new Promise((resolve) => server.close(resolve))
    expect(await check(port, 'pw', 'tcp')).toMatchObject({ ok: false, detail: 'unreachable: nothing listens there' })
    expect(await check((await udp()).address().port, 'pw', 'udp', 60)).toEqual({ ok: false, detail: 'no answer' })
  })

  test('[NT62] what is no TURN server is named', async () => {
    const stun = await answerer()
    expect(await check(stun.port, 'pw', 'udp', 60)).toEqual({ ok: false, detail: 'no answer' })
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.resume()
      socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    cleanups.push(() => new Promise((resolve) => server.close(resolve)))
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    expect(await check(port, 'pw', 'tcp')).toMatchObject({ ok: false, detail: 'it is no TURN server' })
  })
})

interface TurnServer {
  readonly port: number
  refreshes: number
}

/** As much of a TURN server as a check sees: long-term credentials of ann, password pw. */
async function turnServer(isStream = false): Promise<TurnServer> {
  const state = { refreshes: 0 }
  const key = createHash('md5').update('ann:lab:pw').digest()
  const challenge: StunAttribute[] = [
    { type: stunAttributes.realm, value: text('lab') },
    { type: stunAttributes.nonce, value: text('once') },
  ]
  const answer = (bytes: Buffer, port: number): Uint8Array | undefined => {
    const request = decodeStunMessage(bytes)
    if (!request.ok) return undefined
    const { value } = request
    const integrity = stunAttribute(value, stunAttributes.messageIntegrity)
    const signed = createHmac('sha1', key)
      .update(bytes.subarray(0, bytes.length - 24))
      .digest()
    const refuse = () =>
      encodeStunMessage({
        ...value,
        class: 'error',
        attributes: [stunErrorAttribute(401, 'Unauthorized'), ...challenge],
      })
    if (integrity === undefined || !signed.equals(integrity)) return refuse()
    if (value.method === stunMethods.refresh) state.refreshes++
    const relayed = { host: '198.51.100.7', port: 50_000 }
    const attributes = [
      stunEndpointAttribute(stunAttributes.xorRelayedAddress, relayed, value.transaction),
      stunEndpointAttribute(stunAttributes.xorMappedAddress, { host: '127.0.0.1', port }, value.transaction),
    ]
    return encodeStunMessage({ ...value, class: 'success', attributes })
  }
  if (!isStream) {
    const socket = await udp()
    socket.on('message', (bytes, { port }) => {
      const back = answer(bytes, port)
      if (back !== undefined) socket.send(back, port, '127.0.0.1')
    })
    return Object.assign(state, { port: socket.address().port })
  }
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (bytes) => {
      const back = answer(bytes, socket.remotePort ?? 1)
      // In two pieces, as a stream may.
      if (back !== undefined) for (const part of [back.subarray(0, 7), back.subarray(7)]) socket.write(part)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => new Promise((resolve) => server.close(resolve)))
  const address = server.address()
  return Object.assign(state, { port: typeof address === 'object' && address !== null ? address.port : 0 })
}
