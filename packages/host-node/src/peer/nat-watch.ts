import type { ConnectivityReport, NatType } from '@miaou/network'
import type { IceServer } from '../webrtc/options.ts'
import type { Connectivity } from './handle.ts'

/** From a change of servers or of the network to the question: what changes together is asked about once. Guess. */
const settleMs = 1_000
/** A NAT that is replaced without a change of our own addresses is noticed within this time. Guess. */
const intervalMs = 3_600_000

export interface NatWatchOptions {
  /** STUN and TURN servers in use now. */
  readonly servers: () => readonly IceServer[]
  readonly loopbackOnly: boolean
  /** Whether to ask unasked: not for a peer that hides, whose NAT is nobody's business. */
  readonly isWatching: boolean
  /** Loaded when it is first needed: `nat/discover-connectivity.ts`. */
  readonly discover?: typeof discover
}

/** What the servers in use say of the way to us: asked when something changed, each hour, and when a person asks. */
export class NatWatch {
  readonly #options: NatWatchOptions
  readonly #discover: typeof discover
  #natType: NatType = 'unknown'
  #servers = ''
  #timer: NodeJS.Timeout | undefined
  /** Networks there were: what was asked on one says nothing of the next. */
  #networks = 0
  #isStopped = false

  constructor(options: NatWatchOptions) {
    this.#options = options
    this.#discover = options.discover ?? discover
  }

  /** `unknown` until enough servers answered. */
  get natType(): NatType {
    return this.#natType
  }

  /** The servers may have changed. */
  serversChanged(): void {
    const text = JSON.stringify(stunOnly(this.#options.servers()))
    if (text === this.#servers) return
    this.#servers = text
    this.#ask(settleMs)
  }

  networkChanged(): void {
    this.#networks += 1
    this.#natType = 'unknown'
    this.#ask(settleMs)
  }

  /** Asks every server once; takes seconds where one is silent. Never fails. */
  async connectivity(): Promise<Connectivity> {
    const servers = this.#options.servers()
    if (servers.length === 0 || this.#isStopped) return { names: [] }
    const network = this.#networks
    const { names, ...report } = await this.#discover(servers, 'all', this.#options.loopbackOnly)
    this.#learn(report.natType, network)
    return {
      report,
      names: names.map(({ name, state, ms, addresses: [address] }) => ({
        name,
        state,
        ms,
        ...(address === undefined ? {} : { address }),
      })),
    }
  }

  stop(): void {
    this.#isStopped = true
    clearTimeout(this.#timer)
  }

  #ask(waitMs: number): void {
    if (!this.#options.isWatching || this.#isStopped) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#look(), waitMs).unref()
  }

  async #look(): Promise<void> {
    const servers = stunOnly(this.#options.servers())
    this.#ask(intervalMs)
    if (servers.length === 0) {
      this.#natType = 'unknown'
      return
    }
    const network = this.#networks
    const { natType } = await this.#discover(servers, 'needed', this.#options.loopbackOnly)
    this.#learn(natType, network)
  }

  #learn(natType: NatType, network: number): void {
    if (network === this.#networks) this.#natType = natType
  }
}

/** What the NAT's type follows from; a TURN server is not bothered each hour. */
function stunOnly(servers: readonly IceServer[]): IceServer[] {
  return servers
    .map(({ urls }) => ({ urls: (typeof urls === 'string' ? [urls] : urls).filter((url) => url.startsWith('stun:')) }))
    .filter(({ urls }) => urls.length > 0)
}

type Discovered = ConnectivityReport & {
  readonly names: readonly {
    readonly name: string
    readonly state: 'ok' | 'failed'
    readonly ms: number
    readonly addresses: readonly string[]
  }[]
}

/** Loaded late: a peer that asks nobody starts without it. */
async function discover(
  iceServers: readonly IceServer[],
  turn: 'needed' | 'all',
  loopbackOnly: boolean,
): Promise<Discovered> {
  const { discoverConnectivity } = await import('../nat/discover-connectivity.ts')
  return discoverConnectivity({ iceServers, turn, loopbackOnly })
}
