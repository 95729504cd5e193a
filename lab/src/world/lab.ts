import { LabDaemon, type LabDaemonOptions } from '../daemons/lab-daemon.ts'
import { Home, type HomeOptions } from '../net/home.ts'
import type { Host } from '../net/host.ts'
import { Internet } from '../net/internet.ts'
import type { NatMode } from '../net/nat.ts'

/** Addresses of the public hosts: three prefixes (/24 and /48), as the overlay's nodes must differ in. */
export const publicAddresses = {
  pub1: { v4: ['192.0.2.11', '192.0.2.21'], v6: ['2001:db8:1::11'] },
  pub2: { v4: ['198.51.100.12'], v6: ['2001:db8:2::12'] },
  pub3: { v4: ['203.0.113.13'], v6: ['2001:db8:3::13'] },
  /** Two addresses, as RFC 5780 needs. */
  stun: { v4: ['192.0.2.31', '192.0.2.32'], v6: ['2001:db8:1::31'] },
} as const

export type PublicHost = keyof typeof publicAddresses

export interface LabOptions {
  readonly a: NatMode
  readonly b: NatMode
  /** Which addresses there are; default IPv4 alone. */
  readonly families?: 'v4' | 'v6' | 'both'
  readonly homeA?: Partial<HomeOptions>
  readonly homeB?: Partial<HomeOptions>
  /** A's provider translates too, in this mode. */
  readonly carrier?: NatMode
}

/** What the daemons of a lab looked like when a test failed. */
export interface Report {
  readonly brief: string
  readonly whole: string
}

/** The meter between the two homes: what it counts went directly. */
const direct = 'direct'

/** The lab's world: public hosts, home A with a1 and a2, home B with b1. One in each lab process. */
export class Lab {
  readonly net: Internet
  readonly a: Home
  readonly b: Home
  readonly #daemons = new Set<LabDaemon>()

  private constructor(net: Internet, a: Home, b: Home) {
    this.net = net
    this.a = a
    this.b = b
  }

  static async build({ a, b, families = 'v4', homeA = {}, homeB = {}, carrier }: LabOptions): Promise<Lab> {
    const net = await Internet.build()
    for (const [name, { v4, v6 }] of Object.entries(publicAddresses)) {
      await net.addPublic(name, families === 'v6' ? [] : v4, families === 'v4' ? [] : v6)
    }
    const withoutIpv4 = families === 'v6'
    const six = (letter: string) =>
      families === 'v4' ? {} : { lan6: `2001:db8:${letter}`, wan6: `2001:db8:${letter}:ffff::1` }
    const behind =
      carrier === undefined
        ? undefined
        : await Home.build(net, {
            name: 'isp',
            mode: carrier,
            hosts: [],
            lan4: '100.64.0',
            wan4: '203.0.113.110',
            public4: '203.0.113',
          })
    const first = await Home.build(net, {
      name: 'a',
      mode: a,
      hosts: ['a1', 'a2'],
      lan4: '192.168.1',
      wan4: behind === undefined ? '203.0.113.101' : '100.64.0.101',
      public4: '203.0.113',
      withoutIpv4,
      ...six('a'),
      ...(behind === undefined ? {} : { behind }),
      ...homeA,
    })
    const second = await Home.build(net, {
      name: 'b',
      mode: b,
      hosts: ['b1'],
      lan4: '192.168.2',
      wan4: '198.51.100.101',
      public4: '198.51.100',
      withoutIpv4,
      ...six('b'),
      ...homeB,
    })
    await net.meter(direct, first.side, second.side)
    return new Lab(net, first, second)
  }

  host(name: string): Host {
    const host = this.net.hosts.get(name)
    if (host === undefined) throw new Error(`there is no host ${name}`)
    return host
  }

  /** Starts a daemon on a host; it ends with the lab, or before. */
  async daemon(host: string, options: LabDaemonOptions): Promise<LabDaemon> {
    const daemon = await LabDaemon.start(this.host(host), options)
    this.#daemons.add(daemon)
    return daemon
  }

  /** Packets that have gone between the two homes without a third. */
  async directPackets(): Promise<number> {
    return (await this.net.read(direct)).packets
  }

  async directBytes(): Promise<number> {
    return (await this.net.read(direct)).bytes
  }

  /** Ends a daemon before the lab does, at once. */
  async kill(daemon: LabDaemon): Promise<void> {
    this.#daemons.delete(daemon)
    await daemon.kill()
  }

  /** How each daemon's links and relays stand, for the screen; and all it said and counted, for the file. */
  async report(): Promise<Report> {
    const brief: string[] = []
    const whole: string[] = []
    for (const { name, host, client, output } of this.#daemons) {
      const peers = await client.network.peers().catch(String)
      const info = await client.network.info().catch(String)
      whole.push(`── ${name} on ${host.name}`, output(), JSON.stringify(peers, null, 1), JSON.stringify(info, null, 1))
      brief.push(`── ${name} on ${host.name}`)
      if (typeof peers === 'string') brief.push(peers)
      else
        for (const { name: whose, state, transport, path, error } of peers)
          brief.push(JSON.stringify({ whose, state, transport, path, error }))
      if (typeof info !== 'string')
        for (const { relay, state, error } of info.relays) brief.push(JSON.stringify({ relay, state, error }))
    }
    return { brief: brief.join('\n'), whole: whole.join('\n') }
  }

  async end(): Promise<void> {
    await Promise.all([...this.#daemons].map((daemon) => daemon.kill()))
    this.net.end()
  }
}
