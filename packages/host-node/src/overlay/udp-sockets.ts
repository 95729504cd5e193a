import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { err, ok, type Result } from '@miaou/core'
import type { Endpoint } from '@miaou/protocol'
import { localAddresses } from '../websocket/addresses.ts'

export interface UdpSocketsOptions {
  /** Ports tried from the one asked for on. As the WebSocket listener. */
  readonly portsTried: number
  /** Sockets on 127.0.0.1 and ::1 only. */
  readonly loopbackOnly: boolean
  /** Bytes that the system should queue for each socket, so that a burst outlives one turn of ours. Guess: 800 packets. */
  readonly receiveBufferSize: number
  /** Families that are tried; for tests that take one away. */
  readonly families: readonly (4 | 6)[]
}

export const defaultUdpSocketsOptions: UdpSocketsOptions = {
  portsTried: 100,
  loopbackOnly: false,
  receiveBufferSize: 1_048_576,
  families: [4, 6],
}

export type UdpError =
  /** No family has a socket; the reason of the first in words. */
  | { readonly type: 'unavailable'; readonly detail: string }
  | { readonly type: 'ports-in-use'; readonly port: number; readonly portsTried: number }

export type OnDatagram = (from: Endpoint, bytes: Uint8Array) => void

/**
 * One UDP socket for each family of the internet protocol that the machine has, on one port number. Nothing here throws
 * or ends the process: what the system refuses is counted by its code. The work of one turn of the event loop is bounded
 * by Node: it reads at most 32 datagrams from a socket before it lets others run.
 */
export class UdpSockets {
  readonly #options: UdpSocketsOptions
  readonly #onDatagram: OnDatagram
  readonly #counters = new Map<string, number>()
  readonly #afterSend: (error: Error | null) => void
  #v4: Socket | undefined
  #v6: Socket | undefined
  #port = 0

  /** `onDatagram` owns the bytes it is given: nobody else sees or reuses them. */
  constructor(options: Partial<UdpSocketsOptions>, onDatagram: OnDatagram) {
    this.#options = { ...defaultUdpSocketsOptions, ...options }
    this.#onDatagram = onDatagram
    // One function for all sends: a callback made for each would cost more than the rest of our part.
    this.#afterSend = (error) => {
      if (error !== null) this.#count(`udp-send-${codeOf(error)}`)
    }
  }

  /** The port of all sockets; 0 while there is none. */
  get port(): number {
    return this.#port
  }

  /**
   * Opens what can be opened, on `port` or the next one that is free for all families; 0 for any. A missing family is no
   * error as long as there is the other.
   */
  async start(port: number): Promise<Result<undefined, UdpError>> {
    const { portsTried } = this.#options
    for (let offset = 0; offset < portsTried; offset++) {
      const wanted = port === 0 ? 0 : Math.min(port + offset, 65_535)
      const failure = await this.#open(wanted)
      if (failure === undefined) return ok(undefined)
      if (failure.code !== 'EADDRINUSE') {
        return err({ type: 'unavailable', detail: `cannot open UDP port ${wanted}: ${failure.message}` })
      }
    }
    return err({ type: 'ports-in-use', port, portsTried })
  }

  /** The addresses of this machine at which the sockets can be reached, loopback ones only where there are no others. */
  endpoints(): Endpoint[] {
    const port = this.#port
    const hasFamily = (family: 4 | 6) => (family === 4 ? this.#v4 : this.#v6) !== undefined
    if (this.#options.loopbackOnly) {
      return ([4, 6] as const).filter(hasFamily).map((family) => ({ host: hostOf(family, true), port }))
    }
    const own = localAddresses().filter(({ family }) => hasFamily(family))
    const others = own.filter(({ isLoopback }) => !isLoopback)
    return (others.length > 0 ? others : own).map(({ address: host }) => ({ host, port }))
  }

  /** Sends or counts why not. `to.host` is an IP address: no name is ever looked up. */
  send(to: Endpoint, bytes: Uint8Array): void {
    const socket = to.host.includes(':') ? this.#v6 : this.#v4
    if (socket === undefined) {
      this.#count('udp-no-socket-of-family')
      return
    }
    try {
      socket.send(bytes, to.port, to.host, this.#afterSend)
    } catch (error) {
      this.#count(`udp-send-${codeOf(error)}`)
    }
  }

  /** What was refused or dropped, by reason, since the start. */
  counters(): ReadonlyMap<string, number> {
    return this.#counters
  }

  async stop(): Promise<void> {
    const sockets = [this.#v4, this.#v6].filter((socket) => socket !== undefined)
    this.#v4 = undefined
    this.#v6 = undefined
    this.#port = 0
    await Promise.all(sockets.map(closeSocket))
  }

  /** One socket a family on the same port, or the reason why not even one: a port that either family lacks is taken. */
  async #open(port: number): Promise<NodeJS.ErrnoException | undefined> {
    const { families, loopbackOnly } = this.#options
    const opened: { readonly family: 4 | 6; readonly socket: Socket }[] = []
    let failure: NodeJS.ErrnoException = new Error('this machine has neither IPv4 nor IPv6')
    for (const family of families) {
      const [first] = opened
      const bound = await bind(family, hostOf(family, loopbackOnly), first?.socket.address().port ?? port)
      if (bound instanceof Error) {
        if (opened.length === 0 || bound.code === 'EADDRINUSE') failure = bound
        if (bound.code !== 'EADDRINUSE') continue
        await Promise.all(opened.map(({ socket }) => closeSocket(socket)))
        return bound
      }
      opened.push({ family, socket: bound })
    }
    for (const { family, socket } of opened) {
      this.#port = socket.address().port
      this.#listen(socket)
      if (family === 4) this.#v4 = socket
      else this.#v6 = socket
    }
    return opened.length === 0 ? failure : undefined
  }

  #listen(socket: Socket): void {
    try {
      socket.setRecvBufferSize(this.#options.receiveBufferSize)
    } catch {
      // Some systems refuse more than their maximum instead of giving it; the default then stays.
      this.#count('udp-receive-buffer-refused')
    }
    // Node allocates the memory of each message for itself, so the bytes need no copy. They are not handed on as a
    // Buffer, whose `slice` shares memory where that of a Uint8Array copies.
    socket.on('message', (message: Buffer, from: RemoteInfo) => {
      // A link-local address has a scope, which an endpoint cannot name; port 0 cannot be answered.
      if (from.port === 0 || from.address.includes('%')) this.#count('udp-unusable-sender')
      else {
        this.#onDatagram(
          { host: from.address, port: from.port },
          new Uint8Array(message.buffer, message.byteOffset, message.length),
        )
      }
    })
    // An unreachable port of somebody else's (ICMP) shows here: it ends nothing.
    socket.on('error', (error) => this.#count(`udp-${codeOf(error)}`))
  }

  #count(reason: string): void {
    this.#counters.set(reason, (this.#counters.get(reason) ?? 0) + 1)
  }
}

function hostOf(family: 4 | 6, loopbackOnly: boolean): string {
  if (family === 4) return loopbackOnly ? '127.0.0.1' : '0.0.0.0'
  return loopbackOnly ? '::1' : '::'
}

function bind(family: 4 | 6, address: string, port: number): Promise<Socket | NodeJS.ErrnoException> {
  const socket = createSocket({
    type: family === 4 ? 'udp4' : 'udp6',
    ipv6Only: family === 6,
    // Every host is an IP address already: nothing waits for a resolver, not even for its next tick.
    lookup: (host, _options, callback) => callback(null, host, family),
  })
  return new Promise((resolve) => {
    const onError = (error: NodeJS.ErrnoException): void => {
      closeSocket(socket).then(() => resolve(error))
    }
    socket.once('error', onError)
    socket.bind({ address, port, exclusive: true }, () => {
      socket.off('error', onError)
      resolve(socket)
    })
  })
}

function closeSocket(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    try {
      socket.close(() => resolve())
    } catch {
      // It never opened.
      resolve()
    }
  })
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown'
}
