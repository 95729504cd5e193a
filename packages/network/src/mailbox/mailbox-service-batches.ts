import { assert } from '@miaou/core'
import type { QueueFailure, QueueOperation, QueueResult } from './interface.ts'
import type { MailboxServiceLimits } from './mailbox-service-limits.ts'

/** What is to be done once an operation is durable, or failed. */
export type Settle = (outcome: QueueResult | QueueFailure) => void

interface Entry {
  readonly operation: QueueOperation
  readonly size: number
  readonly settle: Settle
}

export interface Batch {
  readonly batch: number
  readonly operations: readonly QueueOperation[]
}

/**
 * Gathers operations into groups: the first goes at once, and while it is under way the next gather. The slower the disk,
 * the larger the groups; there is nothing to tune and nothing waits for a timer.
 */
export class QueueBatches {
  readonly #limits: MailboxServiceLimits
  #pending: Entry[] = []
  #pendingBytes = 0
  readonly #underWay = new Map<number, readonly Entry[]>()
  #lastBatch = 0

  constructor(limits: MailboxServiceLimits) {
    this.#limits = limits
  }

  /** Operations that wait and are not under way. */
  get pendingCount(): number {
    return this.#pending.length
  }

  get underWayCount(): number {
    return this.#underWay.size
  }

  /** False where too much waits. `isOurs`: of the service itself, which is bounded otherwise. */
  add(operation: QueueOperation, settle: Settle, isOurs = false): boolean {
    const { pendingMax, pendingBytesMax } = this.#limits
    const size = sizeOf(operation)
    const isFull = this.#pending.length >= pendingMax || this.#pendingBytes + size > pendingBytesMax
    if (isFull && !isOurs) return false
    this.#pending.push({ operation, size, settle })
    this.#pendingBytes += size
    return true
  }

  /** The next group, where one is due. */
  next(): Batch | undefined {
    const { groupsUnderWayMax, groupOperationsMin, groupOperationsMax, groupBytesMax } = this.#limits
    const isDue = this.#underWay.size === 0 || this.#pending.length >= groupOperationsMin
    if (this.#pending.length === 0 || !isDue || this.#underWay.size >= groupsUnderWayMax) return undefined
    let count = 0
    let bytes = 0
    for (const { size } of this.#pending) {
      if (count > 0 && (count >= groupOperationsMax || bytes + size > groupBytesMax)) break
      count += 1
      bytes += size
    }
    const entries = this.#pending.slice(0, count)
    this.#pending = this.#pending.slice(count)
    this.#pendingBytes -= bytes
    this.#lastBatch += 1
    this.#underWay.set(this.#lastBatch, entries)
    return { batch: this.#lastBatch, operations: entries.map(({ operation }) => operation) }
  }

  /** A group is durable, or failed. */
  settle(batch: number, results: readonly QueueResult[] | QueueFailure): void {
    const entries = this.#underWay.get(batch)
    assert(entries !== undefined, 'a group is answered once')
    this.#underWay.delete(batch)
    assert('type' in results || results.length === entries.length, 'every operation has its result')
    for (const [at, { settle }] of entries.entries()) {
      settle('type' in results ? results : (results[at] as QueueResult))
    }
  }

  /** What was not begun will not be. */
  clear(): void {
    this.#pending = []
    this.#pendingBytes = 0
  }
}

/** Roughly what an operation holds. */
function sizeOf(operation: QueueOperation): number {
  const fixed = 64
  switch (operation.type) {
    case 'deposit':
      return fixed + operation.bytes.length
    case 'tokens':
      return fixed + operation.hashes.length * 16
    case 'bundles':
      return fixed + [...operation.oneTime, operation.lastResort].reduce((sum, bytes) => sum + (bytes?.length ?? 0), 0)
    default:
      return fixed
  }
}
