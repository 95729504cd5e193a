import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import type { IceCandidate, PipeId, SignalledTransport, TransportEvent } from '@miaou/network'
import { decodeStunMessage, encodeStunMessage } from '@miaou/protocol'
import { freshPipe, startRecorded } from '@miaou/testkit'
import { afterEach, describe, expect, test } from 'vitest'
import { parseIceUrl } from '../src/nat/ice-url.ts'
import { WebRtcAdapter } from '../src/webrtc/adapter.ts'
import { ChildWebRtcTransport } from '../src/webrtc/child-client.ts'
import { parseReport } from '../src/webrtc/child-protocol.ts'
import { defaultWebRtcOptions, type WebRtcOptions } from '../src/webrtc/options.ts'
import { pathOf } from '../src/webrtc/path.ts'
import { checkSdp, toldCandidate } from '../src/webrtc/sdp.ts'
import { chooseServer } from '../src/webrtc/server-choice.ts'
import type { DataChannelLike, PeerConnectionConfiguration, PeerConnectionLike } from '../src/webrtc/w3c.ts'
import { WeriftTransport } from '../src/webrtc/werift-transport.ts'

const cleanups: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const host = 'candidate:1 1 udp 2122260223 192.168.1.7 5000 typ host generation 0'
const mapped = 'candidate:2 1 udp 1686052607 203.0.113.5 5000 typ srflx raddr 192.168.1.7 rport 5000 generation 0'
const relayed = 'candidate:3 1 udp 41885695 203.0.113.11 5001 typ relay raddr 203.0.113.5 rport 5000 generation 0'
const turn = { urls: 'turn:203.0.113.11:3478', username: 'u', credential: 'c' }
const lines = [
  'v=0',
  'o=- 1 2 IN IP4 127.0.0.1',
  's=-',
  't=0 0',
  'm=application 5000 UDP/DTLS/SCTP webrtc-datachannel',
  'c=IN IP4 192.168.1.7',
  ...[host, mapped, relayed].map((candidate) => `a=${candidate}`),
  'a=ice-ufrag:abcd',
  'a=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa',
  `a=fingerprint:sha-256 ${Array.from({ length: 32 }, () => 'AB').join(':')}`,
  'a=setup:actpass',
  'a=mid:0',
]
const sdp = `${lines.join('\r\n')}\r\n`

/** A library that puts every candidate it has everywhere, whatever the policy. */
class LeakingLibrary {
  readonly configurations: PeerConnectionConfiguration[] = []
  readonly added: string[] = []
  readonly channels: DataChannelLike[] = []
  stats: readonly unknown[] = []
  readonly create = (configuration: PeerConnectionConfiguration): PeerConnectionLike => {
    this.configurations.push(configuration)
    const connection: PeerConnectionLike = {
      connectionState: 'new',
      localDescription: { sdp },
      ondatachannel: null,
      onicecandidate: null,
      onconnectionstatechange: null,
      createDataChannel: () => {
        const channel = { readyState: 'open', bufferedAmount: 0, send: () => undefined, close: () => undefined }
        this.channels.push(channel)
        return channel
      },
      createOffer: async () => ({ type: 'offer', sdp }),
      createAnswer: async () => ({ type: 'answer', sdp }),
      setLocalDescription: async () => {
        const tell = connection.onicecandidate as (event: unknown) => void
        for (const candidate of [host, mapped, relayed, '']) tell({ candidate: { candidate } })
      },
      setRemoteDescription: async () => undefined,
      addIceCandidate: async ({ candidate }) => this.added.push(candidate),
      getStats: async () => this.stats,
      close: () => undefined,
    }
    return connection
  }
}

const pipe = 1 as PipeId

function candidatesOf(events: readonly TransportEvent[]): string[] {
  return events.flatMap((event) => (event.type === 'candidate' ? [event.candidate.candidate] : []))
}

async function start(options: Partial<WebRtcOptions>) {
  const library = new LeakingLibrary()
  const events: TransportEvent[] = []
  const adapter = new WebRtcAdapter(library.create, { ...defaultWebRtcOptions, pathDelaysMs: [1], ...options })
  await adapter.start({ emit: (event) => events.push(event), nextPipe: () => pipe })
  cleanups.push(() => adapter.abandon())
  const until = async (condition: () => boolean) => {
    while (!condition()) await new Promise((resolve) => setImmediate(resolve))
  }
  return { library, events, adapter, until }
}

describe('policy relay', () => {
  test('[NT82] [D05] a library that leaks everything: only candidates of relays are told, without our own address', async () => {
    const { adapter, events, until } = await start({ icePolicy: 'relay', iceServers: [turn] })
    adapter.offer(pipe)
    await until(() => candidatesOf(events).includes(''))
    expect(candidatesOf(events)).toEqual([relayed.replace('203.0.113.5 rport 5000', '0.0.0.0 rport 0'), ''])
    const [description] = events.flatMap((event) => (event.type === 'description' ? [event.description.sdp] : []))
    expect(description).not.toMatch(/candidate|192\.168|203\.0\.113/)
  })

  test('policy all: the same library tells all of them, once', async () => {
    const { adapter, events, until } = await start({ iceServers: [turn] })
    adapter.offer(pipe)
    await until(() => candidatesOf(events).includes(''))
    expect(candidatesOf(events)).toEqual([host, mapped, relayed, ''])
  })

  test('[NT82] [D05] without a TURN server nothing is tried at all', async () => {
    const { adapter, library, events, until } = await start({
      icePolicy: 'relay',
      iceServers: [{ urls: 'stun:203.0.113.11:3478' }],
    })
    adapter.offer(pipe)
    await until(() => events.length > 0)
    expect(events).toMatchObject([{ type: 'closed', error: { type: 'unavailable' } }])
    expect(library.configurations).toEqual([])
  })

  test('[D05] names of the LAN are not asked for', () => {
    const name = 'candidate:1 1 udp 1 4f6b0c0e-1c5c.local 5000 typ host'
    const rules = { loopbackOnly: false, candidatesMax: 4 }
    expect(toldCandidate(name, { ...rules, icePolicy: 'relay' })).toBeUndefined()
    expect(toldCandidate(name, { ...rules, icePolicy: 'all' })).toBe(name)
    const checked = checkSdp(sdp.replace('192.168.1.7 5000 typ host', 'a.local 5000 typ host'), {
      ...rules,
      icePolicy: 'relay',
    })
    expect(checked.ok && checked.value.candidateCount).toBe(2)
  })

  const transports: readonly [string, (options: Partial<WebRtcOptions>) => SignalledTransport][] = [
    ['libwebrtc', (options) => new ChildWebRtcTransport(options)],
    ['werift', (options) => new WeriftTransport(options)],
  ]
  test.each(transports)('[D05] %s with a TURN server that is silent tells no candidate', async (_, create) => {
    const silent = await udp()
    const urls = `turn:127.0.0.1:${silent.address().port}?transport=udp`
    const transport = create({ icePolicy: 'relay', iceServers: [{ ...turn, urls }], gatheringTimeoutMs: 1_000 })
    const { host: recorded } = await startRecorded(transport)
    cleanups.push(() => transport.stop())
    transport.offer(freshPipe())
    await recorded.until(() => recorded.ofType('candidate').some(({ candidate }) => candidate.candidate === ''))
    expect(recorded.ofType('candidate').map(({ candidate }) => candidate.candidate)).toEqual([''])
    expect(recorded.ofType('description')[0]?.description.sdp).not.toContain('candidate')
  })
})

describe('ICE servers', () => {
  test('[NT80] replaced at runtime, they hold for connections made from then on', async () => {
    const { adapter, library } = await start({})
    adapter.offer(pipe)
    adapter.setIceServers([turn, { urls: ['stun:203.0.113.11', 'http://203.0.113.11'] }, { urls: 'nothing' }])
    adapter.offer(2 as PipeId)
    expect(library.configurations.map(({ iceServers }) => iceServers)).toEqual([
      [],
      [
        // Where a URL leaves the transport open, both are tried at once: a home without UDP waits for nothing.
        { ...turn, urls: ['turn:203.0.113.11:3478?transport=udp', 'turn:203.0.113.11:3478?transport=tcp'] },
        { urls: ['stun:203.0.113.11:3478'] },
      ],
    ])
  })

  test('reach the WebRTC process, also one that runs already', async () => {
    const transport = new ChildWebRtcTransport({ icePolicy: 'relay' })
    const { host: recorded } = await startRecorded(transport)
    cleanups.push(() => transport.stop())
    const [without, behind] = [freshPipe(), freshPipe()]
    transport.offer(without)
    expect((await recorded.closed(without)).error?.type).toBe('unavailable')
    transport.setIceServers([{ ...turn, urls: `turn:127.0.0.1:${(await udp()).address().port}?transport=udp` }])
    transport.offer(behind)
    await recorded.until(() => recorded.ofType('description').some((event) => event.pipe === behind))
  })

  test('[NT80] werift asks no STUN server of its own choice', async () => {
    const asked: unknown[] = []
    const { RTCIceGatherer } = await import('werift')
    const gather = RTCIceGatherer.prototype.gather
    cleanups.push(() => {
      RTCIceGatherer.prototype.gather = gather
    })
    RTCIceGatherer.prototype.gather = async function () {
      asked.push(this.connection.stunServer)
    }
    for (const iceServers of [[], [{ urls: `stun:127.0.0.1:${(await answering()).address().port}` }]]) {
      const transport = new WeriftTransport({ loopbackOnly: true, iceServers })
      const { host: recorded } = await startRecorded(transport)
      cleanups.push(() => transport.stop())
      const one = freshPipe()
      transport.offer(one)
      await recorded.until(() => recorded.ofType('description').some((event) => event.pipe === one))
    }
    expect(asked).toEqual([undefined, ['127.0.0.1', expect.any(Number)]])
  })

  test('[NT81] candidates of the other end are bounded, those of its description included', async () => {
    const { adapter, library, until } = await start({ candidatesMax: 4 })
    adapter.accept(pipe, { type: 'offer', sdp })
    const candidate = (port: number): IceCandidate => ({
      candidate: `candidate:9 1 udp 1 203.0.113.9 ${port} typ host`,
      sdpMid: '0',
      sdpMLineIndex: 0,
    })
    await until(() => library.configurations.length === 1)
    await new Promise((resolve) => setImmediate(resolve))
    for (let port = 5_000; port < 5_100; port++) adapter.addCandidate(pipe, candidate(port))
    await until(() => library.added.length > 0)
    expect(library.added).toHaveLength(1)
  })
})

describe('which server werift is given', () => {
  const way = (text: string) => parseIceUrl(text) ?? expect.fail(text)

  test('UDP where it answers, even when TCP is faster', async () => {
    const server = await answering()
    const tcp = await listening()
    const ways = [
      way(`turn:127.0.0.1:${tcp}?transport=tcp`),
      way(`turn:127.0.0.1:${server.address().port}?transport=udp`),
    ]
    expect(await chooseServer(ways, { udpHeadStartMs: 60_000, timeoutMs: 60_000 })).toBe(ways[1])
  })

  test('TCP where UDP is silent; nothing where nothing answers', async () => {
    const silent = (await udp()).address().port
    const ways = [
      way(`turn:127.0.0.1:${silent}?transport=udp`),
      way(`turn:127.0.0.1:${await listening()}?transport=tcp`),
    ]
    expect(await chooseServer(ways, { udpHeadStartMs: 10, timeoutMs: 60_000 })).toBe(ways[1])
    expect(await chooseServer(ways.slice(0, 1), { udpHeadStartMs: 10, timeoutMs: 20 })).toBeUndefined()
    expect(await chooseServer([])).toBeUndefined()
  })

  test('another transaction is no answer', async () => {
    const server = await answering((transaction) => transaction.map((byte) => byte ^ 1))
    const ways = [way(`stun:127.0.0.1:${server.address().port}`)]
    expect(await chooseServer(ways, { timeoutMs: 100 })).toBeUndefined()
  })
})

describe('the path of a connection', () => {
  const local = {
    id: 'l',
    type: 'local-candidate',
    candidateType: 'host',
    protocol: 'udp',
    address: '192.168.1.7',
    port: 1,
  }
  const remote = { ...local, id: 'r', type: 'remote-candidate', address: '192.168.1.8', port: 2 }
  const pair = { id: 'p', type: 'candidate-pair', localCandidateId: 'l', remoteCandidateId: 'r', nominated: true }

  test.each([
    ['two of one LAN', {}, {}, 'lan', 'host udp 192.168.1.7:1', 'host udp 192.168.1.8:2'],
    [
      'one IPv6 network',
      { address: '2001:db8::7' },
      { address: '2001:db8::8' },
      'lan',
      'host udp [2001:db8::7]:1',
      'host udp [2001:db8::8]:2',
    ],
    [
      'two IPv6 networks',
      { address: '2001:db8::7' },
      { address: '2001:db8:1::8' },
      'direct',
      'host udp [2001:db8::7]:1',
      'host udp [2001:db8:1::8]:2',
    ],
    [
      'through NATs',
      { candidateType: 'srflx', address: '203.0.113.5' },
      { candidateType: 'srflx', address: '203.0.113.6' },
      'direct',
      'srflx udp 203.0.113.5:1',
      'srflx udp 203.0.113.6:2',
    ],
    [
      '[NT83] a hidden address that sees our private one',
      {},
      { candidateType: 'prflx', address: '' },
      'lan',
      'host udp 192.168.1.7:1',
      'prflx udp unknown',
    ],
    [
      '[NT83] a hidden address that sees us through a NAT',
      { candidateType: 'prflx', address: '203.0.113.5' },
      { candidateType: 'prflx', address: '' },
      'direct',
      'prflx udp 203.0.113.5:1',
      'prflx udp unknown',
    ],
    [
      '[NT83] a hidden address that sees our public one',
      { address: '203.0.113.5' },
      { candidateType: 'prflx', address: '' },
      'direct',
      'host udp 203.0.113.5:1',
      'prflx udp unknown',
    ],
    [
      'our relay',
      { candidateType: 'relay', relayProtocol: 'tcp', address: '203.0.113.11' },
      {},
      'relayed',
      'relay tcp 203.0.113.11:1',
      'host udp 192.168.1.8:2',
    ],
    [
      'their relay',
      {},
      { candidateType: 'relay', address: '203.0.113.11' },
      'relayed',
      'host udp 192.168.1.7:1',
      'relay udp 203.0.113.11:2',
    ],
  ])('%s', (_, ours, theirs, kind, localCandidate, remoteCandidate) => {
    const report = [{ ...local, ...ours }, { ...remote, ...theirs }, pair]
    expect(pathOf(report)).toEqual({ kind, localCandidate, remoteCandidate })
  })

  test('who relays, where the library tells; nothing where no pair is in use', () => {
    const url = 'turn:203.0.113.11:3478?transport=tcp'
    expect(pathOf([{ ...local, candidateType: 'relay', url }, remote, pair])?.via).toBe(url)
    expect(pathOf([local, remote])).toBeUndefined()
    expect(pathOf([null, 'text', { id: 1 }])).toBeUndefined()
  })

  test('[NT83] is told after the opening, and again when it changes', async () => {
    const { adapter, library, events, until } = await start({})
    library.stats = [local, remote, pair]
    adapter.accept(pipe, { type: 'offer', sdp })
    const told = () => events.flatMap((event) => (event.type === 'path' ? [event.path.kind] : []))
    await until(() => told().length === 1)
    expect(events.map(({ type }) => type).indexOf('path')).toBe(events.map(({ type }) => type).indexOf('opened') + 1)
    library.stats = [local, { ...remote, candidateType: 'relay' }, pair]
    await until(() => told().length === 2)
    expect(told()).toEqual(['lan', 'relayed'])
  })

  test('is read from the WebRTC process with the same care as all else', () => {
    const body = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
    const path = { kind: 'direct', localCandidate: 'host udp 192.168.1.7:1' }
    expect(parseReport(body({ report: 'path', path: { ...path, more: 1, via: 7 } }))).toEqual({ report: 'path', path })
    expect(parseReport(body({ report: 'path', path: { kind: 'magic' } }))).toBeUndefined()
    expect(parseReport(body({ report: 'path' }))).toBeUndefined()
  })

  test.each([
    ['libwebrtc', (options: Partial<WebRtcOptions>) => new ChildWebRtcTransport(options)],
    ['werift', (options: Partial<WebRtcOptions>) => new WeriftTransport(options)],
  ])('%s tells the path of a pipe between two of one machine', async (_, create) => {
    const [a, b] = [create({ loopbackOnly: true }), create({ loopbackOnly: true })]
    const [atA, atB] = [await startRecorded(a), await startRecorded(b)]
    cleanups.push(() => Promise.all([a.stop(), b.stop()]))
    const [pipeA, pipeB] = [freshPipe(), freshPipe()]
    const carry = (event: TransportEvent, target: SignalledTransport, to: PipeId) => {
      if (event.type === 'candidate') target.addCandidate(to, event.candidate)
      if (event.type !== 'description') return
      if (event.description.type === 'offer') target.accept(to, event.description)
      else target.answer(to, event.description)
    }
    atA.host.onEvent((event) => carry(event, b, pipeB))
    atB.host.onEvent((event) => carry(event, a, pipeA))
    a.offer(pipeA)
    await atA.host.until(() => atA.host.ofType('path').length > 0)
    await atB.host.until(() => atB.host.ofType('path').length > 0)
    expect(atA.host.ofType('path')[0]).toMatchObject({ pipe: pipeA, path: { kind: 'lan' } })
    expect(atA.host.violations).toEqual([])
  })
})

async function udp(): Promise<Socket> {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  cleanups.push(() => new Promise<void>((resolve) => socket.close(() => resolve())))
  return socket
}

/** Answers every STUN request. */
async function answering(toTransaction = (transaction: Uint8Array) => transaction): Promise<Socket> {
  const socket = await udp()
  socket.on('message', (bytes, { port }) => {
    const request = decodeStunMessage(bytes)
    if (!request.ok) return
    const transaction = toTransaction(request.value.transaction)
    socket.send(encodeStunMessage({ ...request.value, class: 'success', transaction }), port, '127.0.0.1')
  })
  return socket
}

async function listening(): Promise<number> {
  const server: Server = createServer((socket) => socket.on('error', () => undefined))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => new Promise((resolve) => server.close(resolve)))
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}
