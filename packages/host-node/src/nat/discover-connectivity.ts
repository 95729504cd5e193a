import { lookup as systemLookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import {
  type ConnectivityReport,
  type GatheredCandidate,
  NatDetection,
  type NatFindings,
  type NatLimits,
  type NatSocket,
  type NatType,
  optimalTransport,
  rankCandidates,
  requiresRelay,
  type ServerReport,
  type StunServer,
} from '@miaou/network'
import type { Endpoint } from '@miaou/protocol'
import { UdpSockets } from '../overlay/udp-sockets.ts'
import { systemRandom } from '../peer/system.ts'
import { iceUrlsOf } from '../webrtc/ice-servers.ts'
import type { IceServer } from '../webrtc/options.ts'
import { localAddresses } from '../websocket/addresses.ts'
import { formatIceUrl, type IceUrl, parseIceUrl } from './ice-url.ts'
import { checkTurn, type TurnCheckLimits } from './turn-check.ts'

export interface DiscoverOptions {
  /** STUN and TURN servers; nobody else is asked. */
  readonly iceServers: readonly IceServer[]
  /** `needed`: TURN servers are asked where the NAT asks for a relay (row D11); `all`: each is tried, for a diagnosis. */
  readonly turn: 'needed' | 'all'
  readonly loopbackOnly: boolean
  readonly dnsTimeoutMs: number
  /** IP addresses of a name; throws where there are none. */
  readonly lookup: (host: string) => Promise<readonly string[]>
  readonly nat: Partial<NatLimits>
  readonly turnCheck: Partial<TurnCheckLimits>
}

/** 5 s: what resolvers wait for one server (resolv.conf(5)). */
export const defaultDiscoverOptions: DiscoverOptions = {
  iceServers: [],
  turn: 'needed',
  loopbackOnly: false,
  dnsTimeoutMs: 5_000,
  lookup: async (host) => (await systemLookup(host, { all: true })).map(({ address }) => address),
  nat: {},
  turnCheck: {},
}

/** How one name of a server was looked up. */
export interface ServerNameReport {
  readonly name: string
  readonly state: 'ok' | 'failed'
  readonly ms: number
  readonly addresses: readonly string[]
}

/** Row D11, and the names that were looked up for it. */
export interface HostConnectivityReport extends ConnectivityReport {
  readonly names: readonly ServerNameReport[]
}

/** Servers and ways of them that are asked at most, over all entries. As the configuration allows. */
const waysMax = 64

/** Row D11: finds out how this machine is connected, with the servers given, and never fails. */
export async function discoverConnectivity(options: Partial<DiscoverOptions> = {}): Promise<HostConnectivityReport> {
  const used = { ...defaultDiscoverOptions, ...options }
  const ways = used.iceServers
    .flatMap((server) => iceUrlsOf(server).map((way) => ({ way, server, url: formatIceUrl(way) })))
    .slice(0, waysMax)
  const names = await resolveNames(
    ways.map(({ way }) => way),
    used,
  )
  const addressesOf = ({ host }: IceUrl) => (isIP(host) === 0 ? (names.get(host)?.addresses ?? []) : [host])
  const asked: StunServer[] = []
  const servers: ServerReport[] = []
  for (const { way, url } of ways) {
    const addresses = addressesOf(way)
    if (addresses.length === 0) servers.push({ url, state: 'failed', detail: `no address for ${way.host}` })
    // One address of each family: the first, which the resolver prefers.
    else if (way.kind === 'stun') {
      for (const family of [4, 6]) {
        const host = addresses.find((address) => isIP(address) === family)
        if (host !== undefined) asked.push({ url, endpoint: { host, port: way.port } })
      }
    }
  }
  const check = () =>
    Promise.all(
      ways
        .filter(({ way }) => way.kind === 'turn' && addressesOf(way).length > 0)
        .map(async ({ way, server, url }) => {
          const [address = ''] = addressesOf(way)
          const credentials = { username: server.username ?? '', credential: server.credential ?? '' }
          return { url, way, address, check: await checkTurn(way, address, credentials, used.turnCheck) }
        }),
    )
  const early = used.turn === 'all' ? check() : undefined
  const detected = await detect(asked, used)
  const gathered: GatheredCandidate[] = [...detected.candidates]
  servers.push(...detected.servers)
  const { natType } = detected.main
  const isRelayNeeded = requiresRelay(natType)
  const checked = await (early ?? (isRelayNeeded ? check() : []))
  for (const { url, way, address, check: result } of checked) {
    servers.push(
      result.ok
        ? { url, state: 'ok', ms: result.ms, ...(result.mapped === undefined ? {} : { mapped: result.mapped }) }
        : { url, state: 'failed', detail: result.detail },
    )
    const base = detected.base ?? (result.ok ? result.mapped : undefined)
    if (result.ok && isRelayNeeded && base !== undefined) {
      const protocol = way.transport === 'udp' ? 'udp' : 'tcp'
      gathered.push({ type: 'relayed', endpoint: result.relayed, base, serverHost: address, protocol })
    }
  }
  const { mapping, filtering } = detected.main
  return {
    natType,
    mapping,
    filtering,
    candidates: rankCandidates(gathered),
    optimalTransport: optimalTransport(natType),
    servers,
    names: [...names.values()],
  }
}

/** Row D17: the NAT's type by these servers (`stun:host:port`, or `host:port`) alone. */
export async function detectNatType(
  stunServers: readonly string[],
  options: Partial<Omit<DiscoverOptions, 'iceServers' | 'turn'>> = {},
): Promise<NatType> {
  const urls = stunServers.map((text) => (parseIceUrl(text) === undefined ? `stun:${text}` : text))
  const { natType } = await discoverConnectivity({ ...options, iceServers: [{ urls }] })
  return natType
}

interface Detected {
  /** Of the family that tells most, IPv4 first. */
  readonly main: NatFindings
  readonly servers: readonly ServerReport[]
  readonly candidates: readonly GatheredCandidate[]
  /** An own address. */
  readonly base: Endpoint | undefined
}

async function detect(servers: readonly StunServer[], options: DiscoverOptions): Promise<Detected> {
  const { loopbackOnly } = options
  const engines: { readonly family: 4 | 6; readonly engine: NatDetection }[] = []
  let drive: () => void = () => undefined
  const hear = (socket: NatSocket) => (from: Endpoint, bytes: Uint8Array) => {
    const engine = engines.find(({ family }) => family === familyOf(from))?.engine
    if (engine !== undefined) apply(engine, { type: 'datagram', socket, from, bytes })
  }
  const sockets = [0, 1].map((socket) => new UdpSockets({ loopbackOnly, portsTried: 1 }, hear(socket === 0 ? 0 : 1)))
  const apply = (engine: NatDetection, input: Parameters<NatDetection['handle']>[1]) => {
    for (const output of engine.handle({ mono: performance.now(), wall: Date.now() }, input)) {
      if (output.type === 'datagram') sockets[output.socket]?.send(output.to, output.bytes)
    }
    drive()
  }
  const started = await Promise.all(sockets.map((socket) => socket.start(0)))
  const port = sockets[0]?.port ?? 0
  const locals = localAddresses()
    .filter(({ isLoopback }) => isLoopback || !loopbackOnly)
    .map(({ address: host, family, isLoopback }) => ({ host, port, family, isLoopback }))
  for (const family of [4, 6] as const) {
    engines.push({
      family,
      engine: new NatDetection({
        random: systemRandom,
        servers: started.every(({ ok }) => ok) ? servers.filter(({ endpoint }) => familyOf(endpoint) === family) : [],
        locals: locals.filter((local) => local.family === family).map(({ host }) => ({ host, port })),
        limits: options.nat,
      }),
    })
  }
  await new Promise<void>((resolve) => {
    let timer: NodeJS.Timeout | undefined
    drive = () => {
      clearTimeout(timer)
      const deadline = Math.min(...engines.map(({ engine }) => engine.deadline()))
      if (deadline === Number.POSITIVE_INFINITY) {
        resolve()
        return
      }
      timer = setTimeout(
        () => {
          for (const { engine } of engines) apply(engine, { type: 'wake' })
        },
        Math.max(0, Math.ceil(deadline - performance.now())),
      )
    }
    drive()
  })
  await Promise.all(sockets.map((socket) => socket.stop()))
  const findings = engines.map(({ engine }) => engine.findings())
  const [v4, v6] = findings as [NatFindings, NatFindings]
  const tells = ({ natType }: NatFindings) => natType !== 'unknown' && natType !== 'blocked'
  const hosts = locals.filter(({ isLoopback }) => !isLoopback)
  const bases = (hosts.length > 0 ? hosts : locals).map(({ host }) => ({ host, port }))
  const candidates: GatheredCandidate[] = bases.map((base) => ({ type: 'host', endpoint: base, base }))
  for (const { servers: reports } of findings) {
    for (const [index, { mapped }] of reports.entries()) {
      const base = mapped === undefined ? undefined : bases.find((one) => familyOf(one) === familyOf(mapped))
      if (mapped === undefined || base === undefined) continue
      const serverHost = servers.filter(({ endpoint }) => familyOf(endpoint) === familyOf(mapped))[index]?.endpoint.host
      candidates.push({
        type: 'server-reflexive',
        endpoint: mapped,
        base,
        ...(serverHost === undefined ? {} : { serverHost }),
      })
    }
  }
  return {
    main: tells(v4) || (v4.servers.length > 0 && !tells(v6)) ? v4 : v6,
    servers: findings.flatMap((each) => each.servers),
    candidates,
    base: bases[0],
  }
}

async function resolveNames(ways: readonly IceUrl[], options: DiscoverOptions): Promise<Map<string, ServerNameReport>> {
  const hosts = [...new Set(ways.map(({ host }) => host))].filter((host) => isIP(host) === 0)
  const reports = await Promise.all(
    hosts.map(async (name): Promise<ServerNameReport> => {
      const startedAt = performance.now()
      const addresses =
        options.loopbackOnly && name !== 'localhost' ? [] : await withinTime(options.lookup(name), options.dnsTimeoutMs)
      const ms = performance.now() - startedAt
      return { name, state: addresses.length > 0 ? 'ok' : 'failed', ms, addresses }
    }),
  )
  return new Map(reports.map((report) => [report.name, report]))
}

function withinTime(looking: Promise<readonly string[]>, timeoutMs: number): Promise<readonly string[]> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve([]), timeoutMs)
    looking
      .catch(() => [])
      .then((addresses) => {
        clearTimeout(timer)
        resolve(addresses.filter((address) => isIP(address) !== 0))
      })
  })
}

function familyOf({ host }: Endpoint): 4 | 6 {
  return host.includes(':') ? 6 : 4
}
