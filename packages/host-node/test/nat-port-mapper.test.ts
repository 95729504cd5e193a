import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { findGateways } from '../src/nat/gateway.ts'
import {
  createNatPmp,
  createPcp,
  type MappedPort,
  type PortMappingProtocol,
  type PortToMap,
} from '../src/nat/port-control.ts'
import { PortMapper, type PortMapperOptions, type PortMapperState } from '../src/nat/port-mapper.ts'
import { createUpnp } from '../src/nat/upnp.ts'

const cleanups: (() => unknown)[] = []

afterEach(async () => {
  vi.useRealTimers()
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const tcp: PortToMap = { protocol: 'tcp', port: 9999 }
const udp: PortToMap = { protocol: 'udp', port: 4001 }
const external = { host: '198.51.100.7', port: 9999 }
const nonce = Uint8Array.from({ length: 12 }, (_, at) => at + 1)

/** A router that answers datagrams by `answer`; requests are kept. */
async function router(answer: (request: Buffer) => Uint8Array | undefined) {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  cleanups.push(() => new Promise<void>((resolve) => socket.close(() => resolve())))
  const requests: Buffer[] = []
  socket.on('message', (request, { port }) => {
    requests.push(request)
    const back = answer(request)
    if (back !== undefined) socket.send(back, port, '127.0.0.1')
  })
  const { port } = socket.address()
  return { requests, options: { gateway: '127.0.0.1', local: '127.0.0.1', nonce, port, rtoMs: 10, requestsMax: 2 } }
}

/** The answer of RFC 6887 §11.1 to a MAP request. */
function pcpAnswer(request: Buffer, change: Partial<{ result: number; lifetime: number; nonce: number }> = {}): Buffer {
  const back = Buffer.from(request)
  back[1] = 0x81
  back[3] = change.result ?? 0
  if (change.lifetime !== undefined) back.writeUInt32BE(change.lifetime, 4)
  if (change.nonce !== undefined) back[24] = change.nonce
  back.set([198, 51, 100, 7], 56)
  return back
}

describe('PCP', () => {
  test('[NT72] a MAP request as RFC 6887 writes it; the external address and the lifetime granted', async () => {
    const { requests, options } = await router((request) => pcpAnswer(request, { lifetime: 3_600 }))
    expect(await createPcp(options).map(tcp, 7_200)).toEqual({ ...tcp, external, lifetimeS: 3_600 })
    const address = '00000000000000000000ffff7f000001'
    const opaque = '0102030405060708090a0b0c060000 00270f270f00000000000000000000ffff00000000'.replace(' ', '')
    expect(requests[0]?.toString('hex')).toBe(`0201000000001c20${address}${opaque}`)
  })

  test.each<[string, (request: Buffer) => Uint8Array | undefined]>([
    ['refuses', (request) => pcpAnswer(request, { result: 2 })],
    ['answers with another nonce', (request) => pcpAnswer(request, { nonce: 99 })],
    ['answers too short', (request) => pcpAnswer(request).subarray(0, 59)],
    ['answers in the version of NAT-PMP', () => Uint8Array.of(0, 129, 0, 1, 0, 0, 0, 0)],
    ['is silent', () => undefined],
  ])('[NT72] a router that %s maps nothing', async (_, answer) => {
    const { requests, options } = await router(answer)
    expect(await createPcp(options).map(tcp, 7_200)).toBeUndefined()
    expect(requests.length).toBeLessThanOrEqual(2)
  })

  test('[NT72] unmapping asks for no lifetime', async () => {
    const { requests, options } = await router((request) => pcpAnswer(request))
    await createPcp(options).unmap(tcp)
    expect(requests[0]?.readUInt32BE(4)).toBe(0)
  })
})

describe('NAT-PMP', () => {
  const answer = (request: Buffer): Uint8Array => {
    if (request[1] === 0) return Uint8Array.of(0, 128, 0, 0, 0, 0, 0, 1, 198, 51, 100, 7)
    const back = Buffer.alloc(16)
    back[1] = 128 + (request[1] ?? 0)
    request.copy(back, 8, 4, 8)
    back.writeUInt32BE(3_600, 12)
    return back
  }

  test('[NT72] both requests of RFC 6886', async () => {
    const { requests, options } = await router(answer)
    expect(await createNatPmp(options).map(tcp, 7_200)).toEqual({ ...tcp, external, lifetimeS: 3_600 })
    expect(requests.map((request) => request.toString('hex'))).toEqual(['00020000270f270f00001c20', '0000'])
    await createNatPmp(options).unmap(udp)
    expect(requests[2]?.toString('hex')).toBe('000100000fa1000000000000')
  })

  test('[NT72] an answer for another port, a refusal or silence maps nothing', async () => {
    const other = (request: Buffer) => Uint8Array.from(answer(request)).fill(1, 8, 10)
    const refused = (request: Buffer) => Uint8Array.from(answer(request)).fill(2, 3, 4)
    for (const each of [other, refused, () => undefined]) {
      const { options } = await router(each)
      expect(await createNatPmp(options).map(tcp, 7_200)).toBeUndefined()
    }
  })
})

describe('UPnP', () => {
  const service = 'urn:schemas-upnp-org:service:WANIPConnection:1'

  /** A router with one service; `reply` answers its actions. */
  async function igd(reply: (action: string, body: string) => { status: number; body: string }, host = '127.0.0.1') {
    const actions: string[] = []
    const http = createServer((request, response) => {
      let body = ''
      request.on('data', (part) => {
        body += part
      })
      request.on('end', () => {
        if (request.method === 'GET') {
          response.end(
            `<root><service><serviceType>${service}</serviceType><controlURL>/ctl</controlURL></service></root>`,
          )
          return
        }
        const action = /#(\w+)"/.exec(String(request.headers['soapaction']))?.[1] ?? ''
        actions.push(action)
        const back = reply(action, body)
        response.writeHead(back.status).end(back.body)
      })
    })
    http.listen(0, '127.0.0.1')
    await once(http, 'listening')
    cleanups.push(() => new Promise((resolve) => http.close(resolve)))
    const address = http.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const { options } = await router(() =>
      Buffer.from(`HTTP/1.1 200 OK\r\nLOCATION: http://${host}:${port}/d.xml\r\n\r\n`),
    )
    const search = { host: '127.0.0.1', port: options.port }
    return { actions, upnp: createUpnp({ gateway: '127.0.0.1', local: '127.0.0.1', search, timeoutMs: 200 }) }
  }
  const told = { status: 200, body: '<NewExternalIPAddress>198.51.100.7</NewExternalIPAddress>' }

  test('[NT72] finds the service, maps, tells the address and takes back', async () => {
    const bodies: string[] = []
    const { actions, upnp } = await igd((_, body) => {
      bodies.push(body)
      return told
    })
    expect(await upnp.map(tcp, 7_200)).toEqual({ ...tcp, external, lifetimeS: 7_200 })
    await upnp.unmap(tcp)
    expect(actions).toEqual(['AddPortMapping', 'GetExternalIPAddress', 'DeletePortMapping'])
    expect(bodies[0]).toContain('<NewInternalClient>127.0.0.1</NewInternalClient>')
    expect(bodies[0]).toContain('<NewExternalPort>9999</NewExternalPort><NewProtocol>TCP</NewProtocol>')
  })

  test('[NT72] a router that knows only mappings without an end gets one, and a refusal is none', async () => {
    const leases: string[] = []
    const permanent = await igd((action, body) => {
      if (action !== 'AddPortMapping') return told
      leases.push(/<NewLeaseDuration>(\d+)/.exec(body)?.[1] ?? '')
      return leases.length > 1 ? told : { status: 500, body: '<errorCode>725</errorCode>' }
    })
    expect(await permanent.upnp.map(tcp, 7_200)).toMatchObject({ external })
    expect(leases).toEqual(['7200', '0'])
    const refusing = await igd(() => ({ status: 500, body: '<errorCode>718</errorCode>' }))
    expect(await refusing.upnp.map(tcp, 7_200)).toBeUndefined()
    const endless = await igd(() => ({ status: 200, body: 'x'.repeat(100_000) }))
    expect(await endless.upnp.map(tcp, 7_200)).toBeUndefined()
  })

  test('[NT73] a router that names another host is not followed', async () => {
    const { actions, upnp } = await igd(() => told, 'localhost')
    expect(await upnp.map(tcp, 7_200)).toBeUndefined()
    expect(actions).toEqual([])
  })
})

describe('the mapper', () => {
  const gateways = () => [{ gateway: '192.0.2.1', local: '192.0.2.2' }]

  class FakeProtocol implements PortMappingProtocol {
    readonly name: PortMappingProtocol['name']
    readonly calls: string[] = []
    works: boolean
    host = '198.51.100.7'

    constructor(name: PortMappingProtocol['name'], works: boolean) {
      this.name = name
      this.works = works
    }

    async map(port: PortToMap, lifetimeS: number): Promise<MappedPort | undefined> {
      this.calls.push(`map ${port.protocol} ${port.port}`)
      return this.works ? { ...port, external: { host: this.host, port: port.port }, lifetimeS } : undefined
    }

    async unmap({ protocol, port }: PortToMap): Promise<void> {
      this.calls.push(`unmap ${protocol} ${port}`)
    }
  }

  function start(protocols: readonly PortMappingProtocol[], more: Partial<PortMapperOptions> = {}) {
    vi.useFakeTimers()
    const states: PortMapperState[] = []
    const onChange = (state: PortMapperState) => states.push(state)
    const mapper = new PortMapper({ ports: [tcp, udp], gateways, protocols: () => protocols, onChange, ...more })
    mapper.start()
    return { mapper, states }
  }

  test('[NT70] the first way that works maps every port; stop takes all of them back', async () => {
    const [pcp, upnp] = [new FakeProtocol('pcp', false), new FakeProtocol('upnp', true)]
    const { mapper, states } = start([pcp, upnp])
    await vi.advanceTimersByTimeAsync(0)
    expect(mapper.state()).toMatchObject({ state: 'mapped', method: 'upnp', externalHost: '198.51.100.7' })
    await mapper.stop()
    expect(pcp.calls).toEqual(['map tcp 9999'])
    expect(upnp.calls).toEqual(['map tcp 9999', 'map udp 4001', 'unmap tcp 9999', 'unmap udp 4001'])
    await vi.advanceTimersByTimeAsync(0)
    expect(states.map(({ state }) => state)).toEqual(['searching', 'mapped', 'off'])
    await vi.advanceTimersByTimeAsync(100_000_000)
    expect(upnp.calls).toHaveLength(4)
  })

  test('[NT71] is renewed at half of the lifetime, by what worked', async () => {
    const [pcp, upnp] = [new FakeProtocol('pcp', false), new FakeProtocol('upnp', true)]
    const { states } = start([pcp, upnp])
    await vi.advanceTimersByTimeAsync(3_600_000)
    expect(upnp.calls).toHaveLength(4)
    expect(pcp.calls).toHaveLength(1)
    expect(states).toHaveLength(2)
    upnp.host = '198.51.100.8'
    await vi.advanceTimersByTimeAsync(3_600_000)
    expect(states.at(-1)?.externalHost).toBe('198.51.100.8')
  })

  test('[NT71] after a failure it tries again, ever more seldom', async () => {
    const pcp = new FakeProtocol('pcp', false)
    const { mapper } = start([pcp], { limits: { retryMs: 1_000, retryMaxMs: 3_000 } })
    await vi.advanceTimersByTimeAsync(999)
    expect(pcp.calls).toHaveLength(1)
    expect(mapper.state().state).toBe('unavailable')
    await vi.advanceTimersByTimeAsync(1)
    expect(pcp.calls).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(2_000 + 3_000 + 3_000)
    expect(pcp.calls).toHaveLength(5)
    pcp.works = true
    mapper.networkChanged()
    await vi.advanceTimersByTimeAsync(0)
    expect(mapper.state().state).toBe('mapped')
  })

  test('[NT74] a router behind another NAT has no address of the internet', async () => {
    const pcp = new FakeProtocol('pcp', true)
    pcp.host = '100.64.0.7'
    const { mapper } = start([pcp])
    await vi.advanceTimersByTimeAsync(0)
    expect(mapper.state().state).toBe('mapped')
    expect(mapper.state().externalHost).toBeUndefined()
  })

  test('[NT70] never throws, and a router that hangs does not hold up the end', async () => {
    const throwing = new FakeProtocol('pcp', true)
    throwing.map = () => Promise.reject(new Error('planted'))
    const { mapper } = start([throwing])
    await vi.advanceTimersByTimeAsync(0)
    expect(mapper.state().state).toBe('unavailable')
    const hanging = new FakeProtocol('pcp', true)
    let answer: (mapped: MappedPort) => void = () => undefined
    hanging.map = () =>
      new Promise((resolve) => {
        answer = resolve
      })
    const other = start([hanging]).mapper
    await vi.advanceTimersByTimeAsync(0)
    const stopping = other.stop()
    await vi.advanceTimersByTimeAsync(1_000)
    await stopping
    expect(other.state().state).toBe('off')
    // What it gets late it gives back.
    answer({ ...tcp, external, lifetimeS: 1 })
    await vi.advanceTimersByTimeAsync(0)
    answer({ ...udp, external, lifetimeS: 1 })
    await vi.advanceTimersByTimeAsync(0)
    expect(hanging.calls).toEqual(['unmap tcp 9999', 'unmap udp 4001'])
  })

  test('[NT75] routers and ports beyond the bounds are left alone', async () => {
    const asked: string[] = []
    const pcp = new FakeProtocol('pcp', false)
    const upnp = new FakeProtocol('upnp', true)
    const many = () => ['192.0.2.1', '192.0.2.3', '192.0.2.4'].map((gateway) => ({ gateway, local: '192.0.2.2' }))
    const ports = Array.from({ length: 9 }, (_, at): PortToMap => ({ protocol: 'tcp', port: 5_000 + at }))
    const protocols: PortMapperOptions['protocols'] = ({ gateway }) => {
      asked.push(gateway)
      return [gateway === '192.0.2.3' ? upnp : pcp]
    }
    start([], { gateways: many, protocols, ports })
    await vi.advanceTimersByTimeAsync(0)
    expect(asked).toEqual(['192.0.2.1', '192.0.2.3'])
    expect(upnp.calls).toHaveLength(4)
  })
})

describe('the router', () => {
  test('[NT76] is read from the default route, and must be in a network of ours', () => {
    const folder = mkdtempSync(join(tmpdir(), 'miaou-route-'))
    cleanups.push(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'route')
    const lines = [
      'Iface Destination Gateway Flags',
      'eth0 00000000 FE7100CB 0003',
      'eth0 0000A8C0 00000000 0001',
      'junk',
    ]
    writeFileSync(file, lines.join('\n'))
    // 203.0.113.254, which is in no network of this machine.
    expect(findGateways(file)).toEqual([])
    for (const { gateway, local } of findGateways(join(folder, 'none'))) expect(gateway).not.toBe(local)
  })
})
