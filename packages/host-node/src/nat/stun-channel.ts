import { createSocket } from 'node:dgram'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { err, ok, type Result } from '@miaou/core'
import { decodeStunMessage, type StunMessage, stunHeaderSize, stunMessageSizeMax } from '@miaou/protocol'
import type { IceUrl } from './ice-url.ts'

/** Questions to one STUN or TURN server, one at a time. Errors are reasons in words. */
export interface StunChannel {
  ask(request: Uint8Array): Promise<Result<StunMessage, string>>
  /** Sends and waits for nothing. */
  tell(request: Uint8Array): void
  close(): void
}

/** Opens a channel over UDP, TCP or TLS (RFC 8489 §6.2). `signal` ends it and what it waits for. */
export async function openStunChannel(
  way: IceUrl,
  address: string,
  signal: AbortSignal,
  rtoMs: number,
): Promise<Result<StunChannel, string>> {
  if (way.transport === 'tcp' || way.transport === 'tls') return openStream(way, address, signal)
  return ok(openUdp(address, way.port, signal, rtoMs))
}

/** Hands out the answer to the question that is open. */
class Question {
  #request: Uint8Array | undefined
  #settle: ((result: Result<StunMessage, string>) => void) | undefined
  #failure: string | undefined

  ask(request: Uint8Array): Promise<Result<StunMessage, string>> {
    if (this.#failure !== undefined) return Promise.resolve(err(this.#failure))
    this.#request = request
    return new Promise((resolve) => {
      this.#settle = resolve
    })
  }

  hear(bytes: Uint8Array): void {
    const decoded = decodeStunMessage(bytes)
    if (!decoded.ok || (decoded.value.class !== 'success' && decoded.value.class !== 'error')) return
    const request = this.#request
    if (request === undefined || !decoded.value.transaction.every((byte, at) => byte === request[8 + at])) return
    this.#request = undefined
    this.#settle?.(ok(decoded.value))
  }

  /** The first reason stays. */
  fail(reason: string): void {
    this.#failure ??= reason
    this.#settle?.(err(this.#failure))
  }
}

function openUdp(address: string, port: number, signal: AbortSignal, rtoMs: number): StunChannel {
  const socket = createSocket(isIP(address) === 6 ? 'udp6' : 'udp4')
  const question = new Question()
  let timer: NodeJS.Timeout | undefined
  let isClosed = false
  // Connected, so that the system drops what others send, and tells when nobody listens there.
  const connected = new Promise<void>((resolve) => {
    socket.on('error', (error) => {
      question.fail(reasonOf(error))
      resolve()
    })
    socket.connect(port, address, () => resolve())
  })
  socket.on('message', (bytes) => question.hear(bytes))
  const onAbort = () => question.fail('no answer')
  signal.addEventListener('abort', onAbort)
  const send = (request: Uint8Array) => {
    if (!isClosed) socket.send(request, () => undefined)
  }
  return {
    ask: async (request) => {
      await connected
      const answer = question.ask(request)
      const repeat = (delayMs: number) => {
        timer = setTimeout(() => {
          send(request)
          repeat(delayMs * 2)
        }, delayMs)
      }
      send(request)
      repeat(rtoMs)
      const result = await answer
      clearTimeout(timer)
      return result
    },
    tell: send,
    close: () => {
      isClosed = true
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      // What was told last leaves first.
      setImmediate(() => socket.close())
    },
  }
}

function openStream(way: IceUrl, address: string, signal: AbortSignal): Promise<Result<StunChannel, string>> {
  const question = new Question()
  return new Promise((resolve) => {
    const { port, host } = way
    const name = isIP(host) === 0 ? { servername: host } : {}
    const onConnected = () =>
      resolve(ok(channelOf(socket, question, () => signal.removeEventListener('abort', onAbort))))
    const socket: Socket =
      way.transport === 'tls'
        ? connectTls({ host: address, port, ...name }, onConnected)
        : connectTcp({ host: address, port }, onConnected)
    const fail = (reason: string) => {
      question.fail(reason)
      socket.destroy()
      resolve(err(reason))
    }
    const onAbort = () => fail('no answer')
    signal.addEventListener('abort', onAbort)
    socket.on('error', (error) => fail(reasonOf(error)))
    socket.on('close', () => fail('it closes the connection'))
    let rest = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      while (rest.length >= stunHeaderSize) {
        const size = stunHeaderSize + rest.readUInt16BE(2)
        if (size > stunMessageSizeMax) return fail('it is no TURN server')
        if (rest.length < size) return
        question.hear(rest.subarray(0, size))
        rest = rest.subarray(size)
      }
    })
  })
}

function channelOf(socket: Socket, question: Question, onClose: () => void): StunChannel {
  return {
    ask: (request) => {
      const answer = question.ask(request)
      socket.write(request)
      return answer
    },
    tell: (request) => {
      socket.write(request)
    },
    close: () => {
      onClose()
      // Gone when the other end has taken the last words, or does not.
      socket.end()
      setTimeout(() => socket.destroy(), lastWordsMs).unref()
    },
  }
}

// Guess: a round trip to anywhere.
const lastWordsMs = 1_000

/** What a system error means to whoever set the server up. */
function reasonOf(error: NodeJS.ErrnoException): string {
  const { code = '', message } = error
  if (code === 'ECONNREFUSED') return 'unreachable: nothing listens there'
  if (/^(EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL)$/.test(code)) return 'unreachable: no route'
  if (code === 'ECONNRESET' || code === 'EPIPE') return 'it closes the connection'
  const isCertificate = /CERT|SELF_SIGNED|UNABLE_TO|ALTNAME/.test(code)
  // Node adds advice behind a semicolon.
  return isCertificate ? `certificate: ${message.split(';')[0]}` : `unreachable: ${code === '' ? message : code}`
}
