import type { Now, PeerId } from '@miaou/core'
import type {
  CircuitsEngine,
  CircuitsInput,
  CircuitsOutput,
  ConnectionView,
  MailboxesEngine,
  MailboxesInput,
  MailboxesOutput,
  MailboxView,
  Network,
  NetworkInput,
  NetworkOutput,
  PipeId,
  RelayView,
  TransportEvent,
} from '@miaou/network'

/** What the three engines want of the host or of the layers above: all but what they say to each other. */
export type RelayedOutput =
  | NetworkOutput
  | Extract<CircuitsOutput, { readonly type: 'relay-dial' | 'reservations' | 'ice-servers' | 'measured' }>
  /** Straight: those through a relay stay inside. */
  | MailboxesOutput

type Task =
  | { readonly to: 'network'; readonly input: NetworkInput }
  | { readonly to: 'circuits'; readonly input: CircuitsInput }
  | { readonly to: 'mailboxes'; readonly input: MailboxesInput }

/**
 * The network engine with circuits as one of its transports, and the mailboxes whose pipes may be circuits too: what one
 * asks of a circuit goes to the circuits engine, what comes through one comes back as a transport event. In turn, never
 * one within the other: the order of effects stays.
 */
export class RelayedNetwork {
  readonly #network: Network
  readonly #circuits: CircuitsEngine | undefined
  readonly #mailboxes: MailboxesEngine | undefined
  #tasks: Task[] = []

  /** `circuits`: undefined for a peer that uses no relay; `mailboxes`: for one that uses none. */
  constructor(network: Network, circuits: CircuitsEngine | undefined, mailboxes?: MailboxesEngine) {
    this.#network = network
    this.#circuits = circuits
    this.#mailboxes = mailboxes
  }

  handle(now: Now, input: NetworkInput): RelayedOutput[] {
    this.#tasks.push({ to: 'network', input })
    const outputs = this.#run(now)
    // What all have to know; a last word on a circuit is written before its end.
    if (input.type === 'network-changed' || input.type === 'wake' || input.type === 'stop') {
      this.#tasks.push({ to: 'mailboxes', input })
      outputs.push(...this.#run(now))
      this.#tasks.push({ to: 'circuits', input })
      outputs.push(...this.#run(now))
    }
    return outputs
  }

  handleCircuits(now: Now, input: CircuitsInput): RelayedOutput[] {
    this.#tasks.push({ to: 'circuits', input })
    return this.#run(now)
  }

  handleMailboxes(now: Now, input: MailboxesInput): RelayedOutput[] {
    this.#tasks.push({ to: 'mailboxes', input })
    return this.#run(now)
  }

  /** Monotonic ms of the next wake, Infinity for none. An early or repeated wake changes nothing. */
  deadline(): number {
    return Math.min(
      this.#network.deadline(),
      this.#circuits?.deadline() ?? Number.POSITIVE_INFINITY,
      this.#mailboxes?.deadline() ?? Number.POSITIVE_INFINITY,
    )
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

  mailboxes(): readonly MailboxView[] {
    return this.#mailboxes?.views() ?? []
  }

  counters(): Readonly<Record<string, number>> {
    const counters: Record<string, number> = { ...this.#network.counters() }
    for (const [engine, name] of [
      [this.#circuits, 'circuits'],
      [this.#mailboxes, 'mailboxes'],
    ] as const) {
      for (const [reason, count] of Object.entries(engine?.counters() ?? {})) counters[`${name}-${reason}`] = count
    }
    return counters
  }

  #run(now: Now): RelayedOutput[] {
    const outputs: RelayedOutput[] = []
    for (let task = this.#tasks.shift(); task !== undefined; task = this.#tasks.shift()) {
      switch (task.to) {
        case 'network':
          for (const output of this.#network.handle(now, task.input)) this.#takeFromNetwork(output, outputs)
          break
        case 'circuits':
          for (const output of this.#circuits?.handle(now, task.input) ?? []) this.#takeFromCircuits(output, outputs)
          break
        case 'mailboxes':
          for (const output of this.#mailboxes?.handle(now, task.input) ?? []) this.#takeFromMailboxes(output, outputs)
      }
    }
    return outputs
  }

  #takeFromNetwork(output: NetworkOutput, outputs: RelayedOutput[]): void {
    if (output.type === 'dial' && output.transport === 'circuit') {
      const { pipe, address } = output
      this.#dialCircuit({ type: 'dial', pipe, address })
      return
    }
    if ((output.type === 'write' || output.type === 'close') && this.#isCircuit(output.pipe)) {
      this.#tasks.push({ to: 'circuits', input: output })
      return
    }
    outputs.push(output)
  }

  #takeFromMailboxes(output: MailboxesOutput, outputs: RelayedOutput[]): void {
    if (output.type === 'mailbox-dial' && output.throughRelay) {
      const { pipe, url } = output
      this.#dialCircuit({ type: 'dial-service', pipe, url })
      return
    }
    if ((output.type === 'write' || output.type === 'close') && this.#isCircuit(output.pipe)) {
      this.#tasks.push({ to: 'circuits', input: output })
      return
    }
    outputs.push(output)
  }

  #dialCircuit(input: Extract<CircuitsInput, { readonly type: 'dial' | 'dial-service' }>): void {
    if (this.#circuits !== undefined) {
      this.#tasks.push({ to: 'circuits', input })
      return
    }
    const error = { type: 'unavailable', detail: 'this peer uses no relays' } as const
    this.#tasks.push(this.#eventTask({ type: 'closed', pipe: input.pipe, error }))
  }

  /** One whose dial still waits for its turn is a circuit already. */
  #isCircuit(pipe: PipeId): boolean {
    if (this.#circuits?.owns(pipe) === true) return true
    return this.#tasks.some(({ to, input }) => {
      return to === 'circuits' && (input.type === 'dial' || input.type === 'dial-service') && input.pipe === pipe
    })
  }

  #takeFromCircuits(output: CircuitsOutput, outputs: RelayedOutput[]): void {
    if (output.type !== 'event') outputs.push(output)
    else this.#tasks.push(this.#eventTask(output.event))
  }

  #eventTask(event: TransportEvent): Task {
    const to = 'pipe' in event && this.#mailboxes?.owns(event.pipe) === true ? 'mailboxes' : 'network'
    return { to, input: { type: 'transport', event } }
  }
}
