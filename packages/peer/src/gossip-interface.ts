import type { PeerId } from '@miaou/core'
import type { Gossip, GossipOptions, GossipPublishError } from '@miaou/overlay'

/** What of the gossip engine a peer drives: given to it, since a peer that stays offline starts without the engine. */
export type GossipEngine = Pick<Gossip, 'handle' | 'deadline' | 'counters' | 'info'>

/** Feature name of a peer that takes part in gossip (row B20). */
export const gossipFeature = 'gossip'

/**
 * Gossip between linked contacts: nobody is dialled for it, so there is nothing to exchange hints for, and an engine that
 * has nothing to send sleeps. All neighbours came by themselves or were asked to by the person, so no place is kept for
 * those that gossip would have dialled.
 */
export const linkedGossipOptions: Partial<GossipOptions> = {
  // Guess: contacts linked at a time; further ones hear what these pass on.
  activeMax: 64,
  outgoingReserved: 0,
  // After a start all links come up at once, each before its first hello.
  greetingMax: 64,
  activeTarget: 0,
  shuffleMs: Number.POSITIVE_INFINITY,
}

/** What a person (through the API) asks of gossip. Every command gets one `gossip-reply` with its `id`. */
export type GossipCommand =
  /** `topic`: 1 to 64 visible ASCII characters. */
  | { readonly type: 'publish'; readonly topic: string; readonly payload: Uint8Array }
  /** Counted: as many `unsubscribe` end it. */
  | { readonly type: 'subscribe'; readonly topic: string }
  | { readonly type: 'unsubscribe'; readonly topic: string }

export interface GossipPublished {
  /** SHA-256 of the message, hexadecimal. */
  readonly messageId: string
  /** Neighbours that it was sent to at once; others are told that it is there. */
  readonly neighbours: number
}

export type GossipError =
  | GossipPublishError
  /** No linked contact takes part in gossip: nothing was published. */
  | { readonly type: 'no-neighbours' }
  | { readonly type: 'too-many-topics'; readonly topicsMax: number }

export type GossipResult =
  /** A value for `publish` alone. */
  | { readonly ok: true; readonly value: GossipPublished | undefined }
  | { readonly ok: false; readonly error: GossipError }

/** A message of a topic that somebody here follows. Kept nowhere. */
export interface GossipNews {
  readonly type: 'gossip'
  readonly topic: string
  /** SHA-256 of the message, hexadecimal. */
  readonly messageId: string
  /** Ed25519 key of whoever published, verified: a pseudonym, not a device. */
  readonly origin: Uint8Array
  readonly payload: Uint8Array
}

/** What `gossip info` shows. */
export interface GossipView {
  readonly neighbours: readonly {
    readonly peerId: PeerId
    /** 0 at best. */
    readonly score: number
  }[]
  readonly topics: readonly {
    readonly topic: string
    /** Whether somebody here follows it; else it is passed on for others. */
    readonly isFollowed: boolean
    /** Neighbours that want it. */
    readonly neighbours: number
  }[]
  /** Ids of messages remembered. */
  readonly seenCount: number
  readonly counters: Readonly<Record<string, number>>
}
