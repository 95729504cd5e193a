import { BlockList, isIPv6 } from 'node:net'
import { err, ok, type Result } from '@miaou/core'
import type { DiscoveryError } from '@miaou/network'
import { isLoopbackAddress, type LocalAddress, localAddresses } from '../websocket/addresses.ts'
import { isDialable, readSightings, type Sighting } from './packets.ts'
import { MdnsResponder } from './responder.ts'
import type { MdnsRecord, MdnsService } from './service.ts'

export interface MdnsBrowserOptions {
  /** Advertises and browses on the loopback interface only. */
  readonly loopbackOnly: boolean
  /** Instances remembered (port `Discovery`); further ones are ignored until one goes. */
  readonly peersMax: number
  /** Addresses kept of one instance. */
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
  /** The addresses of this machine; for tests. */
  readonly localAddresses: () => readonly LocalAddress[]
}

export const defaultMdnsBrowserOptions: MdnsBrowserOptions = {
  loopbackOnly: false,
  peersMax: 1024,
  addressesMax: 16,
  firstQueriesMs: [0, 1000, 3000, 6000],
  queryIntervalMs: 60_000,
  refreshIntervalMs: 10_000,
  ttlMax: 3600,
  newsIntervalMs: 100,
  localAddresses,
}

/** `host`: an IP address. */
export interface MdnsAddress {
  readonly host: string
  readonly port: number
}

export interface MdnsInstance<Text> {
  readonly instanceName: string
  readonly text: Text
  /** Best first. */
  readonly addresses: readonly MdnsAddress[]
}

interface Known<Text> {
  readonly instanceName: string
  text: Text
  /** Dialable addresses, each with the monotonic ms at which it expires, by host and port. */
  readonly addresses: Map<string, MdnsAddress & { readonly expiry: number }>
  /** Best first; undefined when the addresses, or our own network, have changed since. */
  ordered: readonly MdnsAddress[] | undefined
}

type Seen<Text> = Extract<Sighting<Text>, { type: 'seen' }>

/** Tells and hears of one service by multicast DNS and DNS-SD, over IPv4, on each interface of the machine. */
export class MdnsBrowser<Text> {
  readonly #service: MdnsService<Text>
  readonly #options: MdnsBrowserOptions
  readonly #responders = new Map<string, MdnsResponder>()
  readonly #known = new Map<string, Known<Text>>()
  /** What was heard since the last `collect`, the last word of each instance. */
  readonly #pending = new Map<string, Sighting<Text>>()
  readonly #listeners: (() => void)[] = []
  #own: MdnsRecord | undefined
  #local: readonly LocalAddress[] = []
  #timers: NodeJS.Timeout[] = []
  #isRunning = false
  /** It is to run: it does, or waits for an interface. */
  #isWanted = false
  /** Changes of interfaces are followed one after the other. */
  #following: Promise<unknown> = Promise.resolve()
  #newsIsPlanned = false
  #newsAt = Number.NEGATIVE_INFINITY

  constructor(service: MdnsService<Text>, options: Partial<MdnsBrowserOptions> = {}) {
    this.#service = service
    this.#options = { ...defaultMdnsBrowserOptions, ...options }
  }

  /** Browses, and tells of `self`. */
  async start(self: MdnsRecord | undefined): Promise<Result<undefined, DiscoveryError>> {
    this.#own = self
    this.#isWanted = true
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
    this.#timers.push(setInterval(() => void this.networkChanged(), refreshIntervalMs).unref())
    return ok(undefined)
  }

  /**
   * The addresses of this machine changed: what follows is done now, not at the next look. Where `start` had found no
   * interface it begins; the error is that of `start`.
   */
  networkChanged(): Promise<Result<undefined, DiscoveryError>> {
    const following = this.#following.then(async () => {
      if (!this.#isWanted) return ok(undefined)
      if (!this.#isRunning) return this.start(this.#own)
      await this.#refresh()
      return ok(undefined)
    })
    this.#following = following
    return following
  }

  /** Says goodbye for what was told before, then tells of `self`; undefined: be silent. */
  async advertise(self: MdnsRecord | undefined): Promise<void> {
    this.#own = self
    if (!this.#isRunning) return
    const responders = [...this.#responders.values()]
    await Promise.all(responders.map((responder) => responder.withdraw()))
    if (self === undefined || self !== this.#own) return
    for (const responder of responders) responder.advertise(self)
    this.#known.delete(self.instanceName)
  }

  /** Takes in what was heard. */
  collect(): void {
    const now = performance.now()
    for (const sighting of this.#pending.values()) {
      if (sighting.type === 'gone') this.#known.delete(sighting.instanceName)
      else this.#meet(now, sighting)
    }
    this.#pending.clear()
    this.#expire(now)
  }

  instances(): readonly MdnsInstance<Text>[] {
    const isNear = this.#nearness()
    return [...this.#known.values()].map((known) => {
      known.ordered ??= orderAddresses([...known.addresses.values()], isNear)
      return { instanceName: known.instanceName, text: known.text, addresses: known.ordered }
    })
  }

  /** `listener` is told that `collect` would change something. */
  onNews(listener: () => void): void {
    this.#listeners.push(listener)
  }

  async stop(): Promise<void> {
    this.#isWanted = false
    this.#isRunning = false
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers = []
    const responders = [...this.#responders.values()]
    this.#responders.clear()
    await Promise.all(responders.map((responder) => responder.stop()))
    this.#pending.clear()
    this.#known.clear()
  }

  // One responder per interface; comes and goes with it. Returns the reasons of those that did not start.
  async #followInterfaces(): Promise<string[]> {
    this.#local = this.#options.localAddresses()
    for (const known of this.#known.values()) known.ordered = undefined
    const wanted = new Set(interfaceAddresses(this.#local, this.#options.loopbackOnly))
    for (const [address, responder] of this.#responders) {
      if (wanted.has(address)) continue
      this.#responders.delete(address)
      await responder.stop()
    }
    const problems: string[] = []
    for (const address of wanted) {
      if (this.#responders.has(address)) continue
      const responder = new MdnsResponder(this.#service, address, (packet, sender) => this.#hear(packet, sender))
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
    const addresses = interfaceAddresses(this.#options.localAddresses(), this.#options.loopbackOnly)
    const isUnchanged =
      addresses.length === this.#responders.size && addresses.every((address) => this.#responders.has(address))
    if (isUnchanged || !this.#isRunning) return
    await this.#followInterfaces()
    // The addresses told before are not all true any more.
    if (this.#isRunning) await this.advertise(this.#own)
  }

  #hear(packet: unknown, sender: string): void {
    if (!this.#isRunning) return
    for (const sighting of readSightings(this.#service, packet, sender)) {
      const { instanceName } = sighting
      if (instanceName === this.#own?.instanceName) continue
      const known = this.#known.get(instanceName)
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
  #merge(before: Sighting<Text> | undefined, sighting: Sighting<Text>): Sighting<Text> {
    if (before?.type !== 'seen' || sighting.type !== 'seen' || before.port !== sighting.port) return sighting
    const addresses = [...new Set([...sighting.addresses, ...before.addresses])]
    return { ...sighting, addresses: addresses.slice(0, 2 * this.#options.addressesMax) }
  }

  #isSame(known: Known<Text>, sighting: Seen<Text>): boolean {
    return (
      this.#dialable(sighting).every((host) => known.addresses.has(addressKey(host, sighting.port))) &&
      JSON.stringify(known.text) === JSON.stringify(sighting.text)
    )
  }

  #meet(now: number, sighting: Seen<Text>): void {
    const { instanceName, text, ttl, port } = sighting
    if (instanceName === this.#own?.instanceName) return
    const { peersMax, addressesMax, ttlMax } = this.#options
    let known = this.#known.get(instanceName)
    const hosts = this.#dialable(sighting)
    if (hosts.length === 0) return
    if (known === undefined) {
      if (this.#known.size >= peersMax) return
      known = { instanceName, text, addresses: new Map(), ordered: undefined }
      this.#known.set(instanceName, known)
    }
    const { addresses } = known
    known.text = text
    if (hosts.some((host) => !addresses.has(addressKey(host, port)))) known.ordered = undefined
    const expiry = now + Math.min(ttl, ttlMax) * 1000
    for (const host of hosts) {
      // Deleted first, so that the newest stand last and the oldest make room.
      addresses.delete(addressKey(host, port))
      addresses.set(addressKey(host, port), { host, port, expiry })
    }
    for (const key of addresses.keys()) {
      if (addresses.size <= addressesMax) break
      addresses.delete(key)
    }
  }

  #dialable({ addresses }: Seen<Text>): string[] {
    const { loopbackOnly } = this.#options
    const isUsable = (address: string) => isDialable(address) && isLoopbackAddress(address) === loopbackOnly
    const usable = addresses.filter(isUsable)
    // A machine without a network: its peers are heard from loopback only.
    return [...new Set(usable.length > 0 || loopbackOnly ? usable : addresses.filter(isDialable))]
  }

  #hasExpired(now: number): boolean {
    return [...this.#known.values()].some(({ addresses }) =>
      [...addresses.values()].some(({ expiry }) => expiry <= now),
    )
  }

  #expire(now: number): void {
    for (const known of this.#known.values()) {
      for (const [key, { expiry }] of known.addresses) {
        if (expiry > now) continue
        known.addresses.delete(key)
        known.ordered = undefined
      }
      if (known.addresses.size === 0) this.#known.delete(known.instanceName)
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

function addressKey(host: string, port: number): string {
  return `${host} ${port}`
}

// Same subnet first, IPv4 before IPv6, self-assigned addresses (RFC 3927) last.
function orderAddresses(addresses: readonly MdnsAddress[], isNear: (host: string) => boolean): MdnsAddress[] {
  const rank = (host: string) => (host.startsWith('169.254.') ? 4 : 0) + (isNear(host) ? 0 : 2) + (isIPv6(host) ? 1 : 0)
  return addresses
    .map(({ host, port }) => ({ host, port, rank: rank(host) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ host, port }) => ({ host, port }))
}
