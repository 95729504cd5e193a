import type { Endpoint } from '../../../packages/protocol/src/overlay/endpoint.ts'

/**
 * What stands between a node and the world. `open`: nothing. `wall`: a firewall that lets in answers only. The others
 * are the NATs of RFC 3489 §5: full cone, restricted by address or port, and one that maps each destination apart.
 */
export type NatKind = 'open' | 'full' | 'addr' | 'port' | 'sym' | 'wall'

export const natKinds: readonly NatKind[] = ['open', 'full', 'addr', 'port', 'sym', 'wall']

/** Those that let strangers in, as long as the mapping lives. */
export function letsStrangersIn(kind: NatKind): boolean {
  return kind === 'open' || kind === 'full'
}

/** Whether two nodes can reach each other by sending at the same time. */
export function canPunch(a: NatKind, b: NatKind): boolean {
  const isNarrow = (kind: NatKind) => kind === 'port' || kind === 'wall' || kind === 'sym'
  return !((a === 'sym' && isNarrow(b)) || (b === 'sym' && isNarrow(a)))
}

interface Mapping {
  readonly port: number
  readonly inside: Endpoint
  /** Last datagram out, virtual ms. */
  usedAt: number
  /** By whom may answer (an address, or an address and port): the last datagram out to there. */
  readonly allowed: Map<string, number>
}

/** ms after which a mapping, or a hole in a filter, is closed when nothing goes out: the shortest seen in the field. */
const idleMs = 30_000

/** Packets through a NAT or firewall of one household. */
export class NatBox {
  readonly kind: NatKind
  /** The address that the world sees. */
  readonly host: string
  readonly #byName = new Map<string, Mapping>()
  readonly #byPort = new Map<number, Mapping>()
  #nextPort: number

  /** `firstPort`: of the first mapping; those of destinations follow. */
  constructor(kind: NatKind, host: string, firstPort: number) {
    this.kind = kind
    this.host = host
    this.#nextPort = firstPort
  }

  /** Where a datagram that leaves seems to come from. */
  out(now: number, from: Endpoint, to: Endpoint): Endpoint {
    if (this.kind === 'open') return from
    const name = this.kind === 'sym' ? `${from.port} ${to.host} ${to.port}` : `${from.port}`
    let mapping = this.#byName.get(name)
    if (mapping === undefined || now - mapping.usedAt >= idleMs) {
      if (mapping !== undefined) this.#byPort.delete(mapping.port)
      const port = this.kind === 'wall' ? from.port : this.#nextPort++
      mapping = { port, inside: from, usedAt: now, allowed: new Map() }
      this.#byName.set(name, mapping)
      this.#byPort.set(port, mapping)
    }
    mapping.usedAt = now
    mapping.allowed.set(to.host, now)
    mapping.allowed.set(`${to.host} ${to.port}`, now)
    return { host: this.host, port: mapping.port }
  }

  /** To whom a datagram from outside goes; undefined: it is dropped. */
  in(now: number, from: Endpoint, to: Endpoint): Endpoint | undefined {
    if (this.kind === 'open') return to
    const mapping = this.#byPort.get(to.port)
    if (mapping === undefined || now - mapping.usedAt >= idleMs) return undefined
    if (this.kind === 'full') return mapping.inside
    const sentAt = mapping.allowed.get(this.kind === 'addr' ? from.host : `${from.host} ${from.port}`)
    return sentAt !== undefined && now - sentAt < idleMs ? mapping.inside : undefined
  }
}
