import { type Endpoint, endpointScope, formatEndpoint } from '@miaou/protocol'
import type { ConnectivityReport } from './interface.ts'

/** What one server's tests showed. Own addresses as it and its other address saw them, and what came through. */
export interface ServerFindings {
  readonly endpoint: Endpoint
  mapped?: Endpoint
  /** OTHER-ADDRESS, where it can be believed. */
  other?: Endpoint
  mappedAtOtherHost?: Endpoint | undefined
  mappedAtOtherPort?: Endpoint | undefined
  /** Whether an answer from its other address and port came through; undefined where it cannot tell. */
  reachedFromOtherHost?: boolean | undefined
  reachedFromOtherPort?: boolean | undefined
}

type Mapping = ConnectivityReport['mapping']
type Filtering = ConnectivityReport['filtering']

export interface MappingJudgement<S> {
  readonly mapping: Mapping
  readonly mapped?: Endpoint
  /** Servers that say something else than the majority. */
  readonly odd: ReadonlySet<S>
}

interface Group<S> {
  readonly mapped: Endpoint
  readonly servers: S[]
  readonly hosts: Set<string>
}

/**
 * RFC 5780 §4.3, over several servers: two hosts that see one address outweigh any single server (spec/nat.md). Servers
 * of a LAN count only where no server of the internet answers: they see us in front of the NAT.
 */
export function judgeMapping<S extends ServerFindings>(
  servers: readonly S[],
  locals: readonly Endpoint[],
): MappingJudgement<S> {
  const answering = widest(servers.filter(({ mapped }) => mapped !== undefined))
  const groups = groupByMapped(answering)
  const [first, second] = groups
  if (first === undefined) return { mapping: 'unknown', odd: new Set() }
  const isLocal = ({ mapped }: Group<S>) => locals.some((local) => formatEndpoint(local) === formatEndpoint(mapped))
  if (second === undefined || first.hosts.size > second.hosts.size) {
    const odd = new Set(groups.slice(1).flatMap((group) => group.servers))
    const { mapped } = first
    if (isLocal(first)) return { mapping: 'none', mapped, odd }
    if (first.hosts.size > 1) return { mapping: 'endpoint-independent', mapped, odd }
    return { mapping: first.servers.map(ownMapping).find((own) => own !== 'unknown') ?? 'unknown', mapped, odd }
  }
  const hosts = new Set(answering.map(({ endpoint }) => endpoint.host))
  // As many hosts say one thing as another: nobody can be believed.
  if (first.hosts.size > 1) return { mapping: 'unknown', odd: new Set(answering) }
  if (hosts.size === 2) {
    // One of two says that there is no NAT: it could not know our own address otherwise.
    const local = groups.find(isLocal)
    if (local !== undefined) {
      const odd = new Set(answering.filter((server) => !local.servers.includes(server)))
      return { mapping: 'none', mapped: local.mapped, odd }
    }
    const contradicts = answering.some((server) => ownMapping(server) === 'endpoint-independent')
    if (contradicts) return { mapping: 'unknown', odd: new Set(answering) }
  }
  const own = answering.map(ownMapping).find((mapping) => mapping === 'address-dependent')
  return { mapping: own ?? 'address-and-port-dependent', mapped: first.mapped, odd: new Set() }
}

/**
 * RFC 5780 §4.4. What came through is proof, whoever sent it; silence is none where the other address may be dead. So the
 * most permissive result counts.
 */
export function judgeFiltering<S extends ServerFindings>(
  servers: readonly S[],
  odd: ReadonlySet<S>,
  mapping: Mapping,
): Filtering {
  const results = servers.filter((server) => !odd.has(server)).map(ownFiltering)
  if (results.includes('endpoint-independent')) return mapping === 'none' ? 'none' : 'endpoint-independent'
  return (
    results.find((result) => result === 'address-dependent') ??
    results.find((result) => result === 'address-and-port-dependent') ??
    'unknown'
  )
}

function ownMapping({ mapped, mappedAtOtherHost, mappedAtOtherPort }: ServerFindings): Mapping {
  if (mapped === undefined || mappedAtOtherHost === undefined) return 'unknown'
  if (formatEndpoint(mapped) === formatEndpoint(mappedAtOtherHost)) return 'endpoint-independent'
  if (mappedAtOtherPort === undefined) return 'unknown'
  return formatEndpoint(mappedAtOtherHost) === formatEndpoint(mappedAtOtherPort)
    ? 'address-dependent'
    : 'address-and-port-dependent'
}

function ownFiltering(server: ServerFindings): Filtering {
  if (server.reachedFromOtherHost === true) return 'endpoint-independent'
  if (server.reachedFromOtherPort === true) return 'address-dependent'
  const isTested = server.reachedFromOtherHost === false && server.reachedFromOtherPort === false
  return isTested && server.mappedAtOtherHost !== undefined ? 'address-and-port-dependent' : 'unknown'
}

/** The groups of servers that see the same address, those of the most hosts first. */
function groupByMapped<S extends ServerFindings>(servers: readonly S[]): Group<S>[] {
  const groups = new Map<string, Group<S>>()
  for (const server of servers) {
    const { mapped } = server
    if (mapped === undefined) continue
    const key = formatEndpoint(mapped)
    const group = groups.get(key) ?? { mapped, servers: [], hosts: new Set<string>() }
    group.servers.push(server)
    group.hosts.add(server.endpoint.host)
    groups.set(key, group)
  }
  return [...groups.values()].sort((a, b) => b.hosts.size - a.hosts.size)
}

function widest<S extends ServerFindings>(servers: readonly S[]): readonly S[] {
  for (const scope of ['public', 'private'] as const) {
    const inScope = servers.filter(({ endpoint }) => endpointScope(endpoint) === scope)
    if (inScope.length > 0) return inScope
  }
  return servers
}
