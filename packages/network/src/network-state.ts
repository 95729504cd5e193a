import { compareBytes, type Jitter, type PeerId, peerIdToKey, type Random } from '@miaou/core'
import type { Crypto } from '@miaou/crypto'
import { connectionId } from '@miaou/protocol'
import { Connection, type Pipe } from './connection.ts'
import { type CounterName, Counters } from './counters.ts'
import type { LinkError, NetworkOutput } from './interface.ts'
import type { LinkOutput } from './link.ts'
import type { LinkIdentity } from './link-handshake.ts'
import type { LinkLimits } from './link-limits.ts'
import type { NetworkLimits } from './network-limits.ts'
import type { PipeId } from './ports.ts'

export interface NetworkSettings {
  readonly crypto: Crypto
  readonly random: Random
  readonly jitter: Jitter
  readonly identity: LinkIdentity
  readonly features: readonly string[]
  readonly webrtc: boolean
  readonly pseudonymsAdmitted: boolean
  readonly relayOnly: boolean
  readonly limits: NetworkLimits
  readonly linkLimits: LinkLimits
  readonly nextPipe: () => PipeId
}

/** A link's output that the manager has still to act upon; `write`s pass at once. */
export interface LinkNews {
  readonly pipe: Pipe
  readonly output: Exclude<LinkOutput, { type: 'write' }>
}

/** Row C17: of two peers the one with the smaller key makes the offer (DECISIONS, "Who offers"). */
export function shouldInitiateConnection(local: PeerId, remote: PeerId): boolean {
  return compareBytes(peerIdToKey(local), peerIdToKey(remote)) < 0
}

/** Tables and pending effects that the parts of the connection manager share. */
export class NetworkState {
  readonly settings: NetworkSettings
  readonly connections: Map<PeerId, Connection> = new Map()
  readonly pipes: Map<PipeId, Pipe> = new Map()
  /** Pipes of others before their handshake is finished, oldest first. */
  readonly handshakesIn: Set<Pipe> = new Set()
  readonly counters: Counters = new Counters()
  readonly news: LinkNews[] = []
  outputs: NetworkOutput[] = []
  #order = 0

  constructor(settings: NetworkSettings) {
    this.settings = settings
  }

  /** The next place in the order of events. */
  nextOrder(): number {
    this.#order += 1
    return this.#order
  }

  emit(output: NetworkOutput): void {
    this.outputs.push(output)
  }

  count(name: CounterName): void {
    this.counters.count(name)
  }

  /** Passes a link's writes on and keeps the rest for `Network` to act upon. */
  relay(pipe: Pipe, outputs: readonly LinkOutput[]): void {
    for (const output of outputs) {
      if (output.type !== 'write') {
        this.news.push({ pipe, output })
        continue
      }
      const connection = this.connectionOf(pipe)
      if (connection !== undefined) connection.bytesSent += output.bytes.length
      this.emit({ type: 'write', pipe: pipe.id, channel: output.channel, bytes: output.bytes })
    }
  }

  connectionOf(pipe: Pipe): Connection | undefined {
    return pipe.peerId === undefined ? undefined : this.connections.get(pipe.peerId)
  }

  /** The entry of a peer, made when there is none; the oldest forgettable one then makes room. */
  connectionWith(peerId: PeerId): Connection {
    const known = this.connections.get(peerId)
    if (known !== undefined) return known
    const connection = new Connection(peerId, this.connectionIdWith(peerId), this.offersTo(peerId))
    if (!this.settings.webrtc) connection.notBetter = { type: 'unreachable', detail: 'WebRTC is switched off here' }
    const forgettable = [...this.connections.values()].filter(({ isForgettable }) => isForgettable)
    if (forgettable.length >= this.settings.limits.rememberedMax) {
      const [oldest] = forgettable
      if (oldest !== undefined) this.connections.delete(oldest.peerId)
    }
    this.connections.set(peerId, connection)
    return connection
  }

  /** Row D24; both ends say the same: the smaller peer id is the one that offers. */
  connectionIdWith(peerId: PeerId): string {
    const { identity } = this.settings
    return this.offersTo(peerId) ? connectionId(identity.peerId, peerId) : connectionId(peerId, identity.peerId)
  }

  /** Whether we are the one that offers. */
  offersTo(peerId: PeerId): boolean {
    return shouldInitiateConnection(this.settings.identity.peerId, peerId)
  }

  /** Counts an error, tells of it, and keeps it as the explanation of where the connection stands. */
  report(error: LinkError, pipe: Pipe | undefined, connection: Connection | undefined): void {
    this.count(error.type)
    if (connection !== undefined) connection.error = error
    const known = connection === undefined ? {} : { peerId: connection.peerId }
    const dialled = pipe === undefined || pipe.source !== 'address' ? {} : { address: pipe.address }
    const id = connection?.connectionId ?? `conn_${this.settings.identity.peerId}_unknown`
    this.emit({ type: 'event', event: { type: 'connection-error', connectionId: id, error, ...known, ...dialled } })
  }

  /** Closes a pipe and forgets it; its later events are ignored. */
  drop(pipe: Pipe): void {
    if (!this.pipes.delete(pipe.id)) return
    this.handshakesIn.delete(pipe)
    pipe.link?.pipeClosed()
    this.emit({ type: 'close', pipe: pipe.id })
  }

  linkedCount(): number {
    let count = 0
    for (const { active } of this.connections.values()) if (active !== undefined) count += 1
    return count
  }
}
