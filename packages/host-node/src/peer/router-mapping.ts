import { type Endpoint, formatEndpoint } from '@miaou/protocol'
import type { PortMapper, PortMapperOptions, PortMapperState } from '../nat/port-mapper.ts'
import { webSocketAddress } from '../websocket/addresses.ts'
import type { PortMapping } from './handle.ts'

export interface RouterMappingOptions {
  /** Off: the router is asked nothing. */
  readonly isOn: boolean
  /** What the router is asked to pass on: the listener (TCP), the overlay and STUN (UDP). 0: not there. */
  readonly listenerPort: number
  readonly udpPorts: readonly number[]
  /** Where others reach the listener may have changed. */
  readonly onChange: () => void
  /** Loaded when it is first needed: `nat/port-mapper.ts`. */
  readonly create?: (options: PortMapperOptions) => Promise<Mapper>
}

type Mapper = Pick<PortMapper, 'start' | 'stop' | 'networkChanged' | 'state'>

/** The router asked to let others in, as long as this peer runs; nothing depends on whether it does. */
export class RouterMapping {
  readonly #options: RouterMappingOptions
  readonly #create: (options: PortMapperOptions) => Promise<Mapper>
  #mapper: Mapper | undefined
  #starting: Promise<void> | undefined
  #isStopped = false

  constructor(options: RouterMappingOptions) {
    this.#options = options
    this.#create = options.create ?? createMapper
  }

  start(): void {
    if (this.#options.isOn) this.#starting ??= this.#open()
  }

  /** Where the router lets others in to the listener. */
  get addresses(): readonly string[] {
    const { listenerPort } = this.#options
    const { mapped } = this.#state()
    return mapped
      .filter(({ protocol, port }) => protocol === 'tcp' && port === listenerPort)
      .map(({ external }) => webSocketAddress(external.host, external.port))
  }

  view(): PortMapping {
    const { state, method, mapped } = this.#state()
    const [first] = mapped
    const external: Endpoint | undefined = first?.external
    return {
      state: state === 'unavailable' ? 'none' : state,
      ...(method === undefined ? {} : { protocol: method }),
      ...(external === undefined ? {} : { external: formatEndpoint(external) }),
    }
  }

  networkChanged(): void {
    this.#mapper?.networkChanged()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#starting
    await this.#mapper?.stop()
  }

  async #open(): Promise<void> {
    const { listenerPort, udpPorts, onChange } = this.#options
    const ports = [
      ...(listenerPort === 0 ? [] : [{ protocol: 'tcp' as const, port: listenerPort }]),
      ...[...new Set(udpPorts)].filter((port) => port !== 0).map((port) => ({ protocol: 'udp' as const, port })),
    ]
    if (ports.length === 0) return
    const mapper = await this.#create({ ports, onChange })
    if (this.#isStopped) return
    this.#mapper = mapper
    mapper.start()
  }

  #state(): PortMapperState {
    return this.#mapper?.state() ?? { state: 'off', mapped: [] }
  }
}

async function createMapper(options: PortMapperOptions): Promise<Mapper> {
  const { PortMapper } = await import('../nat/port-mapper.ts')
  return new PortMapper(options)
}
