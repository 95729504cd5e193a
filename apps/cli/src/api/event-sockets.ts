import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { EventFrame } from '@miaou/sdk'
import { MiaouError } from '@miaou/sdk/client'
import { type WebSocket, WebSocketServer } from 'ws'
import { PeerFeed } from '../peer/feed.ts'
import type { PeerHandle } from '../peer-handle.ts'
import { statusOf, toErrorAnswer, toMiaouError } from './error-answer.ts'
import { checkSource, givenToken, isToken } from './guards.ts'

// Not imported: an import reads every export of the module, and one of them loads Node's `fetch`.
const { STATUS_CODES } = process.getBuiltinModule('node:http')

/** Topics of gossip that one stream may follow: as many as a peer. */
const topicsMax = 64

interface StreamOptions {
  readonly streamsMax: number
  readonly streamBytesMax: number
  readonly streamSlowMs: number
  readonly beatMs: number
}

/** WebSocket close codes of our own (RFC 6455 §7.4.2 leaves 4000–4999 to applications). */
const closeFailed = 4400
const closeSlow = 4408

/** The event streams of `/v1/events`: the same checks as for calls, a bounded queue a client, beats. */
export class EventSockets {
  readonly #peer: PeerHandle
  readonly #options: StreamOptions
  readonly #token: string
  readonly #port: () => number
  // A client has nothing to say: anything beyond a control frame ends its stream.
  readonly #server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: 1024,
    handleProtocols: (protocols) => (protocols.has('miaou.v1') ? 'miaou.v1' : false),
  })

  constructor(peer: PeerHandle, options: StreamOptions, token: string, port: () => number) {
    this.#peer = peer
    this.#options = options
    this.#token = token
    this.#port = port
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // A client that is gone before it was answered.
    socket.on('error', () => socket.destroy())
    try {
      const url = new URL(request.url ?? '/', 'http://127.0.0.1')
      checkSource(request.headers, this.#port())
      if (!isToken(givenToken(request.headers), this.#token)) throw new MiaouError('unauthorised')
      if (url.pathname !== '/v1/events') throw new MiaouError('unknown-operation', { path: url.pathname.slice(0, 200) })
      const countMax = this.#options.streamsMax
      if (this.#server.clients.size >= countMax) throw new MiaouError('too-many-clients', { countMax })
      const after = readCursor(url.searchParams.get('after'))
      const topics = url.searchParams.getAll('topic')
      if (topics.length > topicsMax) throw new MiaouError('bad-request', { detail: 'topic' })
      const fleeting = url.searchParams.get('fleeting') !== 'false'
      this.#server.handleUpgrade(request, socket, head, (client) => {
        const feed = new PeerFeed(this.#peer, { fleeting, topics, ...(after === undefined ? {} : { after }) })
        void this.#serve(client, feed)
      })
    } catch (error) {
      refuse(socket, toMiaouError(error, 0))
    }
  }

  close(): void {
    for (const client of this.#server.clients) client.terminate()
    this.#server.close()
  }

  async #serve(client: WebSocket, feed: PeerFeed): Promise<void> {
    client.on('error', () => client.terminate())
    client.on('close', () => void feed.return())
    const stopBeating = this.#beat(client)
    try {
      await this.#send(client, { type: 'ready', cursor: await feed.start() })
      for await (const event of feed) {
        if (!(await this.#send(client, { type: 'event', event }))) break
      }
      client.close(1001)
    } catch (error) {
      const known = toMiaouError(error, 0)
      await this.#send(client, { type: 'error', ...toErrorAnswer(known) })
      client.close(closeFailed, known.code)
    } finally {
      stopBeating()
      await feed.return()
    }
  }

  /** False when the client is gone, or was cut because it takes nothing. */
  async #send(client: WebSocket, frame: EventFrame): Promise<boolean> {
    if (client.readyState !== client.OPEN) return false
    const text = JSON.stringify(frame)
    if (client.bufferedAmount <= this.#options.streamBytesMax) {
      client.send(text)
      return true
    }
    const isTaken = await withinTime(this.#options.streamSlowMs, (resolve) => client.send(text, resolve))
    if (isTaken) return true
    client.close(closeSlow, 'slow-client')
    // A reader that takes nothing does not take a close frame either.
    client.terminate()
    return false
  }

  #beat(client: WebSocket): () => void {
    let isAlive = true
    client.on('pong', () => {
      isAlive = true
    })
    const timer = setInterval(() => {
      if (!isAlive) {
        client.terminate()
        return
      }
      isAlive = false
      client.ping()
      if (client.bufferedAmount === 0) void this.#send(client, { type: 'beat' })
    }, this.#options.beatMs)
    return () => clearInterval(timer)
  }
}

function withinTime(timeoutMs: number, start: (done: () => void) => void): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), timeoutMs)
    start(() => {
      clearTimeout(timer)
      resolve(true)
    })
  })
}

function readCursor(text: string | null): number | undefined {
  if (text === null) return undefined
  const cursor = Number(text)
  if (!Number.isSafeInteger(cursor) || cursor < 0) throw new MiaouError('bad-request', { detail: 'after' })
  return cursor
}

function refuse(socket: Duplex, error: MiaouError): void {
  const body = JSON.stringify(toErrorAnswer(error))
  const status = statusOf(error)
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
      'connection: close',
      'content-type: application/json; charset=utf-8',
      `content-length: ${Buffer.byteLength(body)}`,
      '',
      body,
    ].join('\r\n'),
  )
}
