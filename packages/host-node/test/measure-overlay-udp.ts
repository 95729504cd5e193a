// Microseconds of CPU for a request of 120 bytes and its answer of 900, both ends in this process, one JSON line each:
// `node packages/host-node/test/measure-overlay-udp.ts`. `floor`: node:dgram alone, as ../shared/peers/overlay/floor.mjs;
// `sockets`: ours; `loop`: ours behind the loop, as in the product; `sealed`: pings between two whole hosts, sessions warm.
// The least of three rounds: other work on the machine only adds.
import { createSocket, type Socket } from 'node:dgram'
import type { Endpoint } from '@miaou/protocol'
import type { OverlayHost } from '../src/overlay/overlay-host.ts'
import { OverlayLoop } from '../src/overlay/overlay-loop.ts'
import { UdpSockets } from '../src/overlay/udp-sockets.ts'
import { systemClock } from '../src/peer/system.ts'
import { endpointOf, OverlayHome } from './overlay-hosts.ts'

const request = new Uint8Array(120).fill(1)
const answer = new Uint8Array(900).fill(2)
const inFlight = 16
const host = '127.0.0.1'

interface Datagram {
  readonly type: 'datagram'
  readonly from: Endpoint
  readonly bytes: Uint8Array
}

/** One end: sends, and calls `onDatagram` for what arrives. */
interface End {
  readonly endpoint: Endpoint
  send(to: Endpoint, bytes: Uint8Array): void
  close(): Promise<void>
}

type OnDatagram = (from: Endpoint, bytes: Uint8Array) => void

const kinds: Record<string, (onDatagram: OnDatagram) => Promise<End>> = {
  floor: async (onDatagram) => {
    const socket: Socket = createSocket('udp4')
    await new Promise<void>((resolve) => socket.bind(0, host, () => resolve()))
    socket.on('message', (message, from) => onDatagram({ host: from.address, port: from.port }, message))
    return {
      endpoint: { host, port: socket.address().port },
      send: (to, bytes) => socket.send(bytes, to.port, to.host),
      close: () => new Promise<void>((resolve) => socket.close(() => resolve())),
    }
  },
  sockets: (onDatagram) => open(onDatagram),
  loop: (onDatagram) => {
    const loop = new OverlayLoop<Datagram, never>({
      engine: {
        handle: (_now, input) => {
          if (input.type === 'datagram') onDatagram(input.from, input.bytes)
          return []
        },
        deadline: () => Number.POSITIVE_INFINITY,
      },
      clock: systemClock,
      perform: () => undefined,
      onCrash: (error) => {
        throw error
      },
    })
    return open((from, bytes) => loop.offer({ type: 'datagram', from, bytes }))
  },
}

async function open(onDatagram: OnDatagram): Promise<End> {
  const sockets = new UdpSockets({ loopbackOnly: true, families: [4] }, onDatagram)
  const started = await sockets.start(0)
  if (!started.ok) throw new Error(started.error.type)
  const endpoint = { host, port: sockets.port }
  return { endpoint, send: (to, bytes) => sockets.send(to, bytes), close: () => sockets.stop() }
}

function cpuUs(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

async function measureEcho(kind: string, count: number): Promise<number> {
  const make = kinds[kind]
  if (make === undefined) throw new Error(kind)
  const server: End = await make((from) => server.send(from, answer))
  let [sent, done] = [0, 0]
  let finish: () => void = () => undefined
  const next = (client: End) => {
    if (sent++ < count) client.send(server.endpoint, request)
  }
  const client: End = await make(() => {
    done += 1
    if (done === count) finish()
    else next(client)
  })
  const before = cpuUs()
  await new Promise<void>((resolve) => {
    finish = resolve
    for (let i = 0; i < inFlight; i++) next(client)
  })
  const used = cpuUs() - before
  await Promise.all([client.close(), server.close()])
  return used / count
}

async function measurePings(from: OverlayHost, to: OverlayHost, count: number): Promise<number> {
  const { publicKey } = to.info()
  const endpoint = endpointOf(to)
  const before = cpuUs()
  const line = async () => {
    for (let i = 0; i < count / inFlight; i++) {
      const pong = await from.ping(publicKey, endpoint)
      if (!pong.ok) throw new Error(pong.error.type)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, line))
  return (cpuUs() - before) / count
}

async function least(measure: (count: number) => Promise<number>): Promise<number> {
  await measure(5_000)
  const rounds = [await measure(20_000), await measure(20_000), await measure(20_000)]
  return Math.round(Math.min(...rounds) * 100) / 100
}

for (const kind of Object.keys(kinds)) {
  const us = await least((count) => measureEcho(kind, count))
  process.stdout.write(`${JSON.stringify({ kind, us })}\n`)
}
const homes = [await OverlayHome.create(), await OverlayHome.create()] as const
const hosts = [await homes[0].start(), await homes[1].start()] as const
// The handshake: only so many payloads wait for one.
await hosts[0].ping(hosts[1].info().publicKey, endpointOf(hosts[1]))
const us = await least((count) => measurePings(hosts[0], hosts[1], count))
process.stdout.write(`${JSON.stringify({ kind: 'sealed', us })}\n`)
for (const each of hosts) await each.stop()
for (const each of homes) each.remove()
