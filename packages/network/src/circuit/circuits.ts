import type { Jitter, Now, Random } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import {
  formatCircuitAddress,
  isRelayUrl,
  parseCircuitAddress,
  pipeMessageSizeMax,
  type RelayAddress,
  relayIdSize,
} from '@miaou/protocol'
import type { LinkIdentity } from '../link-handshake.ts'
import type { LinkLimits } from '../link-limits.ts'
import type { ChannelIndex, PipeId, TransportEvent } from '../ports.ts'
import { CircuitPipe } from './circuit-pipe.ts'
import { type CircuitsLimits, defaultCircuitsLimits, defaultRelayLinkLimits } from './circuits-limits.ts'
import { KnownRelay, relayKey } from './circuits-relay.ts'
import { placeServices, ServiceDial } from './circuits-services.ts'
import { CircuitsState } from './circuits-state.ts'
import type { CircuitsEngine, CircuitsInput, CircuitsOutput, RelayView } from './interface.ts'

export interface CircuitsOptions {
  readonly crypto: Crypto
  readonly random: Random
  readonly jitter: Jitter
  /** Whom links with a relay (its id, 16 bytes) show: always the same one, and another for each relay. */
  readonly pseudonymFor: (relayId: Uint8Array) => LinkIdentity
  /**
   * Whether a URL that only the address of a contact names may be dialled: who sets it keeps contacts from having ports
   * of this machine and its network probed. Default: every one.
   */
  readonly admitsUrl?: (url: string) => boolean
  readonly limits?: Partial<CircuitsLimits>
  readonly linkLimits?: Partial<LinkLimits>
}

/**
 * The client of relays: links with them, reservations there, and circuits as pipes for `Network`. An engine without
 * clock and I/O: every effect is in the returned list. Rules: spec/circuits.md.
 */
export class Circuits implements CircuitsEngine {
  readonly #state: CircuitsState
  readonly #admitsUrl: (url: string) => boolean
  readonly #relays = new Map<string, KnownRelay>()
  #addressesKey = ''
  #iceServersKey = '[]'
  #now: Now = { mono: 0, wall: 0 }
  #isStopped = false

  /** `nextPipe`: a number for a pipe that this engine opens, unique among all pipes of the process. */
  constructor(options: CircuitsOptions, nextPipe: () => PipeId) {
    const { crypto, random, jitter, pseudonymFor, admitsUrl = () => true } = options
    this.#admitsUrl = admitsUrl
    const limits = { ...defaultCircuitsLimits, ...options.limits }
    const linkLimits = { ...defaultRelayLinkLimits, ...options.linkLimits }
    this.#state = new CircuitsState({ crypto, random, jitter, pseudonymFor, limits, linkLimits, nextPipe })
  }

  handle(now: Now, input: CircuitsInput): CircuitsOutput[] {
    this.#now = now
    if (this.#isStopped) this.#refuse(input)
    else {
      this.#take(now, input)
      const isPassing = input.type === 'write' || (input.type === 'transport' && input.event.type === 'message')
      if ((!isPassing || this.#state.isChanged) && !this.#isStopped) this.#arrange(now)
    }
    const { outputs } = this.#state
    this.#state.outputs = []
    return outputs
  }

  /** Monotonic ms of the next `wake`, Infinity for none. An early or repeated wake changes nothing. */
  deadline(): number {
    let deadline = Number.POSITIVE_INFINITY
    if (this.#isStopped) return deadline
    for (const relay of this.#relays.values()) deadline = Math.min(deadline, relay.deadline(this.#now))
    for (const { endBy } of this.#state.timed) deadline = Math.min(deadline, endBy)
    if (this.#freePlaces() > 0) {
      for (const relay of this.#wanted()) if (!relay.isChosen) deadline = Math.min(deadline, relay.nextTryAt)
    }
    return deadline
  }

  /** Whether a pipe is a circuit of this engine: from its dial or `opened` to its `closed`. */
  owns(pipe: PipeId): boolean {
    return this.#state.circuits.has(pipe)
  }

  /** Whether a pipe is one that this engine dialled to a relay. */
  ownsLink(pipe: PipeId): boolean {
    return this.#state.links.has(pipe)
  }

  /** Relays in use, tried or refused; those of the list that were not needed yet are not shown. */
  views(): readonly RelayView[] {
    const others = [...this.#relays.values()].filter(({ rank }) => rank === undefined)
    return [...this.#wanted(), ...others].map((relay) => relay.view(this.#now)).filter((view) => view !== undefined)
  }

  /** What was dropped, refused or lost, by reason, since the start. */
  counters(): Readonly<Record<string, number>> {
    return this.#state.counters.snapshot()
  }

  /** Rows of the tables that peers can make grow: for tests and diagnostics. */
  sizes(): { readonly relays: number; readonly links: number; readonly circuits: number } {
    const { links, circuits } = this.#state
    return { relays: this.#relays.size, links: links.size, circuits: circuits.size }
  }

  #take(now: Now, input: CircuitsInput): void {
    switch (input.type) {
      case 'relays':
        this.#setRelays(now, input.relays)
        return
      case 'transport':
        this.#takeEvent(now, input.event)
        return
      case 'dial':
        this.#dial(now, input.pipe, input.address)
        return
      case 'dial-service':
        this.#dialService(now, input.pipe, input.url)
        return
      case 'write':
        this.#write(now, input.pipe, input.channel, input.bytes)
        return
      case 'close':
        this.#close(now, input.pipe)
        return
      case 'measure':
        this.#measure(now, input.id, input.relay)
        return
      case 'network-changed':
        for (const relay of this.#relays.values()) relay.networkChanged(now)
        return
      case 'wake':
        this.#wake(now)
        return
      case 'stop':
        this.#stop(now)
        return
    }
  }

  /** After the end: a pipe that opened meanwhile is closed, and nothing new begins. */
  #refuse(input: CircuitsInput): void {
    if (input.type === 'transport' && input.event.type === 'opened') {
      this.#state.emit({ type: 'close', pipe: input.event.pipe })
    } else if (input.type === 'dial' || input.type === 'dial-service') {
      const error = { type: 'unavailable', detail: 'stopped' } as const
      this.#state.emit({ type: 'event', event: { type: 'closed', pipe: input.pipe, error } })
    } else if (input.type === 'measure') {
      this.#state.emit({ type: 'measured', id: input.id, result: { ok: false, detail: 'stopped' } })
    }
  }

  #setRelays(now: Now, relays: readonly RelayAddress[]): void {
    const urlsByKey = new Map<string, { readonly relayId: Uint8Array; readonly urls: string[] }>()
    for (const { url, relayId } of relays) {
      if (relayId.length !== relayIdSize || !isRelayUrl(url)) {
        this.#state.count('bad-address')
        continue
      }
      const key = relayKey(relayId)
      const known = urlsByKey.get(key)
      if (known !== undefined) known.urls.push(url)
      else if (urlsByKey.size < this.#state.settings.limits.wantedMax) urlsByKey.set(key, { relayId, urls: [url] })
    }
    for (const [key, relay] of this.#relays) {
      if (urlsByKey.has(key) || relay.rank === undefined) continue
      relay.rank = undefined
      relay.setWantedUrls([])
      relay.dismiss(now)
      relay.wake(now)
    }
    let rank = 0
    for (const [key, { relayId, urls }] of urlsByKey) {
      const relay = this.#relayOf(key, relayId)
      if (relay === undefined) continue
      relay.rank = rank
      rank += 1
      relay.setWantedUrls(urls)
    }
  }

  /** The entry of a relay, made when there is none; undefined where all are in use. */
  #relayOf(key: string, relayId: Uint8Array): KnownRelay | undefined {
    const known = this.#relays.get(key)
    if (known !== undefined) return known
    if (this.#relays.size >= this.#state.settings.limits.relaysMax) {
      for (const [other, relay] of this.#relays) {
        if (!relay.isIdle) continue
        this.#relays.delete(other)
        break
      }
      if (this.#relays.size >= this.#state.settings.limits.relaysMax) return undefined
    }
    const relay = new KnownRelay(this.#state, Uint8Array.from(relayId))
    this.#relays.set(key, relay)
    return relay
  }

  #wanted(): KnownRelay[] {
    const wanted = [...this.#relays.values()].filter(({ rank }) => rank !== undefined)
    return wanted.sort((a, b) => (a.rank ?? 0) - (b.rank ?? 0))
  }

  #freePlaces(): number {
    let places = this.#state.settings.limits.reservationsMax
    for (const relay of this.#relays.values()) if (relay.occupies(this.#now)) places -= 1
    return places
  }

  /** Keeps as many reservations as are wanted, and tells of what changed. */
  #arrange(now: Now): void {
    const wanted = this.#wanted()
    placeServices(now, this.#state, wanted)
    this.#state.isChanged = false
    let places = this.#freePlaces()
    for (const relay of wanted) {
      if (places <= 0) break
      if (!relay.isReady(now)) continue
      relay.choose(now)
      places -= 1
    }
    // Those that answered first are kept; one that was waited for too long is not needed any more.
    const { reservationsMax } = this.#state.settings.limits
    const reserved = wanted.filter(({ isReserved }) => isReserved)
    for (const relay of reserved.slice(reservationsMax)) relay.dismiss(now)
    if (reserved.length >= reservationsMax) {
      for (const relay of wanted) {
        if (relay.isChosen && !relay.isReserved && !relay.occupies(now)) relay.dismiss(now)
      }
    }
    for (const relay of this.#relays.values()) relay.checkIdle(now)
    this.#tellReservations(now)
    this.#tellIceServers()
  }

  #tellReservations(now: Now): void {
    const addresses = this.#wanted()
      .map((relay) => relay.address(now))
      .filter((address) => address !== undefined)
    const key = addresses.map(formatCircuitAddress).join(' ')
    if (key === this.#addressesKey) return
    this.#addressesKey = key
    this.#state.emit({ type: 'reservations', addresses })
  }

  #tellIceServers(): void {
    const servers = this.#wanted().flatMap(({ iceServers }) => iceServers)
    const key = JSON.stringify(servers)
    if (key === this.#iceServersKey) return
    this.#iceServersKey = key
    this.#state.emit({ type: 'ice-servers', servers })
  }

  #takeEvent(now: Now, event: TransportEvent): void {
    const link = this.#state.links.get(event.pipe)
    if (link !== undefined) {
      link.transport(now, event)
      return
    }
    // The last events of a pipe that was given up are no news.
    if (event.type === 'opened') this.#state.emit({ type: 'close', pipe: event.pipe })
  }

  #dial(now: Now, pipe: PipeId, text: string): void {
    const { limits } = this.#state.settings
    const address = parseCircuitAddress(text)
    const times = { startedAt: now.mono, endBy: now.mono + limits.dialTimeoutMs }
    const reservation = address?.reservation
    const circuit = new CircuitPipe({ pipe, direction: 'out', address: text, reservation, ...times }, limits)
    const isFull = this.#state.circuits.size >= limits.circuitsMax
    this.#state.addCircuit(circuit)
    if (address === undefined) {
      this.#state.count('bad-address')
      this.#state.circuitClosed(circuit, { type: 'bad-address', address: text.slice(0, 256) })
      return
    }
    const { relayId, url } = address.relay
    const isAdmitted = this.#admitsUrl(url)
    // The relay itself may be known, by a better URL.
    if (!isAdmitted && !this.#relays.has(relayKey(relayId))) {
      this.#state.count('dials-refused')
      this.#state.circuitClosed(circuit, { type: 'unavailable', detail: 'relays at such addresses are not dialled' })
      return
    }
    const relay = isFull ? undefined : this.#relayOf(relayKey(relayId), relayId)
    if (relay === undefined) {
      this.#state.count('dials-refused')
      this.#state.circuitClosed(circuit, { type: 'too-many-pipes', pipesMax: limits.circuitsMax })
      return
    }
    if (isAdmitted) relay.addUrl(url)
    relay.dial(now, circuit)
  }

  #dialService(now: Now, pipe: PipeId, url: string): void {
    const { limits } = this.#state.settings
    const times = { startedAt: now.mono, endBy: now.mono + limits.serviceDialTimeoutMs }
    const service = new ServiceDial(url)
    const circuit = new CircuitPipe(
      { pipe, direction: 'out', address: url, reservation: undefined, service, ...times },
      limits,
    )
    const isFull = this.#state.circuits.size >= limits.circuitsMax
    this.#state.addCircuit(circuit)
    if (!isRelayUrl(url)) {
      this.#state.count('bad-address')
      this.#state.circuitClosed(circuit, { type: 'bad-address', address: url.slice(0, 256) })
    } else if (isFull) {
      service.isGivenUp = true
      this.#state.count('dials-refused')
      this.#state.circuitClosed(circuit, { type: 'too-many-pipes', pipesMax: limits.circuitsMax })
    } else {
      this.#state.unplaced.add(circuit)
    }
  }

  #write(now: Now, pipe: PipeId, channel: ChannelIndex, bytes: Uint8Array): void {
    const circuit = this.#state.circuits.get(pipe)
    if (circuit === undefined || circuit.state !== 'open' || channel !== 0 || bytes.length === 0) {
      this.#state.count('unknown-pipe')
      return
    }
    if (bytes.length > pipeMessageSizeMax) {
      this.#abandon(now, circuit)
      const error = { type: 'too-large', size: bytes.length, sizeMax: pipeMessageSizeMax } as const
      this.#state.circuitClosed(circuit, error)
      return
    }
    if (!circuit.push(bytes)) {
      this.#state.count('queue-overflow')
      this.#abandon(now, circuit)
      this.#state.circuitClosed(circuit, { type: 'broken', detail: 'the other end reads too slowly' })
      return
    }
    circuit.link?.pump(now, circuit)
  }

  #close(now: Now, pipe: PipeId): void {
    const circuit = this.#state.circuits.get(pipe)
    if (circuit === undefined || circuit.state === 'closing') return
    if (circuit.state !== 'open') {
      for (const relay of this.#relays.values()) relay.cancel(circuit)
      this.#state.circuitClosed(circuit)
      return
    }
    if (circuit.isDrained) {
      this.#abandon(now, circuit)
      this.#state.circuitClosed(circuit)
      return
    }
    circuit.state = 'closing'
    circuit.endBy = now.mono + this.#state.settings.limits.closeTimeoutMs
    this.#state.timed.add(circuit)
  }

  /** Tells the relay that the circuit is over. */
  #abandon(now: Now, circuit: CircuitPipe): void {
    circuit.link?.closeCircuit(now, circuit.number, 'bye')
  }

  #measure(now: Now, id: number, { relayId }: RelayAddress): void {
    const relay = this.#relays.get(relayKey(relayId))
    if (relay !== undefined) relay.measure(now, id)
    else this.#state.emit({ type: 'measured', id, result: { ok: false, detail: 'this relay is not linked' } })
  }

  #wake(now: Now): void {
    for (const relay of this.#relays.values()) relay.wake(now)
    for (const circuit of [...this.#state.timed]) {
      if (now.mono < circuit.endBy) continue
      if (circuit.state === 'closing') {
        this.#abandon(now, circuit)
        this.#state.circuitClosed(circuit)
        continue
      }
      for (const relay of this.#relays.values()) relay.cancel(circuit)
      this.#state.circuitClosed(circuit, { type: 'timeout', afterMs: now.mono - circuit.startedAt })
    }
  }

  #stop(now: Now): void {
    this.#isStopped = true
    for (const circuit of [...this.#state.circuits.values()]) {
      // The last words of `Network` are out already, as far as the window reached.
      if (circuit.state === 'open' || circuit.state === 'closing') this.#abandon(now, circuit)
      for (const relay of this.#relays.values()) relay.cancel(circuit)
      this.#state.circuitClosed(circuit)
    }
    for (const relay of this.#relays.values()) relay.stop(now)
    this.#relays.clear()
  }
}
