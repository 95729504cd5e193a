import type { Jitter, Random } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import type { LinkIdentity } from '../link-handshake.ts'
import type { LinkLimits } from '../link-limits.ts'
import type { PipeId, TransportError } from '../ports.ts'
import type { CircuitPipe } from './circuit-pipe.ts'
import { type CircuitsCounter, CircuitsCounters } from './circuits-counters.ts'
import type { CircuitsLimits } from './circuits-limits.ts'
import type { RelayLink } from './circuits-link.ts'
import type { CircuitsOutput } from './interface.ts'

export interface CircuitsSettings {
  readonly crypto: Crypto
  readonly random: Random
  readonly jitter: Jitter
  /** Whom links with a relay (its id, 16 bytes) show: always the same one, and another for each relay. */
  readonly pseudonymFor: (relayId: Uint8Array) => LinkIdentity
  readonly limits: CircuitsLimits
  readonly linkLimits: LinkLimits
  readonly nextPipe: () => PipeId
}

/** Tables and pending effects that the parts of the client of relays share. */
export class CircuitsState {
  readonly settings: CircuitsSettings
  readonly counters: CircuitsCounters = new CircuitsCounters()
  readonly circuits: Map<PipeId, CircuitPipe> = new Map()
  /** Circuits that must be open or flushed by some time. */
  readonly timed: Set<CircuitPipe> = new Set()
  /** Ways to services that the relay which was asked does not make: another one is asked. */
  readonly unplaced: Set<CircuitPipe> = new Set()
  /** Links with relays, by the pipe that carries them. */
  readonly links: Map<PipeId, RelayLink> = new Map()
  outputs: CircuitsOutput[] = []
  /** Something happened beside bytes that passed: what is wanted is compared with what there is. */
  isChanged = false

  constructor(settings: CircuitsSettings) {
    this.settings = settings
  }

  emit(output: CircuitsOutput): void {
    this.outputs.push(output)
  }

  count(name: CircuitsCounter): void {
    this.counters.count(name)
  }

  addCircuit(circuit: CircuitPipe): void {
    this.circuits.set(circuit.pipe, circuit)
    if (circuit.endBy !== Number.POSITIVE_INFINITY) this.timed.add(circuit)
  }

  /** A circuit is open: `Network` may use it. */
  circuitOpened(circuit: CircuitPipe, via: string): void {
    const { pipe, direction, address: remoteAddress } = circuit
    this.timed.delete(circuit)
    const opened = { transport: 'circuit', direction, channels: 1, padded: true, remoteAddress } as const
    this.emit({ type: 'event', event: { type: 'opened', pipe, ...opened } })
    this.emit({ type: 'event', event: { type: 'path', pipe, path: { kind: 'relayed', via } } })
  }

  /** The last event of a circuit; a way to a service is tried elsewhere before that. */
  circuitClosed(circuit: CircuitPipe, error?: TransportError): void {
    if (!this.circuits.has(circuit.pipe)) return
    this.isChanged = true
    if (error !== undefined && this.#isForAnother(circuit, error)) {
      circuit.service?.failed(error)
      circuit.state = 'waiting'
      circuit.link = undefined
      this.unplaced.add(circuit)
      return
    }
    this.circuits.delete(circuit.pipe)
    this.unplaced.delete(circuit)
    this.timed.delete(circuit)
    circuit.clear()
    circuit.link?.forget(circuit)
    const { pipe } = circuit
    this.emit({
      type: 'event',
      event: error === undefined ? { type: 'closed', pipe } : { type: 'closed', pipe, error },
    })
  }

  /** Whether another relay may do what this one did not. */
  #isForAnother({ state, service }: CircuitPipe, { type }: TransportError): boolean {
    const isOpening = state === 'waiting' || state === 'asked'
    const isOfRelay = type === 'broken' || type === 'unreachable' || type === 'too-many-pipes'
    return isOpening && isOfRelay && service !== undefined && !service.isGivenUp
  }
}
