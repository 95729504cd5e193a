import type { Now, PeerId } from '@miaou/core'
import type {
  CircuitsEngine,
  CircuitsInput,
  CircuitsOutput,
  ConnectionView,
  Network,
  NetworkInput,
  NetworkOutput,
  PipeId,
  RelayView,
} from '@miaou/network'

/** What the two engines want of the host or of the layers above: all but what they say to each other. */
export type RelayedOutput =
  | NetworkOutput
  | Extract<CircuitsOutput, { readonly type: 'relay-dial' | 'reservations' | 'ice-servers' | 'measured' }>

type Task =
  | { readonly to: 'network'; readonly input: NetworkInput }
  | { readonly to: 'circuits'; readonly input: CircuitsInput }

/**
 * The network engine with circuits as one of its transports: what it asks of a circuit goes to the circuits engine, what
 * comes through one comes back as a transport event. In turn, never one within the other: the order of effects stays.
 */
export class RelayedNetwork {
  readonly #network: Network
  readonly #circuits: CircuitsEngine | undefined
  #tasks: Task[] = []

  /** `circuits`: undefined for a peer that uses no relay. */
  constructor(network: Network, circuits: CircuitsEngine | undefined) {
    this.#network = network
    this.#circuits = circuits
  }

  handle(now: Now, input: NetworkInput): RelayedOutput[] {
    this.#tasks.push({ to: 'network', input })
    const outputs = this.#run(now)
    // What both have to know; a last word on a circuit is written before its end.
    if (input.type === 'network-changed' || input.type === 'wake' || input.type === 'stop') {
      this.#tasks.push({ to: 'circuits', input })
      outputs.push(...this.#run(now))
    }
    return outputs
  }

  handleCircuits(now: Now, input: CircuitsInput): RelayedOutput[] {
    this.#tasks.push({ to: 'circuits', input })
    return this.#run(now)
  }

  /** Monotonic ms of the next wake, Infinity for none. An early or repeated wake changes nothing. */
  deadline(): number {
    return Math.min(this.#network.deadline(), this.#circuits?.deadline() ?? Number.POSITIVE_INFINITY)
  }

  views(): ConnectionView[] {
    return this.#network.views()
  }

  view(peerId: PeerId): ConnectionView | undefined {
    return this.#network.view(peerId)
  }

  remoteAddress(peerId: PeerId): string | undefined {
    return this.#network.remoteAddress(peerId)
  }

  relays(): readonly RelayView[] {
    return this.#circuits?.views() ?? []
  }

  counters(): Readonly<Record<string, number>> {
    const counters: Record<string, number> = { ...this.#network.counters() }
    for (const [reason, count] of Object.entries(this.#circuits?.counters() ?? {})) {
      counters[`circuits-${reason}`] = count
    }
    return counters
  }

  #run(now: Now): RelayedOutput[] {
    const outputs: RelayedOutput[] = []
    for (let task = this.#tasks.shift(); task !== undefined; task = this.#tasks.shift()) {
      if (task.to === 'network') {
        for (const output of this.#network.handle(now, task.input)) this.#takeFromNetwork(output, outputs)
      } else {
        for (const output of this.#circuits?.handle(now, task.input) ?? []) this.#takeFromCircuits(output, outputs)
      }
    }
    return outputs
  }

  #takeFromNetwork(output: NetworkOutput, outputs: RelayedOutput[]): void {
    const circuits = this.#circuits
    if (output.type === 'dial' && output.transport === 'circuit') {
      const { pipe, address } = output
      if (circuits !== undefined) this.#tasks.push({ to: 'circuits', input: { type: 'dial', pipe, address } })
      else {
        const error = { type: 'unavailable', detail: 'this peer uses no relays' } as const
        this.#tasks.push({ to: 'network', input: { type: 'transport', event: { type: 'closed', pipe, error } } })
      }
      return
    }
    if ((output.type === 'write' || output.type === 'close') && this.#isCircuit(output.pipe)) {
      this.#tasks.push({ to: 'circuits', input: output })
      return
    }
    outputs.push(output)
  }

  /** One whose dial still waits for its turn is a circuit already. */
  #isCircuit(pipe: PipeId): boolean {
    if (this.#circuits?.owns(pipe) === true) return true
    return this.#tasks.some(({ to, input }) => to === 'circuits' && input.type === 'dial' && input.pipe === pipe)
  }

  #takeFromCircuits(output: CircuitsOutput, outputs: RelayedOutput[]): void {
    if (output.type !== 'event') outputs.push(output)
    else this.#tasks.push({ to: 'network', input: { type: 'transport', event: output.event } })
  }
}
