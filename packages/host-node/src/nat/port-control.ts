import { createSocket, type Socket } from 'node:dgram'
import { equalBytes } from '@miaou/core'
import { type Endpoint, packAddress, packedEndpointSizeV6, unpackEndpoint } from '@miaou/protocol'

/** One port of ours that the router should pass on. */
export interface PortToMap {
  readonly protocol: 'tcp' | 'udp'
  readonly port: number
}

/** What a router passes on to us. */
export interface MappedPort extends PortToMap {
  /** Where others reach it. */
  readonly external: Endpoint
  /** Until the router forgets it. */
  readonly lifetimeS: number
}

/** Asks one router in one way. Every call resolves, to undefined where the router does not do it. */
export interface PortMappingProtocol {
  readonly name: 'pcp' | 'nat-pmp' | 'upnp'
  map(port: PortToMap, lifetimeS: number): Promise<MappedPort | undefined>
  unmap(port: PortToMap): Promise<void>
}

/** The port of NAT-PMP and PCP servers (RFC 6886 §3.1, RFC 6887 §19.1). */
export const portControlPort = 5351

export interface PortControlOptions {
  /** The router's IPv4 address. */
  readonly gateway: string
  /** Own address in its network. */
  readonly local: string
  /** 12 random bytes, kept as long as the mappings are (RFC 6887 §11.2). */
  readonly nonce: Uint8Array
  readonly port?: number
  /** First repetition, doubled each time (RFC 6886 §3.1: 250 ms). */
  readonly rtoMs?: number
  /** Requests sent. RFC 6886 says nine, two minutes; own choice: three, most routers speak neither. */
  readonly requestsMax?: number
}

const natPmpOpcodes = { udp: 1, tcp: 2 } as const
const ipProtocols = { udp: 17, tcp: 6 } as const
const pcpSize = 60

/** Port Control Protocol, MAP (RFC 6887 §11). */
export function createPcp(options: PortControlOptions): PortMappingProtocol {
  const ask = async (port: PortToMap, lifetimeS: number): Promise<MappedPort | undefined> => {
    const request = encodePcp(options, port, lifetimeS)
    const isAnswer = (bytes: Uint8Array) => bytes[0] === 2 && bytes[1] === 0x81 && isPcpFor(bytes, request)
    // A server of NAT-PMP answers in its own version: no need to ask again.
    const answer = await exchange(options, request, (bytes) => isAnswer(bytes) || bytes[0] === 0)
    return answer === undefined || !isAnswer(answer) ? undefined : readPcp(answer, port)
  }
  return {
    name: 'pcp',
    map: ask,
    unmap: async (port) => {
      await ask(port, 0)
    },
  }
}

/** NAT Port Mapping Protocol (RFC 6886). */
export function createNatPmp(options: PortControlOptions): PortMappingProtocol {
  const ask = async (port: PortToMap, lifetimeS: number): Promise<MappedPort | undefined> => {
    const opcode = natPmpOpcodes[port.protocol]
    const request = new Uint8Array(12)
    const view = new DataView(request.buffer)
    request[1] = opcode
    view.setUint16(4, port.port)
    if (lifetimeS > 0) view.setUint16(6, port.port)
    view.setUint32(8, lifetimeS)
    const isAnswer = (bytes: Uint8Array) =>
      bytes.length >= 16 && bytes[0] === 0 && bytes[1] === 128 + opcode && u16(bytes, 8) === port.port
    const answer = await exchange(options, request, isAnswer)
    if (answer === undefined || u16(answer, 2) !== 0 || lifetimeS === 0) return undefined
    const address = await exchange(
      options,
      new Uint8Array(2),
      (bytes) => bytes.length >= 12 && bytes[0] === 0 && bytes[1] === 128,
    )
    if (address === undefined || u16(address, 2) !== 0) return undefined
    const external = unpackEndpoint(Uint8Array.of(...address.slice(8, 12), ...answer.slice(10, 12)), 0, 4)
    const granted = u32(answer, 12)
    return external === undefined || granted === 0 ? undefined : { ...port, external, lifetimeS: granted }
  }
  return {
    name: 'nat-pmp',
    map: ask,
    unmap: async (port) => {
      await ask(port, 0)
    },
  }
}

function encodePcp({ local, nonce }: PortControlOptions, port: PortToMap, lifetimeS: number): Uint8Array {
  const request = new Uint8Array(pcpSize)
  const view = new DataView(request.buffer)
  request[0] = 2
  request[1] = 1
  view.setUint32(4, lifetimeS)
  request.set(mappedIpv6(local), 8)
  request.set(nonce.subarray(0, 12), 24)
  request[36] = ipProtocols[port.protocol]
  view.setUint16(40, port.port)
  view.setUint16(42, lifetimeS > 0 ? port.port : 0)
  request.set(mappedIpv6('0.0.0.0'), 44)
  return request
}

/** Same nonce, protocol and internal port. */
function isPcpFor(bytes: Uint8Array, request: Uint8Array): boolean {
  return bytes.length >= pcpSize && equalBytes(bytes.subarray(24, 42), request.subarray(24, 42))
}

function readPcp(bytes: Uint8Array, port: PortToMap): MappedPort | undefined {
  const lifetimeS = u32(bytes, 4)
  if (bytes[3] !== 0 || lifetimeS === 0) return undefined
  const isIpv4 = equalBytes(bytes.subarray(44, 56), mappedIpv6('0.0.0.0').subarray(0, 12))
  const host = bytes.slice(isIpv4 ? 56 : 44, pcpSize)
  const external = unpackEndpoint(Uint8Array.of(...host, ...bytes.slice(42, 44)), 0, isIpv4 ? 4 : 6)
  return external === undefined ? undefined : { ...port, external, lifetimeS }
}

/** An IPv4 address as RFC 6887 §5 carries it. */
function mappedIpv6(host: string): Uint8Array {
  const bytes = new Uint8Array(16)
  bytes.fill(0xff, 10, 12)
  const packed = new Uint8Array(packedEndpointSizeV6)
  if (packAddress(host, 1, packed, 0) === 6) bytes.set(packed.subarray(0, 4), 12)
  return bytes
}

/** The first answer of the router itself that `isAnswer` takes. */
function exchange(
  { gateway, port = portControlPort, rtoMs = 250, requestsMax = 3 }: PortControlOptions,
  request: Uint8Array,
  isAnswer: (bytes: Uint8Array) => boolean,
): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    const socket: Socket = createSocket('udp4')
    let timer: NodeJS.Timeout | undefined
    let isDone = false
    const finish = (answer: Uint8Array | undefined) => {
      if (isDone) return
      isDone = true
      clearTimeout(timer)
      socket.close()
      resolve(answer)
    }
    const send = (count: number) => {
      if (isDone) return
      if (count === requestsMax) return finish(undefined)
      socket.send(request, () => undefined)
      timer = setTimeout(() => send(count + 1), rtoMs * 2 ** count)
    }
    // The system drops what does not come from there, and tells when nobody listens.
    socket.on('error', () => finish(undefined))
    socket.on('message', (bytes) => {
      const answer = Uint8Array.from(bytes)
      if (isAnswer(answer)) finish(answer)
    })
    socket.connect(port, gateway, () => send(0))
  })
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
}

function u32(bytes: Uint8Array, at: number): number {
  return ((u16(bytes, at) << 16) | u16(bytes, at + 2)) >>> 0
}
