import { assert, type Now, peerIdToKey } from '@miaou/core'
import {
  type AddressScope,
  type CircuitData,
  decodeCircuitData,
  decodeRelayMessage,
  encodeCircuitData,
  encodeRelayMessage,
  frameTypes,
  type RelayMessage,
  reservationIdOf,
} from '@miaou/protocol'
import type { RelayServiceInput, RelayServiceOutput } from '../src/circuit/interface.ts'
import { RelayService, type RelayServiceOptions } from '../src/circuit/relay-service.ts'
import type { RelayLimits } from '../src/circuit/relay-service-limits.ts'
import type { CloseReason } from '../src/interface.ts'
import { Link, type LinkOutput } from '../src/link.ts'
import type { LinkIdentity } from '../src/link-handshake.ts'
import { defaultLinkLimits } from '../src/link-limits.ts'
import type { PipeId, TransportEvent } from '../src/ports.ts'
import { crypto, SeededRandom, testIdentity, testPseudonym } from './identities.ts'

/** One client of a relay, driven by hand. */
export class TestClient {
  readonly pipe: PipeId
  readonly said: RelayMessage[] = []
  /** Bytes that came on each circuit. */
  readonly received = new Map<number, number[]>()
  readonly reservation: Uint8Array
  /** How its link ended, as the relay said. */
  ended: CloseReason | undefined
  isClosed = false
  /** Whether what the relay writes is read at once. */
  isReading = true
  readonly unread: Uint8Array[] = []
  /** Takes every chunk beside its size being noted. */
  onChunk: ((chunk: CircuitData) => void) | undefined
  readonly #town: TestRelay
  readonly #link: Link
  #lastRequest = 0

  constructor(town: TestRelay, pipe: PipeId, identity: LinkIdentity) {
    this.#town = town
    this.pipe = pipe
    this.reservation = reservationIdOf(peerIdToKey(identity.peerId), (bytes) => crypto.sha256(bytes))
    this.#link = new Link(
      {
        crypto,
        random: new SeededRandom(pipe),
        identity,
        features: [],
        role: 'initiator',
        padded: true,
        expected: undefined,
        binding: undefined,
        pseudonymsAdmitted: true,
        channels: 1,
        limits: defaultLinkLimits,
      },
      town.now,
    )
  }

  get isUp(): boolean {
    return this.#link.isUp
  }

  start(): void {
    this.#perform(this.#link.start(this.#town.now))
  }

  /** Takes what the relay wrote. */
  receive(bytes: Uint8Array): void {
    this.#perform(this.#link.receive(this.#town.now, 0, bytes))
  }

  wake(): void {
    this.#perform(this.#link.wake(this.#town.now))
  }

  say(message: RelayMessage): void {
    this.frame(frameTypes.relayControl, encodeRelayMessage(message))
  }

  /** Any frame, also one that no client sends. */
  frame(type: (typeof frameTypes)[keyof typeof frameTypes], payload: Uint8Array): void {
    if (this.#link.isUp) this.#perform(this.#link.send(this.#town.now, type, payload, false) ?? [])
  }

  /** Asks and returns the answer. */
  ask(
    message: { readonly type: 'reserve' } | { readonly type: 'open'; readonly reservation: Uint8Array },
  ): RelayMessage {
    this.#lastRequest += 1
    const request = this.#lastRequest
    this.say({ ...message, request })
    const answer = this.said.find((each) => 'request' in each && each.request === request)
    assert(answer !== undefined, 'the relay answers at once')
    return answer
  }

  /** Asks for a service; undefined while it is being dialled. */
  askService(url: string): { readonly request: number; readonly answer: () => RelayMessage | undefined } {
    this.#lastRequest += 1
    const request = this.#lastRequest
    this.say({ type: 'open-service', request, url })
    return { request, answer: () => this.said.find((each) => 'request' in each && each.request === request) }
  }

  /** One chunk, the last of its message or not. */
  chunk(circuit: number, bytes: Uint8Array, isLast: boolean): void {
    this.frame(frameTypes.circuitData, encodeCircuitData({ circuit, isLast, bytes }))
  }

  data(circuit: number, size: number, fill = 7): void {
    const encoded = encodeCircuitData({ circuit, isLast: true, bytes: new Uint8Array(size).fill(fill) })
    this.frame(frameTypes.circuitData, encoded)
  }

  /** Reads what waits, in order, at most `bytes` of it, and lets the relay know. */
  read(bytes: number): void {
    let left = bytes
    while (left > 0) {
      const next = this.unread.shift()
      if (next === undefined) break
      left -= next.length
      this.receive(next)
    }
    if (this.unread.length === 0) this.#town.input({ type: 'drained', pipe: this.pipe })
  }

  ofType<T extends RelayMessage['type']>(type: T): Extract<RelayMessage, { type: T }>[] {
    return this.said.filter((each): each is Extract<RelayMessage, { type: T }> => each.type === type)
  }

  /** Bytes that came on a circuit. */
  total(circuit: number): number {
    return (this.received.get(circuit) ?? []).reduce((sum, size) => sum + size, 0)
  }

  #perform(outputs: readonly LinkOutput[]): void {
    for (const output of outputs) {
      if (output.type === 'write') {
        this.#town.input({
          type: 'transport',
          event: { type: 'message', pipe: this.pipe, channel: 0, bytes: output.bytes },
        })
      } else if (output.type === 'proven') this.#perform(this.#link.accept(this.#town.now))
      else if (output.type === 'ended') this.ended = output.reason
      else if (output.type === 'frame') this.#heard(output.frameType, output.payload)
    }
  }

  #heard(frameType: number, payload: Uint8Array): void {
    if (frameType === frameTypes.circuitData) {
      const decoded = decodeCircuitData(payload)
      assert(decoded.ok, 'the relay passes on what is well formed')
      const { circuit, bytes } = decoded.value
      this.received.set(circuit, [...(this.received.get(circuit) ?? []), bytes.length])
      this.onChunk?.(decoded.value)
      this.#town.onData?.(this, circuit, bytes.length)
      return
    }
    const decoded = decodeRelayMessage(payload)
    assert(decoded.ok, 'the relay speaks its own language')
    this.said.push(decoded.value)
  }
}

/** A service that the relay dialled, driven by hand. */
export class TestService {
  readonly pipe: PipeId
  readonly url: string
  readonly nearest: AddressScope
  readonly received: Uint8Array[] = []
  /** The relay has closed it. */
  isClosed = false
  isReading = true
  readonly #town: TestRelay

  constructor(town: TestRelay, { pipe, url, nearest }: Extract<RelayServiceOutput, { type: 'service-dial' }>) {
    this.#town = town
    this.pipe = pipe
    this.url = url
    this.nearest = nearest
  }

  answer(): void {
    const opened = { transport: 'websocket', direction: 'out', channels: 1, padded: true } as const
    this.#event({ type: 'opened', pipe: this.pipe, remoteAddress: this.url, ...opened })
  }

  say(bytes: Uint8Array): void {
    this.#event({ type: 'message', pipe: this.pipe, channel: 0, bytes })
  }

  close(isOrderly: boolean): void {
    const error = { type: 'broken', detail: 'reset' } as const
    this.#event({ type: 'closed', pipe: this.pipe, ...(isOrderly ? {} : { error }) })
  }

  read(): void {
    this.#town.input({ type: 'drained', pipe: this.pipe })
  }

  #event(event: TransportEvent): void {
    this.#town.input({ type: 'transport', event })
  }
}

/** A relay in virtual time, with clients whose pipes take no time. */
export class TestRelay {
  readonly service: RelayService
  readonly clients = new Map<PipeId, TestClient>()
  /** Those that were dialled, first to last. */
  readonly services: TestService[] = []
  /** How a dial of a service ends; by default it opens at once. */
  onDial: (service: TestService) => void = (service) => service.answer()
  onData: ((client: TestClient, circuit: number, size: number) => void) | undefined
  #mono = 0
  #lastPipe = 0
  readonly #queue: RelayServiceInput[] = []
  #isBusy = false

  constructor(limits: Partial<RelayLimits> = {}, options: Partial<RelayServiceOptions> = {}) {
    const identity = testPseudonym(0)
    const services = { nextPipe: () => this.#takePipe() }
    this.service = new RelayService({ crypto, random: new SeededRandom(1), identity, limits, services, ...options })
  }

  get now(): Now {
    return { mono: this.#mono, wall: 1_700_000_000_000 + this.#mono }
  }

  /** The counters of the service by name, 0 for those not counted. */
  count(name: string): number {
    return this.service.counters()[name] ?? 0
  }

  /** Opens a pipe that says nothing. */
  open(remoteAddress = 'ws://127.0.0.1:1'): PipeId {
    const pipe = this.#takePipe()
    this.input({
      type: 'transport',
      event: {
        type: 'opened',
        pipe,
        transport: 'websocket',
        direction: 'in',
        channels: 1,
        padded: true,
        remoteAddress,
      },
    })
    return pipe
  }

  /** A client with pseudonym number `seed`, its handshake done where the relay lets it. */
  connect(seed: number, remoteAddress?: string, identity: LinkIdentity = testPseudonym(seed)): TestClient {
    const pipe = this.#takePipe()
    const client = new TestClient(this, pipe, identity)
    this.clients.set(pipe, client)
    const address = remoteAddress ?? `ws://203.0.${seed >> 8}.${seed & 0xff || 1}:4000`
    this.input({
      type: 'transport',
      event: {
        type: 'opened',
        pipe,
        transport: 'websocket',
        direction: 'in',
        channels: 1,
        padded: true,
        remoteAddress: address,
      },
    })
    if (!client.isClosed) client.start()
    return client
  }

  /** One who shows its device, as no client should. */
  connectDevice(seed: number): TestClient {
    return this.connect(seed, undefined, testIdentity(seed))
  }

  disconnect(client: TestClient): void {
    this.clients.delete(client.pipe)
    this.input({ type: 'transport', event: { type: 'closed', pipe: client.pipe } })
  }

  /** A circuit from `caller` to `holder`, by its numbers on both links. */
  circuit(caller: TestClient, holder: TestClient): { readonly out: number; readonly in: number } {
    const answer = caller.ask({ type: 'open', reservation: holder.reservation })
    assert(answer.type === 'opened', `the circuit opens, not ${JSON.stringify(answer)}`)
    const incoming = holder.ofType('incoming').at(-1)
    return { out: answer.circuit, in: incoming?.circuit ?? 0 }
  }

  /** A way from a client to a service, open. */
  way(client: TestClient, url = 'wss://mail.example.org'): { readonly service: TestService; readonly circuit: number } {
    const { answer } = client.askService(url)
    const opened = answer()
    const service = this.services.at(-1)
    assert(opened?.type === 'opened' && service !== undefined, `the way opens, not ${JSON.stringify(opened)}`)
    return { service, circuit: opened.circuit }
  }

  #takePipe(): PipeId {
    this.#lastPipe += 1
    return this.#lastPipe as PipeId
  }

  input(input: RelayServiceInput): void {
    this.#queue.push(input)
    if (this.#isBusy) return
    this.#isBusy = true
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      for (const output of this.service.handle(this.now, next)) this.#perform(output)
    }
    this.#isBusy = false
  }

  /** Lets time pass, with every wake that is due. */
  pass(ms: number): void {
    const until = this.#mono + ms
    for (;;) {
      const next = Math.min(this.service.deadline(), until)
      this.#mono = Math.max(this.#mono, next)
      this.input({ type: 'wake' })
      for (const client of this.clients.values()) client.wake()
      if (this.#mono >= until) return
    }
  }

  #perform(output: RelayServiceOutput): void {
    if (output.type === 'service-dial') {
      const service = new TestService(this, output)
      this.services.push(service)
      this.onDial(service)
      return
    }
    const service = this.services.find(({ pipe }) => pipe === output.pipe)
    if (service !== undefined) {
      this.#performAt(service, output)
      return
    }
    const client = this.clients.get(output.pipe)
    if (client === undefined) return
    if (output.type === 'close') {
      client.isClosed = true
      this.clients.delete(output.pipe)
      this.#queue.push({ type: 'transport', event: { type: 'closed', pipe: output.pipe } })
      return
    }
    if (!client.isReading) {
      client.unread.push(output.bytes)
      return
    }
    client.receive(output.bytes)
    this.#queue.push({ type: 'drained', pipe: output.pipe })
  }

  #performAt(service: TestService, output: Extract<RelayServiceOutput, { type: 'write' | 'close' }>): void {
    if (output.type === 'close') {
      service.isClosed = true
      this.#queue.push({ type: 'transport', event: { type: 'closed', pipe: service.pipe } })
      return
    }
    service.received.push(output.bytes)
    if (service.isReading) this.#queue.push({ type: 'drained', pipe: service.pipe })
  }
}

/** Two addresses of one IPv6 /64. */
export const sameGroup: readonly [string, string] = ['ws://[2001:db8::1]:4000', 'ws://[2001:db8::ffff]:4001']
