import { type Endpoint, formatEndpoint } from '@miaou/protocol'
import type { PortToMap } from '../nat/port-control.ts'
import type { PortMapper, PortMapperState } from '../nat/port-mapper.ts'
import { webSocketAddress } from '../websocket/addresses.ts'
import type { PortMapping } from './handle.ts'

/** What is needed of a `PortMapper`. */
export type MapsPorts = Pick<PortMapper, 'state' | 'start' | 'networkChanged' | 'stop'>

/** Makes the mapper for these ports; `onChange` is never called within a call. */
export type CreatePortMapper = (ports: readonly PortToMap[], onChange: () => void) => MapsPorts

/** The ports that the router is asked to pass on, and what came of it. Nothing is asked before `start`. */
export class MappedPorts {
  readonly #create: CreatePortMapper | undefined
  readonly #onChange: () => void
  #mapper: MapsPorts | undefined
  #listenerPort = 0

  /** `create`: undefined where nothing is to be asked. */
  constructor(create: CreatePortMapper | undefined, onChange: () => void) {
    this.#create = create
    this.#onChange = onChange
  }

  /** `listenerPort`: of TCP, 0 for none; `udpPorts`: those of the overlay and of STUN. */
  start(listenerPort: number, udpPorts: readonly number[]): void {
    if (this.#create === undefined || listenerPort === 0 || this.#mapper !== undefined) return
    this.#listenerPort = listenerPort
    const udp = [...new Set(udpPorts)].filter((port) => port !== 0)
    const ports: PortToMap[] = [
      { protocol: 'tcp', port: listenerPort },
      ...udp.map((port) => ({ protocol: 'udp', port }) as const),
    ]
    this.#mapper = this.#create(ports, this.#onChange)
    this.#mapper.start()
  }

  networkChanged(): void {
    this.#mapper?.networkChanged()
  }

  /** Where the router lets others in to the listener, undefined where it does not, or is itself behind a NAT. */
  get address(): string | undefined {
    const external = this.#external(this.#mapper?.state())
    return external && webSocketAddress(external.host, external.port)
  }

  view(): PortMapping {
    const mapped = this.#mapper?.state()
    if (mapped === undefined || mapped.state === 'off') return { state: 'off' }
    if (mapped.state === 'searching') return { state: 'searching' }
    if (mapped.state === 'unavailable') return { state: 'none' }
    const protocol = mapped.method === undefined ? {} : { protocol: mapped.method }
    const external = this.#external(mapped)
    if (external !== undefined) return { state: 'mapped', ...protocol, external: formatEndpoint(external) }
    return { state: 'failed', ...protocol, error: 'the router has no address of the internet itself' }
  }

  /** Takes the mappings back. */
  async stop(): Promise<void> {
    await this.#mapper?.stop()
  }

  #external(state: PortMapperState | undefined): Endpoint | undefined {
    if (state?.state !== 'mapped' || state.externalHost === undefined) return undefined
    const own = state.mapped.find(({ protocol, port }) => protocol === 'tcp' && port === this.#listenerPort)
    return own?.external.host === state.externalHost ? own.external : undefined
  }
}
