import { lookup as systemLookup } from 'node:dns'
import { type Clock, type Log, type Now, peerIdToKey, type Random } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import type { Keyring } from '@miaou/keyring'
import {
  type PipeId,
  type RelayLimits,
  RelayService,
  type RelayServiceInput,
  type RelayServiceOutput,
  type RelayServiceView,
  type TransportEvent,
} from '@miaou/network'
import { type RelayAddress, type RelayIceServer, relayIdOf, wayScope } from '@miaou/protocol'
import { createNodeCrypto } from '../crypto/node-crypto.ts'
import { OverlayLoop } from '../overlay/overlay-loop.ts'
import { mailboxSubprotocol } from '../peer/mailbox-use.ts'
import type { RelayQuotas } from '../peer/reach-settings.ts'
import { relaySubprotocol } from '../peer/relay-use.ts'
import type { NameLookup } from '../websocket/dial-scope.ts'
import type { WebSocketChannel, WebSocketChannelLimits, WebSocketTransport } from '../websocket/websocket-transport.ts'
import { boundedLookup } from './bounded-lookup.ts'
import { relayServiceIdentity } from './pseudonyms.ts'
import { type RelayTurn, turnServer } from './turn-credentials.ts'
import { YoungMemory } from './young-memory.ts'

export interface RelayHostOptions {
  readonly crypto: Crypto
  readonly random: Random
  readonly clock: Clock
  readonly keyring: Pick<Keyring, 'storeKey'>
  readonly log: Log
  /** Whose listener takes the clients. */
  readonly websocket: Pick<WebSocketTransport, 'channel'>
  /**
   * Where others dial this relay, when it was told. One that is public leads its clients to public services only, whatever
   * their own address: that of a proxy that is not trusted looks like this machine's.
   */
  readonly publicUrl?: string
  /** 0 or absent: the default. */
  readonly quotas?: RelayQuotas
  /** UDP port of the STUN answerer on this host; absent or 0: none is told. */
  readonly stunPort?: number
  /** TURN servers on this host. */
  readonly turn?: readonly RelayTurn[]
  /** Every bound of the engine, in place of its default and of `quotas`. */
  readonly limits?: Partial<RelayLimits>
  readonly channelLimits?: Partial<WebSocketChannelLimits>
  /** Resolves the names of services; for tests. */
  readonly lookup?: NameLookup
  /** An invariant of ours broke: the relay has stopped, the peer goes on. */
  readonly onCrash: (error: unknown) => void
}

/** What is shown of the relay: numbers, nothing of whom. */
export interface RelayHostView extends RelayServiceView {
  readonly counters: Readonly<Record<string, number>>
}

/** A relay beside a peer: an engine with a loop of its own, on the peer's listener. */
export class RelayHost {
  /** 16 bytes. */
  readonly relayId: Uint8Array
  readonly #options: RelayHostOptions
  readonly #service: RelayService
  readonly #loop: OverlayLoop<RelayServiceInput, RelayServiceOutput>
  readonly #memory = new YoungMemory()
  #channel: WebSocketChannel | undefined
  /** To services that clients ask for. */
  #services: WebSocketChannel | undefined
  /** Pipes of `#services`. */
  readonly #servicePipes = new Set<PipeId>()
  #nextPipe = 1
  #isBroken = false

  constructor(options: RelayHostOptions) {
    this.#options = options
    const { crypto, random, clock, keyring, quotas = {}, limits, publicUrl, onCrash } = options
    const identity = relayServiceIdentity(crypto, keyring)
    this.relayId = relayIdOf(peerIdToKey(identity.peerId), (bytes) => crypto.sha256(bytes))
    this.#service = new RelayService({
      crypto,
      random,
      identity,
      limits: { ...limitsOf(quotas), ...limits },
      iceServers: (now) => this.#iceServers(now),
      services: {
        nextPipe: () => this.#takePipe(),
        ...(publicUrl === undefined ? {} : { nearest: wayScope(publicUrl) }),
      },
    })
    this.#loop = new OverlayLoop({
      engine: this.#service,
      clock,
      perform: (output) => this.#perform(output),
      onCrash: (error) => {
        this.#isBroken = true
        void this.#stopChannels()
        onCrash(error)
      },
    })
  }

  /** It has stopped for a fault of ours: nobody is to be sent here. */
  get isBroken(): boolean {
    return this.#isBroken
  }

  /** What others are told of this relay; `url`: where its listener is reached. */
  relayAddress(url: string): RelayAddress {
    return { url, relayId: this.relayId }
  }

  /** Takes clients from now on; before or after the listener starts. */
  start(): void {
    const { websocket, channelLimits, lookup = systemLookup, log } = this.#options
    const shared = {
      host: { emit: (event: TransportEvent) => this.#heard(event), nextPipe: () => this.#takePipe() },
      onDrained: (pipe: PipeId) => this.#loop.push({ type: 'drained', pipe }),
      ...(channelLimits === undefined ? {} : { limits: channelLimits }),
    }
    this.#channel = websocket.channel({ ...shared, subprotocol: relaySubprotocol, accepts: true })
    this.#services = websocket.channel({
      ...shared,
      subprotocol: mailboxSubprotocol,
      accepts: false,
      lookup: boundedLookup(lookup),
    })
    log.write('info', 'relay-started', {})
  }

  /** Tells every client, closes and frees everything; the listener goes on. */
  async stop(): Promise<void> {
    if (this.#channel === undefined) return
    this.#loop.push({ type: 'stop' })
    this.#loop.drain()
    this.#loop.stop()
    await this.#stopChannels()
    this.#options.log.write('info', 'relay-stopped', {})
  }

  view(): RelayHostView {
    return { ...this.#service.view(), counters: this.#service.counters() }
  }

  #takePipe(): PipeId {
    return this.#nextPipe++ as PipeId
  }

  #heard(event: TransportEvent): void {
    if (event.type === 'closed') this.#servicePipes.delete(event.pipe)
    this.#loop.push({ type: 'transport', event })
    if (event.type === 'message') this.#memory.used(event.bytes.length)
  }

  #perform(output: RelayServiceOutput): void {
    const { pipe } = output
    if (output.type === 'service-dial') {
      this.#servicePipes.add(pipe)
      this.#services?.dial(pipe, output.url, output.nearest)
      return
    }
    const channel = this.#servicePipes.has(pipe) ? this.#services : this.#channel
    if (output.type === 'write') channel?.send(pipe, output.channel, output.bytes)
    else channel?.close(pipe)
  }

  async #stopChannels(): Promise<void> {
    const channels = [this.#channel, this.#services]
    this.#channel = undefined
    this.#services = undefined
    await Promise.all(channels.map((channel) => channel?.stop()))
    this.#servicePipes.clear()
  }

  #iceServers({ wall }: Now): readonly RelayIceServer[] {
    const { stunPort = 0, turn = [] } = this.#options
    const stun: readonly RelayIceServer[] =
      stunPort === 0 ? [] : [{ scheme: 'stun', port: stunPort, transport: 'udp', username: '', credential: '' }]
    return [...stun, ...turn.map((server) => turnServer(server, wall))]
  }
}

/** A relay with the fast backend of this platform: what it does all day is to open and seal. */
export async function createRelayHost(options: Omit<RelayHostOptions, 'crypto'>): Promise<RelayHost> {
  return new RelayHost({ ...options, crypto: await createNodeCrypto() })
}

function limitsOf({
  reservations = 0,
  circuits = 0,
  bytesPerSecond = 0,
  bytesPerDay = 0,
}: RelayQuotas): Partial<RelayLimits> {
  return {
    ...(reservations === 0 ? {} : { reservationsMax: reservations }),
    ...(circuits === 0 ? {} : { circuitsMax: circuits }),
    ...(bytesPerSecond === 0 ? {} : { bytesPerSecond }),
    ...(bytesPerDay === 0 ? {} : { bytesPerDay }),
  }
}
