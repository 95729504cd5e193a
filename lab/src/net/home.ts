import { ip, nft, run, sysctl } from './commands.ts'
import type { Host } from './host.ts'
import type { Internet, Side } from './internet.ts'
import { type NatMode, natRules } from './nat.ts'
import type { WireSettings } from './wire.ts'

/** Devices of a home's router. */
const lan = 'lan0'
const wan = 'wan0'

export interface HomeOptions {
  /** Its router's namespace is `r-<name>`. */
  readonly name: string
  readonly mode: NatMode
  readonly hosts: readonly string[]
  /** First three numbers of the private network: host n has `<lan4>.<10 + n>`. */
  readonly lan4: string
  /** Public address of the router, and first three numbers of a public /24 of which the home's upper half is its own:
   * what its hosts have when it does not translate. */
  readonly wan4: string
  readonly public4: string
  /** Public IPv6 prefix (/64), without the colons at its end: host n has `<lan6>::<10 + n>`. */
  readonly lan6?: string
  readonly wan6?: string
  /** Only IPv6. */
  readonly withoutIpv4?: boolean
  /** A home that gets its addresses from another router's LAN: its provider translates once more. */
  readonly behind?: Home
  /** Cable between the router and the internet; up is away from the home. */
  readonly wire?: WireSettings
}

/** A home: a router that treats what passes as its mode says, and hosts on its LAN. */
export class Home {
  readonly #net: Internet
  readonly #options: HomeOptions
  readonly #hosts: string[] = []
  readonly router: string
  #mode: NatMode | undefined
  #wan4: string

  private constructor(net: Internet, options: HomeOptions) {
    this.#net = net
    this.#options = options
    this.router = `r-${options.name}`
    this.#wan4 = options.wan4
  }

  static async build(net: Internet, options: HomeOptions): Promise<Home> {
    const home = new Home(net, options)
    await net.addHost(home.router)
    await sysctl(home.router, {
      'ipv4/ip_forward': 1,
      'ipv4/conf/all/send_redirects': 0,
      'ipv6/conf/all/forwarding': 1,
    })
    const { wan6, lan6, withoutIpv4 = false, behind, wire } = options
    if (behind === undefined) {
      await net.connect(home.router, {
        device: wan,
        ...(withoutIpv4 ? {} : { v4: [options.wan4], routes4: [`${options.public4}.128/25`] }),
        ...(wan6 === undefined || lan6 === undefined ? {} : { v6: [wan6], routes6: [`${lan6}::/64`] }),
        ...(wire === undefined ? {} : { wire }),
      })
    } else await behind.adopt(home.router, wan, options.wan4)
    // Snooping would hold multicast back where nobody queries: mDNS must pass as it does through a home's switch.
    await ip(home.router, [`link add ${lan} type bridge forward_delay 0 mcast_snooping 0`, `link set ${lan} up`])
    for (const name of options.hosts) {
      await net.addHost(name)
      home.#hosts.push(name)
    }
    await home.setMode(options.mode)
    return home
  }

  /** What a meter counts as this home: all of its public addresses. */
  get side(): Side {
    const { public4, lan6, behind } = this.#options
    if (behind !== undefined) return behind.side
    return { v4: `${public4}.100-${public4}.255`, v6: lan6 === undefined ? '2001:db8:ffff::/64' : `${lan6}::/64` }
  }

  get mode(): NatMode | undefined {
    return this.#mode
  }

  get wan4(): string {
    return this.#wan4
  }

  /** IPv4 address of one of its hosts now. */
  address4(name: string): string {
    return `${this.#prefix4()}.${this.#number(name)}`
  }

  address6(name: string): string {
    return `${this.#options.lan6}::${this.#number(name)}`
  }

  /** Changes how the router treats what passes, and the hosts' addresses where they become public or private. */
  async setMode(mode: NatMode): Promise<void> {
    const wasPublic = this.#mode === 'none'
    const isFirst = this.#mode === undefined
    this.#mode = mode
    await this.#loadRules()
    if (!isFirst && wasPublic === (mode === 'none')) return
    await ip(this.router, [
      `addr flush dev ${lan}`,
      ...this.#only4([`addr add ${this.#gateway4()} dev ${lan}`]),
      ...this.#only6([`addr add ${this.#options.lan6}::1/64 dev ${lan} nodad`, `addr add fe80::1/64 dev ${lan} nodad`]),
    ])
    for (const name of this.#hosts) await this.#attach(name, isFirst)
  }

  /** The router forgets everything, is away until `away` is done, and comes back with another public address. */
  async reboot(wan4: string, away: () => Promise<unknown>): Promise<void> {
    await this.#net.silence(this.#wan4)
    await nft(
      this.router,
      'flush ruleset\ntable ip off { chain forward { type filter hook forward priority 0; policy drop; }; }',
    )
    await away()
    await this.#net.readdress(this.router, wan, this.#wan4, wan4)
    await this.#net.unsilence(this.#wan4)
    this.#wan4 = wan4
    await this.#loadRules()
  }

  /** Pulls the cable between a host and the router, or plugs it in again: the host sees that there is no carrier. */
  async plug(name: string, isPlugged: boolean): Promise<void> {
    await ip(this.router, [`link set p-${name} ${isPlugged ? 'up' : 'down'}`])
  }

  /** A host that was elsewhere comes in and gets an address of this LAN. */
  async enter(host: Host): Promise<void> {
    this.#hosts.push(host.name)
    await this.#attach(host.name, true)
  }

  /** A host leaves: its cable is gone, and its addresses with it. */
  async leave(host: Host): Promise<void> {
    this.#hosts[this.#hosts.indexOf(host.name)] = ''
    await ip(this.router, [`link del p-${host.name}`])
  }

  /** Gives another router an address of this LAN. */
  async adopt(router: string, device: string, address: string): Promise<void> {
    await ip(this.router, [
      `link add p-${router} type veth peer name ${device} netns ${router}`,
      `link set p-${router} master ${lan} up`,
    ])
    await ip(router, [
      `addr add ${address}/24 dev ${device}`,
      `link set ${device} up`,
      `route add default via ${this.#prefix4()}.1`,
    ])
  }

  async #loadRules(): Promise<void> {
    const { lan6 } = this.#options
    await nft(this.router, natRules({ wan, lan, mode: this.#mode ?? 'none', ipv6: lan6 !== undefined }))
    await run('ip', ['netns', 'exec', this.router, 'conntrack', '-F'])
  }

  async #attach(name: string, isNew: boolean): Promise<void> {
    if (name === '') return
    if (isNew) {
      await ip(this.router, [
        `link add p-${name} type veth peer name eth0 netns ${name}`,
        `link set p-${name} master ${lan} up`,
      ])
    }
    await ip(name, [
      'addr flush dev eth0 scope global',
      ...this.#only4([`addr add ${this.address4(name)}/${this.#prefixLength()} dev eth0`]),
      ...this.#only6([`addr add ${this.address6(name)}/64 dev eth0 nodad`]),
      'link set eth0 up',
      ...this.#only4([`route replace default via ${this.#gateway4().split('/')[0]}`]),
      ...this.#only6(['route replace default via fe80::1 dev eth0']),
    ])
  }

  #only4(lines: readonly string[]): readonly string[] {
    return this.#options.withoutIpv4 ? [] : lines
  }

  #only6(lines: readonly string[]): readonly string[] {
    return this.#options.lan6 === undefined ? [] : lines
  }

  #number(name: string): number {
    const index = this.#hosts.indexOf(name)
    if (index < 0) throw new Error(`${name} is not in home ${this.#options.name}`)
    return (this.#mode === 'none' ? 141 : 11) + index
  }

  #prefix4(): string {
    return this.#mode === 'none' ? this.#options.public4 : this.#options.lan4
  }

  #prefixLength(): number {
    return this.#mode === 'none' ? 25 : 24
  }

  #gateway4(): string {
    return `${this.#prefix4()}.${this.#mode === 'none' ? 129 : 1}/${this.#prefixLength()}`
  }
}
