import { randomBytes } from 'node:crypto'
import { type Endpoint, formatEndpoint, isPublic } from '@miaou/protocol'
import { findGateways, type Gateway } from './gateway.ts'
import {
  createNatPmp,
  createPcp,
  type MappedPort,
  type PortControlOptions,
  type PortMappingProtocol,
  type PortToMap,
} from './port-control.ts'
import { createUpnp, type UpnpOptions } from './upnp.ts'

export interface PortMapperOptions {
  readonly ports: readonly PortToMap[]
  /** Told whenever the mappings changed, never within a call. */
  readonly onChange?: (state: PortMapperState) => void
  readonly limits?: Partial<PortMapperLimits>
  readonly gateways?: () => readonly Gateway[]
  /** How a router is asked, in this order; for tests. */
  readonly protocols?: (gateway: Gateway) => readonly PortMappingProtocol[]
}

export interface PortMapperLimits {
  /** What is asked for (RFC 6886 §3.3). */
  readonly lifetimeS: number
  /** Least wait between two renewals, whatever a router grants. Own choice. */
  readonly renewMinMs: number
  /** Wait after a failure, doubled each time up to the second. Own choice: a router may be new, or restart. */
  readonly retryMs: number
  readonly retryMaxMs: number
  /** Routers asked. Guess: a machine has one or two networks. */
  readonly gatewaysMax: number
  /** Ports mapped. Own choice: the listener, the overlay, STUN. */
  readonly portsMax: number
  /** Time in which a router must answer while everything stops. Own choice. */
  readonly stopTimeoutMs: number
}

export const defaultPortMapperLimits: PortMapperLimits = {
  lifetimeS: 7_200,
  renewMinMs: 30_000,
  retryMs: 60_000,
  retryMaxMs: 3_600_000,
  gatewaysMax: 2,
  portsMax: 4,
  stopTimeoutMs: 1_000,
}

export interface PortMapperState {
  readonly state: 'off' | 'searching' | 'mapped' | 'unavailable'
  readonly method?: PortMappingProtocol['name']
  readonly gateway?: string
  readonly mapped: readonly MappedPort[]
  /** The router's own address, where it is one of the internet; a router behind another NAT has none. */
  readonly externalHost?: string
}

interface Active {
  readonly gateway: string
  readonly protocol: PortMappingProtocol
}

/** Has the router pass ports on to this machine, as long as it runs (PCP, NAT-PMP, UPnP IGD). Never throws. */
export class PortMapper {
  readonly #options: PortMapperOptions
  readonly #limits: PortMapperLimits
  readonly #nonce = Uint8Array.from(randomBytes(12))
  #state: PortMapperState = { state: 'off', mapped: [] }
  #active: Active | undefined
  #failures = 0
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #isOn = false

  constructor(options: PortMapperOptions) {
    this.#options = options
    this.#limits = { ...defaultPortMapperLimits, ...options.limits }
  }

  state(): PortMapperState {
    return this.#state
  }

  start(): void {
    if (this.#isOn) return
    this.#isOn = true
    this.#change({ state: 'searching', mapped: [] })
    this.#run()
  }

  /** Another network, perhaps another router: everything is asked anew. */
  networkChanged(): void {
    if (!this.#isOn) return
    this.#failures = 0
    this.#run()
  }

  /** Takes the mappings back; resolves when the router was told, or did not answer. */
  async stop(): Promise<void> {
    if (!this.#isOn) return
    this.#isOn = false
    clearTimeout(this.#timer)
    // What is under way takes back itself what it still gets.
    const end = Promise.all([this.#running, this.#unmapAll(this.#active, this.#state.mapped)])
    let deadline: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      deadline = setTimeout(resolve, this.#limits.stopTimeoutMs)
    })
    await Promise.race([end, late])
    clearTimeout(deadline)
    this.#active = undefined
    this.#change({ state: 'off', mapped: [] })
  }

  async #unmapAll(active: Active | undefined, mapped: readonly PortToMap[]): Promise<void> {
    await Promise.all(mapped.map((port) => active?.protocol.unmap(port).catch(() => undefined)))
  }

  #run(): void {
    clearTimeout(this.#timer)
    const before = this.#running ?? Promise.resolve()
    const running = before.then(() => this.#mapAll()).catch(() => undefined)
    this.#running = running
  }

  async #mapAll(): Promise<void> {
    if (!this.#isOn) return
    const { renewMinMs, retryMs, retryMaxMs, lifetimeS } = this.#limits
    const gateways = (this.#options.gateways ?? findGateways)().slice(0, this.#limits.gatewaysMax)
    for (const active of this.#candidates(gateways)) {
      const mapped = await this.#mapWith(active.protocol)
      if (!this.#isOn) {
        await this.#unmapAll(active, mapped)
        return
      }
      if (mapped.length === 0) continue
      this.#active = active
      this.#failures = 0
      const external = mapped.find((port) => isPublic(port.external))?.external
      this.#change({
        state: 'mapped',
        method: active.protocol.name,
        gateway: active.gateway,
        mapped,
        ...(external === undefined ? {} : { externalHost: external.host }),
      })
      const granted = Math.min(lifetimeS, ...mapped.map((port) => port.lifetimeS))
      // Half of the lifetime (RFC 6886 §3.3).
      this.#again(Math.max(renewMinMs, granted * 500))
      return
    }
    this.#active = undefined
    this.#change({ state: 'unavailable', mapped: [] })
    this.#again(Math.min(retryMaxMs, retryMs * 2 ** Math.min(this.#failures++, 16)))
  }

  /** What worked last, then all others. */
  #candidates(gateways: readonly Gateway[]): readonly Active[] {
    const last = this.#active
    const create = this.#options.protocols ?? ((gateway) => protocolsOf({ ...gateway, nonce: this.#nonce }))
    const all = gateways.flatMap((gateway) =>
      create(gateway).map((protocol): Active => ({ gateway: gateway.gateway, protocol })),
    )
    const isStillThere = last !== undefined && gateways.some(({ gateway }) => gateway === last.gateway)
    return isStillThere ? [last, ...all.filter(({ protocol }) => protocol.name !== last.protocol.name)] : all
  }

  async #mapWith(protocol: PortMappingProtocol): Promise<MappedPort[]> {
    const mapped: MappedPort[] = []
    for (const port of this.#options.ports.slice(0, this.#limits.portsMax)) {
      const one = await protocol.map(port, this.#limits.lifetimeS).catch(() => undefined)
      if (one !== undefined) mapped.push(one)
      // A router that does not do the first does none.
      else if (mapped.length === 0) return []
    }
    return mapped
  }

  #again(delayMs: number): void {
    this.#timer = setTimeout(() => this.#run(), delayMs)
    this.#timer.unref()
  }

  #change(state: PortMapperState): void {
    const before = describe(this.#state)
    this.#state = state
    const { onChange } = this.#options
    if (onChange !== undefined && describe(state) !== before) queueMicrotask(() => onChange(state))
  }
}

function protocolsOf(options: PortControlOptions & UpnpOptions): readonly PortMappingProtocol[] {
  return [createPcp(options), createNatPmp(options), createUpnp(options)]
}

function describe({ state, method, gateway, mapped }: PortMapperState): string {
  const text = ({ protocol, port, external }: MappedPort & { external: Endpoint }) =>
    `${protocol} ${port} ${formatEndpoint(external)}`
  return JSON.stringify([state, method, gateway, mapped.map(text)])
}
