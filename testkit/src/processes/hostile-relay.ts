import { bytesToHex, keyToPeerId, peerIdToKey } from '@miaou/core'
import { type Crypto, createLibsodiumCrypto } from '@miaou/crypto'
import { systemClock, systemRandom, type WebSocketChannel, WebSocketTransport } from '@miaou/host-node'
import {
  defaultLinkLimits,
  Link,
  type LinkIdentity,
  type LinkOutput,
  type PipeId,
  type TransportEvent,
} from '@miaou/network'
import {
  type CircuitData,
  circuitWindowSize,
  decodeCircuitData,
  decodeRelayMessage,
  encodeCircuitData,
  encodeRelayMessage,
  type FrameType,
  formatRelayAddress,
  frameTypes,
  type RelayMessage,
  relayIdOf,
  reservationIdOf,
  signPseudonymCertificate,
} from '@miaou/protocol'

const subprotocol = 'miaou-relay-v0.2.0'
/** How long `late` keeps each chunk: above any round trip on loopback, below the end of a handshake. */
const lateMs = 400

/** What is done to every third chunk of a circuit (`late`: to every one). */
export type RelayDeed = 'pass' | 'drop' | 'double' | 'swap' | 'cut' | 'change' | 'late'

interface Client {
  readonly pipe: PipeId
  readonly link: Link
  /** Name of the reservation that is its own. */
  name: string
  readonly ends: Map<number, { readonly client: Client; readonly number: number }>
}

type Reserved = Extract<RelayMessage, { type: 'reserved' }>

/**
 * A relay that means harm, on a real listener, spoken by the project's own codec and link: it keeps all it hears, and
 * does to circuits and to its clients what a test says.
 */
export class HostileRelay {
  deed: RelayDeed = 'pass'
  /** Said in place of the truth to whoever reserves. */
  lies: Partial<Reserved> = {}
  /** Everything that came: as sealed on the wire, and what the relay's own key opens. */
  readonly seen: Uint8Array[] = []
  chunksPassed = 0
  chunksSpoilt = 0
  /** Names of reservations that were asked for: one a pseudonym. */
  readonly reservations: Set<string> = new Set()
  readonly #crypto: Crypto
  readonly #identity: LinkIdentity
  readonly #websocket = new WebSocketTransport({ host: '127.0.0.1', port: 0 })
  readonly #clients = new Map<PipeId, Client>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #channel: WebSocketChannel | undefined
  #kept: (() => void) | undefined
  #chunks = 0
  #nextPipe = 1
  #nextCircuit = 1

  private constructor(crypto: Crypto) {
    this.#crypto = crypto
    const device = crypto.ed25519KeyPair(systemRandom.bytes(32))
    const linkKey = crypto.x25519KeyPair(systemRandom.bytes(32))
    const certificate = signPseudonymCertificate(crypto, device.secretKey, {
      linkKey: linkKey.publicKey,
      createdAt: 0,
    })
    this.#identity = { peerId: keyToPeerId(device.publicKey), certificate, linkKey }
  }

  static async start(): Promise<{ readonly relay: HostileRelay; readonly address: string }> {
    const relay = new HostileRelay(await createLibsodiumCrypto())
    const nextPipe = () => relay.#nextPipe++ as PipeId
    const host = { emit: (event: TransportEvent) => relay.#hear(event), nextPipe }
    relay.#channel = relay.#websocket.channel({ subprotocol, accepts: true, host })
    const started = await relay.#websocket.start({ emit: () => undefined, nextPipe })
    if (!started.ok) throw new Error(started.error.type)
    const relayId = relayIdOf(peerIdToKey(relay.#identity.peerId), (bytes) => relay.#crypto.sha256(bytes))
    return { relay, address: formatRelayAddress({ relayId, url: started.value[0] ?? '' }) }
  }

  get clientCount(): number {
    return this.#clients.size
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer)
    await this.#websocket.stop()
  }

  /** Whether it ever saw these bytes or this text, anywhere. */
  hasSeen(needle: Uint8Array): boolean {
    return this.seen.some((bytes) => Buffer.from(bytes).includes(Buffer.from(needle)))
  }

  /** Announces circuits that nobody opened, and answers what nobody asked, to every client. */
  flood(count: number): void {
    for (const client of [...this.#clients.values()]) {
      for (let i = 0; i < count; i++) {
        const number = 0x4000_0000 + i
        this.#tell(client, { type: 'incoming', circuit: number, window: i % 3 === 0 ? 1 : circuitWindowSize })
        this.#tell(client, { type: 'credit', circuit: number, bytes: 0xffff_ffff })
        this.#tell(client, { type: 'opened', request: i, circuit: number + count, window: circuitWindowSize })
        this.#send(client, frameTypes.relayControl, systemRandom.bytes(1 + (i % 64)))
      }
    }
  }

  #hear(event: TransportEvent): void {
    const { pipe } = event
    if (event.type === 'opened') {
      const link = new Link(
        {
          crypto: this.#crypto,
          random: systemRandom,
          identity: this.#identity,
          features: [],
          role: 'responder',
          padded: event.padded,
          expected: undefined,
          binding: undefined,
          pseudonymsAdmitted: true,
          channels: event.channels,
          limits: defaultLinkLimits,
        },
        systemClock.now(),
      )
      const client: Client = { pipe, link, name: '', ends: new Map() }
      this.#clients.set(pipe, client)
      this.#perform(client, link.start(systemClock.now()))
      return
    }
    const client = this.#clients.get(pipe)
    if (client === undefined) return
    if (event.type === 'message') {
      this.seen.push(event.bytes.slice())
      this.#perform(client, client.link.receive(systemClock.now(), event.channel, event.bytes))
    } else if (event.type === 'closed') this.#forget(client)
  }

  #forget(client: Client): void {
    this.#clients.delete(client.pipe)
    for (const { client: other, number } of client.ends.values()) {
      other.ends.delete(number)
      this.#tell(other, { type: 'close', circuit: number, reason: 'peer-gone' })
    }
  }

  #perform(client: Client, outputs: readonly LinkOutput[]): void {
    for (const output of outputs) {
      if (output.type === 'write') this.#channel?.send(client.pipe, output.channel, output.bytes)
      else if (output.type === 'proven') {
        const { peerId, certificateBytes } = output.peer
        this.seen.push(certificateBytes.slice())
        client.name = bytesToHex(reservationIdOf(peerIdToKey(peerId), (bytes) => this.#crypto.sha256(bytes)))
        this.#perform(client, client.link.accept(systemClock.now()))
      } else if (output.type === 'frame') this.#takeFrame(client, output.frameType, output.payload)
      else if (output.type === 'ended') {
        this.#channel?.close(client.pipe)
        this.#forget(client)
      }
    }
  }

  #takeFrame(client: Client, frameType: FrameType, payload: Uint8Array): void {
    this.seen.push(payload.slice())
    if (frameType === frameTypes.circuitData) {
      const decoded = decodeCircuitData(payload)
      const end = decoded.ok ? client.ends.get(decoded.value.circuit) : undefined
      if (decoded.ok && end !== undefined) {
        this.#spoil({ ...decoded.value, circuit: end.number, bytes: decoded.value.bytes.slice() }, (chunk) =>
          this.#send(end.client, frameTypes.circuitData, encodeCircuitData(chunk)),
        )
      }
      return
    }
    const decoded = decodeRelayMessage(payload)
    if (decoded.ok) this.#answer(client, decoded.value)
  }

  #spoil(chunk: CircuitData, pass: (chunk: CircuitData) => void): void {
    this.#chunks += 1
    const isSpoilt = this.deed === 'late' || (this.deed !== 'pass' && this.#chunks % 3 === 0)
    if (isSpoilt) this.chunksSpoilt += 1
    else this.chunksPassed += 1
    const kept = this.#kept
    this.#kept = undefined
    if (isSpoilt) this.#harm(chunk, pass)
    else pass(chunk)
    // Behind the one that was sent after it.
    kept?.()
  }

  #harm(chunk: CircuitData, pass: (chunk: CircuitData) => void): void {
    const { bytes } = chunk
    switch (this.deed) {
      case 'double':
        pass(chunk)
        pass(chunk)
        return
      case 'swap':
        this.#kept = () => pass(chunk)
        return
      case 'cut':
        pass({ ...chunk, bytes: bytes.slice(0, Math.max(1, bytes.length - 1)) })
        return
      case 'change':
        bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
        pass(chunk)
        return
      case 'late': {
        const timer = setTimeout(() => {
          this.#timers.delete(timer)
          pass(chunk)
        }, lateMs)
        this.#timers.add(timer)
        return
      }
      case 'drop':
      case 'pass':
    }
  }

  #answer(client: Client, message: RelayMessage): void {
    switch (message.type) {
      case 'reserve':
        this.reservations.add(client.name)
        this.#tell(client, {
          type: 'reserved',
          expiresIn: 3_600,
          timestamp: Math.trunc(systemClock.now().wall),
          observed: Uint8Array.of(127, 0, 0, 1, 0x0f, 0xa0),
          limits: { circuitsMax: 64, bytesPerSecond: 0, bytesPerDay: 0 },
          iceServers: [],
          ...this.lies,
          request: message.request,
        })
        return
      case 'open':
        this.#open(client, message.request, bytesToHex(message.reservation))
        return
      case 'close':
      case 'credit': {
        const other = client.ends.get(message.circuit)
        if (other === undefined) return
        if (message.type === 'close') {
          client.ends.delete(message.circuit)
          other.client.ends.delete(other.number)
        }
        this.#tell(other.client, { ...message, circuit: other.number })
        return
      }
      default:
    }
  }

  #open(client: Client, request: number, name: string): void {
    const other = [...this.#clients.values()].findLast((candidate) => candidate.name === name)
    if (other === undefined) {
      this.#tell(client, { type: 'refused', request, reason: 'no-reservation', retryIn: 1 })
      return
    }
    const [circuit, number] = [this.#nextCircuit++, this.#nextCircuit++]
    client.ends.set(circuit, { client: other, number })
    other.ends.set(number, { client, number: circuit })
    this.#tell(other, { type: 'incoming', circuit: number, window: circuitWindowSize })
    this.#tell(client, { type: 'opened', request, circuit, window: circuitWindowSize })
  }

  #tell(client: Client, message: RelayMessage): void {
    this.#send(client, frameTypes.relayControl, encodeRelayMessage(message))
  }

  #send(client: Client, frameType: FrameType, payload: Uint8Array): void {
    if (client.link.isUp) this.#perform(client, client.link.send(systemClock.now(), frameType, payload, false) ?? [])
  }
}
