import { ip, nft, run, sysctl } from './commands.ts'
import { Host } from './host.ts'
import { Wire, type WireSettings } from './wire.ts'

/** Namespace of the router between all others: the internet. */
const core = 'net'
/** Everybody's way out: each cable to the core has the same two addresses at the core's end. */
const gateway4 = '169.254.1.1'
const gateway6 = 'fe80::1'

/** Addresses a meter counts as one side: IPv4 ranges and IPv6 prefixes. */
export interface Side {
  readonly v4: string
  readonly v6: string
}

export interface CableOptions {
  /** Name of the device at the host's end. */
  readonly device: string
  readonly v4?: readonly string[]
  readonly v6?: readonly string[]
  /** Prefixes behind the host that the core routes there. */
  readonly routes4?: readonly string[]
  readonly routes6?: readonly string[]
  /** With a delay, loss or rate; without, the kernel's own cable. Up is towards the core. */
  readonly wire?: WireSettings
}

/** How many packets went between two sides through the core, both directions. */
export interface MeterReading {
  readonly packets: number
  readonly bytes: number
}

/**
 * A private internet: a core that routes between single public addresses of any prefix, so that whatever two hosts say to
 * each other passes its `forward` hook and can be counted and cut. Private addresses lead nowhere, silently, as they do
 * outside.
 */
export class Internet {
  readonly hosts = new Map<string, Host>()
  readonly wires = new Map<string, Wire>()
  readonly #meters = new Set<string>()

  private constructor() {}

  static async build(): Promise<Internet> {
    await ip(undefined, [`netns add ${core}`, 'link set lo up'])
    await sysctl(core, {
      'ipv4/ip_forward': 1,
      'ipv4/conf/all/send_redirects': 0,
      'ipv6/conf/all/forwarding': 1,
      'ipv6/conf/all/accept_dad': 0,
      'ipv6/conf/default/accept_dad': 0,
    })
    await ip(core, [
      'link set lo up',
      ...['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10'].map((net) => `route add blackhole ${net}`),
      'route add blackhole fc00::/7',
    ])
    // Silenced hosts come first: their packets are not counted either.
    await nft(
      core,
      `table inet gauge {
  set silent4 { type ipv4_addr; }
  set silent6 { type ipv6_addr; }
  chain silence {
    type filter hook forward priority -20
    ip saddr @silent4 drop
    ip daddr @silent4 drop
    ip6 saddr @silent6 drop
    ip6 daddr @silent6 drop
  }
  chain count { type filter hook forward priority -10; }
}`,
    )
    return new Internet()
  }

  /** A host without a cable. */
  async addHost(name: string): Promise<Host> {
    const host = await Host.create(name)
    this.hosts.set(name, host)
    return host
  }

  /** A host with public addresses. */
  async addPublic(name: string, v4: readonly string[], v6: readonly string[] = []): Promise<Host> {
    const host = await this.addHost(name)
    await this.connect(name, { device: 'eth0', v4, v6 })
    return host
  }

  /** Lays a cable from a host to the core. */
  async connect(name: string, options: CableOptions): Promise<void> {
    const { device, v4 = [], v6 = [], routes4 = [], routes6 = [], wire } = options
    const atCore = `c-${name}`
    if (wire === undefined) await ip(core, [`link add ${atCore} type veth peer name ${device} netns ${name}`])
    else this.wires.set(name, await Wire.lay([name, device, core, atCore], wire))
    await ip(core, [
      `addr add ${gateway4}/32 dev ${atCore}`,
      `addr add ${gateway6}/64 dev ${atCore} nodad`,
      `link set ${atCore} up`,
      ...v4.map((address) => `route add ${address}/32 dev ${atCore}`),
      ...v6.map((address) => `route add ${address}/128 dev ${atCore}`),
    ])
    await ip(name, [
      ...v4.map((address) => `addr add ${address}/32 dev ${device}`),
      ...v6.map((address) => `addr add ${address}/128 dev ${device} nodad`),
      `link set ${device} up`,
      ...(v4.length === 0
        ? []
        : [`route add ${gateway4} dev ${device} scope link`, `route add default via ${gateway4} dev ${device}`]),
      `route add default via ${gateway6} dev ${device}`,
    ])
    await ip(core, [
      ...routes4.map((net) => `route add ${net} via ${v4[0]} dev ${atCore} onlink`),
      ...routes6.map((net) => `route add ${net} via ${v6[0]} dev ${atCore} onlink`),
    ])
  }

  /** Gives a host's cable another public address, as a provider does when a router dials in again. */
  async readdress(name: string, device: string, before: string, after: string): Promise<void> {
    await ip(core, [`route del ${before}/32 dev c-${name}`, `route add ${after}/32 dev c-${name}`])
    await ip(name, [
      `addr add ${after}/32 dev ${device}`,
      `addr del ${before}/32 dev ${device}`,
      `route replace ${gateway4} dev ${device} scope link`,
      `route replace default via ${gateway4} dev ${device}`,
    ])
  }

  /** From now on nothing reaches an address or comes from it, and nobody is told. */
  async silence(address: string): Promise<void> {
    await nft(core, `add element inet gauge silent${address.includes(':') ? '6' : '4'} { ${address} }`)
  }

  async unsilence(address: string): Promise<void> {
    await nft(core, `delete element inet gauge silent${address.includes(':') ? '6' : '4'} { ${address} }`)
  }

  /** Counts from now on what goes between two sides, under a name. */
  async meter(name: string, one: Side, other: Side): Promise<void> {
    this.#meters.add(name)
    const rule = (family: 'ip' | 'ip6', from: string, to: string) =>
      `add rule inet gauge count ${family} saddr { ${from} } ${family} daddr { ${to} } counter name ${name}`
    await nft(
      core,
      [
        `add counter inet gauge ${name}`,
        rule('ip', one.v4, other.v4),
        rule('ip', other.v4, one.v4),
        rule('ip6', one.v6, other.v6),
        rule('ip6', other.v6, one.v6),
      ].join('\n'),
    )
  }

  /** What a meter has counted since it was made. */
  async read(name: string): Promise<MeterReading> {
    if (!this.#meters.has(name)) throw new Error(`there is no meter ${name}`)
    const said = await run('ip', ['netns', 'exec', core, 'nft', 'list', 'counter', 'inet', 'gauge', name])
    const [, packets, bytes] = /packets (\d+) bytes (\d+)/.exec(said) ?? []
    return { packets: Number(packets), bytes: Number(bytes) }
  }

  /** Ends the helpers of all hosts; the namespaces go with the lab's own process. */
  end(): void {
    for (const host of this.hosts.values()) host.end()
  }
}
