import { bytesToHex, type Now, peerIdToKey, TokenBucket } from '@miaou/core'
import {
  type CircuitAddress,
  formatEndpoint,
  formatRelayAddress,
  type RelayMessage,
  type RelayTerms,
  reservationIdOf,
  unpackEndpoint,
} from '@miaou/protocol'
import { backoff } from '../backoff.ts'
import type { LinkIdentity } from '../link-handshake.ts'
import type { TransportError } from '../ports.ts'
import { CircuitPipe } from './circuit-pipe.ts'
import { toIceServer } from './circuits-ice-servers.ts'
import { isUsableWindow, RelayLink, type RelayLinkOwner, type RelayRequest } from './circuits-link.ts'
import { RelayMeasurement } from './circuits-measurement.ts'
import type { CircuitsState } from './circuits-state.ts'
import type { IceServerUrl, RelayView } from './interface.ts'

type Message<T extends RelayMessage['type']> = Extract<RelayMessage, { type: T }>

interface Reservation {
  /** Whose end is that of the reservation. */
  readonly link: RelayLink
  readonly expiresAt: number
  readonly renewAt: number
}

/** One relay as its client sees it: the link, made again when it is lost, the reservation, and what waits for both. */
export class KnownRelay implements RelayLinkOwner {
  readonly relayId: Uint8Array
  /** Place in the list of wanted relays; undefined for one that only an address named. */
  rank: number | undefined
  /** Whether a reservation is to be kept here. */
  isChosen = false
  readonly #state: CircuitsState
  readonly #pseudonym: LinkIdentity
  readonly #reservationId: Uint8Array
  readonly #incoming: TokenBucket
  #wantedUrls: readonly string[] = []
  #otherUrls: readonly string[] = []
  // Where it answered last.
  #goodUrl: string | undefined
  readonly #triedUrls = new Set<string>()
  #link: RelayLink | undefined
  // A second link beside a suspect one: whichever answers first stays.
  #challenger: RelayLink | undefined
  #challengedAt = Number.NEGATIVE_INFINITY
  #dials: CircuitPipe[] = []
  #measurement: RelayMeasurement | undefined
  #reservation: Reservation | undefined
  #isAsking = false
  #hasReserved = false
  #heldUntil = 0
  #tryingSince: number | undefined
  #failures = 0
  #nextTryAt = 0
  #lastTryAt = Number.NEGATIVE_INFINITY
  #idleSince: number | undefined
  #error: string | undefined
  #isRefused = false
  // It does not offer ways to services, as far as this link has shown.
  #isServiceless = false
  #terms: RelayTerms | undefined
  #clockOffsetMs: number | undefined
  #observed: string | undefined
  #iceServers: readonly IceServerUrl[] = []

  constructor(state: CircuitsState, relayId: Uint8Array) {
    const { crypto, pseudonymFor, limits } = state.settings
    this.#state = state
    this.relayId = relayId
    this.#pseudonym = pseudonymFor(relayId)
    this.#reservationId = reservationIdOf(peerIdToKey(this.#pseudonym.peerId), (bytes) => crypto.sha256(bytes))
    this.#incoming = new TokenBucket(limits.incomingPerMinute / 60, limits.incomingBurst)
  }

  get isReserved(): boolean {
    return this.#reservation !== undefined && this.#reservation.link === this.#link && this.#link.isUp
  }

  /** Own way through this relay, listed a while longer than its link stands; undefined for none. */
  address(now: Now): CircuitAddress | undefined {
    const reservation = this.#reservation
    if (reservation === undefined || this.rank === undefined || !this.#isHeld(now)) return undefined
    return { relay: { url: reservation.link.url, relayId: this.relayId }, reservation: this.#reservationId }
  }

  /** Where it is reached, or tried first. */
  get url(): string {
    return this.#link?.url ?? this.#urls()[0] ?? ''
  }

  /** Whether it can be asked for a service: `ready` now, `soon` while its link is made; undefined: not at all. */
  serviceStanding(now: Now): 'ready' | 'soon' | undefined {
    if (this.#isServiceless) return undefined
    if (this.isReserved && this.#link?.isSuspect === false) return 'ready'
    return this.occupies(now) && (this.#link !== undefined || this.#isHeld(now)) ? 'soon' : undefined
  }

  get iceServers(): readonly IceServerUrl[] {
    return this.isReserved ? this.#iceServers : []
  }

  /** Whether it keeps the next of the list from being tried. */
  occupies(now: Now): boolean {
    if (!this.isChosen) return false
    if (this.isReserved || this.#isHeld(now)) return true
    return this.#tryingSince !== undefined && now.mono < this.#tryingSince + this.#state.settings.limits.patienceMs
  }

  /** Whether a reservation may be asked for now. */
  isReady(now: Now): boolean {
    return !this.isChosen && now.mono >= this.#nextTryAt
  }

  /** Whether nothing is lost when it is forgotten. */
  get isIdle(): boolean {
    const isLinked = this.#link !== undefined || this.#challenger !== undefined
    return this.rank === undefined && !isLinked && this.#dials.length === 0
  }

  setWantedUrls(urls: readonly string[]): void {
    this.#wantedUrls = urls.slice(0, this.#state.settings.limits.urlsMax)
  }

  /** A URL that an address names; wanted ones go first. */
  addUrl(url: string): void {
    if (this.#urls().includes(url)) return
    this.#otherUrls = [url, ...this.#otherUrls].slice(0, this.#state.settings.limits.urlsMax - 1)
  }

  /** A reservation is wanted here, now. */
  choose(now: Now): void {
    this.isChosen = true
    this.#tryingSince = now.mono
    if (this.#link === undefined) this.#connect(now)
    else if (this.#link.isUp) this.#reserve(now, this.#link)
  }

  /** No reservation is wanted here any more. */
  dismiss(now: Now): void {
    this.isChosen = false
    this.#tryingSince = undefined
    if (this.isReserved) this.#link?.tell(now, { type: 'release' })
    this.#reservation = undefined
    this.#iceServers = []
    this.#state.isChanged = true
  }

  /** A circuit is wanted: through the link that stands, or the one that is made for it. */
  dial(now: Now, circuit: CircuitPipe): void {
    if (this.circuitsCount >= this.#state.settings.limits.circuitsPerRelayMax) {
      this.#state.count('dials-refused')
      const pipesMax = this.#state.settings.limits.circuitsPerRelayMax
      this.#state.circuitClosed(circuit, { type: 'too-many-pipes', pipesMax })
      return
    }
    const link = this.#link
    if (link?.isUp && !link.isSuspect) {
      this.#openCircuit(now, link, circuit)
      return
    }
    this.#dials.push(circuit)
    if (link !== undefined) {
      if (link.isUp) this.#challenge(now)
      return
    }
    // Who dials has a backoff of its own; here only a relay that failed this instant is not asked again.
    if (now.mono >= this.#lastTryAt + this.#state.settings.limits.backoffMinMs) this.#connect(now)
    else this.#failDials({ type: 'unreachable', detail: this.#error ?? 'the relay does not answer' })
  }

  /** The circuit was given up before it was open. */
  cancel(circuit: CircuitPipe): void {
    this.#dials = this.#dials.filter((other) => other !== circuit)
  }

  get circuitsCount(): number {
    return this.#dials.length + (this.#link?.circuitsCount ?? 0) + (this.#link?.requestsCount ?? 0)
  }

  measure(now: Now, id: number): void {
    const link = this.#link
    if (link === undefined || !link.isUp) {
      this.#state.emit({ type: 'measured', id, result: { ok: false, detail: 'this relay is not linked' } })
    } else if (this.#measurement?.isDone === false) {
      this.#state.emit({ type: 'measured', id, result: { ok: false, detail: 'a measurement is under way' } })
    } else {
      this.#measurement = new RelayMeasurement(now, this.#state, link, id)
    }
  }

  /** Nothing of what was known about the way to the relay holds any more. */
  networkChanged(now: Now): void {
    this.#nextTryAt = Math.min(this.#nextTryAt, now.mono)
    this.#challengedAt = Number.NEGATIVE_INFINITY
    const link = this.#link
    if (link === undefined) {
      if (this.isChosen) this.#connect(now)
      return
    }
    if (this.isChosen) this.#tryingSince = now.mono
    if (!link.isUp) {
      // It was dialled from an address that may be gone.
      this.#link = undefined
      link.end(now, 'the network changed')
      this.#connect(now)
      return
    }
    this.#challenger?.end(now, 'the network changed')
    link.doubt(now)
    if (this.#link === link) this.#challenge(now)
  }

  stop(now: Now): void {
    this.#failDials({ type: 'unavailable', detail: 'stopped' })
    this.#measurement?.fail('stopped')
    this.rank = undefined
    this.dismiss(now)
    this.#challenger?.close(now, 'shutdown', 'stopped')
    this.#link?.close(now, 'shutdown', 'stopped')
  }

  deadline(now: Now): number {
    const { patienceMs, idleMs } = this.#state.settings.limits
    const times = [this.#link?.deadline(), this.#challenger?.deadline(), this.#measurement?.deadline()]
    if (this.#reservation !== undefined) {
      const { renewAt, expiresAt } = this.#reservation
      times.push(expiresAt)
      if (!this.isReserved) times.push(this.#heldUntil)
      else if (!this.#isAsking) times.push(renewAt)
    } else if (this.#tryingSince !== undefined && now.mono < this.#tryingSince + patienceMs) {
      times.push(this.#tryingSince + patienceMs)
    }
    if (this.#idleSince !== undefined) times.push(this.#idleSince + idleMs)
    if (this.isChosen && this.#link === undefined) times.push(this.#nextTryAt)
    return Math.min(...times.map((time) => time ?? Number.POSITIVE_INFINITY))
  }

  /** When a relay of the list that is not chosen may be tried again. */
  get nextTryAt(): number {
    return this.#nextTryAt
  }

  wake(now: Now): void {
    this.#challenger?.wake(now)
    this.#link?.wake(now)
    this.#measurement?.wake(now)
    const reservation = this.#reservation
    if (reservation !== undefined) {
      if (!this.#isHeld(now)) this.#reservation = undefined
      else if (this.isReserved && now.mono >= reservation.renewAt) this.#reserve(now, reservation.link)
    }
    if (this.isChosen && this.#link === undefined && now.mono >= this.#nextTryAt) this.#connect(now)
  }

  /** A link that nobody uses is closed after a while. */
  checkIdle(now: Now): void {
    const link = this.#link
    const isUsed = this.isChosen || this.circuitsCount > 0 || this.#measurement?.isDone === false
    if (link === undefined || !link.isUp || isUsed) {
      this.#idleSince = undefined
      return
    }
    this.#idleSince ??= now.mono
    if (now.mono < this.#idleSince + this.#state.settings.limits.idleMs) return
    this.#link = undefined
    this.#idleSince = undefined
    link.close(now, 'bye', 'nobody uses it')
  }

  view(now: Now): RelayView | undefined {
    const link = this.#link
    if (this.rank === undefined && link === undefined) return undefined
    const isTrying = link !== undefined || this.#challenger !== undefined
    const isFailed = !isTrying && !this.#isHeld(now)
    if (isFailed && this.#error === undefined) return undefined
    const address = this.isReserved ? this.address(now) : undefined
    const failed = this.#isRefused ? 'refused' : 'unreachable'
    const linked = this.isReserved ? 'reserved' : this.#isRefused ? 'refused' : 'connected'
    const url = link?.url ?? this.#urls()[0] ?? ''
    return {
      relay: { url, relayId: this.relayId },
      state: isFailed ? failed : link?.isUp ? linked : 'connecting',
      ...(address === undefined ? {} : { address }),
      ...(link?.latencyMs === undefined ? {} : { latencyMs: link.latencyMs }),
      ...(this.#terms === undefined ? {} : { terms: this.#terms }),
      ...(this.#clockOffsetMs === undefined ? {} : { clockOffsetMs: this.#clockOffsetMs }),
      ...(this.#observed === undefined ? {} : { observed: this.#observed }),
      ...(this.#error === undefined || this.isReserved ? {} : { error: this.#error }),
      ...(isFailed && this.#nextTryAt > now.mono ? { nextTryAt: this.#nextTryAt } : {}),
      circuits: link?.circuitsCount ?? 0,
    }
  }

  linkUp(now: Now, link: RelayLink): void {
    this.#state.isChanged = true
    if (link === this.#challenger) {
      const old = this.#link
      this.#link = link
      this.#challenger = undefined
      this.#state.count('links-replaced')
      this.#isAsking = false
      this.#heldUntil = now.mono + this.#state.settings.limits.reservationGraceMs
      for (const circuit of old?.takeAsked() ?? []) {
        circuit.state = 'waiting'
        circuit.link = undefined
        this.#dials.push(circuit)
      }
      old?.end(now, 'a new link with it answers, the old one does not')
    }
    this.#goodUrl = link.url
    this.#isServiceless = false
    this.#triedUrls.clear()
    if (!this.#isRefused) this.#error = undefined
    if (this.isChosen) this.#reserve(now, link)
    this.#flushDials(now)
  }

  linkTrusted(now: Now, link: RelayLink): void {
    if (link !== this.#link) return
    const challenger = this.#challenger
    this.#challenger = undefined
    challenger?.end(now, 'the old link answers')
    this.#flushDials(now)
  }

  linkSuspect(now: Now, link: RelayLink): void {
    if (link === this.#link) this.#challenge(now)
  }

  linkEnded(now: Now, link: RelayLink, detail: string): void {
    this.#state.isChanged = true
    if (this.#measurement?.link === link) this.#measurement.fail(`the relay is lost: ${detail}`)
    if (link === this.#challenger) {
      this.#challenger = undefined
      return
    }
    if (link !== this.#link) return
    this.#isAsking = false
    this.#idleSince = undefined
    const { limits, jitter } = this.#state.settings
    this.#heldUntil = now.mono + limits.reservationGraceMs
    this.#link = this.#challenger
    this.#challenger = undefined
    if (this.#link !== undefined) return
    this.#state.count('links-failed')
    this.#error = detail
    const isSteady = link.upAt !== undefined && now.mono - link.upAt >= limits.steadyAfterMs
    if (isSteady) {
      this.#failures = 0
      this.#nextTryAt = now.mono + limits.redialSpreadMs * jitter.next()
      if (this.isChosen) this.#tryingSince = now.mono
      // Who waits for a circuit waits for nobody's turn.
      if (this.#dials.length > 0) this.#connect(now)
      return
    }
    this.#triedUrls.add(link.url)
    if (link.upAt === undefined && this.#urls().some((url) => !this.#triedUrls.has(url)) && this.#isNeeded()) {
      this.#connect(now)
      return
    }
    this.#fail(now, 0)
    this.#failDials({ type: 'unreachable', detail: `the relay does not answer: ${detail}` })
  }

  answered(
    now: Now,
    link: RelayLink,
    request: RelayRequest,
    answer: Message<'reserved' | 'opened' | 'refused' | 'measured'>,
  ): void {
    if (request.type === 'reserve') {
      if (link === this.#link) this.#isAsking = false
      if (answer.type === 'reserved') this.#reserved(now, link, request.sentAt, answer)
      else if (answer.type === 'refused') this.#refused(now, answer)
    } else if (request.type === 'open') {
      const { service } = request.circuit
      if (answer.type === 'opened') this.#opened(now, link, request.circuit, answer)
      else if (answer.type === 'refused' && service !== undefined) {
        if (answer.reason === 'not-offered') this.#isServiceless = true
        this.#state.circuitClosed(request.circuit, service.refused(answer.reason))
      } else if (answer.type === 'refused') {
        const detail = `the relay refuses: ${answer.reason}`
        this.#state.circuitClosed(request.circuit, { type: 'unreachable', detail })
      }
    } else if (answer.type === 'measured') {
      this.#measurement?.measured(now, request.phase, answer.bytes)
    } else if (answer.type === 'refused') {
      this.#measurement?.fail(`the relay refuses: ${answer.reason}`)
    }
    this.#state.isChanged = true
  }

  serviceUnanswered(link: RelayLink): void {
    // One of a version that does not know what it was asked says nothing.
    if (link === this.#link) this.#isServiceless = true
  }

  incoming(now: Now, link: RelayLink, { circuit: number, window }: Message<'incoming'>): void {
    const { limits, nextPipe } = this.#state.settings
    const isFault = !this.#hasReserved || link.hasCircuit(number) || !isUsableWindow(window)
    const isFull = link.circuitsCount >= limits.circuitsPerRelayMax || this.#state.circuits.size >= limits.circuitsMax
    if (isFault || !this.isChosen || isFull || !this.#incoming.take(now.mono)) {
      this.#state.count('incoming-refused')
      if (!link.hasCircuit(number)) link.closeCircuit(now, number, 'busy')
      if (isFault) link.fault(now)
      return
    }
    const address = `circuit:${formatRelayAddress({ url: link.url, relayId: this.relayId })}`
    const times = { startedAt: now.mono, endBy: Number.POSITIVE_INFINITY }
    const circuit = new CircuitPipe(
      { pipe: nextPipe(), direction: 'in', address, reservation: undefined, ...times },
      limits,
    )
    this.#state.addCircuit(circuit)
    circuit.open(link, number, window)
    link.adopt(circuit)
    this.#idleSince = undefined
    this.#state.circuitOpened(circuit, link.url)
  }

  pong(now: Now, link: RelayLink, latencyMs: number): void {
    if (this.#measurement?.link === link) this.#measurement.pong(now, latencyMs)
  }

  filler(now: Now, link: RelayLink, size: number): void {
    if (this.#measurement?.link === link) this.#measurement.filler(now, size)
  }

  #urls(): string[] {
    const urls = [...this.#wantedUrls, ...this.#otherUrls].slice(0, this.#state.settings.limits.urlsMax)
    const good = this.#goodUrl
    return good !== undefined && urls.includes(good) ? [good, ...urls.filter((url) => url !== good)] : urls
  }

  #isNeeded(): boolean {
    return this.isChosen || this.#dials.length > 0
  }

  #isHeld(now: Now): boolean {
    const reservation = this.#reservation
    if (reservation === undefined || now.mono >= reservation.expiresAt) return false
    return this.isReserved || now.mono < this.#heldUntil
  }

  #connect(now: Now): void {
    const urls = this.#urls()
    const url = urls.find((candidate) => !this.#triedUrls.has(candidate)) ?? urls[0]
    if (url === undefined) return
    this.#lastTryAt = now.mono
    this.#link = this.#newLink(now, url)
  }

  #newLink(now: Now, url: string): RelayLink {
    const [state, relayId, pseudonym] = [this.#state, this.relayId, this.#pseudonym]
    return new RelayLink(now, { state, owner: this, url, relayId, pseudonym })
  }

  /** Tries a second link beside the one that is suspect. */
  #challenge(now: Now): void {
    const link = this.#link
    if (link === undefined || this.#challenger !== undefined) return
    if (now.mono < this.#challengedAt + this.#state.settings.limits.challengeMs) return
    this.#challengedAt = now.mono
    this.#challenger = this.#newLink(now, link.url)
  }

  #reserve(now: Now, link: RelayLink): void {
    if (this.#isAsking) return
    this.#isAsking = true
    this.#hasReserved = true
    link.ask(now, { type: 'reserve', sentAt: now.mono }, (request) => ({ type: 'reserve', request }))
  }

  #reserved(now: Now, link: RelayLink, sentAt: number, answer: Message<'reserved'>): void {
    if (!this.isChosen || link !== this.#link) {
      // Dismissed meanwhile, or asked on a link that another one has replaced.
      if (!this.isChosen) link.tell(now, { type: 'release' })
      return
    }
    const { limits, jitter } = this.#state.settings
    const { reservationMinMs, reservationMaxMs } = limits
    const lifeMs = Math.min(Math.max(answer.expiresIn * 1_000, reservationMinMs), reservationMaxMs)
    const renewAt = now.mono + lifeMs * (0.5 + 0.25 * jitter.next())
    this.#reservation = { link, expiresAt: now.mono + lifeMs, renewAt }
    this.#tryingSince = undefined
    this.#isRefused = false
    this.#error = undefined
    if (link.upAt !== undefined && now.mono - link.upAt >= limits.steadyAfterMs) this.#failures = 0
    this.#terms = answer.limits
    this.#clockOffsetMs = answer.timestamp + (now.mono - sentAt) / 2 - now.wall
    const observed = answer.observed.length === 0 ? undefined : unpackEndpoint(answer.observed)
    this.#observed = observed === undefined ? undefined : formatEndpoint(observed)
    const servers = answer.iceServers.map((server) => toIceServer(link.url, server))
    this.#iceServers = servers.filter((server) => server !== undefined)
    for (const server of servers) if (server === undefined) this.#state.count('ice-servers-refused')
  }

  #refused(now: Now, { reason, retryIn }: Message<'refused'>): void {
    this.#state.count('reservations-refused')
    this.#reservation = undefined
    this.#iceServers = []
    this.#isRefused = true
    this.#error = `the relay refuses: ${reason}`
    this.#fail(now, Math.min(retryIn * 1_000, this.#state.settings.limits.retryMaxMs))
  }

  /** No reservation for now: the next of the list has its turn. */
  #fail(now: Now, waitMs: number): void {
    const { limits, jitter } = this.#state.settings
    this.#failures += 1
    const options = { minMs: limits.backoffMinMs, maxMs: limits.backoffMaxMs, jitterShare: limits.backoffJitter }
    this.#nextTryAt = now.mono + Math.max(waitMs, backoff(this.#failures, options, jitter))
    this.#triedUrls.clear()
    this.isChosen = false
    this.#tryingSince = undefined
  }

  #openCircuit(now: Now, link: RelayLink, circuit: CircuitPipe): void {
    const { reservation, service, address: url } = circuit
    this.#idleSince = undefined
    circuit.state = 'asked'
    circuit.link = link
    const asked = { type: 'open', sentAt: now.mono, circuit } as const
    if (service !== undefined) link.ask(now, asked, (request) => ({ type: 'open-service', request, url }))
    else if (reservation !== undefined) link.ask(now, asked, (request) => ({ type: 'open', request, reservation }))
  }

  #opened(now: Now, link: RelayLink, circuit: CircuitPipe, { circuit: number, window }: Message<'opened'>): void {
    const isWanted = this.#state.circuits.has(circuit.pipe)
    if (link.hasCircuit(number)) {
      this.#state.circuitClosed(circuit, { type: 'broken', detail: 'the relay gave a number twice' })
      link.fault(now)
    } else if (!isWanted) {
      link.closeCircuit(now, number, 'bye')
    } else if (isUsableWindow(window)) {
      circuit.open(link, number, window)
      link.adopt(circuit)
      this.#state.circuitOpened(circuit, link.url)
    } else {
      link.closeCircuit(now, number, 'flow-control')
      this.#state.circuitClosed(circuit, { type: 'broken', detail: 'the relay allows too little' })
      link.fault(now)
    }
  }

  #flushDials(now: Now): void {
    const link = this.#link
    if (link === undefined || !link.isUp || link.isSuspect) return
    const dials = this.#dials
    this.#dials = []
    for (const circuit of dials) {
      if (link.isUp) this.#openCircuit(now, link, circuit)
      else this.#state.circuitClosed(circuit, { type: 'broken', detail: 'the relay is lost' })
    }
  }

  #failDials(error: TransportError): void {
    const dials = this.#dials
    this.#dials = []
    for (const circuit of dials) this.#state.circuitClosed(circuit, error)
  }
}

/** Key of a relay in tables. */
export function relayKey(relayId: Uint8Array): string {
  return bytesToHex(relayId)
}
