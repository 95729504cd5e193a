import { Home } from '../../../lab/src/net/home.ts'
import { Internet } from '../../../lab/src/net/internet.ts'
import type { Pair } from './pair.ts'

/**
 * Public hosts, one prefix each. Ordinary addresses, because both rivals take those of documentations and benchmarks for
 * private ones and would not try them. They exist in this lab's own namespaces alone, from which no cable leads out.
 */
export const publicAddresses = { pub1: '11.1.1.11', pub2: '12.1.1.12', pub3: '13.1.1.13', stun: '11.1.1.31' } as const

/** Hosts of the two people. */
export const hosts = { a: 'a1', b: 'b1' } as const

const direct = 'direct'

/** An internet with public hosts and two homes, the same for all contenders. */
export class World {
  readonly net: Internet
  readonly #a: Home
  readonly #b: Home

  private constructor(net: Internet, a: Home, b: Home) {
    this.net = net
    this.#a = a
    this.#b = b
  }

  static async build(): Promise<World> {
    const net = await Internet.build()
    for (const [name, address] of Object.entries(publicAddresses)) await net.addPublic(name, [address])
    const mode = 'none'
    const first = {
      name: 'a',
      mode,
      hosts: [hosts.a],
      lan4: '192.168.1',
      wan4: '13.1.1.101',
      public4: '13.1.1',
    } as const
    const second = {
      name: 'b',
      mode,
      hosts: [hosts.b],
      lan4: '192.168.2',
      wan4: '12.1.1.101',
      public4: '12.1.1',
    } as const
    const [a, b] = [await Home.build(net, first), await Home.build(net, second)]
    await net.meter(direct, a.side, b.side)
    return new World(net, a, b)
  }

  /** Routers of these kinds, that remember nothing. */
  async become({ a, b }: Pair): Promise<void> {
    await Promise.all([this.#a.setMode(a), this.#b.setMode(b)])
  }

  /** The public address of each of the two people's own computers; undefined behind a NAT. */
  ownAddresses(): { readonly a: string | undefined; readonly b: string | undefined } {
    const of = (home: Home, host: string) => (home.mode === 'none' ? home.address4(host) : undefined)
    return { a: of(this.#a, hosts.a), b: of(this.#b, hosts.b) }
  }

  /** Bytes that have gone between the homes without a third. */
  async directBytes(): Promise<number> {
    return (await this.net.read(direct)).bytes
  }

  end(): void {
    this.net.end()
  }
}
