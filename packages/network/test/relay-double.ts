import { bytesToHex, type Now, peerIdToKey } from '@miaou/core'
import {
  type CircuitData,
  circuitWindowSize,
  decodeCircuitData,
  decodeRelayMessage,
  encodeCircuitData,
  encodeRelayMessage,
  type FrameType,
  frameTypes,
  type RelayMessage,
  reservationIdOf,
} from '@miaou/protocol'
import type { RelayServiceInput, RelayServiceOutput } from '../src/circuit/interface.ts'
import { Link, type LinkOutput } from '../src/link.ts'
import type { LinkIdentity } from '../src/link-handshake.ts'
import { defaultLinkLimits } from '../src/link-limits.ts'
import type { PipeId } from '../src/ports.ts'
import type { RelayEngine } from './circuits-world.ts'
import { crypto, SeededRandom } from './identities.ts'

interface Client {
  readonly pipe: PipeId
  readonly link: Link
  name: string
  readonly ends: Map<number, { readonly client: Client; readonly number: number }>
}

type Reserved = Extract<RelayMessage, { type: 'reserved' }>

/** A small relay without bounds, whose every step a test can bend. */
export class RelayDouble implements RelayEngine {
  readonly identity: LinkIdentity
  /** Instead of the usual answer; undefined for the usual one. */
  answer: (message: RelayMessage, usual: RelayMessage | undefined) => RelayMessage[] | undefined = () => undefined
  /** Chunks passed on in place of one. */
  passOn: (chunk: CircuitData) => CircuitData[] = (chunk) => [chunk]
  reserved: Partial<Reserved> = {}
  /** What clients said, in order. */
  readonly heard: RelayMessage[] = []
  readonly #clients = new Map<PipeId, Client>()
  #outputs: RelayServiceOutput[] = []
  #now: Now = { mono: 0, wall: 0 }
  #nextCircuit = 1
  #fillerBytes = 0

  constructor(identity: LinkIdentity) {
    this.identity = identity
  }

  get clientCount(): number {
    return this.#clients.size
  }

  handle(now: Now, input: RelayServiceInput): RelayServiceOutput[] {
    this.#now = now
    if (input.type === 'transport') this.#takeEvent(input.event)
    if (input.type === 'wake') {
      for (const client of [...this.#clients.values()]) this.#take(client, client.link.wake(now))
    }
    const outputs = this.#outputs
    this.#outputs = []
    return outputs
  }

  deadline(): number {
    return Math.min(...[...this.#clients.values()].map(({ link }) => link.deadline()), Number.POSITIVE_INFINITY)
  }

  /** Says something to every client, asked or not; the outputs are those of the world's next `relayHandle`. */
  say(message: RelayMessage): void {
    this.sayBytes(frameTypes.relayControl, encodeRelayMessage(message))
  }

  sayBytes(frameType: FrameType, bytes: Uint8Array): void {
    for (const client of this.#clients.values()) this.#send(client, frameType, bytes)
  }

  #takeEvent(event: Extract<RelayServiceInput, { type: 'transport' }>['event']): void {
    const { pipe } = event
    if (event.type === 'opened') {
      const { padded, channels } = event
      const link = new Link(
        {
          crypto,
          random: new SeededRandom(pipe),
          identity: this.identity,
          features: [],
          role: 'responder',
          padded,
          expected: undefined,
          binding: undefined,
          pseudonymsAdmitted: true,
          channels,
          limits: defaultLinkLimits,
        },
        this.#now,
      )
      this.#clients.set(pipe, { pipe, link, name: '', ends: new Map() })
      return
    }
    const client = this.#clients.get(pipe)
    if (client === undefined) return
    if (event.type === 'message') this.#take(client, client.link.receive(this.#now, event.channel, event.bytes))
    if (event.type === 'closed') this.#forget(client)
  }

  #forget(client: Client): void {
    this.#clients.delete(client.pipe)
    for (const { client: other, number } of client.ends.values()) {
      other.ends.delete(number)
      this.#tell(other, { type: 'close', circuit: number, reason: 'peer-gone' })
    }
  }

  #take(client: Client, outputs: readonly LinkOutput[]): void {
    for (const output of outputs) {
      if (output.type !== 'write') continue
      this.#outputs.push({ type: 'write', pipe: client.pipe, channel: output.channel, bytes: output.bytes })
    }
    for (const output of outputs) {
      if (output.type === 'proven') {
        client.name = bytesToHex(reservationIdOf(peerIdToKey(output.peer.peerId), (bytes) => crypto.sha256(bytes)))
        this.#take(client, client.link.accept(this.#now))
      } else if (output.type === 'ended') {
        this.#outputs.push({ type: 'close', pipe: client.pipe })
        this.#forget(client)
      } else if (output.type === 'frame') this.#takeFrame(client, output.frameType, output.payload)
    }
  }

  #takeFrame(client: Client, frameType: FrameType, payload: Uint8Array): void {
    if (frameType === frameTypes.circuitData) {
      const decoded = decodeCircuitData(payload)
      if (!decoded.ok) return
      const { circuit, bytes } = decoded.value
      if (circuit === 0) this.#fillerBytes += bytes.length
      const other = client.ends.get(circuit)
      if (other === undefined) return
      for (const chunk of this.passOn(decoded.value)) {
        const passed = chunk.circuit === circuit ? { ...chunk, circuit: other.number } : chunk
        this.#send(other.client, frameTypes.circuitData, encodeCircuitData(passed))
      }
      return
    }
    const decoded = decodeRelayMessage(payload)
    if (!decoded.ok) return
    const message = decoded.value
    this.heard.push(message)
    const usual = this.#usualAnswer(client, message)
    const answers = this.answer(message, usual) ?? (usual === undefined ? [] : [usual])
    for (const answer of answers) this.#tell(client, answer)
  }

  #usualAnswer(client: Client, message: RelayMessage): RelayMessage | undefined {
    switch (message.type) {
      case 'reserve':
        return {
          type: 'reserved',
          expiresIn: 3_600,
          timestamp: Math.trunc(this.#now.wall),
          observed: Uint8Array.of(203, 0, 113, 1, 0x0f, 0xa0),
          limits: { circuitsMax: 64, bytesPerSecond: 0, bytesPerDay: 0 },
          iceServers: [],
          ...this.reserved,
          request: message.request,
        }
      case 'open':
        return this.#open(client, message.request, bytesToHex(message.reservation))
      case 'close':
      case 'credit': {
        const other = client.ends.get(message.circuit)
        if (other === undefined) return undefined
        if (message.type === 'close') {
          client.ends.delete(message.circuit)
          other.client.ends.delete(other.number)
        }
        this.#tell(other.client, { ...message, circuit: other.number })
        return undefined
      }
      case 'measure-down': {
        for (let left = message.bytes; left > 0; left -= 16_000) {
          const bytes = new Uint8Array(Math.min(left, 16_000))
          this.#send(client, frameTypes.circuitData, encodeCircuitData({ circuit: 0, isLast: true, bytes }))
        }
        return { type: 'measured', request: message.request, bytes: message.bytes }
      }
      case 'measure-up': {
        const bytes = this.#fillerBytes
        this.#fillerBytes = 0
        return { type: 'measured', request: message.request, bytes }
      }
      default:
        return undefined
    }
  }

  #open(client: Client, request: number, name: string): RelayMessage {
    const other = [...this.#clients.values()].findLast((candidate) => candidate.name === name)
    if (other === undefined) return { type: 'refused', request, reason: 'no-reservation', retryIn: 1 }
    const [circuit, number] = [this.#nextCircuit++, this.#nextCircuit++]
    client.ends.set(circuit, { client: other, number })
    other.ends.set(number, { client, number: circuit })
    this.#tell(other, { type: 'incoming', circuit: number, window: circuitWindowSize })
    return { type: 'opened', request, circuit, window: circuitWindowSize }
  }

  #tell(client: Client, message: RelayMessage): void {
    this.#send(client, frameTypes.relayControl, encodeRelayMessage(message))
  }

  #send(client: Client, frameType: FrameType, payload: Uint8Array): void {
    if (client.link.isUp) this.#take(client, client.link.send(this.#now, frameType, payload, false) ?? [])
  }
}
