import { bytesToHex, type TokenBucket } from '@miaou/core'
import {
  type AddressScope,
  addressScope,
  packAddress,
  packedEndpointSizeV4,
  packedEndpointSizeV6,
} from '@miaou/protocol'

/** Those behind one address, as far as limits go: an IPv4 address, or the /64 that one IPv6 host can fill by itself. */
export interface AddressGroup {
  clients: number
  reservations: number
  circuits: number
  services: number
  /** Services that are being dialled. */
  serviceDials: number
  /** How often services may be dialled; undefined before the first one. */
  serviceDialRate: TokenBucket | undefined
  /** Sent into circuits since the day began. */
  bytesToday: number
}

/** Where a client is. */
export interface ClientAddress {
  /** Packed endpoint; empty where a proxy hides it, and on this machine. */
  readonly observed: Uint8Array
  /** What its group is called; undefined for a client of this machine, which is a group by itself. */
  readonly group: string | undefined
  /** How near it is; what cannot be told counts as far. */
  readonly scope: AddressScope
}

const nothing = new Uint8Array(0)

/** Reads `ws://203.0.113.5:4000` and `ws://[2001:db8::1]:0`, as transports write it; port 0: not known. */
export function parseClientAddress(remoteAddress: string): ClientAddress {
  const match = /^wss?:\/\/(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(remoteAddress)
  const port = Number(match?.[3])
  const packed = new Uint8Array(packedEndpointSizeV6)
  const size = match === null ? 0 : packAddress(match[1] ?? match[2] ?? '', port === 0 ? 1 : port, packed, 0)
  if (size === 0) return { observed: nothing, group: undefined, scope: 'public' }
  const family = size === packedEndpointSizeV4 ? 4 : 6
  const scope = addressScope(packed, 0, family) ?? 'public'
  if (scope === 'loopback') return { observed: nothing, group: undefined, scope }
  const group = bytesToHex(packed.subarray(0, family === 4 ? 4 : 8))
  return { observed: port === 0 ? nothing : packed.slice(0, size), group, scope }
}

function newGroup(): AddressGroup {
  const counts = { clients: 0, reservations: 0, circuits: 0, services: 0, serviceDials: 0 }
  return { ...counts, serviceDialRate: undefined, bytesToday: 0 }
}

/** The address groups that have clients, and those that had some today. */
export class AddressGroups {
  readonly #groupsMax: number
  /** Those without a client come first: who left is moved to the end of them. */
  readonly #idle = new Map<string, AddressGroup>()
  readonly #busy = new Map<string, AddressGroup>()

  constructor(groupsMax: number) {
    this.#groupsMax = groupsMax
  }

  get size(): number {
    return this.#idle.size + this.#busy.size
  }

  /** The group of a client that has just come; undefined: of this machine. */
  enter(name: string | undefined): AddressGroup {
    const known = name === undefined ? undefined : (this.#busy.get(name) ?? this.#idle.get(name))
    const group = known ?? newGroup()
    group.clients += 1
    if (name !== undefined) {
      this.#idle.delete(name)
      this.#busy.set(name, group)
    }
    return group
  }

  leave(name: string | undefined, group: AddressGroup): void {
    group.clients -= 1
    if (name === undefined || group.clients > 0) return
    this.#busy.delete(name)
    // Who comes back has not gained anything by leaving.
    if (group.bytesToday === 0 && group.serviceDialRate === undefined) return
    this.#idle.set(name, group)
    for (const [oldest] of this.#idle) {
      if (this.#idle.size <= this.#groupsMax) break
      this.#idle.delete(oldest)
    }
  }

  countOf(name: string | undefined): number {
    return name === undefined ? 0 : (this.#busy.get(name)?.clients ?? 0)
  }

  newDay(): void {
    this.#idle.clear()
    for (const group of this.#busy.values()) group.bytesToday = 0
  }
}
