import type { Result } from '@miaou/core'
import type { OverlayRecord } from '@miaou/protocol'

/** What the records need of the overlay. */
export interface RecordOverlay {
  /** Whether the node runs and knows others. */
  isReady(): boolean
  /** Stores an encoded record once; whoever signed it stores it again before it expires. */
  putRecord(record: Uint8Array): Promise<Result<unknown, { readonly type: string }>>
  /** The record under a key, 32 bytes, verified to belong there. */
  get(key: Uint8Array): Promise<Result<{ readonly record: OverlayRecord }, { readonly type: string }>>
}

/**
 * Where service records of strangers come from: nodes of the overlay, asked one by one (decision 0035). Nothing of what
 * it gives is verified.
 */
export interface ServiceSource {
  /** Encoded service records, at most two of each node asked. */
  services(): Promise<readonly Uint8Array[]>
}
