import { lookup as systemLookup } from 'node:dns'
import { ok, type Result } from '@miaou/core'
import type { ChannelIndex, PipeId, Transport, TransportError, TransportHost } from '@miaou/network'
import type { AddressScope } from '@miaou/protocol'
import type { NameLookup } from './dial-scope.ts'
import type { TlsReader } from './tls-files.ts'
import { type ListenerRoute, WebSocketListener } from './websocket-listener.ts'
import { WebSocketPipes, type WebSocketPipesLimits } from './websocket-pipes.ts'

export interface WebSocketTransportOptions {
  /** Whether it listens at all; a peer that only dials sets false. */
  readonly listens: boolean
  /** Address to listen on. `0.0.0.0`: every IPv4 interface; `::`: every interface. */
  readonly host: string
  /** Port to listen on (row C15); when it is taken, the next free one. 0: any. */
  readonly port: number
  /** Whether a port that is taken is an error (`address-in-use`). */
  readonly portIsExact: boolean
  /** Name both ends must speak (row D02). */
  readonly subprotocol: string
  /** Origins of web pages that may connect, as browsers write them; empty: none. */
  readonly origins: readonly string[]
  /** Largest message, in bytes (DECISIONS, "Sizes"). */
  readonly messageSizeMax: number
  /**
   * Pipes that others may open. Own choice: above what the network engine links (512), hand-shakes (64) and retires, so
   * that it decides who stays, and a contact is not shut out by strangers.
   */
  readonly pipesMax: number
  /** Sockets, accepted but not yet upgraded, in all; the oldest makes room for a new one. Guess. */
  readonly unfinishedMax: number
  /** Sockets of one remote address (IPv6: one /64), loopback excepted. Guess: a household behind one NAT. */
  readonly socketsPerAddressMax: number
  /** Sockets of one remote address at once, then so many a second, loopback excepted: each may cost a handshake. Guesses. */
  readonly socketsBurst: number
  readonly socketsPerSecond: number
  /** Time in which a socket must upgrade. */
  readonly upgradeTimeoutMs: number
  /** Time in which a dial must open. */
  readonly dialTimeoutMs: number
  /** Time in which an orderly close must be answered. */
  readonly closeTimeoutMs: number
  /** Bytes that may wait for a slow reader before the pipe is given up. */
  readonly bufferedMax: number
  /** Bytes that may wait in all; beyond it a pipe is given up that has more than its share. Guess. */
  readonly bufferedTotalMax: number
  /**
   * Certificate and key: TLS is taken on the same port, beside plain HTTP. Read when it starts, where it must be usable,
   * and again every `tlsPollMs`.
   */
  readonly tls: TlsReader | undefined
  readonly tlsPollMs: number
  /** A certificate that was renewed cannot be used (a sentence): the former one stays. */
  readonly onTlsError: ((detail: string) => void) | undefined
  /** Addresses of proxies whose `X-Forwarded-For` is believed. Empty: nobody's. */
  readonly trustedProxies: readonly string[]
  /** Resolves the names of dials that may not go everywhere; for tests. */
  readonly lookup: NameLookup
}

export const defaultWebSocketTransportOptions: WebSocketTransportOptions = {
  listens: true,
  host: '0.0.0.0',
  port: 9999,
  portIsExact: false,
  subprotocol: 'miaou-v0.2.0',
  origins: [],
  messageSizeMax: 65_536,
  pipesMax: 1024,
  unfinishedMax: 256,
  socketsPerAddressMax: 64,
  socketsBurst: 64,
  socketsPerSecond: 4,
  upgradeTimeoutMs: 10_000,
  dialTimeoutMs: 10_000,
  closeTimeoutMs: 5_000,
  bufferedMax: 16 * 1024 * 1024,
  bufferedTotalMax: 128 * 1024 * 1024,
  tls: undefined,
  // Guess: certificates are renewed weeks before they end.
  tlsPollMs: 60_000,
  onTlsError: undefined,
  trustedProxies: [],
  lookup: systemLookup,
}

/** Bounds of one channel: as those of the transport, for another subprotocol. */
export interface WebSocketChannelLimits extends WebSocketPipesLimits {
  readonly socketsPerAddressMax: number
  readonly socketsBurst: number
  readonly socketsPerSecond: number
}

/** Of a relay's channel (spec/relay-service.md, R10). */
export const defaultWebSocketChannelLimits: WebSocketChannelLimits = {
  messageSizeMax: 65_536,
  // Own choice: with the reservations that a relay gives by default, and half as many that only call.
  pipesMax: 6_144,
  // Guess: behind one address of a carrier's NAT there are hundreds, who must not shut each other out.
  socketsPerAddressMax: 1_024,
  socketsBurst: 256,
  socketsPerSecond: 32,
  dialTimeoutMs: 10_000,
  closeTimeoutMs: 5_000,
  // Own choice: far above what the service lets wait for one pipe (`unsentMax`).
  bufferedMax: 4 * 1024 * 1024,
  bufferedTotalMax: 256 * 1024 * 1024,
}

export interface WebSocketChannelOptions {
  /** Name both ends must speak. */
  readonly subprotocol: string
  /** Whether sockets of others are taken; at most one channel of a subprotocol does. */
  readonly accepts: boolean
  /** Takes the events of this channel's pipes. */
  readonly host: TransportHost
  /** Told at the end of a turn in which something was sent on a pipe, or later, once at most `drainedMark` bytes wait. */
  readonly onDrained?: (pipe: PipeId) => void
  /** Bytes; default 65,536. */
  readonly drainedMark?: number
  readonly limits?: Partial<WebSocketChannelLimits>
  /** Resolves the names of dials that may not go everywhere; default: as the transport does. */
  readonly lookup?: NameLookup
}

/** Another subprotocol on the listener of a transport, with pipes and an owner of its own. */
export interface WebSocketChannel {
  /** `nearest`: how near the address may be that it leads to (spec/records W22); undefined for any. */
  dial(pipe: PipeId, url: string, nearest?: AddressScope): void
  send(pipe: PipeId, channel: ChannelIndex, bytes: Uint8Array): void
  close(pipe: PipeId): void
  /** Takes no further socket and closes its pipes; the transport goes on. */
  stop(): Promise<void>
}

/** Transport over RFC 6455: binary messages, one channel, sizes visible on the wire (hence `padded`). */
export class WebSocketTransport implements Transport {
  readonly kind = 'websocket'
  readonly #options: WebSocketTransportOptions
  readonly #routes = new Map<string, ListenerRoute>()
  /** Of the channels. */
  readonly #others = new Set<WebSocketPipes>()
  #pipes: WebSocketPipes | undefined
  #listener: WebSocketListener | undefined

  constructor(options: Partial<WebSocketTransportOptions> = {}) {
    this.#options = { ...defaultWebSocketTransportOptions, ...options }
  }

  async start(host: TransportHost): Promise<Result<readonly string[], TransportError>> {
    const { listens, subprotocol, lookup } = this.#options
    const pipes = new WebSocketPipes({
      subprotocol,
      lookup,
      limits: this.#options,
      host,
      onDrained: undefined,
      drainedMark: 0,
    })
    this.#pipes = pipes
    if (!listens) return ok([])
    const listener = new WebSocketListener(this.#options)
    listener.addRoute(routeTo(pipes, subprotocol, this.#options))
    for (const route of this.#routes.values()) listener.addRoute(route)
    const listening = await listener.listen()
    if (listening.ok) this.#listener = listener
    return listening
  }

  /** Speaks another subprotocol as well. To be called before or after `start`; where nothing listens it only dials. */
  channel(options: WebSocketChannelOptions): WebSocketChannel {
    const { subprotocol, accepts, host, onDrained, drainedMark = 65_536, lookup = this.#options.lookup } = options
    const limits = { ...defaultWebSocketChannelLimits, ...options.limits }
    const pipes = new WebSocketPipes({ subprotocol, limits, host, onDrained, drainedMark, lookup })
    this.#others.add(pipes)
    if (accepts) {
      const route = routeTo(pipes, subprotocol, limits)
      this.#routes.set(subprotocol, route)
      this.#listener?.addRoute(route)
    }
    return {
      dial: (pipe, url, nearest) => pipes.dial(pipe, url, nearest),
      send: (pipe, channel, bytes) => pipes.send(pipe, channel, bytes),
      close: (pipe) => pipes.close(pipe),
      stop: async () => {
        if (accepts) {
          this.#routes.delete(subprotocol)
          this.#listener?.removeRoute(subprotocol)
        }
        await pipes.stop()
        this.#others.delete(pipes)
      },
    }
  }

  /** `nearest`: as of a channel's dial. */
  dial(pipe: PipeId, address: string, nearest?: AddressScope): void {
    this.#pipes?.dial(pipe, address, nearest)
  }

  send(pipe: PipeId, channel: ChannelIndex, bytes: Uint8Array): void {
    this.#pipes?.send(pipe, channel, bytes)
  }

  /** The addresses others can dial now; they change with the machine's interfaces. */
  addresses(): readonly string[] {
    return this.#listener?.addresses() ?? []
  }

  close(pipe: PipeId): void {
    this.#pipes?.close(pipe)
  }

  async stop(): Promise<void> {
    const pipes = this.#pipes === undefined ? [...this.#others] : [this.#pipes, ...this.#others]
    await Promise.all(pipes.map((each) => each.stop()))
    await this.#listener?.stop()
    this.#listener = undefined
    this.#pipes = undefined
  }
}

function routeTo(
  pipes: WebSocketPipes,
  subprotocol: string,
  limits: Pick<WebSocketChannelLimits, 'pipesMax' | 'socketsPerAddressMax' | 'socketsBurst' | 'socketsPerSecond'>,
): ListenerRoute {
  const { pipesMax, socketsPerAddressMax, socketsBurst, socketsPerSecond } = limits
  return {
    subprotocol,
    pipesMax,
    socketsPerAddressMax,
    socketsBurst,
    socketsPerSecond,
    onWebSocket: (webSocket, socket, address, port) => pipes.admit(webSocket, socket, address, port),
  }
}
