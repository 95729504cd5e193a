import { lookup as systemLookup } from 'node:dns'
import { isIP } from 'node:net'
import type { IceServerUrl } from '@miaou/network'
import type { AddressScope } from '@miaou/protocol'
import { formatIceUrl, type IceUrl, parseIceUrl } from '../nat/ice-url.ts'
import { isAddressWithin, type NameLookup } from '../websocket/dial-scope.ts'

export interface OfferedServersOptions {
  /** How near a host may be; undefined for that of a relay that a person chose. */
  readonly nearestFor: (host: string) => AddressScope | undefined
  /** Resolves names; by default the system's resolver. */
  readonly lookup?: NameLookup
  /** The servers that are of use are others now; never called within a call. */
  readonly onChange: () => void
}

/**
 * STUN and TURN servers that relays offer, which are on the relay's own host. A relay that somebody else named could have
 * its name lead to our network once we trust it: such a name is resolved here, and the library of WebRTC is given the
 * address (spec/records W22). `turns` keeps its name, which its certificate must have.
 */
export class OfferedServers {
  readonly #options: OfferedServersOptions
  readonly #lookup: NameLookup
  #offered: readonly IceServerUrl[] = []
  /** The address of each name, undefined where it has none that may be used. */
  #addresses: ReadonlyMap<string, string | undefined> = new Map()
  /** Counts the questions: the answer to an old one is no news. */
  #round = 0

  constructor(options: OfferedServersOptions) {
    this.#options = options
    this.#lookup = options.lookup ?? systemLookup
  }

  /** Those that may be used now. */
  get all(): readonly IceServerUrl[] {
    return this.#offered.flatMap((server) => this.#usable(server) ?? [])
  }

  /** The whole list. Servers at addresses are of use at once, those at names once they are resolved. */
  set(offered: readonly IceServerUrl[]): void {
    this.#offered = offered
    void this.refresh()
  }

  /** Names may lead elsewhere now: in another network, or because a relay moved. Never fails. */
  async refresh(): Promise<void> {
    const round = ++this.#round
    const names = new Set<string>()
    for (const { urls } of this.#offered) {
      const host = parseIceUrl(urls)?.host
      if (host !== undefined && isIP(host) === 0 && this.#options.nearestFor(host) !== undefined) names.add(host)
    }
    if (names.size === 0) return
    const before = JSON.stringify(this.all)
    const found = await Promise.all([...names].map(async (name) => [name, await this.#resolve(name)] as const))
    if (round !== this.#round) return
    this.#addresses = new Map(found)
    if (JSON.stringify(this.all) !== before) this.#options.onChange()
  }

  stop(): void {
    this.#round += 1
    this.#offered = []
  }

  #usable(server: IceServerUrl): IceServerUrl | undefined {
    const way = parseIceUrl(server.urls)
    if (way === undefined) return undefined
    const nearest = this.#options.nearestFor(way.host)
    if (nearest === undefined) return server
    if (isIP(way.host) !== 0) return isAddressWithin(way.host, nearest) ? server : undefined
    const address = this.#addresses.get(way.host)
    return address === undefined ? undefined : { ...server, urls: formatIceUrl(atAddress(way, address)) }
  }

  #resolve(name: string): Promise<string | undefined> {
    const nearest = this.#options.nearestFor(name) ?? 'public'
    return new Promise((resolve) => {
      this.#lookup(name, { all: true }, (error, found) => {
        const admitted = error === null ? found.filter(({ address }) => isAddressWithin(address, nearest)) : []
        resolve(admitted[0]?.address)
      })
    })
  }
}

function atAddress(way: IceUrl, address: string): IceUrl {
  return way.transport === 'tls' ? way : { ...way, host: address }
}
