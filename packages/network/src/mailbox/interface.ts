import type { Now } from '@miaou/core'
import type { BoxAddress, MailboxAddress, StartMark } from '@miaou/protocol'
import type { ChannelIndex, PipeId, TransportEvent } from '../ports.ts'
import type { QueueTotals } from './mailbox-service-queue.ts'

/** What the owner gives a mailbox for its box. */
export interface BoxSupply {
  /** `true`: all tokens that the mailbox has are replaced; else these are added. */
  readonly resetTokens: boolean
  /** Hashes of delivery tokens, 16 bytes each, shuffled among all contacts; at most `boxTokensMax` in all. */
  readonly tokenHashes: readonly Uint8Array[]
  /** `true`: one-time bundles that the mailbox has are dropped first. */
  readonly resetBundles: boolean
  /** Sealed one-time prekey bundles, each given to one asker. */
  readonly oneTimeBundles: readonly Uint8Array[]
  /** Sealed last-resort bundle; undefined: stays as it is. */
  readonly lastResortBundle: Uint8Array | undefined
}

/** What a mailbox has for its owner. */
export interface BoxStock {
  readonly tokens: number
  readonly oneTimeBundles: number
  readonly hasLastResort: boolean
  /** Envelopes that wait. */
  readonly waiting: number
}

/** One envelope that a mailbox kept for us. */
export interface FetchedEnvelope {
  /** Its number in that box; the mailbox's own choice, grows. */
  readonly id: number
  /** A sealed message (spec/sealed), not opened. */
  readonly bytes: Uint8Array
  /** Hash of the token that paid for it, 16 bytes; undefined: it came by the strangers' lane. */
  readonly tokenHash: Uint8Array | undefined
  /** Wall-clock ms of the mailbox at which it was accepted. */
  readonly acceptedAt: number
}

export type DepositResult =
  /** The mailbox has it on disk, until that wall-clock ms of its clock, taken over to ours. */
  | { readonly ok: true; readonly until: number }
  | {
      readonly ok: false
      /**
       * `token-unknown`: used up, or the mailbox has lost them. `token-spent`: somebody used it already. `full`: the box,
       * its strangers' lane or the disk. `no-box`: nobody keeps that box there. `unreachable`: no answer.
       */
      readonly reason: 'token-unknown' | 'token-spent' | 'full' | 'no-box' | 'busy' | 'too-large' | 'unreachable'
      readonly detail: string
    }

/** What became of deposits, by the token that paid. */
export type TokenStatus = 'held' | 'taken' | 'unknown'

/** Where a mailbox of our own stands, as shown. */
export interface MailboxView {
  readonly mailbox: MailboxAddress
  readonly state: 'connecting' | 'connected' | 'registered' | 'refused' | 'unreachable'
  /** 16 bytes: our box there. */
  readonly box: Uint8Array
  readonly stock?: BoxStock
  readonly latencyMs?: number
  /** Why it is not `registered`, for people. */
  readonly error?: string
  /** Monotonic ms. */
  readonly nextTryAt?: number
  /** Whether the link goes through a relay. */
  readonly throughRelay: boolean
}

/** The client's half: keeps our boxes, fetches, and leaves messages in the boxes of others. */
export type MailboxesInput =
  /**
   * Where boxes are to be kept, best first; the whole list. The first `boxesMax` that answer are kept. `isKept`: we had
   * registered there before the restart, so contacts may still write there.
   */
  | {
      readonly type: 'mailboxes'
      readonly mailboxes: readonly { readonly mailbox: MailboxAddress; readonly isKept: boolean }[]
    }
  /** The mark of this start: told when registering. */
  | { readonly type: 'start'; readonly mark: StartMark }
  /** Events of the pipes that this engine dialled (`mailbox-dial`). */
  | { readonly type: 'transport'; readonly event: TransportEvent }
  | { readonly type: 'supply'; readonly box: Uint8Array; readonly supply: BoxSupply }
  /** Stored here, or of no use: the mailbox may delete them. */
  | { readonly type: 'acknowledge'; readonly box: Uint8Array; readonly ids: readonly number[] }
  /** Answered by `deposited`. `token`: 16 bytes; undefined: by the strangers' lane. */
  | {
      readonly type: 'deposit'
      readonly id: number
      readonly to: BoxAddress
      readonly token: Uint8Array | undefined
      readonly bytes: Uint8Array
    }
  /** Answered by `checked`. At most 64 tokens. */
  | { readonly type: 'check'; readonly id: number; readonly to: BoxAddress; readonly tokens: readonly Uint8Array[] }
  /** A prekey bundle of who keeps one of these boxes, tried in order; answered by `bundle`. */
  | { readonly type: 'fetch-bundle'; readonly id: number; readonly from: readonly BoxAddress[] }
  | { readonly type: 'network-changed' }
  | { readonly type: 'wake' }
  | { readonly type: 'stop' }

export type MailboxesOutput =
  /** A WebSocket with the mailboxes' subprotocol, straight or asked of a relay; its pipe belongs to this engine. */
  | { readonly type: 'mailbox-dial'; readonly pipe: PipeId; readonly url: string; readonly throughRelay: boolean }
  | { readonly type: 'write'; readonly pipe: PipeId; readonly channel: ChannelIndex; readonly bytes: Uint8Array }
  | { readonly type: 'close'; readonly pipe: PipeId }
  /** Own boxes that exist now or may still be written to; the whole list, best first. */
  | {
      readonly type: 'boxes'
      readonly boxes: readonly { readonly address: BoxAddress; readonly stock: BoxStock | undefined }[]
    }
  /** In the mailbox's order. What is not acknowledged comes again with the next link. */
  | { readonly type: 'fetched'; readonly box: Uint8Array; readonly envelopes: readonly FetchedEnvelope[] }
  | { readonly type: 'deposited'; readonly id: number; readonly result: DepositResult }
  | {
      readonly type: 'checked'
      readonly id: number
      /** In the order of the tokens; undefined: no answer. */
      readonly statuses: readonly TokenStatus[] | undefined
    }
  /** `bytes`: sealed, not opened; undefined: none of them gave one. */
  | { readonly type: 'bundle'; readonly id: number; readonly bytes: Uint8Array | undefined }
  /** A mailbox has seen a later start of this device, or another one of the same number: this is a copy, or it was rolled back. */
  | { readonly type: 'stale-start'; readonly seen: number }

/** What a peer needs of the engine that uses mailboxes. */
export interface MailboxesEngine {
  handle(now: Now, input: MailboxesInput): MailboxesOutput[]
  /** Monotonic ms of the next wake, Infinity for none. An early or repeated wake changes nothing. */
  deadline(): number
  /** Whether a pipe is one that this engine dialled: from its dial to its `closed`. */
  owns(pipe: PipeId): boolean
  views(): readonly MailboxView[]
  counters(): Readonly<Record<string, number>>
}

/** The service's half: keeps sealed envelopes for those who registered. All that must outlive it is in a `MessageQueue`. */
export type MailboxServiceInput =
  /** Events of pipes that came in with the mailboxes' subprotocol. */
  | { readonly type: 'transport'; readonly event: TransportEvent }
  | { readonly type: 'drained'; readonly pipe: PipeId }
  /** Results of the operations of a `queue` output, in their order, once they are durable; or why none was done. */
  | { readonly type: 'queued'; readonly batch: number; readonly results: readonly QueueResult[] | QueueFailure }
  | { readonly type: 'wake' }
  | { readonly type: 'stop' }

export type MailboxServiceOutput =
  | { readonly type: 'write'; readonly pipe: PipeId; readonly channel: ChannelIndex; readonly bytes: Uint8Array }
  | { readonly type: 'close'; readonly pipe: PipeId }
  /** One group: all of it durable, or none. Answered by `queued` with the same number. */
  | { readonly type: 'queue'; readonly batch: number; readonly operations: readonly QueueOperation[] }

/** What the service asks of its queue. `box`: 16 bytes; `at`: wall-clock ms. */
export type QueueOperation =
  | { readonly type: 'register'; readonly box: Uint8Array; readonly start: StartMark; readonly at: number }
  | { readonly type: 'release'; readonly box: Uint8Array }
  | {
      readonly type: 'tokens'
      readonly box: Uint8Array
      readonly reset: boolean
      readonly hashes: readonly Uint8Array[]
    }
  | {
      readonly type: 'bundles'
      readonly box: Uint8Array
      readonly reset: boolean
      readonly oneTime: readonly Uint8Array[]
      readonly lastResort: Uint8Array | undefined
    }
  /** `allowOneTime` false: the asker gets the last-resort bundle. */
  | { readonly type: 'take-bundle'; readonly box: Uint8Array; readonly allowOneTime: boolean }
  | {
      readonly type: 'deposit'
      readonly box: Uint8Array
      /** 16 bytes; undefined: the strangers' lane. */
      readonly tokenHash: Uint8Array | undefined
      readonly bytes: Uint8Array
      readonly at: number
    }
  | { readonly type: 'check'; readonly box: Uint8Array; readonly tokenHashes: readonly Uint8Array[] }
  /** Envelopes behind `after`, in order, at most so many and so many bytes (one at least). */
  | {
      readonly type: 'read'
      readonly box: Uint8Array
      readonly after: number
      readonly countMax: number
      readonly bytesMax: number
    }
  /** Deletes them; `signature` by the box's pseudonym was checked. */
  | { readonly type: 'acknowledge'; readonly box: Uint8Array; readonly ids: readonly number[] }
  /** Deletes what is older than its time, and boxes nobody came for. */
  | { readonly type: 'expire'; readonly at: number }

export type QueueResult =
  | { readonly type: 'registered'; readonly stock: BoxStock; readonly staleSince: number | undefined }
  | { readonly type: 'done' }
  | { readonly type: 'bundle'; readonly bytes: Uint8Array | undefined }
  /** `repeated`: the same bytes under the same token were taken before. */
  | { readonly type: 'accepted'; readonly id: number; readonly until: number; readonly repeated: boolean }
  | { readonly type: 'statuses'; readonly statuses: readonly TokenStatus[] }
  | { readonly type: 'envelopes'; readonly envelopes: readonly FetchedEnvelope[] }
  /** Of `tokens` and `bundles`. */
  | { readonly type: 'stock'; readonly stock: BoxStock }
  | { readonly type: 'refused'; readonly reason: 'token-unknown' | 'token-spent' | 'full' | 'no-box' }

/** `full`: the disk, or what the owner of the machine allows. */
export type QueueFailure = { readonly type: 'failed'; readonly kind: 'full' | 'failed'; readonly detail: string }

/**
 * Port: what a mailbox keeps (G01), so that a clustered broker can take the place of SQLite. One call is one group: when
 * it resolves with results, all of it survives a crash; when with a failure, none of it happened. Calls are answered in
 * order. Its contract suite is testkit's `describeMessageQueueContract`.
 */
export interface MessageQueue {
  apply(operations: readonly QueueOperation[]): Promise<readonly QueueResult[] | QueueFailure>
  /** As of the last answer. */
  totals(): QueueTotals
  /** Closed, or broken for good: every further group fails. */
  readonly isGone: boolean
  close(): Promise<void>
}
