import { err, ok, type Result } from '@miaou/core'
import type {
  ChannelBinding,
  ChannelIndex,
  IceCandidate,
  PipeId,
  SessionDescription,
  SignalledTransport,
  TransportError,
  TransportHost,
  TransportKind,
} from '@miaou/network'
import { formatCircuitAddress, parseCircuitAddress } from '@miaou/protocol'
import { seededNumbers } from './seeded.ts'

/** How a hub treats what passes through it. */
export interface MemoryHubOptions {
  /** Seed of the losses and reorderings: the same seed and calls give the same events. */
  readonly seed: number
  /** Share of the messages of channel 1 that are lost, in [0, 1]. */
  readonly signalsLossShare: number
  /** Share of the messages of channel 1 that fall behind later ones, in [0, 1]. */
  readonly signalsReorderShare: number
  /** Whether events are delivered by themselves, one microtask later, instead of by `flush`. */
  readonly flushesItself: boolean
}

export const defaultMemoryHubOptions: MemoryHubOptions = {
  seed: 1,
  signalsLossShare: 0,
  signalsReorderShare: 0,
  flushesItself: false,
}

/** What a memory transport says of itself: with kind `webrtc` it stands in for WebRTC in tests of upgrades. */
export interface MemoryTransportOptions {
  readonly kind: TransportKind
  readonly channels: 1 | 2
  readonly padded: boolean
  /** Whether pipes carry a channel binding (32 bytes drawn for each end of each pipe). */
  readonly bound: boolean
  /** Largest message, in bytes. */
  readonly messageSizeMax: number
  /** Pipes that others may open to it. */
  readonly pipesMax: number
  /** Relays by name through which a transport of kind `circuit` is reached; others have none. */
  readonly relays: readonly string[]
}

export const defaultMemoryTransportOptions: MemoryTransportOptions = {
  kind: 'memory',
  channels: 2,
  padded: false,
  bound: false,
  messageSizeMax: 65_536,
  pipesMax: 512,
  relays: [],
}

interface End {
  readonly transport: MemoryTransport
  readonly pipe: PipeId
  readonly direction: 'in' | 'out'
  readonly fingerprint: Uint8Array
  state: 'opening' | 'open' | 'closing' | 'closed'
  peer: End | undefined
  /** Of a circuit: the relay that carries it. */
  relay: string | undefined
}

interface Circuit {
  readonly transport: MemoryTransport
  readonly relay: string
}

interface Parcel {
  readonly run: () => void
  /** True once for a message of channel 1 that may still fall behind. */
  mayFallBehind: boolean
}

/** A network in memory: every event waits in one queue until `flush`, so that a test decides what happens when. */
export class MemoryHub {
  readonly #options: MemoryHubOptions
  readonly #transports = new Map<string, MemoryTransport>()
  readonly #offers = new Map<string, { readonly end: End; readonly name: string }>()
  readonly #circuits = new Map<string, Circuit>()
  readonly #relays: string[] = []
  readonly #silent = new Set<string>()
  #reservations = 0
  #queue: Parcel[] = []
  readonly #draw: () => number
  #offerCount = 0
  #flushIsPlanned = false

  constructor(options: Partial<MemoryHubOptions> = {}) {
    this.#options = { ...defaultMemoryHubOptions, ...options }
    this.#draw = seededNumbers(this.#options.seed)
  }

  /**
   * A transport that others reach as `memory:NAME` once it has started; with kind `circuit`, as `circuit:…@ws://RELAY` by
   * each of its `relays`.
   */
  transport(name: string, options: Partial<MemoryTransportOptions> = {}): MemoryTransport {
    return new MemoryTransport(this, name, { ...defaultMemoryTransportOptions, ...options })
  }

  /** A relay dies without a word: nothing goes through it any more, and nobody is told. */
  silence(relay: string): void {
    this.#silent.add(relay)
  }

  /** @internal */
  isSilent(relay: string | undefined): boolean {
    return relay !== undefined && this.#silent.has(relay)
  }

  /** @internal The way to a transport through a relay. */
  addCircuit(transport: MemoryTransport, relay: string): string {
    if (!this.#relays.includes(relay)) this.#relays.push(relay)
    const relayId = numberedId(this.#relays.indexOf(relay))
    const reservation = numberedId(++this.#reservations)
    const address = formatCircuitAddress({ relay: { url: `ws://${relay}`, relayId }, reservation })
    this.#circuits.set(address, { transport, relay })
    return address
  }

  /** @internal */
  findCircuit(address: string): Circuit | undefined {
    return this.#circuits.get(address)
  }

  /** Events that wait. */
  get pendingCount(): number {
    return this.#queue.length
  }

  /** Delivers the oldest event; false when there was none. */
  flushOne(): boolean {
    const parcel = this.#queue.shift()
    if (parcel === undefined) return false
    if (parcel.mayFallBehind && this.#draw() < this.#options.signalsReorderShare) {
      parcel.mayFallBehind = false
      this.#queue.push(parcel)
      return true
    }
    parcel.run()
    return true
  }

  /** Delivers events until none waits, also those that deliveries cause; at most `eventsMax`. Returns how many. */
  flush(eventsMax = 1_000_000): number {
    let count = 0
    while (count < eventsMax && this.flushOne()) count++
    return count
  }

  /** @internal */
  post(run: () => void, isSignal = false): void {
    if (isSignal && this.#draw() < this.#options.signalsLossShare) return
    this.#queue.push({ run, mayFallBehind: isSignal })
    if (!this.#options.flushesItself || this.#flushIsPlanned) return
    this.#flushIsPlanned = true
    queueMicrotask(() => {
      this.#flushIsPlanned = false
      this.flush()
    })
  }

  /** @internal */
  register(name: string, transport: MemoryTransport): boolean {
    if (this.#transports.has(name)) return false
    this.#transports.set(name, transport)
    return true
  }

  /** @internal */
  unregister(name: string): void {
    this.#transports.delete(name)
  }

  /** @internal */
  find(name: string): MemoryTransport | undefined {
    return this.#transports.get(name)
  }

  /** @internal Remembers an offer under a text of its own. */
  addOffer(end: End, name: string): string {
    const sdp = `memory-offer:${++this.#offerCount}`
    this.#offers.set(sdp, { end, name })
    return sdp
  }

  /** @internal */
  takeOffer(sdp: string): { readonly end: End; readonly name: string } | undefined {
    const offer = this.#offers.get(sdp)
    this.#offers.delete(sdp)
    return offer
  }

  /** @internal 32 drawn bytes. */
  fingerprint(): Uint8Array {
    return Uint8Array.from({ length: 32 }, () => Math.floor(this.#draw() * 256))
  }
}

/** A transport of a `MemoryHub`: dialled by name, or joined by exchanging descriptions as WebRTC is. */
export class MemoryTransport implements SignalledTransport {
  readonly kind: TransportKind
  readonly #hub: MemoryHub
  readonly #name: string
  readonly #options: MemoryTransportOptions
  readonly #ends = new Map<PipeId, End>()
  readonly #answers = new Map<string, End>()
  #host: TransportHost | undefined

  constructor(hub: MemoryHub, name: string, options: MemoryTransportOptions) {
    this.kind = options.kind
    this.#hub = hub
    this.#name = name
    this.#options = options
  }

  async start(host: TransportHost): Promise<Result<readonly string[], TransportError>> {
    const address = `memory:${this.#name}`
    if (!this.#hub.register(this.#name, this)) return err({ type: 'address-in-use', address })
    this.#host = host
    if (this.kind !== 'circuit') return ok([address])
    return ok(this.#options.relays.map((relay) => this.#hub.addCircuit(this, relay)))
  }

  dial(pipe: PipeId, address: string): void {
    const end = this.#addEnd(pipe, 'out')
    const circuit = this.#hub.findCircuit(address)
    const name = circuit === undefined ? /^memory:(.+)$/.exec(address)?.[1] : circuit.transport.#name
    end.relay = circuit?.relay
    this.#hub.post(() => {
      if (end.state !== 'opening' || this.#hub.isSilent(end.relay)) return
      if (name === undefined && parseCircuitAddress(address) === undefined) {
        return this.#fail(end, { type: 'bad-address', address })
      }
      const listener = name === undefined ? undefined : this.#hub.find(name)
      if (listener === undefined) return this.#fail(end, { type: 'unreachable', detail: `nobody is at ${address}` })
      const host = listener.#host
      if (host === undefined) return this.#fail(end, { type: 'unreachable', detail: `nobody listens at ${address}` })
      const pipesMax = listener.#options.pipesMax
      if (listener.#ends.size >= pipesMax) return this.#fail(end, { type: 'too-many-pipes', pipesMax })
      const inbound = listener.#addEnd(host.nextPipe(), 'in')
      inbound.relay = end.relay
      join(inbound, end)
      listener.#open(inbound, this.#name)
      this.#open(end, listener.#name)
    })
  }

  offer(pipe: PipeId): void {
    const end = this.#addEnd(pipe, 'out')
    const sdp = this.#hub.addOffer(end, this.#name)
    this.#hub.post(() => {
      if (end.state === 'opening') this.#emitDescription(end, { type: 'offer', sdp })
    })
  }

  accept(pipe: PipeId, offer: SessionDescription): void {
    const end = this.#addEnd(pipe, 'in')
    this.#hub.post(() => {
      if (end.state !== 'opening') return
      const offered = this.#hub.takeOffer(offer.sdp)
      if (offered === undefined || offered.end.state !== 'opening') {
        return this.#fail(end, { type: 'broken', detail: 'the offer is not one of this hub' })
      }
      const sdp = offer.sdp.replace('offer', 'answer')
      join(end, offered.end)
      offered.end.transport.#answers.set(sdp, end)
      this.#emitDescription(end, { type: 'answer', sdp })
    })
  }

  answer(pipe: PipeId, answer: SessionDescription): void {
    const end = this.#ends.get(pipe)
    this.#hub.post(() => {
      if (end?.state !== 'opening') return
      const answering = this.#answers.get(answer.sdp)
      this.#answers.delete(answer.sdp)
      if (answering === undefined || answering.peer !== end || answering.state !== 'opening') {
        return this.#fail(end, { type: 'broken', detail: 'the answer is not for this offer' })
      }
      answering.transport.#open(answering, this.#name)
      this.#open(end, answering.transport.#name)
    })
  }

  /** Memory pipes need no candidates: those of a pipe are ignored. */
  addCandidate(_pipe: PipeId, _candidate: IceCandidate): void {
    this.#hub.post(() => undefined)
  }

  send(pipe: PipeId, channel: ChannelIndex, bytes: Uint8Array): void {
    const end = this.#ends.get(pipe)
    if (end?.state !== 'open' || channel >= this.#options.channels) return
    const sizeMax = this.#options.messageSizeMax
    if (bytes.length > sizeMax) {
      this.#hub.post(() => this.#fail(end, { type: 'too-large', size: bytes.length, sizeMax }))
      return
    }
    const copy = bytes.slice()
    this.#hub.post(() => {
      const peer = end.peer
      if (this.#hub.isSilent(end.relay)) return
      if (peer === undefined || (peer.state !== 'open' && peer.state !== 'closing')) return
      peer.transport.#host?.emit({ type: 'message', pipe: peer.pipe, channel, bytes: copy })
    }, channel === 1)
  }

  close(pipe: PipeId): void {
    const end = this.#ends.get(pipe)
    if (end === undefined || end.state === 'closing' || end.state === 'closed') return
    end.state = 'closing'
    this.#hub.post(() => (this.#hub.isSilent(end.relay) ? finish(end) : closeBoth(end)))
  }

  /** Breaks a pipe as a crash of the network would: both ends hear `broken`, what is under way to them is lost. */
  break(pipe: PipeId): void {
    const end = this.#ends.get(pipe)
    if (end === undefined) return
    const peer = end.peer
    end.peer = undefined
    if (peer !== undefined) peer.peer = undefined
    for (const one of [end, peer]) {
      if (one === undefined) continue
      this.#hub.post(() => one.transport.#fail(one, { type: 'broken', detail: 'the network broke the pipe' }))
    }
  }

  async stop(): Promise<void> {
    this.#hub.unregister(this.#name)
    // Events never come within a call.
    await Promise.resolve()
    for (const end of [...this.#ends.values()]) closeBoth(end)
    this.#answers.clear()
    this.#host = undefined
  }

  #addEnd(pipe: PipeId, direction: 'in' | 'out'): End {
    const fingerprint = this.#hub.fingerprint()
    const end: End = {
      transport: this,
      pipe,
      direction,
      fingerprint,
      state: 'opening',
      peer: undefined,
      relay: undefined,
    }
    this.#ends.set(pipe, end)
    return end
  }

  #open(end: End, remoteName: string): void {
    end.state = 'open'
    const { channels, padded, bound } = this.#options
    const remote = end.peer?.fingerprint
    const binding: ChannelBinding | undefined =
      bound && remote !== undefined ? { local: end.fingerprint, remote } : undefined
    this.#host?.emit({
      type: 'opened',
      pipe: end.pipe,
      transport: this.kind,
      direction: end.direction,
      channels,
      padded,
      remoteAddress: end.relay === undefined ? `memory:${remoteName}` : `ws://${end.relay}`,
      ...(binding === undefined ? {} : { binding }),
    })
  }

  #emitDescription(end: End, description: SessionDescription): void {
    this.#host?.emit({ type: 'description', pipe: end.pipe, description })
  }

  #fail(end: End, error: TransportError): void {
    const peer = end.peer
    finish(end, error)
    if (peer !== undefined) finish(peer, { type: 'broken', detail: 'the other end gave up the pipe' })
  }

  /** @internal */
  remove(end: End, error?: TransportError): void {
    this.#ends.delete(end.pipe)
    this.#host?.emit({ type: 'closed', pipe: end.pipe, ...(error === undefined ? {} : { error }) })
  }
}

/** 16 bytes that tell a small number. */
function numberedId(number: number): Uint8Array {
  const id = new Uint8Array(16)
  new DataView(id.buffer).setUint32(12, number)
  return id
}

function join(a: End, b: End): void {
  a.peer = b
  b.peer = a
}

function closeBoth(end: End): void {
  const peer = end.peer
  finish(end)
  if (peer !== undefined) finish(peer)
}

function finish(end: End, error?: TransportError): void {
  if (end.state === 'closed') return
  end.state = 'closed'
  end.transport.remove(end, error)
}
