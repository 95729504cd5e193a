/**
 * The helper in a host's namespace: `node agent.ts SOCKET`. It leads connections to SOCKET (a path) to ports of the host's
 * loopback, and does small experiments that its parent asks for over IPC. Nothing of the product is in it.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { connect, createServer, type Socket } from 'node:net'
import type { AgentRequest, AgentResults, Endpoint, Observation } from './agent-words.ts'

/** One question of an observation: `from` is the reflector's socket that shall answer, of four. */
interface Question {
  readonly observation: number
  readonly from: number
}

/** How long an experiment waits for what may never come, where order cannot tell, ms (own choice: a hundred times the
 * longest way through an undelayed lab). */
const patienceMs = 1_000

const arrivedByObservation = new Map<number, number>()
const heardByPort = new Map<number, number>()
const listeners = new Map<number, UdpSocket>()
let flooding: { readonly socket: Socket; bytes: number } | undefined

function openUdp(address: string | undefined, port: number): Promise<UdpSocket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(address?.includes(':') ? 'udp6' : 'udp4')
    socket.once('error', reject)
    socket.bind(port, address, () => {
      socket.off('error', reject)
      // What is refused on the way is told as an error of the socket; experiments look at what arrives.
      socket.on('error', () => undefined)
      resolve(socket)
    })
  })
}

/** The four sockets of a reflector, in the order of RFC 5780: the asked one, other port, other address, both. */
function corners(addresses: readonly [string, string], ports: readonly [number, number]): readonly Endpoint[] {
  return addresses.flatMap((address) => ports.map((port) => ({ address, port })))
}

/** Servers that are here already: whoever asks for one again has it. */
const servers = new Set<string>()

function isNew(server: string): boolean {
  const before = servers.size
  return servers.add(server).size > before
}

async function reflect(addresses: readonly [string, string], ports: readonly [number, number]): Promise<null> {
  const places = corners(addresses, ports)
  if (!isNew(`udp ${JSON.stringify(places)}`)) return null
  const sockets = await Promise.all(places.map(({ address, port }) => openUdp(address, port)))
  for (const socket of sockets) {
    socket.on('message', (bytes, { address, port }) => {
      const { observation, from } = JSON.parse(bytes.toString()) as Question
      arrivedByObservation.set(observation, (arrivedByObservation.get(observation) ?? 0) + 1)
      sockets[from]?.send(JSON.stringify({ from, mapped: { address, port } }), port, address)
    })
  }
  await answer(places[0] as Endpoint)
  return null
}

/** Tells whoever asks over TCP what it is called here, and how many datagrams of its observation have come. */
async function answer(at: Endpoint): Promise<null> {
  if (!isNew(`tcp ${JSON.stringify(at)}`)) return null
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', (bytes) => {
      const observation = Number(bytes.toString())
      socket.end(JSON.stringify({ seenAs: socket.remoteAddress, arrived: arrivedByObservation.get(observation) ?? 0 }))
    })
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(at.port, at.address, () => resolve(null))
  })
}

/** Asks over TCP what the reflector has seen: it answers after all it was sent before on the same path. */
function askOverTcp(to: Endpoint, observation: number, withinMs: number): Promise<{ seenAs: string; arrived: number }> {
  return new Promise((resolve, reject) => {
    const socket = connect(to.port, to.address, () => socket.write(`${observation}`))
    const timer = setTimeout(() => socket.destroy(new Error('no answer')), withinMs)
    let said = ''
    socket.on('data', (chunk) => {
      said += chunk
    })
    socket.once('error', reject)
    socket.once('close', () => {
      clearTimeout(timer)
      if (said !== '') resolve(JSON.parse(said))
      else reject(new Error('closed'))
    })
  })
}

async function observe(addresses: readonly [string, string], ports: readonly [number, number]): Promise<Observation> {
  const places = corners(addresses, ports)
  const observation = Number(process.hrtime.bigint() % 2n ** 48n)
  const socket = await openUdp(undefined, 0)
  const mapped: (Endpoint | undefined)[] = places.map(() => undefined)
  const arrivals: ((from: number) => void)[] = []
  const came = new Set<number>()
  socket.on('message', (bytes) => {
    const answer = JSON.parse(bytes.toString()) as { from: number; mapped: Endpoint }
    mapped[answer.from] ??= answer.mapped
    came.add(answer.from)
    for (const arrival of arrivals) arrival(answer.from)
  })
  /** Asks place `to` for answers from some of the places; done when the last of them came, or nothing did in time. */
  const ask = (to: number, froms: readonly number[]): Promise<void> => {
    const place = places[to] as Endpoint
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, patienceMs)
      arrivals.push((from) => {
        if (from !== froms.at(-1)) return
        clearTimeout(timer)
        resolve()
      })
      for (const from of froms) socket.send(JSON.stringify({ observation, from }), place.port, place.address)
    })
  }
  // The filters first, from a port that has spoken to one place only. The last answer comes the allowed way, and after the
  // others: when it is here, what is missing was filtered.
  await ask(0, [3, 1, 0])
  const fromOtherAddress = came.has(3)
  const fromOtherPort = came.has(1)
  mapped.fill(undefined)
  arrivals.length = 0
  if (came.size > 0) for (const place of places.keys()) await ask(place, [place])
  const { arrived } = await askOverTcp(places[0] as Endpoint, observation, patienceMs)
  socket.close()
  return { mapped, fromOtherAddress, fromOtherPort, arrived }
}

const handlers: { readonly [K in keyof AgentResults]: (request: Extract<AgentRequest, { type: K }>) => unknown } = {
  reflect: ({ addresses, ports }) => reflect(addresses, ports),
  observe: ({ addresses, ports }) => observe(addresses, ports),
  answer: ({ at }) => answer(at),
  dial: async ({ to, withinMs }) => {
    try {
      const { seenAs } = await askOverTcp(to, 0, withinMs)
      return { opened: true, seenAs }
    } catch {
      return { opened: false, seenAs: undefined }
    }
  },
  sink: ({ at }) =>
    new Promise((resolve, reject) => {
      const server = createServer((socket) => socket.on('error', () => undefined).resume())
      server.once('error', reject)
      server.listen(at.port, at.address, () => resolve(null))
    }),
  flood: ({ to }) =>
    new Promise((resolve, reject) => {
      const socket = connect(to.port, to.address, () => resolve(null))
      const flow = { socket, bytes: 0 }
      flooding = flow
      const block = new Uint8Array(65_536)
      const write = () => {
        flow.bytes += block.length
        while (!socket.destroyed && socket.write(block)) flow.bytes += block.length
      }
      socket.once('error', reject)
      socket.on('connect', write)
      socket.on('drain', write)
    }),
  still: () => {
    const bytes = flooding?.bytes ?? 0
    flooding?.socket.destroy()
    flooding = undefined
    return bytes
  },
  throw: async ({ to, from }) => {
    const socket = listeners.get(from) ?? (await openUdp(undefined, from))
    await new Promise((resolve) => socket.send('thrown', to.port, to.address, resolve))
    if (!listeners.has(from)) socket.close()
    return null
  },
  listen: async ({ port }) => {
    const socket = await openUdp(undefined, port)
    socket.on('message', () => heardByPort.set(port, (heardByPort.get(port) ?? 0) + 1))
    listeners.set(port, socket)
    return null
  },
  heard: ({ port }) => heardByPort.get(port) ?? 0,
}

process.on('message', async ({ id, request }: { id: number; request: AgentRequest }) => {
  try {
    // Each handler is keyed by the type of the requests it takes.
    const handle = handlers[request.type] as (request: AgentRequest) => unknown
    process.send?.({ id, result: await handle(request) })
  } catch (error) {
    process.send?.({ id, error: error instanceof Error ? error.message : String(error) })
  }
})
process.on('disconnect', () => process.exit(0))

createServer((socket) => {
  socket.on('error', () => undefined)
  socket.once('data', (first) => {
    // What follows waits for the other end.
    socket.pause()
    const end = first.indexOf(10)
    const inside = connect(Number(first.subarray(0, end).toString()), '127.0.0.1', () => {
      inside.write(first.subarray(end + 1))
      socket.pipe(inside).pipe(socket)
    })
    inside.on('error', () => socket.destroy())
    inside.on('close', () => socket.destroy())
    socket.on('close', () => inside.destroy())
  })
}).listen(process.argv[2], () => process.send?.('ready'))
