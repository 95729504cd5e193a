import { TokenBucket } from '@miaou/core'
import type { StartMark } from '@miaou/protocol'
import type { Link } from '../link.ts'
import type { PipeId } from '../ports.ts'
import type { FetchedEnvelope } from './interface.ts'
import type { MailboxGroup } from './mailbox-service-groups.ts'
import type { MailboxServiceLimits } from './mailbox-service-limits.ts'

/** What a link has proved: nothing but a pseudonym. */
export interface ProvedBox {
  /** 32 bytes. */
  readonly key: Uint8Array
  /** 16 bytes: the box that follows from the key. */
  readonly box: Uint8Array
  /** The box in hexadecimal. */
  readonly name: string
}

/** The owner's half of a link: what of the box was pushed and is not acknowledged. */
export class PushState {
  readonly start: StartMark
  /** The envelope pushed last. */
  after = 0
  /** Everything in the box was pushed. */
  isCaughtUp = false
  isReading = false
  /** The next envelope does not fit into the window. */
  waitsForAcknowledgement = false
  /** Monotonic ms: when the queue is told again that the owner is there. */
  touchAt: number
  /** Acknowledged while the disk failed. */
  readonly owed: Set<number> = new Set()
  /** Monotonic ms at which what failed is tried again. */
  retryAt: number = Number.POSITIVE_INFINITY
  readonly #unacknowledged = new Map<number, number>()
  readonly #underWay = new Set<number>()
  #bytes = 0
  readonly #limits: MailboxServiceLimits

  constructor(start: StartMark, now: number, limits: MailboxServiceLimits) {
    this.start = start
    this.touchAt = now + limits.touchMs
    this.#limits = limits
  }

  get countLeft(): number {
    return this.#limits.windowEnvelopes - this.#unacknowledged.size
  }

  get bytesLeft(): number {
    return this.#limits.windowBytes - this.#bytes
  }

  /** Half of the window at least: reading one by one would cost a query each. */
  get hasRoom(): boolean {
    const { windowEnvelopes, windowBytes } = this.#limits
    return this.#unacknowledged.size * 2 <= windowEnvelopes && this.#bytes * 2 <= windowBytes
  }

  fits({ bytes }: Pick<FetchedEnvelope, 'bytes'>): boolean {
    if (this.#unacknowledged.size === 0) return true
    return this.countLeft > 0 && bytes.length <= this.bytesLeft
  }

  pushed({ id, bytes }: Pick<FetchedEnvelope, 'id' | 'bytes'>): void {
    this.after = id
    this.#unacknowledged.set(id, bytes.length)
    this.#bytes += bytes.length
  }

  acknowledged(ids: readonly number[]): void {
    for (const id of ids) {
      this.#bytes -= this.#unacknowledged.get(id) ?? 0
      this.#unacknowledged.delete(id)
      this.#underWay.delete(id)
    }
    this.waitsForAcknowledgement = false
  }

  /** Whether one of those was pushed here, and nobody said before that it may go. */
  isNews(ids: readonly number[]): boolean {
    return ids.some((id) => this.#unacknowledged.has(id) && !this.#underWay.has(id))
  }

  /** The queue is told that those may go. */
  acknowledging(ids: readonly number[]): void {
    for (const id of this.known(ids)) this.#underWay.add(id)
  }

  /** Of those, the ones that were pushed here. */
  known(ids: readonly number[]): number[] {
    return ids.filter((id) => this.#unacknowledged.has(id))
  }
}

/** One link with a client, from its opening to its end. */
export class MailboxClient {
  readonly pipe: PipeId
  readonly link: Link
  readonly groupName: string | undefined
  readonly group: MailboxGroup
  readonly requests: TokenBucket
  /** From the proof on. */
  proved: ProvedBox | undefined
  /** While this link keeps the box of its pseudonym. */
  push: PushState | undefined
  isUp = false
  /** Requests that wait for the disk. */
  asked = 0
  /** Since when it has asked nothing, monotonic ms. */
  uselessSince: number
  badMessages = 0
  floods = 0
  #unsent = 0

  constructor(
    pipe: PipeId,
    link: Link,
    options: {
      readonly groupName: string | undefined
      readonly group: MailboxGroup
      readonly now: number
      readonly limits: MailboxServiceLimits
    },
  ) {
    this.pipe = pipe
    this.link = link
    this.groupName = options.groupName
    this.group = options.group
    this.uselessSince = options.now
    this.requests = new TokenBucket(options.limits.requestsPerSecond, options.limits.requestsBurst)
  }

  /** Bytes handed to the pipe since it was drained last. */
  get unsent(): number {
    return this.#unsent
  }

  sent(bytes: number): void {
    this.#unsent += bytes
  }

  drained(): void {
    this.#unsent = 0
  }
}
