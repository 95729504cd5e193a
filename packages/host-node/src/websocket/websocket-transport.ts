import type { Socket } from 'node:net'
import { ok, type Result } from '@miaou/core'
import type { ChannelIndex, PipeId, Transport, TransportError, TransportHost } from '@miaou/network'
import { WebSocket } from 'ws'
import { parseWebSocketAddress, webSocketAddress } from './addresses.ts'
import { WebSocketListener } from './websocket-listener.ts'

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
}

interface Pipe {
  readonly id: PipeId
  readonly webSocket: WebSocket
  state: 'opening' | 'open' | 'closing'
  socket: Socket | undefined
  isCorked: boolean
  error: TransportError | undefined
}

/** Transport over RFC 6455: binary messages, one channel, sizes visible on the wire (hence `padded`). */
export class WebSocketTransport implements Transport {
  readonly kind = 'websocket'
  readonly #options: WebSocketTransportOptions
  readonly #pipes = new Map<PipeId, Pipe>()
  #host: TransportHost | undefined
  #listener: WebSocketListener | undefined
  #whenEmpty: (() => void) | undefined
  #isStopping = false

  constructor(options: Partial<WebSocketTransportOptions> = {}) {
    this.#options = { ...defaultWebSocketTransportOptions, ...options }
  }

  async start(host: TransportHost): Promise<Result<readonly string[], TransportError>> {
    this.#host = host
    if (!this.#options.listens) return ok([])
    const listener = new WebSocketListener(this.#options, (webSocket, socket, remoteAddress) => {
      if (this.#isStopping) return webSocket.terminate()
      const pipe = this.#add(host.nextPipe(), webSocket, socket)
      this.#open(pipe, 'in', webSocketAddress(remoteAddress, socket.remotePort ?? 0))
    })
    const listening = await listener.listen()
    if (listening.ok) this.#listener = listener
    return listening
  }

  dial(pipe: PipeId, address: string): void {
    const url = parseWebSocketAddress(address)
    if (url === undefined) {
      queueMicrotask(() => this.#host?.emit({ type: 'closed', pipe, error: { type: 'bad-address', address } }))
      return
    }
    const { subprotocol, messageSizeMax, dialTimeoutMs, closeTimeoutMs } = this.#options
    // Named beside the call: the typings do not know `closeTimeout` yet.
    const clientOptions = {
      perMessageDeflate: false,
      followRedirects: false,
      maxPayload: messageSizeMax,
      handshakeTimeout: dialTimeoutMs,
      closeTimeout: closeTimeoutMs,
    }
    const webSocket = new WebSocket(url, [subprotocol], clientOptions)
    const added = this.#add(pipe, webSocket, undefined)
    webSocket.once('upgrade', (response) => {
      added.socket = response.socket
    })
    webSocket.once('open', () => this.#open(added, 'out', address))
  }

  send(id: PipeId, channel: ChannelIndex, bytes: Uint8Array): void {
    const pipe = this.#pipes.get(id)
    if (pipe?.state !== 'open' || channel !== 0) return
    const { messageSizeMax, bufferedMax } = this.#options
    if (bytes.length > messageSizeMax) {
      this.#fail(pipe, { type: 'too-large', size: bytes.length, sizeMax: messageSizeMax })
      return
    }
    this.#cork(pipe)
    pipe.webSocket.send(bytes, { binary: true })
    const { bufferedAmount } = pipe.webSocket
    if (bufferedAmount > bufferedMax || this.#isCrowding(bufferedAmount)) {
      this.#fail(pipe, { type: 'broken', detail: `the other end left ${bufferedAmount} bytes unread` })
      pipe.webSocket.terminate()
    }
  }

  /** The addresses others can dial now; they change with the machine's interfaces. */
  addresses(): readonly string[] {
    return this.#listener?.addresses() ?? []
  }

  /** Whether too much waits in all, and so many bytes are more than a pipe's share of it. */
  #isCrowding(bufferedAmount: number): boolean {
    const { bufferedTotalMax, pipesMax } = this.#options
    if (bufferedAmount <= bufferedTotalMax / pipesMax) return false
    let total = 0
    for (const { webSocket } of this.#pipes.values()) total += webSocket.bufferedAmount
    return total > bufferedTotalMax
  }

  close(id: PipeId): void {
    const pipe = this.#pipes.get(id)
    if (pipe === undefined || pipe.state === 'closing') return
    pipe.state = 'closing'
    pipe.webSocket.close(1000)
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    for (const pipe of this.#pipes.values()) {
      pipe.state = 'closing'
      pipe.webSocket.close(1001)
    }
    if (this.#pipes.size > 0) {
      await new Promise<void>((resolve) => {
        this.#whenEmpty = resolve
      })
    }
    await this.#listener?.stop()
    this.#listener = undefined
    this.#host = undefined
  }

  #add(id: PipeId, webSocket: WebSocket, socket: Socket | undefined): Pipe {
    const pipe: Pipe = { id, webSocket, socket, state: 'opening', isCorked: false, error: undefined }
    this.#pipes.set(id, pipe)
    webSocket.on('message', (data, isBinary) => this.#receive(pipe, data as Buffer, isBinary))
    webSocket.on('error', (error: NodeJS.ErrnoException) => {
      if (pipe.state === 'closing') return
      pipe.error ??= socketError(error, pipe.state, this.#options)
      // Who breaks the protocol is not waited for.
      if (pipe.state === 'open') webSocket.terminate()
    })
    webSocket.on('close', (code) => this.#forget(pipe, code))
    return pipe
  }

  #open(pipe: Pipe, direction: 'in' | 'out', remoteAddress: string): void {
    if (pipe.state !== 'opening') return
    pipe.state = 'open'
    pipe.socket?.setNoDelay(true)
    this.#host?.emit({
      type: 'opened',
      pipe: pipe.id,
      transport: 'websocket',
      direction,
      channels: 1,
      padded: true,
      remoteAddress,
    })
  }

  #receive(pipe: Pipe, data: Buffer, isBinary: boolean): void {
    if (pipe.state === 'opening' || pipe.error !== undefined) return
    if (!isBinary) {
      this.#fail(pipe, { type: 'broken', detail: 'the other end sent text' })
      return
    }
    // A plain view: `slice` of a Buffer would share memory where that of a Uint8Array copies.
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length)
    this.#host?.emit({ type: 'message', pipe: pipe.id, channel: 0, bytes })
  }

  // Joins the messages of one tick into one write.
  #cork(pipe: Pipe): void {
    if (pipe.isCorked || pipe.socket === undefined) return
    pipe.isCorked = true
    pipe.socket.cork()
    queueMicrotask(() => {
      pipe.isCorked = false
      pipe.socket?.uncork()
    })
  }

  #fail(pipe: Pipe, error: TransportError): void {
    pipe.error ??= error
    pipe.state = 'closing'
    pipe.webSocket.close(error.type === 'broken' ? 1003 : 1000)
  }

  #forget(pipe: Pipe, code: number): void {
    this.#pipes.delete(pipe.id)
    // 1000 normal, 1001 going away, 1005 no code given: RFC 6455 §7.4.1. A close of ours before opening has 1006.
    const isOrderly = code === 1000 || code === 1001 || code === 1005 || (pipe.state === 'closing' && !pipe.socket)
    const error =
      pipe.error ?? (isOrderly ? undefined : { type: 'broken' as const, detail: `the socket closed with code ${code}` })
    this.#host?.emit({ type: 'closed', pipe: pipe.id, ...(error === undefined ? {} : { error }) })
    if (this.#pipes.size === 0) this.#whenEmpty?.()
  }
}

function socketError(
  error: NodeJS.ErrnoException,
  state: Pipe['state'],
  options: WebSocketTransportOptions,
): TransportError {
  if (error.message === 'Opening handshake has timed out') return { type: 'timeout', afterMs: options.dialTimeoutMs }
  // An AggregateError (several addresses tried) has an empty message and a code.
  const detail = error.message !== '' ? error.message : (error.code ?? 'unknown error')
  return state === 'opening' ? { type: 'unreachable', detail } : { type: 'broken', detail }
}
