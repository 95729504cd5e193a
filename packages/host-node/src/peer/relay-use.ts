import { equalBytes, err, ok, type Result } from '@miaou/core'
import type { CircuitsOutput, PipeId, RelayView, TransportEvent } from '@miaou/network'
import type { PeerInput } from '@miaou/peer'
import {
  type AddressScope,
  type CircuitAddress,
  formatRelayAddress,
  isWayWithin,
  type RelayAddress,
  wayScope,
} from '@miaou/protocol'
import { dialScope } from '../websocket/dial-scope.ts'
import type { WebSocketChannel } from '../websocket/websocket-transport.ts'
import type { Adapters, WebSocketSide } from './adapters.ts'
import type { AddedRelays, AddRelayError } from './added-relays.ts'
import type { RelayEntry, RelayMeasurement, RelaySource, Stopped } from './handle.ts'
import { Pending } from './pending.ts'

/** Subprotocol of links with relays (spec/circuits). */
export const relaySubprotocol = 'miaou-relay-v0.2.0'

/** Guess: half a megabyte each way over a slow line. */
const measureTimeoutMs = 30_000
/** Relays named to the engine: those behind are not reached before the ones in front have failed. Own choice. */
const relaysMax = 16

/** Relays that a person removed and that others may go on naming, remembered in one run. Guess. */
const removedMax = 64

type Measured = Result<RelayMeasurement, Stopped | { readonly type: 'unavailable'; readonly detail: string }>

/** A relay that somebody else named: `source` says who. */
export interface LearntRelay {
  readonly relay: RelayAddress
  readonly source: Exclude<RelaySource, 'config' | 'added'>
}

export interface RelayUseOptions {
  readonly configured: readonly RelayAddress[]
  readonly added: AddedRelays
  /** Relays of the invite, of contacts and of the overlay, best first. */
  readonly learnt: () => readonly LearntRelay[]
  /** The relay that this peer is itself: a reservation there would be no way around one's own router. */
  readonly ownRelayId: Uint8Array | undefined
  /** A peer that stays on this machine: everybody it meets is here. */
  readonly loopbackOnly: boolean
  readonly adapters: Adapters
  readonly nextPipe: () => PipeId
  readonly push: (input: PeerInput) => void
}

/** The relays that this peer uses: who they are, the pipes to them, and what is asked about them. */
export class RelayUse {
  readonly #options: RelayUseOptions
  readonly #measurements = new Pending<Measured>()
  #channel: WebSocketChannel | undefined
  #named: readonly { readonly relay: RelayAddress; readonly source: RelaySource }[] = []
  #reservations: readonly CircuitAddress[] = []
  #told = ''
  /** What a person removed in this run is not used because others name it, last first. */
  #removed: readonly RelayAddress[] = []

  constructor(options: RelayUseOptions) {
    this.#options = options
  }

  /** Own ways through relays, best first. */
  get reservations(): readonly CircuitAddress[] {
    return this.#reservations
  }

  /** The nearest relay that a person chose: what lies there may be named by others too. */
  get nearest(): AddressScope {
    return nearestOf(this.#chosen())
  }

  start(websocket: WebSocketSide): void {
    const { adapters, nextPipe, push } = this.#options
    const emit = (event: TransportEvent): void => {
      if (event.type === 'closed') adapters.release(event.pipe)
      push({ type: 'circuits', input: { type: 'transport', event } })
    }
    this.#channel = websocket.channel?.({ subprotocol: relaySubprotocol, accepts: false, host: { emit, nextPipe } })
    this.refresh()
  }

  /** Names the relays anew, where the list has changed. */
  refresh(): void {
    const { configured, added, learnt, ownRelayId, push } = this.#options
    if (this.#channel === undefined) return
    this.#named = unique([
      ...added.all.map((relay) => ({ relay, source: 'added' as const })),
      ...configured.map((relay) => ({ relay, source: 'config' as const })),
      ...learnt().filter(({ relay }) => !this.#removed.some((removed) => isSame(removed, relay))),
    ])
      .filter(({ relay }) => ownRelayId === undefined || !equalBytes(relay.relayId, ownRelayId))
      .slice(0, relaysMax)
    const text = this.#named.map(({ relay }) => formatRelayAddress(relay)).join()
    if (text === this.#told) return
    this.#told = text
    push({ type: 'circuits', input: { type: 'relays', relays: this.#named.map(({ relay }) => relay) } })
  }

  /** What the circuits engine wants done; the rest is the caller's. */
  perform(output: Extract<CircuitsOutput, { readonly type: 'relay-dial' | 'reservations' | 'measured' }>): void {
    switch (output.type) {
      case 'relay-dial':
        if (this.#channel === undefined) return
        this.#options.adapters.claim(output.pipe, this.#channel)
        this.#channel.dial(output.pipe, output.url, this.#nearestFor(output.url))
        return
      case 'reservations':
        this.#reservations = output.addresses
        return
      case 'measured': {
        const { result } = output
        const { ok: isMeasured } = result
        this.#measurements.settle(
          output.id,
          isMeasured ? ok(result) : err({ type: 'unavailable', detail: result.detail }),
        )
      }
    }
  }

  /** With who named each; one that only a circuit led to has its invite to thank. */
  views(views: readonly RelayView[]): RelayEntry[] {
    return views.map((view) => ({
      ...view,
      source: this.#named.find(({ relay }) => isSame(relay, view.relay))?.source ?? 'invite',
    }))
  }

  measure(relay: RelayAddress): Promise<Measured> {
    return this.#measurements.wait(
      (id) => this.#options.push({ type: 'circuits', input: { type: 'measure', id, relay } }),
      measureTimeoutMs,
      () => err({ type: 'unavailable', detail: `no answer within ${measureTimeoutMs} ms` }),
    )
  }

  add(relay: RelayAddress): Result<undefined, AddRelayError> {
    const added = this.#options.added.add(relay)
    this.#removed = this.#removed.filter((removed) => !isSame(removed, relay))
    this.refresh()
    return added
  }

  remove(relay: RelayAddress): Result<boolean, AddRelayError> {
    const removed = this.#options.added.remove(relay)
    if (removed.ok && removed.value) this.#removed = [relay, ...this.#removed].slice(0, removedMax)
    this.refresh()
    return removed
  }

  /** How near a server of a relay may be; undefined for those beside a relay that a person chose. */
  nearestForHost(host: string): AddressScope | undefined {
    const chosen = this.#chosen()
    if (chosen.some(({ url }) => hostOf(url) === host.toLowerCase())) return undefined
    return dialScope(`ws://${host.includes(':') ? `[${host}]` : host}`, this.#nearest(chosen))
  }

  async stop(): Promise<void> {
    this.#measurements.settleAll(err({ type: 'stopped' }))
    await this.#channel?.stop()
  }

  /** How near the relay at a URL may be; undefined where a person said that it is there. */
  #nearestFor(url: string): AddressScope | undefined {
    const chosen = this.#chosen()
    return chosen.some((relay) => relay.url === url) ? undefined : dialScope(url, this.#nearest(chosen))
  }

  #chosen(): readonly RelayAddress[] {
    return [...this.#options.added.all, ...this.#options.configured]
  }

  #nearest(chosen: readonly RelayAddress[]): AddressScope {
    return this.#options.loopbackOnly ? 'loopback' : nearestOf(chosen)
  }
}

/** Who uses a relay on this machine or network may be told of others there. */
function nearestOf(relays: readonly RelayAddress[]): AddressScope {
  let nearest: AddressScope = 'public'
  for (const { url } of relays) if (!isWayWithin(url, nearest)) nearest = wayScope(url)
  return nearest
}

/** Without brackets; empty for what is no URL, though it looked like one. */
function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).hostname.replace(/^\[|\]$/g, '') : ''
}

function unique<T extends { readonly relay: RelayAddress }>(named: readonly T[]): T[] {
  return named.filter(({ relay }, index) => named.findIndex((other) => isSame(other.relay, relay)) === index)
}

function isSame(a: RelayAddress, b: RelayAddress): boolean {
  return equalBytes(a.relayId, b.relayId)
}
