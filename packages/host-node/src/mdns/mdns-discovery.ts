import { BlockList, isIPv6 } from 'node:net'
import { err, ok, type Result } from '@miaou/core'
import type { Advertisement, DiscoveredPeer, Discovery, DiscoveryError } from '@miaou/network'
import { isLoopbackAddress, type LocalAddress, localAddresses, webSocketAddress } from '../websocket/addresses.ts'
import { isDialable, readSightings, type Sighting } from './packets.ts'
import { MdnsResponder } from './responder.ts'
import type { ServiceText } from './txt.ts'

export interface MdnsDiscoveryOptions {
  /** Advertises and browses on the loopback interface only. */
  readonly loopbackOnly: boolean
  /** Peers remembered (port `Discovery`); further ones are ignored until one goes. */
  readonly peersMax: number
  /** Addresses kept of one peer. */
  readonly addressesMax: number
  /** Times of the first questions after the start (row C08: at once, then after 1 s, 2 s, 3 s). */
  readonly firstQueriesMs: readonly number[]
  /** Time between later questions: half of the life of an SRV record (RFC 6762 §10), so that one may be lost. */
  readonly queryIntervalMs: number
  /** Time between looks at the machine's interfaces and at what expired. Guess. */
  readonly refreshIntervalMs: number
  /** Longest life that a record may claim, in seconds. Guess. */
  readonly ttlMax: number
  /** Least time between two tellings of news: anybody on the network can make some with every packet. Guess. */
  readonly newsIntervalMs: number
}

export const defaultMdnsDiscoveryOptions: MdnsDiscoveryOptions = {
  loopbackOnly: false,
  peersMax: 1024,
  addressesMax: 16,
  firstQueriesMs: [0, 1000, 3000, 6000],
  queryIntervalMs: 60_000,
  refreshIntervalMs: 10_000,
  ttlMax: 3600,
  newsIntervalMs: 100,
}

interface Peer {
  readonly instanceName: string
  text: ServiceText
  /** Monotonic ms of expiry by dialable address. */
  readonly expiryByAddress: Map<string, number>
  /** Best first; undefined when the addresses, or our own network, have changed since. */
  ordered: readonly string[] | undefined
}

type Seen = Extract<Sighting, { type: 'seen' }>

/** Discovery by multicast DNS and DNS-SD (rows C01 to C09), over IPv4, on each interface of the machine. */
export class MdnsDiscovery implements Discovery {
  readonly method = 'mdns'
  readonly #options: MdnsDiscoveryOptions
  readonly #responders = new Map<string, MdnsResponder>()
  readonly #peers = new Map<string, Peer>()
  /** What was heard since the last `collectPeers`, the last word of each instance. */
  readonly #pending = new Map<string, Sighting>()
  readonly #listeners: (() => void)[] = []
  #own: Advertisement | undefined
  #local: readonly LocalAddress[] = []
  #timers: NodeJS.Timeout[] = []
  #isRunning = false
  #newsIsPlanned = false
  #newsAt = Number.NEGATIVE_INFINITY

  constructor(options: Partial<MdnsDiscoveryOptions> = {}) {
    this.#options = { ...defaultMdnsDiscoveryOptions, ...options }
  }

  async start(self: Advertisement | undefined): Promise<Result<undefined, DiscoveryError>> {
    this.#own = self
    this.#isRunning = true
    const problems = await this.#followInterfaces()
    if (this.#responders.size === 0) {
      this.#isRunning = false
      const reason = problems[0] ?? 'no network interface'
      return err({ type: 'unavailable', detail: `cannot use multicast DNS (UDP port 5353): ${reason}` })
    }
    const { firstQueriesMs, queryIntervalMs, refreshIntervalMs } = this.#options
    for (const delayMs of firstQueriesMs) this.#timers.push(setTimeout(() => this.#query(), delayMs).unref())
    this.#timers.push(setInterval(() => this.#query(), queryIntervalMs).unref())
    this.#timers.push(setInterval(() => void this.#refresh(), refreshIntervalMs).unref())
    return ok(undefined)
  }

  async advertise(self: Advertisement | undefined): Promise<void> {
    this.#own = self
    if (!this.#isRunning) return
    const responders = [...this.#responders.values()]
    await Promise.all(responders.map((responder) => responder.withdraw()))
    if (self === undefined || self !== this.#own) return
    for (const responder of responders) responder.advertise(self)
    this.#peers.delete(self.instanceName)
  }

  collectPeers(): void {
    const now = performance.now()
    for (const sighting of this.#pending.values()) {
      if (sighting.type === 'gone') this.#peers.delete(sighting.instanceName)
      else this.#meet(now, sighting)
    }
    this.#pending.clear()
    this.#expire(now)
  }

  discoveredPeers(): readonly DiscoveredPeer[] {
    const isNear = this.#nearness()
    return [...this.#peers.values()].map((peer) => {
      const { instanceName, text, expiryByAddress } = peer
      peer.ordered ??= orderAddresses([...expiryByAddress.keys()], isNear)
      return {
        instanceName,
        ...(text.peerId === undefined ? {} : { peerId: text.peerId }),
        version: text.version,
        features: text.features,
        hints: text.hints,
        addresses: peer.ordered,
      }
    })
  }

  onNews(listener: () => void): void {
    this.#listeners.push(listener)
  }

  async stop(): Promise<void> {
    this.#isRunning = false
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers = []
    const responders = [...this.#responders.values()]
    this.#responders.clear()
    await Promise.all(responders.map((responder) => responder.stop()))
    this.#pending.clear()
    this.#peers.clear()
  }

  // One responder per interface; comes and goes with it. Returns the reasons of those that did not start.
  async #followInterfaces(): Promise<string[]> {
    this.#local = localAddresses()
    for (const peer of this.#peers.values()) peer.ordered = undefined
    const wanted = new Set(interfaceAddresses(this.#local, this.#options.loopbackOnly))
    for (const [address, responder] of this.#responders) {
      if (wanted.has(address)) continue
      this.#responders.delete(address)
      await responder.stop()
    }
    const problems: string[] = []
    for (const address of wanted) {
      if (this.#responders.has(address)) continue
      const responder = new MdnsResponder(address, (packet, sender) => this.#hear(packet, sender))
      const problem = await responder.ready()
      if (problem !== undefined || !this.#isRunning) {
        if (problem !== undefined) problems.push(problem)
        await responder.stop()
        continue
      }
      this.#responders.set(address, responder)
      if (this.#own !== undefined) responder.advertise(this.#own)
      responder.query()
    }
    return problems
  }

  #query(): void {
    for (const responder of this.#responders.values()) responder.query()
  }

  async #refresh(): Promise<void> {
    if (this.#hasExpired(performance.now())) this.#tellNews()
    const addresses = interfaceAddresses(localAddresses(), this.#options.loopbackOnly)
    const isUnchanged =
      addresses.length === this.#responders.size && addresses.every((address) => this.#responders.has(address))
    if (isUnchanged || !this.#isRunning) return
    await this.#followInterfaces()
    // The addresses told before are not all true any more.
    if (this.#isRunning) await this.advertise(this.#own)
  }

  #hear(packet: unknown, sender: string): void {
    if (!this.#isRunning) return
    for (const sighting of readSightings(packet, sender)) {
      const { instanceName } = sighting
      if (instanceName === this.#own?.instanceName) continue
      const known = this.#peers.get(instanceName)
      if (sighting.type === 'gone') {
        if (known === undefined && !this.#pending.has(instanceName)) continue
      } else if (known !== undefined && !this.#pending.has(instanceName) && this.#isSame(known, sighting)) {
        this.#meet(performance.now(), sighting)
        continue
      }
      const isFull = this.#pending.size >= this.#options.peersMax
      if (isFull && !this.#pending.has(instanceName)) continue
      this.#pending.set(instanceName, this.#merge(this.#pending.get(instanceName), sighting))
      this.#tellNews()
    }
  }

  // A peer on several interfaces is heard once from each: what was heard before is kept.
  #merge(before: Sighting | undefined, sighting: Sighting): Sighting {
    if (before?.type !== 'seen' || sighting.type !== 'seen' || before.port !== sighting.port) return sighting
    const addresses = [...new Set([...sighting.addresses, ...before.addresses])]
    return { ...sighting, addresses: addresses.slice(0, 2 * this.#options.addressesMax) }
  }

  #isSame(peer: Peer, sighting: Seen): boolean {
    const addresses = this.#dialable(sighting)
    return (
      addresses.every((address) => peer.expiryByAddress.has(address)) &&
      JSON.stringify(peer.text) === JSON.stringify(sighting.text)
    )
  }

  #meet(now: number, sighting: Seen): void {
    const { instanceName, text, ttl } = sighting
    if (instanceName === this.#own?.instanceName) return
    const { peersMax, addressesMax, ttlMax } = this.#options
    let peer = this.#peers.get(instanceName)
    const addresses = this.#dialable(sighting)
    if (addresses.length === 0) return
    if (peer === undefined) {
      if (this.#peers.size >= peersMax) return
      peer = { instanceName, text, expiryByAddress: new Map(), ordered: undefined }
      this.#peers.set(instanceName, peer)
    }
    peer.text = text
    if (addresses.some((address) => !peer.expiryByAddress.has(address))) peer.ordered = undefined
    const expiry = now + Math.min(ttl, ttlMax) * 1000
    for (const address of addresses) {
      // Deleted first, so that the newest stand last and the oldest make room.
      peer.expiryByAddress.delete(address)
      peer.expiryByAddress.set(address, expiry)
    }
    for (const address of peer.expiryByAddress.keys()) {
      if (peer.expiryByAddress.size <= addressesMax) break
      peer.expiryByAddress.delete(address)
    }
  }

  #dialable({ addresses, port }: Seen): string[] {
    const { loopbackOnly } = this.#options
    const isUsable = (address: string) => isDialable(address) && isLoopbackAddress(address) === loopbackOnly
    const usable = addresses.filter(isUsable)
    // A machine without a network: its peers are heard from loopback only.
    const chosen = usable.length > 0 || loopbackOnly ? usable : addresses.filter(isDialable)
    return [...new Set(chosen.map((address) => webSocketAddress(address, port)))]
  }

  #hasExpired(now: number): boolean {
    return [...this.#peers.values()].some(({ expiryByAddress }) =>
      [...expiryByAddress.values()].some((expiry) => expiry <= now),
    )
  }

  #expire(now: number): void {
    for (const peer of this.#peers.values()) {
      const { instanceName, expiryByAddress } = peer
      for (const [address, expiry] of expiryByAddress) {
        if (expiry > now) continue
        expiryByAddress.delete(address)
        peer.ordered = undefined
      }
      if (expiryByAddress.size === 0) this.#peers.delete(instanceName)
    }
  }

  #tellNews(): void {
    if (this.#newsIsPlanned) return
    this.#newsIsPlanned = true
    const tell = () => {
      this.#newsIsPlanned = false
      if (!this.#isRunning) return
      this.#newsAt = performance.now()
      for (const listener of this.#listeners) listener()
    }
    const waitMs = this.#newsAt + this.#options.newsIntervalMs - performance.now()
    if (waitMs > 0) setTimeout(tell, waitMs).unref()
    else setImmediate(tell)
  }

  #nearness(): (host: string) => boolean {
    const near = new BlockList()
    for (const { cidr, family } of this.#local) {
      const [network = '', prefix = ''] = cidr.split('/')
      near.addSubnet(network, Number(prefix), family === 6 ? 'ipv6' : 'ipv4')
    }
    return (host) => near.check(host, isIPv6(host) ? 'ipv6' : 'ipv4')
  }
}

// Multicast is joined by interface, named by its first IPv4 address; loopback when asked or when there is nothing else.
function interfaceAddresses(local: readonly LocalAddress[], loopbackOnly: boolean): string[] {
  const others = local.filter(({ family, isLoopback }) => family === 4 && !isLoopback).map(({ address }) => address)
  return loopbackOnly || others.length === 0 ? ['127.0.0.1'] : others
}

// Same subnet first, IPv4 before IPv6, self-assigned addresses (RFC 3927) last.
function orderAddresses(addresses: readonly string[], isNear: (host: string) => boolean): string[] {
  const rank = (address: string) => {
    const host = new URL(address).hostname.replace(/^\[|\]$/g, '')
    return (host.startsWith('169.254.') ? 4 : 0) + (isNear(host) ? 0 : 2) + (isIPv6(host) ? 1 : 0)
  }
  return addresses
    .map((address) => ({ address, rank: rank(address) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ address }) => address)
}
