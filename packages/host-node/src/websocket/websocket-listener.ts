import type { IncomingMessage, Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { err, ok, type Result } from '@miaou/core'
import type { TransportError } from '@miaou/network'
import { type WebSocket, WebSocketServer } from 'ws'
import { addressGroup, dialableAddresses, isLoopbackAddress, webSocketAddress } from './addresses.ts'
import { SocketRates } from './socket-rates.ts'
import type { WebSocketTransportOptions } from './websocket-transport.ts'

// Not imported: an import reads every export of the module, and one of them loads Node's `fetch` (30 ms and 3 MB).
const { createServer } = process.getBuiltinModule('node:http')

/** Takes an upgraded socket. */
export type OnWebSocket = (webSocket: WebSocket, socket: Socket, remoteAddress: string) => void

// Row C15 gives the first port; how many after it are tried is a guess.
const portsTried = 32

/** The listening half: an HTTP server that upgrades Miaou's subprotocol and answers everything else shortly. */
export class WebSocketListener {
  readonly #options: WebSocketTransportOptions
  readonly #onWebSocket: OnWebSocket
  readonly #server: Server
  readonly #webSockets: WebSocketServer
  /** Sockets that have not become pipes, oldest first, with the timer that ends them. */
  readonly #unfinished = new Map<Socket, NodeJS.Timeout>()
  readonly #countByGroup = new Map<string, number>()
  readonly #rates: SocketRates
  #pipeCount = 0

  constructor(options: WebSocketTransportOptions, onWebSocket: OnWebSocket) {
    this.#options = options
    this.#onWebSocket = onWebSocket
    this.#rates = new SocketRates(options.socketsBurst, options.socketsPerSecond)
    // Named beside the call: the typings do not know `closeTimeout` yet.
    const serverOptions = {
      noServer: true,
      maxPayload: options.messageSizeMax,
      perMessageDeflate: false,
      clientTracking: false,
      closeTimeout: options.closeTimeoutMs,
      handleProtocols: () => options.subprotocol,
    }
    this.#webSockets = new WebSocketServer(serverOptions)
    this.#server = createServer({ maxHeaderSize: 8192 }, (_request, response) => {
      const body = 'This is a Miaou peer. It speaks WebSocket only.\n'
      response.writeHead(426, { Upgrade: 'websocket', Connection: 'close', 'Content-Length': body.length })
      response.end(body)
    })
    this.#server.on('connection', (socket: Socket) => this.#admit(socket))
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket as Socket, head))
    this.#server.on('clientError', (_error, socket) => socket.destroy())
  }

  /** Listens; resolves to the addresses others can dial. */
  async listen(): Promise<Result<readonly string[], TransportError>> {
    const { host, port, portIsExact } = this.#options
    const count = portIsExact || port === 0 ? 1 : portsTried
    for (let offset = 0; offset < count; offset++) {
      const error = await this.#tryPort(Math.min(port + offset, 65_535))
      if (error === undefined) {
        return ok(this.addresses())
      }
      if (error.code !== 'EADDRINUSE') {
        return err({
          type: 'unavailable',
          detail: `cannot listen on ${webSocketAddress(host, port)}: ${error.message}`,
        })
      }
    }
    return err({ type: 'address-in-use', address: webSocketAddress(host, port) })
  }

  /** The addresses others can dial now. */
  addresses(): readonly string[] {
    const bound = this.#server.address() as AddressInfo | null
    if (bound === null) return []
    return dialableAddresses(this.#options.host).map((address) => webSocketAddress(address, bound.port))
  }

  /** Stops listening and ends every socket that is no pipe. Pipes are their owner's to close before. */
  async stop(): Promise<void> {
    for (const socket of this.#unfinished.keys()) socket.destroy()
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeAllConnections()
    })
    this.#webSockets.close()
  }

  #tryPort(port: number): Promise<NodeJS.ErrnoException | undefined> {
    return new Promise((resolve) => {
      const onError = (error: NodeJS.ErrnoException) => {
        this.#server.off('listening', onListening)
        resolve(error)
      }
      const onListening = () => {
        this.#server.off('error', onError)
        // A late error (too many open files on accept) must not end the process; the socket is lost, not the server.
        this.#server.on('error', () => undefined)
        resolve(undefined)
      }
      this.#server.once('error', onError)
      this.#server.once('listening', onListening)
      this.#server.listen(port, this.#options.host)
    })
  }

  #admit(socket: Socket): void {
    const address = socket.remoteAddress
    if (address === undefined) {
      socket.destroy()
      return
    }
    const group = addressGroup(address)
    const count = this.#countByGroup.get(group) ?? 0
    const isAdmitted = count < this.#options.socketsPerAddressMax && this.#rates.take(group, performance.now())
    if (!isAdmitted && !isLoopbackAddress(address)) {
      socket.destroy()
      return
    }
    this.#countByGroup.set(group, count + 1)
    // The oldest silent socket makes room: who means it upgrades within milliseconds.
    if (this.#unfinished.size >= this.#options.unfinishedMax) {
      const [oldest] = this.#unfinished.keys()
      oldest?.destroy()
      if (oldest !== undefined) this.#finish(oldest)
    }
    // Absolute, not idle: bytes that trickle must not keep a socket alive.
    this.#unfinished.set(
      socket,
      setTimeout(() => socket.destroy(), this.#options.upgradeTimeoutMs),
    )
    socket.once('close', () => {
      this.#finish(socket)
      const left = (this.#countByGroup.get(group) ?? 1) - 1
      if (left <= 0) this.#countByGroup.delete(group)
      else this.#countByGroup.set(group, left)
    })
  }

  #finish(socket: Socket): void {
    clearTimeout(this.#unfinished.get(socket))
    this.#unfinished.delete(socket)
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.on('error', () => socket.destroy())
    const { origin } = request.headers
    if (origin !== undefined && !this.#options.origins.includes(origin)) {
      refuse(socket, '403 Forbidden')
      return
    }
    const offered = request.headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? []
    if (!offered.includes(this.#options.subprotocol)) {
      refuse(socket, '400 Bad Request')
      return
    }
    if (this.#pipeCount >= this.#options.pipesMax) {
      refuse(socket, '503 Service Unavailable')
      return
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.#finish(socket)
      this.#pipeCount++
      socket.once('close', () => this.#pipeCount--)
      this.#onWebSocket(webSocket, socket, socket.remoteAddress ?? '')
    })
  }
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}
