import type { EventOptions } from '../connection.ts'
import { isErrorCode, MiaouError } from '../error.ts'
import { EventQueue } from '../event-queue.ts'
import { eventFrameSchema, type MiaouEvent } from '../schema/events.ts'
import type { HttpTarget } from './target.ts'

/** The server beats every 15 s: three missed beats mean that it is gone. */
const silentMsMax = 45_000
/** Waits between attempts double from the first to the last value, ms (own choice). */
const retryMsMin = 250
const retryMsMax = 5_000
/** Errors that another attempt cannot cure. */
const finalCodes: ReadonlySet<string> = new Set([
  'cursor-expired',
  'unauthorised',
  'forbidden-origin',
  'bad-request',
  'bad-topic',
  'too-many',
])

/**
 * One event stream over WebSocket. When the socket breaks, or the reader is too slow for the buffer, it comes back and
 * resumes after the last event with a cursor: durable news are neither lost nor doubled.
 */
export class SocketEvents implements AsyncIterableIterator<MiaouEvent> {
  readonly #refresh: () => Promise<HttpTarget>
  readonly #fleeting: boolean
  readonly #topics: readonly string[]
  readonly #closing: AbortSignal
  readonly #queue = new EventQueue<MiaouEvent>()
  readonly #onClosing = () => void this.return()
  #target: HttpTarget
  #cursor: number | undefined
  #socket: WebSocket | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #retryMs = retryMsMin
  /** The buffer was full: the socket was closed and comes back once the reader has caught up. */
  #isPaused = false

  constructor(target: HttpTarget, refresh: () => Promise<HttpTarget>, options: EventOptions, closing: AbortSignal) {
    this.#target = target
    this.#refresh = refresh
    this.#fleeting = options.fleeting ?? true
    this.#topics = options.topics ?? []
    this.#cursor = options.after
    this.#closing = closing
    if (closing.aborted) this.#queue.end(new MiaouError('closed'))
    else {
      closing.addEventListener('abort', this.#onClosing, { once: true })
      this.#open()
    }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<MiaouEvent, undefined>> {
    const result = this.#queue.next()
    if (this.#isPaused && this.#queue.size === 0) {
      this.#isPaused = false
      this.#open()
    }
    return result
  }

  return(): Promise<IteratorResult<MiaouEvent, undefined>> {
    this.#finish()
    return Promise.resolve({ done: true, value: undefined })
  }

  #finish(error?: MiaouError): void {
    this.#queue.end(error)
    this.#closing.removeEventListener('abort', this.#onClosing)
    this.#drop()
  }

  #open(): void {
    const query = new URLSearchParams({ fleeting: String(this.#fleeting) })
    if (this.#cursor !== undefined) query.set('after', String(this.#cursor))
    for (const topic of this.#topics) query.append('topic', topic)
    const { url, token } = this.#target
    const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/events?${query}`, ['miaou.v1', `bearer.${token}`])
    this.#socket = socket
    this.#listen(socket)
    this.#watch(socket)
  }

  #listen(socket: WebSocket): void {
    const isCurrent = () => this.#socket === socket
    socket.onmessage = ({ data }) => {
      if (isCurrent()) this.#hear(socket, String(data))
    }
    socket.onclose = () => {
      if (isCurrent()) this.#retry()
    }
    // An error is always followed by a close.
    socket.onerror = () => undefined
  }

  #hear(socket: WebSocket, data: string): void {
    this.#watch(socket)
    const frame = eventFrameSchema.safeParse(parseJson(data))
    if (!frame.success) {
      this.#finish(new MiaouError('bad-answer', { detail: 'event' }))
      return
    }
    this.#retryMs = retryMsMin
    if (frame.data.type === 'ready') this.#cursor ??= frame.data.cursor
    else if (frame.data.type === 'event') this.#take(frame.data.event)
    else if (frame.data.type === 'error') {
      const { code, message, hint, facts } = frame.data.error
      // `slow-client` and the like: the close that follows makes us come back.
      if (finalCodes.has(code) && isErrorCode(code)) this.#finish(new MiaouError(code, facts, { message, hint }))
    }
  }

  #take(event: MiaouEvent): void {
    if (event.cursor !== undefined && this.#cursor !== undefined && event.cursor <= this.#cursor) return
    if (this.#queue.push(event)) {
      if (event.cursor !== undefined) this.#cursor = event.cursor
    } else if (event.cursor !== undefined && !this.#queue.isEnded) {
      this.#isPaused = true
      this.#drop()
    }
  }

  #drop(): void {
    clearTimeout(this.#timer)
    const socket = this.#socket
    this.#socket = undefined
    socket?.close(1000)
  }

  #retry(): void {
    this.#drop()
    if (this.#queue.isEnded) return
    this.#timer = setTimeout(() => void this.#reopen(), this.#retryMs)
    this.#retryMs = Math.min(this.#retryMs * 2, retryMsMax)
  }

  async #reopen(): Promise<void> {
    try {
      this.#target = await this.#refresh()
    } catch {
      // Where the daemon went cannot be told now; the last place known is tried again.
    }
    if (!this.#queue.isEnded) this.#open()
  }

  #watch(socket: WebSocket): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      if (this.#socket === socket) this.#retry()
    }, silentMsMax)
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
