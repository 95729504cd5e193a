import type { Brand } from '@miaou/core'

/** A neighbour over a link, named by whoever carries the messages (a peer id, a pseudonym, a number in a simulation). */
export type NeighbourId = Brand<string, 'NeighbourId'>

/** How to reach a node that one is not linked with: opaque to the engine, ≤ 256 bytes. */
export type NeighbourHint = Uint8Array

export type GossipInput =
  /** A link over which gossip may flow stands. `isOutgoing`: this side asked for it (`connect`). */
  | {
      readonly type: 'neighbour-up'
      readonly neighbour: NeighbourId
      readonly hint: NeighbourHint | undefined
      /** Absent: outgoing when the hint is one that a `connect` named. */
      readonly isOutgoing?: boolean
    }
  | { readonly type: 'neighbour-down'; readonly neighbour: NeighbourId }
  /** Encoded gossip message from a neighbour. */
  | { readonly type: 'message'; readonly from: NeighbourId; readonly bytes: Uint8Array }
  | { readonly type: 'subscribe'; readonly topic: string }
  | { readonly type: 'unsubscribe'; readonly topic: string }
  | { readonly type: 'publish'; readonly id: number; readonly topic: string; readonly payload: Uint8Array }
  /** The layer above judges a delivered message: it costs its sender, or nothing. */
  | { readonly type: 'judge'; readonly messageId: string; readonly verdict: 'accept' | 'reject' }
  | { readonly type: 'wake' }

export type GossipOutput =
  | { readonly type: 'send'; readonly to: NeighbourId; readonly bytes: Uint8Array }
  | {
      readonly type: 'deliver'
      readonly messageId: string
      readonly topic: string
      /** The publisher's Ed25519 key, verified. */
      readonly origin: Uint8Array
      readonly payload: Uint8Array
      readonly from: NeighbourId
    }
  /** The partial view wants this node as a neighbour: dial it. */
  | { readonly type: 'connect'; readonly hint: NeighbourHint }
  /** The view has no room for it, or its score is too low. */
  | { readonly type: 'disconnect'; readonly neighbour: NeighbourId; readonly reason: 'view-full' | 'graylisted' }
  | { readonly type: 'reply'; readonly id: number; readonly result: GossipPublishResult }

/** What a gossip engine shows of itself. */
export interface GossipInfo {
  readonly active: readonly {
    readonly neighbour: NeighbourId
    readonly isOutgoing: boolean
    /** 0 at best. */
    readonly score: number
    /** Smoothed time from a graft to its answer, ms. */
    readonly rttMs: number | undefined
  }[]
  readonly greetingCount: number
  readonly passiveCount: number
  readonly graylistedCount: number
  readonly seenCount: number
  readonly missingCount: number
  readonly cachedCount: number
  readonly cachedBytes: number
  /** How long a push is waited for after an announcement, ms. */
  readonly graftWaitMs: number
  readonly topics: readonly {
    readonly topic: string
    readonly isSubscribed: boolean
    /** Neighbours that want it, and those it is pushed to. */
    readonly neighbours: number
    readonly eager: number
  }[]
}

export type GossipPublishResult =
  | { readonly ok: true; readonly messageId: string; readonly neighbours: number }
  | { readonly ok: false; readonly error: GossipPublishError }

export type GossipPublishError =
  | { readonly type: 'too-large'; readonly size: number; readonly sizeMax: number }
  | { readonly type: 'bad-topic'; readonly topic: string }
  | { readonly type: 'too-fast'; readonly retryAfterMs: number }
