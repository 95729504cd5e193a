/**
 * Contacts as they travel: `key 32 ‖ address 4 ‖ port 2` in `v4`, `key 32 ‖ address 16 ‖ port 2` in `v6`, back to back.
 * Kept packed, because an answer of 20 contacts must not cost 40 small arrays.
 */
export interface PackedContacts {
  readonly v4: Uint8Array
  readonly v6: Uint8Array
}

interface Common {
  /** u32: an answer counts only with the transaction that was asked. */
  readonly transaction: number
  /** Whether the sender may enter others' tables: false in client mode. */
  readonly isServer: boolean
}

/** Row E16, with the answers that a store and a node behind a NAT need. `token`: 8 bytes. `record`: ≤ 1,000 bytes. */
export type OverlayMessage =
  | (Common & { readonly type: 'ping' })
  /** `observed`: the asker's endpoint as the answerer sees it, packed (6 or 18 bytes). */
  | (Common & { readonly type: 'pong'; readonly observed: Uint8Array })
  | (Common & { readonly type: 'find-node'; readonly target: Uint8Array })
  | (Common & { readonly type: 'find-node-response'; readonly token: Uint8Array; readonly contacts: PackedContacts })
  | (Common & { readonly type: 'find-value'; readonly key: Uint8Array })
  /** Row E19: with a record, no contacts. */
  | (Common & {
      readonly type: 'find-value-response'
      readonly token: Uint8Array
      readonly record: Uint8Array | undefined
      readonly contacts: PackedContacts
    })
  | (Common & { readonly type: 'store'; readonly token: Uint8Array; readonly record: Uint8Array })
  | (Common & { readonly type: 'store-response'; readonly status: StoreStatus })
  /** Asks the answerer to have somebody else ping the asker, who learns so whether strangers reach it. */
  | (Common & { readonly type: 'reach' })
  | (Common & { readonly type: 'reach-response' })
  /** Asks for a ping to one contact (`PackedContacts` of exactly one). No answer. */
  | (Common & { readonly type: 'probe'; readonly contact: PackedContacts })

/** `stale`: a newer sequence is stored. */
export type StoreStatus = 'stored' | 'bad-token' | 'bad-record' | 'stale' | 'full' | 'busy'
