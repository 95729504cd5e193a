import {
  decodeStunMessage,
  type Endpoint,
  encodeStunMessage,
  formatEndpoint,
  type StunAttribute,
  stunAttribute,
  stunAttributes,
  stunEndpointAttribute,
} from '@miaou/protocol'
import { NatDetection, type NatFindings } from '../src/nat/nat-detection.ts'
import type { NatLimits } from '../src/nat/nat-limits.ts'
import { SeededRandom } from './identities.ts'

export type Behaviour = 'none' | 'endpoint' | 'address' | 'port'

export interface Nat {
  readonly mapping: Behaviour
  readonly filtering: Behaviour
}

/** A STUN server of the model. `other`: OTHER-ADDRESS, which it also answers from. */
export interface ModelServer {
  readonly endpoint: Endpoint
  readonly other?: Endpoint
  /** What it does instead of what it should. */
  readonly lie?:
    | { readonly type: 'mapped'; readonly mapped: Endpoint }
    | { readonly type: 'silent' }
    | { readonly type: 'other'; readonly other: Endpoint }
    | { readonly type: 'transaction' }
    | { readonly type: 'elsewhere'; readonly from: Endpoint }
    | { readonly type: 'error' }
    | { readonly type: 'no-address' }
    | { readonly type: 'ignores-change' }
}

export const local: Endpoint = { host: '10.0.0.2', port: 4000 }
export const publicHost = '203.0.113.101'

/** One home behind a NAT, and servers in the internet. Every datagram takes 10 ms each way. */
export class NatWorld {
  readonly sent: { readonly to: string; readonly socket: number }[] = []
  readonly engine: NatDetection
  readonly #nat: Nat
  readonly #servers: readonly ModelServer[]
  readonly #mappings = new Map<string, number>()
  readonly #open = new Set<string>()
  #now = 1_000
  #queue: { at: number; socket: 0 | 1; from: Endpoint; bytes: Uint8Array }[] = []

  constructor(nat: Nat, servers: readonly ModelServer[], limits: Partial<NatLimits> = {}) {
    this.#nat = nat
    this.#servers = servers
    this.engine = new NatDetection({
      random: new SeededRandom(1),
      servers: servers.map(({ endpoint }, index) => ({ url: `stun:${index}`, endpoint })),
      locals: [nat.mapping === 'none' ? { host: publicHost, port: local.port } : local],
      limits,
    })
  }

  get elapsedMs(): number {
    return this.#now - 1_000
  }

  run(): NatFindings {
    for (let step = 0; step < 10_000; step++) {
      const next = this.#queue.reduce((at, one) => Math.min(at, one.at), this.engine.deadline())
      if (next === Number.POSITIVE_INFINITY) return this.engine.findings()
      this.#now = Math.max(this.#now, next)
      const arrived = this.#queue.find(({ at }) => at <= this.#now)
      if (arrived !== undefined) this.#queue = this.#queue.filter((one) => one !== arrived)
      const now = { mono: this.#now, wall: 0 }
      const outputs = this.engine.handle(
        now,
        arrived === undefined ? { type: 'wake' } : { type: 'datagram', ...arrived },
      )
      for (const output of outputs) if (output.type === 'datagram') this.#leave(output.socket, output.to, output.bytes)
    }
    throw new Error('it does not end')
  }

  #leave(socket: 0 | 1, to: Endpoint, bytes: Uint8Array): void {
    this.sent.push({ to: formatEndpoint(to), socket })
    const mapped = this.#map(socket, to)
    this.#open.add(`${socket} ${to.host}`).add(`${socket} ${formatEndpoint(to)}`)
    for (const server of this.#servers) this.#serve(server, socket, mapped, to, bytes)
  }

  #map(socket: 0 | 1, to: Endpoint): Endpoint {
    const { mapping } = this.#nat
    if (mapping === 'none') return { host: publicHost, port: local.port + socket }
    const key = `${socket} ${mapping === 'endpoint' ? '' : mapping === 'address' ? to.host : formatEndpoint(to)}`
    const port = this.#mappings.get(key) ?? 50_000 + this.#mappings.size
    this.#mappings.set(key, port)
    return { host: publicHost, port }
  }

  #serve(
    { endpoint, other, lie }: ModelServer,
    socket: 0 | 1,
    mapped: Endpoint,
    to: Endpoint,
    bytes: Uint8Array,
  ): void {
    const own = other === undefined ? [endpoint] : corners(endpoint, other)
    if (!own.some((one) => formatEndpoint(one) === formatEndpoint(to))) return
    const request = decodeStunMessage(bytes)
    if (!request.ok || lie?.type === 'silent') return
    const flags =
      lie?.type === 'ignores-change' ? 0 : (stunAttribute(request.value, stunAttributes.changeRequest)?.[3] ?? 0)
    // A server without another address refuses to change.
    const isRefused = lie?.type === 'error' || (flags !== 0 && other === undefined)
    const { transaction } = request.value
    const toldOther = lie?.type === 'other' ? lie.other : other
    const attributes: StunAttribute[] = []
    if (lie?.type !== 'no-address') {
      const told = lie?.type === 'mapped' ? lie.mapped : mapped
      attributes.push(stunEndpointAttribute(stunAttributes.xorMappedAddress, told, transaction))
    }
    if (toldOther !== undefined) {
      attributes.push(stunEndpointAttribute(stunAttributes.otherAddress, toldOther, transaction))
    }
    const far = other ?? endpoint
    const from =
      lie?.type === 'elsewhere'
        ? lie.from
        : {
            host: (flags & 4) !== 0 ? (to.host === endpoint.host ? far.host : endpoint.host) : to.host,
            port: (flags & 2) !== 0 ? (to.port === endpoint.port ? far.port : endpoint.port) : to.port,
          }
    const answer = encodeStunMessage({
      ...request.value,
      class: isRefused ? 'error' : 'success',
      transaction: lie?.type === 'transaction' ? transaction.map((byte) => byte ^ 1) : transaction,
      attributes: isRefused ? [] : attributes,
    })
    this.#arrive(socket, isRefused ? to : from, answer)
  }

  #arrive(socket: 0 | 1, from: Endpoint, bytes: Uint8Array): void {
    const { filtering } = this.#nat
    const isOpen =
      filtering === 'none' ||
      filtering === 'endpoint' ||
      this.#open.has(`${socket} ${filtering === 'address' ? from.host : formatEndpoint(from)}`)
    if (isOpen) this.#queue.push({ at: this.#now + 20, socket, from, bytes })
  }
}

/** The four addresses of a server by RFC 5780. */
function corners(a: Endpoint, b: Endpoint): Endpoint[] {
  return [a.host, b.host].flatMap((host) => [a.port, b.port].map((port) => ({ host, port })))
}
