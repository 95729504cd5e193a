import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { bytesToHex } from '@miaou/core'
import { type Endpoint, formatEndpoint, isLoopback, parseEndpoint } from '@miaou/protocol'
import { type BootstrapNode, parseBootstrapAddress } from './bootstrap-node.ts'
import type { NodeAddress } from './saved-contacts.ts'

/** IP addresses of a host name; throws where there are none. */
export type LookupHost = (host: string) => Promise<readonly string[]>

export interface ResolveOptions {
  readonly lookup: LookupHost
  /** Talk to this machine only: other addresses are left out, and no name but `localhost` is looked up. */
  readonly loopbackOnly: boolean
  /** A name that the resolver does not answer within this time counts as unresolved. */
  readonly timeoutMs: number
  readonly addressesMax: number
}

/** 5 s: what resolvers wait for one server (resolv.conf(5)). 64: guess, twice what one bootstrap asks. */
export const defaultResolveOptions: ResolveOptions = {
  lookup: systemLookup,
  loopbackOnly: false,
  timeoutMs: 5_000,
  addressesMax: 64,
}

export interface Resolved {
  readonly addresses: readonly NodeAddress[]
  /** Entries behind which no address stands at present. */
  readonly unresolved: number
}

/** Addresses of one name that are used. Guess: two of each family. */
const addressesPerNameMax = 4
/** Names looked up at a time: each may hold a thread of Node's pool of four. */
const lookupsMax = 2

/**
 * Where the nodes of a list are now, the most reliable and the last seen first. Never fails: a name without an address,
 * or with a resolver that stays silent, is counted.
 */
export async function resolveNodes(
  nodes: readonly BootstrapNode[],
  options: Partial<ResolveOptions> = {},
): Promise<Resolved> {
  const used = { ...defaultResolveOptions, ...options }
  const entries = [...nodes]
    .sort((a, b) => b.reliabilityScore - a.reliabilityScore || (b.lastSeen ?? 0) - (a.lastSeen ?? 0))
    .flatMap(({ publicKey, addresses }) => addresses.map((address) => ({ publicKey, address })))
  const endpoints: (readonly Endpoint[])[] = new Array(entries.length).fill([])
  let next = 0
  const work = async (): Promise<void> => {
    for (let at = next++; at < entries.length; at = next++) {
      endpoints[at] = await resolveAddress(entries[at]?.address ?? '', used)
    }
  }
  await Promise.all(Array.from({ length: lookupsMax }, work))
  const found = new Map<string, NodeAddress>()
  for (const [at, { publicKey }] of entries.entries()) {
    for (const endpoint of endpoints[at] ?? []) {
      found.set(`${bytesToHex(publicKey)}@${formatEndpoint(endpoint)}`, { publicKey, endpoint })
    }
  }
  return {
    addresses: [...found.values()].slice(0, used.addressesMax),
    unresolved: endpoints.filter((list) => list.length === 0).length,
  }
}

async function resolveAddress(text: string, options: ResolveOptions): Promise<Endpoint[]> {
  const address = parseBootstrapAddress(text)
  if (address === undefined) return []
  const { host, port } = address
  const { loopbackOnly } = options
  const isName = isIP(host) === 0
  if (isName && loopbackOnly && host.toLowerCase() !== 'localhost') return []
  const hosts = isName ? await withinTime(options.lookup(host), options.timeoutMs) : [host]
  return hosts
    .slice(0, addressesPerNameMax)
    .map((each) => parseEndpoint(formatEndpoint({ host: each, port })))
    .filter((endpoint) => endpoint !== undefined)
    .filter((endpoint) => isLoopback(endpoint) || !loopbackOnly)
}

function withinTime(looking: Promise<readonly string[]>, timeoutMs: number): Promise<readonly string[]> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve([]), timeoutMs)
    looking
      .catch(() => [])
      .then((hosts) => {
        clearTimeout(timer)
        resolve(hosts)
      })
  })
}

async function systemLookup(host: string): Promise<readonly string[]> {
  const found = await lookup(host, { all: true })
  return found.map(({ address }) => address)
}
