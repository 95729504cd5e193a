import type { Now } from '@miaou/core'
import type { RelayRefusal } from '@miaou/protocol'
import type { TransportError } from '../ports.ts'
import type { CircuitPipe } from './circuit-pipe.ts'
import type { KnownRelay } from './circuits-relay.ts'
import type { CircuitsState } from './circuits-state.ts'

/** The dial of a service: which relays were asked, and what they said. */
export class ServiceDial {
  readonly host: string
  readonly asked: Set<KnownRelay> = new Set()
  /** The last relay has failed: its error is told. */
  isGivenUp = false
  #error: TransportError | undefined
  #isNobodyThere = false

  constructor(url: string) {
    this.host = hostOf(url)
  }

  /** A relay did not do it. */
  failed(error: TransportError): void {
    this.#error = error
  }

  /** What a relay said, as an error. */
  refused(reason: RelayRefusal): TransportError {
    this.#isNobodyThere ||= reason === 'unreachable'
    return { type: 'broken', detail: `the relay refuses: ${reason}` }
  }

  /** Why it is not open, for who dialled: that one relay found nobody there counts for more than that others are busy. */
  get error(): TransportError {
    const error = this.#error
    if (this.#isNobodyThere) return { type: 'unreachable', detail: 'the relay finds no such service there' }
    if (error?.type === 'too-many-pipes') return error
    if (error?.type !== 'broken' && error?.type !== 'unreachable') return { type: 'unavailable', detail: noRelay }
    return { type: 'unavailable', detail: `no relay leads there: ${error.detail}` }
  }
}

const noRelay = 'no relay is linked'

/**
 * Asks the best relay that was not asked yet, and the next one where that one fails. Best: not on the host of the
 * service, or one machine would see both who asks and what is asked for; then one that answers now; then the first of the
 * list.
 */
export function placeServices(now: Now, state: CircuitsState, wanted: readonly KnownRelay[]): void {
  for (const circuit of state.unplaced) {
    state.unplaced.delete(circuit)
    const relay = circuit.service && bestFor(now, circuit.service, wanted)
    if (relay === undefined) giveUp(state, circuit)
    else {
      if (circuit.service !== undefined && circuit.service.asked.size > 0) state.count('services-elsewhere')
      circuit.service?.asked.add(relay)
      // What fails at once comes back here: a set is walked to its end, with what was added meanwhile.
      relay.dial(now, circuit)
    }
  }
}

function bestFor(now: Now, { host, asked }: ServiceDial, wanted: readonly KnownRelay[]): KnownRelay | undefined {
  let best: KnownRelay | undefined
  let bestRank = Number.POSITIVE_INFINITY
  for (const relay of wanted) {
    const standing = asked.has(relay) ? undefined : relay.serviceStanding(now)
    if (standing === undefined) continue
    const rank = (hostOf(relay.url) === host ? 2 : 0) + (standing === 'ready' ? 0 : 1)
    if (rank >= bestRank) continue
    best = relay
    bestRank = rank
  }
  return best
}

function giveUp(state: CircuitsState, circuit: CircuitPipe): void {
  const { service } = circuit
  if (service === undefined) return
  service.isGivenUp = true
  state.count('services-failed')
  state.circuitClosed(circuit, service.error)
}

/** Of a URL that `isRelayUrl` admits, without its port. */
function hostOf(url: string): string {
  const [, authority = ''] = /^wss?:\/\/([^/]+)/.exec(url) ?? []
  return authority.replace(/:\d*$/, '').toLowerCase()
}
