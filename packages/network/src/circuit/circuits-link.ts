import { assert, equalBytes, type Now } from '@miaou/core'
import {
  type CircuitCloseReason,
  circuitChunkSizeSmall,
  decodeCircuitData,
  decodeRelayMessage,
  encodeCircuitData,
  encodeRelayMessage,
  fillerCircuit,
  frameTypes,
  type RelayMessage,
  relayIdOf,
} from '@miaou/protocol'
import type { CloseReason, LinkError } from '../interface.ts'
import { Link, type LinkOutput } from '../link.ts'
import type { LinkIdentity, LinkPeer } from '../link-handshake.ts'
import type { ChannelIndex, PipeId, TransportEvent } from '../ports.ts'
import { type CircuitPipe, circuitWindowMin } from './circuit-pipe.ts'
import { SilenceWatch } from './circuits-silence.ts'
import type { CircuitsState } from './circuits-state.ts'

/** What a request of ours asked for; the answer names it. */
export type RelayRequest =
  | { readonly type: 'reserve'; readonly sentAt: number }
  | { readonly type: 'open'; readonly sentAt: number; readonly circuit: CircuitPipe }
  | { readonly type: 'measure'; readonly phase: 'down' | 'up'; readonly sentAt: number }

type Answer = Extract<RelayMessage, { type: 'reserved' | 'opened' | 'refused' | 'measured' }>

/** Who holds a link with a relay, and is told what happens on it. */
export interface RelayLinkOwner {
  linkUp(now: Now, link: RelayLink): void
  /** Something authentic came while the link was suspect, and now it is not. */
  linkTrusted(now: Now, link: RelayLink): void
  linkSuspect(now: Now, link: RelayLink): void
  /** The last word; its circuits are closed by then. */
  linkEnded(now: Now, link: RelayLink, detail: string): void
  answered(now: Now, link: RelayLink, request: RelayRequest, answer: Answer): void
  /** A request for a service was not answered in time. */
  serviceUnanswered(link: RelayLink): void
  incoming(now: Now, link: RelayLink, message: Extract<RelayMessage, { type: 'incoming' }>): void
  pong(now: Now, link: RelayLink, latencyMs: number): void
  filler(now: Now, link: RelayLink, size: number): void
}

const watchPing = 0
const measurePing = 1
const zeros = new Uint8Array(circuitChunkSizeSmall)

/** One link with a relay, from the dial of its pipe to its end, and the circuits that it carries. */
export class RelayLink {
  readonly pipe: PipeId
  readonly url: string
  readonly startedAt: number
  upAt: number | undefined
  readonly #state: CircuitsState
  readonly #owner: RelayLinkOwner
  readonly #relayId: Uint8Array
  readonly #pseudonym: LinkIdentity
  readonly #watch: SilenceWatch
  readonly #circuits = new Map<number, CircuitPipe>()
  readonly #requests = new Map<number, RelayRequest>()
  /** Requests whose answer is not waited for any more; one may come. */
  readonly #endedRequests = new Set<number>()
  #link: Link | undefined
  #nextRequest = 1
  #faults = 0
  #fillerInFlight = 0
  #isEnded = false
  #error: string | undefined

  constructor(
    now: Now,
    options: {
      readonly state: CircuitsState
      readonly owner: RelayLinkOwner
      readonly url: string
      readonly relayId: Uint8Array
      readonly pseudonym: LinkIdentity
    },
  ) {
    this.#state = options.state
    this.#owner = options.owner
    this.url = options.url
    this.#relayId = options.relayId
    this.#pseudonym = options.pseudonym
    this.#watch = new SilenceWatch(this.#state.settings.limits)
    this.startedAt = now.mono
    this.pipe = this.#state.settings.nextPipe()
    this.#state.links.set(this.pipe, this)
    this.#state.emit({ type: 'relay-dial', pipe: this.pipe, url: this.url })
  }

  get isUp(): boolean {
    return !this.#isEnded && this.#link?.isUp === true
  }

  get isSuspect(): boolean {
    return this.#watch.isSuspect
  }

  /** Smoothed round trip in ms. */
  get latencyMs(): number | undefined {
    return this.#link?.latencyMs
  }

  get circuitsCount(): number {
    return this.#circuits.size
  }

  get requestsCount(): number {
    return this.#requests.size
  }

  /** Takes an event of its own pipe. */
  transport(now: Now, event: TransportEvent): void {
    if (event.type === 'opened') this.#open(now, event)
    else if (event.type === 'message') this.#receive(now, event.channel, event.bytes)
    else if (event.type === 'closed') {
      const detail = event.error === undefined ? 'the relay closed the connection' : errorText(event.error)
      this.end(now, detail)
    }
  }

  /** Says something that asks for no answer. */
  tell(now: Now, message: RelayMessage): void {
    if (this.isUp) this.#send(now, frameTypes.relayControl, encodeRelayMessage(message))
  }

  /** `toMessage`: of the request's number. */
  ask(now: Now, request: RelayRequest, toMessage: (request: number) => RelayMessage): void {
    assert(this.isUp, 'only a relay that is linked is asked')
    const number = this.#nextRequest++ >>> 0
    this.#requests.set(number, request)
    this.tell(now, toMessage(number))
  }

  /** Sends what a circuit has waiting, as far as its window reaches. */
  pump(now: Now, circuit: CircuitPipe): void {
    if (!this.isUp) return
    const chunks = circuit.takeChunks(now.mono)
    if (chunks.length === 0) return
    this.#watch.sent(now.mono)
    const link = this.#link
    assert(link !== undefined, 'a link that is up exists')
    const frames = chunks.map((payload) => ({ frameType: frameTypes.circuitData, payload }))
    this.#take(now, link.sendAll(now, frames).outputs)
  }

  /** No answer to a measurement is waited for any more; one may come. */
  dropMeasures(): void {
    for (const [number, { type }] of this.#requests) {
      if (type !== 'measure') continue
      this.#requests.delete(number)
      this.#endedRequests.add(number)
    }
  }

  /** Sends filler of so many bytes, for measuring. */
  sendFiller(now: Now, size: number): void {
    this.#fillerInFlight += size
    for (let left = size; left > 0; left -= circuitChunkSizeSmall) {
      const bytes = zeros.subarray(0, Math.min(left, circuitChunkSizeSmall))
      this.#send(now, frameTypes.circuitData, encodeCircuitData({ circuit: fillerCircuit, isLast: true, bytes }))
    }
  }

  /** The round trip is told by `pong`. */
  ping(now: Now): void {
    this.#ping(now, measurePing)
  }

  /** The network changed: the relay must answer now. */
  doubt(now: Now): void {
    this.#watch.doubt(now.mono)
    this.wake(now)
  }

  /** Circuits asked for and not open yet, handed over: another link asks for them anew. */
  takeAsked(): CircuitPipe[] {
    const asked: CircuitPipe[] = []
    for (const [number, request] of this.#requests) {
      if (request.type !== 'open') continue
      this.#requests.delete(number)
      if (this.#state.circuits.has(request.circuit.pipe)) asked.push(request.circuit)
    }
    return asked
  }

  adopt(circuit: CircuitPipe): void {
    this.#circuits.set(circuit.number, circuit)
  }

  /** The circuit is gone. */
  forget(circuit: CircuitPipe): void {
    if (this.#circuits.get(circuit.number) === circuit) this.#circuits.delete(circuit.number)
  }

  /** Whether a number that the relay gives a circuit is in use. */
  hasCircuit(number: number): boolean {
    return this.#circuits.has(number)
  }

  closeCircuit(now: Now, number: number, reason: CircuitCloseReason): void {
    this.tell(now, { type: 'close', circuit: number, reason })
  }

  /** Counts something that no honest relay does; too many of them end the link. */
  fault(now: Now): void {
    this.#faults += 1
    if (this.#faults < this.#state.settings.limits.faultsMax || this.#isEnded) return
    this.#state.count('links-faulty')
    this.close(now, 'protocol-error', 'the relay does not keep to the protocol')
  }

  /** Ends the link, saying why where the relay can hear it. */
  close(now: Now, reason: CloseReason, detail: string): void {
    if (this.#isEnded) return
    this.#error = detail
    const outputs = this.#link?.close(now, reason) ?? []
    this.#take(now, outputs)
    this.end(now, detail)
  }

  /** The pipe is gone or of no use: frees everything, and closes the circuits. */
  end(now: Now, detail: string): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#state.links.delete(this.pipe)
    this.#link?.pipeClosed()
    this.#state.emit({ type: 'close', pipe: this.pipe })
    const error = { type: 'broken', detail: `the relay is lost: ${detail}` } as const
    for (const circuit of [...this.#circuits.values()]) this.#state.circuitClosed(circuit, error)
    for (const request of this.#requests.values()) {
      if (request.type === 'open') this.#state.circuitClosed(request.circuit, error)
    }
    this.#requests.clear()
    this.#owner.linkEnded(now, this, detail)
  }

  deadline(): number {
    if (this.#isEnded) return Number.POSITIVE_INFINITY
    const { openTimeoutMs } = this.#state.settings.limits
    if (this.#link === undefined) return this.startedAt + openTimeoutMs
    const silence = this.isUp ? this.#watch.deadline(this.#rtt, this.#backlog()) : Number.POSITIVE_INFINITY
    return Math.min(this.#link.deadline(), this.#requestDeadline(), this.#serviceDeadline(), silence)
  }

  wake(now: Now): void {
    if (this.#isEnded) return
    if (this.#link === undefined) {
      if (now.mono >= this.deadline()) this.end(now, 'it did not answer')
      return
    }
    const outputs = this.#link.wake(now)
    // The ping of an idle link asks for an answer, too.
    if (outputs.some(({ type }) => type === 'write')) this.#watch.sent(now.mono)
    this.#take(now, outputs)
    this.#dropServices(now)
    if (now.mono >= this.#requestDeadline()) this.close(now, 'silent', 'it did not answer a request')
    while (this.isUp) {
      const due = this.#watch.wake(now.mono, this.#rtt, this.#backlog())
      if (due === undefined) return
      if (due === 'ping') this.#ping(now, watchPing)
      else if (due === 'suspect') this.#owner.linkSuspect(now, this)
      else {
        this.#state.count('links-silent')
        this.end(now, 'it fell silent')
      }
    }
  }

  get #rtt(): number {
    return this.#link?.latencyMs ?? 0
  }

  /** Own bytes that may still be on their way to the relay. */
  #backlog(): number {
    let bytes = this.#fillerInFlight
    for (const circuit of this.#circuits.values()) bytes += circuit.uncreditedBytes
    return bytes
  }

  #requestDeadline(): number {
    if (this.#requests.size === 0) return Number.POSITIVE_INFINITY
    const { limits } = this.#state.settings
    for (const request of this.#requests.values()) {
      // A measurement, and what the relay itself must wait for, have their own, longer time and never end the link.
      if (request.type === 'measure' || isForService(request)) continue
      return request.sentAt + limits.answerTimeoutMs + this.#slowMs()
    }
    return Number.POSITIVE_INFINITY
  }

  /** An answer may stand behind a window of data. */
  #slowMs(): number {
    return (this.#backlog() * 1_000) / this.#state.settings.limits.slowBytesPerSecond
  }

  /** Of the oldest request for a service. */
  #serviceDeadline(): number {
    for (const request of this.#requests.values()) {
      if (!isForService(request)) continue
      return request.sentAt + this.#serviceAnswerMs()
    }
    return Number.POSITIVE_INFINITY
  }

  #serviceAnswerMs(): number {
    return this.#state.settings.limits.serviceAnswerTimeoutMs + this.#slowMs()
  }

  /** Services that were not answered for in time are asked of another relay. */
  #dropServices(now: Now): void {
    const answerMs = this.#serviceAnswerMs()
    for (const [number, request] of this.#requests) {
      if (!isForService(request) || now.mono < request.sentAt + answerMs) continue
      this.#requests.delete(number)
      this.#endedRequests.add(number)
      this.#owner.serviceUnanswered(this)
      this.#state.circuitClosed(request.circuit, { type: 'broken', detail: 'the relay does not answer' })
    }
  }

  #open(now: Now, { channels, padded }: Extract<TransportEvent, { type: 'opened' }>): void {
    if (this.#link !== undefined) return
    const { crypto, random, linkLimits: limits } = this.#state.settings
    const identity = this.#pseudonym
    const features: readonly string[] = []
    const handshake = { crypto, random, identity, features, role: 'initiator', expected: undefined } as const
    this.#link = new Link({ ...handshake, padded, channels, limits, binding: undefined, pseudonymsAdmitted: true }, now)
    this.#take(now, this.#link.start(now))
  }

  #receive(now: Now, channel: ChannelIndex, bytes: Uint8Array): void {
    if (this.#link === undefined || this.#isEnded) return
    const outputs = this.#link.receive(now, channel, bytes)
    if (this.isUp && !outputs.some(({ type }) => type === 'refused')) {
      const wasSuspect = this.#watch.isSuspect
      this.#watch.heard(now.mono)
      if (wasSuspect && !this.#watch.isSuspect) this.#owner.linkTrusted(now, this)
    }
    this.#take(now, outputs)
  }

  #take(now: Now, outputs: readonly LinkOutput[]): void {
    // Sealed in this order: what the rest leads to is written behind them.
    for (const output of outputs) {
      if (output.type !== 'write') continue
      this.#state.emit({ type: 'write', pipe: this.pipe, channel: output.channel, bytes: output.bytes })
    }
    for (const output of outputs) {
      if (this.#isEnded) return
      switch (output.type) {
        case 'proven':
          this.#prove(now, output.peer)
          break
        case 'up':
          this.upAt = now.mono
          this.#watch.measured(this.#rtt)
          this.#owner.linkUp(now, this)
          break
        case 'frame':
          this.#takeFrame(now, output.frameType, output.payload)
          break
        case 'pong':
          this.#pong(now, output.id, output.latencyMs)
          break
        case 'refused':
          this.#state.count('bad-frame')
          break
        case 'remote-retired':
          this.end(now, 'the relay has another link with us')
          break
        case 'ended':
          this.end(now, this.#error ?? endText(output.reason, output.error))
          break
      }
    }
  }

  /** Only who has the key that the address names is the relay; until then nothing shows who asks. */
  #prove(now: Now, { certificate }: LinkPeer): void {
    assert(this.#link !== undefined, 'a link proves its peer')
    const sha256 = (bytes: Uint8Array) => this.#state.settings.crypto.sha256(bytes)
    const isRelay =
      certificate.kind === 'pseudonym' && equalBytes(relayIdOf(certificate.deviceKey, sha256), this.#relayId)
    if (isRelay) {
      this.#take(now, this.#link.accept(now))
      return
    }
    this.#state.count('wrong-relay')
    this.#error = 'another relay answered'
    this.#take(now, this.#link.refuse(now, 'protocol-error'))
  }

  #takeFrame(now: Now, frameType: number, payload: Uint8Array): void {
    if (frameType === frameTypes.circuitData) {
      this.#takeData(now, payload)
      return
    }
    const decoded = frameType === frameTypes.relayControl ? decodeRelayMessage(payload) : undefined
    if (decoded?.ok) {
      this.#takeControl(now, decoded.value)
      return
    }
    this.#state.count('bad-control')
    this.fault(now)
  }

  #takeControl(now: Now, message: RelayMessage): void {
    switch (message.type) {
      case 'reserved':
      case 'opened':
      case 'refused':
      case 'measured':
        this.#takeAnswer(now, message)
        return
      case 'incoming':
        this.#owner.incoming(now, this, message)
        return
      case 'close': {
        const circuit = this.#circuits.get(message.circuit)
        if (circuit !== undefined) this.#circuitEnded(circuit, message.reason)
        return
      }
      case 'credit':
        this.#credit(now, message.circuit, message.bytes)
        return
      default:
        // What only clients say.
        this.#state.count('bad-control')
        this.fault(now)
    }
  }

  #takeAnswer(now: Now, answer: Answer): void {
    // The filler itself has told its end.
    if (this.#endedRequests.delete(answer.request)) {
      if (answer.type === 'opened') this.closeCircuit(now, answer.circuit, 'bye')
      return
    }
    const request = this.#requests.get(answer.request)
    const isFitting = request !== undefined && (answer.type === 'refused' || answerTypes[request.type] === answer.type)
    if (request !== undefined && isFitting) {
      this.#requests.delete(answer.request)
      if (request.type === 'measure' && request.phase === 'up') this.#fillerInFlight = 0
      this.#owner.answered(now, this, request, answer)
      return
    }
    this.#state.count('unasked')
    if (answer.type === 'opened' && !this.#circuits.has(answer.circuit)) {
      this.closeCircuit(now, answer.circuit, 'bye')
    }
    this.fault(now)
  }

  #credit(now: Now, number: number, bytes: number): void {
    const circuit = this.#circuits.get(number)
    // Of a circuit that we have just closed.
    if (circuit === undefined) return
    if (!circuit.credit(now.mono, bytes)) {
      this.#breakCircuit(now, circuit, 'flow-control', 'more credit than was used')
      return
    }
    this.pump(now, circuit)
    if (circuit.state === 'closing' && circuit.isDrained) this.finishClosing(now, circuit)
  }

  /** A circuit that was closed has sent what waited. */
  finishClosing(now: Now, circuit: CircuitPipe): void {
    this.closeCircuit(now, circuit.number, 'bye')
    this.#state.circuitClosed(circuit)
  }

  #takeData(now: Now, payload: Uint8Array): void {
    const decoded = decodeCircuitData(payload)
    if (!decoded.ok) {
      this.#state.count('bad-data')
      this.fault(now)
      return
    }
    const { circuit: number, bytes } = decoded.value
    if (number === fillerCircuit) {
      this.#owner.filler(now, this, bytes.length)
      return
    }
    const circuit = this.#circuits.get(number)
    if (circuit === undefined) {
      // It may be one that we have just closed.
      this.#state.count('unknown-circuit')
      return
    }
    const message = circuit.receive(decoded.value)
    if (message === 'flow-control' || message === 'too-large') {
      if (message === 'flow-control') this.#breakCircuit(now, circuit, message, 'more than the window allows')
      else this.#breakCircuit(now, circuit, 'protocol-error', 'a message too large')
      return
    }
    if (message !== undefined && circuit.state === 'open') {
      const { pipe } = circuit
      this.#state.emit({ type: 'event', event: { type: 'message', pipe, channel: 0, bytes: message } })
    }
    const owed = circuit.takeOwed()
    if (owed > 0) this.tell(now, { type: 'credit', circuit: number, bytes: owed })
  }

  #breakCircuit(now: Now, circuit: CircuitPipe, reason: 'flow-control' | 'protocol-error', detail: string): void {
    this.#state.count(reason === 'flow-control' ? reason : 'message-too-large')
    this.closeCircuit(now, circuit.number, reason)
    this.#state.circuitClosed(circuit, { type: 'broken', detail })
  }

  #circuitEnded(circuit: CircuitPipe, reason: CircuitCloseReason): void {
    if (reason === 'bye') this.#state.circuitClosed(circuit)
    else this.#state.circuitClosed(circuit, { type: 'broken', detail: closeTexts[reason] })
  }

  #pong(now: Now, id: number, latencyMs: number): void {
    const wasSuspect = this.#watch.isSuspect
    this.#watch.pong(now.mono, latencyMs)
    if (wasSuspect && !this.#watch.isSuspect) this.#owner.linkTrusted(now, this)
    if (id === measurePing) this.#owner.pong(now, this, latencyMs)
  }

  #ping(now: Now, id: number): void {
    if (!this.isUp) return
    this.#watch.sent(now.mono)
    this.#watch.pinged(now.mono)
    this.#take(now, this.#link?.ping(now, id) ?? [])
  }

  #send(
    now: Now,
    frameType: typeof frameTypes.relayControl | typeof frameTypes.circuitData,
    payload: Uint8Array,
  ): void {
    const link = this.#link
    if (link === undefined || !this.isUp) return
    this.#watch.sent(now.mono)
    this.#take(now, link.send(now, frameType, payload, false) ?? [])
  }
}

/** Whether a window that a relay tells can be used. */
export function isUsableWindow(window: number): boolean {
  return window >= circuitWindowMin
}

function isForService(request: RelayRequest): request is Extract<RelayRequest, { type: 'open' }> {
  return request.type === 'open' && request.circuit.service !== undefined
}

const answerTypes = { reserve: 'reserved', open: 'opened', measure: 'measured' } as const

const closeTexts: Readonly<Record<Exclude<CircuitCloseReason, 'bye'>, string>> = {
  'peer-gone': 'the other end is no longer at the relay',
  quota: 'the relay carries no more today',
  'flow-control': 'more than the window allows',
  'protocol-error': 'the other end does not keep to the protocol',
  idle: 'nothing passed for too long',
  shutdown: 'the relay stops',
  busy: 'the relay or the other end is busy',
}

function endText(reason: CloseReason, error: LinkError | undefined): string {
  if (error === undefined) return 'the connection ended'
  switch (error.type) {
    case 'refused':
      return reason === 'shutdown' ? 'the relay stops' : `the relay ended the connection: ${reason}`
    case 'silent':
      return 'it fell silent'
    case 'handshake-timeout':
      return 'it did not answer'
    case 'bad-handshake':
    case 'bad-certificate':
      return `no relay of ours answered: ${error.detail}`
    default:
      return `the connection broke: ${error.type}`
  }
}

function errorText(error: NonNullable<Extract<TransportEvent, { type: 'closed' }>['error']>): string {
  switch (error.type) {
    case 'unreachable':
    case 'unavailable':
    case 'broken':
      return error.detail
    case 'timeout':
      return 'it did not answer'
    default:
      return error.type
  }
}
