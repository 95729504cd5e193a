import { equalBytes } from '@miaou/core'
import type { Core } from './core.ts'
import type { Responder } from './responder.ts'

/** A record of one's own that is republished as long as the engine runs. */
interface Published {
  readonly key: Uint8Array
  readonly record: Uint8Array
  dueAt: number
}

/** What the engine wants to do on its own, one walk each. */
export type BackgroundWalk =
  | { readonly type: 'refresh'; readonly target: Uint8Array }
  | { readonly type: 'republish'; readonly key: Uint8Array; readonly record: Uint8Array; readonly ageMinutes: number }

/** Buckets are looked at this many times an interval: own choice. */
const checksPerInterval = 12

/** Refresh (row E05) and republishing, in a queue that `next` empties. */
export class Maintenance {
  readonly #core: Core
  readonly #responder: Responder
  #queue: BackgroundWalk[] | undefined
  #published: Published[] | undefined
  /** The earliest `dueAt`, or earlier. */
  #publishedAt = Number.POSITIVE_INFINITY
  #checkAt: number

  /** `now`: monotonic ms. */
  constructor(core: Core, responder: Responder, now: number) {
    this.#core = core
    this.#responder = responder
    this.#checkAt = now + core.config.refreshIntervalMs
  }

  deadline(): number {
    const recordsAt = this.#responder.recordsOrNone?.deadline() ?? Number.POSITIVE_INFINITY
    return Math.min(this.#checkAt, this.#publishedAt, recordsAt)
  }

  /** False when as many are published as may be. An earlier record of the same key gives way. */
  publish(key: Uint8Array, record: Uint8Array): boolean {
    const { config, mono } = this.#core
    this.#published ??= []
    const at = this.#published.findIndex((published) => equalBytes(published.key, key))
    if (at >= 0) this.#published.splice(at, 1)
    if (this.#published.length >= config.publishedMax) return false
    const dueAt = mono + config.republishIntervalMs
    this.#published.push({ key, record, dueAt })
    this.#publishedAt = Math.min(this.#publishedAt, dueAt)
    return true
  }

  /** The record of one's own under a key. */
  own(key: Uint8Array): Uint8Array | undefined {
    return this.#published?.find((published) => equalBytes(published.key, key))?.record
  }

  get publishedCount(): number {
    return this.#published?.length ?? 0
  }

  wake(): void {
    const { mono, table, config, jitter } = this.#core
    const records = this.#responder.recordsOrNone
    for (const held of records?.due() ?? []) {
      const { key, record } = held
      this.#enqueue({ type: 'republish', key, record, ageMinutes: records?.ageMinutes(held) ?? 0 })
    }
    if (mono >= this.#publishedAt) this.#republish()
    if (mono < this.#checkAt) return
    const interval = config.refreshIntervalMs / checksPerInterval
    this.#checkAt = mono + interval * (1 + jitter.next())
    this.refresh(table.bucketsNeedingRefresh(mono, config.refreshIntervalMs))
  }

  #republish(): void {
    const { mono, config } = this.#core
    this.#publishedAt = Number.POSITIVE_INFINITY
    for (const published of this.#published ?? []) {
      if (mono >= published.dueAt) {
        published.dueAt = mono + config.republishIntervalMs
        this.#enqueue({ type: 'republish', key: published.key, record: published.record, ageMinutes: 0 })
      }
      this.#publishedAt = Math.min(this.#publishedAt, published.dueAt)
    }
  }

  refresh(buckets: readonly number[]): void {
    for (const bucket of buckets) {
      this.#core.table.markBucketUsed(bucket, this.#core.mono)
      this.#enqueue({ type: 'refresh', target: this.#targetIn(bucket) })
    }
  }

  /** A walk to oneself. */
  announce(): void {
    this.#enqueue({ type: 'refresh', target: this.#core.self })
  }

  next(): BackgroundWalk | undefined {
    return this.#queue?.shift()
  }

  clear(): void {
    this.#queue = undefined
    this.#published = undefined
    this.#checkAt = Number.POSITIVE_INFINITY
    this.#publishedAt = Number.POSITIVE_INFINITY
  }

  /** What does not fit waits for its next turn. */
  #enqueue(walk: BackgroundWalk): void {
    const { config } = this.#core
    this.#queue ??= []
    if (this.#queue.length < config.recordsMax + config.publishedMax) this.#queue.push(walk)
  }

  /** A random id whose distance to one's own lies in a bucket. */
  #targetIn(bucket: number): Uint8Array {
    const target = this.#core.self.slice()
    const random = this.#core.random.bytes(32)
    const byte = 31 - (bucket >> 3)
    const bit = 1 << (bucket & 7)
    for (let i = byte + 1; i < 32; i++) target[i] = random[i] as number
    target[byte] = ((target[byte] as number) ^ bit ^ ((random[byte] as number) & (bit - 1))) & 0xff
    return target
  }
}
