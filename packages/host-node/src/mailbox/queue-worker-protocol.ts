import type { QueueFailure, QueueLimits, QueueOperation, QueueResult, QueueTotals } from '@miaou/network'
import type { StoreError } from '../store/sqlite-store.ts'

/** What the thread of the queue is started with. */
export interface QueueStart {
  readonly path: string
  /** 32 bytes. */
  readonly key: Uint8Array
  readonly limits: QueueLimits
  readonly pageCountMax: number | undefined
  readonly reserveBytes: number
}

export type QueueCall =
  | { readonly type: 'apply'; readonly call: number; readonly operations: readonly QueueOperation[] }
  | { readonly type: 'close' }

export type QueueAnswer =
  | { readonly type: 'opened'; readonly totals: QueueTotals }
  | { readonly type: 'not-opened'; readonly error: StoreError }
  | {
      readonly type: 'applied'
      readonly call: number
      readonly outcome: readonly QueueResult[] | QueueFailure
      readonly totals: QueueTotals
    }
  | { readonly type: 'closed' }
