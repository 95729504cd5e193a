import type { Jitter, Now, PeerId, Random } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { circuitDataOverhead, type FrameType } from '@miaou/protocol'
import type { Connection, Pipe } from './connection.ts'
import { addressToTransport, Dialling } from './dialling.ts'
import type { CloseReason, ConnectionView, LinkError, NetworkInput, NetworkOutput } from './interface.ts'
import { Link, type OutgoingFrame } from './link.ts'
import { callingKey, type LinkIdentity } from './link-handshake.ts'
import { defaultLinkLimits, type LinkLimits } from './link-limits.ts'
import { Linking } from './linking.ts'
import { defaultNetworkLimits, type NetworkLimits } from './network-limits.ts'
import { NetworkState } from './network-state.ts'
import type { ChannelIndex, PipeId, PipePath, TransportError, TransportEvent } from './ports.ts'
import { Upgrading } from './upgrading.ts'

export interface NetworkOptions {
  readonly crypto: Crypto
  readonly random: Random
  readonly jitter: Jitter
  /** Who links show: the device, or a pseudonym. */
  readonly identity: LinkIdentity
  /** Feature names offered to peers (row B20). */
  readonly features: readonly string[]
  /** Whether this host can make WebRTC pipes. */
  readonly webrtc: boolean
  /** Whether peers may show a pseudonym instead of a device; false by default. */
  readonly pseudonymsAdmitted?: boolean
  /**
   * Whether this host hides its address from peers: no WebSocket with a peer, told, dialled or taken, and WebRTC only by
   * TURN; false by default (spec/links L67, L78).
   */
  readonly relayOnly?: boolean
  readonly limits?: Partial<NetworkLimits>
  readonly linkLimits?: Partial<LinkLimits>
}

/**
 * The connections of one peer with all others: dials, handshakes, links, upgrades, reconnection. An engine without clock
 * and I/O: every effect is in the returned list. Rules: spec/links.md.
 */
export class Network {
  readonly #state: NetworkState
  readonly #dialling: Dialling
  readonly #upgrading: Upgrading
  readonly #linking: Linking
  // Never later than the true deadline: an early wake changes nothing and makes it exact.
  #deadline = Number.POSITIVE_INFINITY
  #isStopped = false

  /** `nextPipe`: a number for a pipe that this engine opens, unique among all pipes of the process. */
  constructor(options: NetworkOptions, nextPipe: () => PipeId) {
    const { crypto, random, jitter, identity, features, webrtc } = options
    const { pseudonymsAdmitted = false, relayOnly = false } = options
    this.#state = new NetworkState({
      crypto,
      random,
      jitter,
      identity,
      features,
      webrtc,
      pseudonymsAdmitted,
      relayOnly,
      limits: { ...defaultNetworkLimits, ...options.limits },
      linkLimits: { ...defaultLinkLimits, ...options.linkLimits },
      nextPipe,
    })
    this.#dialling = new Dialling(this.#state)
    this.#upgrading = new Upgrading(this.#state)
    this.#linking = new Linking(this.#state, this.#dialling, this.#upgrading)
  }

  handle(now: Now, input: NetworkInput): NetworkOutput[] {
    const pipesBefore = this.#state.pipes.size
    const touched = this.#take(now, input)
    const hasNews = this.#state.news.some(({ output }) => output.type !== 'frame' && output.type !== 'pong')
    this.#linking.drain(now)
    if (touched === undefined || hasNews || this.#state.pipes.size !== pipesBefore) this.#settle(now)
    else this.#deadline = Math.min(this.#deadline, this.#pipeDeadline(touched), this.#connectionDeadline(touched))
    const { outputs } = this.#state
    this.#state.outputs = []
    return outputs
  }

  /** Monotonic ms of the next `wake`, Infinity for none. An early or repeated wake changes nothing. */
  deadline(): number {
    return this.#deadline
  }

  /** Every peer the engine knows of, in the order it learnt of them (row C17). */
  views(): ConnectionView[] {
    return [...this.#state.connections.values()].map((connection) => connection.view())
  }

  /** One of them. */
  view(peerId: PeerId): ConnectionView | undefined {
    return this.#state.connections.get(peerId)?.view()
  }

  /** Where the link with a peer goes: as dialled, or where the other end came from; undefined where nothing tells. */
  remoteAddress(peerId: PeerId): string | undefined {
    return this.#state.connections.get(peerId)?.active?.address || undefined
  }

  /** What was dropped, refused or lost, by reason, since the start (row D33). */
  counters(): Readonly<Record<string, number>> {
    return this.#state.counters.snapshot()
  }

  /** Rows of the tables that peers can make grow: for tests and diagnostics. */
  sizes(): { readonly connections: number; readonly pipes: number; readonly handshakesIn: number } {
    const { connections, pipes, handshakesIn } = this.#state
    return { connections: connections.size, pipes: pipes.size, handshakesIn: handshakesIn.size }
  }

  /** The pipe that was touched when nothing else can have changed; undefined otherwise. */
  #take(now: Now, input: NetworkInput): Pipe | undefined {
    if (this.#isStopped) {
      // A pipe that opened while the engine stopped is of no use to anybody.
      if (input.type === 'transport' && input.event.type === 'opened') {
        this.#state.emit({ type: 'close', pipe: input.event.pipe })
      }
      return undefined
    }
    switch (input.type) {
      case 'transport':
        return this.#takeEvent(now, input.event)
      case 'send':
        return this.#send(now, input.peerId, input.frameType, input.payload, input.fleeting)
      case 'send-all':
        return this.#sendAll(now, input.peerId, input.frames)
      case 'ping':
        return this.#ping(now, input.peerId, input.id)
      case 'wanted':
        this.#want(now, input.peers)
        return undefined
      case 'addresses':
        this.#learn(now, input.peerId, input.addresses)
        return undefined
      case 'connect':
        this.#connect(now, input.peerId, input.addresses)
        return undefined
      case 'connect-address':
        this.#connectAddress(now, input.address)
        return undefined
      case 'disconnect':
        this.#disconnect(now, input.peerId, input.reason)
        return undefined
      case 'network-changed':
        this.#networkChanged(now)
        return undefined
      case 'wake':
        this.#wake(now)
        return undefined
      case 'stop':
        this.#stop(now)
        return undefined
    }
  }

  #takeEvent(now: Now, event: TransportEvent): Pipe | undefined {
    if (event.type === 'message') return this.#receive(now, event.pipe, event.channel, event.bytes)
    if (event.type === 'opened') {
      this.#opened(now, event)
      return undefined
    }
    const pipe = this.#state.pipes.get(event.pipe)
    if (pipe === undefined) return undefined
    const connection = this.#state.connectionOf(pipe)
    switch (event.type) {
      case 'closed':
        this.#linking.over(now, pipe, 'pipe-lost', transportErrorToLinkError(event.error, pipe), true)
        return undefined
      case 'description':
        if (connection?.upgrade?.pipe === pipe) this.#upgrading.describe(now, connection, event.description)
        return undefined
      case 'candidate':
        if (connection?.upgrade?.pipe === pipe) this.#upgrading.tellCandidate(now, connection, event.candidate)
        return undefined
      case 'path':
        this.#learnPath(now, pipe, event.path)
        return undefined
    }
  }

  #receive(now: Now, id: PipeId, channel: ChannelIndex, bytes: Uint8Array): Pipe | undefined {
    const pipe = this.#state.pipes.get(id)
    if (pipe?.link === undefined) {
      this.#state.count('unknown-pipe')
      return undefined
    }
    const wasSuspect = pipe.link.isSuspect
    this.#state.relay(pipe, pipe.link.receive(now, channel, bytes))
    const connection = this.#state.connectionOf(pipe)
    if (connection !== undefined) connection.bytesReceived += bytes.length
    // A link that is suspect no more ends the race beside it.
    return wasSuspect ? undefined : pipe
  }

  #opened(now: Now, event: Extract<TransportEvent, { type: 'opened' }>): void {
    const known = this.#state.pipes.get(event.pipe)
    const isTheirs = known === undefined && event.direction === 'in' && event.transport !== 'webrtc'
    if ((known === undefined && !isTheirs) || known?.link !== undefined) {
      // It was given up while it opened.
      this.#state.count('unknown-pipe')
      if (known === undefined) this.#state.emit({ type: 'close', pipe: event.pipe })
      return
    }
    if (this.#state.settings.relayOnly && event.transport === 'websocket') {
      // Whoever came in knows our address already; who hides it has no such link all the same.
      this.#state.count('links-refused')
      if (known === undefined) this.#state.emit({ type: 'close', pipe: event.pipe })
      else this.#linking.over(now, known, 'protocol-error', { type: 'unreachable', detail: 'only relays are used' })
      return
    }
    const pipe = known ?? this.#inboundPipe(now, event)
    const { crypto, random, identity, features, pseudonymsAdmitted, linkLimits } = this.#state.settings
    pipe.endBy = Number.POSITIVE_INFINITY
    pipe.openedOrder = this.#state.nextOrder()
    if (event.transport === 'webrtc' && event.binding === undefined) {
      this.#linking.over(now, pipe, 'protocol-error', { type: 'channel-binding-mismatch' })
      return
    }
    const psk = event.transport === 'circuit' ? this.#callingKey(pipe) : undefined
    if (event.transport === 'circuit' && psk === undefined) {
      this.#linking.over(now, pipe, 'protocol-error', { type: 'bad-handshake', detail: 'a circuit to nobody' })
      return
    }
    pipe.link = new Link(
      {
        crypto,
        random,
        identity,
        features,
        pseudonymsAdmitted,
        limits: linkLimits,
        role: pipe.role,
        channels: event.channels,
        padded: event.padded,
        // Padded again on the links with the relay.
        reserved: event.transport === 'circuit' ? circuitDataOverhead : 0,
        expected: pipe.peerId,
        binding: event.binding,
        psk,
      },
      now,
    )
    this.#state.relay(pipe, pipe.link.start(now))
  }

  /** L35: of whoever is called; undefined where nobody knows who that is. */
  #callingKey({ role, peerId }: Pipe): Uint8Array | undefined {
    const { crypto, identity } = this.#state.settings
    const called = role === 'initiator' ? peerId : identity.peerId
    return called === undefined ? undefined : callingKey(crypto, called)
  }

  #learnPath(now: Now, pipe: Pipe, path: PipePath): void {
    pipe.path = path
    const { relayOnly } = this.#state.settings
    const { localCandidate } = path
    if (!relayOnly || localCandidate === undefined || localCandidate.startsWith('relay')) return
    // The transport should not have come so far: its path shows our address.
    this.#state.count('candidates-withheld')
    this.#linking.over(now, pipe, 'protocol-error', { type: 'broken', detail: 'a path that does not go by a relay' })
  }

  #inboundPipe(now: Now, event: Extract<TransportEvent, { type: 'opened' }>): Pipe {
    const pipe: Pipe = {
      id: event.pipe,
      transport: event.transport,
      role: 'responder',
      source: 'inbound',
      address: event.remoteAddress,
      startedAt: now.mono,
      peerId: undefined,
      link: undefined,
      openedOrder: 0,
      upOrder: 0,
      upAt: 0,
      endBy: Number.POSITIVE_INFINITY,
      path: undefined,
      isLost: false,
      awaitedUntil: Number.POSITIVE_INFINITY,
      isLossTold: false,
    }
    const { handshakesIn, pipes, settings } = this.#state
    if (handshakesIn.size >= settings.limits.handshakesInMax) {
      const [oldest] = handshakesIn
      this.#state.count('handshakes-dropped')
      if (oldest !== undefined) this.#state.drop(oldest)
    }
    handshakesIn.add(pipe)
    pipes.set(pipe.id, pipe)
    return pipe
  }

  #send(now: Now, peerId: PeerId, frameType: FrameType, payload: Uint8Array, fleeting: boolean): Pipe | undefined {
    const connection = this.#state.connections.get(peerId)
    const pipe = connection?.active
    if (connection === undefined || !pipe?.link?.isUp) {
      this.#state.count('unlinked-send')
      return undefined
    }
    const outputs = pipe.link.send(now, frameType, payload, fleeting)
    if (outputs === undefined) {
      this.#state.count('refused-send')
      return pipe
    }
    connection.messagesSent += 1
    this.#state.relay(pipe, outputs)
    return pipe
  }

  #sendAll(now: Now, peerId: PeerId, frames: readonly OutgoingFrame[]): Pipe | undefined {
    const connection = this.#state.connections.get(peerId)
    const pipe = connection?.active
    if (connection === undefined || !pipe?.link?.isUp) {
      for (const _ of frames) this.#state.count('unlinked-send')
      return undefined
    }
    const { outputs, refusedCount } = pipe.link.sendAll(now, frames)
    for (let i = 0; i < refusedCount; i++) this.#state.count('refused-send')
    connection.messagesSent += frames.length - refusedCount
    this.#state.relay(pipe, outputs)
    return pipe
  }

  #ping(now: Now, peerId: PeerId, id: number): Pipe | undefined {
    const pipe = this.#state.connections.get(peerId)?.active
    if (!pipe?.link?.isUp) {
      this.#state.count('unlinked-send')
      return undefined
    }
    const outputs = pipe.link.ping(now, id)
    if (outputs === undefined) this.#state.count('refused-ping')
    this.#state.relay(pipe, outputs ?? [])
    return pipe
  }

  #want(now: Now, peers: readonly { readonly peerId: PeerId; readonly addresses: readonly string[] }[]): void {
    const wanted = new Set<PeerId>()
    for (const { peerId, addresses } of peers.slice(0, this.#state.settings.limits.wantedMax)) {
      if (peerId === this.#state.settings.identity.peerId) continue
      wanted.add(peerId)
      const connection = this.#state.connectionWith(peerId)
      const isNew = !connection.isWanted
      if (isNew) {
        connection.isHeld = false
        connection.isBlocked = false
      }
      connection.isWanted = true
      if (this.#dialling.learn(connection, addresses, true) || isNew) this.#dialling.hasten(now, connection)
      if (connection.active === undefined && connection.addresses.length === 0) {
        connection.error ??= { type: 'no-address' }
      }
    }
    for (const connection of this.#state.connections.values()) {
      if (!connection.isWanted || wanted.has(connection.peerId)) continue
      connection.isWanted = false
      connection.nextTryAt = undefined
    }
  }

  #learn(now: Now, peerId: PeerId, addresses: readonly string[]): void {
    if (peerId === this.#state.settings.identity.peerId) return
    const connection = this.#state.connectionWith(peerId)
    const isFresh = this.#dialling.learn(connection, addresses)
    this.#dialling.hasten(now, connection, isFresh)
  }

  #connect(now: Now, peerId: PeerId, addresses: readonly string[]): void {
    if (peerId === this.#state.settings.identity.peerId) {
      this.#state.report({ type: 'self' }, undefined, undefined)
      return
    }
    const connection = this.#state.connectionWith(peerId)
    connection.isHeld = false
    connection.isBlocked = false
    this.#dialling.learn(connection, addresses)
    if (connection.active !== undefined || connection.race !== undefined) return
    if (connection.addresses.length === 0) this.#state.report({ type: 'no-address' }, undefined, connection)
    else this.#dialling.start(now, connection)
  }

  #connectAddress(now: Now, address: string): void {
    if (addressToTransport(address) === undefined) {
      this.#state.count('bad-address')
      this.#refuseDial(address, 'no transport knows this form of address')
      return
    }
    if (addressToTransport(address) === 'circuit') {
      this.#state.count('refused-dial')
      this.#refuseDial(
        address,
        'over a relay only a peer whose id is known can be called: name the peer, or use its invite',
      )
      return
    }
    if (!this.#dialling.isDialable(address)) {
      this.#state.count('refused-dial')
      this.#refuseDial(address, 'only relays are used, and this address goes straight to the peer')
      return
    }
    let dials = 0
    for (const { source } of this.#state.pipes.values()) if (source === 'address') dials += 1
    const { dialsMax } = this.#state.settings.limits
    if (dials >= dialsMax) {
      this.#state.count('refused-dial')
      this.#refuseDial(address, `${dialsMax} addresses are being dialled already`)
      return
    }
    this.#dialling.dial(now, address, 'address', undefined)
  }

  #refuseDial(address: string, detail: string): void {
    const error: LinkError = { type: 'unreachable', detail }
    const connectionId = `conn_${this.#state.settings.identity.peerId}_unknown`
    this.#state.emit({ type: 'event', event: { type: 'connection-error', connectionId, address, error } })
  }

  #disconnect(now: Now, peerId: PeerId, reason: CloseReason): void {
    const connection = this.#state.connections.get(peerId)
    if (reason === 'blocked') this.#state.connectionWith(peerId).isBlocked = true
    if (connection === undefined) return
    connection.isHeld = true
    this.#linking.closeAll(now, connection, reason)
  }

  #networkChanged(now: Now): void {
    for (const pipe of this.#state.pipes.values()) {
      if (pipe.link !== undefined) this.#state.relay(pipe, pipe.link.doubt(now))
    }
    for (const connection of this.#state.connections.values()) {
      this.#upgrading.networkChanged(now, connection)
      this.#dialling.networkChanged(now, connection)
    }
  }

  #wake(now: Now): void {
    for (const pipe of [...this.#state.pipes.values()]) {
      if (pipe.link !== undefined) this.#state.relay(pipe, pipe.link.wake(now))
      if (now.mono >= pipe.endBy && this.#state.pipes.has(pipe.id)) this.#outOfPatience(now, pipe)
    }
    this.#linking.drain(now)
  }

  #outOfPatience(now: Now, pipe: Pipe): void {
    if (pipe.link !== undefined) {
      this.#state.count('links-cut')
      this.#linking.over(now, pipe, 'duplicate', undefined)
      return
    }
    const { openTimeoutMs } = this.#state.settings.limits
    const error: LinkError = { type: 'unreachable', detail: `no connection within ${openTimeoutMs} ms` }
    this.#linking.over(now, pipe, 'pipe-lost', error)
  }

  #stop(now: Now): void {
    for (const connection of this.#state.connections.values()) {
      connection.isHeld = true
      this.#linking.closeAll(now, connection, 'shutdown')
    }
    for (const pipe of [...this.#state.pipes.values()]) this.#state.drop(pipe)
    this.#state.news.length = 0
    this.#isStopped = true
  }

  /** What follows from time and from room that became free; then the exact deadline. */
  #settle(now: Now): void {
    if (!this.#isStopped) {
      for (const connection of this.#state.connections.values()) {
        this.#linking.wake(now, connection)
        this.#dialling.advance(now, connection)
        this.#dialling.startDue(now, connection)
        this.#dialling.startBackground(now, connection)
        this.#upgrading.wake(now, connection)
      }
      this.#linking.drain(now)
    }
    this.#deadline = Number.POSITIVE_INFINITY
    for (const pipe of this.#state.pipes.values()) this.#deadline = Math.min(this.#deadline, this.#pipeDeadline(pipe))
    for (const connection of this.#state.connections.values()) {
      this.#deadline = Math.min(this.#deadline, this.#timersOf(connection))
      // Without a turn a due dial waits for the end of another, not for a time.
      if (!this.#dialling.hasTurn(connection)) continue
      const dialAt = Math.min(connection.nextTryAt ?? Number.POSITIVE_INFINITY, this.#dialling.backgroundAt(connection))
      this.#deadline = Math.min(this.#deadline, dialAt)
    }
  }

  #pipeDeadline(pipe: Pipe): number {
    return Math.min(pipe.endBy, pipe.link?.deadline() ?? Number.POSITIVE_INFINITY)
  }

  #connectionDeadline(pipe: Pipe): number {
    const connection = this.#state.connectionOf(pipe)
    return connection === undefined ? Number.POSITIVE_INFINITY : this.#timersOf(connection)
  }

  #timersOf(connection: Connection): number {
    const { holdUntil, race, upgrade, retiring } = connection
    let earliest = Math.min(
      holdUntil ?? Number.POSITIVE_INFINITY,
      race !== undefined && race.queue.length > 0 ? race.nextStartAt : Number.POSITIVE_INFINITY,
      upgrade?.deadline ?? Number.POSITIVE_INFINITY,
      this.#upgrading.dueAt(connection),
    )
    for (const { isLost, awaitedUntil } of retiring) if (!isLost) earliest = Math.min(earliest, awaitedUntil)
    return earliest
  }
}

function transportErrorToLinkError(error: TransportError | undefined, pipe: Pipe): LinkError {
  if (error === undefined) return { type: 'broken', detail: 'the other end closed the pipe' }
  if (pipe.link !== undefined) return { type: 'broken', detail: transportErrorText(error) }
  return { type: 'unreachable', detail: transportErrorText(error) }
}

function transportErrorText(error: TransportError): string {
  switch (error.type) {
    case 'timeout':
      return `no answer within ${error.afterMs} ms`
    case 'bad-address':
    case 'address-in-use':
      return `${error.type}: ${error.address}`
    case 'too-large':
      return `a message of ${error.size} bytes, at most ${error.sizeMax}`
    case 'too-many-pipes':
      return `more than ${error.pipesMax} pipes`
    default:
      return error.detail
  }
}
