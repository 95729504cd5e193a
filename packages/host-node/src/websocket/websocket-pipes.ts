import type { Socket } from 'node:net'
import type { ChannelIndex, PipeId, TransportError, TransportHost } from '@miaou/network'
import type { AddressScope } from '@miaou/protocol'
import { WebSocket } from 'ws'
import { parseWebSocketAddress, webSocketAddress } from './addresses.ts'
import { guardedLookup, type NameLookup, whyTooNear } from './dial-scope.ts'

/** What one set of pipes may hold and wait for. */
export interface WebSocketPipesLimits {
  /** Largest message, in bytes. */
  readonly messageSizeMax: number
  /** Pipes that others may open. */
  readonly pipesMax: number
  /** Time in which a dial must open. */
  readonly dialTimeoutMs: number
  /** Time in which an orderly close must be answered. */
  readonly closeTimeoutMs: number
  /** Bytes that may wait for a slow reader before the pipe is given up. */
  readonly bufferedMax: number
  /** Bytes that may wait in all; beyond it a pipe is given up that has more than its share. */
  readonly bufferedTotalMax: number
}

export interface WebSocketPipesOptions {
  readonly subprotocol: string
  readonly limits: WebSocketPipesLimits
  readonly host: TransportHost
  /** Told after each turn in which something was sent, once at most `drainedMark` bytes of it wait. */
  readonly onDrained: ((pipe: PipeId) => void) | undefined
  readonly drainedMark: number
  /** Resolves names of dials that are bounded by `nearest`. */
  readonly lookup: NameLookup
}

interface Pipe {
  readonly id: PipeId
  readonly webSocket: WebSocket
  state: 'opening' | 'open' | 'closing'
  socket: Socket | undefined
  isCorked: boolean
  /** More than `drainedMark` bytes waited when this was last looked at. */
  isLate: boolean
  error: TransportError | undefined
}

/** The pipes of one subprotocol and one owner: both those that it dialled and those that came in. */
export class WebSocketPipes {
  readonly #options: WebSocketPipesOptions
  readonly #pipes = new Map<PipeId, Pipe>()
  #whenEmpty: (() => void) | undefined
  #isStopping = false
  /** What waits in all, as summed up in this turn; undefined where it was not. */
  #bufferedTotal: number | undefined

  constructor(options: WebSocketPipesOptions) {
    this.#options = options
  }

  /** Takes a socket that was upgraded here. `remotePort`: 0 where a proxy hides it. */
  admit(webSocket: WebSocket, socket: Socket, remoteAddress: string, remotePort: number): void {
    if (this.#isStopping) {
      webSocket.terminate()
      return
    }
    const pipe = this.#add(this.#options.host.nextPipe(), webSocket, socket)
    this.#open(pipe, 'in', webSocketAddress(remoteAddress, remotePort))
  }

  /** `nearest`: how near the address may be that it leads to; undefined for any. */
  dial(pipe: PipeId, address: string, nearest?: AddressScope): void {
    const { subprotocol, host, limits, lookup } = this.#options
    const url = parseWebSocketAddress(address)
    const error = this.#whyNot(address, url, nearest)
    if (url === undefined || error !== undefined) {
      queueMicrotask(() => host.emit({ type: 'closed', pipe, ...(error === undefined ? {} : { error }) }))
      return
    }
    // Named beside the call: the typings do not know `closeTimeout` yet.
    const clientOptions = {
      perMessageDeflate: false,
      followRedirects: false,
      maxPayload: limits.messageSizeMax,
      handshakeTimeout: limits.dialTimeoutMs,
      closeTimeout: limits.closeTimeoutMs,
      ...(nearest === undefined ? {} : { lookup: guardedLookup(nearest, lookup) }),
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
    const { messageSizeMax, bufferedMax } = this.#options.limits
    if (bytes.length > messageSizeMax) {
      this.#fail(pipe, { type: 'too-large', size: bytes.length, sizeMax: messageSizeMax })
      return
    }
    this.#cork(pipe)
    pipe.webSocket.send(bytes, { binary: true })
    const { bufferedAmount } = pipe.webSocket
    if (bufferedAmount > bufferedMax || this.#isCrowding(bufferedAmount, bytes.length)) {
      this.#fail(pipe, { type: 'broken', detail: `the other end left ${bufferedAmount} bytes unread` })
      pipe.webSocket.terminate()
    }
  }

  close(id: PipeId): void {
    const pipe = this.#pipes.get(id)
    if (pipe === undefined || pipe.state === 'closing') return
    pipe.state = 'closing'
    pipe.webSocket.close(1000)
  }

  /** Closes every pipe and resolves when all are gone. */
  async stop(): Promise<void> {
    this.#isStopping = true
    for (const pipe of this.#pipes.values()) {
      pipe.state = 'closing'
      pipe.webSocket.close(1001)
    }
    if (this.#pipes.size === 0) return
    await new Promise<void>((resolve) => {
      this.#whenEmpty = resolve
    })
  }

  #whyNot(address: string, url: URL | undefined, nearest: AddressScope | undefined): TransportError | undefined {
    if (url === undefined) return { type: 'bad-address', address }
    if (this.#isStopping) return { type: 'unavailable', detail: 'the transport stops' }
    // As the URL's parser reads it: `0x7f.1` is 127.0.0.1.
    const detail = nearest && whyTooNear(url.hostname, nearest)
    return detail === undefined ? undefined : { type: 'unreachable', detail }
  }

  /** Whether too much waits in all, and so many bytes are more than a pipe's share of it. */
  #isCrowding(bufferedAmount: number, added: number): boolean {
    const { bufferedTotalMax, pipesMax } = this.#options.limits
    if (this.#bufferedTotal !== undefined) this.#bufferedTotal += added
    if (bufferedAmount <= bufferedTotalMax / pipesMax) return false
    // Once a turn: with thousands of pipes a sum for each message would cost more than sending it.
    if (this.#bufferedTotal === undefined) {
      this.#bufferedTotal = 0
      for (const { webSocket } of this.#pipes.values()) this.#bufferedTotal += webSocket.bufferedAmount
      setImmediate(() => {
        this.#bufferedTotal = undefined
      })
    }
    return this.#bufferedTotal > bufferedTotalMax
  }

  #add(id: PipeId, webSocket: WebSocket, socket: Socket | undefined): Pipe {
    const pipe: Pipe = { id, webSocket, socket, state: 'opening', isCorked: false, isLate: false, error: undefined }
    this.#pipes.set(id, pipe)
    webSocket.on('message', (data, isBinary) => this.#receive(pipe, data as Buffer, isBinary))
    webSocket.on('error', (error: NodeJS.ErrnoException) => {
      if (pipe.state === 'closing') return
      pipe.error ??= socketError(error, pipe.state, this.#options.limits.dialTimeoutMs)
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
    if (this.#options.onDrained !== undefined) pipe.socket?.on('drain', () => this.#lookAfter(pipe))
    this.#options.host.emit({
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
    this.#options.host.emit({ type: 'message', pipe: pipe.id, channel: 0, bytes })
  }

  // Joins the messages of one tick into one write.
  #cork(pipe: Pipe): void {
    if (pipe.isCorked || pipe.socket === undefined) return
    pipe.isCorked = true
    pipe.socket.cork()
    queueMicrotask(() => {
      pipe.isCorked = false
      pipe.socket?.uncork()
      if (this.#options.onDrained !== undefined) this.#lookAfter(pipe)
    })
  }

  /** What the kernel took at once does not wait; what it did not take ends with a `drain` of the socket. */
  #lookAfter(pipe: Pipe): void {
    const { onDrained, drainedMark } = this.#options
    const { socket } = pipe
    if (pipe.state !== 'open' || socket === undefined) return
    if (pipe.webSocket.bufferedAmount <= drainedMark) {
      pipe.isLate = false
      onDrained?.(pipe.id)
    } else if (!socket.writableNeedDrain && !pipe.isLate) {
      // Below the socket's own mark no `drain` comes: the callback of an empty write does, in its turn.
      pipe.isLate = true
      socket.write('', () => {
        pipe.isLate = false
        this.#lookAfter(pipe)
      })
    }
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
    this.#options.host.emit({ type: 'closed', pipe: pipe.id, ...(error === undefined ? {} : { error }) })
    if (this.#pipes.size === 0) this.#whenEmpty?.()
  }
}

function socketError(error: NodeJS.ErrnoException, state: Pipe['state'], dialTimeoutMs: number): TransportError {
  if (error.message === 'Opening handshake has timed out') return { type: 'timeout', afterMs: dialTimeoutMs }
  // An AggregateError (several addresses tried) has an empty message and a code.
  const detail = error.message !== '' ? error.message : (error.code ?? 'unknown error')
  return state === 'opening' ? { type: 'unreachable', detail } : { type: 'broken', detail }
}
