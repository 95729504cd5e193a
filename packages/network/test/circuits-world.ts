import { equalBytes, type Now, peerIdToKey } from '@miaou/core'
import { type CircuitAddress, formatCircuitAddress, type RelayAddress, relayIdOf } from '@miaou/protocol'
import { Circuits } from '../src/circuit/circuits.ts'
import type { CircuitsLimits } from '../src/circuit/circuits-limits.ts'
import type {
  CircuitsInput,
  CircuitsOutput,
  IceServerUrl,
  RelayServiceInput,
  RelayServiceOutput,
} from '../src/circuit/interface.ts'
import type { LinkIdentity } from '../src/link-handshake.ts'
import type { PipeId, TransportError } from '../src/ports.ts'
import { crypto, SeededRandom, testPseudonym } from './identities.ts'

/** A relay of these worlds: the real service, or a double that does not behave. */
export interface RelayEngine {
  handle(now: Now, input: RelayServiceInput): RelayServiceOutput[]
  deadline(): number
}

export interface WorldRelay {
  readonly address: RelayAddress
  readonly engine: RelayEngine
  /** Nobody is told, nothing arrives. */
  isSilent: boolean
  /** Connections are refused, those that stand are cut. */
  isDown: boolean
  dials: number
}

interface WorldPipe {
  readonly peer: WorldPeer
  readonly relay: WorldRelay
  readonly clientPipe: PipeId
  readonly relayPipe: PipeId
  isOpen: boolean
  isClosed: boolean
  /** When the last byte towards the relay has left, and when the last of each direction arrives. */
  sentAt: number
  upAt: number
  downAt: number
}

/** Where relays find services: what comes there is taken, and what is to be said handed out. */
export interface WorldMailbox {
  readonly url: string
  isDown: boolean
  /** Pipes that are open, by their number at the relay. */
  readonly pipes: Map<PipeId, WorldMailboxPipe>
  onOpen: (pipe: WorldMailboxPipe) => void
}

export interface WorldMailboxPipe {
  readonly relay: WorldRelay
  readonly pipe: PipeId
  onMessage: (bytes: Uint8Array) => void
  onClosed: () => void
}

export interface Received {
  readonly pipe: PipeId
  readonly bytes: Uint8Array
}

export class WorldPeer {
  readonly name: string
  readonly circuits: Circuits
  addresses: readonly CircuitAddress[] = []
  /** Every list told, longest ago first. */
  readonly addressLists: (readonly CircuitAddress[])[] = []
  iceServers: readonly IceServerUrl[] = []
  readonly opened: { readonly pipe: PipeId; readonly direction: 'in' | 'out'; readonly at: number }[] = []
  readonly closed: { readonly pipe: PipeId; readonly error: TransportError | undefined; readonly at: number }[] = []
  readonly received: Received[] = []
  readonly measured: Extract<CircuitsOutput, { type: 'measured' }>[] = []
  readonly outputs: CircuitsOutput[] = []
  /** What is done with the events of circuits beside keeping them. */
  onEvent: (event: Extract<CircuitsOutput, { type: 'event' }>['event']) => void = () => undefined
  isCut = false

  constructor(name: string, circuits: Circuits) {
    this.name = name
    this.circuits = circuits
  }

  /** The way through the first relay. */
  get way(): string {
    const [address] = this.addresses
    if (address === undefined) throw new Error(`${this.name} has no reservation`)
    return formatCircuitAddress(address)
  }

  get wayIn(): PipeId | undefined {
    return this.opened.findLast(({ direction }) => direction === 'in')?.pipe
  }

  closedPipe(pipe: PipeId): (typeof this.closed)[number] | undefined {
    return this.closed.find((event) => event.pipe === pipe)
  }
}

/** Peers and relays on a virtual clock. */
export class World {
  mono = 1_000
  /** One way, ms; and bytes a ms towards relays, Infinity for no limit. */
  delay = 10
  upRate = Number.POSITIVE_INFINITY
  readonly random: SeededRandom
  readonly peers: WorldPeer[] = []
  readonly relays: WorldRelay[] = []
  readonly pipes: WorldPipe[] = []
  readonly mailboxes: WorldMailbox[] = []
  readonly #queue: { readonly at: number; readonly order: number; readonly run: () => void }[] = []
  #order = 0
  #nextPipe = 1

  constructor(seed = 1) {
    this.random = new SeededRandom(seed)
  }

  get now(): Now {
    return { mono: this.mono, wall: 1_795_219_200_000 + this.mono }
  }

  takePipe(): PipeId {
    return this.#nextPipe++ as PipeId
  }

  addPeer(
    name: string,
    limits: Partial<CircuitsLimits> = {},
    seed = this.peers.length + 1,
    admitsUrl: (url: string) => boolean = () => true,
  ): WorldPeer {
    const random = new SeededRandom(seed * 31)
    const pseudonyms = new Map<string, LinkIdentity>()
    const pseudonymFor = (relayId: Uint8Array) => {
      const key = relayId.join()
      const known = pseudonyms.get(key) ?? testPseudonym(seed * 1_000 + (relayId[0] ?? 0) * 256 + (relayId[1] ?? 0))
      pseudonyms.set(key, known)
      return known
    }
    const options = { crypto, random, jitter: random, pseudonymFor, admitsUrl, limits }
    const peer = new WorldPeer(name, new Circuits(options, () => this.takePipe()))
    this.peers.push(peer)
    return peer
  }

  addRelay(
    identity: LinkIdentity,
    engine: RelayEngine,
    url = `ws://192.0.2.${this.relays.length + 1}:9999`,
  ): WorldRelay {
    const relayId = relayIdOf(peerIdToKey(identity.peerId), (bytes) => crypto.sha256(bytes))
    const relay = { address: { url, relayId }, engine, isSilent: false, isDown: false, dials: 0 }
    this.relays.push(relay)
    return relay
  }

  addMailbox(url: string): WorldMailbox {
    const mailbox: WorldMailbox = { url, isDown: false, pipes: new Map(), onOpen: () => undefined }
    this.mailboxes.push(mailbox)
    return mailbox
  }

  dialService(peer: WorldPeer, url: string): PipeId {
    const pipe = this.takePipe()
    this.handle(peer, { type: 'dial-service', pipe, url })
    return pipe
  }

  /** A mailbox says something on a pipe that a relay opened; `undefined`: it closes it. */
  mailboxSays({ relay, pipe }: WorldMailboxPipe, bytes: Uint8Array | undefined): void {
    this.at(this.delay, () => {
      if (relay.isSilent || relay.isDown) return
      const event =
        bytes === undefined
          ? ({ type: 'closed', pipe } as const)
          : ({ type: 'message', pipe, channel: 0, bytes } as const)
      this.relayHandle(relay, { type: 'transport', event })
    })
  }

  handle(peer: WorldPeer, input: CircuitsInput): void {
    for (const output of peer.circuits.handle(this.now, input)) this.#act(peer, output)
  }

  dial(peer: WorldPeer, address: string): PipeId {
    const pipe = this.takePipe()
    this.handle(peer, { type: 'dial', pipe, address })
    return pipe
  }

  write(peer: WorldPeer, pipe: PipeId, bytes: Uint8Array): void {
    this.handle(peer, { type: 'write', pipe, channel: 0, bytes })
  }

  /** Runs until `predicate` holds (true) or the virtual time is over. */
  run(durationMs: number, predicate: () => boolean = () => false): boolean {
    const end = this.mono + durationMs
    for (let steps = 0; steps < 2_000_000; steps++) {
      if (predicate()) return true
      const nextEvent = this.#queue[0]?.at ?? Number.POSITIVE_INFINITY
      const deadlines = [
        ...this.peers.map(({ circuits }) => circuits.deadline()),
        ...this.relays.filter(({ isDown }) => !isDown).map(({ engine }) => engine.deadline()),
      ]
      const nextWake = Math.min(...deadlines)
      const next = Math.min(nextEvent, nextWake)
      if (next > end) {
        this.mono = end
        return predicate()
      }
      this.mono = Math.max(this.mono, next)
      if (nextEvent <= this.mono) this.#queue.shift()?.run()
      else this.#wake()
    }
    throw new Error('the world does not come to rest')
  }

  #wake(): void {
    for (const peer of this.peers) {
      if (peer.circuits.deadline() > this.mono) continue
      this.handle(peer, { type: 'wake' })
      if (peer.circuits.deadline() <= this.mono) throw new Error(`${peer.name}: a wake leaves its deadline due`)
    }
    for (const relay of this.relays) {
      if (!relay.isDown && relay.engine.deadline() <= this.mono) this.relayHandle(relay, { type: 'wake' })
    }
  }

  at(delayMs: number, run: () => void): void {
    const entry = { at: this.mono + delayMs, order: this.#order++, run }
    let index = this.#queue.length
    while (index > 0 && (this.#queue[index - 1]?.at ?? 0) > entry.at) index -= 1
    this.#queue.splice(index, 0, entry)
  }

  /** The address of a peer changed: what it had open is dead, and nobody is told. */
  moveAddress(peer: WorldPeer): void {
    for (const pipe of this.pipes) if (pipe.peer === peer) pipe.isClosed = true
  }

  /** The process ends: its connections are reset. */
  kill(relay: WorldRelay): void {
    relay.isDown = true
    for (const pipe of this.pipes) {
      if (pipe.relay !== relay || pipe.isClosed) continue
      pipe.isClosed = true
      const error = { type: 'broken', detail: 'reset' } as const
      this.at(this.delay, () => this.#tellPeer(pipe, { type: 'closed', pipe: pipe.clientPipe, error }))
    }
  }

  relayHandle(relay: WorldRelay, input: RelayServiceInput): void {
    for (const output of relay.engine.handle(this.now, input)) {
      if (output.type === 'service-dial') {
        this.#dialMailbox(relay, output.pipe, output.url)
        continue
      }
      const mailbox = this.mailboxes.find(({ pipes }) => pipes.has(output.pipe))
      if (mailbox !== undefined) {
        this.#toMailbox(mailbox, output)
        continue
      }
      const pipe = this.pipes.find(({ relayPipe }) => relayPipe === output.pipe)
      if (pipe === undefined || pipe.isClosed) continue
      if (output.type === 'close') this.#close(pipe, 'relay')
      else this.#toPeer(pipe, output.bytes)
    }
  }

  #dialMailbox(relay: WorldRelay, pipe: PipeId, url: string): void {
    const mailbox = this.mailboxes.find((each) => each.url === url)
    if (mailbox === undefined || mailbox.isDown) {
      const error = { type: 'unreachable', detail: 'refused' } as const
      this.at(this.delay, () => this.relayHandle(relay, { type: 'transport', event: { type: 'closed', pipe, error } }))
      return
    }
    const opened: WorldMailboxPipe = { relay, pipe, onMessage: () => undefined, onClosed: () => undefined }
    mailbox.pipes.set(pipe, opened)
    this.at(2 * this.delay, () => {
      mailbox.onOpen(opened)
      const how = { transport: 'websocket', direction: 'out', channels: 1, padded: true } as const
      this.relayHandle(relay, { type: 'transport', event: { type: 'opened', pipe, remoteAddress: url, ...how } })
    })
  }

  #toMailbox(mailbox: WorldMailbox, output: Exclude<RelayServiceOutput, { type: 'service-dial' }>): void {
    const opened = mailbox.pipes.get(output.pipe)
    if (opened === undefined) return
    const { relay, pipe } = opened
    this.at(this.delay, () => {
      if (output.type === 'write') {
        opened.onMessage(output.bytes)
        this.relayHandle(relay, { type: 'drained', pipe })
        return
      }
      mailbox.pipes.delete(pipe)
      opened.onClosed()
      this.relayHandle(relay, { type: 'transport', event: { type: 'closed', pipe } })
    })
  }

  #act(peer: WorldPeer, output: CircuitsOutput): void {
    peer.outputs.push(output)
    switch (output.type) {
      case 'relay-dial':
        this.#dial(peer, output.pipe, output.url)
        return
      case 'write': {
        const pipe = this.pipes.find(({ clientPipe }) => clientPipe === output.pipe)
        if (pipe?.isOpen && !pipe.isClosed) this.#toRelay(pipe, output.bytes)
        return
      }
      case 'close': {
        const pipe = this.pipes.find(({ clientPipe }) => clientPipe === output.pipe)
        if (pipe !== undefined && !pipe.isClosed) this.#close(pipe, 'peer')
        return
      }
      case 'event':
        this.#takeEvent(peer, output.event)
        return
      case 'reservations':
        peer.addresses = output.addresses
        peer.addressLists.push(output.addresses)
        return
      case 'ice-servers':
        peer.iceServers = output.servers
        return
      case 'measured':
        peer.measured.push(output)
    }
  }

  #takeEvent(peer: WorldPeer, event: Extract<CircuitsOutput, { type: 'event' }>['event']): void {
    const { pipe } = event
    if (event.type === 'opened') peer.opened.push({ pipe, direction: event.direction, at: this.mono })
    if (event.type === 'message') peer.received.push({ pipe, bytes: event.bytes })
    if (event.type === 'closed') peer.closed.push({ pipe, error: event.error, at: this.mono })
    // Never within the outputs of a call: they are written in their order first.
    this.at(0, () => peer.onEvent(event))
  }

  #dial(peer: WorldPeer, clientPipe: PipeId, url: string): void {
    const relay = this.relays.find(({ address }) => address.url === url)
    if (relay !== undefined) relay.dials += 1
    if (relay?.isSilent || peer.isCut) return
    this.at(2 * this.delay, () => {
      if (relay === undefined || relay.isDown) {
        const error = { type: 'unreachable', detail: 'refused' } as const
        this.handle(peer, { type: 'transport', event: { type: 'closed', pipe: clientPipe, error } })
        return
      }
      if (relay.isSilent) return
      const relayPipe = this.takePipe()
      const times = { sentAt: this.mono, upAt: this.mono, downAt: this.mono }
      const pipe = { peer, relay, clientPipe, relayPipe, isOpen: true, isClosed: false, ...times }
      this.pipes.push(pipe)
      const opened = { type: 'opened', transport: 'websocket', channels: 1, padded: true } as const
      const from = `ws://203.0.113.${this.peers.indexOf(peer) + 1}:${4_000 + this.pipes.length}`
      this.relayHandle(relay, {
        type: 'transport',
        event: { ...opened, pipe: relayPipe, direction: 'in', remoteAddress: from },
      })
      this.#tellPeer(pipe, { ...opened, pipe: clientPipe, direction: 'out', remoteAddress: url })
    })
  }

  #tellPeer({ peer }: WorldPipe, event: Extract<CircuitsInput, { type: 'transport' }>['event']): void {
    this.handle(peer, { type: 'transport', event })
  }

  #toRelay(pipe: WorldPipe, bytes: Uint8Array): void {
    pipe.sentAt = Math.max(pipe.sentAt, this.mono) + bytes.length / this.upRate
    pipe.upAt = Math.max(pipe.upAt, pipe.sentAt + this.delay)
    this.at(pipe.upAt - this.mono, () => {
      if (pipe.isClosed || pipe.relay.isSilent) return
      const event = { type: 'message', pipe: pipe.relayPipe, channel: 0, bytes } as const
      this.relayHandle(pipe.relay, { type: 'transport', event })
    })
  }

  #toPeer(pipe: WorldPipe, bytes: Uint8Array): void {
    if (pipe.relay.isSilent) return
    pipe.downAt = Math.max(pipe.downAt, this.mono + this.delay)
    this.at(pipe.downAt - this.mono, () => {
      if (pipe.relay.isSilent) return
      if (!pipe.isClosed) {
        const event = { type: 'message', pipe: pipe.clientPipe, channel: 0, bytes } as const
        this.#tellPeer(pipe, event)
      }
      this.relayHandle(pipe.relay, { type: 'drained', pipe: pipe.relayPipe })
    })
  }

  #close(pipe: WorldPipe, by: 'peer' | 'relay'): void {
    const lastAt = by === 'peer' ? pipe.upAt : pipe.downAt
    this.at(Math.max(this.delay, lastAt - this.mono), () => {
      if (pipe.isClosed || pipe.relay.isSilent) return
      pipe.isClosed = true
      if (by === 'relay') this.#tellPeer(pipe, { type: 'closed', pipe: pipe.clientPipe })
      else {
        this.relayHandle(pipe.relay, { type: 'transport', event: { type: 'closed', pipe: pipe.relayPipe } })
      }
    })
  }
}

/** A world with one relay, whose reservation bob holds, and a circuit from alice to him. */
export interface Pair {
  readonly world: World
  readonly relay: WorldRelay
  readonly alice: WorldPeer
  readonly bob: WorldPeer
  readonly out: PipeId
  readonly in: PipeId
}

export function wants(world: World, peer: WorldPeer, ...relays: readonly WorldRelay[]): void {
  world.handle(peer, { type: 'relays', relays: relays.map(({ address }) => address) })
}

export function connect(
  world: World,
  relay: WorldRelay,
  limits: Partial<CircuitsLimits> = {},
  bobLimits: Partial<CircuitsLimits> = limits,
): Pair {
  const [alice, bob] = [world.addPeer('alice', limits), world.addPeer('bob', bobLimits)]
  wants(world, bob, relay)
  world.run(2_000, () => bob.addresses.length === 1)
  const out = world.dial(alice, bob.way)
  world.run(2_000, () => bob.wayIn !== undefined && alice.opened.length === 1)
  const { wayIn } = bob
  if (wayIn === undefined || alice.opened.length !== 1) throw new Error('no circuit was made')
  return { world, relay, alice, bob, out, in: wayIn }
}

/** Both ends of a circuit say something, so that no relay takes it for forgotten. */
export function greet({ world, alice, bob, ...pair }: Pair): void {
  world.write(alice, pair.out, numbered(0))
  world.write(bob, pair.in, numbered(0))
  world.run(500)
  for (const { received } of [alice, bob]) received.length = 0
}

/** A message that carries its number, of `size` bytes (at least 8). */
export function numbered(number: number, size = 8): Uint8Array {
  const bytes = new Uint8Array(size).fill(number)
  new DataView(bytes.buffer).setUint32(0, number)
  new DataView(bytes.buffer).setUint32(4, size)
  return bytes
}

/** What is wrong with messages that `numbered` made: lost, doubled, out of order or changed. */
export function violations(received: readonly Uint8Array[], sent: readonly Uint8Array[]): string[] {
  const wrong: string[] = []
  if (received.length !== sent.length) wrong.push(`${received.length} of ${sent.length} arrived`)
  for (const [index, bytes] of received.entries()) {
    const expected = sent[index]
    if (expected === undefined || !equalBytes(bytes, expected)) wrong.push(`message ${index} is another one`)
  }
  return wrong
}
