import {
  type AddressScope,
  contactKeySize,
  contactSizeV4,
  contactSizeV6,
  type Endpoint,
  encodeOverlayContact,
  endpointScope,
  isLoopback,
  isPrivate,
  isPublic,
  type OverlayClient,
  overlayContactsMax,
  overlayRendezvousMax,
  type PackedContacts,
  packEndpoint,
  packedEndpointSizeV4,
  parseEndpoint,
  unpackEndpoint,
} from '@miaou/protocol'

/** The own node of the overlay, as linked contacts may be told of it. */
export interface OwnOverlayNode {
  /** X25519, 32 bytes. */
  readonly publicKey: Uint8Array
  /** Addresses of this machine at which its sockets receive. */
  readonly endpoints: readonly Endpoint[]
  /** Where others see it; undefined: nobody has told yet. */
  readonly observed: Endpoint | undefined
  /** Whether others may keep it in their tables. */
  readonly isServer: boolean
  /** Servers through which it is reached from behind a NAT; missing: none. */
  readonly rendezvous?: OverlayClient['rendezvous']
}

/** A node that a contact said is its own: a claim, proven only by the handshake with it. */
export interface OverlayHint {
  /** X25519, 32 bytes. */
  readonly publicKey: Uint8Array
  readonly endpoint: Endpoint
}

/** Where a link goes. */
export interface LinkPlace {
  readonly scope: AddressScope
  /** Undefined where the transport does not tell, and for names. */
  readonly remote: Endpoint | undefined
}

const scopeRanks: Readonly<Record<AddressScope, number>> = { loopback: 0, private: 1, public: 2 }

/** `address`: as dialled, or where the other end came from (`ws://192.168.1.7:9999`). What is no address may be anywhere. */
export function placeOfLink(address: string | undefined): LinkPlace {
  const [, hostAndPort = ''] = /^wss?:\/\/([^/]+)/.exec(address ?? '') ?? []
  const remote = parseEndpoint(hostAndPort)
  return { remote, scope: (remote && endpointScope(remote)) ?? 'public' }
}

/**
 * Payload of the `overlayContact` frame for a link, or undefined when no endpoint of the node can be reached from there.
 * To the world outside only a server is told of: nobody could reach another.
 */
export function ownContactFor(node: OwnOverlayNode, place: LinkPlace): Uint8Array | undefined {
  const endpoints = endpointsFor(node, place).slice(0, overlayContactsMax)
  return endpoints.length === 0 ? undefined : encodeOverlayContact(pack(node.publicKey, endpoints))
}

/** The same for whoever reads it anywhere: undefined for a node that strangers do not reach. */
export function ownContactForWorld(node: OwnOverlayNode): Uint8Array | undefined {
  return ownContactFor(node, { scope: 'public', remote: undefined })
}

/** How a node behind a NAT is reached, for whoever reads it anywhere; undefined where nobody passes punches on to it. */
export function ownClientForWorld({ publicKey, rendezvous = [] }: OwnOverlayNode): OverlayClient | undefined {
  const servers = rendezvous.filter(({ endpoint }) => isPublic(endpoint)).slice(0, overlayRendezvousMax)
  return servers.length === 0 ? undefined : { publicKey, rendezvous: servers }
}

/**
 * The nodes named in a frame that came over a link. Left out is what cannot be meant for us: an address of the other's
 * machine or network heard from outside would make us knock at our own.
 */
export function hintsFrom({ v4, v6 }: PackedContacts, { scope }: LinkPlace): OverlayHint[] {
  const hints: OverlayHint[] = []
  for (const [packed, size, family] of [[v4, contactSizeV4, 4] as const, [v6, contactSizeV6, 6] as const]) {
    for (let at = 0; at < packed.length; at += size) {
      const endpoint = unpackEndpoint(packed, at + contactKeySize, family)
      const hintScope = endpoint && endpointScope(endpoint)
      if (endpoint === undefined || hintScope === undefined || scopeRanks[hintScope] < scopeRanks[scope]) continue
      hints.push({ publicKey: packed.slice(at, at + contactKeySize), endpoint })
    }
  }
  return hints
}

function endpointsFor({ endpoints, observed, isServer }: OwnOverlayNode, { scope, remote }: LinkPlace): Endpoint[] {
  const own = nearestFirst(endpoints, remote)
  if (scope === 'loopback') {
    const here = own.filter(isLoopback)
    return here.length > 0 ? here : own
  }
  if (scope === 'private') return [...own.filter(isPrivate), ...own.filter(isPublic)]
  if (!isServer) return []
  const seen = observed !== undefined && isPublic(observed) ? [observed] : []
  const others = own.filter(
    (endpoint) =>
      isPublic(endpoint) && !seen.some(({ host, port }) => host === endpoint.host && port === endpoint.port),
  )
  return [...seen, ...others]
}

/** Of several networks of a machine the one where the other end is comes first. */
function nearestFirst(endpoints: readonly Endpoint[], remote: Endpoint | undefined): Endpoint[] {
  const target = remote && packEndpoint(remote)
  if (target === undefined) return [...endpoints]
  return endpoints
    .map((endpoint) => ({ endpoint, bits: sharedBits(packEndpoint(endpoint), target) }))
    .sort((a, b) => b.bits - a.bits)
    .map(({ endpoint }) => endpoint)
}

/** Leading bits that two addresses share; -1 for those of different families. */
function sharedBits(a: Uint8Array | undefined, b: Uint8Array): number {
  if (a?.length !== b.length) return -1
  // The last two bytes are the port.
  for (let i = 0; i < b.length - 2; i++) {
    const difference = (a[i] as number) ^ (b[i] as number)
    if (difference !== 0) return 8 * i + Math.clz32(difference) - 24
  }
  return 8 * (b.length - 2)
}

function pack(publicKey: Uint8Array, endpoints: readonly Endpoint[]): PackedContacts {
  const packed = endpoints.map(packEndpoint).filter((endpoint) => endpoint !== undefined)
  const join = (isV4: boolean): Uint8Array => {
    const ofFamily = packed.filter(({ length }) => (length === packedEndpointSizeV4) === isV4)
    const size = isV4 ? contactSizeV4 : contactSizeV6
    const bytes = new Uint8Array(ofFamily.length * size)
    for (const [index, endpoint] of ofFamily.entries()) {
      bytes.set(publicKey, index * size)
      bytes.set(endpoint, index * size + contactKeySize)
    }
    return bytes
  }
  return { v4: join(true), v6: join(false) }
}
