import type { IncomingMessage, Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Socket, type Server as TcpServer } from 'node:net'
import type { Duplex } from 'node:stream'
import { type SecureContext, TLSSocket } from 'node:tls'
import { err, ok, type Result } from '@miaou/core'
import type { TransportError } from '@miaou/network'
import { type WebSocket, WebSocketServer } from 'ws'
import { addressGroup, dialableAddresses, isLoopbackAddress, webSocketAddress } from './addresses.ts'
import { forwardedAddress, isTrustedProxy } from './forwarded.ts'
import { SocketRates } from './socket-rates.ts'
import { toSecureContext } from './tls-files.ts'
import type { WebSocketTransportOptions } from './websocket-transport.ts'

// Not imported: an import reads every export of the module, and one of them loads Node's `fetch` (30 ms and 3 MB).
const { createServer } = process.getBuiltinModule('node:http')

/** Takes an upgraded socket. `remotePort`: 0 where a proxy hides it. */
export type OnWebSocket = (webSocket: WebSocket, socket: Socket, remoteAddress: string, remotePort: number) => void

/** What those who speak one subprotocol may open, and who takes them. */
export interface ListenerRoute {
  readonly subprotocol: string
  readonly pipesMax: number
  /** Of one remote address (IPv6: one /64), loopback excepted. */
  readonly socketsPerAddressMax: number
  readonly socketsBurst: number
  readonly socketsPerSecond: number
  readonly onWebSocket: OnWebSocket
}

interface Route extends ListenerRoute {
  readonly rates: SocketRates
  readonly countByGroup: Map<string, number>
  pipeCount: number
}

// Row C15 gives the first port; how many after it are tried is a guess.
const portsTried = 32
/** First byte of every TLS connection: a record of the handshake (RFC 8446 §5.1). No HTTP method begins with it. */
const tlsFirstByte = 0x16

/**
 * The listening half: an HTTP server that upgrades the subprotocols it has a route for and answers everything else
 * shortly. With a certificate the same port takes both TLS and plain HTTP: the first byte tells them apart, so that a
 * LAN, in which no address has a certificate, goes on as before.
 */
export class WebSocketListener {
  readonly #options: WebSocketTransportOptions
  readonly #server: Server
  /** What listens: the HTTP server itself, or what tells TLS from HTTP before it. */
  readonly #acceptor: TcpServer
  readonly #webSockets: WebSocketServer
  readonly #routes = new Map<string, Route>()
  /** Sockets that have not become pipes, oldest first, with the timer that ends them. */
  readonly #unfinished = new Map<Socket, NodeJS.Timeout>()
  readonly #countByGroup = new Map<string, number>()
  /** The socket of the network below each TLS socket. */
  readonly #rawOf = new WeakMap<Socket, Socket>()
  #rates: SocketRates
  #secureContext: SecureContext | undefined
  #tlsTimer: NodeJS.Timeout | undefined

  constructor(options: WebSocketTransportOptions) {
    this.#options = options
    this.#rates = new SocketRates(0, 1)
    // Named beside the call: the typings do not know `closeTimeout` yet.
    const serverOptions = {
      noServer: true,
      maxPayload: options.messageSizeMax,
      perMessageDeflate: false,
      clientTracking: false,
      closeTimeout: options.closeTimeoutMs,
      handleProtocols: (offered: Set<string>) => [...offered].find((name) => this.#routes.has(name)) ?? false,
    }
    this.#webSockets = new WebSocketServer(serverOptions)
    this.#server = createServer({ maxHeaderSize: 8192 }, (_request, response) => {
      const body = 'This is a Miaou peer. It speaks WebSocket only.\n'
      response.writeHead(426, { Upgrade: 'websocket', Connection: 'close', 'Content-Length': body.length })
      response.end(body)
    })
    this.#server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket as Socket, head))
    this.#server.on('clientError', (_error, socket) => socket.destroy())
    this.#acceptor = options.tls === undefined ? this.#server : createTcpServer()
    this.#acceptor.on('connection', (socket: Socket) => {
      if (!this.#admit(socket) || this.#acceptor === this.#server) return
      socket.on('error', () => socket.destroy())
      socket.once('data', (bytes: Buffer) => this.#sort(socket, bytes))
    })
  }

  /** Takes those who speak `subprotocol` from now on; at most one route each. */
  addRoute(route: ListenerRoute): void {
    const rates = new SocketRates(route.socketsBurst, route.socketsPerSecond)
    this.#routes.set(route.subprotocol, { ...route, rates, countByGroup: new Map(), pipeCount: 0 })
    // Before the upgrade nobody knows which route a socket takes: what all of them admit together.
    const routes = [...this.#routes.values()]
    this.#rates = new SocketRates(
      sum(routes.map((each) => each.socketsBurst)),
      sum(routes.map((each) => each.socketsPerSecond)),
    )
  }

  removeRoute(subprotocol: string): void {
    this.#routes.delete(subprotocol)
  }

  /** Listens; resolves to the addresses others can dial. */
  async listen(): Promise<Result<readonly string[], TransportError>> {
    const { host, port, portIsExact } = this.#options
    const secured = this.#readTls()
    if (!secured.ok) return err({ type: 'unavailable', detail: secured.error })
    const count = portIsExact || port === 0 ? 1 : portsTried
    for (let offset = 0; offset < count; offset++) {
      const error = await this.#tryPort(Math.min(port + offset, 65_535))
      if (error === undefined) {
        this.#watchTls()
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
    const bound = this.#acceptor.address() as AddressInfo | null
    if (bound === null) return []
    return dialableAddresses(this.#options.host).map((address) => webSocketAddress(address, bound.port))
  }

  /** Stops listening and ends every socket that is no pipe. Pipes are their owner's to close before. */
  async stop(): Promise<void> {
    clearInterval(this.#tlsTimer)
    for (const socket of this.#unfinished.keys()) socket.destroy()
    await new Promise<void>((resolve) => {
      this.#acceptor.close(() => resolve())
      this.#server.closeAllConnections()
    })
    this.#webSockets.close()
  }

  #tryPort(port: number): Promise<NodeJS.ErrnoException | undefined> {
    const acceptor = this.#acceptor
    return new Promise((resolve) => {
      const onError = (error: NodeJS.ErrnoException) => {
        acceptor.off('listening', onListening)
        resolve(error)
      }
      const onListening = () => {
        acceptor.off('error', onError)
        // A late error (too many open files on accept) must not end the process; the socket is lost, not the server.
        acceptor.on('error', () => undefined)
        resolve(undefined)
      }
      acceptor.once('error', onError)
      acceptor.once('listening', onListening)
      acceptor.listen(port, this.#options.host)
    })
  }

  /** Takes the certificate that is there now; one that cannot be used changes nothing. */
  #readTls(): Result<undefined, string> {
    const pair = this.#options.tls?.()
    if (pair === undefined) return ok(undefined)
    const context = pair.ok ? toSecureContext(pair.value) : pair
    if (!context.ok) return context
    this.#secureContext = context.value
    return ok(undefined)
  }

  /** A renewed certificate is in use within a minute; a bad one is told once and the former stays. */
  #watchTls(): void {
    const { tls, tlsPollMs, onTlsError } = this.#options
    if (tls === undefined) return
    let told: string | undefined
    this.#tlsTimer = setInterval(() => {
      const read = this.#readTls()
      const error = read.ok ? undefined : read.error
      if (error !== undefined && error !== told) onTlsError?.(error)
      told = error
    }, tlsPollMs)
    this.#tlsTimer.unref()
  }

  #sort(socket: Socket, bytes: Buffer): void {
    socket.pause()
    socket.unshift(bytes)
    if (bytes[0] !== tlsFirstByte || this.#secureContext === undefined) {
      this.#server.emit('connection', socket)
      socket.resume()
      return
    }
    const secured = new TLSSocket(socket, { isServer: true, secureContext: this.#secureContext })
    secured.on('error', () => secured.destroy())
    this.#rawOf.set(secured, socket)
    this.#server.emit('connection', secured)
  }

  /** Whether the socket may go on; it is destroyed otherwise. */
  #admit(socket: Socket): boolean {
    const address = socket.remoteAddress
    if (address === undefined) {
      socket.destroy()
      return false
    }
    const group = addressGroup(address)
    const count = this.#countByGroup.get(group) ?? 0
    const countMax = sum([...this.#routes.values()].map((route) => route.socketsPerAddressMax))
    const isExempt = isLoopbackAddress(address) || isTrustedProxy(address, this.#options.trustedProxies)
    if (!isExempt && !(count < countMax && this.#rates.take(group, performance.now()))) {
      socket.destroy()
      return false
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
      discount(this.#countByGroup, group)
    })
    return true
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
    const route = offered.map((name) => this.#routes.get(name)).find((each) => each !== undefined)
    if (route === undefined) {
      refuse(socket, '400 Bad Request', 'No subprotocol that is spoken here was offered.\n')
      return
    }
    if (route.pipeCount >= route.pipesMax) {
      refuse(socket, '503 Service Unavailable')
      return
    }
    const raw = this.#rawOf.get(socket) ?? socket
    const { address, port } = this.#clientOf(request, raw)
    const group = addressGroup(address)
    const count = route.countByGroup.get(group) ?? 0
    const isAdmitted = count < route.socketsPerAddressMax && route.rates.take(group, performance.now())
    if (!isAdmitted && !isLoopbackAddress(address)) {
      refuse(socket, '429 Too Many Requests')
      return
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.#finish(raw)
      route.pipeCount++
      route.countByGroup.set(group, (route.countByGroup.get(group) ?? 0) + 1)
      raw.once('close', () => {
        route.pipeCount--
        discount(route.countByGroup, group)
      })
      route.onWebSocket(webSocket, socket, address, port)
    })
  }

  /** Whom limits count: the other end of the socket, or who a trusted proxy there says it speaks for. */
  #clientOf(request: IncomingMessage, raw: Socket): { readonly address: string; readonly port: number } {
    const { trustedProxies } = this.#options
    const address = raw.remoteAddress ?? ''
    if (isTrustedProxy(address, trustedProxies)) {
      const header = request.headers['x-forwarded-for']
      const forwarded = forwardedAddress(Array.isArray(header) ? header.join() : header, trustedProxies)
      if (forwarded !== undefined) return { address: forwarded, port: 0 }
    }
    return { address, port: raw.remotePort ?? 0 }
  }
}

function discount(countByGroup: Map<string, number>, group: string): void {
  const left = (countByGroup.get(group) ?? 1) - 1
  if (left <= 0) countByGroup.delete(group)
  else countByGroup.set(group, left)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

function refuse(socket: Duplex, status: string, body = ''): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
}
