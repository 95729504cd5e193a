import { bytesToHex } from '@miaou/core'
import type { EventOptions, MiaouEvent } from '@miaou/sdk'
import { EventQueue, MiaouError } from '@miaou/sdk/client'
import type { PeerEvent, PeerHandle } from '../peer-handle.ts'
import { toGossipError } from './gossip-operations.ts'

/** Stored events read back at once. */
const pageSize = 200
/** Messages of gossip that may wait for a slow reader: each may have 64 KiB. Guess. */
const gossipWaitingMax = 100

/**
 * The event stream of a running peer. Durable news are read from the store whenever the reader is behind, so that a slow
 * reader costs a bounded buffer and loses nothing; news without a cursor are dropped while the buffer is full.
 */
export class PeerFeed implements AsyncIterableIterator<MiaouEvent> {
  readonly #peer: PeerHandle
  readonly #fleeting: boolean
  readonly #queue: EventQueue<MiaouEvent>
  readonly #unsubscribe: () => void
  /** Topics of gossip that are followed for this stream. */
  readonly #topics = new Set<string>()
  readonly #following: Promise<void>
  /** Cursor of the last durable event that entered the queue. */
  #cursor: number | undefined
  /** Durable events must come from the store: at the start, and after the buffer was full. */
  #isBehind = true
  /** Cursor of the last durable event that was announced, taken or not. */
  #announced = 0
  #reading: Promise<void> | undefined

  constructor(peer: PeerHandle, options: EventOptions, bufferedMax?: number) {
    this.#peer = peer
    this.#fleeting = options.fleeting ?? true
    this.#cursor = options.after
    this.#queue = new EventQueue(bufferedMax)
    this.#unsubscribe = peer.onEvent((event) => this.#heard(event))
    this.#reading = this.#catchUp()
    this.#following = this.#follow(options.topics ?? [])
  }

  /** The cursor this stream starts after; what is told in its topics from now on is heard. */
  async start(): Promise<number> {
    await this.#following
    if (this.#cursor === undefined) await this.#reading
    return this.#cursor ?? 0
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<MiaouEvent, undefined>> {
    const result = this.#queue.next()
    if (this.#isBehind && this.#queue.size === 0) this.#reading ??= this.#catchUp()
    return result
  }

  return(): Promise<IteratorResult<MiaouEvent, undefined>> {
    this.#finish()
    return Promise.resolve({ done: true, value: undefined })
  }

  #finish(error?: MiaouError): void {
    this.#unsubscribe()
    this.#queue.end(error)
    for (const topic of this.#topics) void this.#peer.gossip.unsubscribe(topic)
    this.#topics.clear()
  }

  #heard(event: PeerEvent): void {
    if (event.type === 'stored') {
      const { cursor, at, event: news } = event.stored
      this.#announced = cursor
      if (this.#isBehind || (this.#cursor !== undefined && cursor <= this.#cursor)) return
      if (this.#queue.push({ cursor, at, event: news })) this.#cursor = cursor
      else this.#isBehind = true
    } else if (event.type === 'gossip') {
      if (!this.#topics.has(event.topic) || this.#queue.size >= gossipWaitingMax) return
      const [origin, payload] = [bytesToHex(event.origin), bytesToHex(event.payload)]
      this.#queue.push({ at: Date.now(), event: { ...event, origin, payload } })
    } else if (this.#fleeting) {
      const news = event.type === 'fleeting' || event.type === 'network' ? event.event : event
      this.#queue.push({ at: Date.now(), event: news })
    }
  }

  async #follow(topics: readonly string[]): Promise<void> {
    for (const topic of new Set(topics)) {
      const followed = await this.#peer.gossip.subscribe(topic)
      if (!followed.ok) return this.#finish(toGossipError(followed.error))
      if (this.#queue.isEnded) return this.#peer.gossip.unsubscribe(topic)
      this.#topics.add(topic)
    }
  }

  /** Reads stored events until none is left or the buffer is full; then live ones take over without a gap. */
  async #catchUp(): Promise<void> {
    while (!this.#queue.isEnded) {
      const cursor = this.#cursor ?? Number.MAX_SAFE_INTEGER
      const page = await this.#peer.command({ type: 'events-since', cursor, limit: pageSize })
      if (!page.ok) {
        const { type, ...facts } = page.error
        this.#finish(new MiaouError(type, facts))
        break
      }
      this.#cursor ??= page.value.newest
      let isFull = false
      for (const stored of page.value.events) {
        if (stored.cursor <= this.#cursor) continue
        isFull = !this.#queue.push({ cursor: stored.cursor, at: stored.at, event: stored.event })
        if (isFull) break
        this.#cursor = stored.cursor
      }
      if (isFull) break
      // One that was announced after the page was made, and before we got here, is on the next page.
      if (this.#cursor >= Math.max(page.value.newest, this.#announced)) {
        this.#isBehind = false
        break
      }
    }
    this.#reading = undefined
  }
}
