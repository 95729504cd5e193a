import { concatBytes, type Now, peerIdToKey } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import {
  Circuits,
  type CircuitsOutput,
  defaultCircuitsLimits,
  defaultRelayLimits,
  type Link,
  type LinkIdentity,
  type LinkOutput,
  type PipeId,
  RelayService,
  type RelayServiceOutput,
} from '@miaou/network'
import {
  circuitWindowSize,
  decodeCircuitData,
  decodeRelayMessage,
  encodeCircuitData,
  encodeRelayMessage,
  type FrameType,
  formatCircuitAddress,
  frameTypes,
  type RelayAddress,
  type RelayMessage,
  relayIdOf,
  reservationIdOf,
} from '@miaou/protocol'
import { createCircuitSamples } from './circuit-samples.ts'
import { type EngineFault, newLink, risen, samplePseudonym } from './engine-parts.ts'
import { FuzzRandom } from './random.ts'
import { sampleBytes, sampleTime } from './samples.ts'
import type { FuzzTarget, Outcome } from './target.ts'

/** First byte of an input: what is done with the rest. Second: by whom; third: a detail. */
const deeds = { control: 0, data: 1, raw: 2, act: 3, pause: 4 } as const
const deedCount = Object.keys(deeds).length
const headerSize = 3
const pauseMs = [1, 20, 300, 1_500, 5_001, 31_000, 600_000] as const
const stepMs = 5
const url = 'ws://192.0.2.1:9999'
/** Bounds that are small enough to be met. */
const relayLimits = {
  ...defaultRelayLimits,
  circuitsPerPairMax: 4,
  circuitsMax: 12,
  servicesMax: 6,
  serviceDialsPerSecond: 1,
  badMessagesMax: 200,
}
const clientLimits = { ...defaultCircuitsLimits, circuitsPerRelayMax: 8, circuitsMax: 12, relaysMax: 4, faultsMax: 200 }

/**
 * A relay with four clients whose links are in order and who say what the fuzzer wants: any message and chunk, any bytes
 * in place of a sealed message, connections that come and go, readers that do not read, and pauses. Throws where a bound
 * or a promise is broken. Accepted is all: the corpus tells apart which counters rose and what came out.
 */
export function relayServiceTarget(crypto: Crypto, fault?: EngineFault): FuzzTarget {
  const run = new RelayRun(crypto, fault)
  return { ...engineTarget(crypto, run, run.reservations), name: 'relay-service' }
}

/** The client of relays between one peer and three relays that say what the fuzzer wants, asked or not. */
export function circuitsTarget(crypto: Crypto, fault?: EngineFault): FuzzTarget {
  return { ...engineTarget(crypto, new CircuitsRun(crypto, fault), []), name: 'circuits' }
}

function engineTarget(
  crypto: Crypto,
  run: { readonly play: (bytes: Uint8Array) => Outcome },
  reservations: readonly Uint8Array[],
): Omit<FuzzTarget, 'name'> {
  const { messages, chunks } = createCircuitSamples(crypto)
  const input = (deed: number, who: number, detail: number, rest: Uint8Array = new Uint8Array(0)) =>
    concatBytes(Uint8Array.of(deed, who, detail), rest)
  const opens = reservations.map((reservation): RelayMessage => ({ type: 'open', request: 1, reservation }))
  const credit: RelayMessage = { type: 'credit', circuit: 1, bytes: 256 }
  const full = { circuit: 1, isLast: false, bytes: sampleBytes(crypto, 'a full chunk', 4_000) }
  return {
    seeds: [
      ...[...messages, credit, ...opens].map((message, at) =>
        input(deeds.control, at, at, encodeRelayMessage(message)),
      ),
      ...[...chunks, full].map((chunk, at) => input(deeds.data, at, at, encodeCircuitData(chunk))),
      ...[30, 300].map((size) => input(deeds.raw, 1, 0, sampleBytes(crypto, `raw ${size}`, size))),
      ...Array.from({ length: 8 }, (_, at) => input(deeds.act, at, at, sampleBytes(crypto, `act ${at}`, 60))),
      ...pauseMs.map((_, at) => input(deeds.pause, 0, at)),
    ],
    decode: (bytes) => run.play(bytes),
    sizeMax: 4_100,
    weight: 0.2,
    // Queues and tables of the engine and of both ends of its links grow now and then.
    slackBytes: 16 * 1024 * 1024,
  }
}

/** Numbers of circuits, requests and credits that exist: a message of the fuzzer names them mostly. */
function withNumber(payload: Uint8Array, at: number, number: number | undefined, detail: number): Uint8Array {
  if (number === undefined || detail >= 224 || payload.length < at + 4) return payload
  const changed = payload.slice()
  new DataView(changed.buffer).setUint32(at, number)
  return changed
}

interface Client {
  readonly name: number
  readonly identity: LinkIdentity
  readonly circuits: number[]
  pipe: PipeId
  link: Link
  isReading: boolean
  unread: Uint8Array[]
}

class RelayRun {
  readonly reservations: readonly Uint8Array[]
  readonly #crypto: Crypto
  readonly #fault: EngineFault | undefined
  readonly #service: RelayService
  readonly #clients: Client[]
  readonly #said: string[] = []
  /** Pipes of services that are open. */
  readonly #services = new Set<PipeId>()
  #mono = 1
  #nextPipe = 1
  #pauses = 0

  constructor(crypto: Crypto, fault: EngineFault | undefined) {
    this.#crypto = crypto
    this.#fault = fault
    const identity = samplePseudonym(crypto, 'fuzzed relay')
    const base = { crypto, random: new FuzzRandom(1), services: { nextPipe: () => this.#nextPipe++ as PipeId } }
    this.#service = new RelayService({ ...base, identity, limits: relayLimits })
    this.#clients = [0, 1, 2, 3].map((name) => {
      const own = samplePseudonym(crypto, `fuzzing client ${name}`)
      const [pipe, link] = [0 as PipeId, newLink(crypto, own, 'initiator', this.#now(), name)]
      return { name, identity: own, circuits: [], pipe, link, isReading: true, unread: [] }
    })
    this.reservations = this.#clients.map(({ identity: { peerId } }) =>
      reservationIdOf(peerIdToKey(peerId), (bytes) => crypto.sha256(bytes)),
    )
    for (const client of this.#clients) this.#connect(client)
  }

  play(bytes: Uint8Array): Outcome {
    this.#mono += stepMs
    this.#said.length = 0
    const before = this.#service.counters()
    const [deed = 0, who = 0, detail = 0] = bytes
    const rest = bytes.subarray(headerSize)
    const client = this.#clients[who % this.#clients.length]
    if (client !== undefined) {
      if (!client.link.isUp) this.#connect(client)
      this.#do(deed % deedCount, client, detail, rest)
    }
    if (this.#service.deadline() <= this.#mono) this.#perform(this.#service.handle(this.#now(), { type: 'wake' }))
    const after = this.#service.counters()
    this.#check(after)
    const value = { deed: `deed-${'abcde'[deed % deedCount]}`, rose: risen(after, before), said: this.#said.join(' ') }
    return { ok: true, value: { ...value, said: value.said.slice(0, 96) } }
  }

  #do(deed: number, client: Client, detail: number, rest: Uint8Array): void {
    const circuit = client.circuits[detail % Math.max(1, client.circuits.length)]
    switch (deed) {
      case deeds.control: {
        // `close` and `credit` name the circuit first.
        const names = rest[0] === 8 || rest[0] === 9
        this.#say(client, frameTypes.relayControl, names ? withNumber(rest, 1, circuit, detail) : rest)
        return
      }
      case deeds.data:
        if (rest.length > 0) this.#say(client, frameTypes.circuitData, withNumber(rest, 0, circuit, detail))
        return
      case deeds.raw:
        this.#event({ type: 'message', pipe: client.pipe, channel: 0, bytes: rest })
        return
      case deeds.act:
        this.#act(client, detail)
        return
      default: {
        const ms = pauseMs[detail % pauseMs.length] ?? 1
        // Seldom a long one: what was opened has to live for a while.
        this.#mono += this.#pauses++ % 32 === 0 ? ms : Math.min(ms, 300)
        for (const each of this.#clients) this.#take(each, each.link.wake(this.#now()))
      }
    }
  }

  #act(client: Client, detail: number): void {
    const other = this.reservations[(client.name + 1 + (detail >> 3)) % this.reservations.length]
    switch (detail % 8) {
      case 0:
        this.#disconnect(client)
        return
      case 1:
        client.isReading = !client.isReading
        if (client.isReading) {
          for (const bytes of client.unread.splice(0)) this.#take(client, client.link.receive(this.#now(), 0, bytes))
          this.#perform(this.#service.handle(this.#now(), { type: 'drained', pipe: client.pipe }))
        }
        return
      case 2:
        this.#connect(client)
        return
      case 3:
        this.#tell(client, { type: 'reserve', request: detail })
        return
      default:
        if (other !== undefined) this.#tell(client, { type: 'open', request: detail, reservation: other })
    }
  }

  #connect(client: Client): void {
    if (client.pipe !== 0) this.#disconnect(client)
    this.#mono += 200
    client.pipe = this.#nextPipe++ as PipeId
    client.link = newLink(this.#crypto, client.identity, 'initiator', this.#now(), this.#nextPipe)
    client.isReading = true
    const remoteAddress = `ws://203.0.113.${client.name}:4000`
    const facts = { transport: 'websocket', direction: 'in', channels: 1, padded: true, remoteAddress } as const
    this.#event({ type: 'opened', pipe: client.pipe, ...facts })
    this.#take(client, client.link.start(this.#now()))
    this.#tell(client, { type: 'reserve', request: 1 })
  }

  #disconnect(client: Client): void {
    client.circuits.length = 0
    client.unread = []
    this.#event({ type: 'closed', pipe: client.pipe })
  }

  #tell(client: Client, message: RelayMessage): void {
    this.#say(client, frameTypes.relayControl, encodeRelayMessage(message))
  }

  #say(client: Client, type: FrameType, payload: Uint8Array): void {
    if (client.link.isUp) this.#take(client, client.link.send(this.#now(), type, payload, false) ?? [])
  }

  #event(event: Extract<Parameters<RelayService['handle']>[1], { type: 'transport' }>['event']): void {
    this.#perform(this.#service.handle(this.#now(), { type: 'transport', event }))
  }

  #take(client: Client, outputs: readonly LinkOutput[]): void {
    for (const output of outputs) {
      if (output.type === 'write') {
        this.#event({ type: 'message', pipe: client.pipe, channel: 0, bytes: output.bytes })
      } else if (output.type === 'proven') this.#take(client, client.link.accept(this.#now()))
      else if (output.type === 'frame') this.#heard(client, output.frameType, output.payload)
    }
  }

  #heard(client: Client, frameType: FrameType, payload: Uint8Array): void {
    if (frameType === frameTypes.circuitData) {
      if (!decodeCircuitData(payload).ok) throw new Error('a relay passes on what is no chunk')
      this.#said.push('data')
      return
    }
    const decoded = decodeRelayMessage(payload)
    if (!decoded.ok) throw new Error('a relay says what nobody understands')
    const message = decoded.value
    this.#said.push(message.type)
    if (message.type === 'opened' || message.type === 'incoming') client.circuits.push(message.circuit)
    if (message.type !== 'close') return
    const at = client.circuits.indexOf(message.circuit)
    if (at >= 0) client.circuits.splice(at, 1)
  }

  #perform(outputs: readonly RelayServiceOutput[]): void {
    for (const output of outputs) {
      const client = this.#clients.find(({ pipe }) => pipe === output.pipe)
      if (client === undefined || output.type === 'service-dial') {
        this.#performAtService(output)
        continue
      }
      if (output.type === 'close') {
        client.circuits.length = 0
        client.unread = []
        this.#said.push('cut')
      } else if (!client.isReading) client.unread.push(output.bytes.slice())
      else {
        this.#take(client, client.link.receive(this.#now(), output.channel, output.bytes))
        this.#perform(this.#service.handle(this.#now(), { type: 'drained', pipe: client.pipe }))
      }
    }
  }

  /** Every fourth does not answer; the others send back what comes, and one that begins with a multiple of three ends them. */
  #performAtService(output: RelayServiceOutput): void {
    const { pipe } = output
    if (output.type === 'service-dial') {
      this.#services.add(pipe)
      const how = { transport: 'websocket', direction: 'out', channels: 1, padded: true } as const
      if (pipe % 4 !== 0) this.#event({ type: 'opened', pipe, remoteAddress: output.url, ...how })
    } else if (!this.#services.has(pipe)) return
    else if (output.type === 'close') this.#endService(pipe)
    else {
      this.#event({ type: 'message', pipe, channel: 0, bytes: output.bytes })
      this.#perform(this.#service.handle(this.#now(), { type: 'drained', pipe }))
      if ((output.bytes[0] ?? 0) % 3 === 0) this.#endService(pipe)
    }
  }

  #endService(pipe: PipeId): void {
    if (this.#services.delete(pipe)) this.#event({ type: 'closed', pipe })
  }

  #check(counters: Readonly<Record<string, number>>): void {
    const { links, reservations, circuits, services, queuedBytes } = this.#service.view()
    if (links > this.#clients.length * relayLimits.linksPerClientMax) throw new Error('too many links')
    if (reservations > this.#clients.length) throw new Error('too many reservations')
    if (circuits > relayLimits.circuitsMax) throw new Error('too many circuits')
    if (services > relayLimits.servicesMax) throw new Error('too many services')
    const ofServices = services * (circuitWindowSize + relayLimits.serviceQueuedBytesMax)
    if (queuedBytes < 0 || queuedBytes > 2 * circuits * (circuitWindowSize + 16_384) + ofServices) {
      throw new Error(`${queuedBytes} bytes wait for ${circuits} circuits and ${services} services`)
    }
    if (Number.isNaN(this.#service.deadline())) throw new Error('no deadline')
    this.#fault?.(counters)
  }

  #now(): Now {
    return { mono: this.#mono, wall: sampleTime + this.#mono }
  }
}

/** The relay's end of one pipe that the engine dialled. */
interface RelayEnd {
  readonly pipe: PipeId
  readonly relay: number
  readonly link: Link
  readonly asked: RelayMessage[]
  readonly circuits: number[]
}

class CircuitsRun {
  readonly #crypto: Crypto
  readonly #fault: EngineFault | undefined
  readonly #engine: Circuits
  readonly #relays: readonly { readonly address: RelayAddress; readonly identity: LinkIdentity }[]
  readonly #ends = new Map<PipeId, RelayEnd>()
  /** Circuits as the peer sees them: told of as opened, not yet as closed. */
  readonly #open = new Set<PipeId>()
  readonly #dialled = new Set<PipeId>()
  readonly #said: string[] = []
  #mono = 1
  #nextPipe = 1
  #nextCircuit = 1
  #pauses = 0

  constructor(crypto: Crypto, fault: EngineFault | undefined) {
    this.#crypto = crypto
    this.#fault = fault
    this.#relays = [0, 1, 2].map((name) => {
      const identity = samplePseudonym(crypto, `fuzzing relay ${name}`)
      const relayId = relayIdOf(peerIdToKey(identity.peerId), (bytes) => crypto.sha256(bytes))
      return { identity, address: { relayId, url: url.replace('.1:', `.${1 + name}:`) } }
    })
    const random = new FuzzRandom(2)
    const jitter = { next: () => random.below(1_000) / 1_000 }
    const own = samplePseudonym(crypto, 'fuzzed client')
    const options = { crypto, random, jitter, pseudonymFor: () => own, limits: clientLimits }
    this.#engine = new Circuits(options, () => this.#nextPipe++ as PipeId)
    const relays = this.#relays.map(({ address }) => address)
    this.#perform(this.#engine.handle(this.#now(), { type: 'relays', relays }))
  }

  play(bytes: Uint8Array): Outcome {
    this.#mono += stepMs
    this.#said.length = 0
    const before = this.#engine.counters()
    const [deed = 0, who = 0, detail = 0] = bytes
    this.#do(deed % deedCount, who, detail, bytes.subarray(headerSize))
    for (const end of this.#ends.values()) if (end.asked.length > 1) this.#answer(end)
    if (this.#engine.deadline() <= this.#mono) this.#perform(this.#engine.handle(this.#now(), { type: 'wake' }))
    const after = this.#engine.counters()
    this.#check(after)
    const value = { deed: `deed-${'abcde'[deed % deedCount]}`, rose: risen(after, before) }
    return { ok: true, value: { ...value, said: this.#said.join(' ').slice(0, 96) } }
  }

  #do(deed: number, who: number, detail: number, rest: Uint8Array): void {
    const end = [...this.#ends.values()][who % Math.max(1, this.#ends.size)]
    const circuit = end?.circuits[detail % Math.max(1, end.circuits.length)]
    switch (deed) {
      case deeds.control: {
        const [asked] = end?.asked ?? []
        const request = asked !== undefined && 'request' in asked ? asked.request : undefined
        const isAnswer = [3, 5, 7, 12].includes(rest[0] ?? 0)
        if (isAnswer && request !== undefined) end?.asked.shift()
        const number = isAnswer ? request : rest[0] === 6 ? undefined : circuit
        if (end !== undefined) this.#say(end, frameTypes.relayControl, withNumber(rest, 1, number, detail))
        return
      }
      case deeds.data:
        if (end !== undefined && rest.length > 0) {
          this.#say(end, frameTypes.circuitData, withNumber(rest, 0, circuit, detail))
        }
        return
      case deeds.raw:
        if (end !== undefined) this.#event({ type: 'message', pipe: end.pipe, channel: 0, bytes: rest })
        return
      case deeds.act:
        this.#act(who, detail, rest, end)
        return
      default: {
        const ms = pauseMs[detail % pauseMs.length] ?? 1
        this.#mono += this.#pauses++ % 32 === 0 ? ms : Math.min(ms, 300)
        for (const each of this.#ends.values()) this.#answer(each)
      }
    }
  }

  #act(who: number, detail: number, rest: Uint8Array, end: RelayEnd | undefined): void {
    const relay = this.#relays[who % this.#relays.length]
    const [pipe] = [...this.#open].slice(who % Math.max(1, this.#open.size))
    if (relay === undefined) return
    switch (detail % 8) {
      case 0:
        if (end !== undefined) this.#close(end)
        return
      case 1:
        this.#perform(this.#engine.handle(this.#now(), { type: 'network-changed' }))
        return
      case 2:
        this.#perform(this.#engine.handle(this.#now(), { type: 'measure', id: detail, relay: relay.address }))
        return
      case 3:
        if (pipe !== undefined) this.#perform(this.#engine.handle(this.#now(), { type: 'close', pipe }))
        return
      case 4:
        if (end !== undefined) this.#incoming(end)
        return
      case 5:
      case 6: {
        const bytes = rest.slice()
        if (pipe !== undefined && bytes.length > 0) {
          this.#perform(this.#engine.handle(this.#now(), { type: 'write', pipe, channel: 0, bytes }))
        }
        return
      }
      default: {
        const dialled = this.#nextPipe++ as PipeId
        this.#dialled.add(dialled)
        const reservation = sampleBytes(this.#crypto, `reservation ${detail}`, 16)
        const address = formatCircuitAddress({ relay: relay.address, reservation })
        this.#perform(this.#engine.handle(this.#now(), { type: 'dial', pipe: dialled, address }))
      }
    }
  }

  #incoming(end: RelayEnd): void {
    const circuit = this.#nextCircuit++
    end.circuits.push(circuit)
    this.#tell(end, { type: 'incoming', circuit, window: circuitWindowSize })
  }

  /** The oldest question, as an honest relay answers it. */
  #answer(end: RelayEnd): void {
    const message = end.asked.shift()
    if (message?.type === 'reserve') {
      const limits = { circuitsMax: 8, bytesPerSecond: 0, bytesPerDay: 0 }
      const facts = { expiresIn: 3_600, timestamp: sampleTime, observed: new Uint8Array(0), limits, iceServers: [] }
      this.#tell(end, { type: 'reserved', request: message.request, ...facts })
    } else if (message?.type === 'open') {
      const circuit = this.#nextCircuit++
      end.circuits.push(circuit)
      this.#tell(end, { type: 'opened', request: message.request, circuit, window: circuitWindowSize })
    } else if (message?.type === 'measure-down' || message?.type === 'measure-up') {
      this.#tell(end, { type: 'measured', request: message.request, bytes: 0 })
    }
  }

  #tell(end: RelayEnd, message: RelayMessage): void {
    this.#say(end, frameTypes.relayControl, encodeRelayMessage(message))
  }

  #say(end: RelayEnd, type: FrameType, payload: Uint8Array): void {
    if (end.link.isUp) this.#take(end, end.link.send(this.#now(), type, payload, false) ?? [])
  }

  #close(end: RelayEnd): void {
    this.#ends.delete(end.pipe)
    this.#event({ type: 'closed', pipe: end.pipe })
  }

  #event(event: Extract<Parameters<Circuits['handle']>[1], { type: 'transport' }>['event']): void {
    this.#perform(this.#engine.handle(this.#now(), { type: 'transport', event }))
  }

  #take(end: RelayEnd, outputs: readonly LinkOutput[]): void {
    for (const output of outputs) {
      if (!this.#ends.has(end.pipe)) return
      if (output.type === 'write') {
        this.#event({ type: 'message', pipe: end.pipe, channel: 0, bytes: output.bytes })
      } else if (output.type === 'proven') this.#take(end, end.link.accept(this.#now()))
      else if (output.type === 'ended') this.#close(end)
      else if (output.type === 'frame' && output.frameType === frameTypes.relayControl) {
        const decoded = decodeRelayMessage(output.payload)
        if (!decoded.ok) throw new Error('a client says what nobody understands')
        this.#said.push(decoded.value.type)
        if ('request' in decoded.value) end.asked.push(decoded.value)
        else if (decoded.value.type === 'close') {
          const at = end.circuits.indexOf(decoded.value.circuit)
          if (at >= 0) end.circuits.splice(at, 1)
        }
      }
    }
  }

  #perform(outputs: readonly CircuitsOutput[]): void {
    for (const output of outputs) {
      switch (output.type) {
        case 'relay-dial':
          this.#dial(output.pipe, output.url)
          break
        case 'write': {
          const end = this.#ends.get(output.pipe)
          if (end !== undefined) this.#take(end, end.link.receive(this.#now(), output.channel, output.bytes))
          break
        }
        case 'close':
          this.#ends.delete(output.pipe)
          break
        case 'event':
          this.#told(output.event)
          break
        default:
          this.#said.push(output.type)
      }
    }
  }

  #dial(pipe: PipeId, dialled: string): void {
    const relay = this.#relays.findIndex(({ address }) => address.url === dialled)
    const identity = this.#relays[relay]?.identity
    if (identity === undefined) throw new Error(`nobody named ${dialled}`)
    const link = newLink(this.#crypto, identity, 'responder', this.#now(), pipe)
    this.#ends.set(pipe, { pipe, relay, link, asked: [], circuits: [] })
    const facts = { transport: 'websocket', direction: 'out', channels: 1, padded: true } as const
    this.#event({ type: 'opened', pipe, ...facts, remoteAddress: dialled })
  }

  /** A circuit opens once and closes once, and speaks between. */
  #told(event: Extract<CircuitsOutput, { type: 'event' }>['event']): void {
    this.#said.push(event.type)
    const { pipe } = event
    if (event.type === 'opened') {
      if (this.#open.has(pipe)) throw new Error('a circuit opens twice')
      if (event.direction === 'out' && !this.#dialled.has(pipe)) throw new Error('a circuit that nobody dialled')
      this.#open.add(pipe)
    } else if (event.type === 'message') {
      if (!this.#open.has(pipe)) throw new Error('a circuit that is not open speaks')
      if (event.bytes.length > clientLimits.messageSizeMax) throw new Error('a message is too large')
    } else if (event.type === 'closed') {
      const isKnown = this.#open.delete(pipe)
      if (!this.#dialled.delete(pipe) && !isKnown) throw new Error('a circuit closes twice')
    }
  }

  #check(counters: Readonly<Record<string, number>>): void {
    const { relays, links, circuits } = this.#engine.sizes()
    // What closes still sends what waits, beside the others.
    if (circuits > 2 * clientLimits.circuitsMax) throw new Error('too many circuits')
    if (relays > clientLimits.relaysMax || links > 2 * clientLimits.relaysMax) throw new Error('too many relays')
    for (const pipe of this.#open) if (!this.#engine.owns(pipe)) throw new Error('an open circuit is nobody’s')
    this.#engine.views()
    if (Number.isNaN(this.#engine.deadline())) throw new Error('no deadline')
    this.#fault?.(counters)
  }

  #now(): Now {
    return { mono: this.#mono, wall: sampleTime + this.#mono }
  }
}
